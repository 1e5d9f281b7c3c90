import torch.nn.functional as F
from torch import nn


class MCDropout(nn.Module):
    # Always on is what it is for, and its name says so.
    def forward(self, x):
        return F.dropout(x, self.p)
