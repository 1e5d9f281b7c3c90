from torch import nn


def make(upkeep, housekeeping_rate, bookkeeper):
    return nn.Dropout(upkeep), nn.Dropout(housekeeping_rate), nn.Dropout(bookkeeper.p)
