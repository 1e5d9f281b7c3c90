"""What the names in a source stand for, and the values they are assigned."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import islice

from .definitions import UNKNOWN, Assigned, Class, Function, Pattern
from .scopes import UNBOUND, Binding, is_none
from .scopes import Bound as Bound
from .signatures import ROOTS, canonical, is_public
from .tree import Tree

_MOST_VALUES = 100  # of an attribute, and modules of which all names are imported
_MOST_STARS = 5  # of these modules, in which one name is looked up
_DEEPEST = 12  # names that stand for names: a circle, or unreadable
# The usual names for torch's modules.
_CUSTOM = {"torch": "torch", "nn": "torch.nn", "F": "torch.nn.functional"}
_OTHER_FRAMEWORKS = re.compile(
    r"\b(?:paddle|mindspore|flax|jax|tensorflow|keras|mxnet|mlx|tinygrad|jittor|oneflow|chainer)\b"
)


class Names(Tree):
    """A source in which names are resolved."""

    def __init__(self, text: str, path: str = "<text>") -> None:
        super().__init__(text, path)
        self._names: dict[ast.AST | Bound, str | None] = {}
        self._stars: dict[str, str | None] = {}
        self._locals: dict[ast.expr, Function | Class | None] = {}
        self._values: dict[tuple[ast.AST, int], object] = {}

    def name(self, expr: ast.AST) -> str | None:
        """Returns the qualified name of what an expression stands for.

        Args:
            expr: A name, or attributes of one.

        Returns:
            For example `torch.nn.functional.dropout`, whatever its local name; None for what this
            file defines, for what is not known, and for what may be several things.
        """
        return self._names[expr] if expr in self._names else self._name(expr, 0)

    def _name(self, expr: ast.AST, depth: int) -> str | None:
        if expr not in self._names:
            if depth > _DEEPEST:
                return None
            self._names[expr] = None  # so that a cycle of names ends here
            self._names[expr] = self._resolve(expr, depth)
        return self._names[expr]

    def _resolve(self, expr: ast.AST, depth: int) -> str | None:
        if isinstance(expr, ast.Attribute):
            origin = self._name(expr.value, depth + 1)
            if origin is not None:
                return canonical(f"{origin}.{expr.attr}")
            values = [each.value for each in self._held(expr)]
            return self._of_value(values[0], depth) if len(values) == 1 else None
        if not isinstance(expr, ast.Name):
            return None
        bound = self.bound(expr)
        if not bound.bindings:
            return self._starred(expr.id)
        if bound not in self._names:
            self._names[bound] = self._named(bound, depth)
        return self._names[bound]

    def _named(self, bound: Bound, depth: int) -> str | None:
        """Returns the one name of all that a name is bound to."""
        found: set[str | None] = set()
        for binding in bound.bindings:
            if binding.kind == "import":
                found.add(canonical(binding.target))
            elif binding.kind == "parameter":
                return None
            elif binding.kind == "value" and isinstance(binding.node, (ast.Name, ast.Attribute)):
                found.add(self._of_value(binding.node, depth))
            elif not is_none(binding.node):  # `except ImportError: flash_attn_func = None`
                return None
        return found.pop() if len(found) == 1 else None

    def _of_value(self, value: ast.AST | None, depth: int) -> str | None:
        """Returns the qualified name of what an assigned expression stands for."""
        is_name = isinstance(value, (ast.Name, ast.Attribute))
        return self._name(value, depth + 1) if is_name else None  # type: ignore[arg-type]

    def _starred(self, name: str) -> str | None:
        if name not in self._stars:
            wholes = (canonical(f"{origin}.{name}") for origin in self._origins)
            known = next((whole for whole in wholes if is_public(whole)), None)
            self._stars[name] = self._by_custom.get(name) if known is None else known
        return self._stars[name]

    @cached_property
    def _by_custom(self) -> Mapping[str, str]:
        """What `torch`, `nn` and `F` stand for where `from unknown import *` may bind them."""
        is_open = any(each.partition(".")[0] not in ROOTS for each in self._scopes.module.stars)
        is_ours = is_open and "torch" in self.text and not _OTHER_FRAMEWORKS.search(self.text)
        return _CUSTOM if is_ours else {}

    @cached_property
    def _origins(self) -> Sequence[str]:
        """What is imported with `*` and may hold something known, in order."""
        stars = dict.fromkeys(self._scopes.module.stars)
        known = (origin for origin in stars if origin.partition(".")[0] in ROOTS)
        return tuple(islice(known, _MOST_VALUES))

    def bindings(self, name: ast.Name) -> Sequence[Binding]:
        """Returns all that a name may stand for at its place."""
        return self._scopes.scopes[name].lookup(name.id).bindings

    def defined(self, name: str) -> Function | Class | None:
        """Returns the function or class that a name of the module stands for, if it is one."""
        found = self._scopes.module.names.get(name, UNBOUND).only
        return None if found is None else self._by_node.get(found)

    def passed_on(self, name: str) -> Sequence[str]:
        """Returns the qualified names that a name of the module may stand for in other files."""
        module = self._scopes.module
        if name in module.names:
            found = module.names[name].bindings
            return [each.target for each in found if each.kind == "import"]
        joined = (f"{star}{'' if star.endswith('.') else '.'}{name}" for star in module.stars)
        return [*islice(joined, _MOST_VALUES)]

    def meant(self, expr: ast.expr, name: str | None) -> Sequence[str]:
        """Returns the qualified names that an expression may stand for in other files.

        Args:
            expr: A name, or attributes of one.
            name: Its qualified name, if that is known; else it may come by `from layers import *`.
        """
        if name is None and isinstance(expr, ast.Name) and not self.bindings(expr):
            return self.passed_on(expr.id)[:_MOST_STARS]
        return () if name is None else (name,)

    def references(self, name: str) -> Sequence[ast.expr]:
        """Returns the uses of a name, of what is imported as it, and of attributes called so."""
        module = self._scopes.module.names
        local = {
            each
            for each, found in module.items()
            if any(one.target.rpartition(".")[2] == name for one in found.bindings)
        }
        local.add(name)
        return [
            node
            for node in self.inside(self.tree, ast.Name, ast.Attribute)
            if (node.id in local if isinstance(node, ast.Name) else node.attr == name)
        ]

    def bound(self, name: ast.Name) -> Bound:
        """Returns the bindings of a name, with what follows from them."""
        return self._scopes.scopes[name].lookup(name.id)

    def local(self, expr: ast.AST) -> Function | Class | None:
        """Returns the function or class of this file that an expression names.

        Args:
            expr: `helper`, `self.helper`, `cls.helper`, `Class.helper`.

        Returns:
            The definition; None if there is none, or more than one.
        """
        if not isinstance(expr, (ast.Name, ast.Attribute)):
            return None
        if expr not in self._locals:
            self._locals[expr] = self._find_local(expr)
        return self._locals[expr]

    def _find_local(self, expr: ast.Name | ast.Attribute) -> Function | Class | None:
        if isinstance(expr, ast.Name):
            found = self.bound(expr).only
            if isinstance(found, ast.Name) and found is not expr:
                return self._local_once(found)
            return None if found is None else self._by_node.get(found)
        owner = self._owner(expr.value) if isinstance(expr.value, ast.Name) else None
        return None if owner is None else owner.method(expr.attr)

    def _local_once(self, name: ast.Name) -> Function | Class | None:
        found = self.bindings(name)
        return self._by_node.get(found[0].node) if len(found) == 1 else None

    def _owner(self, name: ast.Name) -> Class | None:
        """Returns the class that `self`, `cls` or a class's name stands for."""
        if name.id in ("self", "cls"):
            return self.class_of(name)
        owner = self._local_once(name)
        return owner if isinstance(owner, Class) else None

    def _held(self, expr: ast.Attribute) -> Sequence[Assigned]:
        """Returns all values of an attribute of a class in this file."""
        owner = self._owner(expr.value) if isinstance(expr.value, ast.Name) else None
        return [] if owner is None else owner.assigned(expr.attr)

    def assigned(self, expr: ast.AST) -> list[ast.expr | None]:
        """Returns the expressions assigned to a name or an attribute of `self`.

        None stands for a value that is not written down, and two of them for too many values to
        follow. The list is empty if nothing is known: for a builtin, or an attribute of a
        base in another file.
        """
        if isinstance(expr, ast.Name):
            return self.bound(expr).values
        if isinstance(expr, ast.Attribute):
            held = self._held(expr)
            return [None, None] if len(held) > _MOST_VALUES else [each.value for each in held]
        return []

    def pattern(self, expr: ast.expr | None) -> Pattern | None:
        """Returns what is known of a text."""
        if isinstance(expr, ast.Constant):
            return Pattern(expr.value, True) if isinstance(expr.value, str) else None
        if isinstance(expr, ast.JoinedStr):
            first = expr.values[0] if expr.values else None
            last = expr.values[-1] if len(expr.values) > 1 else None
            ends = (str(e.value) if isinstance(e, ast.Constant) else "" for e in (first, last))
            return Pattern(next(ends), False, next(ends))
        if isinstance(expr, ast.BinOp) and isinstance(expr.op, (ast.Add, ast.Mod)):
            left = self.pattern(expr.left)
            return None if left is None else Pattern(left.start.partition("%")[0], False)
        func = expr.func if isinstance(expr, ast.Call) else None
        if isinstance(func, ast.Attribute) and func.attr == "format":
            left = self.pattern(func.value)
            return None if left is None else Pattern(left.start.partition("{")[0], False)
        if isinstance(expr, ast.Name):
            known = self.assigned(expr)
            only = known[0] if len(known) == 1 else None
            return None if only is None or isinstance(only, ast.Name) else self.pattern(only)
        return None

    def value(self, expr: object) -> object:
        """Returns the literal value of an expression, following names that are bound once.

        Args:
            expr: An expression, or None or UNKNOWN where there is none.

        Returns:
            A number, a string, a bool or None; UNKNOWN for everything else.
        """
        return self._value(expr, 0)

    def _value(self, expr: object, depth: int) -> object:
        if not isinstance(expr, ast.expr) or depth > _DEEPEST:
            return UNKNOWN
        if isinstance(expr, ast.Constant):
            return expr.value
        # The depth is part of the key: each of `p = q + q`, `q = r + r`, ... would double the work.
        if (expr, depth) not in self._values:
            self._values[expr, depth] = self._worked_out(expr, depth)
        return self._values[expr, depth]

    def _worked_out(self, expr: ast.expr, depth: int) -> object:
        if isinstance(expr, ast.UnaryOp) and isinstance(expr.op, (ast.USub, ast.UAdd)):
            inner = self._value(expr.operand, depth + 1)
            if isinstance(inner, (int, float)):
                return -inner if isinstance(expr.op, ast.USub) else +inner
        if isinstance(expr, ast.BinOp):
            return self._computed(expr, depth)
        if isinstance(expr, (ast.Name, ast.Attribute)):
            values = self.assigned(expr)
            if len(values) == 1:
                return self._value(values[0], depth + 1)
        return UNKNOWN

    def _computed(self, expr: ast.BinOp, depth: int) -> object:
        left, right = self._value(expr.left, depth + 1), self._value(expr.right, depth + 1)
        if not isinstance(left, (int, float)) or not isinstance(right, (int, float)):
            return UNKNOWN
        if isinstance(expr.op, ast.Add):
            return left + right
        if isinstance(expr.op, ast.Sub):
            return left - right
        if isinstance(expr.op, ast.Mult):
            return left * right
        if isinstance(expr.op, ast.Div) and right != 0:
            return left / right
        return UNKNOWN
