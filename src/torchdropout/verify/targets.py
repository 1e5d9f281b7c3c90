"""What a TARGET names and how it is called: a string, class, instance or function to a `Subject`.

Three steps, each a section below. *Load*: `package.module:Attribute` or `path/file.py:Attribute` to
an object. *Read*: the object's signature to the arguments that carry the input, p and the mode.
*Subject*: the object and its reading to something that can be built at a p and called.
"""

from __future__ import annotations

import copy
import dataclasses
import difflib
import functools
import importlib
import importlib.util
import inspect
import itertools
import numbers
import os
import sys
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from inspect import Parameter, Signature
from pathlib import Path
from types import BuiltinFunctionType, ModuleType
from typing import Any, TypeGuard, cast

import torch

from ..errors import ArgumentTypeError, ArgumentValueError, TargetError
from .context import saved_generators
from .specs import infer, parse
from .subject import PLAIN, Built, Kind, Spec, Subject, Viewed
from .wrapped import Checkpointed, OnDevice

# In the order of preference: an argument earlier in the list wins over a later one.
P_NAMES = (
    "p", "drop_prob", "dropout_prob", "dropout_p", "drop_p", "p_drop", "p_dropout", "drop_rate",
    "dropout_rate", "drop_probability", "dropout_probability", "drop_ratio", "dropout_ratio",
    "rate", "dropout", "drop", "prob", "probability", "ratio",
)  # fmt: skip
KEEP_NAMES = (
    "keep_prob", "keep_p", "p_keep", "keep_rate", "keep_probability", "keep_ratio", "survival_prob",
    "survival_rate", "survival_probability", "retain_prob", "retain_rate", "retain_probability",
)  # fmt: skip
TRAINING_NAMES = ("training", "train", "is_training", "is_train", "train_mode", "training_mode")
# True for these means "do not drop": Flax says `deterministic`, Equinox `inference`.
EVAL_NAMES = ("deterministic", "inference", "eval_mode", "is_eval", "inference_mode")

_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_VARIADIC = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
_TRIAL_P = 0.5
_HOW_TO_TELL = (
    "tell it with --p-name NAME (or --keep-prob NAME for a keep probability), or point to an "
    "instance or to a function f(x, p, training)"
)


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
    """Understands a target: what it is, and how p and the mode reach it.

    A class, and a factory function whose only argument is p, are built once at p=0.5 to see that
    they can be. Loading and building leave torch's, NumPy's and Python's generators, the default
    dtype, the grad mode, `sys.path` and `sys.modules` as they were.

    Args:
        target: A TARGET string (`package.module:Attribute` or `path/file.py:Attribute`), a module
            class, an instance, a function `f(x, p, training)`, or a `functools.partial` of one. A
            `Subject` is understood already, and comes back as it is.
        p_name: The argument (of an instance: the attribute) that is the drop probability, where
            the signature does not tell.
        keep_prob: The argument or attribute that is the keep probability; it is given `1 - p`.
        training_name: The argument that says whether to drop. `deterministic`, `inference` and
            the like are given the opposite.
        spec: What it claims to be: the name of a kind, or a `Spec`. Inferred for the classes and
            functions of torch, torchvision, timm, fastai and this library; else plain.
        compile: Whether to judge what `torch.compile` makes of it; a string names the backend.
        checkpoint: Whether to judge it inside `torch.utils.checkpoint`.
        device: Where to judge it: inputs are moved there, outputs back.

    Returns:
        The subject.

    Raises:
        TargetError: It cannot be found, loaded, understood or built; the message says what was
            expected, what there is, and how to tell what could not be guessed.
        ArgumentTypeError: A name is not a string.
        ArgumentValueError: Both `p_name` and `keep_prob` are given, or there is no such kind.

    Example:
        >>> resolve(torch.nn.Dropout).description
        'module class, built as Dropout(p=p)'
        >>> resolve("torch.nn.functional:dropout").description
        'function, called as dropout(x, p=p, training=training)'
    """
    if isinstance(target, Subject):
        return target
    told = _Told(p_name, keep_prob, training_name, compile=compile)
    kind = None if spec is None else parse(spec)
    place = None if device is None else _device(device)
    with _world_kept():
        thing, home = _load(target) if isinstance(target, str) else (target, _Home())
        name = target if isinstance(target, str) else _name_of(target)
        with home:
            told = dataclasses.replace(told, spec=infer(thing) if kind is None else kind)
            subject = _understand(thing, name, told, home)
        subject.place = _place(thing)
        subject.has_gradient = getattr(thing, "has_gradient", True) is not False
    if checkpoint:
        subject = Checkpointed(subject)
    if place is not None:
        subject = OnDevice(subject, place)
    return subject if told.spec is PLAIN else Viewed(subject, told.spec)


