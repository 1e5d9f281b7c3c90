"""The mechanism of DropBlock: seeds from the contract's keep bits, grown to blocks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from .. import direct, ops
from ..spec.keep import compute_dtype

_WORDS = {2: torch.int16, 4: torch.int32, 8: torch.int64}  # by the bytes of an element


class Plan(NamedTuple):
    """What a call does to each element, but for its key.

    Attributes:
        dims: How many trailing dimensions a block extends along; the channel lies before them.
        block: Side of a block.
        rate: Probability of a seed.
        scale: Factor of what is kept; None: the size of a sample's mask over what is kept of it.
        eps: Added to the number kept in that quotient.
        base: Mask index of the first seed, its 64 bits as int64.
        sizes: Of the seed map, 1 where seeds are shared.
        strides: Mask strides of the seed map.
    """

    dims: int
    block: int
    rate: float
    scale: float | None
    eps: float
    base: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]


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


def drop_blocks(x: torch.Tensor, key: torch.Tensor, plan: Plan) -> torch.Tensor:
    """`keep ? x * scale : 0`, where what is not kept are blocks."""
    if torch.compiler.is_compiling():
        # It takes no Function with a vmap rule of its own, and a mask made again from the key alone
        # it would move to the forward and keep, as it keeps this one: a byte an element.
        return _dropped(x, key, plan)
    return _DropBlocks.apply(x, key, plan)  # type: ignore[no-any-return, no-untyped-call]


class _DropBlocks(torch.autograd.Function):
    """Saves the key, 16 bytes, and makes the mask again; linear, so its own second derivative.

    Not the composition of the operator with torch's operations, which would save a mask of a byte
    an element. As the operator, it takes keys with leading dimensions: those of vmap.
    """

    @staticmethod
    def forward(x: torch.Tensor, key: torch.Tensor, plan: Plan) -> torch.Tensor:
        return _dropped(x, key, plan)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        _x, key, ctx.plan = inputs
        ctx.save_for_backward(key)
        ctx.save_for_forward(key)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[Any, ...]:
        (key,) = ctx.saved_tensors
        return drop_blocks(gradient, key, ctx.plan), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: torch.Tensor, *_: Any) -> torch.Tensor:
        (key,) = ctx.saved_tensors
        return drop_blocks(tangent, key, ctx.plan)

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, ...], x: torch.Tensor, key: torch.Tensor, plan: Plan
    ) -> tuple[torch.Tensor, int]:
        x_dim, key_dim = in_dims[:2]
        if key_dim is None:
            # One mask for all samples: a new dimension, behind those of the key, that shares it.
            assert x_dim is not None
            place = key.ndim - 1
            x = x.movedim(x_dim, place)
            plan = plan._replace(sizes=(1, *plan.sizes), strides=(0, *plan.strides))
        else:
            # A mask for each sample: a new leading dimension of the keys.
            place = 0
            key = key.movedim(key_dim, 0)
            x = x.expand(info.batch_size, *x.shape) if x_dim is None else x.movedim(x_dim, 0)
        return drop_blocks(x, key, plan), place


def _dropped(x: torch.Tensor, key: torch.Tensor, plan: Plan) -> torch.Tensor:
    words = keep_words(key, plan, x.device)
    factor: float | torch.Tensor
    if plan.scale is None:
        sample = tuple(range(-plan.dims - 1, 0))
        total = math.prod([words.shape[dim] for dim in sample])
        kept = -words.sum(sample, keepdim=True, dtype=torch.int64)
        factor = total / (kept.to(compute_dtype(x.dtype)) + plan.eps)
    else:
        factor = plan.scale  # a number, with which torch multiplies in the compute type
    # The product is laid out as empty_like(x); written into, it stays so. What is dropped is
    # selected and not multiplied away: it may be inf or NaN.
    y = (x * factor).to(x.dtype)
    if not direct.takes(y):
        return y.masked_fill_(words == 0, 0.0)
    # The same in a third of the time, where nobody looks at the operations.
    bits = y.view(_WORDS[y.element_size()])
    bits &= words.to(bits.dtype)
    return y


def keep_words(key: torch.Tensor, plan: Plan, device: torch.device) -> torch.Tensor:
    """int16, 0 where a block lies and -1, all bits, elsewhere; of size 1 along what is shared.

    The place i is covered by the seeds i to i + block - 1 of each dimension of the seed map.
    """
    ones = torch.ones((*key.shape[:-1], *plan.sizes), dtype=torch.bfloat16, device=device)
    # What is kept is -1.0, whose sign bit tells it from 0.0 and stays where all of them are kept.
    kept = ops.masked_affine(ones, key, plan.rate, -1.0, 0.0, 0.0, plan.base, plan.strides)
    words = kept.view(torch.int16)
    for dim in range(-plan.dims, 0):
        words = _all_of_next(words, dim, plan.block)
    return words >> 15


def _all_of_next(words: torch.Tensor, dim: int, count: int) -> torch.Tensor:
    """`y[i] = words[i] & ... & words[i + count - 1]`, in log2(count) steps.

    Max pooling of what is dropped is the same in count ** dims comparisons a place.
    """
    width = 1
    while width < count:
        step = min(width, count - width)
        size = words.shape[dim] - step
        words = words.narrow(dim, 0, size) & words.narrow(dim, step, size)
        width += step
    return words


def seed_sizes(shape: Sequence[int], dims: int, block: int) -> list[int]:
    """The seed map of an input: wherever a block may lie that covers a place of the map.

    Example:
        >>> seed_sizes((8, 3, 10, 12), 2, 7)
        [8, 3, 16, 18]
    """
    return [*shape[:-dims], *(size + block - 1 for size in shape[-dims:])]
