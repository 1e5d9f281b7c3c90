import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    @staticmethod
    def _noisy(x, p):
        return F.dropout(x, p)  #! functional-always-on

    def forward(self, x):
        return self._noisy(x, 0.1)
