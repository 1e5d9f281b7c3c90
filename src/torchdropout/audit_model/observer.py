"""Observes one run of a model: where random masks are drawn, and how they are used.

Modules are observed by torch's hooks on all modules, since a module's own hook would switch off its
fast path; functions by a `TorchFunctionMode`, which sees the arguments; operators by a
`TorchDispatchMode`, which sees what is computed; tensors saved for backward by saved-tensor hooks.

A draw *marks* the memory it writes, and results computed from that memory alone. A marked tensor
that holds zeros and one other value, and that multiplies or selects from an unmarked tensor, is a
mask: its zeros are counted, and a draw outside any known dropout becomes a site.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
import os
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.modules import module as _module
from torch.overrides import TorchFunctionMode

from .._core import _torch
from .results import UNKNOWN_KIND
from .state import has_values, storage_key

_P_NAMES = ("p", "drop_prob", "dropout_prob", "dropout_p", "drop_rate", "dropout_rate", "dropout",
            "rate", "prob")  # fmt: skip
_NAMED_DROPOUT = re.compile(
    r"Drop(out|Path|Block|Connect|Head|Layer|Token)|StochasticDepth|LayerDrop"
)
_FILLS = ("masked_fill", "masked_fill_", "index_put", "index_put_")
_PRODUCTS = ("mul", "mul_", "where", *_FILLS)
# Their results have two values, whatever their inputs.
_TWO_VALUED = ("lt", "le", "gt", "ge", "eq", "ne", "logical_not", "bitwise_not", "floor", "floor_",
               "round", "round_", "lt_", "le_", "gt_", "ge_")  # fmt: skip
# Functions that do something else, and can drop too.
ATTENTION = ("scaled_dot_product_attention", "F.multi_head_attention_forward")
# It ends with a separator, since torchvision is not torch.
_TORCH = str(Path(torch.__file__).parent) + os.sep
_HERE = str(Path(__file__).parents[1]) + os.sep
_RUN = str(Path(__file__).with_name("run.py"))


@dataclass
class Record:
    """The observations of a site in one pass.

    Attributes:
        known: True where a dropout was recognised, and False for an unknown random mask.
        sure: Whether it was recognised by more than the name of a class.
        frozen: Whether the module around it is in eval although the model is in training.
        is_lost: Whether its module is not in the model's tree: built in `forward`, or held in a
            plain list.
        is_module: Whether it is a module's dropout, not that of a function.
        layers: The number of layers of a recurrent module; 0 for others.
        empty: The number of calls whose input had no elements.
        saved: Keys of the memory that `kept` counts.
    """

    name: str
    kind: str
    line: str
    asked: float | None = None
    known: bool = True
    sure: bool = True
    frozen: bool = False
    is_lost: bool = False
    layers: int = 0
    calls: int = 0
    empty: int = 0
    on: bool = False
    zeros: int = 0
    values: int = 0
    kept: int = 0
    saved: set[int] = field(default_factory=set)
    is_module: bool = False

    @property
    def key(self) -> tuple[str, str, str]:
        """Identifies the site in all passes; for a module without its line."""
        return self.name, self.kind, self.line if self.is_lost or not self.is_module else ""

    def ask(self, p: Any) -> None:
        """Notes a probability with which the site was called."""
        if isinstance(p, torch.Tensor) and p.ndim == 0 and has_values(p):
            p = p.item()
        if isinstance(p, (int, float)) and not isinstance(p, bool):
            self.asked = float(p) if self.asked is None else max(self.asked, float(p))


class Declared(NamedTuple):
    """A module that is a dropout or contains one."""

    kind: str
    asked: float | None
    layers: int = 0
    sure: bool = True  # its class is known, not only its name


class _Mark(NamedTuple):
    """The data about memory that holds random numbers."""

    reference: Any  # keeps the storage's address from being reused
    record: Record
    two_valued: bool


class _Open(NamedTuple):
    """A module that is running."""

    module: torch.nn.Module
    name: str
    record: Record | None


def declared(module: torch.nn.Module) -> Declared | None:
    """What a module declares about its dropout; None if it has none."""
    kind = type(module).__name__
    home = type(module).__module__
    if isinstance(module, _torch.DropoutBase):
        is_ours = home.startswith("torchdropout.")
        return Declared(f"torchdropout.nn.{kind}" if is_ours else kind, _number(module, "p"))
    if isinstance(module, torch.nn.MultiheadAttention) or (
        home.startswith("torch.") and hasattr(module, "num_layers")
    ):
        # Transformer containers have `num_layers` too, but no probability.
        p = _number(module, "dropout")
        layers = getattr(module, "num_layers", 0)
        return Declared(kind, p, int(layers)) if p else None
    if isinstance(module, torch.nn.RNNBase) and home.startswith("torchdropout."):
        return _own_recurrent(module, f"torchdropout.nn.{kind}")
    if _NAMED_DROPOUT.search(kind) and not _torch.children(module):
        numbers = (_number(module, name) for name in _P_NAMES)
        p = next((p for p in numbers if p is not None), None)
        return Declared(kind, p, sure=home.startswith(("timm.", "torchvision.")))
    return None


def _own_recurrent(module: torch.nn.RNNBase, kind: str) -> Declared | None:
    between, *others = (
        _number(module, name) or 0.0
        for name in (
            *("dropout", "input_dropout", "recurrent_dropout"),
            *("zoneout_hidden", "zoneout_cell"),
        )
    )
    rates = {rate for rate in others if rate}
    if not rates:
        return Declared(kind, between, module.num_layers) if between else None
    if between and module.num_layers > 1:
        rates.add(between)
    # With several rates, no single p describes what is dropped.
    return Declared(kind, rates.pop() if len(rates) == 1 else None)


def _number(module: torch.nn.Module, name: str) -> float | None:
    value = getattr(module, name, None)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value)


class Observer:
    """Observes one pass.

    Attributes:
        records: The sites that were called, in that order.
        called: Ids of the modules that were called.
        fast: Names of the modules whose fast path was taken with a dropout set to train inside.
    """

    def __init__(
        self, names: Mapping[int, str], folders: tuple[Path, ...], *, functions: bool = True
    ) -> None:
        """Takes the modules' names by id, and `import_folders()`.

        `functions` False leaves the fast paths open.
        """
        self.records: dict[tuple[str, str, str], Record] = {}
        self.called: set[int] = set()
        self.fast: list[str] = []
        self._names = names
        self._folders = folders
        self._functions = functions
        self._open: list[_Open] = []
        self._asked: list[Record] = []
        self._marks: dict[int, _Mark] = {}
        self._thread = threading.get_ident()

    @contextlib.contextmanager
    def observing(self) -> Iterator[None]:
        """Observes the code that runs inside."""
        with contextlib.ExitStack() as stack:
            for register, hook in (
                (_module.register_module_forward_pre_hook, self._enter),
                (
                    functools.partial(_module.register_module_forward_hook, always_call=True),
                    self._leave,
                ),
            ):
                handle = register(hook)
                stack.callback(handle.remove)
            if torch.is_grad_enabled():
                hooks = torch.autograd.graph.saved_tensors_hooks(self._save, lambda saved: saved)
                stack.enter_context(hooks)
            stack.enter_context(_Operators(self))
            if self._functions:
                stack.enter_context(_Functions(self))
            yield

    # --- Modules ---------------------------------------------------------------------------------

    def _enter(self, module: torch.nn.Module, _: Any) -> None:
        if threading.get_ident() != self._thread:
            return
        self.called.add(id(module))
        name = self._names.get(id(module))
        if name is None:
            name = _joined(self._name, f"<{type(module).__name__}>")
        record = None
        found = declared(module)
        if found is not None:
            round_it = self._open[-1].module if self._open else module
            record = self._record(
                Record(
                    name,
                    found.kind,
                    self._line(),
                    frozen=not round_it.training,
                    is_lost=id(module) not in self._names,
                    layers=found.layers,
                    sure=found.sure,
                    is_module=True,
                )
            )
            record.ask(found.asked)
            record.calls += 1
            if found.layers > 1 and module.training and found.asked == 1:
                record.on = True  # all values between the layers are zero: nothing is drawn
        self._open.append(_Open(module, name, record))

    def _leave(self, module: torch.nn.Module, _: Any, __: Any) -> None:
        if threading.get_ident() != self._thread:
            return
        for i in reversed(range(len(self._open))):
            if self._open[i].module is module:
                del self._open[i:]
                return

    @property
    def _name(self) -> str:
        return self._open[-1].name if self._open else ""

    def _line(self) -> str:
        """The user's line that is running, as `path:line`; empty if the audit itself called."""
        found = _user_frame()
        return f"{shortened(found[0], self._folders)}:{found[1]}" if found else ""

    def _record(self, new: Record) -> Record:
        return self.records.setdefault(new.key, new)

    # --- Functions -------------------------------------------------------------------------------

    def enter_function(self, kind: str, p: Any, training: Any, x: Any) -> None:
        """A known dropout function begins, with these arguments."""
        record = self._open[-1].record if self._open else None
        if record is None:
            is_frozen = bool(self._open) and not self._open[-1].module.training
            record = self._record(Record(self._name, kind, self._line(), frozen=is_frozen))
            record.calls += 1
            record.ask(p)
        elif record.asked is None:
            record.ask(p)
        if isinstance(x, torch.Tensor) and x.numel() == 0:
            record.empty += 1
        if training and isinstance(p, (int, float)) and p >= 1:
            record.on = True  # all values are zero: nothing is drawn
        self._asked.append(record)

    def leave_function(self) -> None:
        """The function that began last has ended."""
        self._asked.pop()

    # --- Operators -------------------------------------------------------------------------------

    def before(self, func: Any, name: str, args: tuple[Any, ...]) -> None:
        """Checks whether an input of an operator is a mask, before the operator overwrites it."""
        if name in _PRODUCTS and self._marks:
            marked, others = self._split(args)
            if marked and _is_masked(name, args, marked[0][0], others):
                self._product(name, args, *marked[0])

    def after(self, func: Any, name: str, args: tuple[Any, ...], out: Any) -> None:
        """Marks the memory that an operator has written."""
        if name in _torch.FAST_PATHS and self._open:
            inside = self._open[-1].module.modules()
            if any(isinstance(m, _torch.DropoutBase) and m.training and m.p > 0 for m in inside):
                self.fast.append(self._name)
        outputs = list(_tensors(out if isinstance(out, (list, tuple)) else (out,)))
        if name == "torchdropout::masked_affine":
            self._ours(args, outputs[0])
        elif _draws(func, args):
            record = self._drawn()
            if name == "native_dropout":
                record = self._of_site(record)
                self._count(record, outputs[1])
                outputs = outputs[1:]
            for tensor in outputs:
                self._mark(tensor, record, "bernoulli" in name or name == "native_dropout")
        elif self._marks:
            marked, others = self._split(args)
            if marked and (not others or name in _TWO_VALUED):
                _, mark = marked[0]
                for tensor in outputs:
                    self._mark(tensor, mark.record, mark.two_valued or name in _TWO_VALUED)
            elif name.endswith("_") and outputs and (key := storage_key(outputs[0])) is not None:
                self._marks.pop(key, None)

    def _drawn(self) -> Record:
        """The record of a draw: of the running known dropout, or one that is not yet a site."""
        record = self._asked[-1] if self._asked else self._open[-1].record if self._open else None
        if record is None:
            return Record(self._name, UNKNOWN_KIND, self._line(), known=False, calls=1)
        record.on = True
        return record

    def _product(self, name: str, args: tuple[Any, ...], mask: torch.Tensor, mark: _Mark) -> None:
        record = mark.record
        if not record.known and not mark.two_valued:
            return
        is_filled = name in _FILLS or (name == "where" and _is_zero(args[1]))
        dropped: torch.Tensor | None = None
        if has_values(mask):
            if mask.dtype == torch.bool:
                dropped = mask if is_filled else ~mask
            else:
                dropped = mask == 0
                rest = mask[~dropped]
                if rest.numel() and not bool((rest == rest.flatten()[0]).all()):
                    return
        record = self._of_site(record)
        if dropped is not None:
            record.zeros += int(dropped.sum())
            record.values += dropped.numel()

    def _of_site(self, record: Record) -> Record:
        """The site's record of a draw that turned out to be a dropout."""
        if record.known:
            return record
        known = self._record(record)
        if known is not record:
            known.calls += record.calls
            record.calls = 0
        known.on = True
        return known

    def _count(self, record: Record, kept: torch.Tensor) -> None:
        if has_values(kept):
            record.zeros += int((~kept.bool()).sum())
            record.values += kept.numel()

    def _ours(self, args: tuple[Any, ...], y: torch.Tensor) -> None:
        """Counts for the operator of torchdropout, whose mask is not in memory."""
        # The form with a rate for each element has a drop value of 0, and fewer arguments.
        x, key, drop_value = args[0], args[1], args[5] if len(args) == 8 else 0.0
        mark = self._mark_of(key)
        # A key that the caller passed was not drawn in this pass.
        record = self._of_site(mark.record if mark is not None else self._drawn())
        if has_values(y):
            zero = torch.tensor(drop_value, dtype=y.dtype)
            tells = x != zero
            record.zeros += int((tells & (y == zero)).sum())
            record.values += int(tells.sum())

    def _split(
        self, args: tuple[Any, ...]
    ) -> tuple[list[tuple[torch.Tensor, _Mark]], list[torch.Tensor]]:
        """The marked tensors, and the others that have dimensions."""
        marked, others = [], []
        for tensor in _tensors(args):
            mark = self._mark_of(tensor)
            if mark is not None:
                marked.append((tensor, mark))
            elif tensor.ndim:
                others.append(tensor)
        return marked, others

    def _mark_of(self, tensor: torch.Tensor) -> _Mark | None:
        key = storage_key(tensor)
        return None if key is None else self._marks.get(key)

    def _mark(self, tensor: torch.Tensor, record: Record, two_valued: bool) -> None:
        key = storage_key(tensor)
        if key is not None:
            reference = StorageWeakRef(tensor.untyped_storage())
            self._marks[key] = _Mark(reference, record, two_valued)

    def _save(self, tensor: torch.Tensor) -> torch.Tensor:
        key = storage_key(tensor)
        mark = None if key is None else self._marks.get(key)
        if mark is not None and key not in mark.record.saved:
            mark.record.saved.add(key)  # type: ignore[arg-type]
            mark.record.kept += tensor.untyped_storage().nbytes()
        # Saving an output itself would keep its own graph alive.
        return tensor.detach()


