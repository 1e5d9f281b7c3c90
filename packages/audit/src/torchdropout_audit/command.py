"""The commands of the source audit: `audit`, `rules`."""

from __future__ import annotations

import contextlib
import functools
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import click
from click.core import ParameterSource
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from ._version import __version__
from .files import UNREADABLE
from .findings import SourceReport
from .report import (
    render_diff,
    render_github,
    render_json,
    render_sarif,
    render_text,
)
from .report._words import verdict_line
from .reporting.command import (
    CANNOT_RUN,
    ERRORS,
    INTERRUPTED,
    OK,
    WRONG,
    folder_of_settings,
    formats,
    output_option,
    publish,
    settings_of,
    tell,
)
from .reporting.lines import plural
from .reporting.output import look, need_writable, write
from .reporting.rules import render_rules, render_rules_json
from .run import audit_data, audit_paths
from .selection import chosen
from .settings import FORMATS, TABLE, need_patterns
from .table import RULES, SYNTAX_ERROR

_RULES = tuple(RULES.values())
_RENDERERS: Mapping[str, Callable[[SourceReport], str]] = {
    "text": render_text,
    "json": render_json,
    "sarif": functools.partial(render_sarif, rules=_RULES, version=__version__),
    "github": render_github,
}
_STDIN = "-"
_REDRAWN = 0.1  # seconds


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--fix", is_flag=True, help="Mend what can only be meant in one way.")
@click.option("--unsafe-fixes", is_flag=True, help="Mend what can be mended; look at the diff.")
@click.option("--diff", is_flag=True, help="Print what --fix would change, and write nothing.")
@click.option(
    "--select",
    multiple=True,
    metavar="RULES",
    help="Apply these rules only: codes, beginnings of codes (TD1), names or groups, with commas "
    "between.",
)
@click.option("--ignore", multiple=True, metavar="RULES", help="Leave these out; beats --select.")
@click.option(
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="Leave out what a pattern names, as in a .gitignore; beats `exclude` in a pyproject.toml.",
)
@click.option("--extend-exclude", multiple=True, metavar="PATTERN", help="Leave this out as well.")
@click.option("--no-gitignore", is_flag=True, help="Audit what git ignores, too.")
@formats(*FORMATS)
@output_option("Write the report to a file, all of it or nothing; the verdict goes to stderr.")
@click.option("--strict/--no-strict", default=False, help="Exit with 1 on advice, too.")
@click.option("--exit-zero", is_flag=True, help="Exit with 0 whatever is found.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Processes that audit at once.  [default: one a core, at most 8]",
)
@click.option("--no-cache", is_flag=True, help="Neither use nor keep what was found before.")
@click.option(
    "--stdin-filename",
    default="<stdin>",
    metavar="FILE",
    help="What the source on stdin is called, when PATH is `-`.",
)
@settings_of(TABLE)
@click.pass_context
def audit(
    context: click.Context,
    /,
    paths: tuple[str, ...],
    fix: bool,
    unsafe_fixes: bool,
    diff: bool,
    form: str,
    output: Path | None,
    strict: bool,
    exit_zero: bool,
    no_cache: bool,
    stdin_filename: str,
    no_config: bool,
    **how: Any,
) -> int:
    """Finds mistakes in the use of dropout: in files, and in folders of .py and .ipynb files.

    Nothing is imported or run. Without a PATH, what `paths` in a pyproject.toml names, else the
    current folder; `-` is stdin. Any option that a pyproject.toml sets under
    [tool.torchdropout.audit] is beaten by the command line. `# torchdropout: ignore[RULE]` silences
    a rule on a line.

    Exit code: 0 no error, 1 errors (--strict: advice; --diff: something to mend), 2 nothing could
    be audited, 130 interrupted.
    """
    settings = context.default_map or {}
    paths = paths or settings.get("paths", ()) or (".",)
    if _STDIN in paths and len(paths) > 1:
        raise click.UsageError("Expected `-` to be the only PATH")
    if diff and context.get_parameter_source("form") is ParameterSource.COMMANDLINE:
        raise click.UsageError("Expected --diff or --format, not both")
    try:
        rules = chosen(how.pop("select"), how.pop("ignore"))
        exclude = (*how["exclude"], *how["extend_exclude"])
        need_patterns("exclude", exclude)
        if output is not None:
            need_writable(output)
    except WRONG as error:
        raise click.UsageError(str(error)) from error
    mending: Literal["safe", "unsafe"] | None = None
    if fix or diff or unsafe_fixes:
        mending = "unsafe" if unsafe_fixes else "safe"
    changes: list[tuple[str, str, str]] = []
    shared: dict[str, Any] = {
        "rules": rules,
        "per_file_ignores": settings.get("per_file_ignores"),
        "root": folder_of_settings(context),
        "fix": mending,
        "changed": (lambda *change: changes.append(change)) if diff else None,
    }
    mended: bytes | None = None
    if paths == (_STDIN,):
        data = sys.stdin.buffer.read()
        report, mended = audit_data(data, stdin_filename, **shared)
    else:
        with _bar() as progress:
            report = audit_paths(
                paths,
                exclude=exclude,
                respect_gitignore=not how["no_gitignore"],
                jobs=how["jobs"],
                cache=not no_cache,
                progress=progress,
                **shared,
            )
    if diff:
        return _exit_code(report, bool(changes)) if _show(changes, report, output) else CANNOT_RUN
    if form == "text":  # the others hold them
        for problem in report.problems:
            tell(problem)
    is_filter = mended is not None and mending is not None
    if is_filter:  # the source goes to stdout, and what is said of it elsewhere
        _pass_on(mended or b"")
    if is_filter and output is None:
        click.echo(_RENDERERS[form](report), err=True, nl=False)
    elif not _publish(report, form, output):
        return CANNOT_RUN
    failed = not report.passed or bool(strict and report.findings)
    return _exit_code(report, failed and not exit_zero)


