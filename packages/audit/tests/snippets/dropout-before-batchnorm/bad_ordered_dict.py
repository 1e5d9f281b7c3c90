from collections import OrderedDict

from torch import nn

net = nn.Sequential(
    OrderedDict(
        [
            ("fc", nn.Linear(8, 16)),
            ("drop", nn.Dropout(0.5)),  #! dropout-before-batchnorm advice
            ("norm", nn.BatchNorm1d(16)),
            ("out", nn.Linear(16, 1)),
        ]
    )
)
