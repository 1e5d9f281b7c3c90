"""Variational dropout as modules: learned noise, and layers that prune themselves by it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from .. import functional as F
from .._core import _torch
from .._core._validate import (
    check_count,
    check_dims,
    check_number,
    is_integer,
    plain,
    wrong_type,
    wrong_value,
)
from ..functional._shards import by_parts, is_spread, whole
from ..functional.gaussian_dropout import check_p_below_one
from ..functional.variational_dropout import (
    check_padding,
    check_pair,
    check_threshold,
    kl_of,
    log_alpha_of,
)
from ..random import Key
from ._module import WholeModule


class VariationalDropout(WholeModule):
    r"""Multiply by noise ~ N(1, alpha) in training, alpha learned; the identity in eval.

    Gaussian dropout, `alpha = p / (1 - p)`, whose p is a parameter. It is learned by gradient
    descent on the mean negative log-likelihood of N samples plus `kl(model) / N`. This is the
    divergence from a log-uniform prior, which alone would give as much noise as possible.

    Args:
        p: The initial value, in (0, 1).
        num_features: How many features have an alpha each; by default one alpha for all.
        dim: The dimension of the features in the input.
        weights: How many weights of the next layer share the noise of one alpha: a factor of its
            divergence. `out_features`, or, with one alpha for all, the number of weights. With 1
            the prior is that of the noise itself.
        broadcast_dims: Dimensions along which all elements share their noise.

    Attributes:
        log_alpha: The parameter, of shape `(num_features,)` or `(1,)`.
        p: The current `alpha / (1 + alpha)`, of the same shape, without a gradient.

    Shape:
        Any; the output has the shape of the input.

    Raises:
        ArgumentTypeError: An argument has a type that is not accepted.
        ArgumentValueError: p is outside (0, 1), or a count is below 1; at the call, the input has
            no such dim, or another number of features where num_features is more than 1.

    Example:
        >>> import torch, torchdropout as td
        >>> drop = td.nn.VariationalDropout(0.2, num_features=3, weights=5)
        >>> model = torch.nn.Sequential(drop, torch.nn.Linear(3, 5))
        >>> loss = model(torch.randn(8, 3)).square().mean() + td.nn.kl(model) / 1000
        >>> loss.backward()
        >>> drop.log_alpha.grad.shape, drop.p
        (torch.Size([3]), tensor([0.2000, 0.2000, 0.2000]))

    Reference:
        D. P. Kingma, T. Salimans, M. Welling, "Variational dropout and the local reparameterization
        trick", NIPS 2015; the divergence: D. Molchanov et al., ICML 2017, for every alpha.
    """

    def __init__(
        self,
        p: float = 0.5,
        num_features: int | None = None,
        *,
        dim: int = -1,
        weights: int = 1,
        broadcast_dims: Sequence[int] = (),
    ) -> None:
        super().__init__()
        p = check_p_below_one(p)
        if p == 0.0:
            wrong_value("p", "in (0, 1): at 0 there is no noise to learn from", p)
        self.num_features = 1 if num_features is None else check_count("num_features", num_features)
        if not is_integer(dim):
            wrong_type("dim", "an integer, the dimension of the features", dim)
        self.dim = plain(dim)
        # It is checked as far as possible without an input; the call checks again.
        check_dims("broadcast_dims", broadcast_dims, 64)
        self.weights = check_count("weights", weights)
        self.broadcast_dims = tuple(broadcast_dims)
        self.init_log_alpha = math.log(p) - math.log1p(-p)
        self.log_alpha = torch.nn.Parameter(torch.empty(self.num_features))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set alpha as the constructor does."""
        torch.nn.init.constant_(self.log_alpha, self.init_log_alpha)

    @property
    def p(self) -> torch.Tensor:
        """The current drop probability of a dropout with as much noise."""
        return self.log_alpha.detach().sigmoid()

    def kl(self) -> torch.Tensor:
        """The divergence from the prior, summed over the weights that this noise stands for."""
        return self.weights * whole(kl_of(self.log_alpha).sum())

    def extra_repr(self) -> str:
        """The mean of the current drop probabilities, and the counts."""
        p = "?" if self.log_alpha.is_meta else f"{self.p.mean().item():.3g}"
        return f"p={p}, num_features={self.num_features}, weights={self.weights}"

    def forward(self, input: torch.Tensor, *, key: Key | None = None) -> torch.Tensor:
        """`functional.variational_dropout` with this module's alpha; `key` names the noise."""
        log_alpha: torch.Tensor = self.log_alpha
        if self.num_features > 1:
            if isinstance(input, torch.Tensor) and not -input.ndim <= self.dim < input.ndim:
                expected = f"a tensor with a dimension {self.dim}, that of the features"
                wrong_value("input", expected, input)
            behind = -self.dim - 1 if self.dim < 0 else input.ndim - self.dim - 1
            log_alpha = log_alpha.reshape(-1, *[1] * behind)
        return F.variational_dropout(
            input, log_alpha, self.training, key=key, broadcast_dims=self.broadcast_dims
        )


