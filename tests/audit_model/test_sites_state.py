"""An audit leaves a model as it was, whatever happens."""

import copy
import random
import signal
import threading
import time

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
        self.seen, self.cache, self.names = [], {"a": 1}, {"x"}
        self.generator = torch.Generator().manual_seed(3)
        self.fc.weight.requires_grad_(False)
        self.fc.bias.grad = torch.full((8,), 2.0)
        self.fc.register_forward_hook(lambda *_: None)

    def forward(self, x, fail=False):
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
        self.new = nn.Linear(2, 2)
        self.seen.append(1)
        self.cache.clear()
        self.names.add("y")
        self.fc._forward_hooks.clear()
        self.fc.register_forward_pre_hook(lambda *_: None)
        self.eval()
        random.random(), np.random.rand(), torch.rand(1, generator=self.generator)
        if fail:
            raise fail
        return y


def snapshot(model, x):
    return {
        "tensors": {name: t.clone() for name, t in model.state_dict().items()},
        "addresses": {name: t.data_ptr() for name, t in model.state_dict().items()},
        "identities": [id(p) for p in model.parameters()] + [id(b) for b in model.buffers()],
        "grads": {name: copy.deepcopy(p.grad) for name, p in model.named_parameters()},
        "flags": {name: p.requires_grad for name, p in model.named_parameters()},
        "modes": {name: m.training for name, m in model.named_modules()},
        "hooks": {
            name: (list(m._forward_hooks.items()), list(m._forward_pre_hooks.items()))
            for name, m in model.named_modules()
        },
        "attributes": {name: sorted(vars(m)) for name, m in model.named_modules()},
        "held": (list(model.seen), dict(model.cache), set(model.names), model.none),
        "input": x.clone(),
        "torch": torch.get_rng_state(),
        "own": model.generator.get_state(),
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
    model(x)
    changed = set(differing(before, snapshot(model, x)))
    assert changed >= {
        "tensors", "addresses", "identities", "grads", "flags", "modes", "hooks", "attributes",
        "held", "input", "torch", "own", "python", "numpy",
    }  # fmt: skip


def test_all_is_as_before(model):
    x = torch.randn(4, 8)
    before = snapshot(model, x)
    sites(model, x)
    assert differing(before, snapshot(model, x)) == []


@pytest.mark.parametrize("raised", [ValueError("bad"), KeyboardInterrupt(), SystemExit(3)])
def test_all_is_as_before_when_a_pass_raises(model, raised):
    x = torch.randn(4, 8)
    before = snapshot(model, x)
    # A model that ends the program has failed too.
    failed = isinstance(raised, (ValueError, SystemExit))
    expected = TargetError if failed else type(raised)
    with pytest.raises(expected):
        sites(model, x, raised)
    assert differing(before, snapshot(model, x)) == []


def test_all_is_as_before_after_a_real_signal(model):
    """Ctrl-C in the middle of a forward pass."""

    class Slow(Restless):
        def forward(self, x, fail=False):
            super().forward(x)
            signal.raise_signal(signal.SIGINT)

    slow = Slow()
    x = torch.randn(4, 8)
    before = snapshot(slow, x)
    with heeding_interrupts(), pytest.raises(KeyboardInterrupt):
        sites(slow, x)
    assert differing(before, snapshot(slow, x)) == []


def test_each_pass_begins_as_the_first(model):
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


def test_train_that_merges_weights(model):
    """`train()` and `eval()` change weights in place, as in LoRA's layers."""

    class Merging(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.delta, self.merged = (
                nn.Parameter(torch.ones(4)),
                nn.Parameter(torch.full((4,), 0.1)),
                False,
            )

        def train(self, mode=True):
            super().train(mode)
            if mode == self.merged:
                self.weight.data += -self.delta if mode else self.delta
                self.merged = not mode
            return self

        def forward(self, x):
            return F.dropout(x, 0.1, self.training) * self.weight

    merging = Merging()
    sites(merging, torch.ones(4))
    assert torch.equal(merging.weight, torch.ones(4))
    assert not merging.merged
    merging.eval()
    weight = merging.weight.clone()
    sites(merging, torch.ones(4))
    assert torch.equal(merging.weight, weight)
    assert merging.merged


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


def test_hooks_of_the_model_are_called():
    calls = []
    model = nn.Sequential(nn.Dropout(0.1))
    model[0].register_forward_hook(lambda *_: calls.append(1))
    sites(model, torch.ones(4))
    assert len(calls) == 3
