"""World: a call leaves the process and the module as they were."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from ..context import Context, Fault, Seen, Skip, check

_HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_state_dict_hooks",
    "_load_state_dict_pre_hooks",
)
_GLOBAL_HOOKS = torch.nn.modules.module


def _hooks() -> int:
    """How many hooks are set on all modules at once."""
    names = ("_global_forward_hooks", "_global_forward_pre_hooks", "_global_backward_hooks")
    return sum(len(getattr(_GLOBAL_HOOKS, name, ())) for name in names)


def _filters() -> list[Any]:
    return list(warnings.filters)


def _set_filters(value: list[Any]) -> None:
    warnings.filters[:] = value  # type: ignore[index]


def _environment() -> dict[str, str]:
    return dict(os.environ)


def _set_environment(value: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(value)


# What a process has one of: how to read it, and how to put it back.
STATE: Mapping[str, tuple[Callable[[], Any], Callable[[Any], object]]] = {
    "the default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "the default device": (torch.get_default_device, torch.set_default_device),
    "the grad mode": (torch.is_grad_enabled, torch.set_grad_enabled),
    "the number of threads": (torch.get_num_threads, torch.set_num_threads),
    "deterministic algorithms": (
        torch.are_deterministic_algorithms_enabled,
        torch.use_deterministic_algorithms,
    ),
    "anomaly detection": (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    "the matrix product precision": (
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
    ),
    "autocast": (
        lambda: torch.is_autocast_enabled("cpu"),
        lambda value: torch.set_autocast_enabled("cpu", value),
    ),
    "the hooks of all modules": (_hooks, lambda value: None),
    "the filters of warnings": (_filters, _set_filters),
    "the environment": (_environment, _set_environment),
    "the working directory": (os.getcwd, os.chdir),
}


@contextlib.contextmanager
def _put_back() -> Iterator[dict[str, Any]]:
    before = {name: read() for name, (read, _) in STATE.items()}
    try:
        yield before
    finally:
        for name, (read, write) in STATE.items():
            if read() != before[name]:
                write(before[name])


@check()
def state_restored(ctx: Context) -> Seen:
    """A call leaves the state of the process as it was.

    Measured: default dtype and device, grad mode, threads, deterministic algorithms, anomaly
    detection, precision, autocast, hooks of all modules, filters of warnings, environment and
    working directory before and after calls in training and eval.

    A layer that sets the default dtype for its mask, switches gradients off or silences warnings
    does so for the whole program from the first forward on.

    To mend: use context managers (`torch.no_grad()`, `warnings.catch_warnings()`), or `dtype=`.
    """
    built = ctx.build(ctx.subject.fixed_p if ctx.subject.fixed_p is not None else 0.5)
    for training in ctx.modes:
        with _put_back() as before:
            built.call(ctx.normal(64, 48), training)
            changed = [name for name, (read, _) in STATE.items() if read() != before[name]]
        if changed:
            mode = "training" if training else "eval"
            raise Fault(f"a call in {mode} changed {', '.join(changed)}", changed=changed)
    return Seen(f"{len(STATE)} settings of the process as before")


def _numbers(module: torch.nn.Module, p: float) -> dict[str, float]:
    """The attributes that hold p or 1 - p."""
    found = {}
    for path, part in module.named_modules():
        for name, value in vars(part).items():
            if isinstance(value, float) and value in (p, 1 - p):
                found[f"{path}.{name}".lstrip(".")] = value
    return found


def _hooks_of(module: torch.nn.Module) -> int:
    return sum(len(getattr(part, name, ())) for part in module.modules() for name in _HOOKS)


@check(needs=["output-shape"])
def state_own(ctx: Context) -> Seen:
    """A call leaves the module's parameters, p, mode and hooks as they were.

    Measured: values of all parameters, attributes that hold p, the mode and the number of modules
    and hooks before and after calls in training and eval, and a backward pass.

    fastai's EmbeddingDropout scaled its weight in place, so that each call in eval scaled it again.
    A hook that every call adds makes each step slower than the last.

    To mend: compute on copies; register hooks once, when the module is built.
    """
    built = ctx.build(ctx.main_p)
    module = built.module
    if module is None:
        raise Skip("the target is no module")
    for training in ctx.modes:
        module.train(training)
        before = {name: value.detach().clone() for name, value in module.named_parameters()}
        numbers, hooks = _numbers(module, built.p), _hooks_of(module)
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
        now = _numbers(module, built.p)
        changed += [f"attribute {name}" for name in numbers if name not in now]
        changed += ["the number of hooks"] if _hooks_of(module) != hooks else []
        changed += ["the number of modules"] if len(list(module.modules())) != parts else []
        changed += ["its mode"] if module.training is not training else []
        if changed:
            mode = "training" if training else "eval"
            raise Fault(f"calls in {mode} changed {', '.join(changed)}", changed=changed)
    return Seen("parameters, p, mode and hooks as before")
