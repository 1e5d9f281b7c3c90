import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, x):
        skip = False
        if self.training:
            skip = bool(torch.rand([]) < self.p)
        if skip:
            x = F.dropout(x, 0.5)
        return x
