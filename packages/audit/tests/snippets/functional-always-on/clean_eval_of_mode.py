import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, x):
        return F.dropout(x, eval("0.1 if self.training else 0."))

    def encode(self, x, eval=False):
        if not eval:
            x = F.dropout(x, 0.1)
        return x
