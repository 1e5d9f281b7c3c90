import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p
        if not self.training:
            self.p = 0.0

    def freeze(self):
        if not self.training:
            self.p = 0.0

    def forward(self, x):
        return F.dropout(x, self.p, self.training)
