"""The cost of dropout in a training step of `nn.TransformerEncoderLayer`: time over that at p = 0.

A step is a forward and a backward, without optimizer. Dropout acts in the feed-forward and on the
two residual branches, and not inside attention. All layers hold the same weights.
"""

from __future__ import annotations

from dataclasses import replace

import harness
import torch
from harness import Candidate, Case
from torch import nn

from torchdropout import nn as td

HEADS, FEEDFORWARD = 4, 1024

NONE, TORCH = "p = 0", "torch"
FUSED, FUSED_NONE, DROPPED_IN = "torchdropout, dropout_add", "dropout_add at p = 0", "torchdropout"


class FusedEncoderLayer(nn.TransformerEncoderLayer):
    """Torch's layer with `DropoutAdd` for the two residual branches."""

    def __init__(self, width: int, p: float) -> None:
        super().__init__(width, HEADS, FEEDFORWARD, p, batch_first=True)
        self.dropout = td.Dropout(p)
        self.dropout1 = td.DropoutAdd(p)
        self.dropout2 = td.DropoutAdd(p)

    def forward(self, src: torch.Tensor) -> torch.Tensor:
        """Post-norm, no masks."""
        attended = self.self_attn(src, src, src, need_weights=False)[0]
        x = self.norm1(self.dropout1(attended, src))
        hidden = self.linear2(self.dropout(self.activation(self.linear1(x))))
        return self.norm2(self.dropout2(hidden, x))


def torch_layer(width: int, p: float) -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(width, HEADS, FEEDFORWARD, p, batch_first=True)


def dropped_in(width: int, p: float) -> nn.TransformerEncoderLayer:
    """Torch's layer with each of its dropouts replaced by ours."""
    layer = torch_layer(width, p)
    for name in ("dropout", "dropout1", "dropout2"):
        setattr(layer, name, td.Dropout(p))
    return layer


def _step(layer: nn.TransformerEncoderLayer, x: torch.Tensor, g: torch.Tensor) -> Candidate:
    x = x.clone().requires_grad_()  # as in the middle of a stack
    inputs = [x, *layer.parameters()]
    return Candidate(harness.forward_backward(lambda: layer(x), g, inputs))


def candidates(case: Case) -> dict[str, Candidate]:
    width, p = case.shape[-1], case.p
    layers = {
        NONE: torch_layer(width, 0.0),
        FUSED: FusedEncoderLayer(width, p),
        TORCH: torch_layer(width, p),
        DROPPED_IN: dropped_in(width, p),
        FUSED_NONE: FusedEncoderLayer(width, 0.0),
    }
    x, g = torch.randn(case.shape), torch.randn(case.shape)
    for layer in layers.values():
        layer.load_state_dict(layers[NONE].state_dict())
        layer.self_attn.dropout = 0.0
    return {name: _step(layer, x, g) for name, layer in layers.items()}


BASE = Case("training step", candidates, (32, 128, 256))


def cases(quick: bool) -> list[Case]:
    shape = (2, 32, 256) if quick else BASE.shape
    return [replace(BASE, shape=shape, threads=threads) for threads in (1, 2)]


if __name__ == "__main__":
    harness.main(__file__, __doc__, cases)
