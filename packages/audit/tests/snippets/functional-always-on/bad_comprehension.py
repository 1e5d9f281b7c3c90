import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, xs):
        return [F.dropout(x, 0.2) for x in xs]  #! functional-always-on
