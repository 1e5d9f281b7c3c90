"""Dropout of a branch, its bias and the sum with the residual, in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from .._core import direct
from .._core._validate import check_device, check_input, refuse_nested, wrong_type, wrong_value
from .._core.contract.keep import compute_dtype
from .._core.contract.layout import MaskLayout
from ..errors import ArgumentTypeError
from ..random import Key
from ._bernoulli import inverted, numbers
from ._call import KeyedMap, check_call, compute
from ._indices import mask_map
from ._key import undrawn_on_error
from ._override import overridable
from ._rate import Probability
from ._shards import by_parts


@overridable
def dropout_add(
    input: torch.Tensor,
    residual: torch.Tensor,
    p: Probability = 0.5,
    training: bool = True,
    *,
    bias: torch.Tensor | None = None,
    key: Key | None = None,
    generator: torch.Generator | None = None,
    broadcast_dims: Sequence[int] = (),
    layout: MaskLayout | None = None,
) -> torch.Tensor:
    r"""`residual + dropout(input + bias)`, in one pass forward and one backward.

    In float32 and float64 the result equals that of `dropout` composed with torch's sums, bit for
    bit. In float16 and bfloat16 everything is computed in float32 and rounded **once**, at the end,
    where the composition rounds after each step. The gradient of `input` is rounded once too,
    and that of `bias` is summed before rounding.

    Args:
        input: Floating-point tensor: the branch.
        residual: Tensor of input's shape, and of its dtype, or float32 with a 16-bit input. The
            output has the dtype of residual. Nothing is broadcast.
        p: Drop probability in [0, 1].
        training: False returns `residual + (input + bias)`.
        bias: One value for each element of the last dimension; of input's dtype, or float32.
        key: Names the mask; nothing is drawn.
        generator: Draws the key from this generator instead of torch's default one.
        broadcast_dims: Dimensions along which all elements share one draw: all except the batch is
            drop-path with its residual.
        layout: Mask indices of a shard or a micro-batch within a larger tensor.

    Shape:
        input and residual `(..., C)`, bias `(C,)`; the output has their shape.

    Raises:
        ArgumentTypeError: An argument has a type that is not accepted, or dtypes do not fit.
        ArgumentValueError: As in `dropout`; shapes or devices differ.

    Example:
        >>> import torch, torchdropout as td
        >>> x, residual = torch.ones(4), torch.full((4,), 10.0)
        >>> td.functional.dropout_add(x, residual, 0.5, key=td.Key(0))
        tensor([12., 10., 12., 12.])

    Reference:
        The fused operation of Megatron-LM (`bias_dropout_add`) and of flash-attention
        (`dropout_add_layer_norm`).
    """
    keyed_map = inverted(p)
    x = check_call(input, training, key, generator, complex_ok=False)
    for name, tensor in (("residual", residual), ("bias", bias)):
        if isinstance(tensor, torch.Tensor) and tensor.is_nested:
            refuse_nested(name, tensor)
    _check_residual(residual, x)
    if bias is not None:
        _check_bias(bias, x)
    base, strides = mask_map(x.shape, (), broadcast_dims, layout)
    if not (training and keyed_map.active):
        return _sum(_biased(x, bias), residual)
    named = keyed_map, key, generator
    if direct.takes_add(x, residual, bias):  # `by_parts` would slow a short call
        return _fused(named, x, residual, bias, base, strides)
    tensors = {"input": x, "residual": residual, "bias": bias}
    y: torch.Tensor = by_parts(partial(_added, named), tensors, base, strides)
    return y


def _added(
    named: tuple[KeyedMap, Key | None, torch.Generator | None],
    x: torch.Tensor,
    residual: torch.Tensor,
    bias: torch.Tensor | None,
    base: int,
    strides: Sequence[int] | None,
) -> torch.Tensor:
    if direct.takes_add(x, residual, bias):
        return _fused(named, x, residual, bias, base, strides)
    keyed_map, key, generator = named
    biased = _biased(x, bias)
    with undrawn_on_error(key, generator):
        return _sum(compute(biased, keyed_map, base, strides, key, generator), residual)


def _fused(
    named: tuple[KeyedMap, Key | None, torch.Generator | None],
    x: torch.Tensor,
    residual: torch.Tensor,
    bias: torch.Tensor | None,
    base: int,
    strides: Sequence[int] | None,
) -> torch.Tensor:
    """The sum by one kernel."""
    call = partial(numbers, *named, base, strides, x)
    _, key, generator = named
    if generator is None and direct.add_draws(x):
        return direct.masked_add(x, residual, bias, call())
    with undrawn_on_error(key, generator):
        return direct.masked_add(x, residual, bias, call())


def _biased(x: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """The biased input in the compute type: exact conversions, and a sum rounded there."""
    compute = compute_dtype(x.dtype)
    return x.to(compute) if bias is None else x.to(compute) + bias.to(compute)


def _sum(value: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
    return (residual.to(value.dtype) + value).to(residual.dtype)


def _check_residual(residual: Any, x: torch.Tensor) -> None:
    check_input(residual, "residual", complex_ok=False)
    if residual.dtype not in (x.dtype, compute_dtype(x.dtype)):
        fitting = " or ".join(map(str, dict.fromkeys((x.dtype, compute_dtype(x.dtype)))))
        wrong_type("residual", f"of dtype {fitting} with an input of {x.dtype}", residual)
    if residual.shape != x.shape:
        expected = f"of the input's shape, {tuple(x.shape)} (expand it if you mean to broadcast)"
        wrong_value("residual", expected, residual)
    check_device("residual", residual, x.device)


def _check_bias(bias: Any, x: torch.Tensor) -> None:
    check_input(bias, "bias", complex_ok=False)
    if x.ndim == 0:
        raise ArgumentTypeError(
            "Expected no `bias` with an input without dimensions, got a tensor for bias."
        )
    if bias.dtype not in (x.dtype, compute_dtype(x.dtype)):
        wrong_type("bias", f"of dtype {x.dtype} or {compute_dtype(x.dtype)}", bias)
    if bias.shape != x.shape[-1:]:
        wrong_value("bias", f"of shape {tuple(x.shape[-1:])}, the input's last dimension", bias)
    check_device("bias", bias, x.device)
