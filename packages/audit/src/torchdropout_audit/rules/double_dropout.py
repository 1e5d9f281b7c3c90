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
from ._sequences import SHAPES, Layer, Path, drops, kind, reshapes
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

_HINT = "keep one, with the intended rate"
_DEEPEST = 3  # Modules in Modules
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
    the layers that a function applies in turn to one value. It sees a second dropout under an
    option, in the next turn of a loop, and where a method or a Module of the project begins or ends
    with a dropout. `view`, `squeeze`, `x[:, 0]` and other changes of the shape may be in between. A
    chain of several dropouts is reported once, at the second.

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
        name = _tail(code, _source(path))
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
        _HINT,
    )


def _at_head(code: Code, path: Path, seen: set[ast.AST]) -> Iterator[Hit]:
    """Yields a dropout right before a Module that begins with one, or the call of that Module.

    The dropout may be the end of another Module. One of this file, behind a dropout, is read as a
    part of the path.
    """
    if path.earlier is None or (path.last.name.startswith("torch.") and path.last.name):
        return
    before = next(_before(path, is_of_elements=True), path.earlier.last)
    is_dropout = drops(code, before) or _is_dropout_elsewhere(code, before)
    name = "" if is_dropout else _tail(code, _source(path, is_of_elements=True))
    if not (is_dropout or name):
        return
    begins = _begins_with_one(code, path.last, is_here=bool(name))
    place = before.node if is_dropout else path.last.node
    if not begins or place in seen or exclude(code, path.last.node, before.node):
        return
    seen.add(place)
    said = f"{kind(before)} right before {begins}" if is_dropout else f"{begins} right after {name}"
    yield Hit(
        place,
        f"{said}, which begins with a dropout: together they drop more than either says",
        _HINT,
    )


def _begins_with_one(code: Code, layer: Layer, is_here: bool) -> str:
    """Returns the name of the Module that a layer is, if it first drops what it is given."""
    names = {
        value.cls.name
        if isinstance(value, Made)
        and (is_here or there is not code)
        and _begins(there, value.cls, value.call, outer)
        else ""
        for there, value, outer in _applied(code, layer)
    }
    return names.pop() if len(names) == 1 else ""


def _applied(code: Code, layer: Layer, stack: Stack = ()) -> list[tuple[Code, Value, Stack]]:
    """Returns what a call may apply that is not a layer of torch.

    Args:
        code: The file of the call.
        layer: The call.
        stack: The Modules that are read, with the calls that build them.

    Returns:
        Each with its file, and with those of the Modules that are of the same file.
    """
    if layer.name:
        there = None if layer.call is None else class_of_project(code, layer.call)
        if there is None or layer.call is None:
            return []
        return [(there[0], Made(there[1], abroad(code, layer.call, stack)), ())]
    if not isinstance(layer.node, ast.Call):
        return []
    found: list[tuple[Code, Value, Stack]] = []
    for value in values(code).of(layer.node.func, code.class_of(layer.node)):
        if not isinstance(value, Layer):
            found.append((code, value, stack))
        elif value.name and not value.name.startswith("torch."):
            found += _applied(code, value, stack)
    return found


def _is_dropout_elsewhere(code: Code, layer: Layer) -> bool:
    """Whether a layer is a dropout of elements, by the name of its class in another file."""
    if layer.call is None or words(kind(layer))[-1:] != ("dropout",):
        return False
    node = layer.call.node
    given = (*node.args, *(each.value for each in node.keywords))
    is_off = any(constants(code).is_always(each, (0,)) for each in given)
    return not is_off and class_of_project(code, layer.call) is not None


def _begins(code: Code, cls: Class, call: Call, stack: Stack, depth: int = 0) -> bool:
    """Whether a Module first drops what it is given.

    Args:
        code: The file of its class.
        cls: Its class.
        call: What builds it.
        stack: The Modules of the file that it is in.
        depth: How many Modules it is in.
    """
    stack = ((cls, call), *stack)
    for layer in _first(code, cls) if depth < _DEEPEST else ():
        if drops(code, layer):
            if _may_drop(code, layer, stack):
                return True
            continue
        for there, value, outer in _applied(code, layer, stack):
            if isinstance(value, Made) and _begins(there, value.cls, value.call, outer, depth + 1):
                return True
    return False


@kept
def _first(code: Code, cls: Class) -> list[Layer]:
    """Returns the dropouts and the Modules that a Module applies to what it is given."""
    forward = cls.method("forward")
    if forward is None:
        return []
    mark = ast.expr()
    given = Path(Layer(mark, "torch.nn.Dropout"), None, ends=False, whole=mark)
    return [
        path.last
        for path in reader(code).entered(forward, given)
        if (drops(code, path.last) or not path.last.name.startswith("torch."))
        and next((b.node for b in _before(path)), None) is mark
    ]


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


def _source(path: Path, is_of_elements: bool | None = None) -> Path | None:
    """Returns the path of what a layer acts on, apart from changes of its shape."""
    if is_of_elements is None:
        is_of_elements = kind(path.last) in _ELEMENTS
    earlier = path.earlier
    while earlier is not None and is_of_elements and reshapes(earlier.last) and not earlier.loose:
        earlier = earlier.earlier
    return earlier


def _tail(code: Code, path: Path | None) -> str:
    """Returns the name of the dropout that ends the method or the Module that a path ends with."""
    return "" if path is None or path.loose else _end_of(code, path.last)


def _end_of(code: Code, layer: Layer, stack: Stack = (), depth: int = 0) -> str:
    cls = code.class_of(layer.node)
    ends = {
        _end(there, value, cls, outer, depth)
        for there, value, outer in _applied(code, layer, stack)
    }
    return min(ends) if ends else ""


def _end(code: Code, value: Value, cls: Class | None, stack: Stack, depth: int) -> str:
    """Returns the name of the dropout that ends a method or a Module; "" if none does."""
    function: object = value.target if isinstance(value, Maker) else None
    if isinstance(value, Made):
        function, cls = value.cls.method("forward"), value.cls
        stack = ((value.cls, value.call), *stack)
    if not isinstance(function, Function) or depth >= _DEEPEST:
        return ""
    call = _result(code, function)
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
            else:
                return _end(code, each, cls, stack, depth + 1)
    if len(layers) != 1:
        return ""
    if not drops(code, layers[0]):
        is_layer = layers[0].name.startswith("torch.")
        return "" if is_layer else _end_of(code, layers[0], stack, depth + 1)
    return kind(layers[0]) if _may_drop(code, layers[0], stack) else ""


@kept
def _result(_: Code, function: Function) -> ast.Call | None:
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
        return _unshaped(only) if len(returned) == 1 else None
    for statement in reversed(function.node.body):
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target, value = statement.targets[0], statement.value
            if isinstance(target, ast.Name) and target.id == name:
                return _unshaped(value)
        if any(
            isinstance(e, ast.Name) and e.id == name and isinstance(e.ctx, ast.Store)
            for e in ast.walk(statement)
        ):
            return None
    return None


def _unshaped(expr: ast.expr | None) -> ast.Call | None:
    """Returns the call whose result an expression is, apart from changes of its shape."""
    while (
        isinstance(expr, ast.Call)
        and isinstance(expr.func, ast.Attribute)
        and expr.func.attr in SHAPES
        and isinstance(expr.func.value, ast.Call)
    ):
        expr = expr.func.value
    return expr if isinstance(expr, ast.Call) else None
