"""Runs the checks on a target and collects the results; the caller's state is restored."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from ..errors import ArgumentTypeError, ArgumentValueError
from ..reporting.findings import Rule
from .compiling import around_compiling
from .context import LEVELS, Check, Context, Fault, Level, Seen, Skip, describe, seed_all
from .limit import TimeLimit, can_limit, time_limit
from .registry import CHECKS, RULES, STATISTICAL, chosen
from .results import ALL, CheckResult, Report, Selection, Status, TargetReport
from .subject import Spec, Subject
from .targets import resolve
from .world import World, fresh_modes, own_world

FALSE_ALARM_RATE = 1e-6

Progress = Callable[[int, int, Rule], object]


def check_dropout(
    target: Any,
    *,
    level: str = "standard",
    seed: int = 0,
    p_name: str | None = None,
    keep_prob: str | None = None,
    training_name: str | None = None,
    progress: Progress | None = None,
    false_alarm_rate: float = FALSE_ALARM_RATE,
    spec: str | Spec | None = None,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    timeout: float | None = None,
    compile: bool | str = False,
    checkpoint: bool = False,
    device: str | torch.device | None = None,
) -> Report:
    """Verify a dropout: run all checks on it, or those selected.

    The target's code runs in this process. Its changes (see `World`) are undone after each
    check, and at the end the caller's state is as it was. Ctrl-C ends the run with the checks done
    so far.

    Args:
        target: A module class, an instance, a function `f(x, p, training)`, a string
            `package.module:Attribute` or `path/file.py:Attribute`, or a `Subject`.
        level: `"quick"`, `"standard"` or `"thorough"`: how small a fault to look for.
        seed: Two runs with the same seed give the same result.
        p_name: The parameter that is the drop probability, if its name does not show it.
        keep_prob: The parameter that is the keep probability, if the target has that instead.
        training_name: The parameter that is the mode, if its name does not show it.
        progress: Called as `progress(i, total, rule)` before each check.
        false_alarm_rate: Upper bound on the probability that a correct target gets a finding, in
            (0, 1).
        spec: What the target claims to be, by name or as a `Spec`; inferred when None.
        select: The checks to run, each by code, beginning of a code, name or group; all if empty.
        ignore: The checks to leave out, in the same form; takes precedence over `select`.
        timeout: Seconds a check may take before it fails; no limit when None. This stops Python
            code, but not a C function that does not return; the command line can stop both.
        compile: Whether to verify the target compiled by `torch.compile`; a string names the
            backend.
        checkpoint: Whether to verify it inside `torch.utils.checkpoint`.
        device: The device to verify it on; the CPU when None.

    Returns:
        A report of one target. `passed` is true when it was not interrupted and no finding is an
        error; `verdict` is `"correct"` only if no check that applies was left out either.

    Raises:
        TargetError: The target cannot be found, loaded or interpreted.
        ArgumentTypeError: An argument has a wrong type.
        ArgumentValueError: The level, the false-alarm rate, the timeout or the name of a check is
            not valid, no check is left, or a timeout is requested outside the main thread.

    Example:
        >>> report = check_dropout(torch.nn.Dropout, level="quick")
        >>> report.passed
        True
    """
    need_level(level)
    names = chosen(select, ignore)
    subject = resolve(
        target,
        p_name=p_name,
        keep_prob=keep_prob,
        training_name=training_name,
        spec=spec,
        compile=compile,
        checkpoint=checkpoint,
        device=device,
    )
    need_codes(names, subject)
    one = check_subject(
        subject,
        level=level,
        seed=seed,
        progress=progress,
        false_alarm_rate=false_alarm_rate,
        select=select,
        ignore=ignore,
        timeout=timeout,
    )
    return Report((one,))


def check_subject(
    subject: Subject,
    *,
    level: str | Level = "standard",
    seed: int = 0,
    progress: Progress | None = None,
    false_alarm_rate: float = FALSE_ALARM_RATE,
    only: frozenset[str] | None = None,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    timeout: float | None = None,
) -> TargetReport:
    """Verify a `Subject`, as `check_dropout` does with a target, also at a custom `Level`.

    `only` names the checks to run, instead of `select` and `ignore`; each check keeps the share of
    the false-alarm rate it has in a whole run.
    """
    only = chosen(select, ignore) if only is None else only
    chosen_level = level if isinstance(level, Level) else need_level(level)
    _need_seed(seed)
    _need_rate(false_alarm_rate)
    _need_timeout(timeout)
    start = time.perf_counter()
    codes = codes_of(only, subject.spec)
    results: list[CheckResult] = []
    interrupted = False
    try:
        with begun(subject, chosen_level, seed, false_alarm_rate, timeout) as run:
            for i, code in enumerate(codes):
                if progress is not None:
                    progress(i, len(codes), RULES[code])
                results.append(run(code, lost(results)))
    except KeyboardInterrupt:
        interrupted = True
    return replace(
        understood(
            subject,
            level=chosen_level,
            seed=seed,
            false_alarm_rate=false_alarm_rate,
            selection=selection_of(subject.spec, only, select, ignore),
        ),
        checks=tuple(results),
        seconds=time.perf_counter() - start,
        interrupted=interrupted,
    )


def understood(
    subject: Subject,
    *,
    level: str | Level,
    seed: int,
    false_alarm_rate: float = FALSE_ALARM_RATE,
    selection: Selection = ALL,
) -> TargetReport:
    """The report of a run that has not begun."""
    file, line = subject.place
    return TargetReport(
        target=subject.name,
        description=subject.description,
        level=level.name if isinstance(level, Level) else level,
        seed=seed,
        false_alarm_rate=false_alarm_rate,
        checks=(),
        interrupted=True,
        spec=subject.spec.name,
        file=file,
        line=line,
        selection=selection,
    )


def selection_of(
    spec: Spec, only: frozenset[str] | None, select: Sequence[str] = (), ignore: Sequence[str] = ()
) -> Selection:
    """What a report records about the checks that a run selected."""
    selected, ignored = (
        (entries,) if isinstance(entries, str) else tuple(entries) for entries in (select, ignore)
    )
    return Selection(selected, ignored, len(codes_of(only, spec)), len(codes_of(None, spec)))


def codes_of(only: frozenset[str] | None, spec: Spec) -> tuple[str, ...]:
    """The codes of the checks that `only` names and that apply to this kind, in run order."""
    return tuple(
        code
        for code, check in CHECKS.items()
        if (only is None or check.name in only) and check.applies(spec)
    )


def need_codes(only: frozenset[str], subject: Subject) -> tuple[str, ...]:
    """`codes_of`, or an error if there are none: a run without checks must not pass."""
    codes = codes_of(only, subject.spec)
    if not codes:
        raise ArgumentValueError(
            f"Expected `select` to give a check that applies to {subject.name} "
            f"({subject.spec.name}), got {', '.join(sorted(only))}"
        )
    return codes


def overdue(rule: Rule, limit: float, seconds: float) -> CheckResult:
    """The result of a check that took too long: no verdict on the target."""
    message = f"not checked: it did not end within {limit:g} s"
    return CheckResult(rule, "late", message, {"limit": limit}, "", seconds)


def lost(results: Iterable[CheckResult]) -> dict[str, str]:
    """The checks that others cannot build on, and how each of them ended."""
    how = {"fail": "failed", "late": "did not end"}
    return {r.rule.name: how[r.status] for r in results if r.status in how}


class Run:
    """A run of checks on one target.

    Attributes:
        known: What checks have found that another run of the same target needs, too.
        compiling: Called with True when the compiler begins, and with False when it ends.
    """

    def __init__(self, context: Context, timeout: float | None, world: World) -> None:
        self._context, self._timeout, self._world = context, timeout, world
        self.known = context.known
        self.compiling: Callable[[bool], object] = lambda begins: None

    def __call__(self, code: str, before: Mapping[str, str]) -> CheckResult:
        """Run one check to a result, whatever the target does; only Ctrl-C passes.

        `before` is what the earlier checks have `lost`.
        """
        start = time.perf_counter()
        context, check, rule, timeout = self._context, CHECKS[code], RULES[code], self._timeout
        lacks = {name for name in _needed(check, context.spec) if name in before}
        # Where one factor is the whole fault of the scale, it is taken out of what others measure.
        context.is_rescaled = "kept-scale" in lacks and bool(self.known.scales)
        if context.is_rescaled and check.group in _RESCALED:
            lacks.discard("kept-scale")
        lacking = next((name for name in _needed(check, context.spec) if name in lacks), None)
        status: Status
        said: Fault | Seen
        if lacking is not None:
            status, said = "skip", Seen(f"not checked: {lacking} {before[lacking]}")
        else:
            seed_all(context.derive(check.name))
            # The state is outermost, so that the time limit applies only to the target.
            with fresh_modes(self._world), time_limit(timeout) as limit, self._untimed(limit):
                status, said = _decide(check, context)
            if limit.is_over and timeout is not None:
                return overdue(rule, timeout, time.perf_counter() - start)
        seconds = time.perf_counter() - start
        sees = said.sees if isinstance(said, Seen) else ""
        return CheckResult(rule, status, said.message, said.figures, sees, seconds)

    def _untimed(self, limit: TimeLimit) -> contextlib.AbstractContextManager[None]:
        """Let the limit apply to the target, not to the compiler, which may find an empty cache."""

        def begin() -> None:
            limit.pause()
            self.compiling(True)

        def end() -> None:
            self.compiling(False)
            limit.resume()

        return around_compiling(begin, end)


@contextlib.contextmanager
def begun(
    subject: Subject,
    level: str | Level,
    seed: int,
    false_alarm_rate: float = FALSE_ALARM_RATE,
    timeout: float | None = None,
) -> Iterator[Run]:
    """Begin a run in a known state of the process; the caller's is restored at the end."""
    chosen_level = level if isinstance(level, Level) else need_level(level)
    context = Context(subject, chosen_level, seed, false_alarm_rate, STATISTICAL)
    with own_world() as world:
        yield Run(context, timeout, world)


