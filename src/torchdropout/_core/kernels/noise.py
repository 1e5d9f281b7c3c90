"""Continuous noise in torch operations, any device, straight from `contract.noise`."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..contract.keep import compute_dtype
from ..contract.layout import sizes_drawn
from ..contract.noise import PER_BLOCK, Law, noise_of_centred
from ._fill import Draw, centred, draws


def noise_affine(
    x: torch.Tensor,
    key: torch.Tensor,
    law: int,
    factor: float,
    addend: float,
    base: int,
    strides: Sequence[int],
) -> torch.Tensor:
    """`y = x * (1 + factor * e) + addend * e`, with a noise number e for each element.

    Args:
        x: Floating-point, any strides. Its first `key.ndim - 1` dimensions are those of `key`:
            each has its own noise.
        key: `(..., 2)` int64 on the CPU: seed and stream.
        law: The distribution of e: a `contract.noise.Law`.
        factor: Rounded to the compute type, in which each operation is computed. With a factor of 0
            there is no product.
        addend: Rounded likewise; with an addend of 0 nothing is added, so that a -0.0 keeps its
            sign.
        base: Index of the first element, its 64 bits as int64.
        strides: Mask strides of the dimensions of x after those of `key`.

    Returns:
        A new tensor laid out as `torch.empty_like(x)`: values of the compute type, rounded to the
        type of x.
    """
    compute = compute_dtype(x.dtype)
    e = noise_numbers(key, x.shape[key.ndim - 1 :], law, base, strides, x.device).to(compute)
    out, y = torch.empty_like(x), x.to(compute)
    if factor != 0.0:
        y = y * (1.0 + factor * e)
    if addend != 0.0:
        e *= addend
        if compute == x.dtype:
            return torch.add(y, e, out=out)
        y = y + e
    return out.copy_(y)


def noise_numbers(
    key: torch.Tensor,
    shape: Sequence[int],
    law: int,
    base: int,
    strides: Sequence[int],
    device: torch.device,
) -> torch.Tensor:
    """The noise of tensors of `shape`, one for each key; size 1 along shared dimensions.

    Returns:
        A float32 tensor of shape `(*key.shape[:-1], *sizes)`.
    """
    of = Law(law)
    draw = Draw(
        torch.float32,
        PER_BLOCK,
        of,
        centred,
        lambda words, *_: noise_of_centred(words, of),
    )
    out = draws(draw, key.reshape(-1, 2), sizes_drawn(shape, strides), base, strides, device)
    return out.view((*key.shape[:-1], *out.shape[1:]))
