"""Small calls: what a call costs, and how much of that torch's `autograd.Function` costs alone.

Forward and backward are compared with two calls that compute nothing. An empty Function takes the
least time of any dropout that is written as one; `x.view_as(x)`, whose node is written in C++, that
of a dropout which is not. `short` is an empty Function called as this package calls its own,
without what torch's `apply` and node do in Python.

A forward without gradients is compared with its parts: the compiled function, with a draw and a new
output, and the kernel alone, with a key and an existing output. In eval the call returns its input.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import harness
import torch
import torch.nn.functional as F
from forward import OURS, TORCH
from harness import Candidate, Case

import torchdropout.functional as td
from torchdropout._core import direct

FUNCTION, SHORT, NODE = "empty Function", "empty Function, short", "x.view_as(x)"
EVAL = f"{OURS}, in eval"
OUT, COMPILED, KERNEL = f"{OURS}, out=", "_C.dropout", "_C.write, out="


class Empty(torch.autograd.Function):
    """The identity. Its output is a view of x, which torch makes."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        """Return x."""
        return x

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        """Return the gradient."""
        return gradient


class ShortEmpty(Empty):
    """The same with a node of its own, which `_short` changes."""


def with_backward(case: Case) -> dict[str, Candidate]:
    x = torch.randn(case.shape, dtype=case.dtype, requires_grad=True)
    g = torch.randn_like(x)
    functions = {
        TORCH: partial(F.dropout, x, case.p),
        OURS: partial(td.dropout, x, case.p),
        FUNCTION: partial(Empty.apply, x),
        NODE: partial(x.view_as, x),
    }
    if direct.takes(x):
        functions[SHORT] = partial(direct._short(ShortEmpty, ShortEmpty.backward), x)
    return {
        name: Candidate(harness.forward_backward(function, g, [x]))
        for name, function in functions.items()
    }


def forward(case: Case) -> dict[str, Candidate]:
    x = torch.randn(case.shape, dtype=case.dtype)
    out = torch.zeros_like(x)
    calls: dict[str, harness.Call] = {
        TORCH: partial(F.dropout, x, case.p),
        OURS: partial(td.dropout, x, case.p),
        OUT: partial(td.dropout, x, case.p, out=out),
        EVAL: partial(td.dropout, x, case.p, False),
    }
    if direct.takes(x):
        rest = (), True, False, None, None, (), None, None
        calls[COMPILED] = partial(direct._C.dropout, x, case.p, *rest)
        call = (False, 1, 0, 0, None, (case.p, 1 / (1 - case.p), 0.0, 0.0))
        calls[KERNEL] = partial(direct._C.write, x, out, call)
    return {name: Candidate(call) for name, call in calls.items()}


WITH_BACKWARD = Case("forward and backward", with_backward, (1,))
FORWARD = Case("forward", forward, (1,))


def cases(quick: bool) -> list[Case]:
    sizes, more = ((16,), ()) if quick else ((1, 16, 256, 2**14), (4,))
    return [
        *(replace(WITH_BACKWARD, shape=(n,)) for n in sizes),
        *(replace(FORWARD, shape=(n,)) for n in sorted((*sizes, *more))),
    ]


if __name__ == "__main__":
    harness.main(__file__, __doc__, cases)
