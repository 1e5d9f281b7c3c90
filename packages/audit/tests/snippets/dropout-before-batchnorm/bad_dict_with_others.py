from collections import OrderedDict

from torch import nn


def block(first, between):
    return nn.Sequential(
        OrderedDict(
            {
                **first,
                "drop": nn.Dropout(0.5),  #! dropout-before-batchnorm advice
                "norm": nn.BatchNorm1d(8),
                "drop2": nn.Dropout(0.5),
                **between,
                "drop3": nn.Dropout(0.5),
            }
        )
    )
