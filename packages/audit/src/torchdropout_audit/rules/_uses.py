"""Where the attributes of the classes of a file are read."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from itertools import islice

from ..code import RATES, Class, Code, Function, Pattern, words
from ._bases import bases_of_project, has_bases_of_torch, has_plain_bases
from ._options import is_settings
from ._rule import kept

_WORD = re.compile(r"\w+")
_NAMING = frozenset(("name", "n", "key", "k", "attr", "attribute", "child", "module"))
_NAME = re.compile(r"[\w.]+")
# Functions that take a text for people, or the name of an option.
_SAYING = frozenset(
    ("print", "debug", "info", "warning", "warn", "error", "log", "add_argument", "get", "pop")
    + ("format", "write", "join", "add_scalar", "ValueError", "option", "suggest_float")
    + ("suggest_uniform", "suggest_categorical", "uniform", "choice", "getenv")
)
# Functions that take a Module and apply none of its children.
_KEEPING = frozenset(
    ("copy.deepcopy", "copy.copy", "torch.save", "torch.nn.DataParallel", "logging.info")
    + ("torch.nn.Module.__init__", "warnings.warn", "weakref.ref")
)
_BY_NAME = frozenset(("getattr", "vars", "attrgetter"))
_WRITES = frozenset(("setattr", "delattr"))
_CHILDREN = frozenset(
    ("children", "named_children", "modules", "named_modules", "_modules", "__dict__")
    + ("get_submodule", "__getattr__", "__getattribute__", "attrgetter")
)
_LOOKING = frozenset(
    ("super", "isinstance", "type", "id", "len", "print", "repr", "str", "hasattr")
)
# Functions that are given numbers.
_TAKING = frozenset(("range", "int", "float", "len", "print", "max", "min", "str", "list"))
# Words of parameters for numbers.
_SIZES = frozenset(
    ("dim", "size", "channels", "features", "heads", "layers", "hidden", "dropout", "drop", "num")
    + ("kernel", "stride", "padding", "width", "depth", "rate", "nhead", "p")
)
_PARAMETERS = ("weight", "bias")
_MOST_AROUND = 4  # nodes between a rate and its call: a keyword, a subscript, a `get`
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
# Words of a function that sets weights, or says something about a Module.
_SETTING = frozenset(
    ("init", "initialize", "weights", "freeze", "unfreeze", "summary", "summarize", "count")
    + ("numel", "flops", "params")
)
_SAVING = frozenset(("torch.save", "json.dump", "pickle.dump", "yaml.dump"))
_SPEAKING = frozenset(("extra_repr", "__repr__", "__str__"))


class Uses:
    """Collects where the attributes of a file are read."""

    def __init__(self, code: Code) -> None:
        self._calls = {call.node: call.name for call in code.calls if call.partial is None}
        self.by_self: dict[Class | None, set[str]] = {}
        self.elsewhere: set[str] = set()
        self.rates: set[str] = set()  # of other objects, given to a dropout
        self.looked_at: set[str] = set()  # tested, or asked for a rate
        self.open: set[Class | None] = set()
        self._own_rates: dict[Class | None, set[str]] = {}  # given to a dropout as they are
        self._called: dict[Class | None, set[str]] = {}
        self._open_calls: dict[Class, set[str]] = {}  # of what the class does not define itself
        self._of_base: set[Class | None] = set()
        self._beginnings: dict[Class | None, list[Pattern]] = {}  # `getattr(self, f"fc{i}")`
        by_name = any(map(_reads_by_name, code.inside(code.tree, ast.Name, ast.Attribute)))
        for node in code.inside(code.tree, ast.Attribute, ast.Constant, ast.Name):
            if isinstance(node, ast.Attribute):
                self._attribute(code, node)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                is_said = self._is_rate(code, node) or _is_said(code, node, by_name)
                if _is_own(code, node):
                    self._text(code, node)
                elif not is_said and not _names_child(code, node):
                    self.elsewhere.update(_WORD.findall(node.value))
            elif isinstance(node, ast.Name):
                self._name(code, node)

    def _text(self, code: Code, node: ast.Constant) -> None:
        """Records an attribute of `self` that is read, or looked for, by its name."""
        call = next(code.parents(node))
        is_read = isinstance(call, ast.Call) and getattr(call.func, "id", "") == "getattr"
        cls = code.class_of(node)
        (self.by_self.setdefault(cls, set()) if is_read else self.looked_at).add(str(node.value))

    def _attribute(self, code: Code, node: ast.Attribute) -> None:
        if node.attr in _CHILDREN and not _only_looks(code, node) and not _loads(code, node):
            parent = next(code.parents(node))
            key = parent.slice if isinstance(parent, ast.Subscript) else None
            self._open_by(code, node, code.pattern(key) if node.attr == "_modules" else None)
        if isinstance(node.ctx, ast.Store):
            return
        if isinstance(node.value, ast.Name) and node.value.id == "self":
            if _is_saved(code, node):
                return
            if self._is_given_as_rate(code, node):
                self._own_rates.setdefault(code.class_of(node), set()).add(node.attr)
                return
            if not _may_apply(code, node):
                if not _is_in_speech(code, node):
                    self.looked_at.add(node.attr)
                return
            self.by_self.setdefault(code.class_of(node), set()).add(node.attr)
            if self._may_be_called(code, node):
                self._called.setdefault(code.class_of(node), set()).add(node.attr)
        elif code.name(node) is not None:
            return  # `F.dropout`, which is of no Module
        elif self._is_rate(code, node):
            if not is_settings(node.value):
                self.rates.add(node.attr)
        elif not self._is_setting(code, node):
            self.elsewhere.add(node.attr)
            if node.attr not in _HARMLESS and _is_super(node.value):
                self._of_base.add(code.class_of(node))

    def _may_be_called(self, code: Code, node: ast.Attribute) -> bool:
        """Whether an attribute may be a method: it is called, or given to what may call it."""
        parent, holder, *_ = (*islice(code.parents(node), 2), None, None)
        call = holder if isinstance(parent, ast.keyword) else parent
        if not isinstance(call, ast.Call):
            return False
        if call.func is node:
            return _SETTING.isdisjoint(words(node.attr))
        of = call.func.id if isinstance(call.func, ast.Name) else ""
        if isinstance(parent, ast.keyword) and not _SIZES.isdisjoint(words(parent.arg or "")):
            return False
        return of not in _TAKING and not (code.name(call.func) or "").startswith("torch")

    def _open_by(self, code: Code, node: ast.AST, pattern: Pattern | None) -> None:
        """Records that a class reads attributes by their names, of which a part may be known."""
        cls = code.class_of(node)
        held = node.value if isinstance(node, ast.Attribute) else None
        while isinstance(held, ast.Attribute) and isinstance(held.value, ast.Attribute):
            held = held.value
        if isinstance(held, ast.Attribute) and code.assigned(held):
            # `self.encoder.children()` are those of the encoder.
            for value in code.assigned(held):
                made = code.local(value.func) if isinstance(value, ast.Call) else None
                self.open.add(made if isinstance(made, Class) else None)
        elif pattern is None or not pattern.start:
            self.open.add(cls)
        else:
            self._beginnings.setdefault(cls, []).append(pattern)

    def _is_rate(self, code: Code, node: ast.expr) -> bool:
        """Whether a node is in the rate of a dropout: `nn.Dropout(config.dropout)`."""
        above = islice(code.parents(node), _MOST_AROUND)
        return any(self._calls.get(each) in RATES for each in above if isinstance(each, ast.Call))

    def _is_given_as_rate(self, code: Code, node: ast.Attribute) -> bool:
        """Whether an attribute itself is an argument other than the input: `nn.Dropout(self.drop)`.

        The attribute may be the rate first, and then the dropout.
        """
        parent, holder, *_ = (*islice(code.parents(node), 2), None, None)
        call = holder if isinstance(parent, ast.keyword) else parent
        return isinstance(call, ast.Call) and self._calls.get(call) in RATES

    def _is_setting(self, code: Code, node: ast.Attribute) -> bool:
        """Whether a node is a value of a configuration, `config.dropout`, that is not called."""
        parent = next(code.parents(node))
        is_called = isinstance(parent, ast.Call) and parent.func is node
        is_rate = isinstance(parent, ast.keyword) and "drop" in (parent.arg or "")
        return not is_called and (is_rate or is_settings(node.value))

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
            if of is None or not (is_written or code.name(of) or is_settings(of)):
                said = call.args[1] if isinstance(call, ast.Call) and len(call.args) > 1 else None
                is_own = isinstance(of, ast.Name) and of.id == "self"
                pattern = code.pattern(said)
                # Another object of which it has the parameters: "bias_ih_l{}".
                is_known = is_own or (pattern is not None and pattern.start.startswith(_PARAMETERS))
                self._open_by(code, node, pattern if is_known else None)
        elif node.id == "self" and isinstance(node.ctx, ast.Load):
            parent = next(code.parents(node))
            func = parent.func if isinstance(parent, ast.Call) else None
            # What reads by name is recorded at its own name.
            is_looking = isinstance(func, ast.Name) and func.id in _LOOKING | _BY_NAME | _WRITES
            # `nn.Module.__init__(self)` is `super().__init__()`
            is_looking |= isinstance(func, ast.Attribute) and func.attr == "__init__"
            is_looking |= isinstance(parent, (ast.Return, ast.FormattedValue)) or func is node
            is_looking |= isinstance(parent, ast.Call) and _only_keeps(code, parent)
            said = parent.args[-1] if isinstance(parent, ast.Call) and parent.args else None
            made = None if func is None else code.local(func)
            if isinstance(made, Class) and isinstance(said, ast.Constant):
                # AttrProxy(self, "layer_"), which takes those that begin so
                self._open_by(code, node, code.pattern(said) and Pattern(str(said.value), False))
                return
            if not isinstance(parent, ast.Attribute) and not is_looking:
                self.open.add(code.class_of(node))

    def runs_base(self, cls: Class) -> bool:
        """Whether a class may run a method of a base in another file, which may use anything.

        Such a method is called by `self.name()` or `super().name()`, or passed on.
        """
        for one in cls.lineage():
            if one not in self._open_calls:
                own = one.methods.keys() | one.attributes.keys() | _HARMLESS | _CHILDREN
                self._open_calls[one] = self._called.get(one, set()) - own
            if one in self._of_base or len(self._open_calls[one]) > _MOST_OPEN:
                return True
            for name in self._open_calls[one]:
                if cls.method(name) is None and not cls.assigned(name):
                    return True
        return False

    def has(self, family: list[Class], name: str) -> bool:
        """Whether an attribute is read, or may be."""
        whole = Pattern(name, True)
        # A function outside of classes that has a `self` is a decorator's, which wraps a method.
        return (
            name in self.elsewhere
            or name in self.by_self.get(None, ())
            or any(
                one in self.open
                or name in self.by_self.get(one, ())
                or any(each.matches(whole) for each in self._beginnings.get(one, ()))
                for one in family
            )
        )

    def reads(self, family: list[Class], name: str) -> bool:
        """Whether an attribute that holds a value is read, or may be."""
        is_rate = any(name in self._own_rates.get(one, ()) for one in family)
        return is_rate or name in self.rates or name in self.looked_at or self.has(family, name)


def using_bases(code: Code, cls: Class) -> Sequence[tuple[Code, Class]] | None:
    """Returns the bases from other files that may read any attribute of a class.

    Args:
        code: The file.
        cls: A class of it.

    Returns:
        Each with its file; none if the class runs no method of a base; None if not all are known.
    """
    if has_plain_bases(code, cls):
        return ()
    if has_bases_of_torch(code, cls):
        return None
    return bases_of_project(code, cls) if uses(code).runs_base(cls) else ()


def is_read_elsewhere(code: Code, family: Sequence[Class], name: str) -> bool:
    """Whether a base or a decorator from another file of the project reads an attribute.

    Args:
        code: The file.
        family: A class, with its bases and subclasses of the file.
        name: The attribute.
    """
    bases = bases_of_project(code, family[0]) or ()
    return any(name in uses(file).by_self.get(base, ()) for file, base in bases) or any(
        name in uses(each).by_self.get(None, ()) for each in _decorating(code, tuple(family))
    )


@kept
def _decorating(code: Code, family: tuple[Class, ...]) -> Sequence[Code]:
    """Returns the files of the functions that decorate methods, which are given their `self`."""
    decorators = [
        each.func if isinstance(each, ast.Call) else each
        for one in family
        for method in one.methods.values()
        for each in method.node.decorator_list
    ]
    if code.project is None:
        return ()
    names = dict.fromkeys(code.name(each) for each in decorators[:_MOST_OPEN])
    found = [code.project.find(code, name) for name in names if name is not None]
    return [each.code for each in found if each is not None]


@kept
def uses(code: Code) -> Uses:
    """Returns where the attributes of a file are read.

    Args:
        code: The file.
    """
    return Uses(code)


def _may_apply(code: Code, node: ast.Attribute) -> bool:
    """Whether a use of an attribute is more than a test of whether it is there, or of its rate."""
    parents = code.parents(node)
    parent = next(parents)
    if _is_in_speech(code, node):
        return isinstance(parent, ast.Call) and parent.func is node
    if isinstance(parent, ast.Compare):
        return not isinstance(parent.ops[0], (ast.Is, ast.IsNot))
    if isinstance(parent, ast.UnaryOp):
        return not isinstance(parent.op, ast.Not)
    if isinstance(parent, (ast.If, ast.IfExp)):
        return parent.test is not node
    if isinstance(parent, ast.Attribute) and parent.attr in ("p", "inplace", "append", "extend"):
        holder = next(parents)
        if parent.attr in ("append", "extend"):
            return not (isinstance(holder, ast.Call) and holder.func is parent)
        return not isinstance(parent.ctx, ast.Store)
    return True


def _is_in_speech(code: Code, node: ast.AST) -> bool:
    """Whether a node is in a method that says what a Module is: `extra_repr`."""
    function = code.function_of(node)
    return function is not None and function.name in _SPEAKING


def _is_saved(code: Code, node: ast.AST) -> bool:
    """Whether a value is only written to a file: `torch.save({"dropout": self.dropout}, path)`."""
    held, call, *_ = (*islice(code.parents(node), 2), None, None)
    if not isinstance(held, ast.Dict) or not isinstance(call, ast.Call):
        return False
    return code.name(call.func) in _SAVING and held in call.args


def _reads_by_name(node: ast.AST) -> bool:
    """Whether a node may read an attribute whose name is in a text."""
    return (isinstance(node, ast.Name) and node.id in _BY_NAME | {"hasattr"}) or (
        isinstance(node, ast.Attribute) and node.attr in _CHILDREN | {"add_module"}
    )


def _is_own(code: Code, node: ast.Constant) -> bool:
    """Whether a text names an attribute in `getattr(self, "drop")` or `hasattr(self, "drop")`."""
    call = next(code.parents(node))
    if not isinstance(call, ast.Call) or len(call.args) < 2 or call.args[1] is not node:
        return False
    is_asked = isinstance(call.func, ast.Name) and call.func.id in ("getattr", "hasattr")
    return is_asked and isinstance(call.args[0], ast.Name) and call.args[0].id == "self"


def _names_child(code: Code, node: ast.Constant) -> bool:
    """Whether a text is the name in `self.add_module("drop", drop)`, which reads nothing."""
    parent = next(code.parents(node))
    func = parent.func if isinstance(parent, ast.Call) and node in parent.args[:1] else None
    return (
        isinstance(func, ast.Attribute)
        and func.attr in ("add_module", "register_module")
        and isinstance(func.value, ast.Name)
        and func.value.id == "self"
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
    if isinstance(parent, ast.keyword) and parent.arg == "name":
        return True
    if _is_saved(code, node):
        return True
    if not by_name and not _is_given(code, node):
        return True
    if isinstance(parent, ast.Compare):
        left = parent.left
        said = left.id if isinstance(left, ast.Name) else getattr(left, "attr", "")
        return _NAMING.isdisjoint(words(said))  # `if mode == "drop"`
    if isinstance(parent, ast.Call):
        func = parent.func
        said = func.id if isinstance(func, ast.Name) else getattr(func, "attr", "")
        holder = next(code.parents(parent), None)
        if isinstance(holder, ast.keyword) and holder.arg == text and said not in _BY_NAME:
            return True  # `dropout=get(saved, "dropout")`
        return said in _SAYING
    return isinstance(parent, ast.Subscript) and is_settings(parent.value)


def _is_given(code: Code, node: ast.AST) -> bool:
    """Whether a function, that may read an attribute by its name, is given what holds a node."""
    for parent in code.parents(node):
        if isinstance(parent, (ast.stmt, ast.Subscript)):
            return False
        if isinstance(parent, ast.Call) and node is not parent.func:
            return True
        node = parent
    return False


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
    if function is None:
        of = call.func
        said = of.attr if isinstance(of, ast.Attribute) else getattr(of, "id", "")
        return name in _KEEPING or not _SETTING.isdisjoint(words(said))
    at = [place for place, each in enumerate(call.args) if getattr(each, "id", "") == "self"]
    if not isinstance(function, Function) or function.cls is not None or len(at) != 1:
        return False
    if at[0] >= len(function.parameters):
        return False
    given = function.parameters[at[0]].arg
    for each in code.inside(function.node, ast.Attribute, ast.Name):
        if isinstance(each, ast.Attribute):
            if each.attr in _CHILDREN and not _only_looks(code, each):
                return False
        elif isinstance(each, ast.Name) and each.id == given and isinstance(each.ctx, ast.Load):
            parent = next(code.parents(each))
            func = parent.func if isinstance(parent, ast.Call) else None
            is_looking = isinstance(func, ast.Name) and func.id in _LOOKING
            if not isinstance(parent, ast.Attribute) and not is_looking:
                return False
    return True


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
    targets = [each.id for each in code.inside(holder.target, ast.Name)]
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