class _Variational(WholeModule):
    """The base of the layers with normal weights; `weight` holds their means."""

    weight: torch.Tensor
    log_sigma2: torch.Tensor
    threshold: float
    init_log_sigma2: float

    def reset_parameters(self) -> None:
        """Reset the layer as torch does, and the variances to their initial value."""
        super().reset_parameters()  # type: ignore[misc]
        if hasattr(self, "log_sigma2"):  # not yet when torch's constructor calls
            torch.nn.init.constant_(self.log_sigma2, self.init_log_sigma2)

    @property
    def log_alpha(self) -> torch.Tensor:
        """`log(sigma2 / weight^2)` of each weight: how much more noise than signal it is."""
        return log_alpha_of(self.weight, self.log_sigma2)

    def kl(self) -> torch.Tensor:
        """The divergence of the weights' distributions from the log-uniform prior, summed."""
        return whole(kl_of(self.log_alpha).sum())

    def sparsity(self) -> float:
        """The share of the weights that eval leaves out."""
        return whole((self.log_alpha.detach() > self.threshold).double().mean()).item()

    def extra_repr(self) -> str:
        """The layer's arguments, and the threshold."""
        return f"{super().extra_repr()}, threshold={self.threshold:g}"


class VariationalLinear(_Variational, torch.nn.Linear):
    r"""A linear layer that learns how noisy each weight may be, and prunes the noisiest in eval.

    `y = x @ weight.T + bias + sqrt(x^2 @ sigma2.T) * e` in training, and in eval the layer without
    the weights whose log alpha is above the threshold; see `functional.variational_linear`. Train
    on the mean negative log-likelihood of N samples plus `kl(model) / N`. Otherwise
    this is a `torch.nn.Linear`. Its `state_dict` has one more key, `log_sigma2`; that of a trained
    linear layer is loaded by `load_state_dict(state, strict=False)`.

    Args:
        in_features: Size of each input.
        out_features: Size of each output.
        bias: Whether there is a learned bias; it has no noise.
        device: Where the parameters lie.
        dtype: The type of the parameters.
        threshold: The log alpha above which a weight is pruned.
        init_log_sigma2: Logarithm of the initial variances: -10, almost none.

    Attributes:
        log_sigma2: The parameter, of the shape of weight.
        log_alpha: `log(sigma2 / weight^2)`.

    Shape:
        `(*, in_features)` to `(*, out_features)`.

    Raises:
        ArgumentTypeError: threshold or init_log_sigma2 is not a number.
        ArgumentValueError: threshold is NaN, or init_log_sigma2 not finite.

    Example:
        >>> import torch, torchdropout as td
        >>> layer = td.nn.VariationalLinear(8, 4)
        >>> loss = layer(torch.randn(5, 8)).square().mean() + td.nn.kl(layer) / 1000
        >>> loss.backward()
        >>> layer
        VariationalLinear(in_features=8, out_features=4, bias=True, threshold=3)
        >>> with torch.no_grad():
        ...     _, _ = layer.weight.fill_(1.0), layer.log_sigma2[:, :2].fill_(4.0)
        >>> layer.sparsity()
        0.25

    Reference:
        D. Molchanov, A. Ashukha, D. Vetrov, "Variational dropout sparsifies deep neural networks",
        ICML 2017.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        threshold: float = 3.0,
        init_log_sigma2: float = -10.0,
    ) -> None:
        threshold, start = check_threshold(threshold), _check_start(init_log_sigma2)
        check_count("in_features", in_features, 0)
        check_count("out_features", out_features, 0)
        super().__init__(in_features, out_features, bias, device, dtype)
        self.threshold, self.init_log_sigma2 = threshold, start
        self.log_sigma2 = torch.nn.Parameter(torch.full_like(self.weight, start))

    def forward(self, input: torch.Tensor, *, key: Key | None = None) -> torch.Tensor:
        """`functional.variational_linear` with this module's parameters; `key` names the noise."""
        return F.variational_linear(
            input, self.weight, self.log_sigma2, self.bias, self.training, self.threshold, key=key
        )


