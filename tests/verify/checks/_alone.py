"""One check alone, without those that it needs, and what it does: its calls and its tests."""

import functools
import inspect
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cache
from unittest import mock

import pytest
import torch

from torchdropout.verify import CHECKS
from torchdropout.verify.context import Context, Fault, Seen, Skip, saved_generators, seed_all
from torchdropout.verify.registry import STATISTICAL
from torchdropout.verify.stats import Family
from torchdropout.verify.targets import resolve
from verify._zoo import SMALL
from verify.broken._common import draw, select

BY_NAME = {check.name: check for check in CHECKS.values()}
GUARDS = {
    "no_grad": lambda: not torch.is_grad_enabled() and not torch.is_inference_mode_enabled(),
    "inference_mode": torch.is_inference_mode_enabled,
    "float64 by default": lambda: torch.get_default_dtype() == torch.float64,
    "2 threads": lambda: torch.get_num_threads() == 2,
    "3 threads": lambda: torch.get_num_threads() == 3,
    "4 threads": lambda: torch.get_num_threads() == 4,
}


def context(target, *, spec=None, **level):
    """The context of a run at a small level, or one that differs in what is given."""
    subject = resolve(target, **({"spec": spec} if spec else {}))
    return Context(subject, replace(SMALL, **level), 0, 1e-6, STATISTICAL)


def run(name, target, **options):
    """What a check measures; raises its `Fault` or `Skip`."""
    with saved_generators():
        seed_all(0)
        return BY_NAME[name].run(context(target, **options))


def fault(name, target, **options):
    """The finding of a check."""
    with pytest.raises(Fault) as caught:
        run(name, target, **options)
    return caught.value


def reason(name, target, **options):
    """Why a check does not apply."""
    with pytest.raises(Skip) as caught:
        run(name, target, **options)
    return str(caught.value)


@dataclass
class Recorded:
    """What a check did.

    Attributes:
        calls: How often it called a plain dropout, by p, shape, dtype, mode and guards.
        tests: The label, n, rate and slack of each of its tests of a count.
        shares: The false-alarm rate and the size of each of its families.
        seen: What it says.
    """

    calls: Counter = field(default_factory=Counter)
    tests: list = field(default_factory=list)
    shares: set = field(default_factory=set)
    seen: Seen | None = None


@cache
def recorded(name, p=None, **options):
    """Run a check on a right dropout, at all p or at one, and return what it did with it."""
    calls = Counter()

    def drop(x, p, training):
        under = [guard for guard, holds in GUARDS.items() if holds()]
        under += ["a gradient"] if x.requires_grad else []
        calls[(p, tuple(x.shape), str(x.dtype).removeprefix("torch."), training, *under)] += 1
        return select(x, draw(x, p), p) if training else x

    found = counted(name, drop if p is None else Fixed(p, drop), **options)
    found.calls = calls
    return found


def counted(name, target, **options):
    """Run a check, and return the tests of counts that it did, and what it says."""
    found = Recorded()

    def binomials(self, labels, counts, n, expected, slack=2.0**-24):
        found.shares.add((self.alpha, self.size))
        rates = expected if hasattr(expected, "__len__") else [expected] * len(labels)
        found.tests += [(label, n, rate, slack) for label, rate in zip(labels, rates, strict=True)]
        original(self, labels, counts, n, expected, slack)

    original = Family.binomials
    with mock.patch.object(Family, "binomials", binomials):
        found.seen = run(name, target, **options)
    return found


def noted(rule):
    """The same dropout, and a count of its calls: the shapes of its inputs, p and the mode."""
    calls = Counter()

    @functools.wraps(rule)
    def drop(*args, **kwargs):
        given = inspect.signature(rule).bind(*args, **kwargs).arguments.values()
        calls[tuple(tuple(v.shape) if isinstance(v, torch.Tensor) else v for v in given)] += 1
        return rule(*args, **kwargs)

    return drop, calls


class Fixed(torch.nn.Module):
    """An instance, whose p is the only one that a check can have."""

    def __init__(self, p, drop):
        super().__init__()
        self.p, self.drop = p, drop

    def forward(self, x):
        return self.drop(x, self.p, self.training)


def made(training=None, evaluation=None):
    """A dropout of what it does in training and in eval: functions of x and p, or None if right."""

    def dropout(x, p, training_mode):
        if training_mode:
            return training(x, p) if training else select(x, draw(x, p), p)
        return evaluation(x, p) if evaluation else x

    def drop(x, p, training):
        return dropout(x, p, training)

    return drop


def put(x, **values):
    """A copy of x with other values at these places: `put(x, _0=1.0, _7=0.0)`."""
    changed = x.clone()
    for place, value in values.items():
        changed.view(-1)[int(place[1:])] = value
    return changed


def halves(x, p, shift=0):
    """Every second element is dropped, from the first or the second on."""
    places = torch.arange(x.numel(), device=x.device).reshape(x.shape)
    return select(x, places % 2 == shift, p)


class Gradient(torch.autograd.Function):
    """y of x, with a gradient of its own."""

    @staticmethod
    def forward(ctx, x, y, change):
        ctx.change = change
        return y.clone()

    @staticmethod
    def backward(ctx, gradient):
        return ctx.change(gradient), None, None
