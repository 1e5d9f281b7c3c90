"""A forward with gradients, with and without its backward: torchdropout and torch.

All sizes in all dtypes at p = 0.1, one thread, warm; then two threads and cold memory in float32.
Every candidate makes the input's gradient afresh in each call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import forward
import harness
import torch
import torch.nn.functional as F
from forward import COMPILED, OURS, TORCH, grid
from harness import Candidate, Case

import torchdropout.functional as td

DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def _watched(case: Case) -> tuple[torch.Tensor, dict[str, Callable[[], torch.Tensor]]]:
    """An input that requires a gradient, and the forwards on it."""
    x = torch.randn(case.shape, dtype=case.dtype, requires_grad=True)
    functions = {OURS: td.dropout, TORCH: F.dropout, COMPILED: forward.compiled()}
    return x, {name: partial(function, x, case.p) for name, function in functions.items()}


def forward_candidates(case: Case) -> dict[str, Candidate]:
    _, calls = _watched(case)
    return {name: Candidate(call) for name, call in calls.items()}


def candidates(case: Case) -> dict[str, Candidate]:
    x, calls = _watched(case)
    g = torch.randn_like(x)
    return {name: Candidate(harness.forward_backward(call, g, [x])) for name, call in calls.items()}


BASE = Case("forward and backward", candidates, (2**18,))
FORWARD = Case("forward with gradients", forward_candidates, (2**18,))


def cases(quick: bool) -> list[Case]:
    if quick:
        return grid(BASE, forward.QUICK_SIZES, forward.QUICK_DTYPES)
    return [
        *grid(BASE, forward.SIZES, DTYPES),
        *grid(FORWARD, (16, 2**10, 2**14), (torch.float32,)),
        *(replace(BASE, threads=2, shape=(n,)) for n in (2**18, 2**22, 2**26)),
        *(replace(BASE, memory="cold", shape=(n,)) for n in (2**18, 2**22, 2**26)),
    ]


if __name__ == "__main__":
    harness.main(__file__, __doc__, cases)
