import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, x):
        if (p := self.p if self.training else 0.0) > 0.0:
            x = F.dropout(x, p)
        return x