def _decide(check: Check, context: Context) -> tuple[Status, Fault | Seen]:
    try:
        return "ok", check.run(context)
    except Skip as skip:
        return "skip", Seen(str(skip))
    except Fault as fault:
        return "fail", fault
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # A target's code runs not only in calls, but also in its backward, an operator of a tensor
        # subclass or an attribute of an output.
        return "fail", Fault(f"raised {describe(error)}", exception=describe(error))


def _needed(check: Check, spec: Spec) -> Iterator[str]:
    """The checks that a check depends on, directly or through these, by name."""
    for name in (*check.needs, *spec.needs.get(check.name, ())):
        yield name
        yield from _needed(_BY_NAME[name], spec)


_RESCALED = frozenset(
    (
        "scale",
        "rate",
        "independence",
        "gradient",
        "edges",
        "dtype",
        "randomness",
        "values",
        "layout",
    )
)
"""The groups whose checks can go by the scale that was found."""

_BY_NAME = {check.name: check for check in CHECKS.values()}


def waits_for(codes: Sequence[str], spec: Spec) -> dict[str, frozenset[str]]:
    """For each check, those among `codes` that must have ended before it begins.

    These are the checks that it depends on, and `drop-rate`: the others leave out the rates that
    it finds wrong.
    """
    by_name = {CHECKS[code].name: code for code in codes}
    waits: dict[str, frozenset[str]] = {}
    for code in codes:
        names = {*_needed(CHECKS[code], spec)}
        if by_name.get("drop-rate") in waits:
            names.add("drop-rate")
        waits[code] = frozenset(by_name[name] for name in names if name in by_name)
    return waits


