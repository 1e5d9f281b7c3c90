"""Dropout in place: torchdropout and torch, on a new input for each sample."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import harness
import torch
import torch.nn.functional as F
from forward import OURS, TORCH, grid
from harness import Candidate, Case

import torchdropout.functional as td


def candidates(case: Case) -> dict[str, Candidate]:
    source = torch.randn(case.shape, dtype=case.dtype)
    x = torch.empty_like(source)
    return {
        name: Candidate(partial(function, x, case.p, True, True), partial(x.copy_, source))
        for name, function in {OURS: td.dropout, TORCH: F.dropout}.items()
    }


BASE = Case("in place", candidates, (2**26,))
DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def cases(quick: bool) -> list[Case]:
    if quick:
        return grid(BASE, (2**18,), DTYPES)
    return [
        *grid(BASE, (2**10, 2**18, 2**26), DTYPES),
        *(replace(BASE, threads=2, dtype=dtype) for dtype in DTYPES),
    ]


if __name__ == "__main__":
    harness.main(__file__, __doc__, cases)
