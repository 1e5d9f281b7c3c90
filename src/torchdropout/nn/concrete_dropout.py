"""Concrete dropout as a module around a layer, and the regulariser that p is learned with."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.nn.functional import softplus
from torch.nn.utils.parametrize import ParametrizationList

from .. import functional as F
from .._core._validate import (
    check_dims,
    check_number,
    got,
    is_integer,
    plain,
    wrong_type,
    wrong_value,
)
from .._core.contract.keep import compute_dtype
from ..errors import ArgumentValueError
from ..functional._key import attempt
from ..functional.concrete_dropout import check_temperature
from ..random import Key
from ._module import WholeModule


class ConcreteDropout(WholeModule):
    r"""Dropout before a layer, with a learned drop probability; the layer alone in eval.

    `y = layer(x * (1 - z) / (1 - p))` in training, with z nearly binary as in
    `functional.concrete_dropout`, and `y = layer(x)` in eval. p is learned by gradient descent on
    the loss plus `regularisation(model)`, to which this module contributes

        weight_regularizer * sum(W^2) / (1 - p)
          + dropout_regularizer * input_dim * (p log p + (1 - p) log(1 - p))

    over the weights W of the layer. The first term holds p down, the second pulls it to 1/2, and
    the loss decides between them. With N samples, a prior length scale l and a loss that is the
    mean over samples of `(y - f)^2 / s^2 + log s^2`, twice the negative log-likelihood,
    `weight_regularizer = l^2 / N` and `dropout_regularizer = 2 / N`; with a mean cross-entropy,
    half of each.

    For samples of the posterior at test time (Monte Carlo dropout), put the module in training.

    Args:
        layer: A module with weights, to be called: a `torch.nn.Linear`, a convolution, or one of
            these followed by other modules.
        weight_regularizer: Factor of the weights' term, 0 or more.
        dropout_regularizer: Factor of the entropy's term, 0 or more.
        init_min: p is drawn, uniformly in its logit, from init_min to init_max.
        init_max: The upper end, in (0, 1) like init_min.
        before: The layer whose input is dropped, if other code calls it. Then `layer` is not
            given, and this module only maps x to `x * (1 - z) / (1 - p)`. The layer is not
            registered as a child, so that its parameters keep their names.
        input_dim: How many draws a sample has, that is, how many inputs the layer has; by default
            read from the layer (`in_features`, `in_channels`, ...).
        temperature: Temperature of the relaxation, above 0.
        broadcast_dims: Dimensions along which all elements share a draw. By default the spatial
            ones before a convolution, so that whole channels are dropped, and none before others.

    Attributes:
        p: The current drop probability, a float.
        p_logit: `log(p / (1 - p))`, the parameter, of shape `(1,)`.

    Shape:
        That of the layer; with `before`, that of the input.

    Raises:
        ArgumentTypeError: An argument has a type that is not accepted.
        ArgumentValueError: The layer has no weights or no attribute with its number of inputs, both
            or neither of layer and before are given, or a number is out of its range.

    Example:
        >>> import torch, torchdropout as td
        >>> layer = td.nn.ConcreteDropout(torch.nn.Linear(8, 4), 1e-4, 1e-3)
        >>> round(layer.p, 3), layer(torch.randn(5, 8)).shape
        (0.1, torch.Size([5, 4]))
        >>> loss = layer(torch.randn(5, 8)).square().mean() + td.nn.regularisation(layer)
        >>> loss.backward()
        >>> layer.p_logit.grad.shape
        torch.Size([1])

    Reference:
        Y. Gal, J. Hron, A. Kendall, "Concrete dropout", NIPS 2017; the arguments are those of its
        authors' Keras layer.
    """

    def __init__(
        self,
        layer: torch.nn.Module | None = None,
        weight_regularizer: float = 1e-6,
        dropout_regularizer: float = 1e-5,
        init_min: float = 0.1,
        init_max: float = 0.1,
        *,
        before: torch.nn.Module | None = None,
        input_dim: int | None = None,
        temperature: float = 0.1,
        broadcast_dims: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        of = _check_layer(layer, before)
        self.weight_regularizer = _check_factor("weight_regularizer", weight_regularizer)
        self.dropout_regularizer = _check_factor("dropout_regularizer", dropout_regularizer)
        low, high = _check_interval(init_min, init_max)
        first = _first_layer(of)
        self.input_dim = _check_input_dim(input_dim, first)
        self.temperature = check_temperature(temperature)
        if broadcast_dims is None:
            spatial = len(getattr(first, "kernel_size", ()))
            self.broadcast_dims = tuple(range(-spatial, 0))
        else:
            # It is checked as far as possible without an input; the call checks again.
            check_dims("broadcast_dims", broadcast_dims, 64)
            self.broadcast_dims = tuple(broadcast_dims)
        weight = next(weights(of))
        self.layer = layer
        self._before = (before,)  # in a tuple, and so not a child
        self.p_logit = torch.nn.Parameter(weight.new_empty(1))
        self.init_logits = low, high
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set p as the constructor does; the layer has its own method."""
        low, high = self.init_logits
        if low < high:
            torch.nn.init.uniform_(self.p_logit, low, high)
        else:
            torch.nn.init.constant_(self.p_logit, low)

    @property
    def p(self) -> float:
        """The current drop probability."""
        return float(self.p_logit.detach().sigmoid())

    def regularisation(self) -> torch.Tensor:
        """The term of this module in the loss: a scalar, with gradients for p and the weights."""
        of = self._before[0] if self.layer is None else self.layer
        assert of is not None
        # It is float32 at least: the sum of squares of a layer may overflow in half precision.
        compute = compute_dtype(self.p_logit.dtype)
        logit = self.p_logit.sum().to(compute)  # of one element, which may be a shard
        squares = sum(weight.to(compute).square().sum() for weight in weights(of))
        p = logit.sigmoid()
        # The logit alone gives 1 / (1 - p) and the logarithms, without a division by 0 or log 0.
        negative_entropy = -p * softplus(-logit) - (1 - p) * softplus(logit)
        total: torch.Tensor = (
            self.weight_regularizer * squares * (1 + logit.exp())
            + self.dropout_regularizer * self.input_dim * negative_entropy
        )
        return total

    def extra_repr(self) -> str:
        """The current drop probability, and the factors of the regulariser."""
        p = "?" if self.p_logit.is_meta else f"{self.p:.3g}"
        return (
            f"p={p}, weight_regularizer={self.weight_regularizer:g}, "
            f"dropout_regularizer={self.dropout_regularizer:g}, input_dim={self.input_dim}"
        )

    def forward(self, input: torch.Tensor, *, key: Key | None = None) -> torch.Tensor:
        """Call the layer on `functional.concrete_dropout` of the input; `key` names the mask."""
        if self.layer is None or not self.training:
            return self._called(input, key)
        return attempt(key, None, self._called, input, key)

    def _called(self, input: torch.Tensor, key: Key | None) -> torch.Tensor:
        dropped = F.concrete_dropout(
            input,
            self.p_logit,
            self.training,
            self.temperature,
            key=key,
            broadcast_dims=self.broadcast_dims,
        )
        if self.layer is None:
            return dropped
        y: torch.Tensor = self.layer(dropped)
        return y


