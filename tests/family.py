"""Modules of the family, for the tests of what is done with whole models."""

import torch

from torchdropout import nn

# In eval each returns its input.
IDENTITIES = {
    "Dropout": lambda: nn.Dropout(0.5),
    "inplace": lambda: nn.Dropout(0.5, inplace=True),
    "Dropout1d": lambda: nn.Dropout1d(0.5),
    "Dropout2d": lambda: nn.Dropout2d(0.5),
    "Dropout3d": lambda: nn.Dropout3d(0.5),
    "AlphaDropout": lambda: nn.AlphaDropout(0.5),
    "FeatureAlphaDropout": lambda: nn.FeatureAlphaDropout(0.5),
    "GaussianDropout": lambda: nn.GaussianDropout(0.5),
    "FeatureGaussianDropout": lambda: nn.FeatureGaussianDropout(0.5),
    "GaussianNoise": lambda: nn.GaussianNoise(0.5),
    "UniformDropout": lambda: nn.UniformDropout(0.5),
    "DropPath": lambda: nn.DropPath(0.5),
    "StochasticDepth": lambda: nn.StochasticDepth(0.5, "row"),
    "DropBlock1d": lambda: nn.DropBlock1d(0.2, 3),
    "DropBlock2d": lambda: nn.DropBlock2d(0.2, 3),
    "LockedDropout": lambda: nn.LockedDropout(0.5),
    "TokenDropout": lambda: nn.TokenDropout(0.5),
    "NMDropout": lambda: nn.NMDropout(2, 3),
    "ColumnDropout": lambda: nn.ColumnDropout(0.5),
    "VariationalDropout": lambda: nn.VariationalDropout(0.5),
}


class First(torch.nn.Module):
    """The first result of a module that has several."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        return self.module(x)[0]


def of_package(name, home, **attributes):
    """A module of a class that is taken for another package's, which tests/peers has."""
    module = type(name, (torch.nn.Module,), {"__module__": home})()
    for attribute, value in attributes.items():
        setattr(module, attribute, value)
    return module
