"""Attention with dropout, a forward and backward step, against torch's function of that name."""

from __future__ import annotations

from dataclasses import replace

import harness
import torch
import torch.nn.functional as F
from forward import OURS
from harness import Candidate, Case

import torchdropout.functional as td

TORCH, TORCH_NONE = "torch", "torch at p = 0"


def _candidates(case: Case, *, causal: bool) -> dict[str, Candidate]:
    inputs = [torch.randn(case.shape, dtype=case.dtype, requires_grad=True) for _ in range(3)]
    g = torch.randn(case.shape, dtype=case.dtype)
    calls = {
        OURS: lambda: td.scaled_dot_product_attention(*inputs, None, case.p, causal),
        TORCH: lambda: F.scaled_dot_product_attention(*inputs, None, case.p, causal),
        TORCH_NONE: lambda: F.scaled_dot_product_attention(*inputs, None, 0.0, causal),
    }
    return {
        name: Candidate(harness.forward_backward(call, g, inputs)) for name, call in calls.items()
    }


def candidates(case: Case) -> dict[str, Candidate]:
    return _candidates(case, causal=False)


def candidates_causal(case: Case) -> dict[str, Candidate]:
    return _candidates(case, causal=True)


BASE = Case("attention, forward and backward", candidates, (8, 8, 512, 64))


def cases(quick: bool) -> list[Case]:
    shapes = ((2, 2, 64, 16),) if quick else (BASE.shape, (64, 8, 64, 64), (1, 8, 2048, 64))
    return [
        replace(BASE, operation=operation, setup=setup, shape=shape, dtype=dtype)
        for shape in shapes
        for operation, setup in (
            (BASE.operation, candidates),
            ("causal attention, forward and backward", candidates_causal),
        )
        for dtype in (torch.float32, torch.bfloat16)
    ]


if __name__ == "__main__":
    harness.main(__file__, __doc__, cases)
