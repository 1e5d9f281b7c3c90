"""Dropout into an existing tensor: torchdropout and a copy."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import harness
import torch
from forward import OURS, grid
from harness import Candidate, Case

import torchdropout.functional as td

COPY = "out.copy_(x)"


def candidates(case: Case) -> dict[str, Candidate]:
    x = torch.randn(case.shape, dtype=case.dtype)
    out = torch.zeros_like(x)
    calls = {OURS: partial(td.dropout, x, case.p, out=out), COPY: partial(out.copy_, x)}
    return {name: Candidate(call) for name, call in calls.items()}


BASE = Case("into out=", candidates, (2**26,))
DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def cases(quick: bool) -> list[Case]:
    if quick:
        return grid(BASE, (2**18,), DTYPES)
    return [
        *grid(BASE, (2**18, 2**26), DTYPES),
        *(replace(BASE, threads=2, dtype=dtype) for dtype in DTYPES),
    ]


if __name__ == "__main__":
    harness.main(__file__, __doc__, cases)