@dataclass(frozen=True)
class _Told:
    """The names the caller gave, if any."""

    p: str | None
    keep: str | None
    training: str | None
    spec: Spec = PLAIN
    compile: bool | str = False

    def __post_init__(self) -> None:
        named = (("p_name", self.p), ("keep_prob", self.keep), ("training_name", self.training))
        for argument, value in named:
            if value is not None and not isinstance(value, str):
                raise ArgumentTypeError(
                    f"Expected `{argument}` to be the name of an argument, "
                    f"got {argument}={value!r} ({type(value).__name__})"
                )
        if self.p is not None and self.keep is not None:
            raise ArgumentValueError(
                "Expected `p_name` or `keep_prob`, not both: an argument is the drop or the keep "
                f"probability, got p_name={self.p!r} and keep_prob={self.keep!r} (str)"
            )


def _error(name: str, expected: str, got: str, hint: str = "") -> TargetError:
    """The one form of this module's errors."""
    return TargetError(f"Expected TARGET {name!r} {expected}, got {got}{hint and '; ' + hint}")


def _said(error: BaseException) -> str:
    """An exception on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _shown(value: object) -> str:
    """A value and its type on one short line."""
    text = " ".join(repr(value).split())
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"


def _name_of(target: object) -> str:
    """What an object that was not given by name is called in a report; no addresses."""
    inner = target.func if isinstance(target, functools.partial) else target
    if _is_torch_builtin(inner):
        return f"{_builtin_home(inner)}:{_call_name(inner)}"
    module = getattr(inner, "__module__", None)
    if isinstance(inner, type) or inspect.isroutine(inner):
        return f"{module}:{inner.__qualname__}" if module else inner.__qualname__
    if _torch_schema(inner) is not None:
        return _call_name(inner)
    text = " ".join(repr(inner).split()) if isinstance(inner, torch.nn.Module) else ""
    return text if 0 < len(text) <= 60 else type(inner).__qualname__


def _call_name(function: object) -> str:
    """The name a callable is written with."""
    schema = _torch_schema(function)
    qualname = getattr(function, "__qualname__", None) or type(function).__qualname__
    name = schema.name.replace("::", ".") if schema is not None else str(qualname)
    return name.rpartition(".")[2]


@contextmanager
def _world_kept() -> Iterator[None]:
    """Puts back what loading and building a stranger's code may change in this process."""
    dtype, grad = torch.get_default_dtype(), torch.is_grad_enabled()
    try:
        with saved_generators():
            yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(grad)


def _device(device: str | torch.device) -> torch.device:
    """The device, once a tensor could be put there."""
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except Exception as error:
        raise ArgumentValueError(
            f"Expected `device` to be a device of this machine, got device={device!r} "
            f"({type(device).__name__}): {_said(error)}"
        ) from error
    return found


def _place(thing: object) -> tuple[str, int]:
    """File and line of a class or function, or of the class of an instance."""
    inner = thing.func if isinstance(thing, functools.partial) else thing
    kind = inner if isinstance(inner, type) or inspect.isroutine(inner) else type(inner)
    try:
        return inspect.getsourcefile(kind) or "", inspect.getsourcelines(kind)[1] or 1
    except (TypeError, OSError):
        return "", 0


# --- Load ---------------------------------------------------------------------------------------


_FILES = itertools.count()


@dataclass
class _Home:
    """The folder a target was loaded from, importable only while the target's own code runs.

    Its modules are kept here and not in `sys.modules`, so that two files that each import their
    own `helper` do not meet. Entering puts them and the folder back: an import inside a `forward`,
    or `torch.compile`, which looks modules up by name, then finds them.
    """

    folder: str | None = None
    modules: dict[str, ModuleType] = field(default_factory=dict)
    _undo: list[tuple[list[str], dict[str, ModuleType], bool]] = field(default_factory=list)

    def __enter__(self) -> None:
        if self.folder is not None:
            self._undo.append((sys.path.copy(), sys.modules.copy(), sys.dont_write_bytecode))
            sys.path.insert(0, self.folder)
            sys.dont_write_bytecode = True  # a look at a file leaves no `__pycache__` beside it
            sys.modules.update(self.modules)

    def __exit__(self, *exception: object) -> None:
        if self.folder is None:
            return
        path, before, sys.dont_write_bytecode = self._undo.pop()
        if len(sys.modules) != len(before) or self.modules:
            self._take_back(before, owned=self.folder not in path)
        sys.path[:] = path

    def _take_back(self, before: Mapping[str, ModuleType], *, owned: bool) -> None:
        """Keeps here what the target's code has put into `sys.modules`.

        A module that lives in the folder is the target's own; any other that it imported (NumPy,
        say) stays, as extension modules cannot be loaded twice.
        """
        if len(sys.modules) > len(before.keys() | self.modules.keys()):
            new = [name for name in sys.modules if name not in before]
            mine = [name for name in new if owned and self._is_mine(name)]
            self.modules.update({name: sys.modules[name] for name in mine})
        for name in self.modules:
            if name in before:
                sys.modules[name] = before[name]
            else:
                sys.modules.pop(name, None)

    def _is_mine(self, name: str) -> bool:
        """Whether the module, or the package it is in, lies directly in the folder."""
        top = sys.modules.get(name.partition(".")[0])
        if top is None or self.folder is None:
            return False
        places = [*getattr(top, "__path__", ())] or [getattr(top, "__file__", None) or "."]
        return any(Path(place).parent == Path(self.folder) for place in places)


