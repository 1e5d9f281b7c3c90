from timm.layers import *

# timm has no `nn`, and torch is not imported: this file does not run.


def forward(x):
    x = nn.Dropout(0.1)(x)
    return nn.BatchNorm1d(8)(x)
