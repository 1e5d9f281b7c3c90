import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, x):
        _ = F.dropout(x, self.p, self.training)
        return x
