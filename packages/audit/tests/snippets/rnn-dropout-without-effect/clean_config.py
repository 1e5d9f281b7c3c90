from torch import nn


def make(config):
    return nn.GRU(10, 20, config.layers, dropout=config.dropout)
