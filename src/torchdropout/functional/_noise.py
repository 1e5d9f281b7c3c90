"""The maps with noise, `x * (1 + factor * e) + addend * e`, e from a standard distribution."""

from __future__ import annotations

import math
from typing import Any

from .._core import ops
from .._core._validate import check_number, wrong_value
from .._core.contract.noise import Law
from ._call import KeyedMap
from ._rate import Rate


def noise(law: Law, factor: float, addend: float) -> KeyedMap:
    """The map with these constants; if both are 0 it is the identity."""
    active = factor != 0.0 or addend != 0.0
    return KeyedMap(active, ops.noise_affine, (law, factor, addend), is_noise=True)


def traced_noise(law: Law, rate: Rate) -> KeyedMap:
    """The map in compiled code, where the `Rate` of a module holds factor and addend."""
    return KeyedMap(rate.active, ops.noise_affine_of, (law, rate.constants))


def check_size(name: str, value: Any, below: float, what: str) -> float:
    """How large the noise is: a number of 0 or more, as a float."""
    interval = "0 or more and finite" if math.isinf(below) else f"in [0, {below:g})"
    number = check_number(name, f"a number {interval}, {what}", value)
    # NaN, which compares false with everything, is refused too.
    if not 0.0 <= number < below:
        wrong_value(name, f"{interval}, {what}", value)
    return number
