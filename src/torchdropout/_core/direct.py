"""The direct path: run the compiled kernel on addresses, for calls that only autograd observes.

An operator costs a few microseconds before it does anything: the dispatcher, boxing, a tensor for
the key, and most of all an autograd kernel in Python. On a large tensor that is negligible, on a
small one it is more than all the rest. If no mode, transform, tracer, compiler or subclass could
see the difference, this module skips it. The bits and the draws are those of `ops`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.compiler import is_dynamo_compiling

from . import _torch, ops
from .contract.keep import compute_dtype
from .contract.layout import row_major
from .contract.seed import as_int64, draw_seeds, refuse_capture
from .kernels import cpu, devices

# None if there are no kernels, or if torch lacks a name that this path needs.
_C: Any = cpu.extension if _torch.short_way() else None


class AffineCall(NamedTuple):
    """Which elements are kept, and what happens to each: the operator's arguments, as numbers."""

    seed: int | torch.Tensor | None  # None: to be drawn; a tensor: the key, on a GPU
    stream: int
    p: float
    base: int
    scale: float
    shift: float
    drop_value: float
    strides: Sequence[int] | None  # of the mask; None: row-major


def takes(x: torch.Tensor) -> bool:
    """True if the direct path is open to x: a plain CPU tensor, observed by autograd only.

    It is closed to subclasses, other devices and layouts, lazily conjugated or negated tensors, and
    under modes, transforms, tracers, forward-mode levels, the profiler and the compiler.
    """
    return not is_dynamo_compiling() and _C is not None and _C.plain(x)


def draw_seed() -> int:
    """Draw a seed from torch's default CPU generator: the same draw as that of `ops.draw_key`."""
    if _C is None:
        return int(draw_seeds(())) % 2**64
    refuse_capture()
    return _C.draw_seed()  # type: ignore[no-any-return]


def masked_affine(x: torch.Tensor, call: tuple[Any, ...]) -> torch.Tensor | None:
    """`ops.masked_affine`, or None if the direct path is closed to x; then nothing is drawn.

    Args:
        x: The input.
        call: The fields of `AffineCall`, as a plain tuple, which is faster to make.
    """
    if _C is None or is_dynamo_compiling():
        return None
    y = _C.masked_affine(x, call)
    return None if y is NotImplemented else y


def masked_affine_into(
    out: torch.Tensor, x: torch.Tensor, call: tuple[Any, ...]
) -> torch.Tensor | None:
    """`masked_affine` written into `out`, or None if this may not be allowed.

    None does not mean that `out` is valid: it may have another type or shape, or overlap x.
    """
    if _C is None or is_dynamo_compiling():
        return None
    if _C.masked_affine_into(x, out, call) is NotImplemented:
        return None
    # Autograd did not see the write: it must notice if the old values were saved.
    torch.autograd.graph.increment_version(out)
    return out


def dropout(
    x: Any, p: Any, shared: tuple[int, ...] = (), out: torch.Tensor | None = None
) -> torch.Tensor | None:
    """Dropout of any x with a drawn key, or None if the direct path is closed to an argument.

    This is the shortest path, for the most common calls.

    Args:
        x: The input.
        p: The drop probability.
        shared: Dimensions along which draws are shared; negative ones close the path.
        out: Written into.
    """
    if _C is None or is_dynamo_compiling():
        return None
    y = _C.dropout(x, p, shared, out)
    if y is NotImplemented:
        return None
    if out is not None:  # autograd did not see the write
        torch.autograd.graph.increment_version(out)
    return y  # type: ignore[no-any-return]


def masked_affine_(x: torch.Tensor, call: AffineCall) -> torch.Tensor:
    """Write the result of `masked_affine` into x; requires `takes(x)`."""
    if x.requires_grad and torch.is_grad_enabled():
        return _apply_affine(x, True, call)  # type: ignore[no-any-return]
    return masked_affine_out(x, x, call)


def masked_affine_out(out: torch.Tensor, x: torch.Tensor, call: AffineCall) -> torch.Tensor:
    """Write the result into `out`, of x's shape and dtype, without gradient; `takes` both."""
    _C.affine(x, out, call)
    return _written(out)


def _written(out: torch.Tensor) -> torch.Tensor:
    """Let autograd know of a write that it did not see, if the old values were saved."""
    if not out.is_inference():
        torch.autograd.graph.increment_version(out)
    return out


