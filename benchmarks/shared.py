"""Dropout whose draws are shared, into an existing tensor and in place, and a product with a mask.

`x * m` multiplies by a mask that exists: the time of what cannot be avoided.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import harness
import torch
from forward import OURS
from harness import Candidate, Case

import torchdropout.functional as td

PRODUCT = "x * m"
CHANNELS, LAST, ROWS = "channels", "channels, channels_last", "rows"
IN_PLACE = ", in place"

KI = 2**8  # float32 elements to a KiB
MI = 2**18


def candidates(case: Case) -> dict[str, Candidate]:
    kind = case.operation.removesuffix(IN_PLACE)
    x = torch.randn(case.shape, dtype=case.dtype)
    if kind == LAST:
        x = x.contiguous(memory_format=torch.channels_last)
    dims = (1,) if kind == ROWS else tuple(range(2, x.ndim))
    sizes = [1 if dim in dims else size for dim, size in enumerate(case.shape)]
    mask = torch.empty(sizes, dtype=case.dtype).bernoulli_(1 - case.p).div_(1 - case.p)
    ours = partial(td.dropout, x, case.p, broadcast_dims=dims)
    if case.operation.endswith(IN_PLACE):
        # The same values at each call: a product with zeros is fast, one with subnormals is not.
        values = x.clone()
        return {
            OURS: Candidate(partial(ours, inplace=True), partial(x.copy_, values)),
            PRODUCT: Candidate(partial(x.mul_, mask), partial(x.copy_, values)),
        }
    out = torch.zeros_like(x)
    return {
        OURS: Candidate(partial(ours, out=out)),
        PRODUCT: Candidate(partial(torch.mul, x, mask, out=out)),
    }


def of_size(elements: int, place: str = "") -> list[Case]:
    """Maps of 16 x 16 and 56 x 56 in both layouts, and rows, each of about that many elements."""
    shapes: Sequence[tuple[str, tuple[int, ...]]] = [
        *(
            (kind, (max(1, elements // (64 * side * side)), 64, side, side))
            for kind in (CHANNELS, LAST)
            for side in (16, 56)
        ),
        (ROWS, (max(1, elements // 2**15), 128, 256)),
    ]
    return [Case(kind + place, candidates, shape) for kind, shape in shapes]


def cases(quick: bool) -> list[Case]:
    if quick:
        return [*of_size(MI), *of_size(MI, IN_PLACE)]
    sizes = (MI, 4 * MI, 16 * MI, 128 * MI, 512 * MI)
    found = [
        *(case for size in (64 * KI, *sizes) for case in of_size(size)),
        *(case for size in sizes for case in of_size(size, IN_PLACE)),
    ]
    return found + [replace(case, dtype=torch.bfloat16) for case in of_size(16 * MI)]


if __name__ == "__main__":
    harness.main(__file__, __doc__, cases)
