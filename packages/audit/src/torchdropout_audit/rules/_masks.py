"""Dropout by hand: random masks that set places of a tensor to zero, with a rate that says so."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from ..code import Class, Code, Function, words
from ..code.nodes import said_of
from ._rule import kept

_UNIFORM = frozenset(("torch.rand", "torch.rand_like", "numpy.random.rand"))
# Methods after which a mask is still a mask, and a uniform number a uniform number.
_CASTS = frozenset(
    ("float", "to", "type", "type_as", "half", "bool", "int", "long", "double", "detach", "clone")
    + ("unsqueeze", "expand", "expand_as", "view", "reshape", "repeat", "contiguous")
    + ("mul", "mul_", "div", "div_")
)
_ABOVE = (ast.Gt, ast.GtE, "gt", "ge")
_BELOW = (ast.Lt, ast.LtE, "lt", "le")
_DROPS = frozenset(
    ("drop", "dropout", "dropouts", "pdrop", "droppath", "dropconnect", "dropblock", "droprate")
)
_KEEPS = frozenset(("keep", "survival", "survive"))
_PLAIN = frozenset(("p", "prob", "rate", "probability", "ratio", "q"))
_SCALES = frozenset(("scale", "scaled", "scaler", "scaling", "rescale", "normalize", "norm", "div"))
# What else is dropped at random: the condition of a diffusion model, the edges of a graph.
_OTHER = frozenset(
    ("cond", "uncond", "unconditional", "cfg", "guidance", "condition", "conditional", "edge")
    + ("edges", "conditioning", "context", "classifier")
)
_DEEPEST = 12  # expressions and names that stand for one another: a circle, or unreadable
_MOST = 20  # values of one name


@dataclass(frozen=True)
class Mask:
    """A place where a random mask sets parts of a tensor to zero.

    Attributes:
        node: The product, or what fills with zero.
        drawn: The random numbers.
        rate: What they are compared with, or the probability of a Bernoulli draw.
        dropped: The probability to drop, if the mask is 1 where it keeps and that can be read.
        function: The function that `node` is in.
        is_product: Whether the mask is multiplied with a tensor.
        name: The name of the mask; "" if it has none.
    """

    node: ast.AST
    drawn: ast.Call
    rate: ast.expr
    dropped: ast.expr | None
    function: Function
    is_product: bool
    name: str


_Draw = tuple[ast.Call, ast.expr, "ast.expr | None"]


@kept
def masks(code: Code) -> tuple[Mask, ...]:
    """Returns the dropouts that a file makes by hand.

    A mask is random numbers that are compared with a rate, or a Bernoulli draw, followed through
    casts, reshapes and names. It counts if the rate, or else the class or the function around it,
    is named after dropout; one number for a whole layer does not. Of the places that apply a mask,
    the first is returned.
    """
    has_draw = any(word in code.text for word in ("rand", "ernoulli", "uniform_"))
    if not has_draw or "torch" not in code.text:
        return ()
    first: dict[ast.Call, Mask] = {}
    for mask in sorted(_masks(code), key=lambda mask: code.span(mask.node)):
        first.setdefault(mask.drawn, mask)
    return tuple(first.values())


def _masks(code: Code) -> Iterator[Mask]:
    for node in code.inside(code.tree, ast.Assign, ast.AugAssign, ast.BinOp, ast.Call):
        fills = [*_fills(code, node)]
        for side in fills or _factors(node):
            found, function = _draw(code, side), code.function_of(node)
            if found is not None and function is not None:
                drawn, rate, dropped = found
                if not _is_one_number(drawn) and is_rate(code, rate, function):
                    # What is set to zero is what is dropped, or what is kept.
                    dropped = None if fills else dropped
                    yield Mask(node, drawn, rate, dropped, function, not fills, _root(side))
                break


def _fills(code: Code, node: ast.AST) -> Iterator[ast.expr]:
    """Yields what may be a mask that says which places are set to zero."""
    if isinstance(node, ast.Assign):
        if isinstance(node.targets[0], ast.Subscript) and _is_zero(code, node.value):
            yield node.targets[0].slice
    elif isinstance(node, ast.Call) and any(_is_zero(code, each) for each in node.args):
        if code.name(node.func) == "torch.where":
            yield node.args[0]
        elif getattr(node.func, "attr", "").startswith("masked_fill"):
            yield from node.args[-2:-1]


def _factors(node: ast.AST) -> Iterator[ast.expr]:
    """Yields what may be the mask in a product."""
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("mul", "mul_"):
            yield from (*node.args, node.func.value)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        if not any(isinstance(each, ast.Constant) for each in (node.left, node.right)):
            yield from (node.right, node.left)
    elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Mult):
        yield node.value


def _is_zero(code: Code, expr: ast.expr) -> bool:
    """Whether an expression is 0, or a tensor of zeros."""
    if isinstance(expr, ast.Call):
        return getattr(expr.func, "attr", "") in ("zeros", "zeros_like", "new_zeros")
    value = code.value(expr)
    return isinstance(value, (int, float)) and value == 0


@kept
def _draw(code: Code, expr: ast.expr, depth: int = 0) -> _Draw | None:
    """Returns the draw of a mask, and its rate."""
    if depth > _DEEPEST:
        return None
    below = depth + 1
    if isinstance(expr, ast.Name):
        found = (_draw(code, each, below) for each in _values(code, expr))
        return next((each for each in found if each), None)
    if isinstance(expr, ast.Compare):
        return _ordered(code, expr.left, type(expr.ops[0]), expr.comparators[0])
    if isinstance(expr, ast.UnaryOp) and isinstance(expr.op, ast.Invert):
        return _inverted(_draw(code, expr.operand, below))
    if isinstance(expr, ast.BinOp):
        if isinstance(expr.op, (ast.Div, ast.Mult)):
            return _draw(code, expr.left, below)
        is_rest = isinstance(expr.op, ast.Sub) and isinstance(expr.left, ast.Constant)
        return _inverted(_draw(code, expr.right, below)) if is_rest else None
    if not isinstance(expr, ast.Call) or not isinstance(expr.func, ast.Attribute):
        return None
    attr, value, args = expr.func.attr, expr.func.value, expr.args
    if attr in ("bernoulli", "bernoulli_"):
        rate = args[-1] if args else value
        return expr, rate, _rest(rate)
    if attr in ("gt", "ge", "lt", "le") and args:
        return _ordered(code, value, attr, args[0])
    if attr in ("floor", "floor_", "int"):
        is_of_torch = code.name(expr.func) == "torch.floor" and args
        floored = _floored(code, args[0] if is_of_torch else value)
        if floored is not None:
            return floored
    return _draw(code, value, below) if attr in _CASTS else None


def _ordered(code: Code, left: ast.expr, op: object, right: ast.expr) -> _Draw | None:
    """Returns the draw of `left > right`, whichever of them is random."""
    for random, rate in ((left, right), (right, left)):
        drawn = _uniform(code, random) if op in (*_ABOVE, *_BELOW) else None
        if drawn is not None:
            is_above = (op in _ABOVE) is (random is left)
            return drawn, rate, rate if is_above else _rest(rate)
    return None


def _floored(code: Code, expr: ast.expr) -> _Draw | None:
    """Returns the draw of `floor(keep + rand)`, and `keep`."""
    values = _values(code, expr) if isinstance(expr, ast.Name) else [expr]
    for added in values[:1]:
        if isinstance(added, ast.BinOp) and isinstance(added.op, ast.Add):
            for random, keep in ((added.left, added.right), (added.right, added.left)):
                drawn = _uniform(code, random)
                if drawn is not None:
                    return drawn, keep, _rest(keep)
    return None


@kept
def _uniform(code: Code, expr: ast.expr, depth: int = 0) -> ast.Call | None:
    """Returns the call that draws uniform numbers."""
    if isinstance(expr, ast.Name):
        values = code.assigned(expr)
        only = values[0] if len(values) == 1 and depth < _DEEPEST else None
        return None if only is None else _uniform(code, only, depth + 1)
    if not isinstance(expr, ast.Call):
        return None
    if code.name(expr.func) in _UNIFORM or getattr(expr.func, "attr", "") == "uniform_":
        return expr
    is_cast = isinstance(expr.func, ast.Attribute) and expr.func.attr in _CASTS
    return _uniform(code, expr.func.value, depth) if is_cast else None  # type: ignore


def is_rate(code: Code, rate: ast.expr, function: Function) -> bool:
    """Whether what random numbers in a function are compared with is a rate of dropout.

    It is one by its names or by those around it.
    """
    said = _said(code, rate)
    if any(not _OTHER.isdisjoint(each) for each in said):
        return False
    if any(not (_DROPS | _KEEPS).isdisjoint(each) for each in said):
        return True
    holders = (function.name, function.cls.name if function.cls else "")
    return any(each[-1] in _PLAIN for each in said) and any(map(says_drop, holders))


@kept
def _said(code: Code, expr: ast.expr, depth: int = 0) -> frozenset[tuple[str, ...]]:
    """Returns the words of the names in a rate, and in what it is assigned from."""
    found = set()
    for each in ast.walk(expr):  # it may not be of the file: `1 - keep`
        found.add(words(said_of(each)))
        if isinstance(each, ast.Name):
            for value in _values(code, each) if depth < _DEEPEST else ():
                found |= _said(code, value, depth + 1)
    return frozenset(each for each in found if each)


def _values(code: Code, name: ast.Name) -> list[ast.expr]:
    """Returns the first values of a name."""
    return [each for each in code.assigned(name)[:_MOST] if each is not None]


def _inverted(draw: _Draw | None) -> _Draw | None:
    """Returns the draw of a mask that is 1 where this one is 0."""
    return None if draw is None else (draw[0], draw[1], None)


def _rest(keep: ast.expr) -> ast.expr | None:
    """Returns the probability to drop of what is kept with a probability."""
    if isinstance(keep, (ast.Name, ast.Attribute)):
        return ast.BinOp(ast.Constant(1), ast.Sub(), keep)
    return rest_of(keep)


def rest_of(expr: ast.expr) -> ast.expr | None:
    """Returns p of `1 - p`, or of what contains it: `torch.full_like(x, 1 - p)`."""
    for each in ast.walk(expr):
        if isinstance(each, ast.BinOp) and isinstance(each.op, ast.Sub):
            is_rest = isinstance(each.left, ast.Constant) and each.left.value == 1
            return each.right if is_rest else None
    return None


def _is_one_number(drawn: ast.Call) -> bool:
    """Whether a single number is drawn: `rand(1)` drops a layer and not places."""
    shape = getattr(drawn.args[0], "elts", drawn.args) if drawn.args else ()
    is_rand = getattr(drawn.func, "attr", "") == "rand"
    return is_rand and all(isinstance(e, ast.Constant) and e.value == 1 for e in shape)


def _root(expr: ast.AST) -> str:
    """Returns the name of a mask, without casts, `1 - ...` and `~`; "" if it has none."""
    while not isinstance(expr, ast.Name):
        if isinstance(expr, ast.UnaryOp):
            expr = expr.operand
        elif isinstance(expr, ast.BinOp):
            expr = expr.right if isinstance(expr.left, ast.Constant) else expr.left
        elif isinstance(expr, ast.Call) and isinstance(expr.func, ast.Attribute):
            expr = expr.func.value
        else:
            return ""
    return expr.id


def is_scaled(code: Code, mask: Mask) -> bool:
    """Whether a function, or the rest of its class, may make up for what a mask drops.

    It divides, has a name that says so, multiplies by the probability to keep, in evaluation, or
    uses what the mask leaves out: `1 - mask`.
    """
    rests = _rests(code, mask.function.cls or mask.function)
    return rests is None or mask.name in rests


@kept
def _rests(code: Code, holder: Class | Function) -> set[str] | None:
    """Returns the names whose rest is used: `1 - mask`, `~mask`; None if something scales."""
    found = set()
    for node in code.inside(holder.node, ast.BinOp, ast.AugAssign, ast.UnaryOp):
        if isinstance(node.op, ast.Div):
            return None
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
            sides = (node.left, node.right)
            # A product with ones is the probabilities of a draw.
            made = [said_of(each.func) for each in sides if isinstance(each, ast.Call)]
            is_draw = any("ones" in name for name in made) or any(_draw(code, e) for e in sides)
            if not is_draw and any(map(_is_keep, sides)):
                return None
        if isinstance(node.op, (ast.Invert, ast.Sub)):
            found.add(_root(node))
    for each in code.inside(holder.node, ast.Name, ast.Attribute):
        if not _SCALES.isdisjoint(words(said_of(each))):
            return None
    return found - {""}


def _is_keep(expr: ast.expr) -> bool:
    """Whether it is a probability to keep: `keep_prob`, `1 - p`."""
    if isinstance(expr, ast.BinOp):
        return isinstance(expr.op, ast.Sub) and isinstance(expr.left, ast.Constant)
    return not _KEEPS.isdisjoint(words(said_of(expr)))


def is_gated(code: Code, mask: Mask) -> bool:
    """Whether a test of training decides if a mask is drawn or applied, or what its rate is."""
    return code.gated(mask.node) or code.gated(mask.drawn) or code.depends_on_training(mask.rate)


def is_asked_for(code: Code, node: ast.AST, rate: object, function: Function | None) -> bool:
    """Whether a flag that a function is given, that is off by default and not a rate, decides.

    Args:
        code: The file.
        node: A dropout in the function.
        rate: Its rate.
        function: The function.
    """
    parts = ast.walk(rate) if isinstance(rate, ast.expr) else ()
    rates = {each.id for each in parts if isinstance(each, ast.Name)}
    return function is not None and any(
        not rates.issuperset(_flags_asked(code, function, parent))
        for parent in code.parents(node)
        if isinstance(parent, (ast.If, ast.IfExp))
    )


@kept
def _flags_asked(code: Code, function: Function, choice: ast.If | ast.IfExp) -> tuple[str, ...]:
    """Returns the flags of a function that a test asks for: off by default, or `use_dropout`."""
    asked = choice.test.values if isinstance(choice.test, ast.BoolOp) else [choice.test]
    named = (each for each in asked if isinstance(each, ast.Name))
    names = {each.id for each in named if _is_given(code, function, each)}
    on = {name for name in names if code.value(function.defaults.get(name, choice)) is True}
    return tuple(name for name in names if says_drop(name) or name not in on)


def _is_given(code: Code, function: Function, name: ast.Name) -> bool:
    """Whether a name is a parameter, or a part of one: `x, flag = inputs`."""
    nodes = [each.node for each in code.bindings(name)]
    values = [each.value for each in nodes if isinstance(each, ast.Assign)]
    held = {each.id for each in values if isinstance(each, ast.Name)}
    return name.id in function.names or not held.isdisjoint(function.names)


@kept
def parameter(code: Code, mask: Mask) -> str:
    """Returns the parameter of the function that the rate is made of; "" if there is none."""
    said = [mask.rate]
    for expr in said:
        for each in ast.walk(expr):
            if isinstance(each, ast.Name):
                said_here = words(each.id)
                is_rate_name = (_DROPS | _KEEPS) & {*said_here} or _PLAIN & {*said_here[-1:]}
                if each.id in mask.function.names and is_rate_name:
                    return each.id
                values = (value for value in code.assigned(each) if value is not None)
                said += [each for each in values if len(said) < _MOST and each not in said]
    return ""


def says_drop(name: str) -> bool:
    """Whether a name speaks of dropout.

    Example:
        >>> [says_drop(name) for name in ("drop_path", "locked_dropout", "dropped")]
        [True, True, False]
    """
    return not _DROPS.isdisjoint(words(name))
