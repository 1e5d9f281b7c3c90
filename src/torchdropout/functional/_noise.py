"""What the variants with continuous noise share: validate, lay the noise out, get a key, call."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from .. import direct, ops
from .._validate import check_bool, check_input, check_number, wrong_type, wrong_value
from ..contract.layout import MaskLayout, row_major
from ..contract.noise import Law
from ..random import Key
from ._bernoulli import (
    check_out,
    check_source,
    key_numbers,
    key_of,
    key_tensor,
    mask_map,
    refuse_as_torch_does,
    undrawn_if_refused,
)
from ._rate import Rate
from ._shards import is_spread, on_shards


class Noise(NamedTuple):
    """What happens to an element: `y = x * (1 + factor * e) + addend * e`, e of a standard law."""

    law: Law
    factor: float
    addend: float


class TracedNoise(NamedTuple):
    """The same in code that is compiled, where a module's `Rate` has factor and addend."""

    law: Law
    rate: Rate


def is_identity(noise: Noise | TracedNoise) -> bool:
    """True where a call returns its input and draws nothing."""
    if isinstance(noise, TracedNoise):
        return not noise.rate.active
    return noise.factor == 0.0 and noise.addend == 0.0


class Call(NamedTuple):
    """The checked arguments of a call."""

    x: torch.Tensor
    training: bool
    inplace: bool
    key: Key | None
    generator: torch.Generator | None
    broadcast_dims: Any
    layout: MaskLayout | None
    out: torch.Tensor | None


def check_call(
    x: Any,
    training: Any,
    inplace: Any,
    key: Any,
    generator: Any,
    broadcast_dims: Any,
    layout: Any,
    out: Any,
) -> Call:
    """The arguments every variant with noise takes, checked, but for its own.

    Raises:
        ArgumentTypeError: An argument has a type that cannot be taken: a complex input, say, of
            which no peer says whether its parts share their noise.
        ArgumentValueError: Arguments exclude one another.
    """
    x = check_input(x, complex_ok=False)
    if x.is_nested:
        wrong_type("input", "no nested tensor", x)
    check_bool("training", training)
    check_bool("inplace", inplace)
    if key is not None or generator is not None:
        check_source(key, generator, x)
    if out is not None:
        check_out(out, x, inplace)
    return Call(x, training, inplace, key, generator, broadcast_dims, layout, out)


def check_size(name: str, value: Any, below: float, what: str) -> float:
    """How large the noise is: a number from 0 up, as a float.

    Args:
        name: Of the argument.
        value: What was given for it.
        below: It has to be less; infinity where every finite number will do.
        what: It says, for the message.

    Raises:
        ArgumentTypeError: It is no real number.
        ArgumentValueError: It is NaN, negative, or too large.
    """
    interval = "0 or more and finite" if math.isinf(below) else f"in [0, {below:g})"
    number = check_number(name, f"a number {interval}, {what}", value)
    # NaN, which compares false to everything, is refused too.
    if not 0.0 <= number < below:
        wrong_value(name, f"{interval}, {what}", value)
    return number


def noisy(call: Call, noise: Noise | TracedNoise) -> torch.Tensor:
    """The input with noise; the input itself where there is none, and then nothing is drawn."""
    x = call.x
    base, strides = mask_map(x.shape, (), call.broadcast_dims, call.layout)
    into = x if call.inplace else call.out
    if not call.training or is_identity(noise):
        return x if into is None or into is x else into.copy_(x)

    def run() -> torch.Tensor:
        if not is_spread(x):
            return _noise_affine(x, base, strides, noise, call)
        whole = row_major(x.shape) if strides is None else strides
        y: torch.Tensor = on_shards(
            x, base, whole, lambda x, base, own: _noise_affine(x, base, own, noise, call)
        )
        return y

    if into is None:
        return run()
    refuse_as_torch_does(into)
    with undrawn_if_refused(call.key, call.generator):
        return into.copy_(run())


def _noise_affine(
    x: torch.Tensor,
    base: int,
    strides: Sequence[int] | None,
    noise: Noise | TracedNoise,
    call: Call,
) -> torch.Tensor:
    """By the shortest way there is; the key last, drawn."""
    key = key_of(call.key, call.generator)
    if isinstance(noise, TracedNoise):
        strides = row_major(x.shape) if strides is None else strides
        law, rate = noise
        return ops.noise_affine_of(x, key_tensor(key), law, rate.constants, base, strides)
    y = direct.noise_affine(x, (*key_numbers(key), *noise, base, strides))
    if y is not None:
        return y
    if strides is None:
        strides = row_major(x.shape)
    return ops.noise_affine(x, key_tensor(key), *noise, base, strides)
