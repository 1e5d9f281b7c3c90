"""A module after it was copied, stored, loaded, converted or given another p."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable, Mapping

import torch

from ... import stats
from ...context import Context, Fault, Seen, Skip, check, outcome, seed_torch
from ...subject import Built
from .._module import OTHER_P
from .._reading import seeded_mask, split
from ._everywhere import need_random

STATE_P = 0.23  # a number that no other attribute holds by chance
SIZE = 1 << 12
# float16 rounds STATE_P by 2e-5: five of this many places are then dropped differently.
MANY = 1 << 18


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


CONVERSIONS = {"half": torch.float16, "bfloat16": torch.bfloat16, "double": torch.float64}


@check(needs=["drop-rate", "eval-identity"], statistical=True)
def module_state(ctx: Context) -> Seen:
    """A module stays the same dropout when copied, stored, loaded, converted or given another p.

    Measured: a module after `copy.deepcopy`, `pickle`, `torch.save`, `load_state_dict` and
    `double`, and after its p was set: values, rate and eval; a copy's masks are its own; `train()`,
    `eval()` and a parent's `train()` set the mode, and return the module. Where it has no
    parameters, also after `half` and `bfloat16`, where the same seed must drop the same places as
    before.

    A layer that keeps its generator or its scale from construction repeats the masks of its copies,
    or scales by the old 1 / (1 - p). One that holds p in a buffer has another p once the model is
    converted: 0.1001 in bfloat16 for 0.1.

    To fix: keep p as an attribute (a Python number), and nothing else; compute the scale in each
    call.
    """
    # A kind that keeps a fixed count holds some p exactly and not others.
    exact = (p for p in (STATE_P, *ctx.spec.grid) if len(set(ctx.spec.rates(p))) == 1)
    fixed = ctx.subject.fixed_p
    built = ctx.build(fixed if fixed is not None else next(exact, STATE_P))
    module = built.module
    if module is None or built.again is None:
        raise Skip("the target is not a module")
    need_random(ctx)
    family = ctx.family(len(COPIES) + len(CONVERSIONS) + 1)
    _demand_modes(module)
    for name, copied in COPIES.items():
        try:
            with ctx.blame(name):
                other = copied(module)
        except Skip:
            continue
        _demand_same(ctx, built, built.again(other, built.p), name, family)
    # A module with parameters is the dropout of a layer, which its owner converts.
    if next(module.parameters(), None) is None and "dtype-scale" not in ctx.spec.exempt:
        _demand_converted(ctx, built, family)
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
    for training in (False, True):
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
    if x.numel() >= ctx.telling_size(other.p) and torch.equal(masks[0], masks[1]):
        raise Fault(f"after {name}: the module and its copy have the same masks")
    low, high = ctx.spec.rates(other.p)
    if low == high:
        dropped = int(torch.count_nonzero(~masks[0]) + torch.count_nonzero(~masks[2]))
        family.binomial(name, dropped, 2 * x.numel(), low)


def _demand_converted(ctx: Context, built: Built, family: stats.Family) -> None:
    """Check a module after a conversion that may have rounded its values."""
    assert built.module is not None
    assert built.again is not None
    x = ctx.normal(ctx.draws(MANY))
    plain = built.again(copy.deepcopy(built.module), built.p)
    want = seeded_mask(ctx, plain, x, 3)
    is_scripted = isinstance(built.module, torch.jit.ScriptModule)
    for name, dtype in CONVERSIONS.items():
        if is_scripted and name == "bfloat16":  # which torch refuses
            continue
        with ctx.blame(name):
            module = getattr(copy.deepcopy(built.module), name)()
        other = built.again(module, built.p)
        seed_torch(3)
        kept, _ = split(x, ctx.call(other, x.clone()), built.p, f"after {name}, on float32")
        differ = int((kept != want).sum())
        # Other draws differ at 2 p (1 - p) of the places, and from 100 of them on at fewer than a
        # quarter of these with a chance of 1e-17; the same draws differ only where p is rounded.
        others = stats.pairs_differ(built.p) * x.numel()
        if 0 < differ < others / 4 and others >= 100:
            raise Fault(
                f"after {name}: the same seed drops {differ} of {x.numel()} places differently: "
                "the threshold for its random numbers was rounded",
                differ=differ,
                n=x.numel(),
            )
        given = x[: 1 << 16].to(dtype)
        if _is_right(ctx, plain, given):
            _demand_of_dtype(ctx, other, given, f"after {name}", family)


def _is_right(ctx: Context, built: Built, x: torch.Tensor) -> bool:
    """Whether the module has no fault in this dtype that other checks report."""
    try:
        y = ctx.call(built, x.clone())
        split(x, y, built.p)
    except Fault:
        return False
    return y.dtype == x.dtype


def _demand_of_dtype(
    ctx: Context, built: Built, x: torch.Tensor, where: str, family: stats.Family
) -> None:
    y = ctx.call(built, x.clone())
    if y.dtype != x.dtype:
        raise Fault(f"{where}: {x.dtype} in, {y.dtype} out".replace("torch.", ""))
    kept, _ = split(x, y, built.p, where)
    if ctx.subject.has_eval and not torch.equal(ctx.call(built, x.clone(), False), x):
        raise Fault(f"{where}: eval does not return x")
    low, high = ctx.spec.rates(built.p)
    if low == high:
        name = where.removeprefix("after ")
        family.binomial(name, int(torch.count_nonzero(~kept)), kept.numel(), low)


def _demand_other_p(ctx: Context, built: Built, family: stats.Family) -> None:
    """Check a module after every attribute that holds p, or 1 - p, was set for another p."""
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
