"""Compares a gradient with that of the mask, in any layout."""

from __future__ import annotations

import torch

from ... import conditions as of
from ...conditions import Condition
from ...context import Fault
from ...rounding import exact, tolerance, ulp


def compare(
    grad: torch.Tensor,
    kept: torch.Tensor,
    incoming: torch.Tensor,
    p: float,
    condition: Condition,
    name: str,
) -> None:
    """Raise unless a gradient is the incoming one / (1 - p) where kept, and 0 elsewhere."""
    want = torch.where(kept, exact(incoming, p), 0.0)
    allowed = tolerance(want, p, grad.dtype)
    axis = of.expanded_axis(condition.layout)
    if axis is not None and name == "gradient":
        # Elements that share memory get their sum, added in float32 or better, and rounded once.
        terms = want.abs().sum(axis, keepdim=True)
        wide = torch.promote_types(grad.dtype, torch.float32)
        allowed = allowed.sum(axis, keepdim=True) + ulp(terms, grad.dtype)
        allowed += want.shape[axis] * ulp(terms, wide)
        want, grad = want.sum(axis, keepdim=True), grad.narrow(axis, 0, 1)
    got = grad.detach().double()
    wrong = ~((got - want).abs() <= allowed)
    if bool(wrong.any()):
        at = int(torch.nonzero(wrong.reshape(-1))[0])
        raise Fault(
            f"{int(wrong.sum())} of {wrong.numel()} values of the {name} are wrong, such as "
            f"{got.reshape(-1)[at].item():.9g}, expected {want.reshape(-1)[at].item():.9g}",
            wrong=int(wrong.sum()),
        )