def regularisation(model: torch.nn.Module) -> torch.Tensor:
    """The sum of `ConcreteDropout.regularisation` over a model, to be added to the loss.

    Args:
        model: Any module. Each ConcreteDropout in it counts once, however often it is used.

    Returns:
        A scalar; 0 for a model without any.

    Raises:
        ArgumentTypeError: It is not a module.

    Example:
        >>> import torch, torchdropout as td
        >>> model = torch.nn.Sequential(
        ...     td.nn.ConcreteDropout(torch.nn.Linear(8, 4)),
        ...     td.nn.ConcreteDropout(torch.nn.Linear(4, 1)),
        ... )
        >>> both = model[0].regularisation() + model[1].regularisation()
        >>> torch.equal(td.nn.regularisation(model), both)
        True
    """
    if not isinstance(model, torch.nn.Module):
        wrong_type("model", "a torch.nn.Module", model)
    found = [m.regularisation() for m in model.modules() if isinstance(m, ConcreteDropout)]
    if not found:
        return torch.zeros(())
    total = found[0]
    for term in found[1:]:
        total = total + term.to(total.device)
    return total


def weights(layer: torch.nn.Module) -> Iterator[torch.Tensor]:
    """The weights of a layer, and not its biases: its tensors of two or more dimensions.

    A weight under spectral norm or another parametrization counts with its computed value. The
    weights of a ConcreteDropout within the layer are its own and do not count.
    """
    if isinstance(layer, (ConcreteDropout, ParametrizationList)):
        return
    weight = getattr(layer, "weight", None)
    own = [weight] if isinstance(weight, torch.Tensor) else list(layer.parameters(recurse=False))
    computed: Any = getattr(layer, "parametrizations", ())
    own += [getattr(layer, name) for name in computed if name != "weight"]
    yield from (w for w in own if w.ndim > 1)
    for child in layer.children():
        yield from weights(child)