def need_level(level: str) -> Level:
    """The level of this name; for any other name, an error that lists the levels."""
    if not isinstance(level, str) or level not in LEVELS:
        raise ArgumentValueError(
            f"Expected `level` to be one of {', '.join(LEVELS)}, got level={level!r} "
            f"({type(level).__name__})"
        )
    return LEVELS[level]


def _need_seed(seed: int) -> None:
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise ArgumentTypeError(
            f"Expected `seed` to be an int, got seed={seed!r} ({type(seed).__name__})"
        )


def _need_rate(rate: float) -> None:
    if not isinstance(rate, (int, float)) or not 0 < rate < 1:
        raise ArgumentValueError(
            f"Expected `false_alarm_rate` in (0, 1), got false_alarm_rate={rate!r} "
            f"({type(rate).__name__})"
        )


def _need_timeout(timeout: float | None) -> None:
    if timeout is None:
        return
    is_number = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
    if not is_number or not 0 < timeout < math.inf:
        raise ArgumentValueError(
            f"Expected `timeout` to be a number of seconds above 0 or None, "
            f"got timeout={timeout!r} ({type(timeout).__name__})"
        )
    if not can_limit():
        raise ArgumentValueError(
            "Expected `timeout` to be None outside the main thread, which alone receives signals, "
            f"got timeout={timeout!r} ({type(timeout).__name__})"
        )
