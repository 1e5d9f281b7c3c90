import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, x):
        x = F.dropout(x, (0.0, self.p)[self.training])
        return F.dropout(x + 1, {True: self.p, False: 0.0}[self.training])
