"""Where the attributes of the Modules of a file are read."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from ..code import RATES, Class, Code, Pattern, words
from ..code.nodes import is_super, of_self, said_of
from ._bases import bases_of_project, has_bases_of_torch, has_plain_bases
from ._rule import kept

# The last words of names of what holds options, and no layers.
_SETTINGS = frozenset(
    ("config", "configs", "cfg", "conf", "args", "arg", "opt", "opts", "options", "hparams")
    + ("hparam", "hp", "params", "flags", "settings", "configuration", "setting", "hyperparams")
    + ("hyperparameters", "param", "parser", "namespace", "option", "kwargs")
)
_ALL = Pattern("", False)
_CHILDREN = frozenset(("children", "named_children", "_modules", "__dict__"))
# Functions that are given a Module and use none of its children.
_LOOKING = frozenset(("super", "isinstance", "type", "id", "len", "print", "repr", "hasattr"))
_BY_NAME = frozenset(("getattr", "setattr", "delattr"))
# Words of a function that sets the weights of a Module.
_SETTING = frozenset(("init", "initialize", "weights", "freeze", "count"))
_SPEAKING = frozenset(("extra_repr", "__repr__", "__str__"))
# Methods of bases that apply no child.
_HARMLESS = frozenset(
    ("__init__", "__setattr__", "__repr__", "extra_repr", "training", "train", "eval", "apply")
    + ("to", "cuda", "cpu", "parameters", "named_parameters", "buffers", "state_dict", "half")
    + ("load_state_dict", "register_buffer", "register_parameter", "register_module", "add_module")
    + ("requires_grad_", "zero_grad", "init_weights", "_init_weights", "post_init", "config")
    + ("reset_parameters", "save_hyperparameters", "log", "log_dict", "modules", "named_modules")
)


class Uses:
    """Collects where the attributes of a file are read.

    Attributes:
        by_self: The attributes of `self` that the methods of each class read; those of None are in
            functions outside of classes, such as a decorator's that wraps a method.
        looked_at: Those that are only tested, or are the rate of another dropout.
        elsewhere: The attributes of other objects.
    """

    def __init__(self, code: Code) -> None:
        self._calls: dict[ast.AST, str | None] = {c.node: c.name for c in code.calls}
        self.by_self: dict[Class | None, set[str]] = {}
        self.looked_at: dict[Class | None, set[str]] = {}
        self.elsewhere: set[str] = set()
        self._patterns: dict[Class | None, list[Pattern]] = {}  # `getattr(self, f"fc{i}")`
        self._of_base: dict[Class | None, set[str]] = {}  # methods that are called
        self._open: dict[Class, set[str]] = {}  # those that the class does not define
        for node in code.inside(code.tree, ast.Attribute):
            self._attribute(code, node)
        for name in code.inside(code.tree, ast.Name):
            if name.id == "self":
                self._self(code, name)

    def _attribute(self, code: Code, node: ast.Attribute) -> None:
        cls, parent = code.class_of(node), next(code.parents(node))
        is_own = bool(of_self(node))
        is_called = isinstance(parent, ast.Call) and parent.func is node
        if isinstance(node.ctx, ast.Store):
            return
        if is_own or is_super(node.value):
            if node.attr in _CHILDREN:
                self._patterns.setdefault(cls, []).append(_ALL)
            elif is_called and node.attr not in _HARMLESS:
                self._of_base.setdefault(cls, set()).add(node.attr if is_own else "")
        if is_own:
            function = code.function_of(node)
            if function is None or function.name not in _SPEAKING or is_called:
                is_used = _is_used(node, parent) and not self._is_given(code, node)
                found = self.by_self if is_used or is_called else self.looked_at
                found.setdefault(cls, set()).add(node.attr)
        elif code.name(node) is None and (is_called or not self._is_rate(code, node)):
            self.elsewhere.add(node.attr)

    def _is_given(self, code: Code, node: ast.Attribute) -> bool:
        """Whether a node is an argument of a dropout other than its input: `nn.Dropout(x.p)`."""
        return self._calls.get(_given_to(code, node)) in RATES

    def _is_rate(self, code: Code, node: ast.Attribute) -> bool:
        """Whether a node is an option, `config.dropout`, or a rate."""
        parent = next(code.parents(node))
        is_drop = isinstance(parent, ast.keyword) and "drop" in (parent.arg or "")
        return is_drop or self._is_given(code, node) or _is_settings(node.value)

    def _self(self, code: Code, node: ast.Name) -> None:
        """Records what is given the Module, or reads its attributes by their names."""
        call = _given_to(code, node)
        if not isinstance(call, ast.Call) or call.func is node:
            return
        said, cls = said_of(call.func), code.class_of(node)
        if said == "getattr":
            pattern = code.pattern(call.args[1])
            self._patterns.setdefault(cls, []).append(pattern or _ALL)
        elif said not in _LOOKING | _BY_NAME and _SETTING.isdisjoint(words(said)):
            self._patterns.setdefault(cls, []).append(_ALL)

    def applies(self, family: Sequence[Class], name: str) -> bool:
        """Whether an attribute is read other than to test it, or may be.

        Args:
            family: A class, with its bases and subclasses.
            name: The attribute.
        """
        whole = Pattern(name, True)
        return name in self.elsewhere or any(
            name in self.by_self.get(one, ())
            or any(each.matches(whole) for each in self._patterns.get(one, ()))
            for one in (None, *family)
        )

    def reads(self, family: Sequence[Class], name: str) -> bool:
        """Whether an attribute is read, or may be."""
        is_looked_at = any(name in self.looked_at.get(one, ()) for one in family)
        return is_looked_at or self.applies(family, name)

    def runs_base(self, cls: Class) -> bool:
        """Whether a class runs a method of a base in another file: `self.encode(x)`, `super()`."""
        for one in cls.lineage():
            if one not in self._open:  # each class is asked once for what it defines itself
                self._open[one] = {
                    name
                    for name in self._of_base.get(one, ())
                    if one.method(name) is None and not one.assigned(name)
                }
        return any(
            cls.method(name) is None and not cls.assigned(name)
            for one in cls.lineage()
            for name in self._open[one]
        )


@kept
def uses(code: Code) -> Uses:
    """Returns where the attributes of a file are read.

    Args:
        code: The file.
    """
    return Uses(code)


def is_used_elsewhere(code: Code, family: Sequence[Class], name: str) -> bool:
    """Whether a base or a decorator from another file reads an attribute, or may.

    Args:
        code: The file.
        family: A class, with its bases and subclasses of the file.
        name: The attribute.
    """
    cls, *_ = family
    bases = bases_of_project(code, cls)
    is_unknown = bases is None and not has_plain_bases(code, cls)
    if is_unknown and (has_bases_of_torch(code, cls) or uses(code).runs_base(cls)):
        return True
    return any(name in uses(file).by_self.get(base, ()) for file, base in bases or ()) or any(
        name in uses(file).by_self.get(None, ()) for file in _decorating(code, tuple(family))
    )


@kept
def _decorating(code: Code, family: tuple[Class, ...]) -> Sequence[Code]:
    """Returns the files of the functions that decorate methods, which are given their `self`."""
    methods = [method.node for one in family for method in one.methods.values()]
    names = {code.name(each) or "" for node in methods for each in node.decorator_list} - {""}
    found = [code.project.find(code, name) for name in names] if code.project is not None else []
    return [each.code for each in found if each is not None]


def _given_to(code: Code, node: ast.AST) -> ast.AST:
    """Returns what holds a node: for an argument, its call."""
    parents = code.parents(node)
    parent = next(parents)
    return next(parents) if isinstance(parent, ast.keyword) else parent


def _is_used(node: ast.Attribute, parent: ast.AST) -> bool:
    """Whether a use of an attribute is more than a test of whether it is there, or of its rate."""
    if isinstance(parent, ast.Compare):
        return not isinstance(parent.ops[0], (ast.Is, ast.IsNot))
    if isinstance(parent, (ast.If, ast.IfExp)):
        return parent.test is not node
    if isinstance(parent, ast.Attribute):
        return not isinstance(parent.ctx, ast.Store)  # self.drop.p = 0.1
    return not (isinstance(parent, ast.UnaryOp) and isinstance(parent.op, ast.Not))


def _is_settings(expr: ast.expr) -> bool:
    """Whether an expression is a configuration, or a part of one: `cfg.model`."""
    while True:
        if not _SETTINGS.isdisjoint(words(said_of(expr))[-1:]):
            return True
        if not isinstance(expr, ast.Attribute):
            return False
        expr = expr.value