def _linear(gradient: torch.Tensor, call: tuple[Any, ...]) -> torch.Tensor:
    """`keep ? gradient * scale : 0`, by the direct path or by the operator."""
    seed, stream, p, base, scale, _shift, _drop_value, strides = call
    y = masked_affine(gradient, (seed, stream, p, base, scale, 0.0, 0.0, strides))
    if y is not None:
        return y
    if strides is None:
        strides = row_major(gradient.shape)
    return ops.masked_affine(gradient, _key(seed, stream), p, scale, 0.0, 0.0, base, strides)


def _key(seed: int | torch.Tensor | None, stream: int) -> torch.Tensor:
    """The key of a call as an operator takes it."""
    if isinstance(seed, torch.Tensor):
        return seed
    assert seed is not None
    return torch.tensor([as_int64(seed), stream], dtype=torch.int64, device="cpu")


class _MaskedAffine(torch.autograd.Function):
    """Keep numbers, not tensors, for the backward; linear, so its own derivative of every order."""

    if _C is not None:
        forward = staticmethod(_C.affine_forward)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        """Compute the kernel's backward, for compiled autograd, which reads this method."""
        return _linear(gradient, ctx.map), None, None


def _short(function: Any, backward: Any) -> Any:
    """Return what `Function.apply` finally calls; from then on its node calls `backward`."""
    if _C is None:
        return None
    _torch.set_backward(function, backward)
    return super(torch.autograd.Function, function).apply


_apply_affine = _short(_MaskedAffine, _C and _C.affine_backward)


# --- residual + dropout(x + bias) ----------------------------------------------------------------


def takes_add(x: torch.Tensor, residual: torch.Tensor, bias: torch.Tensor | None) -> bool:
    """True if a kernel for the sum may read each of them: the CPU's, or Triton's."""
    each = (x, residual) if bias is None else (x, residual, bias)
    return all(map(takes, each)) or all(map(_for_triton, each))


def _for_triton(x: torch.Tensor) -> bool:
    """True if x is a plain tensor that Triton's kernels may serve, observed by autograd only."""
    return (
        not is_dynamo_compiling()
        and type(x) in (torch.Tensor, torch.nn.Parameter)
        and devices.serve(x)
        and _torch.unwatched()
        and x.layout == torch.strided
        and not x.is_neg()
    )


def add_draws(x: torch.Tensor) -> bool:
    """Whether `masked_add` of x itself draws a missing seed, last: the kernel of the CPU does."""
    return not devices.serve(x)


def masked_add(
    x: torch.Tensor,
    residual: torch.Tensor,
    bias: torch.Tensor | None,
    call: AffineCall,
) -> torch.Tensor:
    """`residual + (keep ? (x + bias) * scale : 0)` in the compute type; requires `takes_add`."""
    if torch.is_grad_enabled() and (
        x.requires_grad or residual.requires_grad or (bias is not None and bias.requires_grad)
    ):
        return _apply_add(x, residual, bias, call)  # type: ignore[no-any-return]
    return _add(x, residual, bias, call)[0]


def _add(
    x: torch.Tensor,
    residual: torch.Tensor,
    bias: torch.Tensor | None,
    call: AffineCall,
) -> tuple[torch.Tensor, AffineCall]:
    """The sum, and the call with its seed, which is drawn last if it is None."""
    if devices.serve(x):
        return ops.dropout_add(x, _key(*call[:2]), residual, bias, *_mask(call, x)), call
    wide = None if bias is None else bias.to(compute_dtype(x.dtype))
    y = torch.empty_like(residual)
    if call.seed is None:
        call = call._replace(seed=draw_seed())
    return _C.add(x, residual, wide, y, call), call


class _MaskedAdd(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        residual: torch.Tensor,
        bias: torch.Tensor | None,
        call: AffineCall,
    ) -> torch.Tensor:
        y, ctx.call = _add(x, residual, bias, call)
        ctx.x_dtype = x.dtype
        ctx.bias_dtype = None if bias is None else bias.dtype
        return y

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        for_x, for_residual, for_bias = ctx.needs_input_grad[:3]
        x_gradient = bias_gradient = None
        if for_bias:
            x_gradient, bias_gradient = _gradient_and_sums(ctx, gradient)
        elif for_x:
            x_gradient = _gradient(ctx, gradient)
        return x_gradient, gradient if for_residual else None, bias_gradient, None


# Without compiled kernels for the CPU there may still be Triton's.
_apply_add = _short(_MaskedAdd, _MaskedAdd.backward) or _MaskedAdd.apply


def _mask(call: AffineCall, x: torch.Tensor) -> tuple[float, float, int, Sequence[int]]:
    """The last arguments of the operators of the sum."""
    strides = row_major(x.shape) if call.strides is None else call.strides
    return call.p, call.scale, call.base, strides


