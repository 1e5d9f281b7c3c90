from collections import OrderedDict

from torch import nn

block = nn.Sequential(
    OrderedDict(
        [
            ("conv", nn.Conv2d(3, 8, 3, bias=False)),
            ("act", nn.LeakyReLU(0.2, inplace=True)),
            ("drop", nn.Dropout2d(0.25, inplace=True)),  #! inplace-dropout-after-activation
            ("conv2", nn.Conv2d(8, 8, 3, bias=False)),
            ("act2", nn.ELU(1.0, True)),
            ("drop2", nn.Dropout(0.25, inplace=True)),  #! inplace-dropout-after-activation
            ("conv3", nn.Conv2d(8, 8, 3, bias=False)),
        ]
    )
)
