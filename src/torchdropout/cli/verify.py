"""The commands of the verifier: `verify`, `compare`, `checks`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ..reporting.command import (
    CANNOT_RUN,
    ERRORS,
    INTERRUPTED,
    OK,
    WRONG,
    formats,
    output_option,
    publish,
    settings_of,
    tell,
)
from ..reporting.output import look, need_writable, write
from ..reporting.rules import render_rules, render_rules_json
from ..verify.baseline import Baseline, read_baseline
from ..verify.comparison import compare as compare_dropouts
from ..verify.comparison.text import render_comparison
from ..verify.context import LEVELS
from ..verify.isolation import RunOutcome, stdout_to_stderr, verify_targets
from ..verify.limit import can_limit
from ..verify.progress import bars
from ..verify.registry import RULES, chosen
from ..verify.report import (
    render_github,
    render_html,
    render_json,
    render_junit,
    render_text,
)
from ..verify.report._words import total, verdict_line
from ..verify.results import Report
from ..verify.settings import FORMATS, TABLE

_RULES = tuple(RULES.values())
_RENDERERS: dict[str, Callable[[Report], str]] = {
    "text": render_text,
    "json": render_json,
    "junit": render_junit,
    "html": render_html,
    "github": render_github,
}
# Seconds a check may take. On a target of ordinary speed a check takes a tenth of this.
_TIMEOUTS = {"quick": 120.0, "standard": 120.0, "thorough": 900.0}

_Command = TypeVar("_Command", bound=Callable[..., object])


def _level(command: _Command) -> _Command:
    option = click.option(
        "--level",
        type=click.Choice(list(LEVELS)),
        default="standard",
        show_default=True,
        help="How small a fault to look for.",
    )
    return option(command)


def _seed(command: _Command) -> _Command:
    option = click.option("--seed", type=int, default=0, show_default=True, help="Seed of the run.")
    return option(command)


def _timeout(command: _Command) -> _Command:
    option = click.option(
        "--timeout",
        type=click.FloatRange(min=0),
        metavar="SECONDS",
        help="Time a check may take before it fails; 0: no limit.  "
        f"[default: {_TIMEOUTS['standard']:g}; thorough: {_TIMEOUTS['thorough']:g}]",
    )
    return option(command)


def _limit(timeout: float | None, level: str) -> float | None:
    return (_TIMEOUTS[level] if timeout is None else timeout) or None


@click.command()
@click.argument("targets", nargs=-1, metavar="TARGET...")
@_level
@_seed
@click.option(
    "--select",
    multiple=True,
    metavar="CHECKS",
    help="Run these checks only: codes, beginnings of codes (TD52), names or groups, with commas "
    "between.",
)
@click.option(
    "--ignore",
    multiple=True,
    metavar="CHECKS",
    help="Leave these out; takes precedence over --select.",
)
@formats(*FORMATS)
@output_option("Write the report to a file, atomically; the verdict goes to stderr.")
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A report written by --format json: its findings are known, and do not fail the run.",
)
@click.option("--strict/--no-strict", default=False, help="Exit with 1 on advice, too.")
@_timeout
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Targets verified at the same time, where processes can be forked.",
)
@click.option(
    "--spec", metavar="NAME", help="What the targets claim to be, where it is not inferred."
)
@click.option(
    "--compile", "compiled", is_flag=True, help="Verify the targets compiled by torch.compile."
)
@click.option("--checkpoint", is_flag=True, help="Verify them inside torch.utils.checkpoint.")
@click.option(
    "--device", metavar="NAME", help="Device to verify them on: cuda, mps.  [default: cpu]"
)
@click.option("--p-name", metavar="NAME", help="The argument that is the drop probability.")
@click.option("--keep-prob", metavar="NAME", help="The argument that is the keep probability.")
@click.option("--training-name", metavar="NAME", help="The argument that says whether to drop.")
@settings_of(TABLE)
@click.pass_context
def verify(
    context: click.Context,
    /,
    targets: tuple[str, ...],
    level: str,
    seed: int,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    form: str,
    output: Path | None,
    baseline: Path | None,
    strict: bool,
    timeout: float | None,
    jobs: int,
    compiled: bool,
    no_config: bool,
    **how: Any,
) -> int:
    """Verify each TARGET: package.module:Attribute or path/file.py:Attribute.

    A TARGET is a module class, an instance, or a function f(x, p, training). Its code is run.
    Options on the command line take precedence over [tool.torchdropout] in a pyproject.toml.

    Exit code: 0 no error, 1 errors, 2 a target cannot be run, 130 interrupted.
    """
    targets = targets or (context.default_map or {}).get("targets", ())
    if not targets:
        raise click.UsageError("Missing argument 'TARGET...', and no `targets` in a pyproject.toml")
    if how["p_name"] is not None and how["keep_prob"] is not None:
        raise click.UsageError(
            "Expected --p-name or --keep-prob, not both, "
            f"got --p-name {how['p_name']} and --keep-prob {how['keep_prob']}"
        )
    try:
        chosen(select, ignore)
        known = Baseline({}) if baseline is None else read_baseline(baseline)
        if output is not None:
            need_writable(output)
    except WRONG as error:
        raise click.UsageError(str(error)) from error
    how |= {"level": level, "seed": seed, "select": select, "ignore": ignore, "compile": compiled}
    with bars() as watch:
        outcome = verify_targets(
            tuple(dict.fromkeys(targets)),
            how,
            watch,
            timeout=_limit(timeout, level),
            jobs=jobs,
            fork=context.obj,
        )
    report = known.mark(Report(outcome.reports))
    is_written = _publish(report, outcome, form, output)
    for target, code in known.gone(report):
        tell(f"{target}: {code} {RULES[code].name} is fixed")
    for message in outcome.unable:
        tell(message)
    return _exit_code(report, outcome, strict) if is_written else CANNOT_RUN


def _publish(report: Report, outcome: RunOutcome, form: str, output: Path | None) -> bool:
    """Write the report; False when a complete one could not be written."""
    said = verdict_line(report.targets[0]) if len(report.targets) == 1 else total(report)
    held_back = "the run was interrupted" if outcome.interrupted else "a target could not be run"

    def shown() -> str:
        return render_text(report, **look()) if form == "text" else _RENDERERS[form](report)

    return publish(
        output,
        said,
        held_back if outcome.is_partial else "",
        shown,
        lambda: _RENDERERS[form](report),
    )


def _exit_code(report: Report, outcome: RunOutcome, strict: bool) -> int:
    if outcome.interrupted:
        return INTERRUPTED
    if outcome.unable:
        return CANNOT_RUN
    return OK if report.passed and not (strict and report.new_findings) else ERRORS


@click.command()
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@_level
@_seed
@_timeout
@formats("text", "json")
@click.option("--spec", metavar="NAME", help="What both claim to be, where it is not inferred.")
def compare(
    a: str, b: str, level: str, seed: int, timeout: float | None, form: str, spec: str | None
) -> int:
    """Report where two targets, A and B, differ: distribution, mode, gradient, edge cases.

    Exit code: 0 no difference, 1 differences, 2 a target cannot be run, 130 interrupted.
    """
    limit = _limit(timeout, level) if can_limit() else None
    try:
        with bars() as watch, stdout_to_stderr():

            def at(i: int, total: int, rule: Any) -> None:
                watch.at(f"{a} and {b}", i, total, rule)
                watch.tick()

            found = compare_dropouts(
                a, b, level=level, seed=seed, spec=spec, progress=at, timeout=limit
            )
    except WRONG as error:
        tell(str(error))
        return CANNOT_RUN
    if form == "json":
        write(json.dumps(found.to_dict(), indent=2, allow_nan=False))
    else:
        write(render_comparison(found, **look()))
    if not found.complete:
        return INTERRUPTED
    return OK if found.same else ERRORS


@click.command()
@formats("text", "json")
def checks(form: str) -> int:
    """List the checks: code, name, group, severity, what each requires."""
    write(render_rules_json(_RULES, "checks") if form == "json" else render_rules(_RULES, **look()))
    return OK
