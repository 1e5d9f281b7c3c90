from torch import nn


def make(*sizes, **options):
    return nn.LSTM(10, 20, dropout=0.5, **options), nn.GRU(*sizes, dropout=0.5)
