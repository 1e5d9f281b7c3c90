"""The commands about rules, and about torchdropout itself: `rules`, `explain`, `info`."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Sequence

import click

from .._tools.extras import packages_of
from ..reporting.command import OK, completing, formats
from ..reporting.findings import Rule
from ..reporting.output import style, write
from ..reporting.rules import render_rule, render_rules, render_rules_json
from ..reporting.selection import close_to

# The tables of rules, and a command that needs what each imports.
_CHECKS = (("..verify.registry", "verify"),)
_RULES = (("torchdropout_audit.registry", "rules"), ("..audit_model.rules", "rules"))


@click.command()
@click.argument("name", shell_complete=completing(lambda: _completions()))
def explain(name: str) -> int:
    """Explain a check or rule, by NAME or code: what it finds, why it matters, how to fix it."""
    key = name.strip().lower()
    tables = (*_RULES, *_CHECKS)  # the first needs no torch
    found = (rule for rule in _rules_of(tables) if key in (rule.name, rule.code.lower()))
    rule = next(found, None)
    if rule is None:
        known = _rules_of((*_CHECKS, *_RULES))
        names = [text for rule in known for text in (rule.name, rule.code)]
        listed = "`torchdropout checks` and `torchdropout rules` list them"
        raise click.UsageError(
            f"Expected `NAME` to be the name or code of a check or rule, got {name!r} (str); "
            f"{close_to(key, names, listed)}"
        )
    write(render_rule(rule, **style()))
    return OK


def _completions() -> Iterator[tuple[str, str]]:
    """The names and codes of all checks and rules, for a shell."""
    for rule in _rules_of((*_CHECKS, *_RULES)):
        yield rule.name, rule.summary
        yield rule.code, rule.name


def _rules_of(tables: Sequence[tuple[str, str]]) -> Iterator[Rule]:
    """The rules of some tables; a table whose packages are not installed is skipped."""
    for module, command in tables:
        try:
            table = importlib.import_module(module, __package__)
        except ModuleNotFoundError as error:
            if error.name not in (*packages_of(command), module.partition(".")[0]):
                raise
        else:
            yield from table.RULES.values()


@click.command()
@formats("text", "json")
def rules(form: str) -> int:
    """List the rules of the audits: code, name, group, severity, requirement."""
    listed = tuple(_rules_of(_RULES))
    write(render_rules_json(listed) if form == "json" else render_rules(listed, **style()))
    return OK


@click.command()
@formats("text", "json")
def info(form: str) -> int:
    """Show versions, the backend and why it was chosen, and threads."""
    from .._tools.info import gather, text  # it imports torch

    write(json.dumps(gather()) if form == "json" else text())
    return OK
