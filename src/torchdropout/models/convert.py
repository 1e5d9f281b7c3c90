"""Replace the dropout modules of a model with ours, and put them back."""

from __future__ import annotations

import dis
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from types import CodeType
from typing import Any, Literal

import torch

from .. import nn
from .._core import _torch
from .._core._validate import check_bool, check_p, wrong_type, wrong_value
from ..errors import ArgumentTypeError, ArgumentValueError, TorchDropoutError
from ..nn._module import as_one_call
from . import _transformers

Builder = Callable[[torch.nn.Module], torch.nn.Module]
Rules = Mapping[type[torch.nn.Module], Builder | None]


@dataclass(frozen=True)
class _Rule:
    """A class of ours, and the attributes of the original that hold its arguments.

    If the original lacks one, in another version of its package, the argument has our default.
    """

    ours: type[torch.nn.Module]
    arguments: Mapping[str, str]
    fixed: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, module: torch.nn.Module) -> torch.nn.Module:
        found = {a: getattr(module, b) for b, a in self.arguments.items() if hasattr(module, b)}
        found.update({"p": _as_number(found["p"])} if "p" in found else {})
        return self.ours(**found, **self.fixed)

    def hand_back(self, new: torch.nn.Module, old: torch.nn.Module) -> None:
        """Copy the mode, rate and hooks of the replacement to the original."""
        old.training = new.training
        vars(old).update({key: vars(new)[key] for key in _torch.HOOKS})
        for theirs, ours in self.arguments.items():
            if hasattr(old, theirs):
                setattr(old, theirs, getattr(new, ours))


@dataclass(frozen=True)
class _Layer:
    """Our subclass of a layer with parameters: it has the original's state, with another class.

    Old and new share the same dicts of parameters, buffers and modules, so that anything put into
    one, for example by `load_state_dict(assign=True)`, is in the other as well.
    """

    ours: type[torch.nn.Module]
    further: Mapping[str, Any] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, module: torch.nn.Module) -> torch.nn.Module:
        p = check_p(_as_number(module.dropout), "dropout")
        new = self.ours.__new__(self.ours)
        vars(new).update({self.renamed.get(key, key): v for key, v in vars(module).items()})
        for name, value in {**self.further, "dropout": p}.items():
            setattr(new, name, value)  # this also updates attributes that depend on it
        as_one_call(new)
        return new

    def hand_back(self, new: torch.nn.Module, old: torch.nn.Module) -> None:
        """Copy everything that torch's layer has, as it is now."""
        theirs = {ours: key for key, ours in self.renamed.items()}
        ours = {*self.further, "__module__"}  # see nn's WholeModule
        state = {theirs.get(k, k): v for k, v in vars(new).items() if k not in ours}
        vars(old).clear()
        vars(old).update(state)


def _as_number(p: Any) -> Any:
    """The rate of a module of torch, which takes `Dropout(False)` for one that does not drop."""
    return float(p) if isinstance(p, bool) else p


@dataclass(frozen=True)
class _Attention:
    """Our attention in a module of transformers, which stays the same object."""

    def put_in(self, module: torch.nn.Module) -> None:
        """Make it drop with ours."""
        _transformers.mark(module)

    def hand_back(self, new: torch.nn.Module, old: torch.nn.Module) -> None:
        """Make it drop with torch's again."""
        _transformers.unmark(old)


_PLAIN = {"p": "p", "inplace": "inplace"}
_PATH = {"drop_prob": "p"}
_PATCH = {"prob": "p", "num_prefix_tokens": "num_prefix_tokens", "ordered": "ordered"}
_RECURRENT: dict[str, Any] = {
    "_traced": {},
    "input_dropout": 0.0,
    "recurrent_dropout": 0.0,
    "recurrent_mode": "state",
    "locked": False,
    "zoneout_hidden": 0.0,
}

