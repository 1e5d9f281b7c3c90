import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.drop = nn.Dropout(p)
        self.channels = nn.Dropout1d(p)

    def forward(self, a, b, c, d):
        a = self.drop(a).mean(1)
        a = self.drop(a)
        b = self.channels(b)
        b = self.channels(b.transpose(1, 2))  # along the other axis, on purpose
        c = self.drop(c)
        c = self.drop(torch.cat([c, d]).view(8, -1))
        return a, b, c
