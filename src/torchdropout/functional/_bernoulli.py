"""The maps that keep or drop an element by a bit: `keep ? x * scale + shift : drop_value`."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .. import _torch, direct, ops
from ..contract.keep import scale
from ..random import Key
from ._key import key_numbers
from ._map import KeyedMap
from ._rate import Probability, Rate, check_probability


def inverted(p: Probability) -> KeyedMap:
    """Inverted dropout: kept elements are scaled by 1 / (1 - p), dropped ones are 0.

    Raises:
        ArgumentTypeError: p is not a real number.
        ArgumentValueError: It is NaN or outside [0, 1].
    """
    if type(p) is not float or not 0.0 <= p <= 1.0:  # the shortest test of almost every p
        p = check_probability(p)
        if isinstance(p, Rate):
            return traced(p)
    constants = (p, scale(p), 0.0, 0.0)
    return KeyedMap(p > 0.0, ops.masked_affine, constants, _short, _write)


def unscaled(p: Probability) -> KeyedMap:
    """Kept elements stay as they are, dropped ones are 0; raises as `inverted` does."""
    p = check_probability(p)
    return traced(p) if isinstance(p, Rate) else bernoulli(p, 1.0, 0.0, 0.0)


def bernoulli(p: float, scale: float, shift: float, drop_value: float) -> KeyedMap:
    """The map with these constants."""
    constants = (p, scale, shift, drop_value)
    return KeyedMap(p > 0.0, ops.masked_affine, constants, _short, _write)


def traced(rate: Rate) -> KeyedMap:
    """The map in compiled code, where the `Rate` of a module has the constants."""
    return KeyedMap(rate.active, ops.masked_affine_of, (rate.constants,))


def numbers(
    keyed_map: KeyedMap,
    key: Key | None,
    generator: torch.Generator | None,
    base: int,
    strides: Sequence[int] | None,
) -> direct.AffineCall:
    """A map of `bernoulli` as `direct` takes it; the seed is drawn unless a key is given."""
    p, scale, shift, drop_value = keyed_map.constants
    seed, stream = key_numbers(key, generator)
    return direct.AffineCall(seed, stream, p, base, scale, shift, drop_value, strides)


def _short(
    x: torch.Tensor,
    seed: int | None,
    stream: int,
    base: int,
    strides: Sequence[int] | None,
    p: float,
    scale: float,
    shift: float,
    drop_value: float,
) -> torch.Tensor | None:
    return direct.masked_affine(x, (seed, stream, p, base, scale, shift, drop_value, strides))


def _write(
    into: torch.Tensor,
    x: torch.Tensor,
    key: Key | None,
    generator: torch.Generator | None,
    base: int,
    strides: Sequence[int] | None,
    p: float,
    scale: float,
    shift: float,
    drop_value: float,
) -> torch.Tensor | None:
    if not (direct.takes(x) and direct.takes(into)):
        return None
    if into.requires_grad and _torch.is_view(into):
        return None  # torch has rules for writing into a view that has a gradient
    seed, stream = key_numbers(key, generator)
    call = direct.AffineCall(seed, stream, p, base, scale, shift, drop_value, strides)
    return direct.masked_affine_(x, call) if into is x else direct.masked_affine_out(into, x, call)
