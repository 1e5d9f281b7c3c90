"""DropBlock from p to the operator: the rate of seeds, and what is done with what is kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch

from .. import ops
from ..contract.keep import scale as by_expectation
from ._rate import Rate


class Blocks(NamedTuple):
    """What a call does to each element, but for p and its key.

    Attributes:
        dims: How many trailing dimensions a block extends along; the channel lies before them.
        block: Side of a block.
        by_count: Scale by the size of a sample's mask over what is kept of it, not by 1 / (1 - p).
        eps: Added to the number kept in that quotient.
    """

    dims: int
    block: int
    by_count: bool
    eps: float

    def constants(self, p: float) -> tuple[float, float, float]:
        """Of the operator: the rate of seeds, the scale and eps."""
        return seed_rate(p, self.block, self.dims), by_expectation(p), self.eps


def seed_rate(p: float, block: int, dims: int) -> float:
    """The rate at which a place that `block ** dims` seeds can cover is dropped with probability p.

    It is kept if none of them is there: `1 - p = (1 - rate) ** (block ** dims)`.

    Example:
        >>> seed_rate(0.75, 2, 1)  # of 2 seeds
        0.5
    """
    if p == 1.0:
        return 1.0
    return -math.expm1(math.log1p(-p) / block**dims)


def drop_blocks(
    x: torch.Tensor,
    key: torch.Tensor,
    p: float,
    blocks: Blocks,
    base: int,
    strides: Sequence[int],
) -> torch.Tensor:
    """`keep ? x * scale : 0`, where what is not kept are blocks."""
    own = blocks.dims, blocks.block, blocks.by_count
    if isinstance(p, Rate):
        return ops.drop_blocks_of(x, key, p.constants, *own, base, strides)
    return ops.drop_blocks(x, key, *own, *blocks.constants(p), base, strides)
