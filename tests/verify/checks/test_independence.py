"""What the checks of independence say of masks whose bits depend on each other."""

import itertools

import numpy as np
import pytest
import torch

from torchdropout.verify import stats
from torchdropout.verify.checks import independence
from torchdropout.verify.checks._samples import VOLUME
from torchdropout.verify.context import Context, Skip
from torchdropout.verify.registry import STATISTICAL
from verify.broken._common import draw, select
from verify.checks._alone import context, counted, fault, made, reason, recorded, run

SHARE = 1e-6 * 0.99 / STATISTICAL  # of the false-alarm rate, for each check that counts


def masked(change, when=lambda x: True):
    """A dropout whose mask is changed where its input is as `when` says."""
    return made(lambda x, p: select(x, change(draw(x, p)) if when(x) else draw(x, p), p))


def repeating(lag):
    """Each second stretch of so many bits is the one before it."""

    def change(mask):
        pairs = mask[: len(mask) // (2 * lag) * 2 * lag].view(-1, 2, lag)
        pairs[:, 1] = pairs[:, 0]
        return mask

    return change


@pytest.mark.parametrize("lag", [1, 5, 131072])
def test_bits_that_repeat_at_a_lag(lag):
    found = fault("lag-independence", masked(repeating(lag), lambda x: x.numel() > 1000))
    assert f"p=0.5, lag {lag}: 0 of 1310" in found.message
    assert found.figures["correlation"] == 1.0
    (figure,) = [row for row in found.figures["lags"] if row["lag"] == lag]
    assert figure["correlation"] == 1.0
    limit = stats.smallest_seen(131068, 0.5, SHARE / 2 / 21, power=0.5) / 0.5
    assert figure["limit"] == pytest.approx(limit)


def test_the_largest_lag_is_half_of_a_call_of_a_million(monkeypatch):
    bits = np.random.default_rng(0).random((1, 1 << 20)) < 0.5
    monkeypatch.setattr(independence, "_short_calls", lambda ctx, p: None)
    monkeypatch.setattr(independence, "stream", lambda ctx: bits)
    found = counted("lag-independence", made())
    assert found.tests[-1] == ("lag 524288", 1 << 19, 0.5, 2.0**-23)


def test_places_of_short_calls_that_repeat():
    def change(mask):
        mask[130] = mask[7]
        return mask

    found = fault("lag-independence", masked(change, lambda x: x.numel() == 131))
    assert found.message.startswith("p=0.5, places 7 and 130 of 131: 0 of 367 calls differ")


@pytest.mark.parametrize(("axis", "name"), list(enumerate(independence.AXES)))
def test_neighbours_along_an_axis_that_share_their_draws(axis, name):
    def change(mask):
        if mask.ndim == 4:
            pairs = mask.unflatten(axis, (-1, 2))
            pairs.select(axis + 1, 1).copy_(pairs.select(axis + 1, 0))
        return mask

    found = fault("axis-independence", masked(change))
    assert found.message.startswith(f"p=0.5, {name} 1 apart: 0 of 53760 pairs differ")


@pytest.mark.parametrize(("shape", "axis"), [((16, 60, 112), 2), ((4, 6, 10, 16, 28), 0)])
def test_neighbours_of_other_shapes_that_share_their_draws(shape, axis):
    def change(mask):
        if mask.shape == shape:
            pairs = mask.unflatten(axis, (-1, 2))
            pairs.select(axis + 1, 1).copy_(pairs.select(axis + 1, 0))
        return mask

    found = fault("axis-independence", masked(change))
    assert found.message.startswith(
        f"p=0.5, {len(shape)}-D, axis {axis}, 1 apart: 0 of 53760 pairs differ"
    )


@pytest.mark.parametrize(("calls", "eighth"), [(7, 1), (15, 1), (16, 2)])
def test_other_shapes_have_an_eighth_of_the_calls(monkeypatch, calls, eighth):
    asked = []

    def masks(ctx, p, calls, shape):
        asked.append((calls, shape))
        return np.zeros((1, *shape), dtype=bool)

    monkeypatch.setattr(Context, "masks", masks)
    monkeypatch.setattr(independence, "volumes", lambda ctx: np.zeros((calls, *VOLUME), dtype=bool))
    fault("axis-independence", made())
    assert asked == [(eighth, (16, 60, 112)), (eighth, (4, 6, 10, 16, 28))]


@pytest.mark.parametrize("lag", [1, 3, 16])
def test_calls_that_repeat(lag):
    masks = []

    def drop(x, p):
        at = len(masks) % (2 * lag)
        masks.append(masks[-lag] if at >= lag else draw(x, p))
        return select(x, masks[-1], p)

    found = fault("call-independence", made(drop))
    assert found.message.startswith(f"p=0.5, {lag} calls apart: 0 of ")


@pytest.mark.parametrize("stride", [1, 4, 32])
def test_a_bit_that_is_the_sum_of_two_others(stride):
    def change(mask):
        blocks = mask.view(-1, 8, stride)
        blocks[:, 7] = blocks[:, 2] ^ blocks[:, 5]
        return mask

    found = fault("joint-counts", masked(change))
    assert f" with stride {stride}: " in found.message
    assert "of 32768, expected 0.00390625" in found.message


SIZES = {
    "a call": 131, "a 4-D call": 107520, "a sample": 13440, "a plane": 560, "a row": 28,
    "a column": 20, "a channel vector": 24,
}  # fmt: skip


@pytest.mark.parametrize("p", [None, 0.9])
def test_the_counts_whose_spread_is_compared(p):
    found = counted("count-spread", torch.nn.Dropout if p is None else torch.nn.Dropout(p))
    at, calls = (0.5, 1) if p is None else (p, 3)
    sizes = {**SIZES, "a call": 131 if p is None else 146}
    for (label, n, chance, slack), (name, size) in zip(found.tests, sizes.items(), strict=True):
        low, high, wanted = stats.centre_of(size, 1 - at)
        assert label == f"kept in {name} of {size}, {low} to {high}"
        assert n == (367 if name == "a call" else calls * 107520 // size)
        assert chance == wanted
        moves = 2.0**-24 * (size / (at * (1 - at))) ** 0.5
        assert slack == pytest.approx(0 if p is None else moves)
    assert {tests for _, tests in found.shares} == {7}
    each = SHARE / 7
    of_calls = stats.spread_seen(sizes["a call"], 1 - at, 367, each)
    of_planes = stats.spread_seen(560, 1 - at, calls * 192, each)
    assert found.seen.sees == (
        f"a spread off by a factor of {of_calls:.3g} for calls, {of_planes:.3g} for planes"
    )


@pytest.mark.parametrize("name", ["a call", "a plane", "a row"])
def test_as_many_are_dropped_of_each(name):
    axes = {"a call": 1, "a plane": 2, "a row": 1}[name]

    def drop(x, p):
        if (x.ndim == 4) is (name == "a call"):
            return select(x, draw(x, p), p)
        order = torch.rand(x.shape).flatten(-axes).argsort(-1)
        return select(x, (order < order.shape[-1] / 2).view(x.shape), p)

    found = fault("count-spread", made(drop))
    assert found.message.startswith(f"p=0.5, kept in {name} of {SIZES[name]}, ")
    assert " times, expected " in found.message


@pytest.mark.parametrize("p", [0.5, 0.9])
def test_a_stretch_that_repeats(p):
    width = max(64, stats.bits_to_tell(p, 65536**2 / 2, SHARE))
    first, second = (1000, 40000) if p == 0.5 else (20 * width, 200 * width)
    generator = torch.Generator().manual_seed(3)
    flat = torch.rand(65536, generator=generator) < p
    flat[second : second + width] = flat[first : first + width]
    flat[second + width] = ~flat[first + width]
    flat[second - 1] = ~flat[first - 1]
    found = fault("mask-repeats", OfParts(p, flat))
    if p == 0.5:
        assert found.message == (
            f"p=0.5: the {width} mask bits from element 1000 on repeat 39000 elements later, "
            "in 4 calls on 64 rows of 256"
        )
        assert found.figures == {"first": 1000, "second": 40000, "width": width, "n": 65536}
    else:
        assert found.message == (f"p=0.9: stretch 20 of {width} mask bits repeats as stretch 200")
        assert found.figures == {"width": width, "n": 65536}


class OfParts(torch.nn.Module):
    def __init__(self, p, flat):
        super().__init__()
        self.p, self.flat, self.calls = p, flat, 0

    def forward(self, x):
        part = self.flat[16384 * self.calls : 16384 * (self.calls + 1)]
        self.calls += 1
        return select(x, part.view(x.shape), self.p)


def test_sixteen_stretches_are_enough_to_search():
    def width(n):
        return stats.bits_to_tell(0.9, n**2 / 2, SHARE)

    fewest = next(n for n in itertools.count() if n and n >= 16 * width(n))
    bits = np.random.default_rng(0).random(fewest) < 0.1
    ctx = context(torch.nn.Dropout(0.9))
    seen = independence._aligned_repeats(ctx, bits, 0.9)
    assert seen.message == f"no two of 16 stretches of {width(fewest)} bits are equal"
    with pytest.raises(Skip, match="is too near 0 or 1 for stretches"):
        independence._aligned_repeats(ctx, bits[:-1], 0.9)


def test_masks_that_are_too_sparse_to_search():
    assert reason("mask-repeats", torch.nn.Dropout(0.9999)) == (
        "p=0.9999 is too near 0 or 1 for stretches of masks to be told apart"
    )
    assert reason("few-masks", torch.nn.Dropout(0.9999)) == (
        "p=0.9999 is too near 0 or 1 for masks of 131 elements to be told apart"
    )


@pytest.mark.parametrize("p", [None, 0.9])
def test_what_a_search_for_repeats_says(p):
    seen = recorded("mask-repeats", p).seen
    width = max(64, stats.bits_to_tell(p or 0.5, 65536**2 / 2, SHARE))
    assert seen.figures == {"width": width, "n": 65536}
    if p is None:
        assert seen.message == f"no {width} bits repeat in 65536"
        assert seen.sees == f"any {width} mask bits in a row that repeat in 65536"
    else:
        runs = 65536 // width
        assert seen.message == f"no two of {runs} stretches of {width} bits are equal"
        assert seen.sees == f"a pool of {stats.pool_seen(runs, limit=1):.2g} stretches"


@pytest.mark.parametrize("repeats", [1, 2, 5])
def test_calls_of_a_small_pool(repeats):
    masks = []

    def drop(x, p):
        masks.append(masks[3] if 100 <= len(masks) < 100 + repeats else draw(x, p))
        return select(x, masks[-1], p)

    limit = stats.repeats_limit(367, SHARE / 2)
    assert limit == 2
    if repeats < limit:
        seen = run("few-masks", made(drop))
        assert seen.message == "366 different masks in 367 calls on 131 elements"
        assert seen.figures == {"calls": 367, "distinct": 366, "limit": 365}
    else:
        found = fault("few-masks", made(drop))
        assert found.message == (
            f"p=0.5: {367 - repeats} different masks of 131 elements in 367 calls; "
            "calls 3 and 100 have the same"
        )
        assert found.figures == {"distinct": 367 - repeats, "calls": 367}


@pytest.mark.parametrize(("most", "small", "large"), [(1 << 18, 64, 1), (1 << 20, 256, 4)])
def test_the_ranks_of_matrices(most, small, large):
    found = counted("linear-rank", torch.nn.Dropout, most=most)
    chances = [stats.rank_chance(64, 0), stats.rank_chance(64, 1)]
    assert [(label, n, slack) for label, n, _, slack in found.tests[:3]] == [
        ("rank 64 of 64", small, 0.0),
        ("rank 63 of 64", small, 0.0),
        ("rank 62 or less of 64", small, 0.0),
    ]
    assert [rate for _, _, rate, _ in found.tests[:3]] == pytest.approx(
        [*chances, 1 - sum(chances)]
    )
    ((label, n, rate, _),) = found.tests[3:]
    assert n == large
    lost = next(d for d in range(2, 20) if tail(d) * n < SHARE / 4)
    assert label == f"rank {512 - lost} or less of 512"
    assert rate == pytest.approx(tail(lost))
    assert found.seen.sees == "any linear recurrence of fewer than 512 bits"


def tail(lost):
    return sum(stats.rank_chance(512, d) for d in range(lost, 30))


@pytest.mark.parametrize("lost", [0, 1, 2, 5])
def test_the_tail_of_a_rank(lost):
    assert independence._tail(lost) == pytest.approx(tail(lost), rel=1e-4)


def test_bits_of_a_recurrence():
    def change(mask):
        if mask.numel() < 4096:
            return mask
        rows = mask.view(-1, 64, 64)
        # The sum of three, so that what is kept is the sum of what is kept, too.
        rows[:, 63] = rows[:, 0] ^ rows[:, 1] ^ rows[:, 2]
        rows[:, 62] = rows[:, 3] ^ rows[:, 4] ^ rows[:, 5]
        return mask

    found = fault("linear-rank", masked(change))
    assert found.message.startswith("rank 62 or less of 64: 64 of 64 matrices")


def test_the_ranks_of_2048_small_and_8_large_matrices_are_enough(monkeypatch):
    shapes = []

    def ranks(bits):
        shapes.append(bits.shape)
        return np.zeros(len(bits), dtype=int)

    monkeypatch.setattr(stats, "ranks", ranks)
    monkeypatch.setattr(independence, "stream", lambda ctx: np.zeros((3, 1 << 20), dtype=bool))
    fault("linear-rank", made())
    monkeypatch.setattr(independence, "stream", lambda ctx: np.zeros((12, 1 << 20), dtype=bool))
    fault("linear-rank", made())
    assert shapes == [(768, 64, 64), (8, 512, 512), (2048, 64, 64), (8, 512, 512)]


def test_a_rank_says_something_of_fair_bits_alone():
    assert reason("linear-rank", torch.nn.Dropout(0.3)) == (
        "the rank of mask bits is informative at p=0.5 only, not at p=0.3"
    )
