"""A module after it was copied, stored, loaded, converted or set."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable, Mapping

import torch

from ... import stats
from ...context import Context, Fault, Seen, Skip, check, outcome
from ...subject import Built
from .._module import OTHER_P
from .._reading import split
from ._everywhere import need_random

STATE_P = 0.23  # a number that no other attribute holds by chance
SIZE = 1 << 12


def _pickled(module: torch.nn.Module) -> torch.nn.Module:
    try:
        stored = pickle.dumps(module)
    except Exception as error:
        raise Skip("it cannot be pickled") from error
    copied: torch.nn.Module = pickle.loads(stored)
    return copied


def _saved(module: torch.nn.Module) -> torch.nn.Module:
    try:
        stored = io.BytesIO()
        torch.save(module, stored)
    except Exception as error:
        raise Skip("it cannot be saved") from error
    stored.seek(0)
    copied: torch.nn.Module = torch.load(stored, weights_only=False)
    return copied


def _loaded(module: torch.nn.Module) -> torch.nn.Module:
    copied = copy.deepcopy(module)
    copied.load_state_dict(module.state_dict())
    return copied


COPIES: Mapping[str, Callable[[torch.nn.Module], torch.nn.Module]] = {
    "copy.deepcopy": copy.deepcopy,
    "pickle": _pickled,
    "torch.save": _saved,
    "load_state_dict": _loaded,
    "double": lambda module: copy.deepcopy(module).double().float(),
}


@check(needs=["drop-rate", "eval-identity"], statistical=True)
def module_state(ctx: Context) -> Seen:
    """A module is the same dropout after it was copied, stored, loaded, converted or set.

    Measured: a module after `copy.deepcopy`, `pickle`, `torch.save`, `load_state_dict` and
    `double`, and after its p was set to another: values, rate and eval; a copy's masks are its own;
    `train()`, `eval()` and a parent's `train()` set the mode, and return the module.

    Layers are deep-copied to build a stack, pickled to reach a worker, and given another p by a
    schedule. A layer that keeps its generator or its scale from construction then repeats the masks
    of its copies, or scales by the old 1 / (1 - p).

    To fix: keep p as an attribute, and nothing else; compute the scale in each call.
    """
    # A kind that keeps a fixed count holds some p exactly and not others.
    exact = (p for p in (STATE_P, *ctx.spec.grid) if len(set(ctx.spec.rates(p))) == 1)
    fixed = ctx.subject.fixed_p
    built = ctx.build(fixed if fixed is not None else next(exact, STATE_P))
    module = built.module
    if module is None or built.again is None:
        raise Skip("the target is not a module")
    need_random(ctx)
    family = ctx.family(len(COPIES) + 1)
    _demand_modes(module)
    for name, copied in COPIES.items():
        try:
            with ctx.blame(name):
                other = copied(module)
        except Skip:
            continue
        _demand_same(ctx, built, built.again(other, built.p), name, family)
    if ctx.subject.fixed_p is None and not len(list(module.children())):
        _demand_other_p(ctx, built, family)
    if not family.tests:
        raise Skip("its rate is not held exactly")
    return outcome(
        family,
        lambda t: f"after {t.label}: {t.rate:.4g} of {t.n} dropped",
        f"a rate error of {stats.smallest_seen(family.tests[0].n, built.p, family.each):.2g}",
    )


def _demand_modes(module: torch.nn.Module) -> None:
    for training in (True, False, True):
        if module.train(training) is not module:
            raise Fault(f"train({training}) does not return the module")
        if module.training is not training:
            raise Fault(f"train({training}) does not set `training`")
    if module.eval() is not module:
        raise Fault("eval() does not return the module")
    parent = torch.nn.Sequential(module)
    for training in (True, False):
        parent.train(training)
        if any(part.training is not training for part in module.modules()):
            raise Fault(f"train({training}) of a parent does not reach it")


def _demand_same(ctx: Context, built: Built, other: Built, name: str, family: stats.Family) -> None:
    x = ctx.normal(ctx.draws(SIZE))
    with ctx.seeded("module-state", name):
        masks = []
        for one in (other, built, other):
            y = ctx.call(one, x.clone())
            try:
                masks.append(split(x, y, one.p)[0])
            except Fault as fault:
                raise Fault(f"after {name}: {fault.message}") from fault
        if ctx.subject.has_eval and not torch.equal(ctx.call(other, x.clone(), False), x):
            raise Fault(f"after {name}: eval does not return x")
    is_same_p = other.p == built.p and x.numel() >= ctx.telling_size(other.p)
    if is_same_p and torch.equal(masks[0], masks[1]):
        raise Fault(f"after {name}: the module and its copy have the same masks")
    low, high = ctx.spec.rates(other.p)
    if low == high:
        dropped = int(torch.count_nonzero(~masks[0]) + torch.count_nonzero(~masks[2]))
        family.binomial(name, dropped, 2 * x.numel(), low)


def _demand_other_p(ctx: Context, built: Built, family: stats.Family) -> None:
    """After every attribute that holds p, or 1 - p, was set to another p's."""
    assert built.module is not None
    assert built.again is not None
    module = copy.deepcopy(built.module)
    held = [
        (name, value)
        for name, value in vars(module).items()
        if isinstance(value, (int, float)) and value in (built.p, 1 - built.p)
    ]
    public = [(name, value) for name, value in held if not name.startswith("_")]
    if not public or len(public) < len(held):
        return
    for name, value in public:
        try:
            setattr(module, name, OTHER_P if value == built.p else 1 - OTHER_P)
        except (AttributeError, TypeError, ValueError):
            return  # a p that cannot be set is not set wrongly
    named = " and ".join(f"`{name}`" for name, _ in public)
    _demand_same(ctx, built, built.again(module, OTHER_P), f"{named} was set", family)
