from torch import nn

DROPOUT = 50


def configure(percent):
    global DROPOUT
    DROPOUT = percent / 100


def make():
    return nn.Dropout(DROPOUT)
