"""The rules of the audit: of files, of sources (a module of `rules/` each), of models."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules

from . import rules
from .files import UNREADABLE
from .reporting.findings import Rule
from .rules._rule import SourceRule

SYNTAX_ERROR = Rule(
    "TD001",
    "syntax-error",
    "files",
    "error",
    "The file is Python that this interpreter can read.",
    "A file that does not parse is not audited. The parser is that of the Python that runs the "
    "audit: a file with newer syntax needs a newer Python.",
)
UNUSED_IGNORE = Rule(
    "TD003",
    "unused-ignore",
    "files",
    "advice",
    "Every `# torchdropout: ignore` silences something.",
    """
An ignore that silences nothing is left over from code that was mended or moved, or names no rule.
It would silence the next mistake on its line, which nobody has looked at.

To mend: take it out; `--fix` does. One whose rules were not applied in the run, because of
`--select`, `--ignore` or `per-file-ignores`, is not reported.
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
"""The rules that look at a source, by name."""

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
