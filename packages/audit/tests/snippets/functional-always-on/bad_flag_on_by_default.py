import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def forward(self, x, use_dropout=True):
        if use_dropout:
            x = F.dropout(x, 0.1)  #! functional-always-on
        return x


class Other(nn.Module):
    def forward(self, inputs):
        x, mask = inputs
        # A test of what there is to drop tells nothing of the mode.
        if mask is not None:
            x = F.dropout(x, 0.1)  #! functional-always-on
        return x
