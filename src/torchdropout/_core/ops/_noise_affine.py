"""`noise_affine`: the operator of every variant with continuous noise."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..contract.noise import Law
from ..kernels import _check, noise
from ._maps import define_map

_noise_affine = define_map(
    "noise_affine",
    "int law, float factor, float addend",
    noise.noise_affine,
    _check.check_noise,
    _check.check_noise,
    # The same noise; the addend does not enter the derivative.
    lambda own: (*own[:2], 0.0),
)


def noise_affine(
    x: torch.Tensor,
    key: torch.Tensor,
    law: Law,
    factor: float,
    addend: float,
    base: int,
    strides: Sequence[int],
) -> torch.Tensor:
    """`y = x * (1 + factor * e) + addend * e`; see `kernels.noise.noise_affine`."""
    y: torch.Tensor = _noise_affine(x, key, int(law), factor, addend, base, strides)
    return y


def noise_affine_of(
    x: torch.Tensor,
    key: torch.Tensor,
    law: Law,
    constants: torch.Tensor,
    base: int,
    strides: Sequence[int],
) -> torch.Tensor:
    """`noise_affine` with factor and addend in one float64 CPU tensor; see `masked_affine_of`."""
    operator = torch.ops.torchdropout.noise_affine.tensor
    y: torch.Tensor = operator(x, key, constants, int(law), False, base, strides)
    return y
