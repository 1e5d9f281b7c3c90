import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, x):
        if not self.training:
            return x
        return F.dropout(x, self.p)
