import argparse

from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--num_layers", type=int, default=2)
parser.add_argument("--dropout", type=float, default=0.5)


class Encoder(nn.Module):
    def __init__(self, size, layers=1, dropout=0.2):
        super().__init__()
        self.layers = layers
        self.rnn = nn.GRU(size, size, self.layers, dropout=dropout)


class Outer(nn.Module):
    def __init__(self, size, args, layers=2):
        super().__init__()
        self.one = Encoder(size)
        self.more = Encoder(size, layers)
        self.rnn = nn.GRU(size, size, args.num_layers, dropout=args.dropout)
