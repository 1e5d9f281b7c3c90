"""TD143: one dropout right after another."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import islice

from ..code import Call, Class, Code, Function, words
from ._abroad import abroad, class_of_project
from ._constants import Stack, constants
from ._excuses import exclude
from ._paths import paths, reader, values
from ._rule import Hit, kept, rule
from ._sequences import Layer, Path, drops, has_dropout, kind, reshapes
from ._values import Listed, Made, Maker, Value

BROKEN = """\
from torch import nn

head = nn.Sequential(
    nn.Linear(64, 64),
    nn.ReLU(),
    nn.Dropout(0.5),
    nn.Dropout(0.5),
    nn.Linear(64, 10),
)
"""
FIXED = """\
from torch import nn

head = nn.Sequential(
    nn.Linear(64, 64),
    nn.ReLU(),
    nn.Dropout(0.5),
    nn.Linear(64, 10),
)
"""

_OTHERS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_ELEMENTS = frozenset(("Dropout", "dropout", "AlphaDropout", "alpha_dropout"))


@rule(
    "TD143",
    group="order",
    severity="advice",
    broken=BROKEN,
    fixed=FIXED,
    evidence="ConvE#19 (once after the embedding and again), seq2seq#79 (two stacked in a loop), "
    "the embeddings of blt and kosmos-2.5 in transformers.",
)
def double_dropout(code: Code) -> Iterator[Hit]:
    """A dropout is not applied to the result of another dropout.

    The rule looks at the layers of a Sequential, or of a list that grows and becomes one, and at
    what a function applies in turn to one value, also by an option, or where a method or a Module
    of the project ends, or begins, with a dropout, and in the next turn of a loop; `view`,
    `squeeze`, `x[:, 0]` and other changes of the shape may be in between. A chain of several
    dropouts is reported once, at the second.

    Two dropouts of p and q drop 1 - (1 - p)(1 - q): twice 0.5 drops 0.75, and no number in the
    source says so. Most often one of them was left behind when a layer between them was removed.

    To fix: keep one, with the intended rate.
    """
    seen: set[ast.AST] = set()
    for path in paths(code):
        layer = path.last
        if not drops(code, layer):
            yield from _at_head(code, path, seen)
        elif layer.node not in seen:
            yield from _behind(code, path, seen)


def _behind(code: Code, path: Path, seen: set[ast.AST]) -> Iterator[Hit]:
    """Yields a dropout that comes right after another."""
    last = path.last
    found = [last, *islice(_before(path), 2)]
    name = kind(found[1]) if len(found) > 1 and drops(code, found[1]) else ""
    if len(found) == 1 or not (name or drops(code, found[1])):
        name = _tail(code, path)
        found = found[:1]
    elif found[1].node is last.node or exclude(code, last.node, found[1].node):
        return
    if not name:
        return
    seen.add(last.node)
    if len(found) == 3 and drops(code, found[2]):
        return  # a longer chain is reported at its second dropout
    yield Hit(
        last.node,
        f"{kind(last)} right after {name}: together they drop more than either says",
        "keep one, with the intended rate",
    )


def _at_head(code: Code, path: Path, seen: set[ast.AST]) -> Iterator[Hit]:
    """Yields a dropout right before a Module of another file that begins with one."""
    call = path.last.call
    if call is None or path.earlier is None:
        return
    before = next(_before(path, is_of_elements=True), path.earlier.last)
    if before.node in seen or not (drops(code, before) or _is_dropout_elsewhere(code, before)):
        return
    there = class_of_project(code, call)
    if there is None or not _begins(*there, abroad(code, call)):
        return
    if exclude(code, path.last.node, before.node):
        return
    seen.add(before.node)
    yield Hit(
        before.node,
        f"{kind(before)} right before {there[1].name}, which begins with a dropout: together they "
        "drop more than either says",
        "keep one, with the intended rate",
    )


def _is_dropout_elsewhere(code: Code, layer: Layer) -> bool:
    """Whether a layer is a dropout of elements, by the name of its class in another file."""
    if layer.call is None or words(kind(layer))[-1:] != ("dropout",):
        return False
    node = layer.call.node
    given = (*node.args, *(each.value for each in node.keywords))
    is_off = any(constants(code).is_always(each, (0,)) for each in given)
    return not is_off and class_of_project(code, layer.call) is not None


def _begins(code: Code, cls: Class, call: Call) -> bool:
    """Whether a Module first drops what it is given.

    Args:
        code: The file of its class.
        cls: Its class.
        call: What builds it.
    """
    first = _first(code, cls)
    return first is not None and _may_drop(code, first, ((cls, call),))


@kept
def _first(code: Code, cls: Class) -> Layer | None:
    """Returns the dropout that a Module applies to what it is given, before anything else."""
    forward = cls.method("forward")
    if forward is None or not has_dropout(code):
        return None
    mark = ast.expr()
    given = Path(Layer(mark, "torch.nn.Dropout"), None, ends=False, whole=mark)
    applied = [*reader(code).entered(forward, given)]
    first = (
        path.last
        for path in applied
        if drops(code, path.last) and next((b.node for b in _before(path)), None) is mark
    )
    return next(first, None)


def _may_drop(code: Code, layer: Layer, stack: Stack) -> bool:
    """Whether the rate of a dropout is not 0 in the Module that is built."""
    rate = None if layer.call is None else layer.call.argument("p")
    return not constants(code).is_always(rate, (0,), stack)


def _before(path: Path, is_of_elements: bool | None = None) -> Iterator[Layer]:
    """Yields the layers before one; whole slices are dropped along another axis after a change."""
    if is_of_elements is None:
        is_of_elements = kind(path.last) in _ELEMENTS
    for each in path.perhaps():
        layer = each.last
        if each.loose and not layer.name.endswith("ropout"):
            return
        if not (reshapes(layer) and is_of_elements):
            yield layer


def _tail(code: Code, path: Path) -> str:
    """Returns the name of the dropout that ends a method or a Module right before a dropout."""
    earlier = path.earlier
    node = None if earlier is None or earlier.loose else earlier.last.node
    if earlier is None or not isinstance(node, ast.Call):
        return ""
    if earlier.last.name:
        call = earlier.last.call
        there = class_of_project(code, call) if call is not None else None
        made = None if there is None or call is None else abroad(code, call)
        return "" if there is None or made is None else _end(there[0], Made(there[1], made))
    ends = (
        _end(code, value, code.class_of(node))
        for value in values(code).of(node.func, code.class_of(node))
    )
    return next(filter(None, ends), "")


def _end(code: Code, value: Value, cls: Class | None = None) -> str:
    """Returns the name of the dropout that ends a method or a Module; "" if none does."""
    function: object = value.target if isinstance(value, Maker) else None
    stack: Stack = ()
    if isinstance(value, Made):
        function, cls = value.cls.method("forward"), value.cls
        stack = ((value.cls, value.call),)
    call = _result(function) if isinstance(function, Function) else None
    if call is None:
        return ""
    known = values(code)
    said = known.reader.calls.get(call)
    layers: list[Layer] = []
    if said is not None and said.name is not None:
        layers = [Layer(call, said.name, said)]
    else:
        for each in known.of(call.func, cls):
            if isinstance(each, Listed) and each.is_chain and each.parts:
                options = () if each.parts[-1].may_lack else each.parts[-1].options
                layers += [one for one in options if isinstance(one, Layer)]
            elif isinstance(each, Layer):
                layers.append(each)
    if len(layers) != 1 or not drops(code, layers[0]) or not _may_drop(code, layers[0], stack):
        return ""
    return kind(layers[0])


def _result(function: Function) -> ast.Call | None:
    """Returns the call whose result a function returns first, at once or by a name."""
    returned: list[ast.expr | None] = []
    waiting: list[ast.AST] = [*function.node.body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Return):
            is_several = isinstance(node.value, ast.Tuple) and node.value.elts
            returned.append(node.value.elts[0] if is_several else node.value)  # type: ignore
        elif isinstance(node, ast.stmt) and not isinstance(node, _OTHERS):
            waiting += ast.iter_child_nodes(node)
    names = {each.id if isinstance(each, ast.Name) else "" for each in returned}
    if len(names) != 1:
        return None
    name = names.pop()
    if not name:
        only = returned[0] if isinstance(function.node.body[-1], ast.Return) else None
        return only if len(returned) == 1 and isinstance(only, ast.Call) else None
    for statement in reversed(function.node.body):
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target, value = statement.targets[0], statement.value
            if isinstance(target, ast.Name) and target.id == name:
                return value if isinstance(value, ast.Call) else None
        if any(
            isinstance(e, ast.Name) and e.id == name and isinstance(e.ctx, ast.Store)
            for e in ast.walk(statement)
        ):
            return None
    return None
