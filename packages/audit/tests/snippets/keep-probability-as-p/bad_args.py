from torch import nn


def make(args):
    return nn.Dropout(args.dropout_keep_prob)  #! keep-probability-as-p
