"""Where the draws of a call lie: the base and the strides of its mask indices."""

import re

import pytest
import torch

from torchdropout import MaskLayout
from torchdropout.errors import ArgumentTypeError, ArgumentValueError
from torchdropout.functional._fixed_count import check_dim, choice_map
from torchdropout.functional._indices import mask_map
from torchdropout.functional._part import Axis, Part

SHAPE = (2, 3, 4)


@pytest.mark.parametrize(
    ("shared", "broadcast_dims", "layout", "expected"),
    [
        ((), (), None, (0, None)),
        ((), [], None, (0, [12, 4, 1])),
        ((1,), (), None, (0, [4, 0, 1])),
        ((), (1,), None, (0, [4, 0, 1])),
        ((), [-2], None, (0, [4, 0, 1])),
        ((1,), (0,), None, (0, [0, 0, 1])),
        ((1,), (1,), None, (0, [4, 0, 1])),
        ((), (), MaskLayout(5, (0, 7, 2)), (5, [0, 7, 2])),
        ((1,), [], MaskLayout(2**64 - 40, (12, 4, 1)), (-40, [12, 4, 1])),
        ((), (), Part(Axis(0, 1), 3), (36, [12, 4, 1])),
        ((1,), (2,), Part(Axis(0, 1), 3), (3, [1, 0, 0])),
    ],
)
def test_base_and_strides(shared, broadcast_dims, layout, expected):
    assert mask_map(SHAPE, shared, broadcast_dims, layout) == expected


@pytest.mark.parametrize(
    ("broadcast_dims", "layout", "error", "words"),
    [
        ((), 3, ArgumentTypeError, r"`layout` to be a torchdropout.MaskLayout, got layout=3"),
        ((1,), MaskLayout(0, (12, 4, 1)), ArgumentValueError, "`layout` or `broadcast_dims`, not"),
        ((), MaskLayout(0, (4, 1)), ArgumentValueError, "a stride for each of the input's 3"),
        ((3,), None, ArgumentValueError, "`broadcast_dims`"),
        (None, None, ArgumentTypeError, "`broadcast_dims`"),
    ],
    ids=str,
)
def test_refusals(broadcast_dims, layout, error, words):
    with pytest.raises(error, match=words):
        mask_map(SHAPE, (), broadcast_dims, layout)


@pytest.mark.parametrize(
    ("shape", "dim", "broadcast_dims", "layout", "expected"),
    [
        ((2, 3), 1, (), None, (0, [3, 1])),
        ((2, 3), 1, (0,), None, (0, [0, 1])),
        ((2, 1), 1, (1,), None, (0, [1, 0])),  # there is one place, and nothing to choose
        ((2, 0), 1, (1,), None, (0, [1, 0])),
        ((2, 3), 1, (), MaskLayout(5, (0, 2)), (5, [0, 2])),
    ],
)
def test_a_choice_is_among_places_of_their_own(shape, dim, broadcast_dims, layout, expected):
    assert choice_map(shape, (), dim, broadcast_dims, layout) == expected


@pytest.mark.parametrize(
    ("shape", "broadcast_dims", "layout", "name"),
    [
        ((2, 3), (1,), None, "broadcast_dims"),
        ((2, 2), (1,), None, "broadcast_dims"),
        ((2, 3), (), MaskLayout(0, (1, 0)), "layout"),
    ],
)
def test_a_choice_needs_them(shape, broadcast_dims, layout, name):
    words = f"`{name}` to be one that gives each place along dimension 1 its own index"
    value = re.escape(str(broadcast_dims if layout is None else layout))
    with pytest.raises(ArgumentValueError, match=f"{words}.*got {name}={value}"):
        choice_map(shape, (), 1, broadcast_dims, layout)


def test_a_dimension():
    x = torch.ones(2, 3)
    assert [check_dim(dim, x) for dim in (-2, -1, 0, 1)] == [0, 1, 0, 1]
    for dim in (-3, 2):
        with pytest.raises(ArgumentValueError, match=rf"`dim` to be in \[-2, 2\).*got dim={dim}"):
            check_dim(dim, x)
    for dim in (1.0, "1", True):
        with pytest.raises(ArgumentTypeError, match="`dim` to be an integer"):
            check_dim(dim, x)
