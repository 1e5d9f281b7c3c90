import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, p, export=False):
        super().__init__()
        self.p = p
        self.export = export

    def forward(self, x):
        if self.export:
            self.p = 0.0
        if not self.training or self.export:
            self.p = 0.0
        if self.training and x.dim() > 2:
            x = x.flatten(1)
        else:
            self.p = 0.0
        return F.dropout(x, self.p, self.training)
