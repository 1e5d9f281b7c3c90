"""Reading a mask out of an output, with the values held to what a correct dropout may return."""

from __future__ import annotations

import torch

from ..context import Context, Fault, seed_torch
from ..subject import Built

# x / (1 - p), x * (1 / (1 - p)), and a product with a mask that holds the rounded scale all differ
# from the exact value by at most this many units in the last place of the dtype of x: three
# roundings, of which each counts up to twice where the result lies just below a power of two.
ULPS = 3.0


def exact(x: torch.Tensor, p: float) -> torch.Tensor:
    """What a kept x becomes, in float64."""
    return x.detach().double() / (1 - p)


def ulp(value: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The unit in the last place of a dtype at these float64 values."""
    info = torch.finfo(dtype)
    _, exponent = torch.frexp(value.abs().clamp_min(info.tiny))
    return torch.ldexp(torch.full_like(value, info.eps), exponent - 1)


def tolerance(expected: torch.Tensor, p: float, dtype: torch.dtype) -> torch.Tensor:
    """How far from the exact value a kept value may lie.

    A kernel may hold p in float32; 1 - p is then wrong by up to 2^-25, which matters where p is
    near 1. In float64 there is no such excuse.
    """
    allowed = ULPS * ulp(expected, dtype)
    if dtype != torch.float64:
        allowed = allowed + expected.abs() * (2.0**-25 / (1 - p))
    return allowed


def split(x: torch.Tensor, y: torch.Tensor, p: float, what: str = "") -> tuple[torch.Tensor, float]:
    """The kept places, and the largest error there in ulps; every value is dropped or scaled.

    Raises:
        Fault: A value is neither 0 nor x / (1 - p) within the tolerance.
    """
    where = f"{what}: " if what else ""
    expected = exact(x, p)
    value = y.detach().double()
    error = (value - expected).abs()
    kept = value != 0
    wrong = kept & ~(error <= tolerance(expected, p, x.dtype))
    if bool(wrong.any()):
        at = int(torch.nonzero(wrong.reshape(-1))[0])
        got, want = value.reshape(-1)[at].item(), expected.reshape(-1)[at].item()
        nan = int(torch.isnan(value).sum())
        raise Fault(
            f"{where}p={p:g}: {int(wrong.sum())} of {wrong.numel()} values are neither 0 nor "
            f"x / (1 - p), such as {got:.9g}, expected {want:.9g}"
            + (f"; {nan} are NaN" if nan else ""),
            p=p,
            wrong=int(wrong.sum()),
            n=wrong.numel(),
            got=got,
            expected=want,
        )
    ulps = (error / ulp(expected, x.dtype))[kept]
    return kept, float(ulps.max()) if ulps.numel() else 0.0


def seeded_mask(ctx: Context, built: Built, x: torch.Tensor, seed: int) -> torch.Tensor:
    """The kept places of a call right after `torch.manual_seed(seed)`. x has no zeros."""
    given = x.clone(memory_format=torch.preserve_format)
    seed_torch(seed)
    return ctx.kept(built, given)


def same_values(y: torch.Tensor, x: torch.Tensor) -> bool:
    """Whether y holds the values of x, NaN where x has NaN, in any dtype."""
    return torch.equal(
        torch.nan_to_num(y.double(), nan=12345.0), torch.nan_to_num(x.double(), nan=12345.0)
    ) and bool((torch.isnan(y) == torch.isnan(x)).all())
