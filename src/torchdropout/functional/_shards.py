"""Tensors that are spread over processes: each computes its shard, with the draws of the whole."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import torch

from .. import _torch
from ..contract.layout import row_major
from ..contract.seed import as_int64
from ..random import Key
from ._map import KeyedMap, compute

_MODULE = "torch.distributed.tensor"


def is_spread(x: torch.Tensor) -> bool:
    """Whether it is a `DTensor`, without importing what defines it."""
    if type(x) is torch.Tensor or type(x) is torch.nn.Parameter or _MODULE not in sys.modules:
        return False
    return isinstance(x, sys.modules[_MODULE].DTensor)


def on_shards(
    x: Any,
    keyed_map: KeyedMap,
    base: int,
    strides: Sequence[int] | None,
    key: Key | None,
    generator: torch.Generator | None,
) -> Any:
    """The map of the shard that this process has, with the draws that the whole has on one process.

    Each process gets the key for itself: all are given the same one, or have generators in the same
    state, as torch requires for its own random operators. A sum over processes is summed first.

    Args:
        x: A `DTensor`.
        keyed_map: The map.
        base: Mask index of the first element of the whole, its 64 bits as int64.
        strides: Mask strides of the whole; None for row-major ones.
        key: Names the mask.
        generator: Draws the key, instead of torch's default generator.
    """
    from torch.distributed.tensor import DTensor, Replicate

    placements = [Replicate() if p.is_partial() else p for p in x.placements]
    if any(p.is_partial() for p in x.placements):
        x = x.redistribute(placements=placements)
    _, offset = _torch.shard_offset()(x.shape, x.device_mesh, placements)
    if strides is None:
        strides = row_major(x.shape)
    first = base + sum(n * stride for n, stride in zip(offset, strides, strict=True))
    start = as_int64(first % 2**64)
    y = compute(x.to_local(), keyed_map, start, strides, key, generator)
    return DTensor.from_local(
        y, x.device_mesh, placements, run_check=False, shape=x.shape, stride=x.stride()
    )
