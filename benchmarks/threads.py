"""The time with one thread over that with two: a forward of torchdropout, of torch, and a copy."""

from __future__ import annotations

from dataclasses import replace

import forward
import harness
import torch
from forward import OURS, TORCH
from harness import Candidate, Case

ONE, TWO = "1 thread", "2 threads"


def _both(case: Case, name: str) -> dict[str, Candidate]:
    candidate = forward.candidates(case)[name]
    return {TWO: replace(candidate, threads=2), ONE: replace(candidate, threads=1)}


def ours(case: Case) -> dict[str, Candidate]:
    return _both(case, OURS)


def torchs(case: Case) -> dict[str, Candidate]:
    return _both(case, TORCH)


def copy(case: Case) -> dict[str, Candidate]:
    return _both(case, "copy_")


BASE = Case(f"{OURS}, 2 threads and 1", ours, (2**26,), threads=2)
VARIANTS = (
    BASE,
    replace(BASE, operation=f"{TORCH}, 2 threads and 1", setup=torchs),
    replace(BASE, operation="copy_, 2 threads and 1", setup=copy),
)


def cases(quick: bool) -> list[Case]:
    return [
        replace(variant, dtype=dtype, shape=(2**20,) if quick else BASE.shape)
        for variant in VARIANTS
        for dtype in (torch.float32, torch.bfloat16)
    ]


if __name__ == "__main__":
    harness.main(__file__, __doc__, cases)
