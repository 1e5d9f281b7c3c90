from torch import nn


class Built(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(8, 8, 2, dropout=0.5)

    def forward(self, x):
        return self.rnn(x)[0]


class WithoutDropout(nn.Module):
    def forward(self, x):
        rnn = nn.LSTM(8, 8, 2)  # it draws new weights each time, which is no matter of dropout
        return rnn(nn.GRU(8, 8, 2, dropout=0.0)(x)[0])[0]


class ModeSet(nn.Module):
    def forward(self, x):
        rnn = nn.LSTM(8, 8, 2, dropout=0.5)
        rnn.train(self.training)
        return rnn(x)[0]
