import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.rate = p
        self.p = p

    def forward(self, x):
        if self.training:
            self.p = self.rate
        else:
            self.p = 0.0
        return F.dropout(x, self.p, self.training)
