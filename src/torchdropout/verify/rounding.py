"""How far a correct dropout's value may be from the exact one."""

from __future__ import annotations

import torch

# x / (1 - p), x * (1 / (1 - p)), and a product with a mask that contains the rounded scale all
# differ from the exact value by at most this many units in the last place of the dtype of x: three
# roundings, each of which counts up to twice where the result is just below a power of two.
ULPS = 3.0

_LARGEST = torch.finfo(torch.float64).max
_EXPONENT = 0x7FF << 52


def exact(x: torch.Tensor, p: float) -> torch.Tensor:
    """The exact value of a kept x, in float64."""
    return x.detach().double() / (1 - p)


def ulp(value: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The unit in the last place of a dtype at these float64 values."""
    info = torch.finfo(dtype)
    size = value.abs().clamp_(info.tiny, _LARGEST)
    # The exponent's bits alone are a power of two; `frexp` and `ldexp` take five times as long.
    return (size.view(torch.int64) & _EXPONENT).view(torch.float64) * info.eps


def tolerance(expected: torch.Tensor, p: float, dtype: torch.dtype) -> torch.Tensor:
    """How far a kept value may be from the exact one.

    A kernel may hold p in float32; 1 - p is then wrong by up to 2^-25, which matters where p is
    near 1. In float64 this is not tolerated.
    """
    allowed = ULPS * ulp(expected, dtype)
    if dtype != torch.float64:
        allowed = allowed + expected.abs() * (2.0**-25 / (1 - p))
    return allowed
