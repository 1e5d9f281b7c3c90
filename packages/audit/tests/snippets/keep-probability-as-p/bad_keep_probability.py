from torch import nn


def make(keep_probability):
    return nn.AlphaDropout(keep_probability)  #! keep-probability-as-p
