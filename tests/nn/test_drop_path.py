"""nn.DropPath and nn.StochasticDepth: timm's and torchvision's arguments, our draws."""

import pytest

import torchdropout as td
from torchdropout.errors import ArgumentTypeError, ArgumentValueError


def test_repr_and_arguments():
    assert repr(td.nn.DropPath()) == "DropPath(p=0.0, scale_by_keep=True)"
    assert repr(td.nn.StochasticDepth(p=0.2, mode="row")) == "StochasticDepth(p=0.2, mode=row)"
    with pytest.raises(TypeError, match="mode"):
        td.nn.StochasticDepth(0.2)
    with pytest.raises(ArgumentValueError, match="`mode` to be 'row' or 'batch', got mode='all'"):
        td.nn.StochasticDepth(0.2, "all")
    with pytest.raises(ArgumentTypeError, match="`scale_by_keep` to be a bool"):
        td.nn.DropPath(0.2, 1)
