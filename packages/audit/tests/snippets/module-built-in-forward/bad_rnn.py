from torch import nn


class Local(nn.Module):
    def forward(self, x):
        rnn = nn.LSTM(8, 8, 2, dropout=0.5)  #! module-built-in-forward
        return rnn(x)[0]


class AtOnce(nn.Module):
    def forward(self, x):
        return nn.GRU(8, 8, num_layers=2, dropout=self.p).to(x.device)(x)[0]  #! module-built-in-forward


class Kept(nn.Module):
    def forward(self, x):
        self.rnn = nn.LSTM(8, 8, 3, True, True, 0.2)  #! module-built-in-forward
        return self.rnn(x)[0]
