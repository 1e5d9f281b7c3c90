"""Multi-sample dropout: one key, and a mask for each sample."""

import pytest
import torch

from torchdropout import Key, MaskLayout
from torchdropout import functional as F
from torchdropout.errors import ArgumentTypeError, ArgumentValueError

KEY = Key(8, 9)


def test_sample_s_is_dropout_with_its_indices():
    x = torch.randn(6, 4)
    y = F.multi_sample_dropout(x, 0.4, 3, key=KEY)
    for s, sample in enumerate(y):
        layout = MaskLayout.of((3, 6, 4)).at((s,))
        part = MaskLayout(layout.base, layout.strides[1:])
        assert torch.equal(sample, F.dropout(x, 0.4, key=KEY, layout=part))
    assert not torch.equal(y[0], y[1])


@pytest.mark.parametrize(("p", "training"), [(0.0, True), (0.4, False), (1.0, False)])
def test_nothing_dropped_is_a_view_and_draws_nothing(p, training):
    x, before = torch.randn(4, 3), torch.get_rng_state()
    y = F.multi_sample_dropout(x, p, 5, training)
    assert y.shape == (5, 4, 3)
    assert torch.equal(y, x.expand(5, 4, 3))
    assert y.data_ptr() == x.data_ptr()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("args", "given", "error", "words"),
    [
        ((1.5,), {}, ArgumentValueError, r"`p` to be in \[0, 1\], .* got p=1.5 \(float\)"),
        ((0.1, 0), {}, ArgumentValueError, r"`samples` to be 1 or more, got samples=0 \(int\)"),
        ((0.1, 2.0), {}, ArgumentTypeError, r"`samples` .* got samples=2.0 \(float\)"),
        ((0.1, True), {}, ArgumentTypeError, r"got samples=True \(bool\)"),
        ((0.1, 2, 1), {}, ArgumentTypeError, r"`training` to be a bool"),
    ],
)
def test_refusals_draw_nothing(args, given, error, words):
    before = torch.get_rng_state()
    with pytest.raises(error, match=words):
        F.multi_sample_dropout(torch.ones(2, 3), *args, **given)
    assert torch.equal(torch.get_rng_state(), before)
