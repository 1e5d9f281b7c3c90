from torch import nn


def make(p, config):
    return nn.Dropout(p), nn.Dropout(config.p), nn.Dropout(p / 100)
