"""Training steps of whole models, converted: their time over that with torch's dropouts.

    python benchmarks/models.py [PART OF A NAME ...]

25 models of timm, torchvision and transformers with random weights; a step is a forward, a backward
and SGD. Both models train three steps before, in which the losses must be finite. What the dropouts
are is in docs/audit/models.csv. Needs `.[peers]`.
"""

from __future__ import annotations

import copy
import statistics
import sys
import time
import warnings
from collections.abc import Iterator
from typing import Any

import audit_models
import harness
import machine
import torch

import torchdropout as td

_TIMM = {
    "vgg11": 64, "densenet121": 64, "efficientnet_b0": 64, "mobilenetv3_small_100": 64,
    "convnext_atto": 64, "vit_tiny_patch16_224": 224, "beit_base_patch16_224": 224,
    "mixer_s32_224": 224, "swin_tiny_patch4_window7_224": 224, "visformer_tiny": 224,
}  # fmt: skip
_TORCHVISION = {
    "alexnet": 64, "efficientnet_b0": 64, "convnext_tiny": 64, "vit_b_32": 224, "swin_t": 224,
}  # fmt: skip
_TRANSFORMERS = (
    "bert", "roberta", "distilbert", "albert", "electra", "gpt2", "opt", "t5", "bart", "vit",
)  # fmt: skip
_SIZES = {"hidden_size": 128, "n_embd": 128, "dim": 128, "d_model": 128, "word_embed_proj_dim": 128}
_ROUNDS = 15


def models() -> Iterator[tuple[str, audit_models.Build]]:
    for name, size in _TIMM.items():
        yield f"timm/{name}", audit_models.of_timm(name, size)
    for name, size in _TORCHVISION.items():
        yield f"torchvision/{name}", audit_models.of_torchvision(name, size)
    for kind in _TRANSFORMERS:
        default = audit_models.configured(kind)
        sizes = {name: size for name, size in _SIZES.items() if hasattr(default, name)}
        yield f"transformers/{kind}", audit_models.of_transformers(kind, **sizes)


class Trainer:
    """A model, what it is given, and its optimizer."""

    def __init__(
        self, model: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self._model, self._args, self._kwargs = model.train(), args, kwargs
        self._optimizer = torch.optim.SGD(model.parameters(), 1e-3)
        self.seconds: list[float] = []

    def step(self) -> None:
        """One step, timed."""
        began = time.perf_counter()
        self._optimizer.zero_grad()
        result = self._model(*self._args, **self._kwargs)
        result = result if isinstance(result, torch.Tensor) else result[0]
        loss = result.float().square().mean()
        loss.backward()
        self._optimizer.step()
        self.seconds.append(time.perf_counter() - began)
        assert bool(torch.isfinite(loss))


def compared(build: audit_models.Build) -> tuple[int, harness.Interval, float]:
    """How many dropouts were converted, the ratio of the steps, the seconds of torch's."""
    torch.manual_seed(0)
    model, args, kwargs = build()
    ours = copy.deepcopy(model)
    changes = td.convert(ours).changes
    trainers = Trainer(ours, args, kwargs), Trainer(model, args, kwargs)
    for _ in range(3 + _ROUNDS):
        for trainer in trainers:
            trainer.step()
    ours_s, torch_s = (trainer.seconds[3:] for trainer in trainers)
    return len(changes), harness.ratio_of_medians(ours_s, torch_s), statistics.median(torch_s)


def main(wanted: list[str]) -> None:
    warnings.simplefilter("ignore")
    print(machine.record())
    for name, build in models():
        if not wanted or any(part in name for part in wanted):
            count, ratio, seconds = compared(build)
            print(
                f"{name:42}{count:4} converted  {harness.duration(seconds):>8}  {ratio}", flush=True
            )


if __name__ == "__main__":
    harness.become_warm()
    main(sys.argv[1:])
