"""The rules of the audit: a module of `rules/` each, in the order of their codes."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules

from ..findings import Rule
from . import rules
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
