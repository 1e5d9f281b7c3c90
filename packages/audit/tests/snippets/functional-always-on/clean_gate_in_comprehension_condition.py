import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, xs):
        extra = [F.dropout(x, self.p) for x in xs if self.training]
        return xs + extra
