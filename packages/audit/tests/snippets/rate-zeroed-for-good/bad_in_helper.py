import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.dropout = p

    def _prepare(self, x):
        if self.training:
            return x
        elif x.requires_grad:
            return x.detach()
        else:
            self.dropout = 0.0  #! rate-zeroed-for-good
        return x

    def forward(self, x):
        return F.dropout(self._prepare(x), self.dropout, self.training)
