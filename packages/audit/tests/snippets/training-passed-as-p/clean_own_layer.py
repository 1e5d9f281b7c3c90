from torch import nn

from .layers import Dropout


class Net(nn.Module):
    def forward(self, x):
        return Dropout(0.1)(x, self.training)