# The keys are exact classes: the forward of a subclass may differ.
_TORCH: dict[type[torch.nn.Module], _Rule] = {
    torch.nn.Dropout: _Rule(nn.Dropout, _PLAIN),
    torch.nn.Dropout1d: _Rule(nn.Dropout1d, _PLAIN),
    torch.nn.Dropout2d: _Rule(nn.Dropout2d, _PLAIN),
    torch.nn.Dropout3d: _Rule(nn.Dropout3d, _PLAIN),
    # torch ignores their `inplace`, which ours would honour.
    torch.nn.AlphaDropout: _Rule(nn.AlphaDropout, {"p": "p"}),
    torch.nn.FeatureAlphaDropout: _Rule(nn.FeatureAlphaDropout, {"p": "p"}),
}
# These are converted if they drop; their parameters stay the same objects.
_LAYERS: dict[type[torch.nn.Module], _Layer] = {
    torch.nn.MultiheadAttention: _Layer(
        # In ours it is a property, which tells a fast path whether it may bypass the dropout.
        nn.MultiheadAttention,
        {"_rate": None},
        renamed={"_qkv_same_embed_dim": "_same_embed_dim"},
    ),
    torch.nn.LSTM: _Layer(nn.LSTM, {**_RECURRENT, "zoneout_cell": 0.0}),
    torch.nn.GRU: _Layer(nn.GRU, _RECURRENT),
}
# The keys are names, because none of these packages is required.
_NAMED: dict[str, _Rule] = {
    "timm.layers.drop.DropPath": _Rule(
        nn.DropPath, {"drop_prob": "p", "scale_by_keep": "scale_by_keep"}
    ),
    "timm.layers.patch_dropout.PatchDropout": _Rule(
        # Older versions of timm have one class for both.
        nn.TokenDropout,
        {**_PATCH, "return_indices": "return_indices"},
    ),
    "timm.layers.patch_dropout.PatchDropoutWithIndices": _Rule(
        nn.TokenDropout, _PATCH, {"return_indices": True}
    ),
    "torchvision.ops.stochastic_depth.StochasticDepth": _Rule(
        nn.StochasticDepth, {"p": "p", "mode": "mode"}
    ),
    "fastai.text.models.awdlstm.RNNDropout": _Rule(nn.LockedDropout, {"p": "p"}),
    "fastai.text.models.awdlstm.EmbeddingDropout": _Rule(
        nn.EmbeddingDropout, {"emb": "emb", "embed_p": "p"}
    ),
}

# Layers that drop by a function call, with their own rate.
_FUNCTIONAL: tuple[tuple[type[torch.nn.Module], str], ...] = (
    (torch.nn.MultiheadAttention, "attention drops in torch.nn.functional"),
    (torch.nn.RNNBase, "drops between layers, in torch's own recurrence"),
)


@dataclass(frozen=True)
class Change:
    """A module that was replaced.

    Attributes:
        names: Its names in the model, more than one if it is shared.
        old: The original object.
        new: The replacement; the original object if only the function that it calls for
            attention was replaced, as in transformers.
    """

    names: tuple[str, ...]
    old: torch.nn.Module
    new: torch.nn.Module
    _rule: _Rule | _Layer | _Attention = field(repr=False)

    def __str__(self) -> str:
        if self.new is self.old:
            ours = "torchdropout.functional.scaled_dot_product_attention"
            return f"{' = '.join(map(_shown, self.names))}: {_class(self.old)}: attention -> {ours}"
        new = f"{type(self.new).__name__}({self.new.extra_repr()})"
        return f"{' = '.join(map(_shown, self.names))}: {_class(self.old)} -> {new}"


@dataclass(frozen=True)
class Left:
    """A place that was not converted.

    Attributes:
        name: Name of the module.
        kind: Its class.
        why: The reason.
    """

    name: str
    kind: str
    why: str

    def __str__(self) -> str:
        return f"{_shown(self.name)}: {self.kind}: {self.why}"


