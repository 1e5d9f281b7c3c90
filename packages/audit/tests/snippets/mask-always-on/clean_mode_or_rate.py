from torch import nn


class VariationalDropout(nn.Module):
    def __init__(self, dropout=0.5, scaled=True):
        super().__init__()
        self.dropout = dropout
        self.scaled = scaled

    def forward(self, x):
        if not self.training or not self.dropout:
            return x
        m = x.new(1, x.size(1), x.size(2)).bernoulli_(1 - self.dropout)
        return m / (1 - self.dropout) * x


class Scaled(nn.Module):
    def __init__(self, dropout=0.5, scaled=True):
        super().__init__()
        self.dropout = dropout
        self.scaled = scaled

    def forward(self, x):
        if not self.training and self.scaled:
            return x
        m = x.new(1, x.size(1), x.size(2)).bernoulli_(1 - self.dropout)
        return m / (1 - self.dropout) * x
