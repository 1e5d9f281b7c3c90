"""DropBlock as modules: state, torchvision's order of arguments, the function's result."""

import pytest

from torchdropout import nn as td
from torchdropout.errors import ArgumentValueError

MODULES = {
    "drop_block1d": (td.DropBlock1d, (4, 3, 20)),
    "drop_block2d": (td.DropBlock2d, (4, 3, 9, 9)),
    "drop_block3d": (td.DropBlock3d, (4, 3, 7, 8, 9)),
}


@pytest.mark.parametrize("name", MODULES)
def test_refused_and_unchanged_when_it_is_set(name):
    drop = MODULES[name][0](0.3)
    for attribute, bad in (("p", 1.5), ("block_size", 0), ("eps", -1.0), ("scale", "mean")):
        before = getattr(drop, attribute)
        with pytest.raises(ArgumentValueError, match=f"`{attribute}`"):
            setattr(drop, attribute, bad)
        assert getattr(drop, attribute) == before
