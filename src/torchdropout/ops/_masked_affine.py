"""`masked_affine`: the operator of every Bernoulli variant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from ..kernels import reference
from ..kernels.devices import elsewhere, on_devices, on_gpu, sample
from ._library import library
from ._maps import define_form, define_map

_masked_affine = define_map(
    "masked_affine",
    "float p, float scale, float shift, float drop_value",
    reference.masked_affine,
    # The same mask, without the map's additive constants.
    lambda own: (*own[:2], 0.0, 0.0),
)


def _samples_of_rates(
    x: torch.Tensor, key: torch.Tensor, _rates: torch.Tensor, scaled: bool, *_: Any
) -> Iterator[tuple[Any, ...]]:
    values = sample(x)
    each = torch.linspace(0, 1, 3000, dtype=torch.float64, device=x.device)
    yield values, key, each, scaled, 2**34 - 1000, [1]
    yield values.view(60, 50), key, each.view(60, 50)[:, :1], scaled, 2**35 - 999, [1, 60]


_masked_by_rates = define_form(
    "masked_affine",
    "rates",
    "Tensor rates, bool scaled",
    elsewhere("masked_by_rates", reference.masked_by_rates),
    lambda own: own,  # it is linear
    aligned=True,
)
on_devices(
    library,
    "masked_affine.rates",
    on_gpu("masked_by_rates", reference.masked_by_rates, _samples_of_rates),
)


def masked_affine(
    x: torch.Tensor,
    key: torch.Tensor,
    p: float,
    scale: float,
    shift: float,
    drop_value: float,
    base: int,
    strides: Sequence[int],
) -> torch.Tensor:
    """`y = keep ? x * scale + shift : drop_value`; see `kernels.reference.masked_affine`."""
    y: torch.Tensor = _masked_affine(x, key, p, scale, shift, drop_value, base, strides)
    return y


def masked_affine_of(
    x: torch.Tensor,
    key: torch.Tensor,
    constants: torch.Tensor,
    base: int,
    strides: Sequence[int],
) -> torch.Tensor:
    """`masked_affine` with p, scale, shift and drop value in one float64 tensor on the CPU.

    The tensor is an input of a compiled graph, where numbers would be constants of it.
    """
    operator = torch.ops.torchdropout.masked_affine.tensor
    y: torch.Tensor = operator(x, key, constants, False, base, strides)
    return y


def masked_by_rates(
    x: torch.Tensor,
    key: torch.Tensor,
    rates: torch.Tensor,
    scaled: bool,
    base: int,
    strides: Sequence[int],
) -> torch.Tensor:
    """A drop probability for each element; see `kernels.reference.masked_by_rates`."""
    y: torch.Tensor = _masked_by_rates(x, key, rates, scaled, base, strides)
    return y
