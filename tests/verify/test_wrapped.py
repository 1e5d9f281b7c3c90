"""Targets whose calls are wrapped."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from torchdropout.verify.targets import resolve
from torchdropout.verify.wrapped import Checkpointed, First, OnDevice

CPU = torch.device("cpu")


class Counts(nn.Module):
    def __init__(self, p=0.5, inplace=False):
        super().__init__()
        self.p, self.inplace, self.calls = p, inplace, 0

    def forward(self, x):
        self.calls += 1
        return F.dropout(x, self.p, self.training)


@pytest.mark.parametrize(
    ("wrap", "note", "takes_inplace"),
    [
        (First, "the first of its outputs is y", True),
        (Checkpointed, "inside torch.utils.checkpoint", False),
        (lambda inner: OnDevice(inner, CPU), "on cpu", False),
    ],
)
def test_a_wrapped_target_is_what_it_was(wrap, note, takes_inplace):
    inner = resolve(Counts(0.25))
    inner.has_gradient = False
    outer = wrap(inner)
    assert outer.description == f"{inner.description}; {note}"
    assert outer.takes_inplace is takes_inplace
    for name in ("name", "kind", "fixed_p", "has_eval", "has_gradient", "spec", "place"):
        assert getattr(outer, name) == getattr(inner, name)
    built = outer.build(0.25)
    assert built.p == 0.25
    assert isinstance(built.module, Counts)
    x = torch.ones(64)
    assert torch.equal(built.call(x, False), x)
    assert (built.call(x, True) == 0).any()


def test_a_checkpoint_calls_once_more_in_backward_and_passes_all_inputs():
    built = Checkpointed(resolve(Counts)).build(0.5)
    x = torch.ones(64, requires_grad=True)
    y = built.call(x, True)
    assert built.module.calls == 1
    y.sum().backward()
    assert built.module.calls == 2
    assert torch.equal(x.grad, y.detach())

    def add(x, residual, p, training):
        return F.dropout(x, p, training) + residual

    inner = resolve(add, spec="dropout-add")._inner
    fused = Checkpointed(inner).build(0.5)
    assert fused.inputs == {"residual"}
    assert fused.call(x, False, residual=torch.ones(64)).tolist() == [2] * 64


def test_inputs_are_moved_to_the_device_and_outputs_back():
    seen = []

    def add(x, residual, p, training):
        seen.append((x.device.type, residual.device.type))
        return residual if training else torch.ones(3, device="cpu")

    meta = OnDevice(resolve(add, spec="dropout-add")._inner, torch.device("meta")).build(0.5)
    x = torch.ones(3)
    # A result that lies elsewhere stays where it is.
    assert meta.call(x, False, residual=x).device.type == "cpu"
    assert seen == [("meta", "meta")]
    back = meta.call(x.to("meta"), True, residual=x)
    assert back.device.type == "meta"
    module = OnDevice(resolve(Counts), CPU)
    assert module.build(0.5).call(x, False).tolist() == [1, 1, 1]
    assert OnDevice(resolve(lambda x, p, training: 7), CPU).build(0.5).call(x, True) == 7

    class Weighted(Counts):
        def forward(self, x):
            return next(self.parameters()).device.type

        def __init__(self, p):
            super().__init__(p)
            self.weight = nn.Parameter(torch.ones(3))

    moved = OnDevice(resolve(Weighted), torch.device("meta")).build(0.5)
    assert moved.call(torch.ones(3), True) == "meta"