def _publish(report: SourceReport, form: str, output: Path | None) -> bool:
    """Writes the report; False when one that is whole could not be written."""
    return publish(
        output,
        verdict_line(report),
        "" if report.complete else "the run was interrupted",
        lambda: render_text(report, **look()) if form == "text" else _RENDERERS[form](report),
        lambda: _RENDERERS[form](report),
    )


def _show(changes: list[tuple[str, str, str]], report: SourceReport, output: Path | None) -> bool:
    """Writes the diff; False when one that is whole could not be written."""
    for problem in report.problems:
        tell(problem)
    diff = "".join(render_diff(*change) for change in sorted(changes))
    said = f"{plural(len(changes), 'file')} would change"
    if output is None:
        tell(said)
    held_back = "" if report.complete else "the run was interrupted"
    return publish(output, said, held_back, lambda: diff, lambda: diff)


def _pass_on(source: bytes) -> None:
    stream = sys.stdout.buffer
    with contextlib.suppress(BrokenPipeError):
        stream.write(source)
        stream.flush()


def _exit_code(report: SourceReport, failed: bool) -> int:
    if not report.complete:
        return INTERRUPTED
    unread = {f.path for f in report.findings if f.code in (SYNTAX_ERROR.code, UNREADABLE.code)}
    if (report.problems or unread) and report.files <= len(unread):
        return CANNOT_RUN
    return ERRORS if failed or report.problems else OK


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[int, int], None] | None]:
    """A bar on stderr where that is a terminal, gone at the end; what moves it."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("auditing"), BarColumn(bar_width=20), MofNCompleteColumn())
    drawn = 0.0
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as progress:
        task = progress.add_task("", total=None)

        def move(done: int, total: int) -> None:
            nonlocal drawn
            progress.update(task, completed=done, total=total)
            if time.monotonic() - drawn > _REDRAWN:
                progress.refresh()
                drawn = time.monotonic()

        yield move
