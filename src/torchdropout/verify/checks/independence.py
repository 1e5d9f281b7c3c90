"""Independence: no mask bit depends on another, within a call or across calls."""

from __future__ import annotations

import math

import numpy as np

from ...reporting.findings import Figure
from .. import stats
from ..context import Context, Fault, Seen, Skip, check, outcome
from ..stats import Bits, Family
from ._samples import ROW, SMALL, VOLUME, repeated, rows, series, small_calls, stream, volumes

LAGS = (1, 2, 3, 4, 5, 7, *(1 << k for k in range(3, 20)))  # up to the size of a call
# About as many elements as VOLUME.
OTHER_SHAPES = ((16, 60, 112), (4, 6, 10, 16, 28))
AXES = ("samples", "channels", "rows", "columns")
CALL_LAGS = (1, 2, 3, 4, 8, 16)
BLOCK = 8
STRIDES = (1, 4, 32)  # and an eighth of a call
NEEDS = ("output-shape", "train-stochastic", "kept-scale")


def _test_pairs(family: Family, label: str, bits: Bits, lag: int, axis: int, p: float) -> int:
    """Add the test of the pairs at a lag: they differ with probability exactly 2 p (1 - p)."""
    differing, n = stats.count_differing(*stats.disjoint_pairs(bits, lag, axis))
    family.binomial(label, differing, n, stats.pairs_differ(p), 2 * stats.SLACK)
    return n


def _correlation_outcome(
    family: Family, p: float, fewest: int, where: str, **figures: Figure
) -> Seen:
    chance = stats.pairs_differ(p)
    seen = stats.smallest_seen(fewest, chance, family.each) / chance
    return outcome(
        family,
        # E[differ] = 2 p (1 - p) (1 - correlation)
        lambda t: f"p={p:g}, {t.label}: {t.rate:.5g} of {t.n} pairs differ",
        f"a correlation of {seen:.2g} {where}",
        correlation=1 - family.worst.rate / chance,
        **figures,
    )


@check(needs=NEEDS, statistical=True)
def lag_independence(ctx: Context) -> Seen:
    """Elements at any distance in memory are dropped independently.

    Measured: how often two mask bits at a lag of 1, 2, 3, 4, 5, 7, 8, 16, ... 524288 differ, over
    disjoint pairs, so that the count is exactly binomial; and how often any two of the 131 places
    of many short calls differ.

    Kernels that draw one random word for several elements, or whose counter wraps, repeat or mirror
    the mask at a fixed distance: groups of 4 (pytorch#198333), bands of rows (xformers#724). No
    test of the rate reveals it.

    To fix: give each element its own random bits; with a counter-based generator, its own counter.
    """
    p = ctx.sound_p
    _short_calls(ctx, p)
    bits = stream(ctx)
    lags = [lag for lag in LAGS if 2 * lag <= bits.shape[1]]
    family = Family(ctx.share / 2, len(lags))
    fewest = min(_test_pairs(family, f"lag {lag}", bits, lag, -1, p) for lag in lags)
    chance = stats.pairs_differ(p)
    limit = stats.smallest_seen(fewest, chance, family.each, power=0.5) / chance
    figures = [
        {"lag": lag, "correlation": 1 - test.rate / chance, "limit": limit}
        for lag, test in zip(lags, family.tests, strict=True)
    ]
    where = f"at any of {len(lags)} lags"
    return _correlation_outcome(family, p, fewest, where, lags=figures)


def _short_calls(ctx: Context, p: float) -> None:
    """Test every pair of places of a short call, which kernels often compute on a separate path."""
    bits = small_calls(ctx)[:, :SMALL].astype(np.float32)
    calls, places = bits.shape
    kept = bits.sum(0, dtype=np.float64)
    # Sums of ones stay exact in float32 up to 2^24 calls.
    both = (bits.T @ bits).astype(np.float64)
    differing = kept[:, None] + kept - 2 * both
    first, second = np.triu_indices(places, 1)
    family = Family(ctx.share / 2, len(first))
    chance = stats.pairs_differ(p)
    counts = differing[first, second].astype(np.int64)
    # Only the most extreme of thousands of pairs is tested.
    worst = int(np.argmin(stats.binomial_p_values(counts, calls, chance, 2 * stats.SLACK)))
    label = f"places {first[worst]} and {second[worst]} of {SMALL}"
    family.binomial(label, int(counts[worst]), calls, chance, 2 * stats.SLACK)
    outcome(family, lambda t: f"p={p:g}, {t.label}: {t.rate:.4g} of {t.n} calls differ", "")