def _load(target: str) -> tuple[object, _Home]:
    """The object a TARGET string names, and where it lives."""
    where, colon, attribute = target.rpartition(":")
    if not (colon and where and attribute.strip()):
        head, _, tail = target.rpartition(".")
        near = f"; perhaps {head}:{tail}" if not colon and head and tail.isidentifier() else ""
        raise TargetError(
            "Expected TARGET as `package.module:Attribute` or `path/file.py:Attribute`, "
            f"got {target!r} (str){near}"
        )
    is_file = where.endswith(".py") or os.sep in where or "/" in where
    folder = str(Path(where).resolve().parent) if is_file else str(Path.cwd())
    home = _Home(folder)
    with home:
        module = _load_file(target, where, home) if is_file else _load_module(target, where)
        thing = _attribute(target, module, attribute)
    return thing, home if home.modules else _Home()


def _load_file(target: str, where: str, home: _Home) -> ModuleType:
    """Executes a file as a module of its own."""
    path = Path(where).resolve()
    if not path.is_file():
        got = "a folder" if path.is_dir() else "no such file"
        raise _error(target, f"to name a Python file, {where}", got)
    # The name meets no module that is there, whatever the file is called.
    # Nor one that was: the compiler keeps what it knows of a file under the name of its module.
    name = f"_torchdropout_target_{path.stem}_{next(_FILES)}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise _error(target, "to name a Python file, `path/file.py`", f"{where!r} (str)")
    module = importlib.util.module_from_spec(spec)
    home.modules[name] = sys.modules[name] = module
    with _importing(target, where):
        spec.loader.exec_module(module)
    return module


def _load_module(target: str, where: str) -> ModuleType:
    """Imports a module by name."""
    with _importing(target, where):
        return importlib.import_module(where)


@contextmanager
def _importing(target: str, where: str) -> Iterator[None]:
    """Turns whatever an import can raise into an error that names the target."""
    try:
        yield
    except SyntaxError as error:
        place = f"{Path(error.filename).name if error.filename else where}, line {error.lineno}"
        raise _error(
            target, f"to load {where}", f"a syntax error in {place}: {error.msg}"
        ) from error
    except ModuleNotFoundError as error:
        if error.name and (where == error.name or where.startswith(f"{error.name}.")):
            raise _error(
                target,
                f"to name an importable module, {where}",
                f"no module named {error.name!r}",
                "a file is given as path/file.py:Attribute",
            ) from error
        raise _error(target, f"to load {where}", _said(error) + _line_of(error)) from error
    except (Exception, SystemExit) as error:
        hint = ""
        if isinstance(error, ImportError) and "relative import" in str(error):
            hint = "a file in a package is given as package.module:Attribute"
        raise _error(target, f"to load {where}", _said(error) + _line_of(error), hint) from error


def _line_of(error: BaseException) -> str:
    """Where an import failed, outside the import machinery and this file."""
    place, trace = "", error.__traceback__
    while trace is not None:
        filename = trace.tb_frame.f_code.co_filename
        if "importlib" not in filename and filename != __file__:
            place = f" ({Path(filename).name}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return place


def _attribute(target: str, module: ModuleType, dotted: str) -> object:
    """The attribute of a module that a dotted name gives."""
    thing: object = module
    for part in dotted.split("."):
        try:
            thing = getattr(thing, part)
        except AttributeError as error:
            names = [name for name in dir(thing) if not name.startswith("_")]
            near = difflib.get_close_matches(part, names, n=3)
            raise _error(
                target,
                f"to name an attribute {part!r} of {target.rpartition(':')[0]}",
                "no such attribute",
                f"close to it: {', '.join(near)}" if near else "",
            ) from error
    return thing


# --- Read ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Slot:
    """An argument with a role. `flipped`: it takes 1 - p, or the opposite of training."""

    name: str
    flipped: bool = False
    guessed: bool = False


@dataclass(frozen=True)
class _Reading:
    """How a callable is called.

    Attributes:
        function: What is called.
        signature: Its signature, or the one assumed where Python has none for it.
        bound: Arguments that a `functools.partial` has fixed.
        assumed: True when the signature is assumed.
    """

    function: Callable[..., Any]
    signature: Signature
    bound: Mapping[str, Any]
    assumed: bool = False

    @property
    def free(self) -> dict[str, Parameter]:
        """The named parameters that can still be given."""
        return {
            name: parameter
            for name, parameter in self.signature.parameters.items()
            if name not in self.bound and parameter.kind not in _VARIADIC
        }

    @property
    def takes_any_keyword(self) -> bool:
        """Whether there is a `**kwargs`."""
        return any(p.kind is Parameter.VAR_KEYWORD for p in self.signature.parameters.values())

    def call(self, values: Mapping[str, Any]) -> Any:
        """Calls with these arguments, by position where the signature has them by position only."""
        known = {**self.bound, **{k: v for k, v in values.items() if self._knows(k)}}
        extra = {k: v for k, v in values.items() if k not in known}
        arguments = inspect.BoundArguments(self.signature, OrderedDict(known))
        return self.function(*arguments.args, **arguments.kwargs, **extra)

    def show(self, values: Mapping[str, str]) -> str:
        """The call as it would be written: `dropout(x, p=p, training=training)`."""
        parts = []
        for argument, text in values.items():
            parameter = self.signature.parameters.get(argument)
            by_position = parameter is not None and parameter.kind is Parameter.POSITIONAL_ONLY
            parts.append(text if by_position or text == "x" else f"{argument}={text}")
        parts += [f"{argument}={_brief(value)}" for argument, value in self.bound.items()]
        return f"{_call_name(self.function)}({', '.join(parts)})"

    def _knows(self, name: str) -> bool:
        parameter = self.signature.parameters.get(name)
        return parameter is not None and parameter.kind not in _VARIADIC


