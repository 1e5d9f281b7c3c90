"""TD114: a dropout that a Module builds and nothing applies."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import islice

from ..code import RATES, Class, Code, Function, words
from ._bases import has_bases_of_torch, has_plain_bases, is_stub
from ._dropouts import BUILDERS, MOVES, is_local_dropout, names_dropout
from ._excuses import is_kept_on_purpose
from ._rule import Hit, kept, rule

BROKEN = """\
from torch import nn


class Head(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.fc = nn.Linear(64, 10)
        self.drop = nn.Dropout(p)

    def forward(self, x):
        return self.fc(x)
"""
FIXED = BROKEN.replace("self.fc(x)", "self.fc(self.drop(x))")
_WORD = re.compile(r"\w+")
_NAMING = frozenset(("name", "n", "key", "k", "attr", "attribute", "child", "module"))
_NAME = re.compile(r"[\w.]+")
# What is given a text for people, or the name of an option.
_SAYING = frozenset(
    ("print", "debug", "info", "warning", "warn", "error", "log", "add_argument", "get", "pop")
    + ("format", "write", "join", "add_scalar", "ValueError", "option")
)
# What is given a Module and applies no child.
_KEEPING = frozenset(
    ("copy.deepcopy", "copy.copy", "torch.save", "torch.nn.DataParallel", "logging.info")
    + ("torch.nn.Module.__init__", "warnings.warn", "weakref.ref")
)
_BY_NAME = frozenset(("getattr", "setattr", "vars", "delattr", "attrgetter"))
_CHILDREN = frozenset(
    ("children", "named_children", "modules", "named_modules", "_modules", "__dict__")
    + ("get_submodule", "__getattr__", "__getattribute__", "attrgetter")
)
_LOOKING = frozenset(
    ("super", "isinstance", "type", "id", "len", "print", "repr", "str", "hasattr")
)
_MOST_AROUND = 4  # nodes between a rate and its call: a keyword, a subscript, a `get`
_ENOUGH_BELOW = 2  # subclasses in this file that show how an abstract class is used
_MOST_OPEN = 100  # methods of bases that a class calls
_APPLYING = _CHILDREN | {"forward", "__call__"}
# Methods of bases that apply no child.
_HARMLESS = frozenset(
    ("__init__", "__setattr__", "__repr__", "extra_repr", "training", "train", "eval", "apply")
    + ("to", "cuda", "cpu", "parameters", "named_parameters", "buffers", "state_dict", "half")
    + ("load_state_dict", "register_buffer", "register_parameter", "register_module", "add_module")
    + ("requires_grad_", "zero_grad", "init_weights", "_init_weights", "post_init", "config")
    + ("reset_parameters", "save_hyperparameters", "log", "log_dict", "device", "dtype", "hparams")
)
# Their dropouts are in BUILDERS, or they are of other frameworks.
_OTHER_ROOTS = frozenset(
    ("torch", "torchdropout", "keras", "tensorflow", "tf_keras", "paddle", "mxnet", "chainer")
    + ("mindspore", "mlx", "flax", "jax", "haiku", "jittor", "oneflow", "tinygrad", "equinox")
)
# What holds the options of a program, and no layers.
_SETTINGS = frozenset(
    (each,)
    for each in ("config", "configs", "cfg", "conf", "args", "arg", "opt", "opts", "options")
    + ("hparams", "hparam", "hp", "params", "flags", "settings", "configuration", "setting")
    + ("hyperparams", "hyperparameters", "param", "parser", "namespace", "option")
)
_SETTING = frozenset(("init", "initialize", "weights", "freeze", "unfreeze"))


@rule(
    "TD114",
    group="modules",
    severity="advice",
    broken=BROKEN,
    fixed=FIXED,
    evidence="Informer2020#97, tirex#19; timm 1.0.31 models/coat.py:121, dgl 2.1.0 "
    "nn/pytorch/glob.py:701, neuralforecast models/informer.py:90",
)
def dropout_never_used(code: Code) -> Iterator[Hit]:
    """A dropout that a Module builds is applied.

    The rule looks for an attribute of a Module with a `forward` that is assigned a dropout, or a
    `ModuleList` of dropouts, and read nowhere in the file: not by the class, its bases and its
    subclasses, not on another object, not by name in a string. A class that loops over its children
    to apply them is skipped, and so is one that runs a method of a base in another file,
    `self.encode(x)` or `super().forward(x)`, which may use any attribute; a comment that says that
    it is unused or kept for compatibility, there or on the line above, is accepted.

    The rate is an argument, is printed with the model and tuned, and has no effect. Either the line
    that applies the dropout is missing, or the dropout is left over.

    To fix: apply it in `forward`, or remove it, together with the parameter for its rate.
    """
    made = {cls: list(_made(code, cls)) for cls in code.classes if cls.is_module}
    if not any(made.values()):
        return
    uses = _Uses(code)
    below: dict[Class, list[Class]] = {}
    for one in code.classes:
        for base in one.lineage()[1:]:
            below.setdefault(base, []).append(one)
    for cls, dropouts in made.items():
        if not dropouts:
            continue
        if not has_plain_bases(code, cls) and (
            has_bases_of_torch(code, cls) or uses.runs_base(cls)
        ):
            continue
        family = [*cls.lineage(), *below.get(cls, ())]
        forwards = [one.methods["forward"] for one in family if "forward" in one.methods]
        bodies = [each.node.body for each in forwards]
        real = [b for b in bodies if not is_stub(b) and not isinstance(b[-1], ast.Raise)]
        # An abstract class may have subclasses in other files, too, unless it has several here.
        if not real or (len(real) < len(bodies) and len(real) < _ENOUGH_BELOW):
            continue
        for name, node in dropouts:
            if uses.has(family, name) or is_kept_on_purpose(code, node):
                continue
            yield Hit(
                node,
                f"{name} is never used: the Module builds a dropout that nothing applies",
                "apply it in forward, or remove it",
            )


def _made(code: Code, cls: Class) -> Iterator[tuple[str, ast.expr]]:
    """Returns the attributes that are assigned a dropout, and the calls that build it."""
    for name, given in cls.attributes.items():
        for each in given:
            if each.function is None or each.value is None:
                continue
            if isinstance(each.node, ast.Assign) and len(each.node.targets) > 1:
                continue  # the other name may be the one that is used
            value = each.value
            sides = [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]
            if any(_is_dropout(code, side) for side in sides):
                yield name, value
                break


def _is_dropout(code: Code, expr: ast.expr) -> bool:
    """Whether an expression builds a dropout: torch's, one of this file, or of another library."""
    while (
        isinstance(expr, ast.Call)
        and isinstance(expr.func, ast.Attribute)
        and expr.func.attr in MOVES
    ):
        expr = expr.func.value  # nn.Dropout(p).to(device)
    if not isinstance(expr, ast.Call):
        return False
    name = code.name(expr.func) or ""
    if name == "torch.nn.ModuleList" and len(expr.args) == 1:
        listed = expr.args[0]
        if isinstance(listed, ast.ListComp):
            return _is_dropout(code, listed.elt)
        elements = listed.elts if isinstance(listed, (ast.List, ast.Tuple)) else []
        return bool(elements) and all(_is_dropout(code, each) for each in elements)
    last = name.rpartition(".")[2]
    is_class = last[:1].isupper() and name.partition(".")[0] not in _OTHER_ROOTS
    return name in BUILDERS or (is_class and names_dropout(last)) or is_local_dropout(code, expr)


class _Uses:
    """Collects where the attributes of a file are read."""

    def __init__(self, code: Code) -> None:
        self._calls = {call.node: call.name for call in code.calls}
        self.by_self: dict[Class | None, set[str]] = {}
        self.elsewhere: set[str] = set()
        self.open: set[Class | None] = set()
        self._called: dict[Class | None, set[str]] = {}
        self._open_calls: dict[Class, set[str]] = {}  # of what the class does not define itself
        self._of_base: set[Class | None] = set()
        by_name = any(map(_reads_by_name, ast.walk(code.tree)))
        for node in ast.walk(code.tree):
            if isinstance(node, ast.Attribute):
                self._attribute(code, node)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                if not self._is_rate(code, node) and not _is_said(code, node, by_name):
                    self.elsewhere.update(_WORD.findall(node.value))
            elif isinstance(node, ast.Name):
                self._name(code, node)

    def _attribute(self, code: Code, node: ast.Attribute) -> None:
        if node.attr in _CHILDREN and not _only_looks(code, node) and not _loads(code, node):
            self.open.add(code.class_of(node))
        if isinstance(node.ctx, ast.Store):
            return
        if isinstance(node.value, ast.Name) and node.value.id == "self":
            self.by_self.setdefault(code.class_of(node), set()).add(node.attr)
            if isinstance(next(code.parents(node)), (ast.Call, ast.keyword)):
                self._called.setdefault(code.class_of(node), set()).add(node.attr)
        elif not self._is_rate(code, node) and not self._is_setting(code, node):
            self.elsewhere.add(node.attr)
            if node.attr not in _HARMLESS and _is_super(node.value):
                self._of_base.add(code.class_of(node))

    def _is_rate(self, code: Code, node: ast.expr) -> bool:
        """Whether a node is in the rate of a dropout: `nn.Dropout(config.dropout)`."""
        above = islice(code.parents(node), _MOST_AROUND)
        return any(self._calls.get(each) in RATES for each in above if isinstance(each, ast.Call))

    def _is_setting(self, code: Code, node: ast.Attribute) -> bool:
        """Whether a node is a value of a configuration, `config.dropout`, that is not called."""
        parent = next(code.parents(node))
        is_called = isinstance(parent, ast.Call) and parent.func is node
        is_rate = isinstance(parent, ast.keyword) and "drop" in (parent.arg or "")
        return not is_called and (is_rate or _holds_settings(node.value))

    def _name(self, code: Code, node: ast.Name) -> None:
        """Records what passes a Module to a function, or reads attributes by name."""
        if node.id in _BY_NAME:
            call = next(code.parents(node))
            of = call.args[0] if isinstance(call, ast.Call) and call.args else None
            # `getattr(F, act)`, `vars(args)`, `getattr(self, "drop")`
            is_written = (
                isinstance(call, ast.Call)
                and len(call.args) > 1
                and isinstance(call.args[1], ast.Constant)
            )
            if of is None or not (is_written or code.name(of) or _holds_settings(of)):
                self.open.add(code.class_of(node))
        elif node.id == "self" and isinstance(node.ctx, ast.Load):
            parent = next(code.parents(node))
            func = parent.func if isinstance(parent, ast.Call) else None
            is_looking = isinstance(func, ast.Name) and func.id in _LOOKING
            # `nn.Module.__init__(self)` is `super().__init__()`
            is_looking |= isinstance(func, ast.Attribute) and func.attr == "__init__"
            is_looking |= isinstance(parent, ast.Return) or func is node
            is_looking |= isinstance(parent, ast.Call) and _only_keeps(code, parent)
            if not isinstance(parent, ast.Attribute) and not is_looking:
                self.open.add(code.class_of(node))

    def runs_base(self, cls: Class) -> bool:
        """Whether a class may run a method of a base in another file, which may use anything.

        Such a method is called by `self.name()` or `super().name()`, or passed on.
        """
        for one in cls.lineage():
            if one not in self._open_calls:
                own = one.methods.keys() | one.attributes.keys() | _HARMLESS
                self._open_calls[one] = self._called.get(one, set()) - own
            if one in self._of_base or len(self._open_calls[one]) > _MOST_OPEN:
                return True
            for name in self._open_calls[one]:
                if cls.method(name) is None and not cls.assigned(name):
                    return True
        return False

    def has(self, family: list[Class], name: str) -> bool:
        """Whether an attribute is read, or may be."""
        return name in self.elsewhere or any(
            one in self.open or name in self.by_self.get(one, ()) for one in family
        )


def _reads_by_name(node: ast.AST) -> bool:
    """Whether a node may read an attribute whose name is in a text."""
    return (isinstance(node, ast.Name) and node.id in _BY_NAME | {"hasattr"}) or (
        isinstance(node, ast.Attribute) and node.attr in _CHILDREN | {"add_module"}
    )


def _is_said(code: Code, node: ast.Constant, by_name: bool) -> bool:
    """Whether a text does not name an attribute: it is for people, or names an option.

    Args:
        code: The file.
        node: A text.
        by_name: Whether the file reads attributes by their names.
    """
    text = node.value
    assert isinstance(text, str)
    parent = next(code.parents(node))
    if isinstance(parent, ast.Expr) or not _NAME.fullmatch(text):
        return True  # a docstring, a sentence, "--dropout"
    if isinstance(parent, ast.Compare):
        left = parent.left
        said = left.id if isinstance(left, ast.Name) else getattr(left, "attr", "")
        return not by_name or _NAMING.isdisjoint(words(said))  # `if mode == "drop"`
    if isinstance(parent, ast.Dict) and not by_name:
        return node in parent.keys
    if isinstance(parent, ast.Call):
        func = parent.func
        said = func.id if isinstance(func, ast.Name) else getattr(func, "attr", "")
        return said in _SAYING
    return isinstance(parent, ast.Subscript) and _holds_settings(parent.value)


def _loads(code: Code, node: ast.AST) -> bool:
    """Whether a node is where the weights of a model are read from a file."""
    function = code.function_of(node)
    while function is not None:
        if "load" in words(function.name) or function.name == "from_pretrained":
            return True
        function = code.function_of(function.node)
    return False


def _only_keeps(code: Code, call: ast.Call) -> bool:
    """Whether a call that is given a Module applies none of its children."""
    name = code.name(call.func)
    function = code.local(call.func)
    if name is not None:
        return name in _KEEPING or not _SETTING.isdisjoint(words(name.rpartition(".")[2]))
    if not isinstance(function, Function) or function.cls is not None or len(call.args) != 1:
        return False
    if not function.parameters:
        return False
    given = function.parameters[0].arg
    for each in ast.walk(function.node):
        if isinstance(each, ast.Attribute) and each.attr in _CHILDREN:
            if not _only_looks(code, each):
                return False
        elif isinstance(each, ast.Name) and each.id == given and isinstance(each.ctx, ast.Load):
            parent = next(code.parents(each))
            func = parent.func if isinstance(parent, ast.Call) else None
            is_looking = isinstance(func, ast.Name) and func.id in _LOOKING
            if not isinstance(parent, ast.Attribute) and not is_looking:
                return False
    return True


def _holds_settings(expr: ast.expr) -> bool:
    said = expr.id if isinstance(expr, ast.Name) else getattr(expr, "attr", "")
    return words(said)[-1:] in _SETTINGS


def _is_super(expr: ast.expr) -> bool:
    return (
        isinstance(expr, ast.Call) and isinstance(expr.func, ast.Name) and expr.func.id == "super"
    )


def _only_looks(code: Code, node: ast.Attribute) -> bool:
    """Whether a loop over the children applies none: it sets weights, or looks at types."""
    call, holder, *_ = (*islice(code.parents(node), 2), None, None)
    if not isinstance(holder, (ast.For, ast.comprehension)) or holder.iter is not call:
        return False
    loop = holder if isinstance(holder, ast.For) else next(code.parents(holder))
    targets = [each.id for each in ast.walk(holder.target) if isinstance(each, ast.Name)]
    return all(_are_looked_at(code, loop, name) for name in targets)


@kept
def _are_looked_at(code: Code, loop: ast.AST, name: str) -> bool:
    return all(_is_looked_at(code, each) for each in code.names_in(loop)[name])


def _is_looked_at(code: Code, name: ast.Name) -> bool:
    """Whether a use of a name cannot apply the module that it may stand for."""
    if isinstance(name.ctx, ast.Store):
        return True
    parents = code.parents(name)
    parent = next(parents)
    if isinstance(parent, ast.Attribute):  # m.weight, m.reset_parameters()
        return parent.attr not in _APPLYING
    if isinstance(parent, ast.keyword):
        parent = next(parents)
    if isinstance(parent, ast.Compare):  # 'bias' in name
        return True
    if not isinstance(parent, ast.Call) or parent.func is name:
        return False
    func = parent.func
    said = func.id if isinstance(func, ast.Name) else getattr(func, "attr", "")
    return said in _LOOKING or not _SETTING.isdisjoint(words(said))
