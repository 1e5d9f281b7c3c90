"""The cost of a scope: a training step of a small transformer in `td.keyed`, over one without.

A step is a forward, a backward and a step of SGD. The model is torch's, with dropout in attention,
in the feed-forward and on the residual branches. In a scope torch's dropouts are drawn by our
kernels, which gains more than the scope costs; in the same model converted, they are ours in both.
The last row of each is what finding the sites takes, once for a model.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial

import harness
import torch
from harness import Candidate, Case
from torch import nn

import torchdropout as td

LAYERS, HEADS, FEEDFORWARD = 4, 4, 1024
# To decide about 2 %.
PLAN = harness.Plan(budget_s=40.0, fewest=31, most=301, slow_rounds=31)


def transformer(width: int, p: float) -> nn.Module:
    layer = nn.TransformerEncoderLayer(width, HEADS, FEEDFORWARD, p, batch_first=True)
    return nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)


def _step(model: nn.Module, x: torch.Tensor, keyed: bool) -> Candidate:
    optimiser = torch.optim.SGD(model.parameters(), 1e-6)
    steps = itertools.count()

    def work() -> None:
        optimiser.zero_grad()
        model(x).square().mean().backward()
        optimiser.step()

    def work_in_scope() -> None:
        with td.keyed(model, seed=0, step=next(steps), batch=(0, 2 * len(x))):
            work()

    return Candidate(work_in_scope if keyed else work)


def candidates(convert: bool, case: Case) -> dict[str, Candidate]:
    x, model = torch.randn(case.shape), transformer(case.shape[-1], case.p)
    if convert:
        td.convert(model)
    name = "converted" if convert else "torch"
    return {
        name: _step(model, x, False),
        f"{name}, keyed": _step(model, x, True),
        "sites": Candidate(partial(td.find_sites, model, x)),  # as in the first forward of a scope
    }


TORCH = Case("training step", partial(candidates, False), (16, 128, 256))
OURS = replace(TORCH, setup=partial(candidates, True))


def cases(quick: bool) -> list[Case]:
    shapes = [(2, 32, 64)] if quick else [TORCH.shape, (8, 64, 128)]
    return [replace(base, shape=shape) for shape in shapes for base in (TORCH, OURS)]


if __name__ == "__main__":
    harness.main(__file__, __doc__, cases, PLAN)
