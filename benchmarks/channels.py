"""Shared draws, Dropout2d and drop-path, against torch and a product with a constant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import harness
import torch
import torch.nn.functional as F
from forward import OURS, Dropout
from harness import Candidate, Case

import torchdropout.functional as td

SCALED, DROPOUT2D, MASK = "x * scale", "F.dropout2d", "x * mask"


def _candidates(
    x: torch.Tensor, p: float, ours: Dropout, name: str, torchs: Dropout
) -> dict[str, Candidate]:
    scale = 1 / (1 - p)
    calls: dict[str, Callable[[], object]] = {
        OURS: partial(ours, x, p),
        name: partial(torchs, x, p),
        SCALED: lambda: x * scale,
    }
    return {name: Candidate(call) for name, call in calls.items()}


def images(case: Case) -> dict[str, Candidate]:
    x = torch.randn(case.shape, dtype=case.dtype)
    return _candidates(x, case.p, td.dropout2d, DROPOUT2D, F.dropout2d)


def images_channels_last(case: Case) -> dict[str, Candidate]:
    x = torch.randn(case.shape, dtype=case.dtype).to(memory_format=torch.channels_last)
    return _candidates(x, case.p, td.dropout2d, DROPOUT2D, F.dropout2d)


def _mask_product(x: torch.Tensor, p: float) -> torch.Tensor:
    """Drop-path as vision libraries write it."""
    mask = x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(1 - p)
    return x * mask.div_(1 - p)


def paths(case: Case) -> dict[str, Candidate]:
    x = torch.randn(case.shape, dtype=case.dtype)
    ours = partial(td.dropout, broadcast_dims=tuple(range(1, x.ndim)))
    return _candidates(x, case.p, ours, MASK, _mask_product)


DROP_PATH = Case("drop-path", paths, (64, 197, 768))
IMAGES = Case("Dropout2d", images, (32, 256, 56, 56))
LAST = Case("Dropout2d, channels last", images_channels_last, IMAGES.shape)


def cases(quick: bool) -> list[Case]:
    if quick:
        small = (2, 16, 28, 28)
        return [
            replace(IMAGES, shape=small),
            replace(LAST, shape=small),
            replace(DROP_PATH, shape=(4, 197, 64)),
        ]
    return [
        replace(case, dtype=dtype, threads=threads)
        for case in (IMAGES, LAST, DROP_PATH)
        for dtype in (torch.float32, torch.bfloat16)
        for threads in (1, 2)
    ]


if __name__ == "__main__":
    harness.main(__file__, __doc__, cases)
