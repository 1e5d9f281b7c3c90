"""Runs a model in training, in eval and in training under `no_grad`, and finds where it drops."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import UninitializedBuffer, is_lazy

from .._core import _torch
from ..errors import ArgumentTypeError, TargetError
from ..models.export import is_exported
from .diagnosis import config_of, diagnose, diagnose_program, errors_first, joined
from .observer import ATTENTION, Declared, Observer, declared, import_folders
from .program import sites_of, sites_within
from .results import AuditedSites
from .state import preserved, seed_all

_PARALLEL = (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel)


def sites(model: torch.nn.Module | ExportedProgram, *args: Any, **kwargs: Any) -> AuditedSites:
    """Finds every place where dropout acts in a real forward pass of a model.

    The model is called as `model(*args, **kwargs)` in training, in eval under `no_grad` and in
    training under `no_grad`; a model with `nn.TransformerEncoderLayer` once more, to see whether
    Monte Carlo dropout would work. Afterwards each module's mode, attributes and hooks, parameters,
    gradients, buffers, the inputs and all generators are as before, whatever happens. No backward
    pass is run: dropout that acts only there is not seen, and a checkpointed part is seen once.

    A compiled model is run eagerly. For a `DataParallel` its module is run, for a model with lazy
    modules a copy. In a scripted module, and in any function that is not known, a dropout is seen
    by its mask, as an "unknown random op". On the meta device there are no masks to measure.

    An exported program, or its `module()`, is read and not run: its mode is part of it. It
    drops the same in eval too.

    Args:
        model: The model, or an exported program, which needs no arguments.
        *args: Its positional arguments.
        **kwargs: Its named arguments.

    Returns:
        The sites and the findings.

    Raises:
        ArgumentTypeError: `model` is not a module or an exported program.
        TargetError: The model fails; the message states in which pass and why.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.Dropout(0.25))
        >>> (site,) = sites(model, torch.ones(8, 64))
        >>> site.name, site.kind, site.asked, site.train, site.eval, site.kept
        ('1', 'Dropout', 0.25, True, False, 2048)
    """
    if not isinstance(model, (torch.nn.Module, ExportedProgram)):
        raise ArgumentTypeError(
            f"Expected `model` to be a torch.nn.Module or an exported program, got model={model!r} "
            f"({type(model).__name__})"
        )
    return find_sites(model, args, kwargs, contextlib.nullcontext())


def find_sites(
    model: torch.nn.Module | ExportedProgram,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    home: contextlib.AbstractContextManager[object],
) -> AuditedSites:
    """Finds the sites of a model whose code runs inside a context, such as the home of a TARGET."""
    began = time.perf_counter()
    folders = import_folders()  # the caller's: the home may add its own
    with home:
        if isinstance(model, ExportedProgram) or is_exported(model):
            found = _read(model, folders)
        else:
            found = _find(model, args, kwargs, folders)
    return dataclasses.replace(found, seconds=time.perf_counter() - began)


def _read(program: Any, folders: tuple[Path, ...]) -> AuditedSites:
    """The sites of an exported program, which is not run."""
    found = sites_of(program, folders)
    name = type(program).__name__
    return AuditedSites(name, found, diagnose_program(found), ("exported: read, not run",))


def _find(
    model: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], folders: tuple[Path, ...]
) -> AuditedSites:
    name = type(getattr(model, _torch.COMPILED, model)).__name__
    given = _torch.tree.tree_leaves((args, kwargs))
    model, notes = _runnable(model, given, args, kwargs)
    paths = _paths(model)
    names = {key: known[0] for key, known in paths.items()}
    passes = {
        "train": Observer(names, folders),
        "eval": Observer(names, folders),
        "train under no_grad": Observer(names, folders),
    }
    for title, observer in passes.items():
        _run(model, args, kwargs, given, title, observer)
    fast: list[str] = []
    if any(isinstance(m, torch.nn.TransformerEncoderLayer) for m in model.modules()):
        observer = Observer(names, folders, functions=False)
        _run(model, args, kwargs, given, "eval with its dropouts in train", observer)
        fast = observer.fast

    train, evaluation, no_grad = (observer.records for observer in passes.values())
    also = {known[0]: tuple(known[1:]) for known in paths.values()}
    found = [
        joined(train.get(key), evaluation.get(key), no_grad.get(key), also.get(key[0], ()))
        for key in dict.fromkeys([*train, *evaluation, *no_grad])
    ]
    # Attention at p=0 is not a dropout site.
    found = [one for one in found if one.site.acts or one.site.kind not in ATTENTION]
    called = set().union(*(observer.called for observer in passes.values()))
    uncalled = _uncalled(model, names, called)
    findings = diagnose(found, uncalled, fast, config_of(model))
    within = diagnose_program(sites_within(model, folders))
    findings = errors_first((*within, *findings))
    return AuditedSites(name, tuple(one.site for one in found), findings, notes)


def _runnable(
    model: torch.nn.Module, given: list[Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[torch.nn.Module, tuple[str, ...]]:
    """The module to run for a model, and notes on how it differs from the model."""
    notes = []
    if isinstance(model, _PARALLEL):
        notes.append(f"{type(model).__name__}: its module was run")
        model = model.module
    if hasattr(model, _torch.COMPILED) or any(_torch.is_compiled(m) for m in model.modules()):
        notes.append("compiled: run eagerly")
    if any(isinstance(m, torch.jit.ScriptModule) for m in model.modules()):
        notes.append("scripted: dropout inside is seen by its masks")
    if any(isinstance(m, LazyModuleMixin) for m in model.modules()) and any(
        map(is_lazy, [*model.parameters(), *model.buffers()])
    ):
        notes.append("lazy: a copy was run")
        model = _copy(model)
        with preserved(torch.nn.Module(), given), _passing("first", args, kwargs):
            seed_all(0)
            with torch.no_grad():
                model.eval()(*args, **kwargs)
    return model, tuple(notes)


def _copy(model: torch.nn.Module) -> torch.nn.Module:
    """Copies a model with lazy modules; torch itself cannot copy buffers without values."""
    make: Any = UninitializedBuffer
    lazy = filter(is_lazy, model.buffers())
    memo: dict[int, Any] = {id(b): make(device=b.device, dtype=b.dtype) for b in lazy}
    try:
        return copy.deepcopy(model, memo)
    except (Exception, SystemExit) as error:
        raise TargetError(
            "Expected a model with lazy modules to have been run once, or to be copyable, "
            f"got {_described(error)}"
        ) from error


def _run(
    model: torch.nn.Module,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    given: list[Any],
    title: str,
    observer: Observer,
) -> None:
    """Runs one pass, and undoes all that it changes."""
    with preserved(model, given), _passing(title, args, kwargs):
        model.train(title.startswith("train"))
        if title.startswith("eval with"):
            for module in model.modules():
                if declared(module) is not None and not _torch.children(module):
                    module.train()
        seed_all(0)
        with torch.set_grad_enabled(title == "train"), observer.observing():
            model(*args, **kwargs)


@contextlib.contextmanager
def _passing(title: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[None]:
    """The context of a pass; an exception inside becomes a `TargetError` that names the pass."""
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            stack.enter_context(torch.inference_mode(False))
            if "torch._dynamo" in sys.modules:  # loading it takes seconds
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            yield
    except (Exception, SystemExit) as error:
        hint = "" if args or kwargs else "; --input gives it some, such as --input 2x3x224x224"
        raise TargetError(
            f"Expected the model to run in the pass {title!r} with {_shapes(args, kwargs)}, "
            f"got {_described(error)}{hint}"
        ) from error


def _described(error: BaseException) -> str:
    said = str(error).strip()
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _shapes(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    named = [*(("", a) for a in args), *((f"{k}=", v) for k, v in kwargs.items())]
    return ", ".join(name + _shape(value) for name, value in named) or "no arguments"


def _shape(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        size = "x".join(map(str, value.shape)) or "a number"
        return f"{size} {str(value.dtype).removeprefix('torch.')}"
    return type(value).__name__


def _paths(model: torch.nn.Module) -> dict[int, list[str]]:
    """Each module's paths in the model, by its id; a compiled module's wrapper is left out."""
    paths: dict[int, list[str]] = {}
    stack: list[tuple[torch.nn.Module, str, frozenset[int]]] = [(model, "", frozenset())]
    while stack:
        module, path, above = stack.pop()
        paths.setdefault(id(module), []).append(path)
        inside = above | {id(module)}
        children = [(n, c) for n, c in _torch.children(module).items() if c is not None]
        for name, child in reversed(children):
            if id(child) not in inside:
                own = path if name == _torch.COMPILED else f"{path}.{name}" if path else name
                stack.append((child, own, inside))
    return paths


def _uncalled(
    model: torch.nn.Module, names: Mapping[int, str], called: set[int]
) -> dict[str, Declared]:
    """The dropouts that no pass called; those inside a scripted module are not known."""
    found = {}
    for module in model.modules():
        if isinstance(module, torch.jit.ScriptModule) or id(module) in called:
            continue
        known = declared(module)
        if known is not None:
            found[names[id(module)]] = known
    return found
