"""The command of the model audit: `audit-model`."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from .._tools.loading import one_line
from ..audit_model import AuditedSite, AuditedSites
from ..audit_model.load import Input, load_model, read_inputs
from ..audit_model.report import render_sites, render_sites_html, render_sites_json, verdict_line
from ..audit_model.run import find_sites
from ..errors import TargetError
from ..reporting.command import (
    CANNOT_RUN,
    ERRORS,
    OK,
    WRONG,
    exit_zero_option,
    formats,
    not_both,
    output_option,
    publish,
    quiet_option,
    tell,
)
from ..reporting.findings import Finding
from ..reporting.output import need_writable, style
from ._apart import apart

_RENDERERS: dict[str, Callable[[AuditedSites], str]] = {
    "json": render_sites_json,
    "html": render_sites_html,
}


@click.command("audit-model")
@click.argument("target", metavar="TARGET")
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="[NAME=]SHAPE[:DTYPE]",
    help="Make this input instead of the factory's: 2x3x224x224, ids=2x16:int64.",
)
@formats("text", "json", "html")
@output_option("Write the report to a file, atomically; the verdict goes to stderr.")
@quiet_option("Print the findings and the verdict only.")
@click.option("--all", "--verbose", "-v", "every", is_flag=True, help="List sites at p=0 too.")
@click.option("--strict/--no-strict", default=False, help="Exit with 1 on advice, too.")
@exit_zero_option()
@click.pass_context
def audit_model(
    context: click.Context,
    /,
    target: str,
    inputs: tuple[str, ...],
    form: str,
    output: Path | None,
    quiet: bool,
    every: bool,
    strict: bool,
    exit_zero: bool,
) -> int:
    """Find where dropout acts in a model.

    TARGET is package.module:factory or path/file.py:factory. The factory is called without
    arguments and returns a model, (model, args) or (model, args, kwargs). The model is run in
    training, in eval and in training without gradients. An exported program, from a factory or in
    a file path/file.pt2, is read and not run.

    Exit code: 0 no error, 1 errors, 2 the model cannot be run, 130 interrupted.
    """
    not_both(quiet, every)
    try:
        made = read_inputs(inputs)
        if output is not None:
            need_writable(output)
    except WRONG as error:
        raise click.UsageError(str(error)) from error
    try:
        data = apart(functools.partial(_found, target, made), target, fork=bool(context.obj))
    except WRONG as error:
        tell(str(error))
        return CANNOT_RUN
    found = _read(**data)

    def rendered(**how: Any) -> str:
        if form == "text":
            return render_sites(found, every=every, quiet=quiet, **how)
        return _RENDERERS[form](found)

    said = verdict_line(found)
    if not publish(output, said, "", lambda: rendered(**style()), rendered, quiet=quiet):
        return CANNOT_RUN
    failed = not found.passed or (strict and found.findings)
    return ERRORS if failed and not exit_zero else OK


def _found(target: str, made: list[Input]) -> dict[str, Any]:
    try:
        with contextlib.redirect_stdout(sys.stderr):  # for what the model prints
            found = find_sites(*load_model(target, made))
    except SystemExit as error:  # a property or a hook of the target may exit
        raise TargetError(f"Expected TARGET {target!r} to return, got {one_line(error)}") from error
    listed = {name: [*map(vars, getattr(found, name))] for name in ("sites", "findings")}
    return vars(found) | listed


def _read(sites: list[Any], findings: list[Any], notes: list[str], **others: Any) -> AuditedSites:
    return AuditedSites(
        sites=tuple(AuditedSite(**site | {"also": tuple(site["also"])}) for site in sites),
        findings=tuple(Finding(**finding) for finding in findings),
        notes=tuple(notes),
        **others,
    )
