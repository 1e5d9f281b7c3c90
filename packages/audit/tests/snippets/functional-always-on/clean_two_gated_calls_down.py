import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def _inner(self, x):
        return F.dropout(x, self.p)

    def _outer(self, x):
        return self._inner(x) + x

    def forward(self, x):
        if self.training:
            x = self._outer(x)
        return x
