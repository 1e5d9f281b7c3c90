import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p
        self.dropout = nn.Dropout(p)
        self.dropped = 1

    def forward(self, x):
        if not self.training:
            self.step = 0
            self.keep_dropout = 0
            self.loss = 0.0
            self.drop_count = 1
        return F.dropout(self.dropout(x) + x, self.p, self.training)
