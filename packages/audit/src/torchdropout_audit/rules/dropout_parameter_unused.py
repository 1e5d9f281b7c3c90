"""TD115: a parameter for a dropout that nothing uses."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from ..code import Class, Code, Function, words
from ..code.nodes import of_self
from ._bases import below, has_plain_bases, is_abstract, is_stub
from ._constants import calls_of, constants
from ._excuses import EXCUSE, is_left_out
from ._rule import Hit, kept, rule
from ._uses import is_used_elsewhere, uses

BROKEN = """\
from torch import nn


class MLP(nn.Module):
    def __init__(self, dim, hidden, dropout=0.1):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(dim, hidden), nn.ReLU(), nn.Dropout(), nn.Linear(hidden, dim)
        )

    def forward(self, x):
        return self.layers(x)
"""
FIXED = BROKEN.replace("nn.Dropout()", "nn.Dropout(dropout)")

_DROPS = frozenset(
    ("dropout", "dropouts", "drop", "pdrop", "droppath", "dropconnect", "wdrop", "dropatt")
    + ("droprate", "dropprob", "dropratio", "dropoutrate", "dropoutprob", "dropoutp", "layerdrop")
)
_LAST = _DROPS | frozenset(
    ("rate", "rates", "prob", "probs", "proba", "probability", "p", "ratio", "path", "connect")
    + ("val", "value")
)
# What may read parameters without their names.
_ANY_NAME = frozenset(("locals", "vars", "eval", "exec", "save_hyperparameters", "store_attr"))


@rule("TD115", "modules", BROKEN, FIXED, severity="advice")
def dropout_parameter_unused(code: Code) -> Iterator[Hit]:
    """A parameter for a dropout is used.

    The rule looks at a parameter such as `dropout`, `drop_rate` or `attn_drop` of a constructor, a
    function or a method, whose name does not appear in the body, that is replaced before it is
    read, or that a Module stores in an attribute that the file does not read. The rate is tuned and
    recorded, and it has no effect: the dropout has a rate of its own, or is missing.

    Some functions have a reason to accept more than they use, and are skipped: stubs, abstract
    classes, overrides, callbacks, decorated functions, methods that the file does not call,
    constructors that save all their arguments, and those that swallow `**kwargs` and whose rate is
    0 by default. So are functions with other unused parameters, unless a call of the file gives the
    rate; those where a comment or the docstring says that something is "unused", "deprecated" or
    "for compatibility"; and those whose use is commented out below a comment in words.

    A class is skipped if another file of the project stores it or derives from it, or if a subclass
    in the file mentions the parameter other than to pass it to the base. A file without any
    training is skipped if its path says inference, `runtime/` or `onnx/`.

    To fix: pass it to the dropout, or remove it.

    Seen in: transformers#34291, torchtune#995, x-transformers#175, multi_hyp_cc#17, decaNLP#31;
    transformers 4.30.2 models/swin/modeling_swin.py:720, neuralforecast 3.3.0
    models/dilated_rnn.py:96, fair-esm 2.0.0 esm/modules.py:154
    """
    if "torch" not in code.text or code.place.is_test:
        return
    if code.place.is_inference and not code.trains:
        return  # the signature is that of the model that was trained
    for function in code.functions:
        rates = [each for each in function.parameters if _is_rate(each.arg)]
        if rates and _keeps_a_signature(code, function):
            rates = [each for each in rates if _is_zeroed(code, function, each.arg)]
        for each in rates:
            stored = _stored(code, function, each.arg)
            if (
                stored is None
                or _is_used_around(code, function.cls, each.arg)
                or _is_built_alike(code, function)
                or is_left_out(code, function.node, f"({each.arg})")
            ):
                continue
            what = "stored and never read" if stored else "accepted and never used"
            said = f"{each.arg} is {what}: it has no effect"
            yield Hit(each, said, "give it to a dropout, or remove it")


def _is_rate(name: str) -> bool:
    """Whether a parameter is named as a rate: `dropout`, `attn_drop`, `drop_rate2`."""
    said = words(name)
    if said and said[-1].isdigit():
        said = said[:-1]
    is_own = name.startswith("_") or not said
    return not is_own and not _DROPS.isdisjoint(said) and said[-1] in _LAST


def _stored(code: Code, function: Function, name: str) -> str | None:
    """Returns the attribute that holds a parameter that nothing reads; None if it has a use.

    The text is empty for a parameter that nothing mentions, or that is replaced.
    """
    if name not in _names(code, function.node):
        return ""
    named = code.names_in(function.node).get(name, ())
    nodes = [each for each in named if not _is_checked(code, each)]
    if not nodes:
        return None  # a text has its name, or a value is not supported
    first, *others = sorted(nodes, key=lambda node: (node.lineno, node.col_offset))
    statement = next(code.parents(first))
    if not isinstance(statement, ast.Assign):
        return None
    if isinstance(first.ctx, ast.Store):
        reads = [each for each in code.inside(statement, ast.Name) if each in others]
        is_replaced = not reads and next(code.parents(statement)) is function.node
        return "" if is_replaced else None
    target = statement.targets[0] if len(statement.targets) == 1 and not others else None
    attribute = of_self(target)
    return attribute if attribute and _is_unread(code, function, attribute) else None


def _is_checked(code: Code, node: ast.AST) -> bool:
    """Whether a node is in the test before a `raise`."""
    holders = (each for each in code.parents(node) if isinstance(each, ast.stmt))
    test = next(holders)
    return isinstance(test, ast.If) and isinstance(test.body[0], ast.Raise)


def _is_unread(code: Code, function: Function, attribute: str) -> bool:
    """Whether nothing reads what the constructor of a Module stores."""
    cls = function.cls
    if cls is None or not cls.is_module or function.name != "__init__":
        return False
    family = [*cls.lineage(), *below(code, cls)]
    return not (
        is_abstract(family)
        or uses(code).reads(family, attribute)
        or is_used_elsewhere(code, family, attribute)
    )


@kept
def _names(code: Code, node: ast.AST) -> set[str]:
    """Returns the names in a node, those in strings, and attributes that stand for all names."""
    texts = (each.value for each in code.inside(node, ast.Constant))
    attributes = (each.attr for each in code.inside(node, ast.Attribute))
    return {
        *(each.id for each in code.inside(node, ast.Name)),
        *(each for each in texts if isinstance(each, str)),
        *(each for each in attributes if each in _ANY_NAME),
    }


def _keeps_a_signature(code: Code, function: Function) -> bool:
    """Whether a function has a reason to accept what it does not use."""
    node, cls = function.node, function.cls
    used = _names(code, node)
    if node.decorator_list or is_stub(node.body) or not used.isdisjoint(_ANY_NAME):
        return True
    if _excuses_itself(code, function):
        return True
    own = function.parameters[1 if function.is_bound else 0 :]
    unused = [each.arg for each in own if each.arg not in used]
    rates = [each for each in unused if _is_rate(each)]
    is_asked = _is_asked(code, function, rates)
    if len(unused) > len(rates) and not is_asked:
        return True
    rest = node.args.kwarg
    is_swallowed = rest is not None and rest.arg not in used and not is_asked
    if is_swallowed and _are_off(code, function, rates):
        return True
    if cls is None:
        return rest is not None or function.name in _values(code)
    if function.name == "__init__":
        return _is_of_abc(cls)
    # What the file does not call is called through a class of another file, with its signature.
    is_override = any(function.name in one.methods for one in cls.lineage()[1:])
    return not function.callers or not has_plain_bases(code, cls) or is_override


def _is_zeroed(code: Code, function: Function, name: str) -> bool:
    """Whether a function gives 0 in place of a rate: `MLP(dropout=0)`."""
    keywords = code.inside(function.node, ast.keyword)
    return any(each.arg == name and code.value(each.value) == 0 for each in keywords)


def _is_asked(code: Code, function: Function, rates: Sequence[str]) -> bool:
    """Whether a call of the file gives a rate that may be other than 0."""
    calls = calls_of(code).get(function, ())
    for call, name in ((call, name) for call in calls for name in rates):
        value = function.given(call, name)
        is_given = isinstance(value, ast.expr) and value is not function.defaults.get(name)
        if is_given and not constants(code).is_always(value, (0, None)):
            return True
    return False


def _are_off(code: Code, function: Function, names: Sequence[str]) -> bool:
    """Whether parameters have no default, or one that drops nothing."""
    defaults = (function.defaults.get(name) for name in names)
    return all(each is None or code.value(each) in (0, None) for each in defaults)


def _excuses_itself(code: Code, function: Function) -> bool:
    """Whether a comment at the parameters or the docstring says that something is not used."""
    node = function.node
    first = node.body[0]
    lines = map(code.lines.line, range(node.lineno - 1, first.lineno))
    comments = [line.partition("#")[2] for line in lines]
    comments.append((ast.get_docstring(node) if is_stub([first]) else None) or "")
    return any(map(EXCUSE.search, comments))


@kept
def _values(code: Code) -> frozenset[str]:
    """Returns the names that are passed on or stored: such a function is a callback."""
    called = {call.node.func for call in code.calls}
    names = (each for each in code.inside(code.tree, ast.Name) if isinstance(each.ctx, ast.Load))
    return frozenset(each.id for each in names if each not in called)


def _is_of_abc(cls: Class) -> bool:
    """Whether a class has abstract methods, a base that says so, or a stub as its `forward`."""
    for one in cls.lineage():
        marks = [mark for method in one.methods.values() for mark in method.node.decorator_list]
        said = " ".join(map(ast.dump, [*marks, *one.node.bases]))
        forward = one.methods.get("forward")
        if "abstract" in said or "'ABC'" in said or (forward and is_stub(forward.node.body)):
            return True
    return False


def _is_used_around(code: Code, cls: Class | None, name: str) -> bool:
    """Whether a decorator of the class mentions a parameter, or a subclass does more than pass it.

    A subclass may only give it to the constructor of its base.
    """
    if cls is not None and any(name in _names(code, each) for each in cls.node.decorator_list):
        return True
    for one in below(code, cls) if cls is not None else ():
        passed = [
            each
            for call in code.inside(one.node, ast.Call)
            if getattr(call.func, "attr", "") == "__init__"
            for each in (*call.args, *(keyword.value for keyword in call.keywords))
            if isinstance(each, ast.Name) and each.id == name
        ]
        if len(passed) < len(code.names_in(one.node).get(name, ())):
            return True
    return False


@kept
def _is_built_alike(code: Code, function: Function) -> bool:
    """Whether another file stores the class, and may build it with the arguments of others."""
    cls = function.cls if function.name == "__init__" else None
    if cls is None or code.project is None or code.defined(cls.name) is not cls:
        return False
    return code.project.calls(code, cls) is None
