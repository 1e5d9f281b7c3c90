import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, x):
        if self.dropout > 0:  # says whether to drop at all, not when
            x = F.dropout(x, self.dropout)  #! functional-always-on
        return x
