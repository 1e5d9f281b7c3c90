"""Options of a program: objects that hold them, and the defaults that the file gives them."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence

from ..code import UNKNOWN, Code, words
from ._dropouts import default_of
from ._rule import kept

SETTINGS = frozenset(
    (each,)
    for each in ("config", "configs", "cfg", "conf", "args", "arg", "opt", "opts", "options")
    + ("hparams", "hparam", "hp", "params", "flags", "settings", "configuration", "setting")
    + ("hyperparams", "hyperparameters", "param", "parser", "namespace", "option", "kwargs")
)
"""The last words of names of what holds options, and no layers."""

_FIELDS = frozenset(("field", "Field"))


_ADDS = frozenset(("add", "add_arg"))  # of configargparse


def _is_flag(values: Sequence[object]) -> bool:
    return bool(values) and str(values[0]).startswith("-")


def is_settings(expr: ast.expr) -> bool:
    """Whether an expression is a configuration, or a part of one: `cfg.model`."""
    while True:
        name = expr.id if isinstance(expr, ast.Name) else getattr(expr, "attr", "")
        if words(name)[-1:] in SETTINGS:
            return True
        if not isinstance(expr, ast.Attribute):
            return False
        expr = expr.value


def option_default(code: Code, name: str) -> object:
    """Returns the one value that a file gives an option, as `option_values` finds it.

    Args:
        code: The file.
        name: The option.

    Returns:
        A literal; UNKNOWN if there is none, or more than one.
    """
    known = option_values(code, name)
    return next(iter(known)) if len(known) == 1 else UNKNOWN


def option_values(code: Code, name: str) -> frozenset[object]:
    """Returns the values that a file gives an option.

    They are the default of `add_argument("--name", default=1)`, that of a field of a dataclass,
    what a class for the configuration, such as `Config`, holds or stores, and what is stored in
    one: `config = {"name": 1}`, `cfg = Settings(name=1)`, `args.name = 1`.

    Args:
        code: The file.
        name: The option.

    Returns:
        Literals; UNKNOWN stands for anything else. There are none if the file does not name it.
    """
    return frozenset(_values(code).get(name, ()))


@kept
def _values(code: Code) -> Mapping[str, set[object]]:
    found: dict[str, set[object]] = {}

    def add(name: str, value: ast.expr | None) -> None:
        known = UNKNOWN if value is None else code.value(value)
        if isinstance(value, ast.Name) and known is UNKNOWN:  # self.layers = layers
            default = default_of(code, value)
            known = UNKNOWN if default is None else default
        found.setdefault(name, set()).add(known)

    for name, value in (*_added(code), *_of_classes(code), *_stored(code)):
        add(name, value)
    return found


def _added(code: Code) -> Iterator[tuple[str, ast.expr | None]]:
    """Yields the options of command lines, each with its default."""
    for call in code.calls:
        func, node = call.node.func, call.node
        flags = [each.value for each in node.args if isinstance(each, ast.Constant)]
        added = func.attr if isinstance(func, ast.Attribute) else ""
        if added == "add_argument" or (added in _ADDS and _is_flag(flags)):
            given = {each.arg: each.value for each in node.keywords}
            named = given.get("dest")
            if isinstance(named, ast.Constant):
                flags = [named.value]
            for flag in flags:
                if isinstance(flag, str):
                    yield flag.lstrip("-").replace("-", "_"), given.get("default")


def _of_classes(code: Code) -> Iterator[tuple[str, ast.expr | None]]:
    """Yields the fields of dataclasses, and what classes for a configuration hold."""
    for cls in code.classes:
        is_settings_class = words(cls.name)[-1:] in SETTINGS
        if cls.is_module or not (cls.node.decorator_list or is_settings_class):
            continue
        if is_settings_class:
            for name, values in cls.attributes.items():
                for one in values:
                    yield name, one.value
        for each in cls.node.body:
            if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
                value = each.value
                if isinstance(value, ast.Call):
                    func = value.func
                    said = func.id if isinstance(func, ast.Name) else getattr(func, "attr", "")
                    given = {k.arg: k.value for k in value.keywords}
                    value = given.get("default") if said in _FIELDS else value
                yield each.target.id, value


def _stored(code: Code) -> Iterator[tuple[str, ast.expr | None]]:
    """Yields what is stored in a configuration, apart from options that are passed on."""
    for statement in code.inside(code.tree, ast.Assign):
        if len(statement.targets) != 1:
            continue
        target, value = statement.targets[0], statement.value
        if isinstance(target, (ast.Attribute, ast.Subscript)) and is_settings(target.value):
            pairs = [(option_of(target), value)]
        else:
            pairs = list(_entries(value)) if is_settings(target) else []
        for name, given in pairs:
            if name and option_of(given) != name:
                yield name, given


def _entries(value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    """Yields what dicts and calls hold by a name that is written down, at every level."""
    waiting: list[ast.expr | None] = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, ast.Dict):
            named = [
                (getattr(key, "value", None), each)
                for key, each in zip(one.keys, one.values, strict=True)
            ]
        elif isinstance(one, ast.Call):
            named = [(each.arg, each.value) for each in one.keywords]
            waiting += one.args
        else:
            continue
        waiting += [each for _, each in named]
        yield from ((name, each) for name, each in named if isinstance(name, str))


def option_of(expr: ast.expr) -> str:
    """Returns the option that an expression names, and "" for any other.

    Example:
        >>> [option_of(ast.parse(each, mode="eval").body)
        ...  for each in ("args.layers", "args['layers']", "args.get('layers', 1)", "self.layers")]
        ['layers', 'layers', 'layers', '']
    """
    if isinstance(expr, ast.Attribute):
        return expr.attr if is_settings(expr.value) else ""
    holder: ast.expr | None = None
    key: ast.expr | None = None
    if isinstance(expr, ast.Subscript):
        holder, key = expr.value, expr.slice
    elif isinstance(expr, ast.Call) and isinstance(expr.func, ast.Attribute) and expr.args:
        holder, key = (expr.func.value, expr.args[0]) if expr.func.attr == "get" else (None, None)
    is_option = holder is not None and is_settings(holder) and isinstance(key, ast.Constant)
    return key.value if is_option and isinstance(key.value, str) else ""  # type: ignore
