"""The maps that keep or drop an element by a bit: `keep ? x * scale + shift : drop_value`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from .._core import direct, ops
from .._core._validate import check_input, check_rates, has_gradient, is_captured, wrong_type
from .._core.contract.keep import scale
from ..random import Key
from ._call import KeyedMap, Rest, apply
from ._key import key_numbers
from ._learned import check_parameter
from ._part import Part
from ._rate import Probabilities, Rate, check_probability
from ._shards import are_spread
from ._writing import has_address


def inverted(p: Probabilities, x: Any = None) -> KeyedMap:
    """Inverted dropout: kept elements are scaled by 1 / (1 - p), dropped ones are 0."""
    if type(p) is not float:  # `scale` checks one that is
        if x is not None and isinstance(p, torch.Tensor) and p.ndim > 0:
            return each(p, check_input(x), scaled=True)
        p = check_probability(p)
        if isinstance(p, Rate):
            return traced(p, ops.masked_linear_of)
    constants = (p, scale(p), 0.0, 0.0)
    return KeyedMap(p > 0.0, ops.masked_affine, constants, is_noise=False)


def apply_inverted(
    input: Any, p: Any, shared: tuple[int, ...], rest: Rest, nested_ok: bool = False
) -> torch.Tensor:
    """Inverted dropout; the other arguments and the errors are those of `apply`."""
    y = direct.dropout(input, p, shared, *rest)
    return apply(inverted(p), input, *rest, shared, nested_ok=nested_ok) if y is None else y


def in_part(x: Any, p: Any, seed: Any, stream: int, part: Part) -> torch.Tensor | None:
    """Inverted dropout of each element with the draws of a part of a batch, or None.

    None where the direct path is closed, or p may not be a probability: `dropout` handles that.
    """
    if type(p) is not float or not 0.0 < p < 1.0 or type(seed) is not int or not direct.takes(x):
        return None
    strides: Sequence[int] | None = None
    base = part.row_major(x.shape)
    if base is None:
        base, strides = part.indices(x.shape, ())
    return direct.by_kernel(x, (False, seed, stream, base, strides, (p, 1.0 / (1.0 - p), 0.0, 0.0)))


def unscaled(p: Probabilities, x: Any = None) -> KeyedMap:
    """Kept elements stay as they are, dropped ones are 0; arguments and errors of `inverted`."""
    if x is not None and isinstance(p, torch.Tensor) and p.ndim > 0:
        return each(p, check_input(x), scaled=False)
    p = check_probability(p)
    if isinstance(p, Rate):
        return traced(p, ops.masked_linear_of)
    return bernoulli(p, 1.0, 0.0, 0.0)


def each(p: torch.Tensor, x: torch.Tensor, *, scaled: bool) -> KeyedMap:
    """The map with a drop probability for each element of x, or for each of its features.

    It is not the identity even if all of them are 0, which only their values would show.
    """
    if x.is_nested:
        wrong_type("p", "a number where the input is nested", p)
    if has_gradient(p):
        wrong_type("p", "without a gradient (concrete_dropout learns p)", p)
    p = check_parameter("p", "drop probabilities", p, x)
    spread = are_spread({"input": x, "p": p})
    # Checked here, before anything is drawn, if the values can be read.
    readable = (spread or has_address(p)) and not is_captured(p)
    checked = readable and not torch.compiler.is_compiling()
    if checked:
        check_rates(p)
        if p.is_inference() and not torch.is_inference_mode_enabled():
            p = p.clone()  # a copy that can be kept for the backward
    rates = p.reshape([1] * (x.ndim - p.ndim) + list(p.shape))
    return KeyedMap(True, ops.masked_by_rates, (rates, scaled, checked))


def bernoulli(p: float, scale: float, shift: float, drop_value: float) -> KeyedMap:
    """The map with these constants."""
    constants = (p, scale, shift, drop_value)
    return KeyedMap(p > 0.0, ops.masked_affine, constants, is_noise=False)


def traced(rate: Rate, operator: Callable[..., torch.Tensor] = ops.masked_affine_of) -> KeyedMap:
    """The map in compiled code, where the `Rate` of a module holds the constants."""
    return KeyedMap(rate.active, operator, (rate.constants,))


def numbers(
    keyed_map: KeyedMap,
    key: Key | None,
    generator: torch.Generator | None,
    base: int,
    strides: Sequence[int] | None,
    x: torch.Tensor,
) -> direct.Call:
    """A map of `bernoulli` as `direct.masked_add` takes it, which may draw the seed itself."""
    seed: int | torch.Tensor | None
    own = key is None and generator is None
    if own and direct.add_draws(x):
        seed, stream = None, 0
    elif own and ops.captures(x.device):
        seed, stream = ops.draw_key(x.device), 0
    else:
        seed, stream = key_numbers(key, generator)
    return direct.Call(False, seed, stream, base, strides, keyed_map.constants)
