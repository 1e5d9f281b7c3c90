import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def first(self, x):
        for F in self.backends:
            x = F.dropout(x, 0.1)
        return x

    def second(self, x):
        with self.open() as F:
            return F.dropout(x, 0.1)

    def forward(self, x):
        return F.relu(self.second(self.first(x)))