@dataclass
class Conversion:
    """What `convert` did; `str` gives it as text.

    Attributes:
        model: The model; the replacement itself if the model is a single dropout.
        changes: What was replaced, or would be in a dry run.
        left: What was not replaced, and why.
        already: How many dropouts were already ours.
        state: `"converted"`, `"dry run"` or `"undone"`.
    """

    model: torch.nn.Module
    changes: tuple[Change, ...]
    left: tuple[Left, ...]
    already: int
    state: Literal["converted", "dry run", "undone"]
    _root: torch.nn.Module = field(repr=False)
    _lost: tuple[tuple[Change, str], ...] = ()

    def undo(self) -> torch.nn.Module:
        """Put back the original objects.

        Everything else stays as it is now: parameters, buffers, and the mode, rate and hooks of
        each dropout, which the restored object takes over. A place that has since been given
        another module, for example by a later conversion that must be undone first, is left alone,
        and `str` names it. Undoing again looks at such places only.

        Returns:
            The model, or the original dropout if it was one.

        Example:
            >>> import torch
            >>> model = torch.nn.Sequential(torch.nn.Dropout(0.1))
            >>> before = model[0]
            >>> convert(model).undo()[0] is before
            True
        """
        if self.state == "dry run":
            return self._root
        places = [(change, name) for change in self.changes for name in change.names]
        waiting = self._lost if self.state == "undone" else tuple(places)
        lost, back = [], {id(change) for change, name in places if (change, name) not in waiting}
        for change, name in waiting:
            parent, key = _slot(self._root, name)
            there = None if parent is None else _torch.children(parent).get(key)
            # It may already be there, by the other name of a shared parent.
            if name and there is not change.new and there is not change.old:
                lost.append((change, name))
                continue
            if id(change) not in back:
                change._rule.hand_back(change.new, change.old)
            if name and parent is not None:
                _torch.children(parent)[key] = change.old
        self._lost = tuple(lost)
        self.model, self.state = self._root, "undone"
        return self._root

    def __str__(self) -> str:
        """One line for each change, and one for each place that was left."""
        lines = [self._headline()]
        lines += [f"  {change}" for change in self.changes]
        if self._lost:
            lines.append("not put back, since another module is in its place now:")
            lines += [f"  {name}" for _, name in self._lost]
        if self.left:
            lines.append(f"not converted: {len(self.left)}")
            lines += [f"  {left}" for left in self.left]
        return "\n".join(lines)

    def _headline(self) -> str:
        count, name = _count(len(self.changes)), type(self._root).__name__
        also = f"; {self.already} already from torchdropout" if self.already else ""
        if not self.changes:
            return f"{name}: nothing to convert{also}"
        if self.state == "undone":
            lost = {id(change) for change, _ in self._lost}
            count = _count(sum(id(change) not in lost for change in self.changes))
            return (
                f"{name}: {count} put back; parameters, buffers, modes, rates and hooks are as "
                "they were when it was undone"
            )
        line = f"{name}: {count} {'would be ' * (self.state == 'dry run')}converted{also}"
        if self.model is self._root or self.state == "dry run":
            return line
        return f"{line}; the object itself is unchanged: use `conversion.model` in place of it"


