"""The map of DropBlock: `keep ? x * scale : 0`, where dropped places form blocks."""

from __future__ import annotations

import math

from .._core import ops
from .._core.contract.keep import scale
from ._call import KeyedMap
from ._rate import Probability, Rate, check_probability


def blocks(p: Probability, dims: int, block: int, by_count: bool, eps: float) -> KeyedMap:
    """The map of a call."""
    p = check_probability(p)
    own = dims, block, by_count
    extent = dims + by_count  # a count is that of all channels of a sample
    if isinstance(p, Rate):
        return KeyedMap(p.active, ops.drop_blocks_of, (p.constants, *own), extent=extent)
    constants = (*own, *block_constants(p, dims, block, eps))
    return KeyedMap(p > 0.0, ops.drop_blocks, constants, extent=extent)


def block_constants(p: float, dims: int, block: int, eps: float) -> tuple[float, float, float]:
    """The operator's constants that are floats: the rate of seeds, the scale and eps."""
    return seed_rate(p, block, dims), scale(p), eps


def seed_rate(p: float, block: int, dims: int) -> float:
    """The rate at which a place that `block ** dims` seeds can cover is dropped with probability p.

    It is kept if none of them is drawn: `1 - p = (1 - rate) ** (block ** dims)`.

    Example:
        >>> seed_rate(0.75, 2, 1)  # of 2 seeds
        0.5
    """
    if p == 1.0:
        return 1.0
    return -math.expm1(math.log1p(-p) / block**dims)
