import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self, p, use_bn):
        super().__init__()
        self.p = p
        self.use_bn = use_bn
        self.fc = nn.Linear(8, 8)
        self.norm = nn.BatchNorm1d(8)

    def forward(self, x):
        if not self.use_bn:
            x = F.dropout(x, self.p, self.training)
        x = self.fc(x)
        if self.use_bn:
            x = self.norm(x)
        return x

    def either(self, x):
        if self.use_bn:
            x = self.norm(x)
        else:
            x = F.dropout(x, self.p, self.training)
        return self.fc(x)

    def normalise(self, x):
        return self.norm(x)

    def branches(self, x):
        y = F.dropout(x, self.p, self.training)
        return y + self.normalise(x)

    def leaves(self, x):
        if self.training:
            x = F.dropout(x, self.p, self.training)
            return x
        return self.norm(x)
