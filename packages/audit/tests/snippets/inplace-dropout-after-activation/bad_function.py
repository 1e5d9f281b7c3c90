import torch.nn.functional as F
from torch import nn


def shake(x, p, training):
    # Not known to need a gradient: advice.
    return F.dropout(F.selu(x, True), p, training, inplace=True)  #! inplace-dropout-after-activation advice


def step(x, training):
    return F.dropout(x.relu(), 0.2, training, inplace=True)  #! inplace-dropout-after-activation


class Net(nn.Module):
    def forward(self, x):
        return step(x, self.training)
