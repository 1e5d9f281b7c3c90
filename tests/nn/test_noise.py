"""nn.GaussianDropout, nn.GaussianNoise and nn.UniformDropout."""

import pytest

import torchdropout as td
from torchdropout import functional as F
from torchdropout.errors import ArgumentValueError

KINDS = {
    "GaussianDropout": (td.nn.GaussianDropout, F.gaussian_dropout, "p"),
    "GaussianNoise": (td.nn.GaussianNoise, F.gaussian_noise, "sigma"),
    "UniformDropout": (td.nn.UniformDropout, F.uniform_dropout, "beta"),
}


@pytest.mark.parametrize(("name", "size"), [("GaussianDropout", 1.0), ("UniformDropout", 1.0)])
def test_one_is_too_much(name, size):
    with pytest.raises(ArgumentValueError, match=r"in \[0, 1\)"):
        KINDS[name][0](size)


def test_defaults():
    assert td.nn.GaussianDropout().p == 0.5
    for make in (td.nn.GaussianNoise, td.nn.UniformDropout):
        with pytest.raises(TypeError, match="required positional argument"):
            make()
