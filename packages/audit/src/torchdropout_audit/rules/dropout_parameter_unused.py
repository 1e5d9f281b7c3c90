"""TD115: a parameter for a dropout that nothing uses."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Literal

from ..code import Class, Code, Function, words
from ._bases import bases_of_project, has_plain_bases, is_stub
from ._constants import calls_of, constants
from ._dropouts import is_number
from ._excuses import EXCUSE, explained
from ._rule import Hit, kept, rule
from ._uses import is_read_elsewhere, uses, using_bases

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
# The last two words of the name of a rate, and the places that a rate applies to.
_PAIRS = frozenset(
    (("drop", "out"), ("keep", "prob"), ("keep", "probability"), ("dp", "rate"), ("dp", "prob"))
    + (("do", "rate"), ("do", "prob"), ("dr", "rate"), ("do", "p"), ("drop", "layer"))
)
_BEGINNINGS = frozenset((("drop", "rate"), ("drop", "prob"), ("p", "drop"), ("p", "dropout")))
_PLACES = frozenset(
    ("input", "output", "hidden", "emb", "embed", "embedding", "attn", "attention", "att", "rnn")
    + ("lstm", "fc", "feature", "features", "in", "out", "conv", "encoder", "decoder", "mlp", "ffn")
    + ("ff", "e", "i", "h", "o", "w", "hid", "enc", "dec", "gcn", "gnn", "cnn", "linear", "gat")
    + ("first", "second", "last", "final", "deep", "shallow", "head", "cls", "proj", "char", "word")
    + ("a", "v", "q", "k", "r", "t", "audio", "video", "visual", "text", "lm", "trans", "gru")
)
# `drop_features` may be what to leave out of the data.
_PARTS = _PLACES - {"input", "output", "feature", "features", "in", "e", "i", "h", "o", "w"}
_PARTS -= {"first", "last", "head", "cls", "a", "v", "q", "k", "r", "t", "char", "word", "text"}
_PARTS -= {"audio", "video", "visual"}
_LAST = _DROPS | {
    "rate",
    "rates",
    "prob",
    "probs",
    "proba",
    "probability",
    "p",
    "ratio",
    "path",
    "connect",
    "val",
    "value",
}
_OF_ONE_PLACE = re.compile("dropout[a-z]")  # dropouti and dropouth of AWD-LSTM
_MOST_BELOW = 50  # subclasses of one class
_MOST_ALIKE = 20  # constructors with the same parameters
# What a value is given that is only printed.
_SAYING = frozenset(("print", "info", "debug", "warning", "warn", "log", "isinstance"))
_WORD = re.compile(r"\w+")
_GAP = re.compile(r"(?i)\btodo\b")
# "The unused heads are pruned" says nothing about a parameter.
_OF_OTHERS = re.compile(
    r"(?i)\bunused\s+(?!(?:arg|param|keyword|kw|option|here|in|for|by|now|but|and|or|as|at|if|on"
    r"|when|with|because|since|rate|drop|var|value|setting|config|field|interface)\w*)[a-z]\w*"
    r"(?!.*drop)"
)
# What may read parameters without their names.
_ANY_NAME = frozenset(
    ("locals", "vars", "eval", "exec", "currentframe", "getargvalues", "stack", "store_attr")
    + ("save_hyperparameters", "save_hparams", "hparams", "capture_init", "_init_args")
)
_PLAIN_DECORATORS = (
    ("torch.no_grad", "torch.inference_mode", "torch.enable_grad", "torch.jit.", "torch.compile")
    + ("torch.amp.", "torch.cuda.amp.", "beartype.beartype", "typeguard.typechecked")
    + ("jaxtyping.jaxtyped", "pydantic.validate_arguments", "pydantic.validate_call")
)


@rule(
    "TD115",
    group="modules",
    severity="advice",
    broken=BROKEN,
    fixed=FIXED,
    evidence="transformers#34291, torchtune#995, x-transformers#175, multi_hyp_cc#17, decaNLP#31; "
    "transformers 4.30.2 models/swin/modeling_swin.py:720, "
    "neuralforecast 3.3.0 models/dilated_rnn.py:96, fair-esm 2.0.0 esm/modules.py:154",
)
def dropout_parameter_unused(code: Code) -> Iterator[Hit]:
    """A parameter for a dropout is used.

    The rule looks at a parameter such as `dropout`, `drop_rate` or `attn_drop` of a constructor, a
    function or a method. It reports one whose name does not appear in the body, or that is replaced
    before it is read, or only printed. It also reports one that a Module, or a class that trains a
    model, stores in an attribute that the file does not read, except to say what the Module is
    (`extra_repr`) or to save it (`torch.save`). If a class builds a model with 0 in place of the
    rate that it stores, its parameter is reported even if the class is neither. The rate is an
    argument, it is tuned and recorded, and it has no effect: the dropout has a rate of its own, or
    is missing.

    Some functions have a reason to accept more than they use, and are skipped: a stub, an abstract
    class, an override, a method that the file does not call, a callback, and a function with a
    decorator, except one that only calls it, such as `torch.no_grad`. So are a constructor that
    saves all its arguments (`locals()`, `save_hyperparameters()`), and one that swallows `**kwargs`
    and whose rate is 0 by default, unless a call of the file passes another rate. So is a function
    whose comments or docstring say that something is "unused", "deprecated" or "for compatibility",
    if they do not say it of another parameter. A use that is commented out is a reason only if a
    comment next to it says why.

    A class is skipped if another file of the project stores it or derives from it, since that file
    may build it as it builds others. A base class is skipped if a subclass in the file does more
    with the parameter than pass it to the base. A file without any training is skipped if its path
    says inference, `runtime/` or `onnx/`.

    A function with other unused parameters is skipped as well, unless a call of the file gives it a
    rate: it keeps the signature of others. So is one whose rate another class of the file uses,
    built with the same arguments and taking as many inputs.

    To fix: pass it to the dropout, or remove it.
    """
    if "torch" not in code.text or code.is_test:
        return
    if code.place.is_inference and not code.trains:
        return  # the signature is that of the model that was trained
    for function in code.functions:
        rates = [each for each in function.parameters if _is_rate(each.arg)]
        cls = function.cls
        zeros = _zeros(code).get(cls, set()) if cls is not None else set()
        if rates and _keeps_a_signature(code, function):
            rates = [each for each in rates if each.arg in zeros]
        if not rates:
            continue
        said = set(_WORD.findall(explained(code, function.node)))
        used = _names(code, function.node) | said
        for each in rates:
            if cls is not None and each.arg in _decorated(code, cls):
                continue
            is_kept = each.arg in said or each.arg not in used
            stored = None if is_kept else _only_stored(code, function, each.arg)
            if each.arg in used and stored is None:
                continue
            if stored is None and cls is not None and _family(code).uses(cls, each.arg):
                continue
            if _is_built_alike(code, function):
                continue
            what = "stored and never read" if stored else "accepted and never used"
            yield Hit(
                each,
                f"{each.arg} is {what}: it has no effect",
                "give it to a dropout, or remove it",
            )


@kept
def _is_built_alike(code: Code, function: Function) -> bool:
    """Whether another file stores the class, and may build it with the arguments of others."""
    cls = function.cls if function.name == "__init__" else None
    if cls is None or code.project is None or code.defined(cls.name) is not cls:
        return False
    return code.project.calls(code, cls) is None


def _only_stored(code: Code, function: Function, name: str) -> str | None:
    """Returns the attribute that holds a parameter that nothing reads; None if it has a use.

    The text is empty for a parameter that is replaced before it is read.
    """
    nodes = code.names_in(function.node).get(name, ())
    loads = [each for each in nodes if isinstance(each.ctx, ast.Load)]
    if name in _texts(code, function):
        return None
    if _is_replaced(code, function, nodes):
        return ""
    stored: str | None = None
    for each in loads:
        said = _is_said(code, each, function)
        if said == "printed" and stored is None:
            stored = ""
        if said:
            continue
        attribute = _stored_as(code, each)
        if not attribute or not _is_unread(code, function, attribute):
            return None
        stored = attribute
    return stored  # a value that is only checked is one that is not supported


@kept
def _texts(code: Code, function: Function) -> set[str]:
    constants = (each for one in function.node.body for each in code.inside(one, ast.Constant))
    return {each.value for each in constants if isinstance(each.value, str)}


def _is_replaced(code: Code, function: Function, nodes: Sequence[ast.Name]) -> bool:
    """Whether the first statement that mentions a name gives it another value."""
    first = min(nodes, key=lambda node: (node.lineno, node.col_offset))
    statement = next(code.parents(first))
    return (
        isinstance(statement, ast.Assign)
        and isinstance(first.ctx, ast.Store)
        and code.is_in(statement, function.node, "body")
        and all(node.lineno > (statement.end_lineno or 0) for node in nodes if node is not first)
    )


def _is_said(code: Code, node: ast.AST, function: Function) -> Literal["checked", "printed", ""]:
    """Returns what becomes of a value that is only checked, or printed, at a node."""
    for parent in code.parents(node):
        if parent is function.node:
            return ""
        if isinstance(parent, ast.Assert):
            return "checked"
        if isinstance(parent, ast.Call):
            func = parent.func
            said = func.id if isinstance(func, ast.Name) else getattr(func, "attr", "")
            if said in _SAYING:
                return "checked" if said == "isinstance" else "printed"
        if isinstance(parent, ast.If):
            is_check = all(isinstance(each, ast.Raise) for each in parent.body)
            return "checked" if is_check and not parent.orelse else ""
    return ""


def _stored_as(code: Code, node: ast.expr) -> str:
    """Returns the attribute of self that is assigned a value, as it is or by default."""
    above = code.parents(node)
    parent = next(above, None)
    while isinstance(parent, (ast.IfExp, ast.BoolOp, ast.Compare)):
        node, parent = parent, next(above, None)  # rate if rate is not None else 0.1
    if isinstance(parent, (ast.Tuple, ast.Call)):
        is_float = isinstance(parent, ast.Call) and getattr(parent.func, "id", "") == "float"
        holder = next(code.parents(parent), None)
        if isinstance(parent, ast.Tuple) and isinstance(holder, ast.Assign):
            target = holder.targets[0]
            if isinstance(target, ast.Tuple) and len(target.elts) == len(parent.elts):
                return _own_attribute(target.elts[parent.elts.index(node)])
            return ""
        if not is_float:
            return ""
        parent = holder
    if not isinstance(parent, (ast.Assign, ast.AnnAssign)):
        return ""
    targets = parent.targets if isinstance(parent, ast.Assign) else [parent.target]
    return _own_attribute(targets[0]) if len(targets) == 1 else ""


def _own_attribute(target: ast.expr) -> str:
    is_own = isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name)
    return target.attr if is_own and target.value.id == "self" else ""  # type: ignore


def _is_unread(code: Code, function: Function, attribute: str) -> bool:
    """Whether nothing in the file reads what a constructor stores."""
    cls = function.cls
    if cls is None or function.name != "__init__":
        return False
    known = uses(code)
    if not cls.is_module:
        # `self.dropout = dropout`, and `MLP(dropout=0)` where the model is built
        is_zero = attribute in _zeros(code).get(cls, ())
        if not is_zero and (cls not in _trainers(code) or bases_of_project(code, cls) is None):
            return False
        return not known.reads([*cls.lineage(), *_family(code).below(cls)], attribute)
    bases = using_bases(code, cls)
    if bases is None or any(uses(file).reads([base], attribute) for file, base in bases):
        return False
    family = [*cls.lineage(), *_family(code).below(cls)]
    forwards = [one.methods["forward"].node.body for one in family if "forward" in one.methods]
    if not forwards or any(map(is_stub, forwards)):
        return False
    if f"self.{attribute}" in explained(code, cls.node):
        return False
    return not (known.reads(family, attribute) or is_read_elsewhere(code, family, attribute))


@kept
def _trainers(code: Code) -> frozenset[Class | None]:
    """Returns the classes whose methods train a model."""
    return frozenset(
        call.cls
        for call in code.calls
        if isinstance(func := call.node.func, ast.Attribute)
        and (
            func.attr == "backward"
            or (func.attr == "step" and "optim" in code.text_of(func.value).lower())
        )
    )


@kept
def _zeros(code: Code) -> Mapping[Class | None, set[str]]:
    """Returns the names of rates that the methods of each class give as 0."""
    found: dict[Class | None, set[str]] = {}
    for call in code.calls:
        for each in call.node.keywords if call.cls is not None else ():
            is_rate = each.arg is not None and _is_rate(each.arg)
            if is_rate and is_number(p := code.value(each.value)) and p == 0:
                found.setdefault(call.cls, set()).add(each.arg or "")
    return found


def _is_rate(name: str) -> bool:
    said = tuple("dropout" if _OF_ONE_PLACE.fullmatch(each) else each for each in words(name))
    while said and said[-1].isdigit():
        said = said[:-1]
    if not said or name.startswith("_"):
        return False
    if said[-2:] in _PAIRS:
        return True
    if "dropout" in (said[0], *said[-2:-1]) and said[-1] in _PLACES:
        return True
    if said[:2] in _BEGINNINGS and said[-1] in _PLACES:
        return True
    if said[0] == "drop" and said[-1] in _PARTS:
        return True
    return not _DROPS.isdisjoint(said) and said[-1] in _LAST


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
    if not all(_changes_nothing(code, each) for each in node.decorator_list):
        return True
    if _does_nothing(node.body) or _excuses_itself(code, function):
        return True
    used = _names(code, node)
    own = function.parameters[1 if function.is_bound else 0 :]
    unused = [each.arg for each in own if each.arg not in used]
    rest = node.args.kwarg
    if not used.isdisjoint(_ANY_NAME):
        return True
    unused_rates = [each for each in unused if _is_rate(each)]
    asked = _asked(code, function, unused_rates)
    others = len(unused) - len(unused_rates)
    if True in asked:
        if _is_used_alike(code, function, unused_rates):
            return True
    elif others > 0 or len(unused) == len(own):
        return True
    is_swallowed = rest is not None and rest.arg not in used
    if is_swallowed and True not in asked and _are_off(code, function, unused):
        return True
    if cls is None:
        return rest is not None or function.name in _values(code)
    if function.name == "__init__":
        return cls in _family(code).abstract
    # What the file does not call is called through a class of another file, with its signature;
    # but a rate of `forward` that is above 0 by default is one that is meant to act.
    is_meant = function.name == "forward" and not _are_off(code, function, unused_rates)
    is_meant &= others == 0 and not _is_used_alike(code, function, unused_rates)
    return not ((function.callers or is_meant) and has_plain_bases(code, cls)) or any(
        function.name in one.methods for one in cls.lineage()[1:]
    )


def _asked(code: Code, function: Function, rates: list[str]) -> set[bool]:
    """Returns for the rates that calls of the file give whether they may be other than 0."""
    calls = calls_of(code).get(function, [])[:_MOST_ALIKE]
    given = ((function.given(call, name), name) for call in calls for name in rates)
    return {
        not constants(code).is_always(value, (0, None))
        for value, name in given
        if isinstance(value, ast.expr) and value is not function.defaults.get(name)
    }


def _changes_nothing(code: Code, decorator: ast.expr) -> bool:
    """Whether a decorator leaves the parameters as they are, and asks for none."""
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    if isinstance(called, ast.Name) and called.id == "staticmethod":
        return True
    return (code.name(called) or "").startswith(_PLAIN_DECORATORS)


def _names_of(function: Function) -> tuple[str, ...]:
    return tuple(each.arg for each in function.parameters)


def _is_used_alike(code: Code, function: Function, rates: list[str]) -> bool:
    """Whether a class that can take the place of another uses a rate that this one does not."""
    alike = _alike(code).get((function.name, *_names_of(function)), [])[:_MOST_ALIKE]
    return any(
        not _read_by(code, each).isdisjoint(rates)
        for each in alike
        if each.cls is not None
        and function.cls not in each.cls.lineage()  # itself, and what `_Family` looks at
        and (_takes(each) == _takes(function) or not (_takes(each) and _takes(function)))
    )


def _takes(function: Function) -> int:
    """Returns how many inputs a Module takes, of which this is the constructor; 0: not known."""
    forward = function.cls.method("forward") if function.cls is not None else None
    return 0 if forward is None or function.name == "forward" else len(forward.parameters)


@kept
def _read_by(code: Code, function: Function) -> frozenset[str]:
    return frozenset(code.names_in(function.node))


@kept
def _alike(code: Code) -> Mapping[tuple[str, ...], list[Function]]:
    """Returns the methods with each list of parameters: what can take each other's place."""
    found: dict[tuple[str, ...], list[Function]] = {}
    for function in code.functions:
        if function.cls is not None:
            found.setdefault((function.name, *_names_of(function)), []).append(function)
    return found