def convert(
    model: torch.nn.Module, rules: Rules | None = None, *, dry_run: bool = False
) -> Conversion:
    """Replace, inside a model, the dropouts of torch, timm, torchvision and others with ours.

    Converts (exact class only, as a subclass may compute something else) `torch.nn`'s six dropouts,
    timm's `DropPath` and `PatchDropout`, torchvision's `StochasticDepth`, transformers' classes
    whose names end in `DropPath`, and fastai's `RNNDropout` and `EmbeddingDropout`; also
    `nn.MultiheadAttention`, `nn.LSTM` and `nn.GRU` if they drop, which keep the same parameters;
    and, in models of transformers, attention by the name "sdpa", their default.
    A replacement has the mode, the hooks and the other attributes of the original; a module used
    in two places stays one. No parameter is touched: `state_dict` and the output in eval are the
    same as before. In training the masks differ, but have the same distribution.

    Dropout outside such modules, such as a call of `F.dropout`, cannot be replaced.
    `Conversion.left` lists the modules that are known to hold or to read a rate for such a call;
    `torchdropout audit-model` finds where a model drops by running it.

    Args:
        model: Changed in place.
        rules: Maps a class to a function from a module of that class to its replacement, or to
            None, which leaves that class alone. They take precedence over the rules above.
        dry_run: Only report what would be done.

    Returns:
        What was done, and how to undo it.

    Raises:
        ArgumentTypeError: `model` is not a module; a rule is not a function or None, or returns
            something other than a module without parameters.
        ArgumentValueError: A part of the model is compiled, scripted or wrapped by FSDP: convert
            before that; or a dropout has a rate outside [0, 1]. Nothing is changed.

    Example:
        >>> import torch, torchdropout as td
        >>> from torchdropout.models.convert import convert
        >>> model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Dropout(0.1))
        >>> conversion = convert(model)
        >>> print(conversion)
        Sequential: 1 dropout converted
          1: torch.nn.modules.dropout.Dropout -> Dropout(p=0.1, inplace=False)
        >>> isinstance(model[1], td.nn.Dropout)
        True
    """
    if not isinstance(model, torch.nn.Module):
        wrong_type("model", "a torch.nn.Module", model)
    check_bool("dry_run", dry_run)
    rules = _check_rules(rules)
    for name, module in model.named_modules():
        _refuse(name, module)

    names: dict[torch.nn.Module, list[str]] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        names.setdefault(module, []).append(name)
    changes, left, already = [], [], 0
    for module, known in names.items():
        already += _is_ours(module) or _transformers.is_marked(module)
        rule = _rule_for(module, rules)
        why = _obstacle(module, rule) if rule else _remark(module, rules)
        if why:
            left.append(Left(known[0], _class(module), why))
        elif isinstance(rule, _Attention):
            changes.append(Change(tuple(known), module, module, rule))
        elif rule:
            new = _replacement(known[0], module, rule)
            own = rule if isinstance(rule, (_Rule, _Layer)) else _Rule(type(new), {})
            changes.append(Change(tuple(known), module, new, own))
    replaced = {change.old for change in changes if change.new is not change.old}
    left += [left for module, known in names.items() for left in _held(known[0], module, replaced)]

    conversion = Conversion(
        model, tuple(changes), tuple(left), already, "dry run" if dry_run else "converted", model
    )
    if not dry_run:
        _swap(conversion)
    return conversion


def _swap(conversion: Conversion) -> None:
    """Insert the replacements. This cannot fail: each place was found before, in a plain dict."""
    for change in conversion.changes:
        if isinstance(change._rule, _Attention):
            change._rule.put_in(change.new)
            continue
        for name in change.names:
            parent, key = _slot(conversion._root, name)
            if not name:
                conversion.model = change.new
            elif parent is not None:
                _torch.children(parent)[key] = change.new


def _slot(root: torch.nn.Module, name: str) -> tuple[torch.nn.Module | None, str]:
    """The module that a dotted name lies in, and the last part of the name."""
    *path, key = name.split(".")
    parent: torch.nn.Module | None = root
    for part in path:
        parent = _torch.children(parent).get(part) if parent is not None else None
    return parent, key


def _check_rules(rules: Any) -> Rules:
    if rules is None:
        return {}
    if not isinstance(rules, Mapping):
        wrong_type("rules", "a dict from a module class to a function or None", rules)
    for kind, rule in rules.items():
        if not (isinstance(kind, type) and issubclass(kind, torch.nn.Module)):
            wrong_type("rules", "a dict whose keys are module classes", kind)
        if not (rule is None or callable(rule)):
            wrong_type("rules", "a dict whose values are functions or None", rule)
    return rules


