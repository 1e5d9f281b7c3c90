"""The compiled backends against the plain-integer definition and the reference, bit for bit.

A NaN counts as equal to any NaN: the contract says where one is, not what its payload is.
"""

from __future__ import annotations

import functools
import itertools
import math

import numpy as np
import pytest
import torch

from draws import threads
from oracle import COMPLEX, DTYPES, FLOATS, _scaled, dropout, mask, same_bits, same_but_nans
from torchdropout import Key, MaskLayout, backends
from torchdropout import functional as F
from torchdropout._core.contract import row_major, scale, threshold, uniform
from torchdropout._core.contract.keep import DOMAIN_HIGH as HIGH
from torchdropout._core.contract.keep import DOMAIN_LOW as LOW
from torchdropout._core.contract.keep import HALF_LOWER, halves, words_tensor
from torchdropout._core.contract.seed import as_int64
from torchdropout._core.kernels import reference

COMPILED = backends.available()[1:]
KEY = Key(0x0123456789ABCDEF, 0xFEDCBA987654321)
operator = torch.ops.torchdropout.masked_affine.default

each_backend = pytest.mark.parametrize("backend", COMPILED)
pytestmark = pytest.mark.skipif(not COMPILED, reason=f"needs compiled kernels: {backends.why()}")


def by_reference(x, key, p, affine, base, strides):
    return reference.masked_affine(x, key, p, *affine, as_int64(base), strides)


def reference_mask(key, p, n, base=0):
    return reference.keep_bits(key.tensor(), [n], p, as_int64(base), [1], torch.device("cpu"))[:n]


@each_backend
def test_a_threshold_of_zero_keeps_everything(backend):
    """p is above zero and rounds to a threshold of zero; the first vectors have p = 0 itself."""
    x = torch.randn(1000)
    with backends.use(backend):
        assert same_bits(F.dropout(x, 2.0**-33, key=KEY), x * scale(2.0**-33))
        assert same_bits(operator(x, KEY.tensor(), 0.0, 1.0, 0.0, 0.0, 0, [1]), x)


# --- indices and thresholds ----------------------------------------------------------------------


@functools.cache
def carry_mask(base, n):
    return reference_mask(KEY, 0.3, n, base)


@each_backend
@pytest.mark.parametrize("carry", [2**35, 2**36, 2**63])
@pytest.mark.parametrize("offset", [500_000, 499_957])
def test_block_numbers_carry_within_a_tensor(backend, carry, offset):
    """The high word of the block number changes in the middle, at any place of a vector."""
    n, base = 10**6, carry - offset
    layout = MaskLayout(base, (1,))
    keep = carry_mask(base, n)
    around = slice(offset - 20, offset + 20)
    assert torch.equal(keep[around], mask(KEY, 0.3, (40,), MaskLayout(carry - 20, (1,))))
    with backends.use(backend):
        assert torch.equal(F.dropout(torch.ones(n), 0.3, key=KEY, layout=layout) != 0, keep)
        # Bits made ahead of use: strided memory, a transposed matrix, stretches that share a bit.
        strided = torch.ones(n, 2, dtype=torch.float16)[:, 1]
        assert torch.equal(F.dropout(strided, 0.3, key=KEY, layout=layout) != 0, keep)
        columns = torch.ones(1000, 1000, dtype=torch.bfloat16).t()
        rows = MaskLayout(base, (1000, 1))
        assert torch.equal(F.dropout(columns, 0.3, key=KEY, layout=rows).flatten() != 0, keep)
        shared = F.dropout(torch.ones(n, 3), 0.3, key=KEY, layout=MaskLayout(base, (1, 0)))
        assert torch.equal(shared != 0, keep[:, None].expand(n, 3))


