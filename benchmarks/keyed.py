"""The cost of a scope: a training step of a small transformer in `td.keyed`, over one without.

A step is a forward, a backward and a step of SGD. The model is torch's, with dropout in attention,
in the feed-forward and on the residual branches. What our kernels gain over torch's dropout is a
candidate of its own: the same model converted, without a scope.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import harness
import torch
from harness import Candidate, Case
from torch import nn

import torchdropout as td

LAYERS, HEADS, FEEDFORWARD = 4, 4, 1024
NONE, TORCH, KEYED, OURS, OURS_KEYED = (
    "p = 0",
    "torch",
    "torch, keyed",
    "torchdropout",
    "torchdropout, keyed",
)
NONE_KEYED = "p = 0, keyed"


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


def candidates(case: Case) -> dict[str, Candidate]:
    width, x = case.shape[-1], torch.randn(case.shape)
    models = {p: transformer(width, p) for p in (0.0, case.p)}
    ours = transformer(width, case.p)
    td.convert(ours)
    return {
        NONE: _step(models[0.0], x, False),
        NONE_KEYED: _step(models[0.0], x, True),
        TORCH: _step(models[case.p], x, False),
        KEYED: _step(models[case.p], x, True),
        OURS: _step(ours, x, False),
        OURS_KEYED: _step(ours, x, True),
    }


BASE = Case("training step", candidates, (16, 128, 256))


def cases(quick: bool) -> list[Case]:
    shapes = [(2, 32, 64)] if quick else [BASE.shape, (8, 64, 128)]
    return [replace(BASE, shape=shape) for shape in shapes]


if __name__ == "__main__":
    harness.main(__file__, __doc__, cases)
