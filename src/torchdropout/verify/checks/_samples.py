"""The masks that the statistical checks analyse: drawn once per run and used by several checks."""

from __future__ import annotations

import math

import numpy as np

from .. import stats
from ..context import Context
from ..stats import Bits

# Odd, prime and longer than two vectors of any width: not a multiple of any vector width.
SMALL = 131
# Batch, channels, rows, columns: all different, and only the batch is a power of two.
VOLUME = (8, 24, 20, 28)
ROW = 256
CALL = 8192


def _pairs(ctx: Context, tests: int) -> int:
    """The number of bit pairs that reveals the level's correlation in each of `tests` tests."""
    chance = stats.pairs_differ(ctx.main_p)
    return ctx.size(chance, chance * ctx.level.correlation, ctx.share / tests)


def stream(ctx: Context) -> Bits:
    """Large calls, one per row: enough for the correlation at a few dozen lags."""
    calls = math.ceil(2 * _pairs(ctx, 32) / ctx.chunk)
    return ctx.masks(ctx.main_p, calls, (ctx.chunk,))


def volumes(ctx: Context) -> Bits:
    """Calls on a 4-D input: enough for the correlation along each axis."""
    # Lags that do not divide an axis lose some pairs: at most a quarter.
    calls = math.ceil(2.7 * _pairs(ctx, 24) / math.prod(VOLUME))
    return ctx.masks(ctx.main_p, calls, VOLUME)


def series(ctx: Context) -> Bits:
    """Many calls of one size, for the correlation of a place with itself in later calls."""
    size = min(CALL, ctx.chunk // 64)
    calls = math.ceil(2 * _pairs(ctx, 8) / size / 64) * 64
    return ctx.masks(ctx.main_p, calls, (size,))


def small_calls(ctx: Context) -> Bits:
    """Enough small calls to reveal a pool of the level's size, of masks too long to collide.

    Half of the false-alarm rate of the check is reserved for masks that are equal by chance.
    """
    calls = stats.masks_for_pool(ctx.level.pool, ctx.share / 2)
    size = max(SMALL, stats.bits_to_tell(ctx.main_p, calls**2 / 2, ctx.share / 2))
    # Far from p = 1/2 only large masks can be told apart: fewer fit into the time, or they are
    # cut short and `few-masks` skips.
    size = min(size, ctx.most // 16)
    return ctx.masks(ctx.main_p, min(calls, ctx.most // size), (size,))


def rows(ctx: Context) -> Bits:
    """A few calls on a matrix, to search for repeats."""
    return ctx.masks(ctx.main_p, 4, (min(ctx.level.run, 4 * ctx.most) // 4 // ROW, ROW))


def repeated(bits: Bits) -> list[tuple[int, int]]:
    """The rows that equal an earlier row, each with the first such row before it."""
    seen: dict[bytes, int] = {}
    rows = enumerate(row.tobytes() for row in np.packbits(bits, axis=1))
    return [(first, at) for at, row in rows if (first := seen.setdefault(row, at)) != at]
