import torch.nn.functional as F
from torch import nn


class M0(nn.Module):
    def __init__(self, d, dropout=0.1):  #! dropout-parameter-unused advice
        super().__init__()
        self.fc = nn.Linear(d, d)
        self.dropout = dropout
    def forward(self, x):
        return self.fc(x)


class M1(nn.Module):
    def __init__(self, d, h, dropout_rate=0.1):  #! dropout-parameter-unused advice
        super().__init__()
        self.d = d
        self.h = h
        self.dropout_rate = dropout_rate
        self.fc = nn.Linear(self.d, self.h)
    def forward(self, x):
        return self.fc(x)


class M2(nn.Module):
    def __init__(self, d, dropout=0.1):  #! dropout-parameter-unused advice
        super().__init__()
        self.fc = nn.Linear(d, d)
        self.p = dropout
    def forward(self, x):
        return F.dropout(self.fc(x), 0.5, self.training)
