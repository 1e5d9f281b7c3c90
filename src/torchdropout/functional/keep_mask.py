"""The mask of a dropout, without an input."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch.compiler import is_dynamo_compiling
from torch.overrides import has_torch_function

from .._core._validate import check_p, check_shape, wrong_type, wrong_value
from .._core.contract.layout import MaskLayout
from ..errors import ArgumentValueError
from ..random import Key
from ._bernoulli import unscaled
from ._call import compute
from ._indices import mask_map
from ._key import check_source
from ._override import handle, observed


def keep_mask(
    shape: Sequence[int],
    p: float | torch.Tensor,
    *,
    key: Key | None = None,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
    broadcast_dims: Sequence[int] = (),
    layout: MaskLayout | None = None,
) -> torch.Tensor:
    """The keep bits of a dropout call: True where an element is kept, with probability 1 - p.

    Every dropout with this key, p and layout uses this mask, whatever its input.

    Args:
        shape: Shape of the mask.
        p: Drop probability in [0, 1], or a tensor that broadcasts to the shape, as in `dropout`.
        key: Names the mask; nothing is drawn.
        generator: Draws the key from this generator instead of torch's default one.
        device: The device of the mask; by default torch's default device.
        broadcast_dims: Dimensions along which all elements share one draw.
        layout: Mask indices of a shard or a micro-batch within a larger tensor.

    Returns:
        A contiguous bool tensor. At p = 0 it is all True, and nothing is drawn.

    Raises:
        ArgumentTypeError: An argument has a type that is not accepted.
        ArgumentValueError: A size is negative, p is outside [0, 1], the device does not exist, both
            key and generator are given, or broadcast_dims or layout do not fit the shape.

    Example:
        >>> import torchdropout as td
        >>> td.keep_mask((2, 4), 0.5, key=td.Key(0))
        tensor([[ True, False,  True,  True],
                [ True,  True,  True,  True]])
    """
    # A tracer such as that of torch.fx records the call: a shape may contain its proxies.
    proxies = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    watched, compiling = observed(), is_dynamo_compiling()
    if watched or (not compiling and has_torch_function(proxies)):
        # A mode is not called again while it handles a call, and a default device is a mode.
        if watched and device is None and not compiling:
            device = torch.get_default_device()
        mask: torch.Tensor = handle(
            keep_mask,
            () if watched else proxies,
            *(shape, p),
            key=key,
            generator=generator,
            device=device,
            broadcast_dims=broadcast_dims,
            layout=layout,
        )
        return mask
    sizes = check_shape("shape", shape)
    if math.prod(sizes) >= 2**62:  # of two bytes each below
        wrong_value("shape", "a shape of fewer than 2**62 elements", shape)
    rates = isinstance(p, torch.Tensor) and p.ndim > 0
    if not rates:
        p = check_p(p)
    _check_device(device)
    base, strides = mask_map(sizes, (), broadcast_dims, layout)
    # Half precision is enough to tell 1 from 0, and is the smallest type the operator takes.
    ones = torch.ones(sizes, dtype=torch.bfloat16, device=device)
    check_source(key, generator, ones)
    drop = unscaled(p, ones)
    if drop.active:
        ones = compute(ones, drop, base, strides, key, generator)
    return ones.to(torch.bool)  # a comparison of bfloat16 takes longer than all the rest


def _check_device(device: torch.device | str | None) -> None:
    if device is None:
        return
    if not isinstance(device, (torch.device, str)):
        wrong_type("device", "a torch.device or the name of one", device)
    try:
        torch.device(device)
    except RuntimeError as error:
        raise ArgumentValueError(
            f"Expected `device` to be a device torch knows, got device={device!r} (str): {error}"
        ) from error
