import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, x):
        p = self.p * self.training
        return F.dropout(x, p, training=True)
