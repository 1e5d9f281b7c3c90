import argparse

from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--layers", type=int, default=1)
parser.add_argument("--rate", type=float, default=0.3)


class Sentence(nn.Module):
    # With more layers the option acts within the RNN as well; with one it acts behind it.
    def __init__(self, args):
        super().__init__()
        self.rnn = nn.GRU(64, 64, args.layers, dropout=args.rate)
        self.drop = nn.Dropout(args.rate)

    def forward(self, x):
        return self.drop(self.rnn(x)[0])
