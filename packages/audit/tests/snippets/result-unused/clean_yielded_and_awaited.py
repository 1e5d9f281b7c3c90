import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, xs):
        for x in xs:
            yield F.dropout(x, self.p, self.training)
