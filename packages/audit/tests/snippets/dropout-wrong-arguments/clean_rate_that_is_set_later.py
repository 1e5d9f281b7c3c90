from torch import nn
from torch.nn import functional as F


class Base(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.drop = nn.Dropout(p)

    def forward(self, x):
        return self.drop(x)


class Rate(Base):
    def __init__(self, p):
        super().__init__(p)
        self.drop = p

    def forward(self, x):
        return F.dropout(x, self.drop, self.training)


class Merged(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.drop = nn.Dropout(p)
        self.fuse(p)
        self.rnn = nn.LSTM(8, 8, 2, dropout=self.drop)

    def fuse(self, p):
        self.first, self.drop = self.drop, p

    def forward(self, x):
        x = self.first(x).relu()
        return F.dropout(self.rnn(x)[0], self.drop, self.training)


class Turned(nn.Module):
    def __init__(self, ps):
        super().__init__()
        self.layers = nn.ModuleList()
        for p in ps:
            drop = p
            self.layers.append(nn.Dropout(drop))
            drop = nn.Dropout(drop)
            self.layers.append(drop)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x
