import torch.nn.functional as F
from torch import nn


class WeightDrop(nn.Module):
    def forward(self, x):
        return F.linear(x, F.dropout(self.weight, self.p), self.bias)  #! functional-always-on
