"""The short way: the compiled kernel run on addresses, for calls that only autograd looks at.

An operator costs a few microseconds before it does anything: the dispatcher, boxing, a tensor for
the key, and most of all an autograd kernel in Python. That is nothing on a large tensor and more
than all the rest on a small one. Where no mode, transform, tracer, compiler or subclass could see
the difference, this module skips it. The bits and what is drawn are those of `ops`.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import torch
from torch.autograd import forward_ad

from . import ops
from .kernels import cpu
from .spec.keep import compute_dtype
from .spec.layout import row_major
from .spec.seed import as_int64

_are_transforms_active = torch._C._are_functorch_transforms_active
_count_modes = torch._C._len_torch_dispatch_stack
_is_profiled = torch._C._autograd._profiler_enabled
_tracing_state = torch._C._get_tracing_state


def takes(x: torch.Tensor) -> bool:
    """True where this way is open to x: a plain CPU tensor, and nobody watching but autograd."""
    if torch.compiler.is_compiling():
        return False
    kind = type(x)
    return (
        (kind is torch.Tensor or kind is torch.nn.Parameter)
        and cpu.runs(x)
        and x.is_cpu
        and x.layout is torch.strided
        and not _are_transforms_active()
        and _count_modes() == 0
        and forward_ad._current_level < 0
        and _tracing_state() is None
        and not _is_profiled()
        # Lazily conjugated, negated or zero tensors: their memory does not hold their values.
        and not (x.is_neg() or x.is_conj() or x._is_zerotensor())
    )


class _Scratch(threading.local):
    """A tensor for each thread to draw a seed into, which costs less than a new one."""

    def __init__(self) -> None:
        with torch.inference_mode(False):
            self.seed = torch.empty((), dtype=torch.int64, device="cpu")


_scratch = _Scratch()


def draw_seed() -> int:
    """A seed from torch's default CPU generator: the same draw as `ops.draw_key`'s."""
    return int(_scratch.seed.random_(-(2**63), None))


class Mask:
    """What says which elements are kept: key, p and the map to mask indices."""

    __slots__ = ("base", "p", "seed", "stream", "strides")

    def __init__(
        self, seed: int, stream: int, p: float, base: int, strides: Sequence[int] | None
    ) -> None:
        """Strides None: row-major."""
        self.seed, self.stream, self.p, self.base, self.strides = seed, stream, p, base, strides

    def linear(self, x: torch.Tensor, scale: float) -> torch.Tensor:
        """`keep ? x * scale : 0`, by this way or by the operator."""
        if takes(x):
            return masked_affine(x, self, scale, 0.0, 0.0)
        seed, stream = as_int64(self.seed % 2**64), self.stream
        key = torch.tensor([seed, stream], dtype=torch.int64, device="cpu")
        strides = row_major(x.shape) if self.strides is None else self.strides
        return ops.masked_affine(x, key, self.p, scale, 0.0, 0.0, self.base, strides)


def masked_affine(
    x: torch.Tensor, mask: Mask, scale: float, shift: float, drop_value: float
) -> torch.Tensor:
    """`ops.masked_affine` where `takes(x)`."""
    if x.requires_grad and torch.is_grad_enabled():
        return _MaskedAffine.apply(x, False, mask, scale, shift, drop_value)  # type: ignore[no-any-return,no-untyped-call]
    return _affine_into(torch.empty_like(x), x, mask, scale, shift, drop_value)


def masked_affine_(
    x: torch.Tensor, mask: Mask, scale: float, shift: float, drop_value: float
) -> torch.Tensor:
    """The same written into x, where `takes(x)`."""
    if x.requires_grad and torch.is_grad_enabled():
        return _MaskedAffine.apply(x, True, mask, scale, shift, drop_value)  # type: ignore[no-any-return,no-untyped-call]
    return masked_affine_out(x, x, mask, scale, shift, drop_value)


def masked_affine_out(
    out: torch.Tensor, x: torch.Tensor, mask: Mask, scale: float, shift: float, drop_value: float
) -> torch.Tensor:
    """The same written into `out`, of x's shape and type, where `takes` both; no gradient."""
    _affine_into(out, x, mask, scale, shift, drop_value)
    if not out.is_inference():
        # Written behind autograd's back: it shall notice where the old values were saved.
        torch.autograd.graph.increment_version(out)
    return out


