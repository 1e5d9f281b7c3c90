import torch.nn.functional as F
from torch import nn


class M0(nn.Module):
    def __init__(self, d, dropout=0.1):
        super().__init__()
        self.fc = nn.Linear(d, d)
        self.dropout = dropout
    def forward(self, x):
        return F.dropout(self.fc(x), self.dropout, self.training)


class M1(nn.Module):
    def __init__(self, d, dropout=0.1):
        super().__init__()
        self.fc = nn.Linear(d, d)
        self.dropout = dropout
    def forward(self, x):
        return attend(self.fc(x), self)


class M2(nn.Module):
    def __init__(self, d, dropout=0.1):
        super().__init__()
        self.fc = nn.Linear(d, d)
        self.rate = dropout
    def forward(self, x):
        return self.fc(x)
class N2(nn.Module):
    def __init__(self, m):
        super().__init__()
        self.m = m
        self.drop = nn.Dropout(m.rate)
    def forward(self, x):
        return self.drop(self.m(x))


class Config3:
    def __init__(self, d, dropout=0.1):
        self.d = d
        self.dropout = dropout


class Base4(nn.Module):
    def __init__(self, d, dropout=0.1):
        super().__init__()
        self.fc = nn.Linear(d, d)
        self.dropout = dropout
    def forward(self, x):
        return self.fc(x)
class M4(Base4):
    def forward(self, x):
        return F.dropout(self.fc(x), self.dropout, self.training)


class M5(nn.Module):
    def __init__(self, d, dropout=0.1):
        super().__init__()
        self.fc = nn.Linear(d, d)
        if dropout > 0:
            self.drop = nn.Dropout(0.1)
        else:
            self.drop = nn.Identity()
    def forward(self, x):
        return self.drop(self.fc(x))