def _refuse(name: str, module: torch.nn.Module) -> None:
    """Refuse modules that run other code than their classes, or that hold modules differently."""
    kinds = {kind.__name__ for kind in type(module).__mro__}
    if isinstance(module, torch.jit.ScriptModule):
        state, when = "scripted", "scripting"
    elif "OptimizedModule" in kinds or _torch.is_compiled(module):
        state, when = "compiled", "compiling"
    elif kinds & {"FullyShardedDataParallel", "FSDPModule"} or _torch.is_inside_fsdp(module):
        state, when = "wrapped by FSDP", "wrapping"
    else:
        return
    raise ArgumentValueError(
        f"Expected `model` to be converted before {when} it, got {_shown(name)} "
        f"({type(module).__name__}), which is {state}."
    )


def _rule_for(module: torch.nn.Module, rules: Rules) -> Builder | _Attention | None:
    kind = type(module)
    if kind in rules:
        return rules[kind]
    known: Builder | None = _TORCH.get(kind) or _NAMED.get(_class(module))
    if kind in _LAYERS and _drops_between(module):
        known = _LAYERS[kind]
    if known is None and _is_transformers_path(module):
        return _Rule(nn.DropPath, _PATH)
    if known is None and _transformers.implementation(module) == _transformers.SUPPORTED:
        held = any(isinstance(child, _torch.DropoutBase) for child in module.children())
        may_drop = held or _rates(module)
        return _Attention() if may_drop and not _transformers.is_marked(module) else None
    return known


def _drops_between(layer: Any) -> bool:
    """Whether a layer drops by a function: attention, or a recurrence between its layers."""
    return bool(layer.dropout != 0.0 and getattr(layer, "num_layers", None) != 1)


def _is_transformers_path(module: torch.nn.Module) -> bool:
    kind = type(module)
    return (
        kind.__module__.startswith("transformers.models.")
        and kind.__name__.endswith("DropPath")
        and "drop_prob" in vars(module)
    )


def _is_ours(module: torch.nn.Module) -> bool:
    return type(module).__module__.startswith(nn.__name__ + ".")


def _obstacle(module: torch.nn.Module, rule: Builder | _Attention) -> str:
    """Why a module is left although there is a rule for its class."""
    if "forward" in vars(module):
        return "its forward was replaced on the object"
    if isinstance(rule, (_Layer, _Attention)):
        return ""
    taken = _taken(rule)
    if any(getattr(module, name).keys() - taken for name in _torch.STATE):
        return "it has parameters, buffers or modules"
    return ""


def _taken(rule: Builder) -> set[str]:
    """The attributes of a module that its replacement is made with."""
    return set(rule.arguments) if isinstance(rule, _Rule) else set()


def _remark(module: torch.nn.Module, rules: Rules) -> str:
    """Why a module without a rule may still drop; empty if nothing suggests that it does."""
    kind: Any = type(module)
    if kind in rules:
        return "left, as the rules say"
    if _is_ours(module) or _transformers.is_marked(module):
        return ""
    for layer, why in _FUNCTIONAL:
        if isinstance(module, layer):
            return f"{why} (dropout={module.dropout})" if _drops_between(module) else ""
    rates = _rates(module)
    reads = [
        f"{name}.p"
        for name, child in module.named_children()
        if name in _read_by(kind) and getattr(child, "p", 0.0) != 0.0
    ]
    attention = _transformers.implementation(module)
    if attention is not None and (rates or reads):
        return (
            f"attention drops in transformers, by its {attention!r} function, at "
            f"{', '.join([*rates, *reads])}; only 'sdpa' is converted (set_attn_implementation)"
        )
    # timm calls one of two implementations of attention.
    if reads and getattr(module, "fused_attn", True):
        return f"reads {', '.join(reads)}, perhaps for scaled_dot_product_attention"
    is_named = "drop" in kind.__name__.lower() or "StochasticDepth" in kind.__name__
    if not _torch.children(module) and (is_named or isinstance(module, _torch.DropoutBase)):
        return "no rule for this class; one can be given by `rules`"
    read = [rate for rate in rates if rate.partition("=")[0] in _used_by(kind)]
    return f"holds {', '.join(read)}, perhaps for a functional call" if read else ""


