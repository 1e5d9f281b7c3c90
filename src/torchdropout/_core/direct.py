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


class Call(NamedTuple):
    """What happens to each element, and which draws it takes: an operator's arguments as numbers.

    Where time counts it is a plain tuple, which is faster to make.
    """

    is_noise: bool
    seed: int | torch.Tensor | None  # None: to be drawn; a tensor: the key, on a GPU
    stream: int
    base: int
    strides: Sequence[int] | None  # of the mask; None: row-major
    constants: tuple[Any, ...]  # p, scale, shift and drop value, or law, factor and addend


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


def by_kernel(
    x: torch.Tensor, call: tuple[Any, ...], out: Any = None, checked: bool = False
) -> torch.Tensor | None:
    """The result of the call's operator, or None if the direct path is closed; nothing is drawn.

    Args:
        x: The input; not complex for noise.
        call: The fields of `Call`.
        out: Written into; x itself for a call in place.
        checked: Whether it is known that the result may be written into `out`. Otherwise None says
            that this does not show at once, and not that it may not.
    """
    if is_dynamo_compiling():
        return None
    if checked and out is not None and out.requires_grad and _torch.is_view(out):
        return None  # torch has rules for writing into a view that has a gradient
    if _C is not None:
        y = _C.by_kernel(x, out, checked, call)
        if y is not NotImplemented:
            return y  # type: ignore[no-any-return]
    return _on_gpu(x, call) if out is None and _for_triton(x) else None


def dropout(
    x: Any,
    p: Any,
    shared: tuple[Any, ...],
    training: Any,
    inplace: Any,
    key: Any,
    generator: Any,
    broadcast_dims: Any,
    layout: Any,
    out: Any,
    is_alpha: bool = False,
) -> torch.Tensor | None:
    """A dropout of torch with a drawn key and no layout, or the identity; None for other calls.

    This is the shortest path, for the most common calls. The arguments are those of the caller, not
    yet checked, except two of the variant: `shared` has the dimensions along which it shares draws,
    or for each rank of x these dimensions, and None where that rank needs more than this path does.
    Of alpha dropout (`is_alpha`) this path has the identity and p = 1.
    """
    if is_dynamo_compiling():
        return None
    if _C is not None:
        y = _C.dropout(
            x, p, shared, training, inplace, key, generator, broadcast_dims, layout, out, is_alpha
        )
        if y is not NotImplemented:
            return y  # type: ignore[no-any-return]
    if (
        (type(p) is float and 0.0 < p < 1.0 and training is True and inplace is False)
        and (key is None and generator is None and layout is None and out is None)
        and not (shared or is_alpha)
        and (type(broadcast_dims) is tuple and not broadcast_dims)
        and _for_triton(x)
    ):
        return _on_gpu(x, (False, None, 0, 0, None, (p, 1.0 / (1.0 - p), 0.0, 0.0)))
    return None


def _linear(gradient: torch.Tensor, call: tuple[Any, ...]) -> torch.Tensor:
    """The derivative of a call, by the direct path or by the operator."""
    is_noise, seed, stream, base, strides, constants = call
    if is_noise and constants[1] == 0.0:  # y = x + noise
        return gradient
    operator: Any = ops.noise_affine if is_noise else ops.masked_affine
    constants = (*constants[:2], *[0.0] * (len(constants) - 2))
    y = by_kernel(gradient, (is_noise, seed, stream, base, strides, constants))
    if y is not None:
        return y
    if strides is None:
        strides = row_major(gradient.shape)
    return operator(gradient, _key(seed, stream), *constants, base, strides)  # type: ignore[no-any-return]


def _key(seed: int | torch.Tensor | None, stream: int) -> torch.Tensor:
    """The key of a call as an operator takes it."""
    if isinstance(seed, torch.Tensor):
        return seed
    assert seed is not None
    return torch.tensor([as_int64(seed), stream], dtype=torch.int64, device="cpu")


