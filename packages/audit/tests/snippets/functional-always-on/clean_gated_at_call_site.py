import torch.nn.functional as F
from torch import nn


def noisy(x, p):
    return F.dropout(x, p)


class Net(nn.Module):
    def forward(self, x):
        if self.training:
            x = noisy(x, self.p)
        return x
