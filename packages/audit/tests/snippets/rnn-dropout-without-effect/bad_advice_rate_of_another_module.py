import argparse

from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--layers", type=int, default=1)
parser.add_argument("--rate", type=float, default=0.3)


class Words(nn.Module):
    # The option acts here, but not in the Module below.
    def __init__(self, args):
        super().__init__()
        self.embed = nn.Embedding(1000, 64)
        self.drop = nn.Dropout(args.rate)

    def forward(self, x):
        return self.drop(self.embed(x))


class Sentence(nn.Module):
    def __init__(self, args):
        super().__init__()
        self.rnn = nn.GRU(64, 64, args.layers, dropout=args.rate)  #! rnn-dropout-without-effect advice

    def forward(self, x):
        return self.rnn(x)[0]
