import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, x):
        self.rate = self.p if self.training else 0.0
        return F.dropout(x, self.rate)
