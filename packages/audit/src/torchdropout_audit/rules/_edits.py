"""Edits that rules share."""

from __future__ import annotations

import ast
import re

from ..code import Call, Code
from ..findings import Edit, Fix

_GAP = re.compile(r"[^#\s,)]|#[^\r\n]*|,|\)|\s+")
_COMMENT = re.compile(r"[ \t]*#[^\r\n]*")


def append_argument(code: Code, call: Call, argument: str) -> Edit:
    """Adds an argument after the last one of a call, in the style of the others.

    Args:
        code: The source.
        call: A call that has an argument.
        argument: What to add, such as `training=self.training`.
    """
    arguments: list[ast.expr | ast.keyword] = [*call.node.args, *call.node.keywords]
    last = max(arguments, key=lambda each: (each.lineno, each.col_offset))
    begin, end = code.span(last)
    closing = code.span(call.node)[1] - 1
    # Between the last argument and the closing parenthesis there may be parentheses around the
    # argument, a comma, comments and white space.
    place, has_comma = end, False
    for token in _GAP.finditer(code.text, end, closing):
        if token[0] == ")":
            place = token.end()
        elif token[0] == ",":
            place, has_comma = token.end(), True
    line = code.text.rfind("\n", 0, begin) + 1
    indent = code.text[line:begin]
    newline = "\r\n" if code.text[line - 2 : line] == "\r\n" else "\n"
    if not line or indent.strip():
        return Edit(place, place, f" {argument}," if has_comma else f", {argument}")
    # On a line of its own; a comment stays on the line of the argument before.
    found = _COMMENT.match(code.text, place, closing)
    comment = found[0] if found else ""
    comma, end_comma = ("", ",") if has_comma else (",", "")
    added = f"{comma}{comment}{newline}{indent}{argument}{end_comma}"
    return Edit(place, place + len(comment), added)


def add_training(code: Code, call: Call, name: str = "training") -> Fix | None:
    """Adds `training=self.training`, or another name for it, to a call in a method of a Module."""
    receiver = code.receiver(call.node)
    if receiver is None or call.cls is None or not (call.node.args or call.node.keywords):
        return None
    argument = f"{name}={receiver}.training"
    edit = append_argument(code, call, argument)
    return Fix(f"add {argument}", (edit,), call.cls.is_surely_module)


def gate_rate(code: Code, rate: ast.expr) -> Fix | None:
    """Makes a rate in a method of a Module `p if self.training else 0.0`."""
    receiver, cls = code.receiver(rate), code.class_of(rate)
    if receiver is None or cls is None:
        return None
    start, end = code.span(rate)
    is_plain = isinstance(rate, (ast.Name, ast.Attribute, ast.Constant, ast.Call, ast.Subscript))
    before, after = ("", "") if is_plain else ("(", ")")
    gate = Edit(end, end, f"{after} if {receiver}.training else 0.0")
    edits = (Edit(start, start, before), gate)
    return Fix(f"give 0.0 unless {receiver}.training", edits, cls.is_surely_module)
