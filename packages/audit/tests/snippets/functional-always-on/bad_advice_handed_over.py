import torch.nn.functional as F
from torch import nn


# Handed over and not called here: whether it runs in eval cannot be seen.
def noisy(x):
    return F.dropout(x, 0.1)  #! functional-always-on advice


class Net(nn.Module):
    def __init__(self, register):
        super().__init__()
        register(noisy)

    def forward(self, x):
        return x