class VariationalConv2d(_Variational, torch.nn.Conv2d):
    r"""A convolution that learns how noisy each weight may be, and prunes the noisiest in eval.

    `VariationalLinear` for a convolution; see `functional.variational_conv2d`. Otherwise this is
    a `torch.nn.Conv2d`.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Size of the kernel.
        stride: Step of the kernel.
        padding: Padding of each side: numbers, "valid" or "same".
        dilation: Distance of the kernel's elements.
        groups: Groups of channels that are convolved apart.
        bias: Whether there is a learned bias; it has no noise.
        padding_mode: "zeros", "reflect", "replicate" or "circular".
        device: Where the parameters lie.
        dtype: The type of the parameters.
        threshold: The log alpha above which a weight is pruned.
        init_log_sigma2: Logarithm of the initial variances: -10, almost none.

    Attributes:
        log_sigma2: The parameter, of the shape of weight.
        log_alpha: `log(sigma2 / weight^2)`.

    Shape:
        As in `torch.nn.Conv2d`.

    Raises:
        ArgumentTypeError: threshold or init_log_sigma2 is not a number.
        ArgumentValueError: threshold is NaN, or init_log_sigma2 not finite.

    Example:
        >>> import torch, torchdropout as td
        >>> layer = td.nn.VariationalConv2d(3, 8, 3, padding="same")
        >>> layer(torch.randn(2, 3, 10, 10)).shape
        torch.Size([2, 8, 10, 10])

    Reference:
        D. Molchanov, A. Ashukha, D. Vetrov, "Variational dropout sparsifies deep neural networks",
        ICML 2017.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: str | int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        threshold: float = 3.0,
        init_log_sigma2: float = -10.0,
    ) -> None:
        threshold, start = check_threshold(threshold), _check_start(init_log_sigma2)
        for name, count in (("in_channels", in_channels), ("out_channels", out_channels)):
            check_count(name, count, 0)
        check_count("groups", groups)
        check_pair("kernel_size", kernel_size, 1)
        check_pair("dilation", dilation, 1)
        check_padding(padding, check_pair("stride", stride, 1))
        super().__init__(
            *(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias),
            *(padding_mode, device, dtype),
        )
        self.threshold, self.init_log_sigma2 = threshold, start
        self.log_sigma2 = torch.nn.Parameter(torch.full_like(self.weight, start))

    def forward(self, input: torch.Tensor, *, key: Key | None = None) -> torch.Tensor:
        """`functional.variational_conv2d` with this module's parameters; `key` names the noise."""
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            amounts = _torch.amounts_of_padding(self)
            mode = self.padding_mode

            def part(x: torch.Tensor, *_: Any) -> torch.Tensor:
                return torch.nn.functional.pad(x, amounts, mode=mode)

            if is_spread(input):
                input = by_parts(part, {"input": input}, whole=(-2, -1))
            else:
                input = part(input)
            padding = 0
        return F.variational_conv2d(
            *(input, self.weight, self.log_sigma2, self.bias),
            *(self.stride, padding, self.dilation, self.groups),
            *(self.training, self.threshold),
            key=key,
        )


def kl(model: torch.nn.Module) -> torch.Tensor:
    """The sum of the divergences from the prior over a model, by `kl` of each module.

    Args:
        model: Any module. Each variational module in it counts once, however often it is used.

    Returns:
        A scalar; 0 for a model without any. Divide it by the number of samples if the loss is a
        mean over samples.

    Raises:
        ArgumentTypeError: It is not a module.

    Example:
        >>> import torch, torchdropout as td
        >>> model = torch.nn.Sequential(td.nn.VariationalLinear(8, 4), td.nn.VariationalDropout())
        >>> torch.equal(td.nn.kl(model), model[0].kl() + model[1].kl())
        True
    """
    found = [
        m.kl() for m in _check_model(model) if isinstance(m, (VariationalDropout, _Variational))
    ]
    if not found:
        return torch.zeros(())
    total = found[0]
    for term in found[1:]:
        total = total + term.to(total.device)
    return total


def sparsity(model: torch.nn.Module) -> float:
    """The share of the weights of a model's variational layers that eval leaves out.

    Args:
        model: Any module.

    Returns:
        A float in [0, 1]; NaN for a model without variational layers.

    Raises:
        ArgumentTypeError: It is not a module.

    Example:
        >>> import torch, torchdropout as td
        >>> model = torch.nn.Sequential(
        ...     td.nn.VariationalLinear(8, 3, init_log_sigma2=20.0), td.nn.VariationalLinear(3, 8)
        ... )
        >>> td.nn.sparsity(model)
        0.5
    """
    found = [m for m in _check_model(model) if isinstance(m, _Variational)]
    total = sum(m.weight.numel() for m in found)
    if total == 0:
        return math.nan
    return sum(m.sparsity() * m.weight.numel() for m in found) / total


def _check_model(model: Any) -> list[torch.nn.Module]:
    """All modules of a model, each once."""
    if not isinstance(model, torch.nn.Module):
        wrong_type("model", "a torch.nn.Module", model)
    return list(model.modules())


def _check_start(value: Any) -> float:
    name = "init_log_sigma2"
    start = check_number(name, "a number, the logarithm of a variance", value)
    if not math.isfinite(start):
        wrong_value(name, "finite, the logarithm of a variance", value)
    return start
