from torch import nn


def encoder(size, hidden, kind, p):
    if kind == "rnn":
        return nn.RNN(size, hidden, 2, nonlinearity="relu", dropout=p)
    return nn.GRU(size, hidden, 2, dropout=p)
