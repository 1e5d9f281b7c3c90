"""The command `torchdropout-audit`, which is `torchdropout audit` too."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import click
from click.core import ParameterSource

from ._version import __version__
from .files import MOST_BYTES, UNREADABLE
from .findings import SourceReport
from .registry import CHOICE, RULES, SYNTAX_ERROR, chosen
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
    HELP,
    INTERRUPTED,
    OK,
    WRONG,
    completing,
    exit_zero_option,
    folder_of_settings,
    formats,
    not_both,
    output_option,
    publish,
    quiet_option,
    settings_of,
    tell,
    verbose_option,
    version_option,
)
from .reporting.lines import plural
from .reporting.output import need_writable, style, write
from .reporting.rules import render_rule, render_rules, render_rules_json
from .run import Fixing, audit_data, audit_paths
from .settings import FORMATS, TABLE, need_patterns

_RULES = tuple(RULES.values())
_RENDERERS: Mapping[str, Callable[..., str]] = {
    "json": render_json,
    "sarif": functools.partial(render_sarif, rules=_RULES, version=__version__),
    "github": render_github,
}
_Detail = Literal["quiet", "source", "rules"]
PYGLS = "pygls>=2,<3"
"""What the extra `lsp` installs."""

_STDIN = "-"
_CHUNK = 1_000_000  # bytes of stdin


@click.command(context_settings=HELP)
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--fix", is_flag=True, help="Fix mistakes where only one meaning is possible.")
@click.option(
    "--unsafe-fixes",
    is_flag=True,
    help="Apply all fixes, including those that may change behaviour; look at the diff.",
)
@click.option(
    "--add-ignores",
    is_flag=True,
    help="Add a comment `# torchdropout: ignore[RULE]` where something is found.",
)
@click.option(
    "--diff",
    is_flag=True,
    help="Print what --fix or --add-ignores would change, and write nothing.",
)
@click.option(
    "--select",
    multiple=True,
    metavar="RULES",
    help="Apply only these rules: codes, beginnings of codes (TD1), names or groups, separated by "
    "commas.",
    shell_complete=completing(CHOICE.completions, listed=True),
)
@click.option(
    "--ignore",
    multiple=True,
    metavar="RULES",
    help="Leave these rules out; takes precedence over --select.",
    shell_complete=completing(CHOICE.completions, listed=True),
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="Leave out files that match a pattern, as in a .gitignore; takes precedence over "
    "`exclude` in a pyproject.toml.",
)
@click.option("--extend-exclude", multiple=True, metavar="PATTERN", help="Leave these out as well.")
@click.option("--no-gitignore", is_flag=True, help="Audit files that git ignores, too.")
@formats(*FORMATS)
@output_option("Write the report to a file, all of it or nothing; the verdict goes to stderr.")
@quiet_option("Print findings without their source line.")
@verbose_option("Print what the rule of each finding requires, too.")
@click.option("--strict/--no-strict", default=False, help="Exit with 1 on advice, too.")
@exit_zero_option()
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many processes to use.  [default: one per core, at most 8]",
)
@click.option("--no-cache", is_flag=True, help="Neither read nor write the cache.")
@click.option(
    "--stdin-filename",
    default="<stdin>",
    metavar="FILE",
    help="The name of the source on stdin, when PATH is `-`.",
)
@click.option(
    "--lsp",
    is_flag=True,
    is_eager=True,  # a wrong pyproject.toml here is for the editor to show, not to stop the server
    expose_value=False,
    callback=lambda context, _, is_asked: context.exit(_serve()) if is_asked else None,
    help="Run a language server on stdin and stdout, for editors; it needs pygls.",
)
@click.option("--rules", "listing", is_flag=True, help="List the rules, and audit nothing.")
@click.option(
    "--explain",
    metavar="RULE",
    help="Explain a rule, and audit nothing.",
    shell_complete=completing(lambda: ((rule.name, rule.summary) for rule in _RULES)),
)
@settings_of(TABLE)
@version_option(__version__, "torchdropout-audit")
@click.pass_context
def audit(
    context: click.Context,
    /,
    paths: tuple[str, ...],
    fix: bool,
    unsafe_fixes: bool,
    add_ignores: bool,
    diff: bool,
    form: str,
    output: Path | None,
    quiet: bool,
    verbose: bool,
    strict: bool,
    exit_zero: bool,
    no_cache: bool,
    stdin_filename: str,
    listing: bool,
    explain: str | None,
    no_config: bool,
    **how: Any,
) -> int:
    """Find mistakes in the use of dropout, in Python files and notebooks.

    Nothing is imported or run. PATH is a file, a folder, or `-` for stdin; without one, `paths` in
    a pyproject.toml is audited, else the current folder. Options take precedence over
    [tool.torchdropout.audit] in a pyproject.toml. `# torchdropout: ignore[RULE]` silences a rule on
    a line.

    Exit code: 0 no error, 1 errors (--strict: advice; --diff: something to fix), 2 nothing could be
    audited, 130 interrupted.
    """
    if listing or explain is not None:
        _describe(explain, form)
        return OK
    not_both(quiet, verbose)
    settings = context.default_map or {}
    paths = paths or settings.get("paths", ()) or (".",)
    if _STDIN in paths and len(paths) > 1:
        raise click.UsageError("Expected `-` to be the only PATH")
    if add_ignores and (fix or unsafe_fixes):
        raise click.UsageError("Expected --add-ignores or fixes, not both")
    is_form_given = context.get_parameter_source("form") is ParameterSource.COMMANDLINE
    if diff and is_form_given:
        raise click.UsageError("Expected --diff or --format, not both")
    try:
        rules = chosen(how.pop("select"), how.pop("ignore"))
        exclude = (*how["exclude"], *how["extend_exclude"])
        need_patterns("exclude", exclude)
        if output is not None:
            need_writable(output)
    except WRONG as error:
        raise click.UsageError(str(error)) from error
    fixing: Fixing | None = None
    if add_ignores:
        fixing = "ignores"
    elif fix or diff or unsafe_fixes:
        fixing = "unsafe" if unsafe_fixes else "safe"
    changes: list[tuple[str, str, str]] = []
    shared: dict[str, Any] = {
        "rules": rules,
        "per_file_ignores": settings.get("per_file_ignores"),
        "root": folder_of_settings(context),
        "fix": fixing,
        "changed": (lambda *change: changes.append(change)) if diff else None,
    }
    fixed: bytes | None = None
    if paths == (_STDIN,):
        data = _read_stdin()
        report, fixed = audit_data(data, stdin_filename, **shared)
    else:
        report = audit_paths(
            paths,
            exclude=exclude,
            respect_gitignore=not how["no_gitignore"],
            jobs=how["jobs"],
            cache=not no_cache,
            **shared,
        )
    if diff:
        is_shown = _show(changes, report, output)
        return _exit_code(report, bool(changes)) if is_shown else CANNOT_RUN
    if form == "text":  # the other formats hold them
        for problem in report.problems:
            tell(problem)
    is_filter = fixed is not None and fixing is not None
    if is_filter:  # the source goes to stdout, and the report to stderr or a file
        _pass_on(fixed or b"")
    detail: _Detail = "quiet" if quiet else "rules" if verbose else "source"
    render = _RENDERERS.get(form) or functools.partial(render_text, detail=detail)
    shown: Mapping[str, Any] = style() if form == "text" else {}
    if is_filter and output is None:
        click.echo(render(report), err=True, nl=False)
    elif not publish(
        output,
        verdict_line(report),
        _held_back(report),
        lambda: render(report, **shown),
        lambda: render(report),
        quiet=quiet,
    ):
        return CANNOT_RUN
    failed = not report.passed or bool(strict and report.findings)
    return _exit_code(report, failed and not exit_zero)


def _serve() -> int:
    """Runs the language server until the editor ends it."""
    try:
        from .lsp import serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("pygls", "lsprotocol"):
            raise
        raise click.ClickException(
            f'Expected pygls for --lsp, got none or an older version: pip install "{PYGLS}"'
        ) from error
    serve()
    return OK


def _describe(name: str | None, form: str) -> None:
    """Prints one rule in full, or all rules with a line each."""
    if name is None:
        write(render_rules_json(_RULES) if form == "json" else render_rules(_RULES, **style()))
        return
    wanted = name.strip().lower()
    rule = next((rule for rule in _RULES if wanted in (rule.name, rule.code.lower())), None)
    if rule is None:
        raise click.UsageError(
            f"Expected --explain to be given the name or code of a rule, got {name!r} (str); "
            f"{CHOICE.hint(name)}"
        )
    write(render_rule(rule, **style()))


def _show(changes: list[tuple[str, str, str]], report: SourceReport, output: Path | None) -> bool:
    """Writes the diff; returns False when a complete one could not be written."""
    for problem in report.problems:
        tell(problem)
    diff = "".join(render_diff(*change) for change in sorted(changes))
    said = f"{plural(len(changes), 'file')} would change"
    if output is None:
        tell(said)
    return publish(output, said, _held_back(report), lambda: diff, lambda: diff)


def _held_back(report: SourceReport) -> str:
    return "the run was interrupted" if report.interrupted else ""


def _read_stdin() -> bytes:
    if sys.stdin is None:  # it was closed before the program began
        raise click.UsageError("Expected a source on stdin, got a closed one")
    data = bytearray()
    try:
        while part := sys.stdin.buffer.read(_CHUNK):
            data += part
            if len(data) > MOST_BYTES:  # what writes to it may never end
                raise click.UsageError(f"Expected at most {MOST_BYTES:,} bytes on stdin, got more")
    except OSError as error:
        raise click.UsageError(f"Expected a source on stdin, got: {error.strerror}") from error
    return bytes(data)


def _pass_on(source: bytes) -> None:
    if sys.stdout is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    stream = sys.stdout.buffer
    with contextlib.suppress(BrokenPipeError):
        stream.write(source)
        stream.flush()


def _exit_code(report: SourceReport, failed: bool) -> int:
    if report.interrupted:
        return INTERRUPTED
    # `errors` has no advice, which is given for an older Python and for one cell of a notebook.
    unread = {f.path for f in report.errors if f.code in (SYNTAX_ERROR.code, UNREADABLE.code)}
    if (report.problems or unread) and report.files <= len(unread):
        return CANNOT_RUN
    return ERRORS if failed or report.problems else OK
