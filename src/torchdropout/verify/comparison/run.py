"""Runs a comparison of two implementations: by the checks, and in exact cases."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from ...reporting.findings import Rule
from ..context import LEVELS, Context, Level, seed_all
from ..registry import STATISTICAL
from ..results import CheckResult, TargetReport
from ..runner import FALSE_ALARM_RATE, check_subject
from ..subject import Built, Spec, Subject
from ..targets import resolve
from ..world import own_world
from .observe import Observer
from .policies import POLICIES
from .results import Comparison, Row

# The checks of a and the checks of b share the false-alarm rate equally.
_PARTS = 2

Progress = Callable[[int, int, Rule], object]


def compare(
    a: Any,
    b: Any,
    *,
    level: str | Level = "standard",
    seed: int = 0,
    spec: str | Spec | None = None,
    progress: Progress | None = None,
    false_alarm_rate: float = FALSE_ALARM_RATE,
    timeout: float | None = None,
) -> Comparison:
    """Compare two dropouts and report where they differ.

    The comparison has two parts. *Checks*: the verifier tests both against the exact distribution
    of their kind; a check that one passes and the other fails is a difference, and what both fail
    in other words is not compared. *Policies*: cases that are observed exactly: wrong p, dtypes,
    infinities, how much of torch's generator a call uses, the mask for a seed.

    Neither is taken as the reference: two with the same fault count as equal. If a can be
    verified at one p only (an instance), b is verified at that p too.

    Args:
        a: A target that `check_dropout` accepts, or a `Subject`.
        b: The other.
        level: `"quick"`, `"standard"` or `"thorough"`: how small a difference to look for.
        seed: Two runs with the same seed give the same result.
        spec: What both claim to be; inferred when None.
        progress: Called as `progress(i, total, rule)` before each check.
        false_alarm_rate: Upper bound on the probability that a difference is reported between two
            correct dropouts of one distribution, in (0, 1).
        timeout: Seconds that a check, or an observation of one side, may take; no limit when None.

    Returns:
        The differences and everything that was looked at. Ctrl-C ends the run with partial results.

    Raises:
        TargetError: A target cannot be found, loaded or interpreted.
        ArgumentValueError: The level does not exist, or the false-alarm rate is not in (0, 1).

    Example:
        >>> import torch
        >>> found = compare(torch.nn.Dropout(0.5), torch.nn.Dropout(0.1), level="quick")
        >>> found.same
        False
        >>> [row.aspect for row in found.differences][:1]
        ['p it can be verified at']
    """
    one, other = (t if isinstance(t, Subject) else resolve(t, spec=spec) for t in (a, b))
    return compare_subjects(
        one,
        other,
        level=level,
        seed=seed,
        progress=progress,
        false_alarm_rate=false_alarm_rate,
        timeout=timeout,
    )


def compare_subjects(
    a: Subject,
    b: Subject,
    *,
    level: str | Level,
    seed: int,
    progress: Progress | None = None,
    false_alarm_rate: float = FALSE_ALARM_RATE,
    timeout: float | None = None,
    only: frozenset[str] | None = None,
) -> Comparison:
    """Compare two `Subject`s, as `compare` does with two targets, also at a custom `Level`.

    `only` names the checks to run on both; policies are compared in any case.
    """
    start = time.perf_counter()
    subjects = _at_one_p(a, b)
    rate = false_alarm_rate / _PARTS
    reports = [
        check_subject(
            subject,
            level=level,
            seed=seed,
            progress=progress,
            false_alarm_rate=rate,
            timeout=timeout,
            only=only,
        )
        for subject in subjects
    ]
    rows: list[Row] = []
    complete = not any(report.interrupted for report in reports)
    if complete:
        chosen = level if isinstance(level, Level) else LEVELS[level]
        one, other = (Context(subject, chosen, seed, rate, STATISTICAL) for subject in subjects)
        try:
            with own_world() as world:
                for row in _rows((one, other), reports, Observer(world, timeout)):
                    rows.append(row)
        except KeyboardInterrupt:
            complete = False
    return Comparison(
        a=reports[0],
        b=reports[1],
        rows=tuple(rows),
        false_alarm_rate=false_alarm_rate,
        seconds=time.perf_counter() - start,
        complete=complete,
    )


def _rows(
    contexts: tuple[Context, Context],
    reports: Sequence[TargetReport],
    observer: Observer,
) -> Iterator[Row]:
    for policy in POLICIES:
        said = [observer.observe(partial(_probed, ctx, policy.probe)) for ctx in contexts]
        differs = said[0] != said[1]
        yield Row("policy", policy.aspect, said[0], said[1], differs, policy.severity)
    # Each of two kinds has checks that do not apply to the other.
    others = {result.rule.code: result for result in reports[1].checks}
    for first in reports[0].checks:
        if first.rule.code in others:
            yield _check_row(first, others[first.rule.code])


def _probed(ctx: Context, probe: Callable[[Context], str]) -> str:
    seed_all(ctx.derive("policy"))
    return probe(ctx)


def _check_row(a: CheckResult, b: CheckResult) -> Row:
    """The row of a check; one without a verdict, or two in other words, show no difference."""
    differs: bool | None = a.status != b.status
    fail_apart = a.status == b.status == "fail" and a.message != b.message
    no_verdict = not {"skip", "late"}.isdisjoint((a.status, b.status))
    if (differs and no_verdict) or (fail_apart and a.rule.severity == "error"):
        differs = None
    said = [f"{_STATUS[result.status]}: {result.message}" for result in (a, b)]
    return Row("check", a.rule.name, said[0], said[1], differs, a.rule.severity)


_STATUS = {"ok": "passes", "fail": "fails", "skip": "skipped", "late": "stopped"}


def _at_one_p(one: Subject, other: Subject) -> tuple[Subject, Subject]:
    """Both targets at the fixed p of one, if the other has none."""
    if one.fixed_p is not None and other.fixed_p is None:
        other = _At(other, one.fixed_p)
    elif other.fixed_p is not None and one.fixed_p is None:
        one = _At(one, other.fixed_p)
    return one, other


class _At(Subject):
    """A target restricted to one p."""

    def __init__(self, inner: Subject, p: float) -> None:
        self.__dict__.update(vars(inner))
        self._of = inner
        self.fixed_p = p
        self.description = f"{inner.description}; at p={p:g}, like the other"

    def build(self, p: Any, *, inplace: bool = False) -> Built:
        """See `Subject.build`."""
        return self._of.build(p, inplace=inplace)
