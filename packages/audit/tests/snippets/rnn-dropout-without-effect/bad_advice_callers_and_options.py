import argparse

import torch
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--num-layers", type=int, default=1)
parser.add_argument("--dropout", type=float, default=0.5)
LAYERS = 1


class Encoder(nn.Module):
    def __init__(self, size, layers, dropout):
        super().__init__()
        self.layers = layers
        self.rnn = nn.GRU(
            size,
            size,
            self.layers,
            dropout=dropout,  #! rnn-dropout-without-effect advice
        )


class Inner(nn.Module):
    def __init__(self, size, layers=1, dropout=0.2):
        super().__init__()
        self.rnn = nn.LSTM(
            size,
            size,
            layers,
            dropout=dropout,  #! rnn-dropout-without-effect advice
        )


class Outer(nn.Module):
    # Inner has as many layers as this one, which has one by default.
    def __init__(self, size, layers=1):
        super().__init__()
        self.encoder = Encoder(size, LAYERS, 0.1)
        self.inner = Inner(size, layers)


class Model(nn.Module):
    def __init__(self, args):
        super().__init__()
        self.rnn = nn.GRU(
            8,
            8,
            args.num_layers,
            dropout=args.dropout,  #! rnn-dropout-without-effect advice
        )
