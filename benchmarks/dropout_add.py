"""Residual and dropout in one pass: `residual + dropout(x + bias)`, against torch's composition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import harness
import torch
import torch.nn.functional as F
from forward import OURS
from harness import Candidate, Case

import torchdropout.functional as td

COMPOSED = "torch's composition"


def _calls(
    case: Case, *, bias: bool, watched: bool
) -> tuple[list[torch.Tensor], dict[str, Callable[[], torch.Tensor]]]:
    """The inputs, and the two ways to add them."""
    shapes = [case.shape, case.shape, case.shape[-1:]][: 3 if bias else 2]
    inputs = [torch.randn(s, dtype=case.dtype, requires_grad=watched) for s in shapes]
    x, residual, *rest = inputs
    b = rest[0] if bias else None
    p = case.p

    def composed() -> torch.Tensor:
        return residual + F.dropout(x if b is None else x + b, p)

    return inputs, {
        OURS: lambda: td.dropout_add(x, residual, p, bias=b),
        COMPOSED: composed,
    }


def candidates(case: Case) -> dict[str, Candidate]:
    _, calls = _calls(case, bias=True, watched=False)
    return {name: Candidate(call) for name, call in calls.items()}


def candidates_without_bias(case: Case) -> dict[str, Candidate]:
    _, calls = _calls(case, bias=False, watched=False)
    return {name: Candidate(call) for name, call in calls.items()}


def candidates_with_backward(case: Case) -> dict[str, Candidate]:
    inputs, calls = _calls(case, bias=True, watched=True)
    g = torch.randn(case.shape, dtype=case.dtype)
    return {
        name: Candidate(harness.forward_backward(call, g, inputs)) for name, call in calls.items()
    }


BASE = Case("dropout_add with bias", candidates, (65536, 1024))
VARIANTS = (
    BASE,
    replace(BASE, operation="dropout_add", setup=candidates_without_bias),
    replace(
        BASE,
        operation="dropout_add with bias, forward and backward",
        setup=candidates_with_backward,
    ),
)


def cases(quick: bool) -> list[Case]:
    shapes = ((256, 1024),) if quick else ((256, 1024), BASE.shape)
    return [
        replace(variant, shape=shape, dtype=dtype)
        for variant in VARIANTS
        for shape in shapes
        for dtype in (torch.float32, torch.bfloat16)
    ]


if __name__ == "__main__":
    harness.main(__file__, __doc__, cases)
