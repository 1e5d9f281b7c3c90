"""The commands about torchdropout itself: `explain`, `info`."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator

import click

from ..extras import PACKAGES
from ..findings import Rule
from ..info import gather, text
from ..output import look, write
from ..rendering.rules import render_rule
from ..selection import close_to
from ._common import OK, formats

# The tables of rules, and the extra that reading one needs.
_TABLES = (("verify.table", "verify"), ("audit.table", "audit"))


@click.command()
@click.argument("name")
def explain(name: str) -> int:
    """Explains a check or rule, by NAME or code: what it finds, why it matters, how to mend it."""
    wanted = name.strip().lower()
    rules = list(_every_rule())
    rule = next((rule for rule in rules if wanted in (rule.name, rule.code.lower())), None)
    if rule is None:
        names = [key for rule in rules for key in (rule.name, rule.code.lower())]
        listed = "`torchdropout checks` and `torchdropout rules` list them"
        raise click.UsageError(
            f"Expected `NAME` to be the name or code of a check or rule, got {name!r} (str); "
            f"{close_to(wanted, names, listed)}"
        )
    write(render_rule(rule, **look()))
    return OK


def _every_rule() -> Iterator[Rule]:
    """The rules of the verifier and the audit, as far as their extras are installed."""
    for module, extra in _TABLES:
        try:
            table = importlib.import_module(f"...{module}", __name__)
        except ModuleNotFoundError as error:
            if error.name not in PACKAGES[extra]:
                raise
        else:
            yield from table.RULES.values()


@click.command()
@formats("text", "json")
def info(form: str) -> int:
    """Says what runs here: versions, the backend and why it, threads."""
    click.echo(json.dumps(gather()) if form == "json" else text())
    return OK
