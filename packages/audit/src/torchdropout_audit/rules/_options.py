"""Options of a program: objects that hold them, and the defaults that the file gives them."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence

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
    """Returns the default that a file gives an option.

    It is that of `add_argument("--name", default=1)`, of a field of a dataclass, or what a class
    for the configuration, such as `Config`, holds or stores.

    Args:
        code: The file.
        name: The option.

    Returns:
        A literal; UNKNOWN if there is none, or more than one.
    """
    return _defaults(code).get(name, UNKNOWN)


@kept
def _defaults(code: Code) -> Mapping[str, object]:
    found: dict[str, object] = {}

    def add(name: str, value: ast.expr | None) -> None:
        known = UNKNOWN if value is None else code.value(value)
        if isinstance(value, ast.Name) and known is UNKNOWN:  # self.layers = layers
            default = default_of(code, value)
            known = UNKNOWN if default is None else default
        found[name] = known if found.get(name, known) == known else UNKNOWN

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
                    add(flag.lstrip("-").replace("-", "_"), given.get("default"))
    for cls in code.classes:
        is_settings_class = words(cls.name)[-1:] in SETTINGS
        if cls.is_module or not (cls.node.decorator_list or is_settings_class):
            continue
        if is_settings_class:
            for name, values in cls.attributes.items():
                for one in values:
                    add(name, one.value)
        for each in cls.node.body:
            if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
                value = each.value
                if isinstance(value, ast.Call):
                    func = value.func
                    said = func.id if isinstance(func, ast.Name) else getattr(func, "attr", "")
                    given = {k.arg: k.value for k in value.keywords}
                    value = given.get("default") if said in _FIELDS else value
                add(each.target.id, value)
    return found