@kept
def _decorated(code: Code, cls: Class) -> set[str]:
    """Returns the names in the decorators of a class."""
    return {name for each in cls.node.decorator_list for name in _names(code, each)}


def _are_off(code: Code, function: Function, names: list[str]) -> bool:
    """Whether parameters have no default, or one that drops nothing."""
    defaults = (function.defaults.get(name) for name in names)
    return all(each is None or code.value(each) in (0, None) for each in defaults)


def _does_nothing(body: list[ast.stmt]) -> bool:
    """Whether a body is a stub, calls its base, or returns what it is given or a constant."""
    rest = [each for each in body if not is_stub([each]) and not _calls_base(each)]
    if len(rest) != 1 or not isinstance(rest[0], ast.Return):
        return not rest
    return rest[0].value is None or isinstance(rest[0].value, (ast.Constant, ast.Name))


def _calls_base(node: ast.stmt) -> bool:
    call = node.value if isinstance(node, ast.Expr) else None
    return (
        isinstance(call, ast.Call)
        and not call.args
        and not call.keywords
        and any(isinstance(each, ast.Name) and each.id == "super" for each in ast.walk(call))
    )


def _excuses_itself(code: Code, function: Function) -> bool:
    """Whether a comment at the parameters or the docstring says that something is not used.

    A sentence of the docstring about another parameter is not an excuse, nor is a `TODO`.
    """
    node = function.node
    first = node.body[0]
    lines = [code.line(n) for n in range(node.lineno, max(node.lineno + 1, first.lineno))]
    comments = [line.partition("#")[2] for line in lines]
    above = code.line(node.lineno - 1).lstrip()
    comments.append(above if above.startswith("#") else "")
    docstring = ast.get_docstring(node) if is_stub([first]) else None
    about = ""
    for line in (docstring or "").splitlines():
        said = _WORD.findall(line)[:2]  # `:param name`
        about = next((w for w in said if w in function.names), about if said else "")
        if not about or _is_rate(about):
            comments.append(_GAP.sub("", line))
    return any(EXCUSE.search(_OF_OTHERS.sub("", comment)) for comment in comments)


