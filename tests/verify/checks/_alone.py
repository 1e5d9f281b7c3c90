"""One check alone, without those that it needs."""

from dataclasses import replace

import pytest
import torch

from torchdropout.verify import CHECKS
from torchdropout.verify.context import Context, Fault, Skip, saved_generators, seed_all
from torchdropout.verify.registry import STATISTICAL
from torchdropout.verify.targets import resolve
from verify._zoo import SMALL
from verify.broken._common import draw, select

SHARE = 1e-6 * 0.99 / STATISTICAL  # of the false-alarm rate, for each check that counts
BY_NAME = {check.name: check for check in CHECKS.values()}


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


def made(training=None, evaluation=None):
    """A dropout of what it does in training and in eval: functions of x and p, or None if right."""
    in_training = training or (lambda x, p: select(x, draw(x, p), p))
    in_eval = evaluation or (lambda x, p: x)

    def drop(x, p, training):
        return in_training(x, p) if training else in_eval(x, p)

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


class Once(torch.autograd.Function):
    """`halves`, whose backward cannot be differentiated."""

    @staticmethod
    def forward(ctx, x, p):
        ctx.p = p
        return halves(x, p)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        return halves(gradient, ctx.p), None


def then(**values):
    """A gradient of `halves` whose own gradient has other values at these places."""
    return lambda g, x, p: Gradient.apply(g, halves(g, p), lambda v: put(halves(v, p), **values))
