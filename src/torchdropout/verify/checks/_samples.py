"""The masks that the statistical checks look at, drawn once a run and seen from many sides."""

from __future__ import annotations

import math

import numpy as np

from .. import stats
from ..context import Context
from ..stats import Bits

# Odd, prime and above two vectors of any width: no kernel divides it.
SMALL = 131
# Batch, channels, rows, columns: no two alike, none a power of two but the batch.
VOLUME = (8, 24, 20, 28)
ROW = 256
CALL = 8192


def _pairs(ctx: Context, tests: int) -> int:
    """Pairs of bits that show a correlation of the level's size in each of so many tests."""
    chance = stats.pairs_differ(ctx.main_p)
    return ctx.size(chance, chance * ctx.level.correlation, ctx.share / tests)


def stream(ctx: Context) -> Bits:
    """Large calls, a row each: enough for the correlation at a few dozen lags."""
    calls = math.ceil(2 * _pairs(ctx, 32) / ctx.chunk)
    return ctx.masks(ctx.main_p, calls, (ctx.chunk,))


def volumes(ctx: Context) -> Bits:
    """Calls on a 4-D input: enough for the correlation along each axis."""
    # Lags that do not divide an axis lose some of the pairs: a quarter at most.
    calls = math.ceil(2.7 * _pairs(ctx, 24) / math.prod(VOLUME))
    return ctx.masks(ctx.main_p, calls, VOLUME)


def series(ctx: Context) -> Bits:
    """Many calls of one size, for the correlation of a place with itself in later calls."""
    size = min(CALL, ctx.chunk // 64)
    calls = math.ceil(2 * _pairs(ctx, 8) / size / 64) * 64
    return ctx.masks(ctx.main_p, calls, (size,))


def small_calls(ctx: Context) -> Bits:
    """As many small calls as show a pool of the level's size; masks are equal by a pool only.

    Half of the false-alarm rate of the check is for masks that are equal by chance.
    """
    calls = stats.masks_for_pool(ctx.level.pool, ctx.share / 2)
    pairs = calls * (calls - 1) / 2
    size = max(SMALL, stats.bits_to_tell(ctx.main_p, pairs, ctx.share / 2))
    # Far from p = 1/2 a mask must be large to be told from another: fewer fit into the time, or
    # they are cut and `few-masks` says that it cannot tell.
    size = min(size, ctx.most // 16)
    return ctx.masks(ctx.main_p, max(16, min(calls, ctx.most // size)), (size,))


def rows(ctx: Context) -> Bits:
    """A few calls on a matrix, to search for repeats."""
    return ctx.masks(ctx.main_p, 4, (min(ctx.level.run, 4 * ctx.most) // 4 // ROW, ROW))


def repeated(bits: Bits) -> list[tuple[int, int]]:
    """The rows that equal an earlier one, each after the first such."""
    seen: dict[bytes, int] = {}
    rows = enumerate(row.tobytes() for row in np.packbits(bits, axis=1))
    return [(first, at) for at, row in rows if (first := seen.setdefault(row, at)) != at]
