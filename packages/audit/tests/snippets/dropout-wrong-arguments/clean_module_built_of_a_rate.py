from torch import nn
from torch.nn import functional as F


class Encoder(nn.Module):
    def __init__(self, config, layers):
        super().__init__()
        self.dropout = config.dropout
        self.rnn = nn.LSTM(8, 8, layers, dropout=self.dropout)
        self.dropout = nn.Dropout(self.dropout)
        self.other = nn.LSTM(8, 8, layers, dropout=self.dropout.p)

    def forward(self, x):
        return self.other(self.dropout(self.rnn(x)[0]))


class Decoder(nn.Module):
    def __init__(self, p, wide):
        super().__init__()
        self.drop = p
        if wide:
            self.drop = nn.Dropout(p)
        else:
            self.rnn = nn.LSTM(8, 8, 2, dropout=self.drop)
        self.last = nn.LSTM(8, 8, 2, dropout=self.drop if not wide else 0.1)

    def forward(self, x):
        return self.last(F.dropout(x, self.drop, self.training))


class Net(nn.Module):
    def __init__(self, p, layers):
        super().__init__()
        drop = nn.Dropout(p)
        self.first = drop
        drop = p
        self.rnn = nn.GRU(8, 8, layers, dropout=drop)

    def forward(self, x):
        return self.first(self.rnn(x)[0])
