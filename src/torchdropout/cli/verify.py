"""The commands of the verifier: `verify`, `compare`, `checks`."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from ..reporting.command import (
    CANNOT_RUN,
    ERRORS,
    INTERRUPTED,
    OK,
    WRONG,
    completing,
    exit_zero_option,
    formats,
    not_both,
    output_option,
    publish,
    quiet_option,
    settings_of,
    tell,
    verbose_option,
)
from ..reporting.output import need_writable, style, write
from ..reporting.rules import render_rules, render_rules_json
from ..reporting.selection import close_to
from ..verify.baseline import Baseline, read_baseline
from ..verify.comparison import compare as compare_dropouts
from ..verify.comparison.text import render_comparison
from ..verify.context import LEVELS
from ..verify.isolation import RunOutcome, stdout_to_stderr, verify_targets
from ..verify.limit import can_limit
from ..verify.progress import bars
from ..verify.registry import CHOICE, RULES, chosen
from ..verify.report import (
    render_github,
    render_html,
    render_json,
    render_junit,
    render_text,
)
from ..verify.report._words import total, verdict_line
from ..verify.report.text import Detail
from ..verify.results import Report
from ..verify.settings import FORMATS, TABLE
from ..verify.specs import SPECS

_RULES = tuple(RULES.values())
_RENDERERS: dict[str, Callable[[Report], str]] = {
    "json": render_json,
    "junit": render_junit,
    "html": render_html,
    "github": render_github,
}
# What people call some kinds.
_KINDS: Mapping[str, str] = {
    "channels": "dropout1d, dropout2d or dropout3d",
    "spatial": "dropout1d, dropout2d or dropout3d",
    "rows": "drop-path",
    "stochastic-depth": "drop-path",
    "blocks": "drop-block1d, drop-block or drop-block3d",
}
# Seconds between two checks of the files that `--watch` watches.
_LOOK = 0.3
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


class _Kind(click.ParamType[str]):
    """The name of a kind, with options after a colon."""

    name = "kind"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse a name that is not that of a kind; the options are checked when it is parsed."""
        kind = value.partition(":")[0]
        if kind not in SPECS:
            hint = close_to(kind, [*SPECS, *_KINDS], f"the kinds are {', '.join(SPECS)}")
            also = [f"{word} is {kinds}" for word, kinds in _KINDS.items() if word in hint]
            said = "; ".join([f"Expected the name of a kind, got {value!r}", hint, *also])
            self.fail(said, param, ctx)
        return value

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete the name."""
        return completing(lambda: ((name, spec.title) for name, spec in SPECS.items()))(
            ctx, param, incomplete
        )


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
    help="Run these checks only: codes, beginnings of codes (TD52), names or groups, separated by "
    "commas. The report says that others were left out, and gives no verdict unless one fails.",
    shell_complete=completing(CHOICE.completions, listed=True),
)
@click.option(
    "--ignore",
    multiple=True,
    metavar="CHECKS",
    help="Leave these out; takes precedence over --select.",
    shell_complete=completing(CHOICE.completions, listed=True),
)
@formats(*FORMATS)
@output_option("Write the report to a file, atomically; the verdict goes to stderr.")
@quiet_option("Print what failed and the verdict only, and no progress.")
@verbose_option("Print each check, with how small a fault it would have seen.")
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A report written by --format json: its findings are known, and do not fail the run.",
)
@click.option("--strict/--no-strict", default=False, help="Exit with 1 on advice, too.")
@exit_zero_option()
@click.option(
    "--watch", is_flag=True, help="Verify again whenever a target's file changes, until Ctrl-C."
)
@_timeout
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="Targets verified at the same time, where processes can be forked.",
)
@click.option(
    "--spec",
    type=_Kind(),
    metavar="NAME",
    help="The kind of dropout that the targets claim to be; inferred by default.",
)
@click.option(
    "--compile", "compiled", is_flag=True, help="Verify the targets compiled by torch.compile."
)
@click.option(
    "--checkpoint", is_flag=True, help="Verify the targets inside torch.utils.checkpoint."
)
@click.option(
    "--device", metavar="NAME", help="Device to verify the targets on: cuda, mps.  [default: cpu]"
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
    exit_zero: bool,
    watch: bool,
    quiet: bool,
    verbose: bool,
    timeout: float | None,
    jobs: int,
    compiled: bool,
    no_config: bool,
    **how: Any,
) -> int:
    """Verify each TARGET: package.module:Attribute or path/file.py:Attribute.

    A TARGET is a module class, an instance, or a function f(x, p, training). Its code is run.
    Options on the command line take precedence over [tool.torchdropout] in a pyproject.toml.

    Exit code: 0 no error, 1 errors, 2 a target cannot be run or a check did not end, 130
    interrupted. With --select or --ignore the exit code says whether the checks that ran found an
    error, not whether the target is correct.
    """
    targets = targets or (context.default_map or {}).get("targets", ())
    if not targets:
        raise click.UsageError("Missing argument 'TARGET...', and no `targets` in a pyproject.toml")
    if how["p_name"] is not None and how["keep_prob"] is not None:
        raise click.UsageError(
            "Expected --p-name or --keep-prob, not both, "
            f"got --p-name {how['p_name']} and --keep-prob {how['keep_prob']}"
        )
    not_both(quiet, verbose)
    try:
        chosen(select, ignore)
        known = Baseline({}) if baseline is None else read_baseline(baseline)
        if output is not None:
            need_writable(output)
    except WRONG as error:
        raise click.UsageError(str(error)) from error
    how |= {"level": level, "seed": seed, "select": select, "ignore": ignore, "compile": compiled}
    targets = tuple(dict.fromkeys(targets))
    detail: Detail = "quiet" if quiet else "checks" if verbose else "groups"
    files = _files(targets, ())

    def once() -> int:
        nonlocal files
        with bars(len(targets), quiet=quiet) as progress:
            outcome = verify_targets(
                targets,
                how,
                progress,
                timeout=_limit(timeout, level),
                jobs=jobs,
                fork=context.obj,
            )
        report = known.mark(Report(outcome.reports))
        files = _files(targets, (target.file for target in report.targets))
        is_written = _publish(report, outcome, form, output, detail)
        for target, code in known.gone(report):
            tell(f"{target}: {code} {RULES[code].name} is fixed")
        for message in outcome.unable:
            tell(message)
        return _exit_code(report, outcome, strict, exit_zero) if is_written else CANNOT_RUN

    if not watch:
        return once()
    return _watched(once, lambda: files)


def _files(targets: Iterable[str], more: Iterable[str]) -> frozenset[Path]:
    """The files of targets: those that are named, and those that a run has found."""
    named = (target.rpartition(":")[0] for target in targets)
    return frozenset(Path(name) for name in (*named, *more) if name.endswith(".py"))


def _watched(run: Callable[[], int], files: Callable[[], frozenset[Path]]) -> int:
    """Run now and whenever a file changes; Ctrl-C in between ends it with the last exit code."""
    while True:
        before = _stamps(files())
        code = run()
        if code == INTERRUPTED:
            return code
        # A file that the run found has its state at the end; a named one, at the beginning.
        before = _stamps(files()) | before
        if not before:
            tell("Expected a target whose file is known for --watch, got none")
            return CANNOT_RUN
        try:
            tell(f"watching {', '.join(sorted(map(str, before)))}; Ctrl-C ends it")
            while (now := _stamps(before)) == before:
                time.sleep(_LOOK)
            last = None
            while last != now:  # an editor may write in several steps
                time.sleep(_LOOK)
                last, now = now, _stamps(before)
        except KeyboardInterrupt:
            return code


def _stamps(files: Iterable[Path]) -> dict[Path, tuple[int, int] | None]:
    """The time and size of each file; None where it is missing, as between two saves."""
    stamps: dict[Path, tuple[int, int] | None] = dict.fromkeys(files)
    for file in stamps:
        with contextlib.suppress(OSError):
            stat = file.stat()
            stamps[file] = (stat.st_mtime_ns, stat.st_size)
    return stamps


def _publish(
    report: Report, outcome: RunOutcome, form: str, output: Path | None, detail: Detail
) -> bool:
    """Write the report; False when a complete one could not be written."""
    said = verdict_line(report.targets[0]) if len(report.targets) == 1 else total(report)
    held_back = "the run was interrupted" if outcome.interrupted else "a target could not be run"

    def rendered(**how: Any) -> str:
        return (
            render_text(report, detail=detail, **how)
            if form == "text"
            else _RENDERERS[form](report)
        )

    return publish(
        output,
        said,
        held_back if outcome.is_partial else "",
        lambda: rendered(**style()),
        rendered,
        quiet=detail == "quiet",
    )


def _exit_code(report: Report, outcome: RunOutcome, strict: bool, exit_zero: bool) -> int:
    if outcome.interrupted:
        return INTERRUPTED
    if outcome.unable:
        return CANNOT_RUN
    is_wrong = strict and report.new_findings
    if is_wrong or any(target.verdict == "incorrect" for target in report):
        return OK if exit_zero else ERRORS
    return OK if report.passed else CANNOT_RUN


@click.command()
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@_level
@_seed
@_timeout
@formats("text", "json")
@output_option("Write the comparison to a file, atomically; the verdict goes to stderr.")
@quiet_option("Print the verdict only, and no progress.")
@verbose_option("List what was compared, and what was not.")
@exit_zero_option()
@click.option(
    "--spec",
    type=_Kind(),
    metavar="NAME",
    help="What both claim to be; inferred by default.",
)
def compare(
    a: str,
    b: str,
    level: str,
    seed: int,
    timeout: float | None,
    form: str,
    output: Path | None,
    quiet: bool,
    verbose: bool,
    exit_zero: bool,
    spec: str | None,
) -> int:
    """Report where two targets, A and B, differ: in a check, or in what no check covers.

    Exit code: 0 no difference, 1 differences, 2 a target cannot be run, 130 interrupted.
    """
    not_both(quiet, verbose)
    limit = _limit(timeout, level) if can_limit() else None
    try:
        if output is not None:
            need_writable(output)
    except WRONG as error:
        raise click.UsageError(str(error)) from error
    try:
        with bars(quiet=quiet) as watch, stdout_to_stderr():
            watch.begin(f"{a} and {b}")
            watch.tick()

            def at(i: int, total: int, rule: Any) -> None:
                watch.at(f"{a} and {b}", i, total, rule)
                watch.tick()

            found = compare_dropouts(
                a, b, level=level, seed=seed, spec=spec, progress=at, timeout=limit
            )
    except WRONG as error:
        tell(str(error))
        return CANNOT_RUN
    detail: Detail = "quiet" if quiet else "checks" if verbose else "groups"

    def rendered(**how: Any) -> str:
        if form == "json":
            return json.dumps(found.to_dict(), indent=2, allow_nan=False)
        return render_comparison(found, detail=detail, **how)

    held_back = "" if found.complete else "the run was interrupted"
    said = render_comparison(found, detail="quiet")
    if not publish(
        output, said.strip(), held_back, lambda: rendered(**style()), rendered, quiet=quiet
    ):
        return CANNOT_RUN
    if not found.complete:
        return INTERRUPTED
    return OK if found.same or exit_zero else ERRORS


@click.command()
@formats("text", "json")
def checks(form: str) -> int:
    """List the checks: code, name, group, severity, what each requires."""
    write(
        render_rules_json(_RULES, "checks") if form == "json" else render_rules(_RULES, **style())
    )
    return OK
