from mylib.functional import *
from torch import nn


class Net(nn.Module):
    def forward(self, x):
        return dropout(x, 0.5)
