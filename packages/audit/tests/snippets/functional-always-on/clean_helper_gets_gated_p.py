import torch.nn.functional as F
from torch import nn


def noisy(x, p):
    return F.dropout(x, p)


class Net(nn.Module):
    def forward(self, x):
        return noisy(x, self.p if self.training else 0.0)
