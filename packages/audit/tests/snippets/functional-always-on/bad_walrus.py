import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, x):
        if (y := F.dropout(x, 0.3)).sum() > 0:  #! functional-always-on
            return y
        return x
