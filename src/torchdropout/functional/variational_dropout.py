"""Variational dropout: normal noise whose variance is learned, up to pruning a weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.nn.functional import softplus

from .._core._validate import (
    REAL,
    check_bool,
    check_count,
    check_dense,
    check_device,
    check_input,
    check_number,
    is_integer,
    refuse_nested,
    wrong_shape,
    wrong_type,
    wrong_value,
)
from .._core.contract.keep import compute_dtype
from .._core.contract.layout import MaskLayout, sizes_drawn
from .._core.contract.noise import Law
from ..random import Key
from ._autocast import autocast_dtype
from ._call import check_call
from ._gaussian_layer import Convolution, Linear, sampled, variance
from ._key import check_source, drawn
from ._learned import NoiseIndices, check_parameter, multiplied
from ._override import overridable
from ._shards import are_spread, by_parts


@overridable
def variational_dropout(
    input: torch.Tensor,
    log_alpha: torch.Tensor,
    training: bool = True,
    *,
    key: Key | None = None,
    generator: torch.Generator | None = None,
    broadcast_dims: Sequence[int] = (),
    layout: MaskLayout | None = None,
) -> torch.Tensor:
    r"""Multiply by normal noise of a learned variance alpha; identity in eval.

    `y = x * (1 + sqrt(alpha) * e)` with `e ~ N(0, 1)`: Gaussian dropout, `alpha = p / (1 - p)`,
    with a gradient for alpha. The noise is that of `gaussian_dropout` with the same key.

    Args:
        input: Floating-point tensor.
        log_alpha: A tensor of one element, or of a shape that broadcasts to that of the input.
        training: False returns `input` itself.
        key: Names the noise; nothing is drawn.
        generator: Draws the key from this generator instead of torch's default one.
        broadcast_dims: Dimensions along which all elements share their noise.
        layout: Mask indices, for example of a shard or a micro-batch.

    Shape:
        Any; the output has the shape of the input.

    Raises:
        ArgumentTypeError: An argument has a type that is not accepted; the input is complex or
            nested.
        ArgumentValueError: log_alpha does not broadcast to the input or is on another device, or as
            in `dropout`.

    Example:
        >>> import torch, torchdropout as td
        >>> log_alpha = torch.tensor(0.25).log().requires_grad_()
        >>> y = td.functional.variational_dropout(torch.ones(4), log_alpha, key=td.Key(0))
        >>> torch.allclose(y, td.functional.gaussian_dropout(torch.ones(4), 0.2, key=td.Key(0)))
        True

    Reference:
        D. P. Kingma, T. Salimans, M. Welling, "Variational dropout and the local reparameterization
        trick", NIPS 2015, section 3.1.
    """
    x = check_call(input, training, key, generator, complex_ok=False)
    parameter = check_parameter("log_alpha", "the logarithm of the variance", log_alpha, x)
    indices = NoiseIndices.of(x.shape, broadcast_dims, layout)
    if not training:
        return x
    return multiplied(x, "log_alpha", parameter, Scaled(), indices, key, generator)


class Scaled(NamedTuple):
    """The factor `1 + sqrt(alpha) * e`."""

    @property
    def law(self) -> Law:
        """The distribution of e."""
        return Law.NORMAL

    def value(self, parameter: torch.Tensor, e: torch.Tensor) -> torch.Tensor:
        """The factor."""
        return 1.0 + (0.5 * parameter).exp() * e

    def derivatives(
        self, parameter: torch.Tensor, e: torch.Tensor, x: torch.Tensor, gradient: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The derivative of the factor by log alpha is half of the factor minus 1."""
        deviation = (0.5 * parameter).exp() * e
        return gradient * (1.0 + deviation), gradient * x * deviation * 0.5


