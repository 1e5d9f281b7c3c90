"""How a rule is declared, and what it yields."""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from ..code import Code
from ..findings import Fix
from ..reporting.findings import Rule, Severity

Finder = Callable[[Code], Iterator["Hit"]]
_Reader = TypeVar("_Reader", bound=Callable[..., Any])


def kept(read: _Reader) -> _Reader:
    """Keeps what a function finds out about a source for as long as the source is kept.

    Args:
        read: A function of a `Code` and of other arguments that can be hashed.
    """

    @functools.wraps(read)
    def remembered(code: Code, *about: object) -> Any:
        key = (read, *about)
        if key not in code.notes:
            code.notes[key] = read(code, *about)
        return code.notes[key]

    return cast(_Reader, remembered)


@dataclass(frozen=True)
class Hit:
    """A place where a rule is broken.

    Attributes:
        node: The marked part of the source.
        message: One line: what the source does, and why it is wrong.
        hint: What to write instead, in a few words.
        fix: The fix, if there is one.
        severity: A lower severity than the rule's, where it is less certain.
    """

    node: ast.AST
    message: str
    hint: str = ""
    fix: Fix | None = None
    severity: Severity | None = None


@dataclass(frozen=True)
class SourceRule:
    """A rule and the function that finds where it is broken."""

    rule: Rule
    find: Finder


def rule(
    code: str, group: str, broken: str, fixed: str, *, severity: Severity = "error"
) -> Callable[[Finder], SourceRule]:
    """Turns a function into a rule; its name and docstring become the rule's.

    The last paragraph of the docstring, `Seen in: ...`, says where the mistake was seen.

    Args:
        code: The rule's code.
        group: The group it is listed under.
        broken: A source that breaks the rule.
        fixed: The same source after the fix.
        severity: `"error"` or `"advice"`.
    """

    def declare(find: Finder) -> SourceRule:
        said, _, evidence = inspect.cleandoc(find.__doc__ or "").partition("\n\nSeen in: ")
        summary, _, explain = said.partition("\n\n")
        name, seen = find.__name__.replace("_", "-"), " ".join(evidence.split())
        made = Rule(code, name, group, severity, summary, explain, broken, fixed, seen)
        return SourceRule(made, find)

    return declare
