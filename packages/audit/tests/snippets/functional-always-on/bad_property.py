import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    @property
    def weight(self):
        return F.dropout(self.raw_weight, self.p)  #! functional-always-on

    def forward(self, x):
        return F.linear(x, self.weight)
