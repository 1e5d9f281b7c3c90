import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, x):
        match self.training:
            case True:
                return F.dropout(x, self.p)
            case _:
                return x
