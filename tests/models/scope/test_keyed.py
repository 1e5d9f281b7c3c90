"""A scope alone: its arguments, what it refuses and what it says, without a model that draws."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as torch_F

import torchdropout as td
from keyed_parts import Calls, assert_refused
from torchdropout.errors import SiteError


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"batch": (0, 8)}, "sample each, as the batch is"),
        ({"sequence": (0, 8)}, "position each, as the sequence is"),
        (
            {"batch": (0, 8), "sequence": (0, 8)},
            "sample and one position each, as the batch and the sequence are",
        ),
    ],
)
def test_a_draw_with_a_problem_is_refused_where_something_is_divided(options, what):
    message = (
        rf"^Expected draws that belong to one {what} divided, got \(the model itself\) #0 "
        r"\(dropout\): dimensions 0 and 1 of its draws both follow the batch. If the model moves "
    )
    model, x = Calls(lambda x: torch_F.dropout(x @ x.T, 0.5)), torch.ones(4, 8)
    assert_refused(message, model, x, **options)
    with td.keyed(model, seed=1):
        model(x)
        with pytest.raises(SiteError, match="one sample each"):  # it would have the same masks
            model(x)


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.int32, int])
def test_any_integer_is_a_number(kind):
    """Those of NumPy too: a step from an array, a seed, a part, and the numbers of samples."""
    model, x = nn.Dropout(0.5), torch.ones(4, 50)
    with td.keyed(model, seed=5, step=3, batch=(1, 9), batch_dim=0):
        expected = model(x)
    with td.keyed(model, seed=kind(5), step=kind(3), batch=(kind(1), kind(9)), batch_dim=kind(0)):
        assert torch.equal(model(x), expected)
    with td.keyed(
        model, seed=td.Key(kind(5)), step=kind(3), samples=[kind(n) for n in range(1, 5)]
    ):
        assert torch.equal(model(x), expected)
    with td.keyed(model, seed=5, step=3, samples=np.arange(1, 5)):
        assert torch.equal(model(x), expected)
    assert td.Key(kind(5), kind(3)).fold_in(kind(7)) == td.Key(5, 3).fold_in(7)
    assert type(td.Key(kind(5)).seed) is int
    layout = td.MaskLayout.of((kind(4), 6), broadcast_dims=(kind(1),)).at((kind(2),))
    assert layout == td.MaskLayout.of((4, 6), broadcast_dims=(1,)).at((2,))