def _brief(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 24 else "..."


def _read(call: Callable[..., Any], assumed: tuple[str, ...]) -> _Reading:
    """The reading of a callable; `assumed` are its positional arguments if Python cannot tell."""
    function, args, keywords = call, (), {}
    if isinstance(call, functools.partial):
        function, args, keywords = call.func, call.args, call.keywords
    signature = _signature(function)
    if signature is None:
        parameters = [Parameter(name, Parameter.POSITIONAL_ONLY) for name in assumed]
        return _Reading(call, Signature(parameters), {}, assumed=True)
    try:
        bound = signature.bind_partial(*args, **keywords).arguments
    except TypeError:  # a partial that can never be called: leave it to the call to say so
        return _Reading(call, signature, {})
    return _Reading(function, signature, bound)


def _signature(function: Callable[..., Any]) -> Signature | None:
    """What can be read of a callable's arguments, else None."""
    schema = _torch_schema(function)
    if schema is not None:
        return _from_schema(schema)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    named = [p for p in signature.parameters.values() if p.kind not in _VARIADIC]
    return signature if named or not signature.parameters else None


def _is_torch_builtin(function: object) -> TypeGuard[BuiltinFunctionType]:
    """Whether it is a builtin that torch offers, which Python has no signature for."""
    return inspect.isbuiltin(function) and _builtin_home(function) is not None


def _builtin_home(function: BuiltinFunctionType) -> str | None:
    homes = {"torch": torch, "torch.nn.functional": torch.nn.functional}
    found = (n for n, home in homes.items() if getattr(home, function.__name__, None) is function)
    return next(found, None)


def _torch_schema(function: object) -> Any:
    """The schema of a scripted function, an operator, or a builtin such as `torch.dropout`."""
    if isinstance(function, torch.jit.ScriptFunction):
        return function.schema
    if _is_torch_builtin(function):
        function = getattr(torch.ops.aten, function.__name__, None)
    overload = getattr(function, "default", function)
    return overload._schema if isinstance(overload, torch._ops.OpOverload) else None


def _from_schema(schema: Any) -> Signature:
    """A torch schema as a Python signature."""
    parameters = [
        Parameter(
            argument.name,
            Parameter.KEYWORD_ONLY if argument.kwarg_only else Parameter.POSITIONAL_OR_KEYWORD,
            default=argument.default_value if argument.has_default_value() else Parameter.empty,
        )
        for argument in schema.arguments
    ]
    return Signature(parameters)


def _squeezed(name: str) -> str:
    return name.replace("_", "").lower()


def _pick(names: Iterable[str], wanted: Iterable[str]) -> str | None:
    """The first wanted name that is there; `dropProb` and `drop_prob_` are `drop_prob`."""
    there = {_squeezed(name): name for name in names}
    return next((there[_squeezed(w)] for w in wanted if _squeezed(w) in there), None)


def _p_slot(name: str, reading: _Reading, told: _Told) -> _Slot | None:
    """The argument that carries p, as told or by its name."""
    if told.p is not None or told.keep is not None:
        flag = "--p-name" if told.p is not None else "--keep-prob"
        slot = _Slot(cast(str, told.p or told.keep), flipped=told.p is None)
        _check_told(name, reading, slot.name, flag)
        return slot
    names = reading.signature.parameters.keys()
    drop, keep = _pick(names, P_NAMES), _pick(names, KEEP_NAMES)
    if drop is not None:
        return _Slot(drop)
    return _Slot(keep, flipped=True) if keep is not None else None


def _training_slot(name: str, reading: _Reading, told: _Told) -> _Slot | None:
    """The argument that says whether to drop, as told or by its name."""
    if told.training is not None:
        _check_told(name, reading, told.training, "--training-name")
        return _Slot(told.training, flipped=_pick([told.training], EVAL_NAMES) is not None)
    names = reading.signature.parameters.keys()
    live, still = _pick(names, TRAINING_NAMES), _pick(names, EVAL_NAMES)
    if live is not None:
        return _Slot(live)
    return _Slot(still, flipped=True) if still is not None else None


def _check_told(name: str, reading: _Reading, argument: str, flag: str) -> None:
    if argument in reading.signature.parameters or reading.takes_any_keyword or reading.assumed:
        return
    names = list(reading.signature.parameters)
    near = difflib.get_close_matches(argument, names, n=2)
    raise _error(
        name,
        f"to take the argument {argument!r} that {flag} names",
        f"the arguments ({', '.join(names)})",
        f"close to it: {', '.join(near)}" if near else "",
    )


def _by_position(reading: _Reading, taken: Iterable[str]) -> _Slot | None:
    """The first argument left that could be a probability: no flag, no text, no tensor."""
    for name, parameter in reading.free.items():
        if name not in taken and parameter.kind in _POSITIONAL:
            return _Slot(name, guessed=True) if _may_be_rate(parameter) else None
    return None


def _may_be_rate(parameter: Parameter) -> bool:
    annotation, default = parameter.annotation, parameter.default
    if annotation is not Parameter.empty and annotation not in (float, Any, "float", "Any"):
        return False
    is_number = isinstance(default, (int, float)) and not isinstance(default, bool)
    return default is Parameter.empty or is_number


def _first_input(reading: _Reading, roles: Iterable[_Slot | None]) -> str | None:
    """The argument that takes x: the first that has no other role."""
    taken = {slot.name for slot in roles if slot is not None}
    return next((n for n, p in reading.free.items() if n not in taken), None)


def _missing(reading: _Reading, given: Iterable[str]) -> list[str]:
    """Required arguments that nothing fills."""
    return [
        name
        for name, parameter in reading.free.items()
        if parameter.default is Parameter.empty and name not in set(given)
    ]


def _drop_or_keep(slot: _Slot, p: Any) -> Any:
    """What the argument is given for p. A wrong p goes on as it is, for the target to refuse."""
    is_number = isinstance(p, (int, float)) and not isinstance(p, bool)
    return 1 - p if slot.flipped and is_number else p


def _guesses(reading: _Reading, slot: _Slot) -> str:
    """What the reader of a report should know of how p was found."""
    if reading.assumed:
        return "; no readable signature, so p is passed by position"
    if slot.guessed:
        return f"; `{slot.name}` is taken for p, as the first argument that can be"
    return f"; `{slot.name}` is read as a keep probability" if slot.flipped else ""


# --- Subject ------------------------------------------------------------------------------------


def _understand(thing: object, name: str, told: _Told, home: _Home) -> Subject:
    """An object to its subject."""
    if isinstance(thing, torch.nn.Module):
        return _Instance(thing, name, told, home)
    if not callable(thing):
        raise _error(name, "to be a module class, an instance or a function", _shown(thing))
    inner = thing.func if isinstance(thing, functools.partial) else thing
    if isinstance(inner, type):
        return _maker(thing, name, told, home, "module class" if _is_module(inner) else "class")
    if _is_factory(thing, told):
        return _maker(thing, name, told, home, "factory")
    has_signature = inspect.isroutine(inner) or isinstance(inner, torch.jit.ScriptFunction)
    if not has_signature and _p_slot_or_none(thing, told) is None:
        return _Instance(thing, name, told, home)
    return _function(thing, name, told, home)


def _is_module(cls: type) -> bool:
    return issubclass(cls, torch.nn.Module)


def _p_slot_or_none(thing: Callable[..., Any], told: _Told) -> _Slot | None:
    try:
        return _p_slot("", _read(thing, ()), told)
    except TargetError:
        return None


def _is_factory(thing: Callable[..., Any], told: _Told) -> bool:
    """Whether the one argument left is p: then a call makes a dropout and does not apply one."""
    reading = _read(thing, ("x", "p", "training"))
    slot = _p_slot_or_none(thing, told)
    required = _missing(reading, ())
    if slot is None or list(reading.free)[:1] != [slot.name]:
        return False
    return required in ([slot.name], [])


class _Subject(Subject):
    """What the three kinds share."""

    def __init__(
        self,
        name: str,
        kind: Kind,
        description: str,
        *,
        fixed_p: float | None,
        has_eval: bool,
        takes_inplace: bool,
    ) -> None:
        self.name = name
        self.kind = kind
        self.description = description
        self.fixed_p = fixed_p
        self.has_eval = has_eval
        self.takes_inplace = takes_inplace

    def _check_own(self, p: Any) -> None:
        if self.fixed_p is not None and p != self.fixed_p:
            raise ArgumentValueError(
                f"Expected `p` to be {self.fixed_p:g}, the p that {self.name!r} has, "
                f"got p={p!r} ({type(p).__name__})"
            )

    def _check_mode(self, training: bool) -> None:
        if not training and not self.has_eval:
            raise _error(self.name, "to have a training argument", "none to put it into eval mode")


_COMPILED = "; compiled"

# A thing that was made: how it is called, and what puts it into a mode.
_Switch = Callable[[Any, bool], None]


@dataclass(frozen=True)
class _Use:
    """How a made thing, a module or another callable, is put into a mode and called."""

    slot: _Slot | None
    switch: _Switch | None
    note: str
    names: Mapping[str, str] = field(default_factory=dict)

    def bind(
        self, thing: Any, home: _Home, check: Callable[[bool], None], compile: bool | str
    ) -> Callable[..., Any]:
        slot, switch = self.slot, self.switch
        run = _compiled(thing, compile)

        def call(x: torch.Tensor, training: bool, **inputs: torch.Tensor) -> Any:
            check(training)
            given: dict[str, Any] = _renamed(inputs, self.names)
            if slot is not None:
                given[slot.name] = training is not slot.flipped
            with home:
                if switch is not None:
                    switch(thing, training)
                return run(x, **given)

        return call


def _compiled(thing: Any, compile: bool | str) -> Any:
    """What `torch.compile` makes of it, if asked for."""
    if not compile:
        return thing
    return torch.compile(thing, backend="inductor" if compile is True else compile)


def _input_names(name: str, reading: _Reading, spec: Spec) -> dict[str, str]:
    """Under which names the target takes the further inputs of its kind; a bias may be missing."""
    found = {role: _pick(reading.free, names) for role, names in spec.inputs.items()}
    lacking = [role for role, argument in found.items() if argument is None and role != "bias"]
    if lacking:
        raise _error(
            name,
            f"to take {_listed(lacking)}, as {spec.name} does",
            f"the arguments ({', '.join(reading.signature.parameters)})",
        )
    return {role: argument for role, argument in found.items() if argument is not None}


def _renamed(inputs: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names[role]: value for role, value in inputs.items() if role in names}


def _constants(reading: _Reading, spec: Spec) -> dict[str, Any]:
    """What the kind requires to be built or called with, as far as the target takes it."""
    return {name: value for name, value in spec.arguments.items() if name in reading.free}


def _use(thing: Any, name: str, told: _Told) -> _Use:
    """Reads how a made thing is called."""
    is_module = isinstance(thing, torch.nn.Module)
    if not callable(thing):
        raise _error(name, "to make something that can be called on a tensor", _shown(thing))
    reading = _read(thing.forward if is_module else thing, ("x",))
    slot = _training_slot(name, reading, told) if told.training or not reading.assumed else None
    names = _input_names(name, reading, told.spec)
    given = [_first_input(reading, [slot]), slot.name if slot else None, *names.values()]
    _require_input(name, reading, given[0])
    missing = _missing(reading, [argument for argument in given if argument])
    if missing:
        raise _error(
            name,
            "to be called on a tensor alone",
            f"{type(thing).__qualname__}, whose call also requires {_listed(missing)}",
            "point to a function f(x, p, training) that gives them",
        )
    switch: _Switch | None = None
    if is_module or callable(getattr(thing, "train", None)):
        switch = _switch_by_method
    elif isinstance(getattr(thing, "training", None), bool):
        switch = _switch_by_attribute
    if slot is not None:
        note = f", called with {slot.name}={'not ' if slot.flipped else ''}training"
    else:
        note = "" if switch else "; it has no training mode to set, so eval is not judged"
    return _Use(slot, switch, note, names)


def _switch_by_method(thing: Any, training: bool) -> None:
    thing.train(training)


def _switch_by_attribute(thing: Any, training: bool) -> None:
    thing.training = training


def _require_input(name: str, reading: _Reading, argument: str | None) -> None:
    takes_args = any(
        p.kind is Parameter.VAR_POSITIONAL for p in reading.signature.parameters.values()
    )
    if argument is None and not takes_args:
        raise _error(
            name,
            "to take a tensor as its first argument",
            f"the arguments ({', '.join(reading.signature.parameters)})",
        )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


class _Maker(_Subject):
    """A class or a factory: built at each p."""

    def __init__(
        self, name: str, told: _Told, home: _Home, reading: _Reading, slot: _Slot, article: str
    ) -> None:
        self._reading, self._slot, self._home, self._told = reading, slot, home, told
        self._given = _constants(reading, told.spec)
        fixed = _fixed_p(name, reading, slot)
        made = self._try(name)
        self._use = _use(made, name, told)
        value = "1 - p" if slot.flipped else "p"
        arguments = {} if slot.name in reading.bound else {slot.name: value}
        shown = reading.show(arguments | {k: repr(v) for k, v in self._given.items()})
        super().__init__(
            name,
            "class",
            f"{article}, built as {shown}{self._use.note}{_guesses(reading, slot)}"
            + _COMPILED * bool(told.compile),
            fixed_p=fixed,
            has_eval=self._use.slot is not None or self._use.switch is not None,
            takes_inplace="inplace" in reading.free,
        )

    def build(self, p: Any, *, inplace: bool = False) -> Built:
        self._check_own(p)
        with self._home:
            made = self._make(p, inplace=inplace)
        module = made if isinstance(made, torch.nn.Module) else None
        bound = self._use.bind(made, self._home, self._check_mode, self._told.compile)
        return Built(p, bound, module, inputs=frozenset(self._use.names))

    def _make(self, p: Any, *, inplace: bool = False) -> Any:
        slot = self._slot
        given = {"inplace": True, **self._given} if inplace else self._given
        if slot.name in self._reading.bound:
            return self._reading.call(given)
        return self._reading.call({slot.name: _drop_or_keep(slot, p), **given})

    def _try(self, name: str) -> Any:
        """Builds once: a class that cannot be built is no target, and every check would say so."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return self._make(_TRIAL_P)
        except Exception as error:
            shown = self._reading.show({self._slot.name: f"{_drop_or_keep(self._slot, _TRIAL_P)}"})
            raise _error(name, f"to be built as {shown}", _said(error), _HOW_TO_TELL) from error


def _maker(thing: Callable[..., Any], name: str, told: _Told, home: _Home, article: str) -> Subject:
    reading = _read(thing, (told.p or told.keep or "p",))
    slot = _p_slot(name, reading, told) or _by_position(reading, ())
    if slot is None:
        raise _no_p(name, article, reading)
    missing = _missing(reading, [slot.name, *_constants(reading, told.spec)])
    if missing:
        raise _error(
            name,
            "to be built from the drop probability alone",
            f"a {article} that also requires {_listed(missing)}",
            "point to an instance, or to a functools.partial or factory f(p) that gives them",
        )
    return _Maker(name, told, home, reading, slot, article)


def _no_p(name: str, article: str, reading: _Reading) -> TargetError:
    arguments = ", ".join(reading.signature.parameters)
    return _error(
        name,
        "to take the drop probability",
        f"a {article} with the arguments ({arguments}), none of them named like one "
        f"({', '.join(P_NAMES[:4])}, ..., {KEEP_NAMES[0]}, ...)",
        _HOW_TO_TELL,
    )


def _fixed_p(name: str, reading: _Reading, slot: _Slot) -> float | None:
    """The p that a partial has bound, if it has."""
    if slot.name not in reading.bound:
        return None
    return _as_p(name, f"`{slot.name}`", reading.bound[slot.name], slot.flipped)


def _as_p(name: str, where: str, value: object, flipped: bool) -> float:
    """A number, or a tensor of one element, as a drop probability."""
    number = _number(value)
    if number is None or not 0 <= number <= 1:
        raise _error(name, f"to have a probability in [0, 1] in {where}", _shown(value))
    return 1 - number if flipped else number


def _number(value: object) -> float | None:
    """The value of a number or of a one-element tensor, else None."""
    if isinstance(value, torch.Tensor) and value.numel() == 1 and not value.is_complex():
        return float(value)
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return float(cast(float, value)) if is_number else None


class _Instance(_Subject):
    """A module, or another callable that holds its p: copied for each build."""

    def __init__(self, thing: Any, name: str, told: _Told, home: _Home) -> None:
        where, slot, p = _held_p(thing, name, told)
        self._home = home
        self._thing = thing
        # What the checks do to a build must not reach the caller's object.
        try:
            made = copy.deepcopy(thing)
        except Exception as error:
            raise _error(name, "to survive copy.deepcopy", _said(error)) from error
        self._use = _use(made, name, told)
        article = "module instance" if isinstance(thing, torch.nn.Module) else "callable object"
        keep = ", read as a keep probability" if slot.flipped else ""
        super().__init__(
            name,
            "instance",
            f"{article}, p={p:g} read from `{where}`{keep}{self._use.note}"
            + _COMPILED * bool(told.compile),
            fixed_p=p,
            has_eval=self._use.slot is not None or self._use.switch is not None,
            takes_inplace=isinstance(getattr(thing, "inplace", None), bool),
        )
        self._compile = told.compile

    def build(self, p: Any, *, inplace: bool = False) -> Built:
        self._check_own(p)
        with self._home:
            made = copy.deepcopy(self._thing)
        if inplace:
            made.inplace = True
        module = made if isinstance(made, torch.nn.Module) else None
        bound = self._use.bind(made, self._home, self._check_mode, self._compile)
        return Built(p, bound, module, inputs=frozenset(self._use.names))


def _held_p(thing: Any, name: str, told: _Told) -> tuple[str, _Slot, float]:
    """Where an instance holds its p: as told, in an attribute of its own, or in one submodule."""
    wanted = told.p or told.keep
    if wanted is not None:
        slot = _Slot(wanted, flipped=told.keep is not None)
        try:
            value = functools.reduce(getattr, wanted.split("."), thing)
        except AttributeError as error:
            flag = "--p-name" if told.p else "--keep-prob"
            raise _error(
                name, f"to have the attribute {wanted!r} that {flag} names", _said(error)
            ) from error
        return wanted, slot, _as_p(name, f"`{wanted}`", value, slot.flipped)
    own = _attribute_p(thing)
    if own is not None:
        return own.name, own, _as_p(name, f"`{own.name}`", getattr(thing, own.name), own.flipped)
    return _p_of_submodule(thing, name)


def _attribute_p(thing: object) -> _Slot | None:
    """The attribute of this object that holds a number under a name for p."""
    names = [n for n in dir(thing) if _pick([n], P_NAMES + KEEP_NAMES)]
    held = [n for n in names if _number(getattr(thing, n, None)) is not None]
    drop, keep = _pick(held, P_NAMES), _pick(held, KEEP_NAMES)
    if drop is not None:
        return _Slot(drop)
    return _Slot(keep, flipped=True) if keep is not None else None


def _p_of_submodule(thing: Any, name: str) -> tuple[str, _Slot, float]:
    """The p of the only submodule that has one."""
    inner = thing.named_modules() if isinstance(thing, torch.nn.Module) else ()
    found = [(path, m, slot) for path, m in inner if path and (slot := _attribute_p(m))]
    if len(found) == 1:
        path, module, slot = found[0]
        where = f"{path}.{slot.name}"
        return where, slot, _as_p(name, f"`{where}`", getattr(module, slot.name), slot.flipped)
    places = [f"{path}.{slot.name}" for path, _, slot in found]
    got = f"several: {_listed(places)}" if found else "none (tried " + ", ".join(P_NAMES) + ")"
    raise _error(
        name,
        "to hold its drop probability in one attribute",
        got,
        "tell it with --p-name NAME, or point to a class or a factory f(p)",
    )


class _Function(_Subject):
    """A function of x, p and training."""

    def __init__(
        self,
        name: str,
        home: _Home,
        reading: _Reading,
        x: str,
        slots: tuple[_Slot, _Slot | None],
        told: _Told,
    ) -> None:
        self._home, self._x = home, x
        self._p, self._training = slots
        self._names = _input_names(name, reading, told.spec)
        self._given = _constants(reading, told.spec)
        self._run = dataclasses.replace(reading, function=_compiled(reading.function, told.compile))
        bound = reading.bound
        self._gives_p = self._p.name not in bound
        has_eval = self._training is not None and self._training.name not in bound
        values = {x: "x"} | {argument: role for role, argument in self._names.items()}
        if self._gives_p:
            values[self._p.name] = "1 - p" if self._p.flipped else "p"
        if self._training is not None and has_eval:
            values[self._training.name] = "not training" if self._training.flipped else "training"
        note = "" if has_eval else "; no training argument to give, so eval is not judged"
        shown = {argument: repr(value) for argument, value in self._given.items()}
        super().__init__(
            name,
            "function",
            f"function, called as {reading.show(values | shown)}{note}"
            + _guesses(reading, self._p)
            + _COMPILED * bool(told.compile),
            fixed_p=_fixed_p(name, reading, self._p),
            has_eval=has_eval,
            takes_inplace="inplace" in reading.free,
        )

    def build(self, p: Any, *, inplace: bool = False) -> Built:
        self._check_own(p)
        fixed = {self._p.name: _drop_or_keep(self._p, p)} if self._gives_p else {}
        fixed |= {"inplace": True, **self._given} if inplace else self._given
        flag = self._training if self.has_eval else None

        def call(x: torch.Tensor, training: bool, **inputs: torch.Tensor) -> Any:
            self._check_mode(training)
            mode = {flag.name: training is not flag.flipped} if flag is not None else {}
            given = _renamed(inputs, self._names)
            with self._home:
                return self._run.call({self._x: x, **given, **fixed, **mode})

        return Built(p, call, inputs=frozenset(self._names))


def _function(thing: Callable[..., Any], name: str, told: _Told, home: _Home) -> Subject:
    reading = _read(thing, ("x", "p", "training"))
    if reading.assumed:
        reading = _assumed(thing, name, told)
    training = _training_slot(name, reading, told)
    p = _p_slot(name, reading, told)
    x = _first_input(reading, [p, training])
    _require_input(name, reading, x)
    if p is None:
        p = _by_position(reading, [n for n in (x, training and training.name) if n])
    if p is None or x is None:
        raise _no_p(name, "function", reading)
    given = [x, p.name, *([training.name] if training else []), *_constants(reading, told.spec)]
    missing = _missing(reading, [*given, *_input_names(name, reading, told.spec).values()])
    if missing:
        raise _error(
            name,
            "to be called as f(x, p, training)",
            f"a function that also requires {_listed(missing)}",
            "bind them with functools.partial, or name the roles with --p-name and --training-name",
        )
    return _Function(name, home, reading, x, (p, training), told)


def _assumed(thing: Callable[..., Any], name: str, told: _Told) -> _Reading:
    """The signature of a function that Python cannot read: the first that a trial call accepts."""
    refused = []
    doubtful = None
    for with_training in (True, False):
        reading = _guessed_reading(thing, told, with_training)
        error = _trial(reading, told)
        if error is None:
            return reading
        if not isinstance(error, TypeError):  # it may have taken the arguments, and not this x
            doubtful = doubtful or reading
        shown = reading.show({argument: argument for argument in reading.signature.parameters})
        refused.append(f"{shown} raised {_said(error)}")
    if doubtful is not None:
        return doubtful
    raise _error(
        name, "to be called as f(x, p, training)", "; ".join(refused), "wrap it in a function"
    )


def _guessed_reading(thing: Callable[..., Any], told: _Told, with_training: bool) -> _Reading:
    """x, p and perhaps training by position, what was told by name."""
    roles = [("x", None), ("p", told.p or told.keep)]
    if with_training or told.training is not None:
        roles.append(("training", told.training))
    by_position = [Parameter(r, Parameter.POSITIONAL_ONLY) for r, name in roles if name is None]
    by_name = [Parameter(name, Parameter.KEYWORD_ONLY) for _, name in roles if name is not None]
    return _Reading(thing, Signature([*by_position, *by_name]), {}, assumed=True)


def _trial(reading: _Reading, told: _Told) -> Exception | None:
    """What one call raises."""
    values: dict[str, Any] = dict.fromkeys(reading.signature.parameters, _TRIAL_P)
    values["x"] = torch.ones(2, 3, 4)
    for flag in {"training", told.training} & values.keys():
        values[cast(str, flag)] = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reading.call(values)
    except Exception as error:
        return error
    return None