@overridable
def variational_linear(
    input: torch.Tensor,
    weight: torch.Tensor,
    log_sigma2: torch.Tensor,
    bias: torch.Tensor | None = None,
    training: bool = True,
    threshold: float = 3.0,
    *,
    key: Key | None = None,
    generator: torch.Generator | None = None,
    layout: MaskLayout | None = None,
) -> torch.Tensor:
    r"""A linear layer whose weights are normal, of learned means and variances; pruned in eval.

    In training each output is drawn from its distribution under independent weights
    `W ~ N(weight, sigma2)`:

        y = x @ weight.T + bias + sqrt(x^2 @ sigma2.T) * e,   e ~ N(0, 1) for each output

    In eval `y = x @ weight.T + bias` without the weights whose `log alpha`, the logarithm of
    `sigma2 / weight^2`, is above the threshold: they are more noise than signal.

    Args:
        input: `(*, in_features)`, floating-point.
        weight: `(out_features, in_features)`, the means.
        log_sigma2: Logarithms of the variances, of the shape of weight.
        bias: `(out_features,)`, without noise.
        training: False leaves the noise out and prunes.
        threshold: Weights with a log alpha above it are pruned. 3 is the paper's: the p of a
            dropout with that variance, `alpha / (1 + alpha)`, is 0.95. `math.inf` prunes nothing.
        key: Names the noise; nothing is drawn.
        generator: Draws the key from this generator instead of torch's default one.
        layout: Mask indices of the output, for example of a shard or a micro-batch.

    Shape:
        As in `torch.nn.functional.linear`.

    Raises:
        ArgumentTypeError: An argument has a type that is not accepted.
        ArgumentValueError: weight and log_sigma2 differ in shape or device, or threshold is NaN.
        ShapeError: The shapes do not fit; also a `RuntimeError`.

    Example:
        >>> import torch, torchdropout as td
        >>> weight, log_sigma2 = torch.ones(1, 2), torch.tensor([[-10.0, 4.0]])
        >>> x = torch.tensor([[1.0, 1.0]])
        >>> td.functional.variational_linear(x, weight, log_sigma2, training=False)
        tensor([[1.]])

    Reference:
        D. Molchanov, A. Ashukha, D. Vetrov, "Variational dropout sparsifies deep neural networks",
        ICML 2017; the sampled outputs: D. P. Kingma et al., NIPS 2015.
    """
    check_layer_call(input, weight, log_sigma2, bias, training, threshold, key, generator)
    _check_sizes(input, weight, bias, 2, "(out_features, in_features)")
    if not training:
        kept = pruned(weight, log_sigma2, threshold)
        return torch.nn.functional.linear(input, kept, bias)
    mean = torch.nn.functional.linear(input, weight, bias)
    return _with_noise(mean, variance(input, log_sigma2, Linear()), key, generator, layout)


@overridable
def variational_conv2d(
    input: torch.Tensor,
    weight: torch.Tensor,
    log_sigma2: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: Sequence[int] | int = 1,
    padding: Sequence[int] | int | str = 0,
    dilation: Sequence[int] | int = 1,
    groups: int = 1,
    training: bool = True,
    threshold: float = 3.0,
    *,
    key: Key | None = None,
    generator: torch.Generator | None = None,
    layout: MaskLayout | None = None,
) -> torch.Tensor:
    r"""A convolution whose weights are normal, of learned means and variances; pruned in eval.

    `variational_linear` for a convolution: in training

        y = conv(x, weight) + bias + sqrt(conv(x^2, sigma2)) * e,   e ~ N(0, 1) for each output

    and in eval the convolution without the weights whose log alpha is above the threshold. The
    outputs of a map are drawn independently, each from its own distribution, as published. They
    would be dependent if one draw of the weights produced all of them.

    Args:
        input: `(N, C, H, W)` or `(C, H, W)`, floating-point.
        weight: `(out_channels, in_channels / groups, kH, kW)`, the means.
        log_sigma2: Logarithms of the variances, of the shape of weight.
        bias: `(out_channels,)`, without noise.
        stride: Step of the kernel.
        padding: Numbers, `"valid"` or `"same"`.
        dilation: Distance of the kernel's elements.
        groups: Groups of channels that are convolved apart.
        training: False leaves the noise out and prunes.
        threshold: The bound on log alpha, as in `variational_linear`.
        key: Names the noise; nothing is drawn.
        generator: Draws the key from this generator instead of torch's default one.
        layout: Mask indices of the output, for example of a shard or a micro-batch.

    Shape:
        As in `torch.nn.functional.conv2d`.

    Raises:
        ArgumentTypeError: An argument has a type that is not accepted.
        ArgumentValueError: weight and log_sigma2 differ in shape or device, or threshold is NaN.
        ShapeError: The shapes do not fit; also a `RuntimeError`.

    Example:
        >>> import torch, torchdropout as td
        >>> weight = torch.ones(1, 1, 1, 2)
        >>> log_sigma2 = torch.tensor([-10.0, 4.0]).view(1, 1, 1, 2)
        >>> x = torch.tensor([[[1.0, 2.0, 3.0]]])
        >>> td.functional.variational_conv2d(x, weight, log_sigma2, training=False)
        tensor([[[1., 2.]]])

    Reference:
        D. Molchanov, A. Ashukha, D. Vetrov, "Variational dropout sparsifies deep neural networks",
        ICML 2017.
    """
    check_layer_call(input, weight, log_sigma2, bias, training, threshold, key, generator)
    stride, dilation = check_pair("stride", stride, 1), check_pair("dilation", dilation, 1)
    padding = check_padding(padding, stride)
    groups = check_count("groups", groups)
    _check_sizes(input, weight, bias, 4, "(out_channels, in_channels / groups, kH, kW)", groups)
    _check_map(input, weight, padding, dilation)

    def part(
        x: torch.Tensor,
        weight: torch.Tensor,
        log_sigma2: torch.Tensor,
        bias: torch.Tensor | None,
        *_: Any,
    ) -> Any:
        conv2d = torch.nn.functional.conv2d
        if not training:
            kept = pruned(weight, log_sigma2, threshold)
            return conv2d(x, kept, bias, stride, padding, dilation, groups)
        mean = conv2d(x, weight, bias, stride, padding, dilation, groups)
        around = padding
        if isinstance(around, str):
            if around == "same":
                x = _padded_to_same(x, weight.shape[-2:], dilation)
            around = (0, 0)
        layer = Convolution(stride, around, dilation, groups)
        if x.ndim == 4:
            return mean, variance(x, log_sigma2, layer)
        return mean, variance(x.unsqueeze(0), log_sigma2, layer).squeeze(0)

    # The convolutions of torch that take DTensors are wrong, without an error, for most placements.
    kernels = {"weight": weight, "log_sigma2": log_sigma2, "bias": bias}
    found = by_parts(part, {"input": input, **kernels}, whole=range(-3, 0), shared=kernels)
    if not training:
        return found  # type: ignore[no-any-return]
    mean, of_mean = found
    return _with_noise(mean, of_mean, key, generator, layout)