def _affine_into(
    y: torch.Tensor, x: torch.Tensor, m: Mask, scale: float, shift: float, drop_value: float
) -> torch.Tensor:
    cpu.masked_affine(x, y, m.seed, m.stream, m.p, scale, shift, drop_value, m.base, m.strides)
    return y


class _MaskedAffine(torch.autograd.Function):
    """Keeps numbers, no tensor, for the backward; linear, so its own derivative of every order."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        inplace: bool,
        mask: Mask,
        scale: float,
        shift: float,
        drop_value: float,
    ) -> torch.Tensor:
        ctx.mask, ctx.scale = mask, scale
        if inplace:
            ctx.mark_dirty(x)
            y = x
        else:
            y = torch.empty_like(x)
        return _affine_into(y, x, mask, scale, shift, drop_value)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        return ctx.mask.linear(gradient, ctx.scale), None, None, None, None, None


# --- residual + dropout(x + bias) ------------------------------------------------------------------


def takes_add(x: torch.Tensor, residual: torch.Tensor, bias: torch.Tensor | None) -> bool:
    """True where this way is open to each."""
    return takes(x) and takes(residual) and (bias is None or takes(bias))


def masked_add(
    x: torch.Tensor,
    residual: torch.Tensor,
    bias: torch.Tensor | None,
    mask: Mask,
    scale: float,
) -> torch.Tensor:
    """`residual + (keep ? (x + bias) * scale : 0)` in the compute type, where `takes_add`."""
    if torch.is_grad_enabled() and (
        x.requires_grad or residual.requires_grad or (bias is not None and bias.requires_grad)
    ):
        return _MaskedAdd.apply(x, residual, bias, mask, scale)  # type: ignore[no-any-return,no-untyped-call]
    return _add(x, residual, bias, mask, scale)


def _add(
    x: torch.Tensor,
    residual: torch.Tensor,
    bias: torch.Tensor | None,
    m: Mask,
    scale: float,
) -> torch.Tensor:
    y = torch.empty_like(residual)
    wide = None if bias is None else bias.to(compute_dtype(x.dtype))
    cpu.masked_add(x, residual, wide, y, m.seed, m.stream, m.p, scale, m.base, m.strides)
    return y


class _MaskedAdd(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        residual: torch.Tensor,
        bias: torch.Tensor | None,
        mask: Mask,
        scale: float,
    ) -> torch.Tensor:
        ctx.mask, ctx.scale, ctx.x_dtype = mask, scale, x.dtype
        ctx.bias_dtype = None if bias is None else bias.dtype
        return _add(x, residual, bias, mask, scale)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        for_x, for_residual, for_bias = ctx.needs_input_grad[:3]
        x_gradient = bias_gradient = None
        if for_bias:
            x_gradient, bias_gradient = _gradient_and_sums(ctx, gradient)
        elif for_x:
            x_gradient = _gradient(ctx, gradient)
        return x_gradient, gradient if for_residual else None, bias_gradient, None, None


def _is_final(gradient: torch.Tensor) -> bool:
    """True where no gradient of this gradient is wanted and a kernel may read it."""
    return not (torch.is_grad_enabled() and gradient.requires_grad) and takes(gradient)


def _gradient(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
    if not _is_final(gradient):
        wide = gradient.to(compute_dtype(ctx.x_dtype))
        return ctx.mask.linear(wide, ctx.scale).to(ctx.x_dtype)  # type: ignore[no-any-return]
    y = torch.empty_like(gradient, dtype=ctx.x_dtype)
    return _affine_into(y, gradient, ctx.mask, ctx.scale, 0.0, 0.0)


def _gradient_and_sums(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    m: Mask = ctx.mask
    compute = compute_dtype(ctx.x_dtype)
    if m.strides is None and gradient.is_contiguous() and _is_final(gradient):
        y = torch.empty_like(gradient, dtype=ctx.x_dtype)
        sums = torch.empty(gradient.shape[-1:], dtype=compute, device="cpu")
        cpu.masked_sums(gradient, y, sums, m.seed, m.stream, m.p, ctx.scale, m.base)
        return y, sums.to(ctx.bias_dtype)
    wide = m.linear(gradient.to(compute), ctx.scale)
    sums = wide.sum(tuple(range(wide.ndim - 1)))
    return wide.to(ctx.x_dtype), sums.to(ctx.bias_dtype)
