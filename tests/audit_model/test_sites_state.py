"""An audit leaves a model as it was, whatever happens."""

import contextlib
import copy
import random
import signal
import threading
import time
from collections import OrderedDict

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules import module as hooks

from started import heeding_interrupts
from torchdropout.audit_model import sites
from torchdropout.errors import TargetError


class Restless(nn.Module):
    """Changes whatever a forward pass can change."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)
        self.norm = nn.BatchNorm1d(8)
        self.frozen = nn.Sequential(nn.Dropout(0.1), nn.Linear(8, 8)).eval()
        self.weight = nn.Parameter(torch.ones(8))
        self.tied = self.weight
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("nan", torch.tensor([float("nan"), 1.0]))
        self.register_buffer("none", None)
        self.seen, self.cache, self.names, self.ordered = [], {"a": 1}, {"x"}, OrderedDict(b=1)
        self.generator = torch.Generator().manual_seed(3)
        self.fc.weight.requires_grad_(False)
        self.fc.bias.grad = torch.full((8,), 2.0)
        self.fc.register_forward_hook(lambda *_: None)

    def forward(self, x, fail=None, generator=None):
        x.mul_(2)
        y = self.frozen(self.norm(self.fc(F.dropout(x, 0.3, self.training))))
        y.sum().backward() if y.requires_grad else None
        with torch.no_grad():
            self.weight.add_(1)
            self.fc.bias.data = torch.zeros(8)
            self.nan.copy_(torch.zeros(2))
        self.weight.requires_grad_(False)
        self.fc.weight.requires_grad_(True)
        self.steps += 1
        self.steps = self.steps + 1
        self.none = torch.ones(1)
        self.new, self.done = nn.Linear(2, 2), True
        self.seen.append(1)
        self.cache.clear()
        self.names.add("y")
        self.ordered.clear()
        del self.ordered
        self.steps.requires_grad_(False)
        self.nan.requires_grad_()
        self.fc._forward_hooks.clear()
        self.fc.register_forward_pre_hook(lambda *_: None)
        self.eval()
        random.random(), np.random.rand(), torch.rand(1, generator=self.generator)
        torch.rand(1, generator=generator)
        if fail:
            raise fail
        return y


GENERATOR = torch.Generator()


def snapshot(model, x):
    return {
        "tensors": {name: t.clone() for name, t in model.state_dict().items()},
        "addresses": {name: t.data_ptr() for name, t in model.state_dict().items()},
        "identities": [id(p) for p in model.parameters()] + [id(b) for b in model.buffers()],
        "grads": {name: copy.deepcopy(p.grad) for name, p in model.named_parameters()},
        "flags": [t.requires_grad for t in (*model.parameters(), *model.buffers())],
        "modes": {name: m.training for name, m in model.named_modules()},
        "hooks": {
            name: (list(m._forward_hooks.items()), list(m._forward_pre_hooks.items()))
            for name, m in model.named_modules()
        },
        "attributes": {name: sorted(vars(m)) for name, m in model.named_modules()},
        "held": (list(model.seen), dict(model.cache), set(model.names), model.none),
        "ordered": dict(getattr(model, "ordered", {})),
        "input": x.clone(),
        "torch": torch.get_rng_state(),
        "own": model.generator.get_state(),
        "given": GENERATOR.get_state(),
        "python": random.getstate(),
        "numpy": (np.random.get_state()[1].tolist(), np.random.get_state()[2]),
        "grad mode": torch.is_grad_enabled(),
        "global hooks": (dict(hooks._global_forward_hooks), dict(hooks._global_forward_pre_hooks)),
        "stacks": (torch._C._len_torch_function_stack(), torch._C._len_torch_dispatch_stack()),
    }


def same(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a.nan_to_num(7.0), b.nan_to_num(7.0))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return a == b


def differing(before, after):
    return [key for key in before if not same(before[key], after[key])]


@pytest.fixture
def model():
    return Restless()


def test_the_model_does_change_what_is_looked_at(model):
    """Proves that these tests can fail: without the audit, everything differs."""
    x = torch.randn(4, 8)
    before = snapshot(model, x)
    model(x, generator=GENERATOR)
    changed = set(differing(before, snapshot(model, x)))
    assert before.keys() - changed == {"grad mode", "global hooks", "stacks"}


@pytest.mark.parametrize("raised", [None, ValueError("bad"), KeyboardInterrupt(), SystemExit(3)])
def test_all_is_as_before(model, raised):
    x = torch.randn(4, 8)
    before = snapshot(model, x)
    # A model that ends the program has failed too.
    error = KeyboardInterrupt if isinstance(raised, KeyboardInterrupt) else TargetError
    with pytest.raises(error) if raised else contextlib.nullcontext():
        sites(model, x, raised, GENERATOR)
    assert differing(before, snapshot(model, x)) == []


def test_all_is_as_before_after_a_real_signal(model):
    """Ctrl-C in the middle of a forward pass."""

    model.register_forward_hook(lambda *_: signal.raise_signal(signal.SIGINT))
    x = torch.randn(4, 8)
    before = snapshot(model, x)
    with heeding_interrupts(), pytest.raises(KeyboardInterrupt):
        sites(model, x)
    assert differing(before, snapshot(model, x)) == []


def test_each_pass_begins_as_the_first():
    """A buffer that counts, and an input that is overwritten, are reset before each pass."""
    seen = []

    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("count", torch.zeros(()))

        def forward(self, x):
            self.count += 1
            x += 1
            seen.append((float(self.count), float(x)))
            return x

    sites(Counting(), torch.zeros(1))
    assert seen == [(1.0, 1.0)] * 3


@pytest.mark.parametrize("mode", [True, False])
def test_train_that_merges_weights(mode):
    """`train()` and `eval()` change weights in place, as in LoRA's layers."""

    class Merging(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.merged = nn.Parameter(torch.ones(4)), False

        def train(self, mode=True):
            super().train(mode)
            if mode == self.merged:
                self.weight.data += -0.1 if mode else 0.1
                self.merged = not mode
            return self

        def forward(self, x):
            return F.dropout(x, 0.1, self.training) * self.weight

    merging = Merging().train(mode)
    weight = merging.weight.clone()
    sites(merging, torch.ones(4))
    assert torch.equal(merging.weight, weight)
    assert merging.merged is not mode


def test_parameters_that_are_not_written_are_not_copied(monkeypatch):
    """A large model costs only a copy of its buffers."""
    model = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.1))
    copied = []
    clone = torch.Tensor.clone
    monkeypatch.setattr(torch.Tensor, "clone", lambda t, **k: copied.append(t) or clone(t, **k))
    sites(model, torch.ones(2, 8))
    assert copied == []


def test_another_thread_that_runs_a_model_is_not_looked_at():
    stop = threading.Event()
    other = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5))

    def work():
        while not stop.is_set():
            other(torch.ones(2, 8))

    class Slow(nn.Module):
        def forward(self, x):
            time.sleep(0.05)
            return F.dropout(x, 0.3, self.training)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        (site,) = sites(nn.Sequential(Slow()), torch.ones(8))
    finally:
        stop.set()
        thread.join()
    assert (site.name, site.kind, site.calls) == ("0", "F.dropout", 1)


def test_the_generators_of_accelerators_are_seeded_and_put_back(monkeypatch):
    done = []
    for name in ("is_available", "is_initialized"):
        monkeypatch.setattr(torch.cuda, name, lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: ["before"])
    monkeypatch.setattr(torch.cuda, "set_rng_state_all", done.extend)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: done.append("seeded"))
    sites(nn.ReLU(), torch.ones(4))
    assert done == ["seeded", "before"] * 3


def test_hooks_of_the_model_are_called():
    calls = []
    model = nn.Sequential(nn.Dropout(0.1))
    model[0].register_forward_hook(lambda *_: calls.append(1))
    sites(model, torch.ones(4))
    assert len(calls) == 3
