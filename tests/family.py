"""Modules of the family, for the tests of what is done with whole models."""

import functools

import torch

import variants
from torchdropout import nn

# In eval each returns its input. Which dimensions that may have, `variants.FUNCTIONS` says.
IDENTITIES = {
    name: functools.partial(m.make, 0.4)
    for name, m in variants.MODULES.items()
    if "," not in name and m.of and variants.FUNCTIONS[m.of].rest is None and not m.state
    if len(variants.FUNCTIONS[m.of].shapes) == 1
} | {
    "inplace": lambda: nn.Dropout(0.5, inplace=True),
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
