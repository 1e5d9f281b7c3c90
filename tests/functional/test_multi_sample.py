"""Multi-sample dropout: one key, and a mask for each sample."""

import pytest
import torch

from torchdropout import functional as F


@pytest.mark.parametrize(("p", "training"), [(0.0, True), (0.4, False), (1.0, False)])
def test_nothing_dropped_is_a_view_and_draws_nothing(p, training):
    x, before = torch.randn(4, 3), torch.get_rng_state()
    y = F.multi_sample_dropout(x, p, 5, training)
    assert y.shape == (5, 4, 3)
    assert torch.equal(y, x.expand(5, 4, 3))
    assert y.data_ptr() == x.data_ptr()
    assert torch.equal(torch.get_rng_state(), before)