def _padded_to_same(
    x: torch.Tensor, kernel: Sequence[int], dilation: Sequence[int]
) -> torch.Tensor:
    """Pad as torch does for "same": where the total is odd, one more at the end."""
    amounts: list[int] = []
    for size, step in zip(reversed(kernel), reversed(dilation), strict=True):
        total = step * (size - 1)
        amounts += [total // 2, total - total // 2]
    return torch.nn.functional.pad(x, amounts)


def _with_noise(
    mean: torch.Tensor,
    variance: torch.Tensor,
    key: Key | None,
    generator: torch.Generator | None,
    layout: MaskLayout | None,
) -> torch.Tensor:
    """`mean + sqrt(variance) * e`; draws the key, and so must run after all other checks."""
    indices = NoiseIndices.of(mean.shape, (), layout)

    def part(mean: Any, variance: Any, base: int, strides: Sequence[int]) -> torch.Tensor:
        of_part = NoiseIndices(base, tuple(sizes_drawn(mean.shape, strides)), tuple(strides))
        with drawn(key, generator) as of_call:
            return sampled(mean, variance, of_part, of_call)

    tensors = {"mean": mean, "variance": variance}
    y: torch.Tensor = by_parts(part, tensors, indices.base, indices.strides)
    return y


def check_layer_call(
    x: Any,
    weight: Any,
    log_sigma2: Any,
    bias: Any,
    training: Any,
    threshold: Any,
    key: Any,
    generator: Any,
) -> None:
    """Check the arguments of both layers, except for their shapes."""
    x = check_input(x, complex_ok=False)
    if x.is_nested:
        refuse_nested("input", x)
    check_dense("input", x)
    for name, tensor in (("weight", weight), ("log_sigma2", log_sigma2), ("bias", bias)):
        if tensor is None and name == "bias":
            continue
        if not isinstance(tensor, torch.Tensor) or tensor.dtype not in REAL:
            wrong_type(name, "a floating-point tensor", tensor)
        if tensor.is_nested:
            refuse_nested(name, tensor)
        check_dense(name, tensor)
        check_device(name, tensor, x.device)
    if log_sigma2.shape != weight.shape:
        wrong_value("log_sigma2", f"of the weight's shape, {tuple(weight.shape)}", log_sigma2)
    if log_sigma2.dtype != weight.dtype and autocast_dtype(x) is None:
        wrong_type("log_sigma2", f"of the dtype of `weight`, {weight.dtype}", log_sigma2)
    check_bool("training", training)
    check_threshold(threshold)
    are_spread({"input": x, "weight": weight, "log_sigma2": log_sigma2, "bias": bias})
    check_source(key, generator, x)


def _check_sizes(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    ndim: int,
    meaning: str,
    groups: int = 1,
) -> None:
    """Check that input, weight and bias fit each other, as torch does with less clear errors."""
    if weight.ndim != ndim:
        wrong_shape("weight", f"of {ndim} dimensions, {meaning}", weight)
    if autocast_dtype(x) is None:
        for name, tensor in (("input", x), ("bias", bias)):
            if tensor is not None and tensor.dtype != weight.dtype:
                wrong_type(name, f"of the dtype of `weight`, {weight.dtype}", tensor)
    if ndim == 2 and x.ndim < 1:
        wrong_shape("input", "of 1 dimension or more, (..., in_features)", x)
    if ndim == 4 and x.ndim not in (3, 4):
        wrong_shape("input", "of 4 dimensions, (N, C, H, W), or of 3, (C, H, W)", x)
    if torch.jit.is_tracing():  # type: ignore[attr-defined]
        return  # sizes are tensors there, and torch checks them
    place, features = (-1, "features") if ndim == 2 else (-3, "channels")
    if x.shape[place] != weight.shape[1] * groups:
        expected = f"of {weight.shape[1] * groups} {features} in dimension {place}, as the weights"
        wrong_shape("input", expected, x)
    if weight.shape[0] % groups != 0:
        wrong_shape("weight", f"of a multiple of groups={groups} output channels", weight)
    if bias is not None and bias.shape != weight.shape[:1]:
        wrong_shape("bias", f"of shape {tuple(weight.shape[:1])}, one for each output", bias)


def _check_map(
    x: torch.Tensor,
    weight: torch.Tensor,
    padding: tuple[int, ...] | str,
    dilation: tuple[int, ...],
) -> None:
    """Check that the kernel fits into the padded map."""
    if padding == "same" or torch.jit.is_tracing():  # type: ignore[attr-defined]
        return
    around = (0, 0) if isinstance(padding, str) else padding
    sizes = zip(x.shape[-2:], weight.shape[-2:], around, dilation, strict=True)
    if not all(n + 2 * pad >= step * (kernel - 1) + 1 for n, kernel, pad, step in sizes):
        expected = (
            f"of a map, padded by {padding}, that holds the kernel of {tuple(weight.shape[-2:])} "
            f"with a dilation of {dilation}"
        )
        wrong_shape("input", expected, x)


def check_pair(name: str, value: Any, least: int) -> tuple[int, ...]:
    """A number for each of two dimensions, from one for both or one for each."""
    if isinstance(value, (tuple, list)) and len(value) in (1, 2):
        first, last = value[0], value[-1]
    elif is_integer(value):
        first = last = value
    else:
        wrong_type(name, f"an integer, {least} or more, or two of them", value)
    return check_count(name, first, least), check_count(name, last, least)


def check_padding(padding: Any, stride: tuple[int, ...]) -> tuple[int, ...] | str:
    """The padding of a convolution, as two numbers or a word."""
    if not isinstance(padding, str):
        return check_pair("padding", padding, 0)
    if padding not in ("valid", "same"):
        wrong_value("padding", "'valid', 'same', a number or two of them", padding)
    if padding == "same" and stride != (1, 1):
        wrong_value("stride", "1 with padding='same'", stride)
    return padding


def check_threshold(threshold: Any) -> float:
    """The log alpha above which a weight is pruned."""
    value = check_number("threshold", "a number, above which log alpha prunes", threshold)
    if value != value:  # NaN; math.isnan does not accept a symbol of a compiler
        wrong_value("threshold", "a number, above which log alpha prunes", threshold)
    return value


def log_alpha_of(weight: torch.Tensor, log_sigma2: torch.Tensor) -> torch.Tensor:
    """`log(sigma2 / weight^2)`, float32 at least; finite for a weight of 0."""
    compute = compute_dtype(weight.dtype)
    # 1e-16 is far below the square of any weight that matters, and within float32.
    return log_sigma2.to(compute) - (weight.to(compute).square() + 1e-16).log()


def pruned(weight: torch.Tensor, log_sigma2: torch.Tensor, threshold: float) -> torch.Tensor:
    """The weights whose log alpha is at most the threshold; 0 for the others."""
    return torch.where(log_alpha_of(weight, log_sigma2) > threshold, 0.0, weight)


# Molchanov et al. 2017, section 4.2.
_K1, _K2, _K3 = 0.63576, 1.87320, 1.48695


def kl_of(log_alpha: torch.Tensor) -> torch.Tensor:
    """The divergence of `N(w, alpha w^2)` from the log-uniform prior, up to a constant; each.

    `k1 - k1 * sigmoid(k2 + k3 * log alpha) + log(1 + 1 / alpha) / 2`: an approximation, 0 in the
    limit of a large alpha, within 0.01 of the integral for every alpha.
    """

    def part(log_alpha: torch.Tensor, *_: Any) -> torch.Tensor:
        rising = (_K2 + _K3 * log_alpha).sigmoid()
        return _K1 * (1.0 - rising) + 0.5 * softplus(-log_alpha)

    y: torch.Tensor = by_parts(part, {"log_alpha": log_alpha})
    return y
