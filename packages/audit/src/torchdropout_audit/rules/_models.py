"""Names of models, as the calls of a file refer to them."""

from __future__ import annotations

import ast

from ..code import Class, Code, Function

LOOPS = (ast.For, ast.AsyncFor, ast.While)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
MOVES = frozenset(("eval", "to", "cuda", "cpu", "half", "float", "bfloat16", "double"))


class Models:
    """The models of a file, by name.

    Args:
        code: The file.
    """

    def __init__(self, code: Code) -> None:
        self.code = code
        self._functions = frozenset(code.functions)

    def receiver(self, node: ast.Call, method: str) -> str:
        """Returns `model` for `model.eval()`, `self.net` for `self.net.train()`; else "".

        A method's own name for an attribute, as after `net = self.net`, is that of the attribute.
        """
        func = node.func
        if not isinstance(func, ast.Attribute) or func.attr != method:
            return ""
        expr = unmoved(func.value)
        only = self.only_value(expr)
        if isinstance(only, ast.Attribute) and dotted(only).startswith("self."):
            return dotted(only)
        return dotted(expr)

    def only_value(self, expr: ast.expr) -> ast.expr | None:
        """Returns what a name is given, if that is one thing."""
        values = self.code.assigned(expr) if isinstance(expr, ast.Name) else []
        return unmoved(values[0]) if len(values) == 1 and values[0] is not None else None

    def is_off(self, node: ast.Call) -> bool:
        """Whether the argument is False: `model.train(False)`, `model.train(mode=False)`."""
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        return len(given) == 1 and self.code.value(given[0]) is False

    def put_in_eval(self, node: ast.Call) -> str:
        """Returns the model that a call puts in eval mode by itself; "" if it does not."""
        model = self.receiver(node, "eval")
        if model and not node.args and not node.keywords:
            return model
        return self.receiver(node, "train") if self.is_off(node) else ""

    def function(self, node: ast.Call) -> Function | None:
        """Returns the function of the file that a call runs, of an object that it builds too."""
        func = node.func
        found = self.code.local(func)
        if found is None and isinstance(func, ast.Attribute):
            only = self.only_value(func.value)  # net = Net(); net.predict(x)
            cls = self.code.local(only.func) if isinstance(only, ast.Call) else None
            found = cls.method(func.attr) if isinstance(cls, Class) else None
        return found if isinstance(found, Function) else None

    def outside_all(
        self, models: dict[str, ast.Call], function: Function, node: ast.Call
    ) -> dict[str, ast.Call]:
        named = ((self.outside(each, function, node), place) for each, place in models.items())
        return {name: place for name, place in named if name}

    def outside(self, model: str, function: Function, node: ast.Call) -> str:
        """Returns the name, at a call of a function, of what the function calls `model`."""
        root, dot, rest = model.partition(".")
        if root == "self" and function.cls is not None:
            holder = dotted(node.func.value) if isinstance(node.func, ast.Attribute) else ""
            return holder and holder + dot + rest
        if root not in function.names:
            # A global of the file is the same model in all its functions.
            is_here = function in self._functions
            is_same = is_here and self.code.is_same(root, function.node.body[0], node)
            return model if is_same else ""
        given = [k.value for k in node.keywords if k.arg == root]
        place = function.places.get(root, len(node.args))
        if not given and not any(isinstance(a, ast.Starred) for a in node.args):
            given = node.args[place : place + 1]
        outer = dotted(given[0]) if given else ""
        return outer and outer + dot + rest


def unmoved(expr: ast.expr) -> ast.expr:
    """Returns `model` for `model.to(device)`."""
    while (
        isinstance(expr, ast.Call)
        and isinstance(expr.func, ast.Attribute)
        and expr.func.attr in MOVES
    ):
        expr = expr.func.value
    return expr


def last(expr: ast.expr) -> str:
    """The last name of what is called, or of an attribute."""
    if isinstance(expr, ast.Call):
        expr = expr.func
    return expr.attr if isinstance(expr, ast.Attribute) else getattr(expr, "id", "")


def shown(model: str) -> str:
    """The name of a model as a person writes it: `models["g"]`."""
    return model.replace(".[", "[")


def dotted(expr: ast.expr) -> str:
    """A name, or attributes or keys of one, as text; empty for everything else."""
    said = []
    while isinstance(expr, (ast.Attribute, ast.Subscript)):
        if isinstance(expr, ast.Attribute):
            said.append(expr.attr)
        elif isinstance(expr.slice, ast.Constant):
            said.append(f"[{expr.slice.value!r}]")
        else:
            return ""
        expr = expr.value
    return ".".join([expr.id, *reversed(said)]) if isinstance(expr, ast.Name) else ""
