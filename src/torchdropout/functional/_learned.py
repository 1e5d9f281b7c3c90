"""Multiplicative noise with a learned parameter: its gradient, and what is kept for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch

from .._core import _torch, ops
from .._core._validate import (
    REAL,
    broadcasts,
    check_dense,
    check_device,
    refuse_nested,
    wrong_type,
    wrong_value,
)
from .._core.contract.keep import compute_dtype
from .._core.contract.layout import row_major, sizes_drawn
from .._core.contract.noise import Law
from ..random import Key
from ._indices import mask_map
from ._key import drawn
from ._shards import by_parts


class Factor(Protocol):
    """The factor w of an element, a function of the parameter and of standard noise e."""

    @property
    def law(self) -> Law:
        """The distribution of e."""

    def value(self, parameter: torch.Tensor, e: torch.Tensor) -> torch.Tensor:
        """The factor w."""

    def derivatives(
        self, parameter: torch.Tensor, e: torch.Tensor, x: torch.Tensor, gradient: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`gradient * w`, and `gradient * x` times the derivative of w by the parameter."""


class NoiseIndices(NamedTuple):
    """Which noise an element gets: mask indices over a shape that is 1 where draws are shared."""

    base: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]

    @classmethod
    def of(cls, shape: Sequence[int], broadcast_dims: Any, layout: Any) -> NoiseIndices:
        """Check the arguments of a call, and lay out its noise."""
        base, found = mask_map(shape, (), broadcast_dims, layout)
        strides = row_major(shape) if found is None else found
        sizes = sizes_drawn(shape, strides)
        return cls(base, tuple(sizes), tuple(strides))

    def noise(
        self,
        law: Law,
        key: torch.Tensor,
        dtype: torch.dtype,
        device: torch.device,
        size: float = 1.0,
    ) -> torch.Tensor:
        """The noise, float64 or float32: all that is recomputed for a backward."""
        zeros = torch.zeros(self.sizes, dtype=compute_dtype(dtype), device=device)
        return ops.noise_affine(zeros, key, law, 0.0, size, self.base, self.strides)


def check_parameter(name: str, what: str, parameter: Any, x: torch.Tensor) -> torch.Tensor:
    """Check a learned parameter: of one element, or of a shape that broadcasts to that of x."""
    if not isinstance(parameter, torch.Tensor) or parameter.dtype not in REAL:
        wrong_type(name, f"a floating-point tensor, {what}", parameter)
    if parameter.is_nested:
        refuse_nested(name, parameter)
    check_dense(name, parameter)
    check_device(name, parameter, x.device)
    if parameter.numel() == 1:
        return parameter.reshape(())
    if not broadcasts(parameter.shape, x.shape):
        expected = f"of one element, or of a shape that broadcasts to the input's, {tuple(x.shape)}"
        wrong_value(name, expected, parameter)
    return parameter


def multiplied(
    x: torch.Tensor,
    name: str,
    parameter: torch.Tensor,
    factor: Factor,
    indices: NoiseIndices,
    key: Key | None,
    generator: torch.Generator | None,
) -> torch.Tensor:
    """`x * w(parameter, e)`; draws the key, and so must run after all other checks."""

    def part(x: Any, parameter: Any, base: int, strides: Sequence[int]) -> torch.Tensor:
        of_part = NoiseIndices(base, tuple(sizes_drawn(x.shape, strides)), tuple(strides))
        with drawn(key, generator) as of_call:
            if _torch.refuses_functions():
                # A compiler decides itself what to keep and what to recompute.
                return _product(x, parameter, of_call, factor, of_part)
            y: torch.Tensor = _Multiplied.apply(x, parameter, of_call, factor, of_part)
            return y

    tensors = {"input": x, name: parameter}
    y: torch.Tensor = by_parts(part, tensors, indices.base, indices.strides)
    return y


def _product(
    x: torch.Tensor,
    parameter: torch.Tensor,
    key: torch.Tensor,
    factor: Factor,
    indices: NoiseIndices,
) -> torch.Tensor:
    wide, parameter, e = _wide(x, parameter, key, factor, indices)
    return (wide * factor.value(parameter, e)).to(x.dtype)


def _wide(
    x: torch.Tensor,
    parameter: torch.Tensor,
    key: torch.Tensor,
    factor: Factor,
    indices: NoiseIndices,
) -> tuple[torch.Tensor, ...]:
    """x, its parameter and its noise in the compute type."""
    compute = compute_dtype(x.dtype)
    e = indices.noise(factor.law, key, x.dtype, x.device)
    return x.to(compute), parameter.to(compute), e


class _Multiplied(torch.autograd.Function):
    """Keeps x, the parameter and the key, and regenerates the noise.

    The composition of torch's operations would keep several tensors of the size of x. The backward
    is such a composition, so that it has derivatives of its own.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(
        x: torch.Tensor,
        parameter: torch.Tensor,
        key: torch.Tensor,
        factor: Factor,
        indices: NoiseIndices,
    ) -> torch.Tensor:
        return _product(x, parameter, key, factor, indices)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        x, parameter, key, ctx.factor, ctx.indices = inputs
        ctx.save_for_backward(x, parameter, key)
        ctx.save_for_forward(x, parameter, key)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[Any, ...]:
        x, parameter, key = ctx.saved_tensors
        wide, wide_parameter, e = _wide(x, parameter, key, ctx.factor, ctx.indices)
        gradient = gradient.to(wide.dtype)
        of_parameter = None
        if ctx.needs_input_grad[1]:
            of_x, each = ctx.factor.derivatives(wide_parameter, e, wide, gradient)
            of_parameter = each.sum_to_size(parameter.shape).to(parameter.dtype)
        else:
            of_x = gradient * ctx.factor.value(wide_parameter, e)
        of_x = of_x.to(x.dtype) if ctx.needs_input_grad[0] else None
        return of_x, of_parameter, None, None, None

    @staticmethod
    def jvp(
        ctx: Any, of_x: torch.Tensor | None, of_parameter: torch.Tensor | None, *_: Any
    ) -> torch.Tensor:
        x, parameter, key = ctx.saved_tensors
        wide, wide_parameter, e = _wide(x, parameter, key, ctx.factor, ctx.indices)
        by_x, by_parameter = ctx.factor.derivatives(wide_parameter, e, wide, wide.new_ones(()))
        tangent: Any = 0.0
        if of_x is not None:
            tangent = tangent + by_x * of_x.to(wide.dtype)
        if of_parameter is not None:
            tangent = tangent + by_parameter * of_parameter.to(wide.dtype)
        result: torch.Tensor = tangent.to(x.dtype)
        return result