def _check_layer(layer: Any, before: Any) -> torch.nn.Module:
    """Check the layer that the dropout stands before."""
    if (layer is None) == (before is None):
        raise ArgumentValueError(
            "Expected `layer`, which is called on the dropped input, or `before`, which other code "
            f"calls, and not both, {got('layer', layer)} and {got('before', before)}."
        )
    name, of = ("layer", layer) if before is None else ("before", before)
    if not isinstance(of, torch.nn.Module):
        wrong_type(name, "a torch.nn.Module", of)
    if next(weights(of), None) is None:
        wrong_value(name, "a layer with weights, by which p is regularised", of)
    return of


def _check_factor(name: str, value: Any) -> float:
    factor = check_number(name, "a number, a factor of the regulariser", value)
    if not 0.0 <= factor < math.inf:
        wrong_value(name, "0 or more and finite, a factor of the regulariser", value)
    return factor


def _check_interval(low: Any, high: Any) -> tuple[float, float]:
    """Check the interval that p is drawn from, and return the logits of its ends."""
    logits: list[float] = []
    for name, given in (("init_min", low), ("init_max", high)):
        p = check_number(name, "a number in (0, 1), a drop probability", given)
        if not 0.0 < p < 1.0:
            wrong_value(name, "in (0, 1), a drop probability that can be learned", given)
        logits.append(math.log(p) - math.log1p(-p))
    if logits[0] > logits[1]:
        raise ArgumentValueError(
            f"Expected `init_min` to be at most `init_max`, {got('init_min', low)} and "
            f"{got('init_max', high)}."
        )
    return logits[0], logits[1]


_INPUTS = ("in_features", "in_channels", "input_size", "embed_dim")


def _first_layer(layer: torch.nn.Module) -> torch.nn.Module:
    """The first module of a layer with an attribute for its number of inputs, or the layer."""
    for module in layer.modules():
        if any(is_integer(getattr(module, name, None)) for name in _INPUTS):
            return module
    return layer


def _check_input_dim(given: Any, layer: torch.nn.Module) -> int:
    """The number of inputs of a layer: as given, or read from the layer."""
    if given is None:
        for name in _INPUTS:
            if is_integer(said := getattr(layer, name, None)):
                return plain(said)
        raise ArgumentValueError(
            "Expected `input_dim`, the number of inputs of the layer, which has no attribute for "
            f"it, {got('layer', layer)}."
        )
    if not is_integer(given):
        wrong_type("input_dim", "an integer, the number of inputs of the layer", given)
    if given < 1:
        wrong_value("input_dim", "1 or more, the number of inputs of the layer", given)
    return plain(given)
