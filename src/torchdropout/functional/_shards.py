"""Tensors that are spread over processes: each computes its shard, with the draws of the whole."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch

from .. import _torch
from ..contract.seed import as_int64

_MODULE = "torch.distributed.tensor"


def is_spread(x: torch.Tensor) -> bool:
    """Whether it is a `DTensor`, without importing what defines it."""
    if type(x) is torch.Tensor or type(x) is torch.nn.Parameter or _MODULE not in sys.modules:
        return False
    return isinstance(x, sys.modules[_MODULE].DTensor)


def on_shards(
    x: Any,
    base: int,
    strides: Sequence[int],
    function: Callable[[torch.Tensor, int, Sequence[int]], torch.Tensor],
) -> Any:
    """A function of a tensor and its mask indices, on the shard that this process has.

    The key is each process's own: they have one, or generators in the same state, as torch asks of
    its own random operators there. What is a sum over processes is summed first.

    Args:
        x: A `DTensor`.
        base: Index of the first element of the whole, its 64 bits as int64.
        strides: Mask strides of the whole.
        function: Of a shard, the index of its first element, and the strides.
    """
    from torch.distributed.tensor import DTensor, Replicate

    placements = [Replicate() if p.is_partial() else p for p in x.placements]
    if any(p.is_partial() for p in x.placements):
        x = x.redistribute(placements=placements)
    _, offset = _torch.shard_offset()(x.shape, x.device_mesh, placements)
    first = base + sum(n * stride for n, stride in zip(offset, strides, strict=True))
    y = function(x.to_local(), as_int64(first % 2**64), strides)
    return DTensor.from_local(
        y, x.device_mesh, placements, run_check=False, shape=x.shape, stride=x.stride()
    )
