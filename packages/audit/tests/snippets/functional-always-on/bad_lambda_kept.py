import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        # Made once, called each step.
        self.drop = lambda x: F.dropout(x, p)  #! functional-always-on

    def forward(self, x):
        return self.drop(x)
