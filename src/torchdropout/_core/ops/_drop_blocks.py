"""`drop_blocks`: the operator of DropBlock; seeds from the contract's keep bits grow to blocks.

It is one operator, because a composition of `masked_affine` with torch's operations would keep a
mask of one byte per element for the backward, also in compiled code. The operator keeps only the
key and the constants. Its kernel is that composition, or on the CPU a compiled one with the same
bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from ..contract.keep import compute_dtype
from ..contract.layout import row_major, sizes_drawn
from ..kernels import _check, cpu
from ..kernels._fill import is_cpu
from ..kernels.devices import sample
from ._maps import define_map
from ._masked_affine import masked_affine

_WORDS = {2: torch.int16, 4: torch.int32, 8: torch.int64}  # by the bytes of an element


def _kernel(
    x: torch.Tensor,
    key: torch.Tensor,
    dims: int,
    block: int,
    count: bool,
    rate: float,
    scale: float,
    eps: float,
    base: int,
    strides: Sequence[int],
) -> torch.Tensor:
    if not count and key.ndim == 1 and 0.0 < rate < 1.0 and cpu.extension is not None:
        args = (x, *key.tolist(), rate, base, strides, dims, block, scale)
        compiled = cpu.extension.drop_blocks(*args)
        if compiled is not NotImplemented:
            return compiled  # type: ignore[no-any-return]
    sizes = seed_sizes(x.shape[key.ndim - 1 :], dims, block)
    # A dimension that shares its seeds needs only one.
    sizes = sizes_drawn(sizes, strides)
    words = _keep_words(key, sizes, dims, block, rate, base, strides, x.device)
    factor: float | torch.Tensor = scale  # by a float torch multiplies in the compute type
    if count:
        sample = tuple(range(-dims - 1, 0))
        total = math.prod([words.shape[dim] for dim in sample])
        kept = -words.sum(sample, keepdim=True, dtype=torch.int64)
        factor = total / (kept.to(compute_dtype(x.dtype)) + eps)
    # The product is laid out as empty_like(x), and stays so when it is written into. Dropped values
    # are masked out bitwise, not multiplied by 0: they may be inf or NaN.
    y = (x * factor).to(x.dtype)
    bits = y.view(_WORDS[y.element_size()])
    bits &= words.to(bits.dtype)
    return y


def _keep_words(
    key: torch.Tensor,
    sizes: Sequence[int],
    dims: int,
    block: int,
    rate: float,
    base: int,
    strides: Sequence[int],
    device: torch.device,
) -> torch.Tensor:
    """int16, 0 where a block lies and -1 (all bits) elsewhere; size 1 along shared dimensions.

    The place i is covered by the seeds i to i + block - 1 of each dimension of the seed map.
    """
    shape = (*key.shape[:-1], *sizes)
    # The kernels of a CPU are faster if x has memory of its own; elsewhere memory is saved.
    own = shape if is_cpu(device) else ()
    ones = torch.ones(own, dtype=torch.bfloat16, device=device).expand(shape)
    # A kept seed is -1.0: its sign bit distinguishes it from 0.0, and survives the AND of all kept.
    kept = masked_affine(ones, key, rate, -1.0, 0.0, 0.0, base, strides)
    words = kept.view(torch.int16)
    for dim in range(-dims, 0):
        words = _all_of_next(words, dim, block)
    return words >> 15


def _all_of_next(words: torch.Tensor, dim: int, count: int) -> torch.Tensor:
    """`y[i] = words[i] & ... & words[i + count - 1]`, in log2(count) steps.

    Max pooling of the dropped seeds does the same in count ** dims comparisons per place.
    """
    width = 1
    while width < count:
        step = min(width, count - width)
        size = words.shape[dim] - step
        words = words.narrow(dim, 0, size) & words.narrow(dim, step, size)
        width += step
    return words


def seed_sizes(shape: Sequence[int], dims: int, block: int) -> list[int]:
    """Sizes of the seed map of an input: all positions of blocks that cover a place of the input.

    Example:
        >>> seed_sizes((8, 3, 10, 12), 2, 7)
        [8, 3, 16, 18]
    """
    sizes = list(shape)
    for dim in range(-dims, 0):
        sizes[dim] += block - 1
    return sizes


def _samples(
    x: torch.Tensor, key: torch.Tensor, dims: int, block: int, *rest: Any
) -> Iterator[tuple[Any, ...]]:
    """Four planes of three places along each dimension; then with seeds that two of them share."""
    shape = [4] + [3] * dims
    *numbers, _base, _strides = rest
    values = sample(x)[: math.prod(shape)].view(shape)
    own = row_major(seed_sizes(shape, dims, block))
    # The smallest block of one dimension has a dozen seeds, and four of them where they are shared.
    yield values, key, dims, block, *numbers, 2**34 - 6, own
    yield values.transpose(-1, 0), key, dims, block, *numbers, 2**35 - 3, [0, *own[1:]]


_drop_blocks = define_map(
    "drop_blocks",
    "int dims, int block, bool count, float rate, float scale, float eps",
    _kernel,
    _check.check_blocks,
    _check.check_form_of_blocks,
    lambda own: own,  # linear: its own derivative
    _samples,
)


# `keep ? x * scale : 0`, where whole blocks are dropped, of side `block` in `dims` trailing
# dimensions, from seeds of probability `rate`. With `count` the scale is the size of a sample's
# mask over the number kept of it plus `eps`. The strides are those of the seed map, whose sizes are
# those of x, with `block - 1` added along the dimensions of blocks.
drop_blocks: Callable[..., torch.Tensor] = _drop_blocks


def drop_blocks_of(
    x: torch.Tensor,
    key: torch.Tensor,
    constants: torch.Tensor,
    dims: int,
    block: int,
    count: bool,
    base: int,
    strides: Sequence[int],
) -> torch.Tensor:
    """`drop_blocks` with rate, scale and eps in one float64 tensor on the CPU."""
    operator = torch.ops.torchdropout.drop_blocks.tensor
    y: torch.Tensor = operator(x, key, constants, dims, block, count, False, base, strides)
    return y
