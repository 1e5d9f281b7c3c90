import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, x):
        if self.training:
            x = x + self.noise(x)
        # The test above ended there; this line runs in both modes.
        return F.dropout(x, 0.2)  #! functional-always-on
