from torch import nn


class Encoder(nn.Module):
    def __init__(self, d, n_layers, dropout):
        super().__init__()
        self.rnn = nn.GRU(d, d, n_layers, dropout=dropout)


class Net(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.first = Encoder(d, 1, 0.0)
        self.second = Encoder(d, 2, 0.5)
