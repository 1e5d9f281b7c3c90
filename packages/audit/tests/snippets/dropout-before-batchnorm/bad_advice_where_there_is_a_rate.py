import torch.nn.functional as F
from torch import nn


class WithRate(nn.Module):
    def __init__(self, c, p):
        super().__init__()
        self.p = p
        self.dropout = nn.Dropout3d(p)
        self.bn = nn.BatchNorm3d(c)

    def forward(self, x):
        x = self.dropout(x)  #! dropout-before-batchnorm advice
        if self.p > 0:
            x = self.bn(x)
        return x


class AfterIt(nn.Module):
    def __init__(self, c, p):
        super().__init__()
        self.p = p
        self.dropout = nn.Dropout3d(p)
        self.bn = nn.BatchNorm3d(c)

    def forward(self, x):
        x = self.dropout(x)  #! dropout-before-batchnorm advice
        if self.p == 0:
            x = x.relu()
        return self.bn(x)


class Stored(nn.Module):
    def __init__(self, c, p):
        super().__init__()
        self.dropout = nn.Dropout3d(p)
        self.bn = nn.BatchNorm3d(c)

    def forward(self, x):
        bn = self.bn
        x = self.dropout(x)  #! dropout-before-batchnorm advice
        return F.batch_norm(x, bn.running_mean, bn.running_var, training=self.training)