class _Dropout(torch.autograd.Function):
    """Keep numbers, not tensors, for the backward; the derivative of every order is another map."""

    if _C is not None:
        forward = staticmethod(_C.forward)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        """Compute the kernel's backward, for compiled autograd, which reads this method."""
        return _linear(gradient, ctx.call), None, None


def _short(function: Any, backward: Any) -> Any:
    """Return what `Function.apply` finally calls; from then on its node calls `backward`."""
    if _C is None:
        return None
    _torch.set_backward(function, backward)
    return super(torch.autograd.Function, function).apply


_apply = _short(_Dropout, _C and _C.backward)


# --- on a GPU -------------------------------------------------------------------------------------


def _on_gpu(x: torch.Tensor, call: tuple[Any, ...]) -> torch.Tensor | None:
    """The result by Triton's kernel, if a call of the operator has shown that it runs."""
    kernel = devices.ready("noise_affine" if call[0] else "masked_affine", x)
    if kernel is None or isinstance(call[1], torch.Tensor):
        return None
    try:
        if x.requires_grad and torch.is_grad_enabled():
            return _apply_on_gpu(x, call, kernel)  # type: ignore[no-any-return]
        return _launch(x, call, kernel)[0]
    except devices.FAULTS:
        raise
    except Exception:  # before anything was drawn: the operator says why
        return None


def _launch(
    x: torch.Tensor, call: tuple[Any, ...], kernel: Any
) -> tuple[torch.Tensor, tuple[Any, ...]]:
    """The result, and the call with its seed, which is drawn last if it is None."""
    is_noise, seed, stream, base, strides, constants = call

    def key() -> tuple[int, int]:
        nonlocal seed
        if seed is None:
            seed = draw_seed()
        return as_int64(seed), stream

    y = kernel(x, key, *constants, base, strides)
    return y, (is_noise, seed, stream, base, strides, constants)


class _OnGPU(torch.autograd.Function):
    """As `_Dropout`, with the kernel of `_launch`."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, call: tuple[Any, ...], kernel: Any) -> torch.Tensor:
        y, ctx.call = _launch(x, call, kernel)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        return _linear(gradient, ctx.call), None, None


_apply_on_gpu = _short(_OnGPU, _OnGPU.backward) or _OnGPU.apply


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
    call: Call,
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
    call: Call,
) -> tuple[torch.Tensor, Call]:
    """The sum, and the call with its seed, which is drawn last if it is None."""
    if devices.serve(x):
        return ops.dropout_add(x, _key(*call[1:3]), residual, bias, *_mask(call, x)), call
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
        call: Call,
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


def _mask(call: Call, x: torch.Tensor) -> tuple[float, float, int, Sequence[int]]:
    """The last arguments of the operators of the sum."""
    strides = row_major(x.shape) if call.strides is None else call.strides
    p, scale, *_ = call.constants
    return p, scale, call.base, strides


def _is_final(gradient: torch.Tensor) -> bool:
    """True if no gradient of this gradient is required and a kernel may read it."""
    if torch.is_grad_enabled() and gradient.requires_grad:
        return False
    return takes(gradient) or _for_triton(gradient)


def _by_operator(
    ctx: Any, gradient: torch.Tensor, summed: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    mask = _mask(ctx.call, gradient)
    return ops.dropout_add_backward(gradient, _key(*ctx.call[1:3]), ctx.x_dtype, summed, *mask)


def _gradient(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
    if not _is_final(gradient):
        wide = gradient.to(compute_dtype(ctx.x_dtype))
        return _linear(wide, ctx.call).to(ctx.x_dtype)
    if devices.serve(gradient):
        return _by_operator(ctx, gradient, summed=False)[0]
    return _C.write(gradient, torch.empty_like(gradient, dtype=ctx.x_dtype), ctx.call)  # type: ignore[no-any-return]


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
                _apply,
                _linear,
                torch.autograd.graph.increment_version,
            )
        except RuntimeError as error:
            _torch.close_short_way("torch:Tensor.__dlpack_c_exchange_api__", str(error))
            _C = None
