import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, a, b):
        return F.dropout(a, 0.2) + F.dropout(b, 0.2)  #! functional-always-on #! functional-always-on
