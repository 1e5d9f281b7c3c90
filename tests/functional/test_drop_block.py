"""DropBlock: the blocks that the contract's keep bits name, each place dropped with rate p."""

import itertools
import math

import pytest
import torch

from oracle import same_bits
from torchdropout import Key, MaskLayout, backends
from torchdropout import functional as F
from torchdropout.errors import ArgumentValueError, ShapeError
from torchdropout.functional._blocks import seed_rate

KEY = Key(5, 6)
FUNCTIONS = {1: F.drop_block1d, 2: F.drop_block2d, 3: F.drop_block3d}
SHAPES = {1: (3, 4, 12), 2: (3, 4, 12, 9), 3: (3, 4, 9, 8, 7)}


def defined(shape, dims, p, block, key=KEY, shared=()):
    """The keep mask by its definition: place by place, any seed that covers it."""
    lead, sizes = shape[:-dims], shape[-dims:]
    rate = 1 - (1 - p) ** (1 / block**dims)
    seeds = ~F.keep_mask(
        (*lead, *(size + block - 1 for size in sizes)), rate, key=key, broadcast_dims=shared
    )
    keep = torch.ones(shape, dtype=torch.bool)
    for place in itertools.product(*map(range, sizes)):
        covering = tuple(slice(i, i + block) for i in place)
        keep[(..., *place)] = ~seeds[(..., *covering)].flatten(len(lead)).any(-1)
    return keep


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("block", [1, 6, 7])
def test_the_mask_is_that_of_the_definition(dims, block):
    shape = SHAPES[dims][1:]  # of one sample
    x = torch.randn(shape)
    keep = defined(shape, dims, 0.3, block)
    assert keep.any()
    assert not keep.all()
    expected = torch.where(keep, x * (1 / 0.7), 0.0)
    assert torch.equal(FUNCTIONS[dims](x, 0.3, block, key=KEY), expected)


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


class TestRefuses:
    x = torch.ones(2, 3, 9, 5)

    @pytest.fixture(autouse=True)
    def _draws_nothing(self):
        before = torch.get_rng_state()
        yield
        assert torch.equal(torch.get_rng_state(), before)

    @pytest.mark.parametrize("p", [0.0, 0.1])
    def test_a_block_larger_than_the_map(self, p):
        words = r"`block_size` to be at most 5, the shortest side .* \(9, 5\), got block_size=6"
        with pytest.raises(ArgumentValueError, match=words):
            F.drop_block2d(self.x, p, 6)
        F.drop_block2d(self.x, p, 5, key=KEY)

    @pytest.mark.parametrize(("dims", "sizes"), [(1, "C, L"), (2, "C, H, W"), (3, "C, D, H, W")])
    def test_ranks(self, dims, sizes):
        words = rf"block{dims}d: .*{dims + 1}D or {dims + 2}D .*\({sizes}\) or \(N, {sizes}\)"
        for ndim in range(7):
            if ndim - dims in (1, 2):
                continue
            for training in (True, False):
                with pytest.raises(ShapeError, match=words):
                    FUNCTIONS[dims](torch.ones((9,) * ndim), training=training)

    @pytest.mark.parametrize(
        ("error", "words", "given"),
        [
            (ArgumentValueError, r"`block_size` to be 1 or more.*=0", {"block_size": 0}),
            (ArgumentValueError, r"`eps` to be a finite number", {"eps": math.nan}),
            (ArgumentValueError, r"`eps` to be a finite number", {"eps": math.inf}),
            (ArgumentValueError, r"`eps` to be a finite number", {"eps": -1.0}),
            (ArgumentValueError, r"got scale='sample' \(str\)", {"scale": "sample"}),
        ],
    )
    def test_arguments(self, error, words, given):
        F.drop_block2d(self.x, 0.5, 3, eps=0.0, key=KEY)  # the least that is accepted
        with pytest.raises(error, match=words):
            F.drop_block2d(self.x, **{"block_size": 3, **given})


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


def test_a_layout_whose_seeds_of_a_row_share_an_index_is_refused():
    with pytest.raises(ArgumentValueError, match="gives each seed of a map its own index"):
        F.drop_block1d(torch.ones(2, 3, 8), 0.3, 3, layout=MaskLayout(0, (18, 6, 0)))
    maps = torch.ones(1, 1, 6, 5)  # with 8 x 7 seeds: the last of a row is 6 after its first
    F.drop_block2d(maps, 0.3, 3, layout=MaskLayout(0, (56, 56, 7, 1)))
    with pytest.raises(ArgumentValueError, match="gives each seed of a map its own index"):
        F.drop_block2d(maps, 0.3, 3, layout=MaskLayout(0, (56, 56, 6, 1)))
