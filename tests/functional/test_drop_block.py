"""DropBlock: the blocks that the contract's keep bits name, each place dropped with rate p."""

import math

import pytest
import torch

import definitions
from oracle import same_bits
from torchdropout import Key, MaskLayout, backends
from torchdropout import functional as F
from torchdropout.functional._blocks import seed_rate

KEY = Key(5, 6)
FUNCTIONS = {1: F.drop_block1d, 2: F.drop_block2d, 3: F.drop_block3d}
SHAPES = {1: (4, 12), 2: (4, 12, 9), 3: (4, 9, 8, 7)}


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("block", [1, 6, 7])
def test_the_mask_is_that_of_the_definition(dims, block):
    x = torch.randn(SHAPES[dims])  # without a batch
    seeds = MaskLayout.of((4, *(size + block - 1 for size in SHAPES[dims][1:])))
    y = FUNCTIONS[dims](x, 0.3, block, key=KEY)
    assert torch.equal(y, definitions.blocks(dims, block)([x], 0.3, KEY, seeds))
    assert 0 < (y == 0).sum() < y.numel()


@pytest.mark.parametrize("block", [2, 7])
@pytest.mark.parametrize("p", [1e-3, 0.05, 0.1, 0.5, 0.9])
def test_the_rate_of_seeds_gives_p(block, p):
    """In closed form, for the threshold that the keep bits are compared with."""
    for dims in (1, 2, 3):
        covering = block**dims
        rate = round(seed_rate(p, block, dims) * 2**32) / 2**32
        assert abs(-math.expm1(covering * math.log1p(-rate)) - p) <= covering * 2.0**-33


@pytest.mark.parametrize("per_channel", [True, False])
def test_scale_by_count(per_channel):
    x = torch.randn(16, 3, 9, 9, dtype=torch.float64)
    given = {"per_channel": per_channel, "key": KEY}
    y = F.drop_block2d(x, 0.3, 5, eps=0.0, scale="count", **given)
    keep = F.drop_block2d(torch.ones_like(x), 0.3, 5, **given) != 0
    kept = keep.sum((1, 2, 3), keepdim=True)
    torch.testing.assert_close(y, torch.where(keep, x * (3 * 81 / kept), 0.0))
    assert len(kept.unique()) > 1


def test_scale_by_count_where_nothing_is_kept():
    x = torch.randn(4, 2, 3, 3, requires_grad=True)
    for eps in (0.0, 1e-6):
        y = F.drop_block2d(x, 1.0, 3, eps=eps, scale="count")
        (gradient,) = torch.autograd.grad(y.sum(), x)
        assert not y.any()
        assert not gradient.any()


@pytest.mark.parametrize(
    ("function", "shape", "block"),
    [
        (F.drop_block1d, (2, 3, 500), 130),
        (F.drop_block1d, (3, 2, 64), 64),
        (F.drop_block2d, (2, 3, 5, 200), 4),
        (F.drop_block2d, (40, 9, 3, 3), 2),
        (F.drop_block3d, (2, 3, 5, 7, 70), 5),
    ],
)
def test_backends_agree_on_blocks_and_rows_longer_than_a_word(function, shape, block):
    x = torch.randn(shape)
    found = []
    for name in backends.available():
        with backends.use(name):
            found.append(function(x, 0.3, block, key=Key(4, 7)))
    assert 0.1 < (found[0] == 0).float().mean() < 0.6
    assert all(same_bits(found[0], y) for y in found[1:])
