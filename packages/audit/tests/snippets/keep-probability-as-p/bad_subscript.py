from torch import nn


def make(hparams):
    return nn.Dropout(hparams["keep_prob"])  #! keep-probability-as-p
