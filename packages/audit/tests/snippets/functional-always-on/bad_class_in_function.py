import torch.nn.functional as F
from torch import nn


def make(p):
    class Net(nn.Module):
        def forward(self, x):
            return F.dropout(x, p)  #! functional-always-on

    return Net()