def _rates(module: torch.nn.Module) -> list[str]:
    """Attributes that are numbers, and named as drop probabilities."""
    return [
        f"{name}={value}"
        for name, value in vars(module).items()
        if "drop" in name and isinstance(value, float) and 0.0 < value <= 1.0
    ]


@functools.lru_cache(maxsize=256)
def _read_by(kind: Any) -> frozenset[str]:
    """Names of the modules whose p the code of a class reads: `self.name.p`."""
    found = set()
    for function in _transformers.methods(kind):
        steps = [s for s in dis.get_instructions(function) if s.opname != "EXTENDED_ARG"]
        for one, other in pairwise(steps):
            if one.opname == other.opname == "LOAD_ATTR" and other.argval == "p":
                found.add(one.argval)
    return frozenset(found)


@functools.lru_cache(maxsize=256)
def _used_by(kind: Any) -> frozenset[str]:
    """The names of attributes that the code of a class uses once it is built."""
    waiting = [f.__code__ for f in _transformers.methods(kind) if f.__name__ != "__init__"]
    found: set[str] = set()
    for code in waiting:  # which grows
        found.update(code.co_names, (each for each in code.co_consts if isinstance(each, str)))
        waiting += [each for each in code.co_consts if isinstance(each, CodeType)]
    return frozenset(found)


def _held(name: str, module: torch.nn.Module, replaced: set[torch.nn.Module]) -> Iterator[Left]:
    """Attributes that hold a replaced module outside the tree of modules."""
    for attribute, value in vars(module).items():
        if attribute in _torch.STATE or attribute in _torch.HOOKS:
            continue
        if isinstance(value, dict):
            inside = list(value.values())
        else:
            inside = list(value) if isinstance(value, (list, tuple)) else [value]
        if any(isinstance(one, torch.nn.Module) and one in replaced for one in inside):
            why = f"attribute {attribute} holds a replaced dropout outside the tree of modules"
            yield Left(name, _class(module), f"{why}, and keeps it")


def _replacement(name: str, old: torch.nn.Module, rule: Builder) -> torch.nn.Module:
    try:
        new = rule(old)
    except TorchDropoutError as error:
        raise type(error)(f"In {_shown(name)}: {error}") from error
    if not isinstance(new, torch.nn.Module):
        wrong_type("rules", f"functions that return a module, as for {_shown(name)}", new)
    if not _same(new.state_dict(keep_vars=True), old.state_dict(keep_vars=True)):
        raise ArgumentTypeError(
            "Expected `rules` to return modules without parameters and buffers, which would change "
            f"the state_dict, got {_class(new)} for {_shown(name)}."
        )
    if new is old:
        wrong_value("rules", f"functions that return another module, as for {_shown(name)}", new)
    new.training = old.training
    taken = _taken(rule)
    for key, value in vars(old).items():
        # Share the dict itself: a handle removes its hook from there.
        if key in _torch.HOOKS or not (key in vars(new) or key in taken or hasattr(type(new), key)):
            vars(new)[key] = value
    return new


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether both hold the same objects under the same names."""
    return one.keys() == other.keys() and all(one[key] is other[key] for key in one)


def _class(module: torch.nn.Module) -> str:
    kind = type(module)
    return f"{kind.__module__}.{kind.__qualname__}"


def _shown(name: str) -> str:
    return name or "(the model)"


def _count(n: int) -> str:
    return f"{n} dropout" if n == 1 else f"{n} dropouts"
