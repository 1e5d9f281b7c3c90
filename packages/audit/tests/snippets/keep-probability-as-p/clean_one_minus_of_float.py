from torch import nn


def make(keep_prob, args):
    return nn.Dropout(p=(1.0 - float(keep_prob))), nn.Dropout(1 - args.keep_prob)