def _is_final(gradient: torch.Tensor) -> bool:
    """True if no gradient of this gradient is required and a kernel may read it."""
    if torch.is_grad_enabled() and gradient.requires_grad:
        return False
    return takes(gradient) or _for_triton(gradient)


def _by_operator(
    ctx: Any, gradient: torch.Tensor, summed: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    mask = _mask(ctx.call, gradient)
    return ops.dropout_add_backward(gradient, _key(*ctx.call[:2]), ctx.x_dtype, summed, *mask)


def _gradient(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
    if not _is_final(gradient):
        wide = gradient.to(compute_dtype(ctx.x_dtype))
        return _linear(wide, ctx.call).to(ctx.x_dtype)
    if devices.serve(gradient):
        return _by_operator(ctx, gradient, summed=False)[0]
    return _C.affine(gradient, torch.empty_like(gradient, dtype=ctx.x_dtype), ctx.call)  # type: ignore[no-any-return]


def _gradient_and_sums(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    compute = compute_dtype(ctx.x_dtype)
    if devices.serve(gradient) and _is_final(gradient):
        y, sums = _by_operator(ctx, gradient, summed=True)
        return y, sums.to(ctx.bias_dtype)
    if ctx.call.strides is None and gradient.is_contiguous() and _is_final(gradient):
        y = torch.empty_like(gradient, dtype=ctx.x_dtype)
        sums = torch.empty(gradient.shape[-1:], dtype=compute, device="cpu")
        _C.sums(gradient, y, sums, ctx.call)
        return y, sums.to(ctx.bias_dtype)
    wide = _linear(gradient.to(compute), ctx.call)
    sums = wide.sum(tuple(range(wide.ndim - 1))) if wide.ndim > 1 else wide
    return wide.to(ctx.x_dtype), sums.to(ctx.bias_dtype)


# --- continuous noise ----------------------------------------------------------------------------


def noise_affine(x: torch.Tensor, call: tuple[Any, ...]) -> torch.Tensor | None:
    """`ops.noise_affine`, or None if the direct path is closed to x; then nothing is drawn.

    Args:
        x: The input, not complex.
        call: Seed (None: to be drawn), stream, law, factor, addend, base, mask strides or None.
    """
    if not takes(x):
        return None
    if x.requires_grad and torch.is_grad_enabled():
        return _apply_noise(x, call)  # type: ignore[no-any-return]
    return _noise(x, call)[0]


def noise_affine_into(
    out: torch.Tensor, x: torch.Tensor, call: tuple[Any, ...]
) -> torch.Tensor | None:
    """`noise_affine` written into `out`, or None if this may not be allowed."""
    if _C is None or is_dynamo_compiling() or not _C.writable(x, out):
        return None
    return noise_affine_out(out, x, call)


def noise_affine_out(out: torch.Tensor, x: torch.Tensor, call: tuple[Any, ...]) -> torch.Tensor:
    """Write the result into `out`, of x's shape and dtype, without gradient; `takes` both."""
    if call[0] is None:
        call = (draw_seed(), *call[1:])
    _C.noise(x, out, call)
    return _written(out)


def _noise(x: torch.Tensor, call: tuple[Any, ...]) -> tuple[torch.Tensor, tuple[Any, ...]]:
    """The result, and the call with its seed, which is drawn last if it is None."""
    y = torch.empty_like(x)
    if call[0] is None:
        call = (draw_seed(), *call[1:])
    return _C.noise(x, y, call), call


class _NoiseAffine(torch.autograd.Function):
    """Keep numbers, not tensors, for the backward."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, call: tuple[Any, ...]) -> torch.Tensor:
        y, ctx.call = _noise(x, call)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        seed, stream, law, factor, _addend, base, strides = ctx.call
        if factor == 0.0:  # the addend does not enter the derivative
            return gradient, None
        if _is_final(gradient):
            return _noise(gradient, (seed, stream, law, factor, 0.0, base, strides))[0], None
        if strides is None:
            strides = row_major(gradient.shape)
        return ops.noise_affine(gradient, _key(seed, stream), law, factor, 0.0, base, strides), None


_apply_noise = _short(_NoiseAffine, _NoiseAffine.backward)


if _C is not None:
    with torch.inference_mode(False):  # the tensor that it makes for draws must stay writable
        try:
            _C.connect(
                torch.Tensor,
                torch.nn.Parameter,
                torch.empty_like,
                _torch.WATCHERS,
                *_torch.LEVEL,
                *_torch.PROFILER,
                _apply_affine,
                _linear,
            )
        except RuntimeError as error:
            _torch.close_short_way("torch:Tensor.__dlpack_c_exchange_api__", str(error))
            _C = None
