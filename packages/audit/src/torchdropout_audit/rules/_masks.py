"""Dropout by hand: random masks that set places of a tensor to zero, with a rate that says so."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from ..code import Code, Function, words
from ._rule import kept

_UNIFORM = frozenset(
    ("torch.rand", "torch.rand_like", "numpy.random.rand", "numpy.random.uniform")
    + ("numpy.random.random", "numpy.random.random_sample")
)
_CASTS = frozenset(
    ("float", "to", "type", "type_as", "half", "bool", "int", "long", "byte", "double", "cuda")
    + ("unsqueeze", "unsqueeze_", "expand", "expand_as", "view", "view_as", "reshape", "squeeze")
    + ("contiguous", "detach", "clone", "astype", "requires_grad_", "repeat", "div", "div_")
    + ("mul", "mul_", "eq", "ne", "logical_not")
)
"""Methods after which a mask is still a mask."""
_MAKERS = frozenset(("torch.from_numpy", "torch.tensor", "torch.as_tensor", "torch.FloatTensor"))
_GREATER = frozenset(("gt", "ge", "greater", "greater_equal"))
_LESS = frozenset(("lt", "le", "less", "less_equal"))
_ONES = frozenset(("torch.ones", "torch.ones_like", "new_ones"))
_DROPS = frozenset(
    ("drop", "dropout", "dropouts", "pdrop", "droppath", "dropconnect", "dropblock", "droprate")
)
_KEEPS = frozenset(("keep", "survival", "survive"))
_PLAIN = frozenset(("p", "prob", "rate", "probability", "ratio", "q"))
_SCALES = frozenset(
    ("scale", "scaled", "scaler", "scaling", "rescale", "normalize", "norm", "factor")
    + ("inverse", "inv", "multiplier", "div", "divide", "reciprocal")
)
_OTHER = frozenset(
    ("cond", "uncond", "unconditional", "unconditioned", "cfg", "guidance", "edge", "edges")
    + ("condition", "conditional", "conditioning", "context", "classifier")
)


@dataclass(frozen=True)
class Mask:
    """A place where a random mask sets parts of a tensor to zero.

    Attributes:
        node: The product, or the call that fills with zero.
        drawn: The random numbers.
        rate: What they are compared with, or the probability of a Bernoulli draw.
        dropped: The probability to drop, if the mask is 1 where it keeps and that can be read.
        function: The function that `node` is in.
        is_scaled: Whether something may make up for what is dropped.
        is_chosen: Whether the mask chooses what is set to zero, or left out: `x[mask] = 0`.
    """

    node: ast.AST
    drawn: ast.Call
    rate: ast.expr
    dropped: ast.expr | None
    function: Function
    is_scaled: bool
    is_chosen: bool


_DEEPEST = 60  # names that stand for names: a circle, or unreadable
_MOST = 20  # values of one name
_MOST_NODES = 1_000  # of a rate and what it is assigned from: a person wrote fewer

_Draw = tuple[ast.Call, ast.expr, ast.expr | None]


@kept
def masks(code: Code) -> tuple[Mask, ...]:
    """Returns the dropouts that a file makes by hand.

    A mask is random numbers that are compared with a rate, or a Bernoulli draw, followed through
    casts, reshapes and names. It counts if the rate, or else the class or the function around it,
    is named after dropout; one number for a whole layer does not. Of the places that apply a mask,
    the first is returned.
    """
    has_draw = any(word in code.text for word in ("rand", "ernoulli", "inomial", "uniform_"))
    if not has_draw or "torch" not in code.text:
        return ()
    first: dict[ast.Call, Mask] = {}
    for mask in sorted(_Finder(code).masks(), key=lambda mask: code.span(mask.node)):
        first.setdefault(mask.drawn, mask)
    return tuple(first.values())


class _Finder:
    """Follows the masks of one file. Each expression is looked at once, whatever asks for it."""

    def __init__(self, code: Code) -> None:
        self._code = code
        self._draws: dict[ast.expr, _Draw | None] = {}
        self._uniforms: dict[ast.expr, ast.Call | None] = {}
        self._words: dict[ast.expr, frozenset[tuple[str, ...]]] = {}
        self._balances: dict[ast.AST, tuple[bool, frozenset[str]]] = {}
        self._depth = 0

    def masks(self) -> Iterator[Mask]:
        code = self._code
        places = (ast.Assign, ast.AugAssign, ast.BinOp, ast.Call, ast.Subscript)
        for node in code.inside(code.tree, *places):
            chosen = [*self._chosen(node)]
            if not chosen and not isinstance(node, (ast.BinOp, ast.AugAssign, ast.Call)):
                continue
            for side in chosen or self._sides(node):
                found = self._draw(side)
                if found is None:
                    continue
                drawn, rate, dropped = found
                function = code.function_of(node)
                if function is None or _is_one_number(drawn) or not self.is_rate(rate, function):
                    break
                is_scaled, is_chosen = self._is_scaled(function, side), side in chosen
                # What is set to zero is what is dropped, or what is kept.
                is_read = isinstance(node, ast.Subscript)  # x[mask] keeps what the mask has
                is_filled = "fill" in getattr(getattr(node, "func", None), "attr", "")
                dropped = None if is_filled or (is_chosen and not is_read) else dropped
                yield Mask(node, drawn, rate, dropped, function, is_scaled, is_chosen)
                break

    def _chosen(self, node: ast.AST) -> Iterator[ast.expr]:
        """Yields what may be a mask by which places are set to zero, or left out of a dropout."""
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            if self._is_zero(node.value):
                yield from _indices(node.targets[0])
        elif isinstance(node, ast.Call):
            is_where = self._code.name(node.func) == "torch.where"
            if is_where and any(map(self._is_zero, node.args)):
                yield node.args[0]
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            function = self._code.function_of(node)
            is_dropout = function is not None and says_drop(function.name)
            if is_dropout and _OTHER.isdisjoint(words(function.name)):  # type: ignore[union-attr]
                yield from _indices(node)

    def _sides(self, node: ast.BinOp | ast.AugAssign | ast.Call) -> Iterator[ast.expr]:
        """Yields what may be the mask in a product, or in a call that fills with zero."""
        if isinstance(node, ast.Call):
            func = node.func
            if not isinstance(func, ast.Attribute):
                return
            of_torch = (self._code.name(func) or "").startswith("torch.")
            given = node.args if of_torch else [func.value, *node.args]
            if func.attr in ("mul", "mul_", "multiply", "multiply_") and len(given) > 1:
                yield from (given[1], given[0])
            elif func.attr in ("masked_fill", "masked_fill_") and len(given) > 1:
                fills = (*given[2:], *(each.value for each in node.keywords))
                if any(map(self._is_zero, fills)):
                    yield given[1]
        elif isinstance(node.op, ast.Mult):
            if isinstance(node, ast.AugAssign):
                yield node.value
            elif not any(isinstance(each, ast.Constant) for each in (node.left, node.right)):
                yield from (node.right, node.left)

    def _is_zero(self, expr: ast.expr) -> bool:
        """Whether an expression is 0, or a tensor of zeros."""
        if isinstance(expr, ast.Call):
            said = expr.func.attr if isinstance(expr.func, ast.Attribute) else ""
            if said in ("zeros", "zeros_like", "new_zeros"):
                return True
            is_made = said in ("tensor", "as_tensor", "new_tensor") and expr.args
            return bool(is_made) and self._is_zero(expr.args[0])
        value = self._code.value(expr)
        return isinstance(value, (int, float)) and value == 0

    def _draw(self, expr: ast.expr) -> _Draw | None:
        """Returns the draw of a mask, and its rate."""
        if expr not in self._draws and self._depth < _DEEPEST:
            self._draws[expr] = None  # for a circle
            self._depth += 1
            self._draws[expr] = self._find_draw(expr)
            self._depth -= 1
        return self._draws.get(expr)

    def _find_draw(self, expr: ast.expr) -> _Draw | None:
        if isinstance(expr, ast.Name):
            return next((found for each in self._values(expr) if (found := self._draw(each))), None)
        if isinstance(expr, ast.Compare) and len(expr.ops) == 1:
            return self._compared(expr)
        if isinstance(expr, ast.UnaryOp) and isinstance(expr.op, ast.Invert):
            return _inverted(self._draw(expr.operand))
        if isinstance(expr, ast.BinOp):
            if isinstance(expr.op, (ast.Div, ast.Mult)):
                return self._draw(expr.left)
            is_rest = isinstance(expr.op, ast.Sub) and isinstance(expr.left, ast.Constant)
            return _inverted(self._draw(expr.right)) if is_rest else None
        return self._called(expr) if isinstance(expr, ast.Call) else None

    def _compared(self, expr: ast.Compare) -> _Draw | None:
        left, right = expr.left, expr.comparators[0]
        if isinstance(expr.ops[0], (ast.Eq, ast.NotEq)):  # mask == 0
            return _inverted(self._draw(left)) if isinstance(right, ast.Constant) else None
        if not isinstance(expr.ops[0], (ast.Lt, ast.LtE, ast.Gt, ast.GtE)):
            return None
        return self._ordered(left, right, is_greater=isinstance(expr.ops[0], (ast.Gt, ast.GtE)))

    def _ordered(self, left: ast.expr, right: ast.expr, *, is_greater: bool) -> _Draw | None:
        """Returns the draw of `left > right`, or of `left < right`."""
        draw = self._with_uniform(left, right)
        if draw is not None:
            is_above = is_greater is (draw[1] is right)
            draw = (draw[0], draw[1], draw[1] if is_above else _rest(draw[1]))
        return draw

    def _with_uniform(self, left: ast.expr, right: ast.expr) -> _Draw | None:
        for one, other in ((left, right), (right, left)):
            draw = self._uniform(one)
            if draw is not None:
                return draw, other, None
        return None

    def _called(self, expr: ast.Call) -> _Draw | None:
        name = self._code.name(expr.func) or ""
        if name == "torch.bernoulli" and expr.args:
            by_name = (k.value for k in expr.keywords if k.arg == "p")
            rate = next(by_name, expr.args[-1] if len(expr.args) == 2 else expr.args[0])
            return expr, rate, _rest(rate)
        if name == "numpy.random.binomial" and len(expr.args) > 1:
            return expr, expr.args[1], _rest(expr.args[1])
        if name == "torch.floor" and expr.args:
            return self._floored(expr.args[0])
        if name.endswith("autograd.Variable") or name in _MAKERS:
            return self._draw(expr.args[0]) if expr.args else None
        if not isinstance(expr.func, ast.Attribute):
            return None
        attr, value = expr.func.attr, expr.func.value
        if attr == "bernoulli_" and expr.args:
            return expr, expr.args[0], _rest(expr.args[0])
        if attr == "bernoulli" and not expr.args and not expr.keywords:
            return expr, value, _rest(value)
        if attr in ("floor", "floor_"):
            return self._floored(value)
        if attr == "sample":
            made = self._first(value)
            if not isinstance(made, ast.Call):
                return None
            kind = (self._code.name(made.func) or "").rpartition(".")[2]
            given = [*(k.value for k in made.keywords if k.arg == "probs"), *made.args]
            if kind == "Binomial":  # of one trial: Binomial(probs=1 - p), Binomial(1, 1 - p)
                given = self._of_one_trial(made)
            if kind not in ("Bernoulli", "Binomial") or not given:
                return None
            return expr, given[0], _rest(given[0])
        if attr in _GREATER | _LESS and len(expr.args) == 1:
            return self._ordered(value, expr.args[0], is_greater=attr in _GREATER)
        if attr in ("int", "long", "byte"):
            floored = self._floored(value)  # (keep + torch.rand(n)).int()
            if floored is not None:
                return floored
        return self._draw(value) if attr in _CASTS else None

    def _of_one_trial(self, made: ast.Call) -> list[ast.expr]:
        """Returns the probability of a Binomial distribution that is 0 or 1."""
        named = {each.arg: each.value for each in made.keywords}
        count = named.get("total_count", made.args[0] if made.args else None)
        is_one = None not in named and (count is None or self._code.value(count) == 1)
        given = [named["probs"]] if "probs" in named else made.args[1:]
        return given if is_one else []

    def _floored(self, expr: ast.expr) -> _Draw | None:
        """Returns the draw of `floor(keep + rand)`, and `keep`."""
        added = self._added(expr) if isinstance(expr, ast.Name) else None
        expr = self._first(expr)
        if added is not None:  # kept = keep; kept += torch.rand(n)
            draw = self._with_uniform(expr, added)
        elif isinstance(expr, ast.BinOp) and isinstance(expr.op, ast.Add):
            draw = self._with_uniform(expr.left, expr.right)
        else:
            return None
        return None if draw is None else (draw[0], draw[1], _rest(draw[1]))

    def _added(self, name: ast.Name) -> ast.expr | None:
        """Returns what is added to a name that is assigned once, and added to once."""
        kinds = self._code.bindings(name)
        added = kinds[1].node if len(kinds) == 2 else None
        is_sum = isinstance(added, ast.AugAssign) and isinstance(added.op, ast.Add)
        return added.value if is_sum and kinds[0].kind == "value" else None  # type: ignore

    def _first(self, expr: ast.expr) -> ast.expr:
        """Returns what a name, or an attribute of self, is assigned first."""
        if not isinstance(expr, (ast.Name, ast.Attribute)):
            return expr
        first = next(iter(self._code.assigned(expr)), None)
        return expr if first is None else first

    def _uniform(self, expr: ast.expr) -> ast.Call | None:
        """Returns the call that draws uniform numbers."""
        if expr not in self._uniforms and self._depth < _DEEPEST:
            self._uniforms[expr] = None  # for a circle
            self._depth += 1
            self._uniforms[expr] = self._find_uniform(expr)
            self._depth -= 1
        return self._uniforms.get(expr)

    def _find_uniform(self, expr: ast.expr) -> ast.Call | None:
        if isinstance(expr, ast.Name):
            values = self._code.assigned(expr)
            only = values[0] if len(values) == 1 else None
            return None if only is None else self._uniform(only)
        if not isinstance(expr, ast.Call):
            return None
        if self._code.name(expr.func) in _UNIFORM:
            return expr
        if not isinstance(expr.func, ast.Attribute):
            return None
        if expr.func.attr == "uniform_":
            return expr
        return self._uniform(expr.func.value) if expr.func.attr in _CASTS else None

    def is_rate(self, rate: ast.expr, function: Function) -> bool:
        """Whether a rate is one of dropout, by its names or by those around it."""
        said = self._said(rate)
        if any(not _OTHER.isdisjoint(each) for each in said):
            return False
        if any(not (_DROPS | _KEEPS).isdisjoint(each) for each in said):
            return True
        holders = (function.name, function.cls.name if function.cls else "")
        return any(each[-1] in _PLAIN for each in said) and any(map(says_drop, holders))

    def _said(self, expr: ast.expr) -> frozenset[tuple[str, ...]]:
        """Returns the words of the names in a rate, and in what it is assigned from."""
        if expr not in self._words and self._depth < _DEEPEST:
            self._words[expr] = frozenset()  # for a circle
            self._depth += 1
            found = set()
            for each in ast.walk(expr):  # it may not be of the file: `1 - keep`
                if isinstance(each, ast.Attribute):
                    found.add(words(each.attr))
                elif isinstance(each, ast.Name):
                    found.add(words(each.id))
                    for value in self._values(each):
                        found |= self._said(value)
            self._depth -= 1
            self._words[expr] = frozenset(each for each in found if each)
        return self._words.get(expr, frozenset())

    def _values(self, name: ast.Name) -> list[ast.expr]:
        """Returns the first values of a name."""
        return [each for each in self._code.assigned(name)[:_MOST] if each is not None]

    def _is_scaled(self, function: Function, mask: ast.expr) -> bool:
        """Whether a function, or the rest of its class, may make up for what a mask drops."""
        holder = function.cls.node if function.cls is not None else function.node
        if holder not in self._balances:
            self._balances[holder] = self._balance(holder)
        is_scaled, rests = self._balances[holder]
        return is_scaled or _root(mask) in rests

    def _is_filled(self, expr: ast.expr) -> bool:
        """Whether an expression builds a tensor of ones."""
        expr = self._first(expr)
        if not isinstance(expr, ast.Call):
            return False
        name = self._code.name(expr.func) or getattr(expr.func, "attr", "")
        return name in _ONES

    def _balance(self, holder: ast.AST) -> tuple[bool, frozenset[str]]:
        """Returns whether something scales, and the names whose rest is used: `1 - mask`.

        Something scales if it divides, has a name that says so, or is `x * (1 - p)`, in evaluation.
        """
        rests = set()
        for node in ast.walk(holder):
            if isinstance(node, (ast.BinOp, ast.AugAssign)):
                if isinstance(node.op, (ast.Div, ast.Pow)):
                    return True, frozenset()
                if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
                    sides = (node.left, node.right)
                    if (
                        any(map(_is_keep, sides))
                        and not any(map(self._draw, sides))
                        and not any(map(self._is_filled, sides))  # the probabilities of a draw
                    ):
                        return True, frozenset()
            if isinstance(node, (ast.Name, ast.Attribute)):
                name = node.id if isinstance(node, ast.Name) else node.attr
                if not _SCALES.isdisjoint(words(name)):
                    return True, frozenset()
            rests |= _rest_of(node)
        return False, frozenset(rests)


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


def _indices(node: ast.Subscript) -> Iterator[ast.expr]:
    """Yields what a tensor is indexed by."""
    if isinstance(node.slice, ast.Tuple):
        yield from node.slice.elts
    elif isinstance(node.slice, (ast.Name, ast.Compare, ast.Call, ast.UnaryOp)):
        yield node.slice


def _is_one_number(drawn: ast.Call) -> bool:
    """Whether a single number is drawn: it drops a layer and not places."""
    name = drawn.func.attr if isinstance(drawn.func, ast.Attribute) else ""
    if name not in ("rand", "random", "uniform", "random_sample"):
        return False
    shape: list[ast.expr] = list(drawn.args)
    if len(shape) == 1 and isinstance(shape[0], (ast.Tuple, ast.List)):
        shape = shape[0].elts
    return all(isinstance(each, ast.Constant) and each.value == 1 for each in shape)


def _is_keep(expr: ast.expr) -> bool:
    """Whether it is a probability to keep: `keep_prob`, `1 - p`."""
    if isinstance(expr, (ast.Name, ast.Attribute)):
        name = expr.id if isinstance(expr, ast.Name) else expr.attr
        return not _KEEPS.isdisjoint(words(name))
    return (
        isinstance(expr, ast.BinOp)
        and isinstance(expr.op, ast.Sub)
        and isinstance(expr.left, ast.Constant)
        and isinstance(expr.right, (ast.Name, ast.Attribute))
    )


def is_rate(code: Code, rate: ast.expr, function: Function) -> bool:
    """Whether what random numbers are compared with is a rate of dropout.

    Args:
        code: The file.
        rate: The expression.
        function: The function that it is in.
    """
    return _Finder(code).is_rate(rate, function)


def _rest_of(node: ast.AST) -> set[str]:
    """Returns the name of `1 - name`, or of `~name`."""
    is_rest = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub)
    if (is_rest and isinstance(node.left, ast.Constant)) or (  # type: ignore[attr-defined]
        isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Invert)
    ):
        return {_root(node)} - {""}
    return set()


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


def is_asked_for(code: Code, mask: Mask) -> bool:
    """Whether a flag that the function is given, that is off by default and not a rate, decides."""
    rates = {each.id for each in ast.walk(mask.rate) if isinstance(each, ast.Name)}
    return any(
        isinstance(parent, (ast.If, ast.IfExp))
        and any(flag not in rates for flag in _flags_asked(code, mask.function, parent))
        for parent in code.parents(mask.node)
    )


@kept
def _flags_asked(code: Code, function: Function, choice: ast.If | ast.IfExp) -> tuple[str, ...]:
    """Returns the flags of a function that a test asks for: off by default, or `use_dropout`."""
    test = choice.test
    asked = test.values if isinstance(test, ast.BoolOp) else [test]
    names = dict.fromkeys(each.id for each in asked if isinstance(each, ast.Name))
    defaults = function.defaults
    return tuple(
        name
        for name in names
        if name in function.names
        and (says_drop(name) or not (name in defaults and code.value(defaults[name]) is True))
    )


def parameter(code: Code, mask: Mask) -> str:
    """Returns the parameter of the function that the rate is made of; "" if there is none."""
    own = mask.function.names
    waiting: list[ast.expr] = [mask.rate]
    seen = set()
    left = _MOST_NODES
    while waiting and left > 0:
        expr = waiting.pop()
        for each in islice(ast.walk(expr), left) if expr not in seen else ():
            left -= 1
            if isinstance(each, ast.Name):
                if each.id in own and _is_rate_name(words(each.id)):
                    return each.id
                waiting += [value for value in code.assigned(each) if value is not None]
        seen.add(expr)
    return ""


def _is_rate_name(said: tuple[str, ...]) -> bool:
    return not (_DROPS | _KEEPS).isdisjoint(said) or said[-1:] in {(each,) for each in _PLAIN}


def says_drop(name: str) -> bool:
    """Whether a name speaks of dropout.

    Example:
        >>> [says_drop(name) for name in ("drop_path", "locked_dropout", "dropped")]
        [True, True, False]
    """
    return not _DROPS.isdisjoint(words(name))
