import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, x):
        F = self.backend
        return F.dropout(x, 0.1)
