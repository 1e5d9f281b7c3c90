"""Makes a `Subject` from the caller's target."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from ..._core import _torch
from ..._tools.loading import Home, load, one_line, target_error
from ..._tools.process_state import DEFAULT_DTYPE, GRAD_MODE, ProcessState
from ...errors import ArgumentValueError, TargetError
from ..specs import Counted, Elementwise, infer, parse
from ..subject import PLAIN, Spec, Subject, Viewed
from ..world import GENERATORS
from ..wrapped import Checkpointed, First, OnDevice
from ._function import function_subject
from ._hints import Hints
from ._instance import Instance
from ._maker import maker_subject
from ._reading import builtin_home, call_name, is_torch_builtin, read_call, torch_schema, unfilled
from ._roles import Slot, p_slot
from ._target import TRIAL_P
from ._words import shown_value


def resolve(
    target: object,
    *,
    p_name: str | None = None,
    keep_prob: str | None = None,
    training_name: str | None = None,
    spec: str | Spec | None = None,
    compile: bool | str = False,
    checkpoint: bool = False,
    device: str | torch.device | None = None,
) -> Subject:
    """Makes a subject of a target: finds its kind, and how to pass p and the mode to it.

    A class, and a factory function whose only argument is p, are built once at p=0.5 to see whether
    they can be. Loading and building leave torch's, NumPy's and Python's generators, the default
    dtype, the grad mode, `sys.path` and `sys.modules` as they were.

    Args:
        target: A TARGET string (`package.module:Attribute` or `path/file.py:Attribute`), a module
            class, an instance, a function `f(x, p, training)`, or a `functools.partial` of one. A
            `Subject` is returned unchanged.
        p_name: The argument (of an instance: the attribute) that is the drop probability, where
            the signature does not show it.
        keep_prob: The argument or attribute that is the keep probability; it gets `1 - p`.
        training_name: The argument that says whether to drop. `deterministic`, `inference` and
            similar names get the opposite.
        spec: What it claims to be: the name of a kind, or a `Spec`. Inferred for the classes and
            functions of torch, torchvision, timm, fastai and this library; else plain.
        compile: Whether to verify it compiled by `torch.compile`; a string names the backend.
        checkpoint: Whether to verify it inside `torch.utils.checkpoint`.
        device: Where to verify it: inputs are moved there, outputs back.

    Returns:
        The subject.

    Raises:
        TargetError: It cannot be found, loaded, understood or built; the message says what was
            expected, what exists, and how to state what could not be guessed.
        ArgumentTypeError: A name is not a string.
        ArgumentValueError: Both `p_name` and `keep_prob` are given, or the kind does not exist.

    Example:
        >>> resolve(torch.nn.Dropout).description
        'module class, built as Dropout(p=p)'
        >>> resolve("torch.nn.functional:dropout").description
        'function, called as dropout(x, p=p, training=training)'
    """
    if isinstance(target, Subject):
        return target
    hints = Hints(p_name, keep_prob, training_name, compile=compile)
    kind = None if spec is None else parse(spec)
    place = None if device is None else _device(device)
    with _state_restored(), warnings.catch_warnings():
        # torch's own warning about TorchScript; the caller decides what to verify.
        warnings.filterwarnings("ignore", r"`torch\.jit\.")
        if compile:
            _torch.compiler_calls()  # to load the compiler takes seconds, of no check
        thing, home = load(target) if isinstance(target, str) else (target, Home())
        name = target if isinstance(target, str) else _name_of(target)
        with home:
            hints = dataclasses.replace(hints, spec=infer(thing) if kind is None else kind)
            subject = _understand(thing, name, hints, home)
            # Python finds the file of a class only in this context, through `sys.modules`.
            subject.place = _place(thing)
        if hints.spec.first:
            subject = First(subject)
        hints = dataclasses.replace(hints, spec=_fitted(subject, hints.spec))
        subject.has_gradient = getattr(thing, "has_gradient", True) is not False
    if checkpoint:
        subject = Checkpointed(subject)
    if place is not None:
        subject = OnDevice(subject, place)
    return subject if hints.spec is PLAIN else Viewed(subject, hints.spec)


def _understand(thing: object, name: str, hints: Hints, home: Home) -> Subject:
    """Makes the subject of an object."""
    if isinstance(thing, torch.nn.Module):
        return Instance(thing, name, hints, home)
    if not callable(thing):
        raise target_error(
            name, "to be a module class, an instance or a function", shown_value(thing)
        )
    inner = thing.func if isinstance(thing, functools.partial) else thing
    if isinstance(inner, type):
        return maker_subject(
            thing, name, hints, home, "module class" if _is_module(inner) else "class"
        )
    if _is_factory(thing, hints):
        return maker_subject(thing, name, hints, home, "factory")
    has_signature = inspect.isroutine(inner) or isinstance(inner, torch.jit.ScriptFunction)
    if not has_signature and _p_slot_or_none(thing, hints) is None:
        return Instance(thing, name, hints, home)
    return function_subject(thing, name, hints, home)


def _fitted(subject: Subject, spec: Spec) -> Spec:
    """The kind in the form that the target accepts.

    It has the number of axes, since many drop paths accept images only, of the first trial call
    that gives a tensor of the shape of x. If none does, it is unchanged, so that the checks
    report what the target raises. Its groups hold an instance's p exactly, if small ones can.
    """
    if isinstance(spec, Counted) and subject.fixed_p is not None:
        return spec.holding(subject.fixed_p)
    if not isinstance(spec, Elementwise) or not spec.ranks:
        return spec
    others = [(spec.with_axes(axes), f"{axes} axes") for axes in spec.ranks]
    for found, note in [(spec, ""), *others]:
        if _takes(subject, found.shape(6)):
            notes = (*found.notes, *([note] if note else []))
            return dataclasses.replace(found, notes=notes)
    return spec


def _takes(subject: Subject, shape: tuple[int, ...]) -> bool:
    """Whether a call on a tensor of this shape gives one of the same shape."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            y = subject.build(TRIAL_P if subject.fixed_p is None else subject.fixed_p).call(
                torch.ones(shape), True
            )
    except Exception:
        return False
    return isinstance(y, torch.Tensor) and tuple(y.shape) == shape


