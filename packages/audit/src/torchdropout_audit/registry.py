"""All rules of the audit, and the choice among them by code, name or group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pkgutil import iter_modules

from . import rules
from .files import UNREADABLE
from .reporting.findings import Rule
from .reporting.selection import Choice
from .rules._rule import SourceRule

SYNTAX_ERROR = Rule(
    "TD001",
    "syntax-error",
    "files",
    "error",
    "The file is Python that this interpreter can parse.",
    "A file that does not parse is not audited. The parser is that of the Python that runs the "
    "audit: a file with newer syntax needs a newer Python. It is advice for a file in Python 2, or "
    "with `async` as a name, which Python 3.7 made a keyword. Without this rule, such a file is "
    "skipped.",
)
UNUSED_IGNORE = Rule(
    "TD003",
    "unused-ignore",
    "files",
    "advice",
    "Every `# torchdropout: ignore` silences something.",
    """
A comment that silences nothing is left over from code that was fixed or moved, or it names a rule
that does not exist. It would silence the next mistake on its line, which nobody has looked at.

To fix: delete the comment; `--fix` does. A comment whose rules were not applied in the run, because
of `--select`, `--ignore` or `per-file-ignores`, is not reported.
""",
    "x = 1  # torchdropout: ignore[p-one]\n",
    "x = 1\n",
)


def _load() -> dict[str, SourceRule]:
    found: dict[str, SourceRule] = {}
    for module in iter_modules(rules.__path__):
        if module.name.startswith("_"):
            continue
        made = getattr(import_module(f"{rules.__name__}.{module.name}"), module.name)
        assert isinstance(made, SourceRule)
        found[made.rule.name] = made
    return dict(sorted(found.items(), key=lambda item: item[1].rule.code))


FINDERS: Mapping[str, SourceRule] = _load()
"""The rules that look at a source, by name: one for each module of `rules/`."""

RULES: Mapping[str, Rule] = {
    rule.name: rule
    for rule in (
        SYNTAX_ERROR,
        UNREADABLE,
        UNUSED_IGNORE,
        *(finder.rule for finder in FINDERS.values()),
    )
}
"""Every rule, by name."""

CHOICE = Choice(RULES, "rule", "torchdropout-audit --rules")
"""What an option or a setting may name."""


def chosen(select: Sequence[str] = (), ignore: Sequence[str] = ()) -> frozenset[str]:
    """Returns the names of the rules to apply.

    An entry is a code (`TD101`), the beginning of a code (`TD1`), a name (`p-out-of-range`), a
    group (`attention`), or several of these separated by commas; case does not matter.

    Args:
        select: What to apply; all rules when empty.
        ignore: What to leave out; it takes precedence over `select`.

    Returns:
        The names.

    Raises:
        ArgumentTypeError: `select` or `ignore` is not a sequence of strings.
        ArgumentValueError: An entry names no rule, or no rule is left.

    Example:
        >>> sorted(chosen(["TD001", "unused-ignore"], ignore=["TD003"]))
        ['syntax-error']
    """
    return CHOICE.chosen(select, ignore)
