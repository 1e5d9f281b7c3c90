from torch import nn


def LSTM(size, hidden, **options):
    return nn.LSTM(size, hidden, **options)


def GRU(size, hidden, num_layers, **options):
    return nn.GRU(size, hidden, num_layers=num_layers, **options)


class Net(nn.Module):
    def __init__(self, size, layers, both, rate):
        super().__init__()
        self.one = LSTM(size, size, num_layers=layers, dropout=0.1)
        self.two = GRU(size, size, 2, dropout=0.1)
        self.three = nn.GRU(size, size, dropout=rate if layers > 1 else 0.0)
