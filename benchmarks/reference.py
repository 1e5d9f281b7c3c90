"""What a machine without a compiler gets: the reference, next to torch's dropout, by threads.

A forward without gradients. It selects the backend itself: `--backend` has no effect.
"""

from __future__ import annotations

from dataclasses import replace

import forward
import harness
import torch
from forward import OURS, TORCH
from harness import Case

from torchdropout import backends

BASE = Case(
    "the reference of torchdropout, and F.dropout",
    forward.candidates,
    (2**22,),
    only=(TORCH, OURS),
)


def cases(quick: bool) -> list[Case]:
    backends.use("reference")
    shapes = ((2**16,),) if quick else ((2**10,), (2**14,), (2**18,), BASE.shape, (2**24,))
    return [
        replace(BASE, shape=shape, dtype=dtype, threads=threads)
        for shape in shapes
        for dtype in (torch.float32, torch.bfloat16)
        for threads in (1, 2, 4)
    ]


if __name__ == "__main__":
    harness.main(__file__, __doc__, cases)