def _is_module(cls: type) -> bool:
    return issubclass(cls, torch.nn.Module)


def _p_slot_or_none(thing: Callable[..., Any], hints: Hints) -> Slot | None:
    try:
        return p_slot("", read_call(thing, ()), hints)
    except TargetError:
        return None


def _is_factory(thing: Callable[..., Any], hints: Hints) -> bool:
    """Whether the only argument left is p: then a call makes a dropout and does not apply one."""
    reading = read_call(thing, ("x", "p", "training"))
    slot = _p_slot_or_none(thing, hints)
    required = unfilled(reading, ())
    if slot is None or list(reading.free)[:1] != [slot.name]:
        return False
    return required in ([slot.name], [])


def _name_of(target: object) -> str:
    """The name in a report of an object that was not given by name; without addresses."""
    inner = target.func if isinstance(target, functools.partial) else target
    if is_torch_builtin(inner):
        return f"{builtin_home(inner)}:{call_name(inner)}"
    module = getattr(inner, "__module__", None)
    if isinstance(inner, type) or inspect.isroutine(inner):
        return f"{module}:{inner.__qualname__}" if module else inner.__qualname__
    if torch_schema(inner) is not None:
        return call_name(inner)
    text = " ".join(repr(inner).split()) if isinstance(inner, torch.nn.Module) else ""
    return text if 0 < len(text) <= 60 else type(inner).__qualname__


@contextmanager
def _state_restored() -> Iterator[None]:
    """Restores what loading and building other people's code may change in this process."""
    state = ProcessState((DEFAULT_DTYPE, GRAD_MODE, *GENERATORS))
    try:
        yield
    finally:
        state.restore()


def _device(device: str | torch.device) -> torch.device:
    """The device, if a tensor can be put there."""
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except Exception as error:
        raise ArgumentValueError(
            f"Expected `device` to be a device of this machine, got device={device!r} "
            f"({type(device).__name__}): {one_line(error)}"
        ) from error
    return found


def _place(thing: object) -> tuple[str, int]:
    """File and line of a class or function, or of the class of an instance."""
    inner = thing.func if isinstance(thing, functools.partial) else thing
    kind = inner if isinstance(inner, type) or inspect.isroutine(inner) else type(inner)
    try:
        kind = inspect.unwrap(kind)  # as Python does to find the lines, but not the file
        return inspect.getsourcefile(kind) or "", inspect.getsourcelines(kind)[1]
    except (TypeError, ValueError, OSError):
        return "", 0
