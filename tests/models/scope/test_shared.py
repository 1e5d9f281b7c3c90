"""Arguments of a forward: their names, their sizes, and which all samples share."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from torchdropout.errors import ArgumentTypeError, ArgumentValueError
from torchdropout.models.scope._places import Probe
from torchdropout.models.scope._shared import (
    batch_size,
    check_shared,
    having,
    is_packed,
    leaves_of,
    names_of,
    shared_leaves,
    size_of,
)

X = torch.ones(4, 3)
PACKED = pack_padded_sequence(torch.ones(5, 2, 3), torch.tensor([5, 2]))


class Model(nn.Module):
    def forward(self, x, mask=None, *more, scale=1.0, **others):
        return x


@pytest.mark.parametrize(
    ("shared", "expected"),
    [
        (None, None),
        ((), frozenset()),
        (["x", 1], {"x", 1}),
        ({"x"}, {"x"}),
        (frozenset([0]), {0}),
        ("x", ArgumentTypeError),
        (0, ArgumentTypeError),
        ({"x": 1}, ArgumentTypeError),
        ((1.0,), ArgumentTypeError),
        ((True,), ArgumentTypeError),
        ((("x", 0),), ArgumentTypeError),
    ],
)
def test_names_that_are_accepted(shared, expected):
    if expected is ArgumentTypeError:
        with pytest.raises(expected, match="`shared` to be names and numbers of arguments in a"):
            check_shared(shared)
    else:
        assert check_shared(shared) == expected


@pytest.mark.parametrize(
    ("args", "kwargs", "names"),
    [
        ((X,), {}, ["x"]),
        ((X, X), {"scale": 2.0}, ["x", "mask", "scale"]),
        ((X, None, X, X), {}, ["x", "mask", 2, 3]),
        (((X, [X]),), {"mask": {"a": X}}, ["x", "x", "mask"]),
        ((PACKED,), {}, ["x"]),
        ((), {"x": X, "more_of_it": X}, ["x", "more_of_it"]),
    ],
)
def test_the_names_of_leaves(args, kwargs, names):
    found, parameters = names_of(Model(), args, kwargs)
    assert found == names
    assert parameters == {"x", "mask", "more", "scale", "others"}


def test_leaves_of_one_argument_are_numbered():
    leaves = leaves_of(Model(), ((X, [X]), X), {"scale": 1.0})
    assert leaves == [("x", 0), ("x", 1), ("mask", 0), ("scale", 0)]
    assert leaves_of(Model(), (), {"mask": X, "x": (X, [X])})[:1] == [("mask", 0)]


def test_a_forward_without_a_signature():
    model = nn.Identity()
    model.forward = type("Callable", (), {"__call__": lambda self, x: x, "__signature__": 3})()
    assert names_of(model, (X, X), {"a": X}) == ([0, 1, "a"], set())


@pytest.mark.parametrize(
    ("leaf", "dim", "size"),
    [
        (X, 0, 4),
        (X, 1, 3),
        (X, -1, 3),
        (X, -2, 4),
        (X, 2, None),
        (X, -3, None),
        (torch.ones(()), 0, None),
        (torch.ones(()), -1, None),
        (PACKED, 0, 2),
        (PACKED, 1, 2),
        ([X], 0, None),
        (3, 0, None),
    ],
)
def test_sizes(leaf, dim, size):
    assert size_of(leaf, dim) == size
    assert is_packed(leaf) == (leaf is PACKED)


@pytest.mark.parametrize(
    ("dim", "skipped", "size"), [(0, (), 4), (1, (), 3), (2, (), 5), (3, (), None), (0, (1,), 2)]
)
def test_the_size_of_the_batch_is_that_of_the_first_tensor(dim, skipped, size):
    assert batch_size((1.0, X), {"a": torch.ones(2, 3, 5)}, dim, skipped) == size


@pytest.mark.parametrize(
    ("shared", "places"),
    [
        ((), set()),
        ({"x"}, {0, 1}),
        ({"mask"}, {2}),
        ({2}, {3}),
        ({"scale", "mask"}, {2, 4}),
        ({("x", 1)}, {1}),
        ({"others"}, set()),  # a parameter that is not given
        ({("gone", 0)}, set()),  # of another call
        ({"gone"}, ArgumentValueError),
        ({5}, ArgumentValueError),
    ],
)
def test_the_leaves_that_are_shared(shared, places):
    args, kwargs = ((X, X), X, X), {"scale": X}
    if places is ArgumentValueError:
        with pytest.raises(places, match=r"which has 'x', 'mask', 2, 'scale', got shared="):
            shared_leaves(Model(), args, kwargs, shared)
    else:
        assert shared_leaves(Model(), args, kwargs, shared) == places


@pytest.mark.parametrize(
    ("apart", "leaves"), [({}, [0, 2]), ({2: None}, [0]), ({0: [0, 0], 2: None}, [0])]
)
def test_the_leaves_that_have_the_size_of_the_batch(apart, leaves):
    probe = Probe(Model(), (X, torch.ones(3), torch.ones(4)), {})
    probe.apart = apart
    assert having(probe, 0, 4) == leaves