class _Operators(_torch.OperatorMode):
    def __init__(self, observer: Observer) -> None:
        super().__init__()
        self._observer = observer

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = _torch.schema(func).name.removeprefix("aten::")
        with torch.no_grad():
            self._observer.before(func, name, args)
        out = func(*args, **(kwargs or {}))
        with torch.no_grad():
            self._observer.after(func, name, args, out)
        return out


class _Functions(TorchFunctionMode):
    def __init__(self, observer: Observer) -> None:
        super().__init__()
        self._observer = observer

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        known = _known(func)
        if known is None:
            return func(*args, **kwargs)
        kind, arguments = known
        values = {**arguments, **dict(zip(arguments, args, strict=False)), **kwargs}
        p = values.get("p", values.get("dropout_p"))
        training = values.get("training", values.get("train", True))
        self._observer.enter_function(kind, p, training, values.get("input", values.get("query")))
        try:
            return func(*args, **kwargs)
        finally:
            self._observer.leave_function()


_ATEN = {"input": None, "p": None, "train": None}
_FUNCTIONS: dict[Any, tuple[str, dict[str, Any]]] = {
    getattr(torch, name): (f"torch.{name}", _ATEN)
    for name in (
        "dropout", "dropout_", "native_dropout", "feature_dropout", "feature_dropout_",
        "alpha_dropout", "alpha_dropout_", "feature_alpha_dropout", "feature_alpha_dropout_",
    )
}  # fmt: skip
_FUNCTIONS[F.scaled_dot_product_attention] = (
    "scaled_dot_product_attention",
    {"query": None, "key": None, "value": None, "attn_mask": None, "dropout_p": 0.0},
)


