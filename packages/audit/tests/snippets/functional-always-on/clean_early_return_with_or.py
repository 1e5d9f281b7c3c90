import torch.nn.functional as F
from torch import nn


class Drop(nn.Module):
    def forward(self, x):
        if self.p == 0.0 or not self.training:
            return x
        x = x + 0
        return F.dropout(x, self.p)
