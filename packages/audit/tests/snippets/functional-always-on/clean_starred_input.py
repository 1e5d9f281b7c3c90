import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, *xs):
        # The second of them may be p, the third training.
        return F.dropout(*xs)
