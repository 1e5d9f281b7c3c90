"""A forward without gradients, into a new output: torchdropout, torch, numpy and a copy.

All sizes in all dtypes at p = 0.1, one thread, warm; then p, the thread count and cold memory, each
by itself, in float32. `torch.compile` gets dynamic=True, so that one kernel serves all sizes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial

import harness
import numpy as np
import torch
import torch.nn.functional as F
from harness import Candidate, Case

import torchdropout.functional as td

SIZES = (16, 256, 2**10, 2**14, 2**18, 2**22, 2**26)
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.complex64)
QUICK_SIZES, QUICK_DTYPES = (16, 2**14, 2**18), (torch.float32, torch.bfloat16)

OURS, TORCH, COMPILED = "torchdropout", "F.dropout", "torch.compile(F.dropout)"

Dropout = Callable[[torch.Tensor, float], torch.Tensor]


@cache
def compiled() -> Dropout:
    """Compile torch's dropout; raise if the compiler would give up and run it eagerly."""
    torch._inductor.config.compile_threads = 1  # no pool of processes next to what is timed
    torch._dynamo.config.recompile_limit = 64
    torch._dynamo.config.fail_on_recompile_limit_hit = True
    return torch.compile(_torch_dropout, dynamic=True)


def _torch_dropout(x: torch.Tensor, p: float) -> torch.Tensor:
    return F.dropout(x, p)


def native(x: torch.Tensor, p: float) -> torch.Tensor:
    return torch.native_dropout(x, p, True)[0]


def _product(x: torch.Tensor, p: float) -> torch.Tensor:
    return x * torch.bernoulli(torch.full_like(x, 1 - p)) / (1 - p)


def _numpy(x: torch.Tensor, p: float) -> harness.Call:
    array, generator = x.numpy(), np.random.default_rng(harness.SEED)
    uniform = np.float64 if x.dtype == torch.float64 else np.float32
    scale = array.dtype.type(1 / (1 - p))
    return lambda: array * (generator.random(array.shape, uniform) >= p) * scale


def candidates(case: Case) -> dict[str, Candidate]:
    """All functions that accept the dtype."""
    x = torch.randn(case.shape, dtype=case.dtype)
    functions: dict[str, Dropout] = {OURS: td.dropout}
    if not case.dtype.is_complex:
        functions |= {TORCH: F.dropout, COMPILED: compiled(), "x * bernoulli": _product}
    functions["torch.native_dropout"] = native
    calls: dict[str, harness.Call] = {
        name: partial(function, x, case.p) for name, function in functions.items()
    }
    if case.dtype != torch.bfloat16:
        calls["numpy"] = _numpy(x, case.p)
    calls["copy_"] = partial(torch.empty_like(x).copy_, x)
    return {name: Candidate(call) for name, call in calls.items()}


def grid(base: Case, sizes: tuple[int, ...], dtypes: tuple[torch.dtype, ...]) -> list[Case]:
    """All sizes in all dtypes."""
    return [replace(base, shape=(n,), dtype=dtype) for dtype in dtypes for n in sizes]


BASE = Case("forward", candidates, (2**18,))


def cases(quick: bool) -> list[Case]:
    if quick:
        return [*grid(BASE, QUICK_SIZES, QUICK_DTYPES), replace(BASE, memory="cold")]
    return [
        *grid(BASE, SIZES, DTYPES),
        *(replace(BASE, p=0.5, shape=(n,)) for n in (2**14, 2**22)),
        *(replace(BASE, threads=2, shape=(n,)) for n in (2**14, 2**18, 2**22, 2**26)),
        *(replace(BASE, memory="cold", shape=(n,)) for n in (2**14, 2**18, 2**22, 2**26)),
    ]


if __name__ == "__main__":
    harness.main(__file__, __doc__, cases)
