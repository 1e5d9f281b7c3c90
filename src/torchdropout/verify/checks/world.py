"""World: a call does not change the state of the process or of the module."""

from __future__ import annotations

import warnings

import torch

from ..._core import _torch
from ..compiling import around_compiling
from ..context import Context, Fault, Seen, Skip, check
from ..subject import Built
from ..world import World
from ._module import rates_held


@check(needs=["output-shape"])
def state_restored(ctx: Context) -> Seen:
    """A call does not change the state of the process.

    Measured: default dtype and device, modes of autograd and autocast, threads, deterministic
    algorithms, precision, hooks of all modules, warning filters, environment, working
    directory, standard streams and signal handlers before and after calls in training and eval.

    A layer that sets the default dtype for its mask, switches gradients off or silences warnings
    does so for the whole program after the first forward.

    To fix: use context managers (`torch.no_grad()`, `warnings.catch_warnings()`), or `dtype=`.
    """
    built = ctx.build(ctx.subject.fixed_p if ctx.subject.fixed_p is not None else 0.5)
    for training in ctx.modes:
        changed = _changed(ctx, built, training)
        if changed:
            mode = "training" if training else "eval"
            named = ", ".join(dict.fromkeys(changed))
            raise Fault(f"a call in {mode} changed {named}", changed=changed)
    return Seen("dtype, device, modes, threads, environment and hooks of the process as before")


def _changed(ctx: Context, built: Built, training: bool) -> list[str]:
    compiled = list[None]()
    with around_compiling(lambda: compiled.append(None), lambda: None):
        changed = _changed_once(ctx, built, training)
    # What the compiler changes is not the target's doing.
    return _changed_once(ctx, built, training) if compiled else changed


def _changed_once(ctx: Context, built: Built, training: bool) -> list[str]:
    x, world, filters = ctx.normal(64, 48), World(), list(warnings.filters)
    try:
        # `ctx.call` is not used, since it restores any state that would disturb other checks.
        with ctx.blame("a call"):
            built.call(x, training)
        changed = world.changed()
        return changed + ["the warning filters"] * (list(warnings.filters) != filters)
    finally:
        world.restore()


def _rates(module: torch.nn.Module, p: float) -> list[str]:
    return [path for path, _, _ in rates_held(module, p)]


def _hooks_of(module: torch.nn.Module) -> int:
    held = (vars(part).get(name) for part in module.modules() for name in _torch.HOOKS)
    return sum(len(hooks) for hooks in held if isinstance(hooks, dict))


@check(needs=["output-shape"])
def state_own(ctx: Context) -> Seen:
    """A call does not change the module's parameters, p, mode or hooks.

    Measured: values of all parameters, attributes that store p, the mode and the number of
    modules and hooks before and after calls in training and eval, and a backward pass.

    fastai's EmbeddingDropout scaled its weight in place, so that each call in eval scaled it again.
    A hook added by every call makes each step slower than the one before.

    To fix: compute on copies; register hooks once, when the module is built.
    """
    built = ctx.build(ctx.main_p)
    module = built.module
    if module is None:
        raise Skip("the target is not a module")
    for training in ctx.modes:
        module.train(training)
        before = {name: value.detach().clone() for name, value in module.named_parameters()}
        numbers, hooks = _rates(module, built.p), _hooks_of(module)
        parts = len(list(module.modules()))
        for _ in range(2):
            leaf = ctx.normal(8, 6).requires_grad_()
            y = ctx.call(built, leaf.clone(), training)
            if ctx.subject.has_gradient and y.requires_grad:
                torch.autograd.grad(y.sum(), leaf, allow_unused=True)
        after = dict(module.named_parameters())
        changed = [
            f"parameter {name}"
            for name, value in before.items()
            if name not in after or not torch.equal(after[name].detach(), value)
        ]
        now = _rates(module, built.p)
        changed += [f"attribute {name}" for name in numbers if name not in now]
        changed += ["the number of hooks"] if _hooks_of(module) != hooks else []
        changed += ["the number of modules"] if len(list(module.modules())) != parts else []
        changed += ["its mode"] if module.training is not training else []
        if changed:
            mode = "training" if training else "eval"
            raise Fault(f"calls in {mode} changed {', '.join(changed)}", changed=changed)
    return Seen("parameters, p, mode and hooks as before")
