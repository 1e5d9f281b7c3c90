import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, x):
        if not self.training:
            y = x
        else:
            y = F.dropout(x, self.p)
        return y