_PYTHON_FUNCTIONS = (
    F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout,
    F.multi_head_attention_forward,
)  # fmt: skip


@functools.cache
def _known(func: Any) -> tuple[str, dict[str, Any]] | None:
    """The kind and the arguments, with defaults, of a dropout function; None for others."""
    if func in _FUNCTIONS:
        return _FUNCTIONS[func]
    is_ours = str(getattr(func, "__module__", "")).startswith("torchdropout.functional")
    if not is_ours and func not in _PYTHON_FUNCTIONS:
        return None
    parameters = inspect.signature(func).parameters.values()
    arguments = {p.name: None if p.default is p.empty else p.default for p in parameters}
    if "p" not in arguments and "dropout_p" not in arguments:
        return None
    home = "torchdropout.functional" if is_ours else "F"
    return f"{home}.{func.__name__}", arguments


@functools.cache
def _gates(func: Any) -> tuple[bool, tuple[tuple[int, str], ...]]:
    """Whether an operator is random, and which of its arguments can switch that off."""
    gates = tuple(
        (i, argument.name)
        for i, argument in enumerate(_torch.schema(func).arguments)
        if argument.name in ("dropout_p", "dropout", "train", "training")
    )
    return torch.Tag.nondeterministic_seeded in func.tags, gates


def _draws(func: Any, args: tuple[Any, ...]) -> bool:
    is_random, gates = _gates(func)
    given = [args[i] for i, _ in gates if i < len(args)]
    if is_random:
        # The default of a missing argument is 0 or False.
        return len(given) == len(gates) and all(given) if gates else True
    has_dropout = any(name in ("dropout_p", "dropout") for _, name in gates)
    return has_dropout and len(given) == len(gates) and all(given)


