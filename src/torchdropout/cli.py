"""The command line: parse, call, render, exit code."""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TypedDict, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ._version import __version__
from .errors import ArgumentTypeError, ArgumentValueError, TargetError
from .findings import Report, Rule, TargetReport
from .info import gather, text
from .verify.report import (
    render_json,
    render_rule,
    render_rules,
    render_rules_json,
    render_text,
)
from .verify.runner import check_dropout
from .verify.table import RULES

OK, ERRORS, CANNOT_RUN, INTERRUPTED = 0, 1, 2, 130
_RULES = tuple(RULES.values())

_Tick = Callable[[int, int, Rule], None]
_Command = TypeVar("_Command", bound=Callable[..., object])


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line and returns its exit code.

    Args:
        arguments: Command-line arguments; those of the process when None.

    Returns:
        0 no error found, 1 errors (with `--strict` advice too), 2 cannot run, 130 interrupted.
    """
    try:
        code = main(arguments, prog_name="torchdropout", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return CANNOT_RUN
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    return code if isinstance(code, int) else OK


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="torchdropout")
def main() -> None:
    """Tells whether a dropout is right, and shows the figures."""


def _formats(command: _Command) -> _Command:
    option = click.option(
        "--format",
        "form",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="How to print it.",
    )
    return option(command)


@main.command()
@click.argument("targets", nargs=-1, required=True, metavar="TARGET...")
@click.option(
    "--level",
    type=click.Choice(["quick", "standard", "thorough"]),
    default="standard",
    show_default=True,
    help="How small a fault to look for.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the run.")
@_formats
@click.option("--strict", is_flag=True, help="Exit with 1 on advice, too.")
@click.option("--p-name", metavar="NAME", help="The argument that is the drop probability.")
@click.option("--keep-prob", metavar="NAME", help="The argument that is the keep probability.")
@click.option("--training-name", metavar="NAME", help="The argument that says whether to drop.")
def verify(
    targets: tuple[str, ...],
    level: str,
    seed: int,
    form: str,
    strict: bool,
    p_name: str | None,
    keep_prob: str | None,
    training_name: str | None,
) -> int:
    """Judges each TARGET: package.module:Attribute or path/file.py:Attribute.

    A TARGET is a module class, an instance, or a function f(x, p, training).

    Exit code: 0 no error, 1 errors, 2 a target cannot be run, 130 interrupted.
    """
    if p_name is not None and keep_prob is not None:
        raise click.UsageError(
            "Expected --p-name or --keep-prob, not both, "
            f"got --p-name {p_name} and --keep-prob {keep_prob}"
        )

    def judge(target: str, tick: _Tick | None) -> Report:
        return check_dropout(
            target,
            level=level,
            seed=seed,
            p_name=p_name,
            keep_prob=keep_prob,
            training_name=training_name,
            progress=tick,
        )

    report, unable, interrupted = _judge_all(targets, judge)
    if form == "json":
        _write(render_json(report))
    elif report.targets:
        _write(render_text(report, **_look()))
    for message in unable:
        click.echo(f"torchdropout: {message}", err=True)
    return _exit_code(report, bool(unable), interrupted, strict)


@main.command()
@click.argument("name")
def explain(name: str) -> int:
    """Explains a check, by NAME or code: what it measures, why it matters, how to mend it."""
    wanted = name.strip().lower()
    rule = next((rule for rule in _RULES if wanted in (rule.name, rule.code.lower())), None)
    if rule is None:
        raise click.UsageError(_unknown_rule(name, wanted))
    _write(render_rule(rule, **_look()))
    return OK


@main.command()
@_formats
def checks(form: str) -> int:
    """Lists the checks: code, name, group, severity, what each requires."""
    _write(render_rules_json(_RULES) if form == "json" else render_rules(_RULES, **_look()))
    return OK


@main.command()
@_formats
def info(form: str) -> int:
    """Says what runs here: versions, the backend and why it, threads."""
    click.echo(json.dumps(gather()) if form == "json" else text())
    return OK


def _unknown_rule(name: str, wanted: str) -> str:
    names = [key for rule in _RULES for key in (rule.name, rule.code.lower())]
    near = difflib.get_close_matches(wanted, names, n=3, cutoff=0.5)
    near += [key for key in names if wanted and wanted in key and key not in near][:3]
    hint = f"close to it: {', '.join(near)}" if near else "`torchdropout checks` lists them"
    return f"Expected `NAME` to be the name or code of a check, got {name!r} (str); {hint}"


def _judge_all(
    targets: Sequence[str], judge: Callable[[str, _Tick | None], Report]
) -> tuple[Report, list[str], bool]:
    """The reports, what could not be run and why, and whether the user has interrupted."""
    done: list[TargetReport] = []
    unable: list[str] = []
    for target in targets:
        try:
            with _progress(target) as tick, _stdout_to_stderr():
                report = judge(target, tick)
        except (TargetError, ArgumentTypeError, ArgumentValueError) as error:
            unable.append(str(error))
            continue
        except KeyboardInterrupt:
            return Report(tuple(done)), unable, True
        done += report.targets
        if not all(part.complete for part in report.targets):
            return Report(tuple(done)), unable, True
    return Report(tuple(done)), unable, False


def _exit_code(report: Report, unable: bool, interrupted: bool, strict: bool) -> int:
    if interrupted:
        return INTERRUPTED
    if unable:
        return CANNOT_RUN
    return OK if report.passed and not (strict and report.findings) else ERRORS


@contextlib.contextmanager
def _progress(target: str) -> Iterator[_Tick | None]:
    """A bar on stderr while a target is judged, where stderr is a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TextColumn("{task.completed}/{task.total}  {task.fields[rule]}", markup=False),
        TimeElapsedColumn(),
    )
    # The target's own prints go to stderr as they come: rich must not take them over.
    bar = Progress(
        *columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False
    )
    with bar:
        task = bar.add_task(target, total=None, rule="")

        def tick(i: int, total: int, rule: Rule) -> None:
            bar.update(task, completed=i, total=total, rule=rule.name)

        yield tick


@contextlib.contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """Keeps what a target prints, from Python or below it, out of the report on stdout."""
    with contextlib.ExitStack() as stack:
        sys.stdout.flush()
        with contextlib.suppress(OSError, ValueError):  # no such descriptor: nothing to keep out
            saved = os.dup(1)
            stack.callback(os.close, saved)
            os.dup2(2, 1)
            stack.callback(os.dup2, saved, 1)
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        yield


class _Look(TypedDict):
    width: int | None
    styled: bool


def _look() -> _Look:
    """Wrapped and coloured on a terminal; plain in a pipe, a dumb terminal or with NO_COLOR."""
    console = Console()
    if not console.is_terminal:
        return {"width": None, "styled": False}
    is_plain = console.no_color or console.color_system is None
    return {"width": console.width, "styled": not is_plain}


def _write(text: str) -> None:
    try:
        click.echo(text.rstrip("\n"), color=True)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (`head`, say) has what it wanted; Python would complain of it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
