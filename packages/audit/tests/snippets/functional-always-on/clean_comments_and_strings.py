"""F.dropout(x, 0.5) in a docstring is no call."""

import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, x):
        # x = F.dropout(x, 0.5)
        print("F.dropout(x, 0.5)")
        return F.relu(x)