@each_backend
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_the_low_half_decides_ties_in_both_directions(backend, dtype):
    """p at the high half that most elements share, and at the middle of their low halves."""
    n = 2**20
    high, low = uniform_halves(n)
    common = int(torch.bincount(high, minlength=2**16).argmax())
    tied = (high == common).nonzero().flatten()
    limit = common << 16 | int(low[tied].median())
    p = limit / 2**32
    assert threshold(p) == limit
    with backends.use(backend):
        kept = F.dropout(torch.ones(n, dtype=dtype), p, key=KEY) != 0
        strided = F.dropout(torch.ones(n, 2, dtype=dtype)[:, 0], p, key=KEY) != 0
    assert torch.equal(kept, (high << 16 | low) >= limit)
    assert torch.equal(strided, kept)
    assert len(tied) >= 20
    assert 8 <= int(kept[tied].sum()) <= len(tied) - 8
    for i in tied.tolist():
        assert bool(kept[i]) == (uniform(KEY.seed, KEY.stream, i) >= limit)


@functools.cache
def uniform_halves(n):
    blocks = torch.arange(n // 8)
    key = KEY.tensor()[None]
    parts = (halves(words_tensor(key, d, blocks)).flatten() for d in (HIGH, LOW))
    return tuple(part.to(torch.int64) + HALF_LOWER for part in parts)


# --- values --------------------------------------------------------------------------------------


def special(dtype):
    real = dtype.to_real() if dtype.is_complex else dtype
    info = torch.finfo(real)
    inf, nan = math.inf, math.nan
    tiny, least = info.smallest_normal, info.smallest_normal * info.eps
    values = [inf, -inf, nan, 0.0, -0.0, tiny, -tiny, tiny / 2, least, -least, info.max, info.min]
    values += [1.0, -1.0, 1.0 + info.eps, 3.0]
    x = torch.tensor(values, dtype=torch.float64).to(real).repeat(17)
    if dtype.is_complex:
        x = torch.view_as_complex(torch.stack((x, x.roll(1)), -1))
    return x


@each_backend
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_special_values_are_selected_not_multiplied(backend, dtype):
    x, p = special(dtype), 0.1
    with backends.use(backend):
        y = F.dropout(x, p, key=KEY)
        strided = F.dropout(x.repeat_interleave(2)[::2], p, key=KEY)
    assert same_but_nans(y, dropout(x, p, KEY))
    assert same_but_nans(strided, y)
    dropped = ~mask(KEY, p, x.shape, MaskLayout.of(x.shape))
    assert bool((y[dropped] == 0).all())


@each_backend
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("p", [0.1, 1 / 3])  # scales of 5/4 and 3/2 make halves to round
def test_every_16_bit_value_is_scaled_and_rounded(backend, dtype, p):
    x = torch.arange(-(2**15), 2**15).to(torch.int16).view(dtype)
    scaled = _scaled(x, p)
    seen = torch.zeros(2**16, dtype=torch.bool)
    with backends.use(backend):
        for seed in range(12):
            y, keep = F.dropout(x, p, key=Key(seed)), reference_mask(Key(seed), p, 2**16)
            assert same_but_nans(y, torch.where(keep, scaled, torch.zeros((), dtype=dtype)))
            seen |= keep
    assert int(seen.sum()) > 0.9 * 2**16


def affine_oracle(x, keep, a, b, drop_value):
    """`keep ? x * a -> + b : drop_value` in NumPy; the arrow rounds."""
    compute = np.float64 if x.dtype == torch.float64 else np.float32
    wide = x.to(torch.float64).numpy().astype(compute)
    with np.errstate(all="ignore"):
        kept = np.multiply(wide, compute(a))
        kept = kept + compute(b) if b != 0.0 else kept
    y = np.where(keep.numpy(), kept, compute(drop_value))
    assert y.dtype == compute
    return torch.from_numpy(y).to(x.dtype)


@each_backend
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize(
    "affine",
    [(3.0, 0.5, -7.0), (0.0, 0.0, -0.0), (1.5, -0.0, 1e30), (2.0, 0.0, math.nan), (1e30, 1.0, 0.1)],
    ids=str,
)
def test_any_affine_map_by_the_operator(backend, dtype, affine):
    x = special(dtype)
    keep = reference_mask(KEY, 0.5, len(x))
    with backends.use(backend):
        y = operator(x, KEY.tensor(), 0.5, *affine, 0, [1])
    assert same_but_nans(y, affine_oracle(x, keep, *affine))


# --- shapes and masks ----------------------------------------------------------------------------

SHARED = {
    "nothing": ((3, 5, 67), ()),
    "everything": ((3, 5, 67), (0, 1, 2)),
    "drop path": ((70, 4, 9), (1, 2)),
    "locked, batch first": ((3, 70, 65), (1,)),
    "locked, sequence first": ((70, 3, 65), (0,)),
    "features": ((3, 5, 67), (0, 1)),
    "the batch": ((66, 130), (0,)),
    "pairs": ((5, 70, 2), (2,)),
    "stretches of 64": ((2, 70, 64), (2,)),
    "stretches of 65": ((2, 70, 65), (2,)),
    "long stretches": ((3, 10_000), (1,)),
    "images": ((2, 3, 11, 13), (2, 3)),
    "volumes": ((2, 3, 4, 5, 6), (2, 3, 4)),
    "pixels": ((2, 67, 11, 13), (1,)),
}


def memories(x):
    """x in every order of its dimensions' memory, and with gaps."""
    for order in itertools.islice(itertools.permutations(range(x.ndim)), 24):
        inverse = [order.index(d) for d in range(x.ndim)]
        yield x.permute(order).contiguous().permute(inverse)
    yield x.repeat_interleave(2, dim=-1)[..., ::2]
    yield x.repeat_interleave(2, dim=0)[::2]


@each_backend
@pytest.mark.parametrize("case", SHARED)
def test_shared_draws_in_every_memory_layout(backend, case):
    shape, shared = SHARED[case]
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(shape, dtype=torch.float64, generator=generator)
    strides = row_major(shape, shared)
    keep = reference.keep_bits(KEY.tensor(), shape, 0.4, 0, strides, torch.device("cpu"))
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        x = values.to(dtype)
        expected = torch.where(keep, _scaled(x, 0.4), torch.zeros((), dtype=dtype))
        for other in memories(x):
            with backends.use(backend):
                y = F.dropout(other, 0.4, key=KEY, broadcast_dims=shared)
                out = torch.empty(shape, dtype=dtype)
                z = F.dropout(other, 0.4, key=KEY, broadcast_dims=shared, out=out)
            assert same_bits(y, expected)
            assert same_bits(z, expected)
            assert y.stride() == torch.empty_like(other).stride()


class TestOutsideTheContract:
    """The operator with what the library never passes: as the reference does, or an error."""

    @each_backend
    @pytest.mark.parametrize("strides", [[1], [7, 1], [0, 1], [-1]])
    def test_indices_are_modulo_two_to_the_64(self, backend, strides):
        x = torch.ones((3,) * (len(strides) - 1) + (50,))
        base = 2**64 - 20 if strides[-1] > 0 else 20
        start = by_reference(x, KEY.tensor(), 0.5, (2.0, 0.0, 0.0), base, strides)
        with backends.use(backend):
            y = operator(x, KEY.tensor(), 0.5, 2.0, 0.0, 0.0, as_int64(base), strides)
        places = itertools.product(*map(range, x.shape))
        for place in places:
            index = base + sum(c * s for c, s in zip(place, strides, strict=True))
            u = uniform(KEY.seed, KEY.stream, index % 2**64)
            assert bool(y[place]) == (u >= threshold(0.5))
        # Once wrong where a row is row-major: reference._keep_range counts blocks beyond 2**61 on.
        assert same_bits(start, y)

    @each_backend
    @pytest.mark.parametrize("dtype", COMPLEX, ids=str)
    def test_complex_constants(self, backend, dtype):
        # Once wrong: the reference adds the shift to both parts and takes 0 for the drop value, the
        # kernels take it for both parts.
        x = special(dtype)
        numbers = (KEY.tensor(), 0.5, 2.0, 0.25, -3.0, 0, [1])
        with backends.use(backend):
            assert same_but_nans(operator(x, *numbers), reference.masked_affine(x, *numbers))


# --- threads and long tensors --------------------------------------------------------------------

LONG = {
    "a run": lambda: (torch.ones(1_100_003), MaskLayout(5, (1,))),
    "half a run": lambda: (torch.ones(1_100_003, dtype=torch.bfloat16)[1:], MaskLayout(0, (1,))),
    "complex": lambda: (torch.ones(1_100_003, dtype=torch.complex64), MaskLayout(3, (1,))),
    "transposed": lambda: (torch.ones(1009, 1103).t(), MaskLayout(0, (1009, 1))),
    "strided": lambda: (torch.ones(1103, 2018)[:, ::2], MaskLayout(0, (1009, 1))),
    "rows share": lambda: (torch.ones(1103, 1009), MaskLayout(7, (1, 0))),
    "columns share": lambda: (torch.ones(1103, 1009), MaskLayout(7, (0, 1))),
    "pairs share": lambda: (torch.ones(600_000, 2), MaskLayout(7, (1, 0))),
    "any strides": lambda: (torch.ones(1103, 1009), MaskLayout(2**35 - 9999, (3, 7))),
}


@each_backend
@pytest.mark.parametrize("case", LONG)
def test_threads_do_not_enter(backend, case):
    x, layout = LONG[case]()
    assert x.numel() > 10**6
    values = torch.arange(x.numel()).reshape(x.shape) % 251 + 1
    x.copy_(values.to(x.dtype))
    results = []
    with backends.use(backend):
        for n in (1, 2, 3):
            with threads(n):
                results.append(F.dropout(x, 0.5, key=KEY, layout=layout))
    assert all(torch.equal(result, results[0]) for result in results[1:])
    ends = (0,) * x.ndim, tuple(max(0, n - 8) for n in x.shape)
    for start in ends:  # against the definition, at both ends
        window = tuple(slice(s, s + 8) for s in start)
        size = x[window].shape
        at = MaskLayout(layout.index(start), layout.strides)
        assert torch.equal(results[0][window] != 0, mask(KEY, 0.5, size, at))


ITEMS = {torch.float32: 2**23, torch.bfloat16: 2**24, torch.float64: 2**22}


WAYS = {
    "run": (1, 0, (1, 0)),
    "run from within a block": (1, 3, (1, 0)),
    "shared by rows": (32, 0, (1, 0)),
    "shared by columns": (32, 2, (0, 1)),
}


def past_the_caches():
    """Every pair of a way, a dtype and a backend; all three of them with the slow tests."""
    for (i, way), (j, dtype), (k, backend) in itertools.product(
        enumerate(WAYS), enumerate(ITEMS), enumerate(COMPILED)
    ):
        quick = (i + j + k) % 3 == 0 or len(COMPILED) < 3
        marks = () if quick else pytest.mark.slow
        yield pytest.param(backend, dtype, way, marks=marks, id=f"{way}-{dtype}-{backend}")


@pytest.mark.integration
@pytest.mark.parametrize(("backend", "dtype", "way"), [*past_the_caches()])
def test_writing_past_the_caches_changes_nothing(backend, dtype, way):
    """Into a large tensor whose pages are there, aligned and not, by indices and by bits."""
    columns, base, strides = WAYS[way]
    n = ITEMS[dtype] + 64
    shape, layout = (n // columns, columns), MaskLayout(base, strides)
    big = torch.empty(n + 128, dtype=dtype)
    x = (torch.arange(n, dtype=torch.int32) % 251 - 125).to(dtype).view(shape)
    aligned = -big.data_ptr() % 64 // big.element_size()
    with backends.use(backend), threads(2):
        expected = in_pieces(x, layout)
        for start in (aligned, aligned + 1):
            big.fill_(9)
            out = big[start : start + n].view(shape)
            assert out.nbytes > 32 * 2**20
            assert F.dropout(x, 0.3, key=KEY, layout=layout, out=out) is out
            assert torch.equal(out, expected)
            assert bool((big[:start] == 9).all())
            assert bool((big[start + n :] == 9).all())


def in_pieces(x, layout, pieces=16):
    """The plain result, made of pieces too short to be written past the caches."""
    rows = math.ceil(len(x) / pieces)
    parts = [(part, layout.at((i * rows,))) for i, part in enumerate(x.split(rows))]
    return torch.cat([F.dropout(part, 0.3, key=KEY, layout=own) for part, own in parts])