@kept
def _values(code: Code) -> frozenset[str]:
    """Returns the names that are passed on or stored: such a function is a callback."""
    called = {call.node.func for call in code.calls}
    return frozenset(
        each.id
        for each in code.inside(code.tree, ast.Name)
        if isinstance(each.ctx, ast.Load) and each not in called
    )


class _Family:
    """The subclasses of the classes of a file, and which classes are abstract."""

    def __init__(self, code: Code) -> None:
        self._code = code
        self._below: dict[Class, list[Class]] = {}
        for cls in code.classes:
            for base in cls.bases:
                self._below.setdefault(base, []).append(cls)
        self._names: dict[Class, set[str]] = {}
        self.abstract = set(self._down([cls for cls in code.classes if _is_abstract(cls)]))

    def _down(self, classes: list[Class]) -> Iterator[Class]:
        """Yields classes, and their direct and indirect subclasses."""
        seen = set(classes)
        waiting = list(classes)
        while waiting:
            cls = waiting.pop()
            yield cls
            new = [each for each in self._below.get(cls, ()) if each not in seen]
            seen.update(new)
            waiting += new

    def below(self, cls: Class) -> list[Class]:
        """Returns the subclasses of a class."""
        return list(islice(self._down(self._below.get(cls, [])), _MOST_BELOW))

    def uses(self, cls: Class, name: str) -> bool:
        """Whether a subclass mentions a name, or there are too many to read."""
        below = list(islice(self._down(self._below.get(cls, [])), _MOST_BELOW + 1))
        if len(below) > _MOST_BELOW:
            return True
        for one in below:
            if one not in self._names:
                self._names[one] = self._used(one)
            if name in self._names[one]:
                return True
        return False

    def _used(self, cls: Class) -> set[str]:
        """Returns the names in a class, without what its constructor only gives to its base."""
        init = cls.methods.get("__init__")
        used = _names(self._code, cls.node)
        if init is None:
            return used
        passed: dict[str, int] = {}
        for call in self._code.inside(init.node, ast.Call):
            if getattr(call.func, "attr", "") == "__init__":
                for each in (*call.args, *(k.value for k in call.keywords)):
                    if isinstance(each, ast.Name):
                        passed[each.id] = passed.get(each.id, 0) + 1
        named = self._code.names_in(cls.node)
        return used - {name for name, times in passed.items() if len(named[name]) == times}


@kept
def _family(code: Code) -> _Family:
    return _Family(code)


def _is_abstract(cls: Class) -> bool:
    """Whether a class itself has abstract methods, a base that says so, or a stub as `forward`."""
    marks = [mark for method in cls.methods.values() for mark in method.node.decorator_list]
    forward = cls.methods.get("forward")
    said = " ".join(map(ast.dump, [*marks, *cls.node.bases]))
    return any(word in said for word in ("abstract", "'ABC'", "'Protocol'")) or (
        forward is not None and is_stub(forward.node.body)
    )
