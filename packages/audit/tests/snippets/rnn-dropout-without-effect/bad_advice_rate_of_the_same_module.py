import argparse

from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--layers", type=int, default=1)
parser.add_argument("--rate", type=float, default=0.3)


class Sentence(nn.Module):
    # The option acts behind the RNN; given to the RNN as well, it does nothing for one layer.
    def __init__(self, args):
        super().__init__()
        self.rnn = nn.GRU(64, 64, args.layers, dropout=args.rate)  #! rnn-dropout-without-effect advice
        self.drop = nn.Dropout(args.rate)

    def forward(self, x):
        return self.drop(self.rnn(x)[0])
