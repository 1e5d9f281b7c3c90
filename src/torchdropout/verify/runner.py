"""Runs the checks on a target and says what they saw; leaves the caller's world as it was."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch

from ..errors import ArgumentTypeError, ArgumentValueError
from ..findings import CheckResult, Report, Rule, Status, TargetReport
from .context import (
    LEVELS,
    Check,
    Context,
    Fault,
    Level,
    Seen,
    Skip,
    describe,
    saved_generators,
    seed_all,
)
from .subject import Subject
from .table import CHECKS, RULES, STATISTICAL
from .targets import resolve

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
) -> Report:
    """Judges a dropout: runs every check of the table on it.

    The global generators of torch, NumPy and Python, the default dtype, the grad mode and the mode
    of the target are afterwards as they were. Ctrl-C ends the run with the checks done so far.

    Args:
        target: A module class, an instance, a function `f(x, p, training)`, a string
            `package.module:Attribute` or `path/file.py:Attribute`, or a `Subject`.
        level: `"quick"`, `"standard"` or `"thorough"`: how small a fault is looked for.
        seed: Two runs with the same seed say the same.
        p_name: The parameter that takes p, where its name does not tell.
        keep_prob: The parameter that takes the probability to keep, where that is what it takes.
        training_name: The parameter that takes the mode, where its name does not tell.
        progress: Called as `progress(i, total, rule)` before each check.
        false_alarm_rate: Upper bound on the chance that a correct target is accused, in (0, 1).

    Returns:
        A report of one target. `passed` is true when it was not interrupted and no finding is an
        error.

    Raises:
        TargetError: The target cannot be found, loaded or understood.
        ArgumentValueError: The level or the false-alarm rate is none.

    Example:
        >>> report = check_dropout(torch.nn.Dropout, level="quick")
        >>> report.passed
        True
    """
    _need_level(level)
    subject = (
        target
        if isinstance(target, Subject)
        else resolve(target, p_name=p_name, keep_prob=keep_prob, training_name=training_name)
    )
    one = check_subject(
        subject, level=level, seed=seed, progress=progress, false_alarm_rate=false_alarm_rate
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
) -> TargetReport:
    """`check_dropout` for a target that is understood, also at a `Level` of one's own.

    `only` names the checks to run.
    With `only`, each check keeps the share of the false-alarm rate it has in a whole run.
    """
    chosen = level if isinstance(level, Level) else _need_level(level)
    _need_seed(seed)
    _need_rate(false_alarm_rate)
    start = time.perf_counter()
    context = Context(subject, chosen, seed, false_alarm_rate, STATISTICAL)
    codes = [code for code, check in CHECKS.items() if only is None or check.name in only]
    results: list[CheckResult] = []
    complete = True
    try:
        with _own_world():
            for i, code in enumerate(codes):
                if progress is not None:
                    progress(i, len(codes), RULES[code])
                results.append(_run(context, CHECKS[code], RULES[code], results))
    except KeyboardInterrupt:
        complete = False
    return TargetReport(
        target=subject.name,
        description=subject.description,
        level=chosen.name,
        seed=seed,
        false_alarm_rate=false_alarm_rate,
        checks=tuple(results),
        seconds=time.perf_counter() - start,
        complete=complete,
    )


def _run(context: Context, check: Check, rule: Rule, results: list[CheckResult]) -> CheckResult:
    """One check, to a result: whatever the target does, short of Ctrl-C."""
    start = time.perf_counter()

    def result(status: Status, said: Fault | Seen) -> CheckResult:
        seconds = time.perf_counter() - start
        sees = said.sees if isinstance(said, Seen) else ""
        return CheckResult(rule, status, said.message, said.figures, sees, seconds)

    lacking = _lacking(check, results)
    if lacking is not None:
        return result("skip", Seen(f"not judged: {lacking} failed"))
    seed_all(context.derive(check.name))
    try:
        with _fresh_modes():
            return result("ok", check.run(context))
    except Skip as skip:
        return result("skip", Seen(str(skip)))
    except Fault as fault:
        return result("fail", fault)
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        # A target's backward, a tensor subclass's operator, an attribute of an output: its code
        # runs in more places than calls.
        return result("fail", Fault(f"raised {describe(error)}", exception=describe(error)))


def _lacking(check: Check, results: list[CheckResult]) -> str | None:
    """The first check needed that failed, also through what it needs itself."""
    failed = {r.rule.name for r in results if r.status == "fail"}
    by_name = {c.name: c for c in CHECKS.values()}

    def first(names: tuple[str, ...]) -> str | None:
        for name in names:
            if name in failed:
                return name
            deeper = first(by_name[name].needs)
            if deeper is not None:
                return deeper
        return None

    return first(check.needs)


@contextlib.contextmanager
def _own_world() -> Iterator[None]:
    """A known world for the run, then the caller's: generators, dtype, device and threads."""
    dtype, device = torch.get_default_dtype(), torch.get_default_device()
    threads = torch.get_num_threads()
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(saved_generators())
            if device.type != "cpu":
                stack.enter_context(torch.device("cpu"))
            torch.set_default_dtype(torch.float32)
            torch.set_num_threads(1)
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)
        if torch.get_default_device() != device:
            torch.set_default_device(device)


@contextlib.contextmanager
def _fresh_modes() -> Iterator[None]:
    """For one check: gradients are recorded, warnings silent, and what the target set is undone."""
    torch.set_default_dtype(torch.float32)
    grad = torch.is_grad_enabled()
    try:
        with warnings.catch_warnings(), torch.inference_mode(False), torch.enable_grad():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_grad_enabled(grad)


def _need_level(level: str) -> Level:
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
