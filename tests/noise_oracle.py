"""Continuous noise once more, element by element: what every backend must equal.

The numbers are those of `contract.noise.noise`, one call an element; the rest is NumPy's
arithmetic.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence

import numpy as np
import torch

from torchdropout import Key, MaskLayout
from torchdropout._core.contract.keep import words_tensor
from torchdropout._core.contract.noise import Law, noise

cached_noise = functools.lru_cache(maxsize=1 << 18)(noise)


def words_from_zero(key: Key, domain: int, n: int) -> torch.Tensor:
    """The words of the indices 0 to n - 1, four of each Philox call."""
    four = words_tensor(key.tensor(), domain, torch.arange(-(-n // 4)))
    return torch.stack(four, dim=-1).flatten()[:n]


def numbers(law: Law, key: Key, shape: Sequence[int], layout: MaskLayout) -> torch.Tensor:
    """The noise in logical order, float32."""
    found = [
        cached_noise(key.seed, key.stream, law, layout.index(coordinates) % 2**64)
        for coordinates in itertools.product(*map(range, shape))
    ]
    return torch.tensor(found, dtype=torch.float32).reshape(tuple(shape))


def noisy(
    x: torch.Tensor,
    law: Law,
    factor: float,
    addend: float,
    key: Key,
    layout: MaskLayout | None = None,
) -> torch.Tensor:
    """`x * (1 + factor * e) + addend * e`, rounded where the contract says so."""
    layout = layout or MaskLayout.of(tuple(x.shape))
    compute = np.float64 if x.dtype == torch.float64 else np.float32
    e = numbers(law, key, x.shape, layout).numpy().astype(compute)
    y = x.contiguous().to(torch.float64).numpy().astype(compute)  # exact
    with np.errstate(over="ignore", invalid="ignore"):
        if factor != 0.0:
            y = y * (compute(1.0) + compute(factor) * e)
        if addend != 0.0:
            y = y + compute(addend) * e
    return torch.from_numpy(np.asarray(y)).to(x.dtype)