@check(needs=NEEDS, statistical=True)
def axis_independence(ctx: Context) -> Seen:
    """Samples, channels, rows and columns are dropped independently.

    Measured: how often two bits of a 4-D mask at several distances along one axis differ, and of
    3-D and 5-D ones at two distances.

    One mask for all samples of a batch, for groups of 4 channels (pytorch#198333) or for bands of
    32 rows (xformers#724) removes most of the noise that dropout is meant to add. Shared masks are
    right where they are requested, as in Dropout2d.

    To fix: draw the mask in the full shape of x.
    """
    p = ctx.sound_p
    bits = volumes(ctx)
    lags = {
        name: sorted({1, 2, 3, 4, size // 4, size // 2})
        for name, size in zip(AXES, VOLUME, strict=True)
    }
    family = ctx.family(sum(map(len, lags.values())) + sum(2 * len(s) for s in OTHER_SHAPES))
    fewest = bits.size
    for axis, name in enumerate(AXES, 1):
        # It is copied once with the axis in front, because comparing long rows is fast.
        turned = np.ascontiguousarray(np.moveaxis(bits, axis, 0))
        for lag in lags[name]:
            n = _test_pairs(family, f"{name} {lag} apart", turned, lag, 0, p)
            fewest = min(fewest, n)
    for shape in OTHER_SHAPES:
        # A fault here depends on the number of dimensions: an eighth of the calls reveals it.
        other = ctx.masks(p, max(1, len(bits) // 8), shape)
        for axis, size in enumerate(shape):
            turned = np.ascontiguousarray(np.moveaxis(other, axis + 1, 0))
            for lag in (1, size // 2):
                _test_pairs(family, f"{len(shape)}-D, axis {axis}, {lag} apart", turned, lag, 0, p)
    return _correlation_outcome(family, p, fewest, "along any axis")


@check(needs=NEEDS, statistical=True)
def call_independence(ctx: Context) -> Seen:
    """Successive calls are independent at each place.

    Measured: how often a place differs from itself 1, 2, 3, 4, 8 or 16 calls later.

    A generator whose offset advances by less than the call used, or a seed derived from a step
    counter, makes later masks copies, complements or shifts of earlier ones; xformers#173 used one
    seed for all.

    To fix: advance the generator by as much as the call used.
    """
    p = ctx.sound_p
    family = ctx.family(len(CALL_LAGS))
    bits = series(ctx)
    fewest = min(_test_pairs(family, f"{lag} calls apart", bits, lag, 0, p) for lag in CALL_LAGS)
    return _correlation_outcome(family, p, fewest, "between calls")


@check(needs=NEEDS, statistical=True)
def joint_counts(ctx: Context) -> Seen:
    """All patterns of eight elements occur as often as independence implies.

    Measured: the counts of the 256 keep patterns of disjoint blocks of 8 elements, in a row and
    4, 32 and (in an eighth of a large call, mostly) 131072 elements apart, each an exact binomial
    test.

    Bits can be independent in pairs and dependent in threes: a bit that is the exclusive or of two
    others passes every test of correlation. Patterns of eight reveal that, as well as runs, blocks
    and stripes.

    To fix: do not derive mask bits from other mask bits.
    """
    p = ctx.sound_p
    bits = stream(ctx)
    strides = (*STRIDES, bits.shape[1] // BLOCK)
    family = ctx.family(len(strides) << BLOCK)
    patterns = np.arange(1 << BLOCK)
    kept = np.array([int(v).bit_count() for v in patterns])
    chance = (1 - p) ** kept * p ** (BLOCK - kept)
    names = [format(v, "08b") for v in patterns]
    blocks = bits.size // BLOCK
    for stride in strides:
        packed = np.packbits(bits.reshape(-1, BLOCK, stride), axis=1)
        counts = np.bincount(packed.ravel(), minlength=1 << BLOCK)
        labels = [f"pattern {name} with stride {stride}" for name in names]
        family.binomials(labels, counts, blocks, chance, BLOCK * stats.SLACK * float(p != 0.5))
    most = float(np.max(chance))
    seen = stats.smallest_seen(blocks, most, family.each)
    return outcome(
        family,
        lambda t: f"p={p:g}, {t.label}: {t.rate:.4g} of {t.n}",
        f"a pattern that occurs {100 * seen / most:.2g} % too often",
    )


@check(needs=NEEDS, statistical=True)
def count_spread(ctx: Context) -> Seen:
    """The number of dropped elements varies from call to call and row to row as it should.

    Measured: how often the number of kept elements of a call, sample, plane, row, column and
    channel vector lies in the middle half of the binomial distribution.

    Dropping exactly round(p * n) elements, or shuffling a fixed mask, gives the right rate and no
    spread: elements are then negatively correlated, by 1/n each, which no test of pairs detects.
    Shared bits give too much spread.

    To fix: draw each bit independently; do not choose k of n.
    """
    p = ctx.sound_p
    small, cubes = small_calls(ctx), volumes(ctx)
    sets = {
        "a call": np.count_nonzero(small, axis=1),
        "a 4-D call": _counts(cubes, (1, 2, 3, 4)),
        "a sample": _counts(cubes, (2, 3, 4)),
        "a plane": _counts(cubes, (3, 4)),
        "a row": _counts(cubes, (4,)),
        "a column": _counts(cubes, (3,)),
        "a channel vector": _counts(cubes, (2,)),
    }
    sizes = (small.shape[1], math.prod(VOLUME), math.prod(VOLUME[1:]), 20 * 28, 28, 20, 24)
    family = ctx.family(len(sets))
    seen = {}
    for (label, counts), size in zip(sets.items(), sizes, strict=True):
        low, high, chance = stats.centre_of(size, 1 - p)
        inside = int(np.count_nonzero((counts >= low) & (counts <= high)))
        # The chance of the middle half moves with p by less than sqrt(size / (p (1 - p))).
        slack = stats.SLACK * math.sqrt(size / (p * (1 - p))) * float(p != 0.5)
        family.binomial(
            f"kept in {label} of {size}, {low} to {high}", inside, counts.size, chance, slack
        )
        seen[label] = stats.spread_seen(size, 1 - p, counts.size, family.each)
    return outcome(
        family,
        lambda t: f"p={p:g}, {t.label}: {t.rate:.4g} of {t.n} times",
        f"a spread off by a factor of {seen['a call']:.3g} for calls, "
        f"{seen['a plane']:.3g} for planes",
    )


def _counts(bits: Bits, axes: tuple[int, ...]) -> np.ndarray:
    return np.asarray(np.count_nonzero(bits, axis=axes)).ravel()


@check(needs=NEEDS, statistical=True)
def mask_repeats(ctx: Context) -> Seen:
    """No stretch of a mask repeats, within a call or in later ones.

    Measured: every stretch of about 70 consecutive mask bits in four calls on a matrix, compared
    with all others.

    A random pool that is cycled through, a counter that wraps, a generator rewound between calls,
    or a tile of a kernel whose offset is missing from the generator's counter repeats part of the
    mask at a distance that no list of lags contains (xformers#164, xformers#724).

    To fix: derive the generator's counter from the whole index of an element, and advance the
    generator by everything that the call used.
    """
    p = ctx.sound_p
    bits = rows(ctx)
    flat = bits.ravel()
    if p != 0.5:
        return _aligned_repeats(ctx, flat, p)
    # At p = 1/2 even two runs that overlap are equal with probability exactly 2^-width.
    width = max(64, stats.bits_to_tell(p, flat.size**2 / 2, ctx.share))
    found = stats.find_repeat(flat, width)
    if found is not None:
        first, second = found
        raise Fault(
            f"p={p:g}: the {width} mask bits from element {first} on repeat {second - first} "
            f"elements later, in {len(bits)} calls on {bits.shape[1]} rows of {ROW}",
            first=first,
            second=second,
            width=width,
            n=flat.size,
        )
    return Seen(
        f"no {width} bits repeat in {flat.size}",
        {"width": width, "n": flat.size},
        f"any {width} mask bits in a row that repeat in {flat.size}",
    )


def _aligned_repeats(ctx: Context, flat: Bits, p: float) -> Seen:
    """Look for repeats at multiples of the width: overlapping runs have no simple probability."""
    width = stats.bits_to_tell(p, flat.size**2 / 2, ctx.share)
    if flat.size < 16 * width:
        raise Skip(f"p={p:g} is too near 0 or 1 for stretches of masks to be told apart")
    runs = flat[: flat.size // width * width].reshape(-1, width)
    found = repeated(runs)
    if found:
        first, second = found[0]
        raise Fault(
            f"p={p:g}: stretch {first} of {width} mask bits repeats as stretch {second}",
            width=width,
            n=flat.size,
        )
    return Seen(
        f"no two of {len(runs)} stretches of {width} bits are equal",
        {"width": width, "n": flat.size},
        f"a pool of {stats.pool_seen(len(runs), limit=1):.2g} stretches",
    )


@check(needs=NEEDS, statistical=True)
def few_masks(ctx: Context) -> Seen:
    """Masks do not come from a small pool: calls do not repeat earlier ones.

    Measured: the masks of many small calls, compared with each other; by the birthday bound, masks
    that come from a pool repeat.

    Seeds cut to 16 bits, a cache of masks, or a pool made at construction give masks that look
    right one by one but keep repeating.

    To fix: draw from the generator in each call, and use all of its state.
    """
    p = ctx.sound_p
    bits = small_calls(ctx)
    calls, size = bits.shape
    if size < stats.bits_to_tell(p, calls**2 / 2, ctx.share / 2):
        raise Skip(f"p={p:g} is too near 0 or 1 for masks of {SMALL} elements to be told apart")
    limit = stats.repeats_limit(calls, ctx.share / 2)
    repeats = repeated(bits)
    if len(repeats) >= limit:
        first, second = repeats[0]
        raise Fault(
            f"p={p:g}: {calls - len(repeats)} different masks of {size} elements in {calls} calls; "
            f"calls {first} and {second} have the same",
            distinct=calls - len(repeats),
            calls=calls,
        )
    return Seen(
        f"{calls - len(repeats)} different masks in {calls} calls on {size} elements",
        {"calls": calls, "distinct": calls - len(repeats), "limit": calls - limit},
        f"a pool of {stats.pool_seen(calls, limit):.2g} masks",
    )


MATRIX = 64
LARGE = 512


@check(needs=[*NEEDS, "mask-repeats"], statistical=True)
def linear_rank(ctx: Context) -> Seen:
    """No mask bit is the exclusive or of earlier mask bits.

    Measured: the ranks over GF(2) of matrices filled with mask bits, 64 x 64 and 512 x 512. How
    often random ones have each rank is known exactly (Marsaglia and Tsay, 1985).

    A shift register, an xorshift generator without an output function or the low bits of a linear
    congruential generator give each bit as the exclusive or of a few earlier ones. All small
    patterns then occur as often as they should.

    To fix: use a generator with a non-linear output function: Philox, PCG, xoshiro** or a cipher.
    """
    p = ctx.sound_p
    if p != 0.5:
        raise Skip(f"the rank of mask bits is informative at p=0.5 only, not at p={p:g}")
    flat = stream(ctx).ravel()
    count = min(flat.size // MATRIX**2, 1 << 11)
    # The low bits of a generator follow the order of elements and of calls.
    small = stats.ranks(flat[: count * MATRIX**2].reshape(count, MATRIX, MATRIX))
    family = ctx.family(4)
    chances = [stats.rank_chance(MATRIX, lost) for lost in range(2)]
    chances.append(1 - sum(chances))
    for lost, chance in enumerate(chances):
        times = int(
            np.count_nonzero(MATRIX - small == lost if lost < 2 else MATRIX - small >= lost)
        )
        name = f"rank {MATRIX - lost}{' or less' if lost == 2 else ''} of {MATRIX}"
        family.binomial(name, times, count, chance, 0.0)
    larger = min(flat.size // LARGE**2, 8)
    if larger:
        large = stats.ranks(flat[: larger * LARGE**2].reshape(larger, LARGE, LARGE))
        # A rank so low that none of the matrices has it by chance.
        lost = next(d for d in range(2, LARGE) if _tail(d) * larger < family.each)
        times = int(np.count_nonzero(LARGE - large >= lost))
        name = f"rank {LARGE - lost} or less of {LARGE}"
        family.binomial(name, times, larger, _tail(lost), 0.0)
    return outcome(
        family,
        lambda t: f"{t.label}: {t.count} of {t.n} matrices",
        f"any linear recurrence of fewer than {LARGE if larger else MATRIX} bits",
    )


def _tail(lost: int) -> float:
    """The probability that a large matrix lacks at least `lost` ranks."""
    return sum(stats.rank_chance(LARGE, d) for d in range(lost, lost + 4))
