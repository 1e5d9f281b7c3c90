"""Locked dropout: one mask for all time steps, by the contract."""

import pytest
import torch

from torchdropout import functional as F
from torchdropout.errors import ArgumentValueError


@pytest.mark.parametrize(
    ("shape", "kwargs", "error", "words"),
    [
        ((), {}, ArgumentValueError, r"`time_dim` .* in \[0, 0\) of a 0-D input, got time_dim=1"),
        ((3,), {}, ArgumentValueError, r"`time_dim` .* in \[-1, 1\) of a 1-D input"),
        ((3, 2), {"time_dim": -3}, ArgumentValueError, r"got time_dim=-3 \(int\)"),
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_refusals_draw_nothing(training, shape, kwargs, error, words):
    before = torch.get_rng_state()
    with pytest.raises(error, match=words):
        F.locked_dropout(torch.ones(shape), training=training, **kwargs)
    assert torch.equal(torch.get_rng_state(), before)
