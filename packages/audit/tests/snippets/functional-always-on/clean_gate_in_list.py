import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, xs):
        return [F.dropout(x, self.p) if self.training else x for x in xs]
