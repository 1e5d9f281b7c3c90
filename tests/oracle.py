"""The contract once more, element by element in plain Python: what every backend must equal.

Written from section 1 to 3 of the contract, and on purpose slow and literal.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch

from torchdropout import Key, MaskLayout
from torchdropout._core.contract import keep_bit

cached_keep_bit = functools.lru_cache(maxsize=1 << 18)(keep_bit)

FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
COMPLEX = (torch.complex128, torch.complex64, torch.complex32)
DTYPES = FLOATS + COMPLEX


def mask(key: Key, p: float, shape: Sequence[int], layout: MaskLayout) -> torch.Tensor:
    """Keep bits in logical order, one call of the definition for each element."""
    bits = [
        cached_keep_bit(key.seed, key.stream, p, layout.index(coordinates))
        for coordinates in itertools.product(*map(range, shape))
    ]
    return torch.tensor(bits, dtype=torch.bool).reshape(tuple(shape))


def dropout(x: torch.Tensor, p: float, key: Key, layout: MaskLayout | None = None) -> torch.Tensor:
    """Inverted dropout in NumPy arithmetic, which shares no code with torch's."""
    layout = layout or MaskLayout.of(tuple(x.shape))
    keep = mask(key, p, x.shape, layout)
    if x.is_complex():
        scaled = torch.empty(x.shape, dtype=x.dtype)
        torch.view_as_real(scaled).copy_(_scaled(torch.view_as_real(x.contiguous()), p))
    else:
        scaled = _scaled(x, p)
    return torch.where(keep, scaled, torch.zeros((), dtype=x.dtype))


def _scaled(x: torch.Tensor, p: float) -> torch.Tensor:
    compute = np.float64 if x.dtype == torch.float64 else np.float32
    wide = x.contiguous().to(torch.float64).numpy()  # exact for every narrower type
    scale = compute(1.0 / (1.0 - p)) if p < 1.0 else compute(0.0)
    with np.errstate(over="ignore", invalid="ignore"):
        product = torch.from_numpy(np.asarray(wide.astype(compute) * scale))
    return product.to(x.dtype)


def same_bits(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Equal in dtype, shape and every bit: signs of zeros and NaNs included."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.is_complex():
        a, b = torch.view_as_real(a.resolve_conj()), torch.view_as_real(b.resolve_conj())
    integer = {8: torch.int64, 4: torch.int32, 2: torch.int16}[a.dtype.itemsize]
    return torch.equal(a.contiguous().view(integer), b.contiguous().view(integer))


def same_but_nans(a: torch.Tensor, b: torch.Tensor) -> bool:
    """The same with any NaN equal to any other: where one is, is said, and not its payload."""
    return same_bits(_plain_nans(a), _plain_nans(b))


def _plain_nans(x: torch.Tensor) -> torch.Tensor:
    real = torch.view_as_real(x.resolve_conj()) if x.is_complex() else x
    real = torch.where(real.isnan(), torch.full((), math.nan, dtype=real.dtype), real)
    return torch.view_as_complex(real.contiguous()) if x.is_complex() else real


def layouts_of(x: torch.Tensor) -> dict[str, torch.Tensor]:
    """The values of x in other memory layouts."""
    found = {"contiguous": x.contiguous()}
    order = tuple(reversed(range(x.ndim)))
    found["transposed"] = x.permute(order).contiguous().permute(order)
    if x.ndim > 0:
        found["strided"] = x.repeat_interleave(2, dim=-1)[..., ::2]
    if x.ndim == 4:
        found["channels_last"] = x.contiguous(memory_format=torch.channels_last)
    return found
