"""The output of a layer with independent normal weights, sampled instead of the weights.

`y = f(x, mean of the weights) + sqrt(f(x^2, their variance)) * e` has the distribution of
`f(x, W)` (local reparametrisation, Kingma et al. 2015), with one noise value for each output.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import torch

from .._core import _torch
from .._core.contract.keep import compute_dtype
from .._core.contract.noise import Law
from ._autocast import autocast_dtype
from ._learned import NoiseIndices


class Linear(NamedTuple):
    """`x @ weight.T`."""

    def value(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """The output."""
        return torch.nn.functional.linear(x, weight)

    def gradients(
        self, gradient: torch.Tensor, x: torch.Tensor, weight: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The gradients of the input and the weights."""
        rows, columns = x.reshape(-1, x.shape[-1]), gradient.reshape(-1, weight.shape[0])
        return gradient @ weight, columns.T @ rows


class Convolution(NamedTuple):
    """A convolution in two dimensions, of an input that has a batch dimension."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int

    def value(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """The output."""
        return torch.nn.functional.conv2d(x, weight, None, *self)

    def gradients(
        self, gradient: torch.Tensor, x: torch.Tensor, weight: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The gradients of the input and the weights."""
        stride, padding, dilation, groups = self
        of_x, of_weight, _ = torch.ops.aten.convolution_backward(
            *(gradient, x, weight, None, stride, padding, dilation),
            *(False, [0, 0], groups, [True, True, False]),
        )
        return of_x, of_weight


Bilinear: TypeAlias = Linear | Convolution  # without the bias


def variance(x: torch.Tensor, log_sigma2: torch.Tensor, layer: Bilinear) -> torch.Tensor:
    """`layer(x^2, exp(log_sigma2))`: the variance of each output.

    Computed in float32 where `layer(x)` is float16, which overflows at the square of 256.
    """
    if _torch.refuses_functions():
        return _variance(x, log_sigma2, layer)
    y: torch.Tensor = _Variance.apply(x, log_sigma2, layer)
    return y


def _variance(x: torch.Tensor, log_sigma2: torch.Tensor, layer: Bilinear) -> torch.Tensor:
    dtype = autocast_dtype(x) or torch.promote_types(x.dtype, log_sigma2.dtype)
    if dtype != torch.float16:
        return layer.value(x.square(), log_sigma2.exp())
    if x.device.type == "meta":
        return layer.value(x.float().square(), log_sigma2.float().exp())
    with torch.autocast(x.device.type, enabled=False):
        return layer.value(x.float().square(), log_sigma2.float().exp())


class _Variance(torch.autograd.Function):
    """Keeps x and the parameter, which are kept anyway, and recomputes the squares."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: torch.Tensor, log_sigma2: torch.Tensor, layer: Bilinear) -> torch.Tensor:
        return _variance(x, log_sigma2, layer)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        x, log_sigma2, ctx.layer = inputs
        ctx.save_for_backward(x, log_sigma2)
        ctx.save_for_forward(x, log_sigma2)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[Any, ...]:
        x, log_sigma2 = ctx.saved_tensors
        # Under autocast the output, and perhaps x, has a narrower type than what is kept; for
        # float16 the output has a wider one.
        dtype = torch.promote_types(torch.promote_types(x.dtype, log_sigma2.dtype), gradient.dtype)
        sigma2 = log_sigma2.to(dtype).exp()
        of_square, of_sigma2 = ctx.layer.gradients(gradient.to(dtype), x.to(dtype).square(), sigma2)
        of_x, of_log = of_square * x.to(dtype) * 2, of_sigma2 * sigma2
        return of_x.to(x.dtype), of_log.to(log_sigma2.dtype), None

    @staticmethod
    def jvp(
        ctx: Any, of_x: torch.Tensor | None, of_log: torch.Tensor | None, *_: Any
    ) -> torch.Tensor:
        x, log_sigma2 = ctx.saved_tensors
        if torch.float16 in (x.dtype, log_sigma2.dtype):
            x, log_sigma2 = x.float(), log_sigma2.float()
        sigma2 = log_sigma2.exp()
        tangent: Any = 0.0
        if of_x is not None:
            tangent = tangent + ctx.layer.value(2 * x * of_x, sigma2)
        if of_log is not None:
            tangent = tangent + ctx.layer.value(x.square(), sigma2 * of_log)
        return tangent  # type: ignore[no-any-return]


def sampled(
    mean: torch.Tensor, variance: torch.Tensor, indices: NoiseIndices, key: torch.Tensor
) -> torch.Tensor:
    """`mean + sqrt(variance) * e`, e standard normal."""
    if _torch.refuses_functions():
        return _sum(mean, variance, key, indices)
    y: torch.Tensor = _Sampled.apply(mean, variance, key, indices)
    return y


def _sum(
    mean: torch.Tensor, variance: torch.Tensor, key: torch.Tensor, indices: NoiseIndices
) -> torch.Tensor:
    compute = compute_dtype(mean.dtype)
    e = indices.noise(Law.NORMAL, key, mean.dtype, mean.device)
    return torch.addcmul(mean.to(compute), _root(variance.to(compute)), e).to(mean.dtype)


def _root(variance: torch.Tensor) -> torch.Tensor:
    """The square root, with a derivative of 0 at 0.

    There the noise is 0 whatever e is, and its derivative is defined as 0 instead of NaN. Adding
    the common 1e-8 under the root would add noise to every output.
    """
    if not torch.is_grad_enabled():
        return variance.sqrt()
    none = variance == 0
    return torch.where(none, 0.0, torch.where(none, 1.0, variance).sqrt())


class _Sampled(torch.autograd.Function):
    """Keeps the key, and the variance, which would take the time of a layer to recompute."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        mean: torch.Tensor, variance: torch.Tensor, key: torch.Tensor, indices: NoiseIndices
    ) -> torch.Tensor:
        return _sum(mean, variance, key, indices)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        mean, variance, key, ctx.indices = inputs
        ctx.dtype = mean.dtype
        ctx.save_for_backward(variance, key)
        ctx.save_for_forward(variance, key)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[Any, ...]:
        variance, key = ctx.saved_tensors
        of_variance = gradient * _slope(variance, key, ctx.indices)
        return gradient, of_variance.to(variance.dtype), None, None

    @staticmethod
    def jvp(
        ctx: Any, of_mean: torch.Tensor | None, of_variance: torch.Tensor | None, *_: Any
    ) -> torch.Tensor:
        variance, key = ctx.saved_tensors
        tangent: Any = 0.0 if of_mean is None else of_mean
        if of_variance is not None:
            tangent = tangent + of_variance * _slope(variance, key, ctx.indices)
        return tangent.to(ctx.dtype)  # type: ignore[no-any-return]


def _slope(variance: torch.Tensor, key: torch.Tensor, indices: NoiseIndices) -> torch.Tensor:
    """The derivative of the output by its variance, in the compute type: `e / (2 sqrt(variance))`.

    It is 0 where the variance is 0, like that of `_root`.
    """
    half_e = indices.noise(Law.NORMAL, key, variance.dtype, variance.device, 0.5)
    variance = variance.to(half_e.dtype)
    if torch.is_grad_enabled():
        none = variance == 0
        return torch.where(none, 0.0, half_e * torch.where(none, 1.0, variance).rsqrt())
    # The same without a comparison, which takes longer than all the rest.
    least = torch.finfo(variance.dtype).tiny
    return variance.sqrt().div_(variance.clamp(min=least)) * half_e
