import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def rate(self, training):
        return 0.1 if training else 0.0

    def forward(self, x):
        return F.dropout(x, self.rate(self.training))