def _tensors(values: Any) -> Iterator[torch.Tensor]:
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _tensors(value)


def _is_masked(
    name: str, args: tuple[Any, ...], mask: torch.Tensor, others: list[torch.Tensor]
) -> bool:
    """Whether an operator writes zeros (in attention minus infinity) where a mask says so."""
    if not any(x.is_floating_point() or x.is_complex() for x in others):
        return False  # it combines masks
    if name in _FILLS:
        is_mask = mask.dtype == torch.bool and any(mask is t for t in _tensors(args[1:2]))
        return is_mask and (_is_zero(args[2]) or args[2] == -math.inf)
    if name == "where":
        return mask is args[0] and any(map(_is_zero, args[1:]))
    return True


def _is_zero(value: Any) -> bool:
    if isinstance(value, torch.Tensor):
        return value.ndim == 0 and has_values(value) and not bool(value)
    return not isinstance(value, bool) and value == 0


def _joined(*parts: str) -> str:
    return ".".join(part for part in parts if part)


def import_folders() -> tuple[Path, ...]:
    """The folders that paths are shown from: the current one, and those of imports."""
    return (Path.cwd(), *map(Path, filter(None, sys.path)))


def is_users(path: str) -> bool:
    """Whether a source file is neither torch's nor of this package."""
    return not path.startswith((_HERE, _TORCH, "<frozen"))


def _user_frame() -> tuple[str, int] | None:
    """The nearest caller outside torch and this package; None if the audit itself called."""
    frame = sys._getframe()
    while frame is not None:
        path = frame.f_code.co_filename
        if path == _RUN:
            return None
        if is_users(path):
            return path, frame.f_lineno
        frame = frame.f_back  # type: ignore[assignment]
    return None


@functools.cache
def shortened(path: str, folders: tuple[Path, ...]) -> str:
    """A path relative to the current folder, or else to the folder it is imported from."""
    given = Path(path)
    shorter = [path]
    for folder in folders:
        with contextlib.suppress(ValueError):
            shorter.append(given.relative_to(folder).as_posix())
            if len(shorter) == 2 and "site-packages" not in path:
                break
    return min(shorter, key=len)
