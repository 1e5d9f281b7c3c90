"""DropBlock as modules: state, torchvision's order of arguments, the function's result."""

import copy
import inspect
import pickle

import pytest
import torch

from torchdropout import functional as F
from torchdropout import nn as td
from torchdropout.errors import ArgumentTypeError, ArgumentValueError
from torchdropout.verify import check_subject
from torchdropout.verify.targets import resolve
from verify._zoo import SMALL

MODULES = {
    "drop_block1d": (td.DropBlock1d, (4, 3, 20)),
    "drop_block2d": (td.DropBlock2d, (4, 3, 9, 9)),
    "drop_block3d": (td.DropBlock3d, (4, 3, 7, 8, 9)),
}


@pytest.mark.parametrize("name", MODULES)
def test_it_is_the_function_with_its_state(name):
    module, shape = MODULES[name]
    drop, x = module(0.3, 4, per_channel=False, scale="count"), torch.randn(shape)
    torch.manual_seed(1)
    y = drop(x)
    torch.manual_seed(1)
    assert torch.equal(y, getattr(F, name)(x, 0.3, 4, per_channel=False, scale="count"))
    assert y is not x
    assert drop.eval()(x) is x
    inplace = module(0.3, 4, True)
    assert inplace(x) is x


@pytest.mark.parametrize("name", MODULES)
def test_repr_state_and_copies(name):
    module, shape = MODULES[name]
    drop = module(0.3, 4, per_channel=False, scale="count")
    inner = "p=0.3, block_size=4, inplace=False, per_channel=False, scale='count'"
    assert repr(drop) == f"{module.__name__}({inner})"
    assert repr(module(0.1)) == f"{module.__name__}(p=0.1, block_size=7, inplace=False)"
    assert not drop.state_dict()
    x = torch.randn(shape)
    for other in (copy.deepcopy(drop), pickle.loads(pickle.dumps(drop))):
        torch.manual_seed(1)
        expected = drop(x)
        torch.manual_seed(1)
        assert torch.equal(other(x), expected)


@pytest.mark.parametrize("name", MODULES)
def test_the_order_of_arguments_is_torchvisions(name):
    module, _ = MODULES[name]
    order = ["p", "block_size", "inplace", "eps"]
    assert list(inspect.signature(module).parameters)[:4] == order
    named = list(inspect.signature(getattr(F, name)).parameters)
    assert named[:6] == ["input", *order, "training"]


@pytest.mark.parametrize(
    ("error", "words", "given"),
    [
        (ArgumentValueError, r"`p` to be in \[0, 1\]", {"p": float("nan")}),
        (ArgumentValueError, r"`p` to be in \[0, 1\]", {"p": 1.5}),
        (ArgumentValueError, r"`p` to be in \[0, 1\]", {"p": -0.1, "block_size": 1}),
        (ArgumentTypeError, "`p` to be a", {"p": "0.1"}),
        (ArgumentValueError, r"`block_size` to be 1 or more", {"block_size": -1}),
        (ArgumentTypeError, r"`block_size` to be an integer", {"block_size": (3, 3)}),
        (ArgumentTypeError, r"`inplace` to be a bool", {"inplace": 0}),
        (ArgumentTypeError, r"`eps` to be a number", {"eps": None}),
        (ArgumentTypeError, r"`per_channel` to be a bool", {"per_channel": 0}),
        (ArgumentValueError, r"`scale` to be 'expectation' or 'count'", {"scale": "mean"}),
    ],
)
def test_refused_at_construction(error, words, given):
    for module, _ in MODULES.values():
        with pytest.raises(error, match=words):
            module(**given)


@pytest.mark.parametrize("name", MODULES)
def test_refused_and_unchanged_when_it_is_set(name):
    drop = MODULES[name][0](0.3)
    for attribute, bad in (("p", 1.5), ("block_size", 0), ("eps", -1.0), ("scale", "mean")):
        before = getattr(drop, attribute)
        with pytest.raises(ArgumentValueError, match=f"`{attribute}`"):
            setattr(drop, attribute, bad)
        assert getattr(drop, attribute) == before


def test_the_verifier_knows_it_and_finds_nothing():
    report = check_subject(resolve(td.DropBlock2d), level=SMALL)  # as each variant
    assert report.description.endswith("verified as drop-block")
    assert not report.findings, report.findings
