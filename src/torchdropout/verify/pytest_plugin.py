"""One pytest test for each check of each target, like scikit-learn's estimator checks.

The only module that imports pytest: `torchdropout.verify` imports it on first access.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pytest
import torch

from ..errors import ArgumentTypeError, ArgumentValueError, TargetError, VerificationError
from ..reporting.findings import Figure, Rule
from ..reporting.selection import close_to
from .context import Known
from .registry import RULES, chosen
from .results import CheckResult
from .runner import begun, codes_of, lost, need_level, waits_for
from .subject import Spec, Subject
from .targets import resolve

ExpectedFailures = Mapping[str, str]

_CODES = {rule.name: code for code, rule in RULES.items()}
_NAMES = {code.lower(): rule.name for code, rule in RULES.items()}
_MOST_FIGURES = 8


def parametrize_with_dropout_checks(
    targets: Iterable[Any],
    *,
    level: str = "quick",
    seed: int = 0,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    spec: str | Spec | None = None,
    strict: bool = False,
    expected_failures: ExpectedFailures | Callable[[Any], ExpectedFailures] | None = None,
) -> pytest.MarkDecorator:
    """Turn a test function with the arguments `target` and `check` into one test per check.

    The function calls `check(target)`, which passes, fails with the finding and its figures, or
    skips: if the check does not apply to the target, if it needs another check that failed,
    and if its finding is advice. A check that runs alone first runs those it needs; results
    are kept, so that all checks of a target cost one run of the verifier per process.

    A target that cannot be loaded or interpreted is one failing test.

    Args:
        targets: One or more targets that `check_dropout` accepts: classes, instances, functions,
            strings `package.module:Attribute`.
        level: `"quick"`, `"standard"` or `"thorough"`: how small a fault to look for.
        seed: Two runs with the same seed give the same result.
        select: The checks to turn into tests, each by code, beginning of a code, name or group; all
            if empty.
        ignore: The checks to leave out, in the same form; takes precedence over `select`.
        spec: What the targets claim to be, by name or as a `Spec`; inferred when None.
        strict: Whether advice fails a test, as an error does.
        expected_failures: Names or codes of checks that are known to fail, each with the reason;
            or a function from a target to these. Such a test is marked `xfail` and strict: it
            fails when the check passes.

    Returns:
        A decorator: `pytest.mark.parametrize`. The tests are called `MyDropout-eval-identity`.

    Raises:
        ArgumentTypeError: `targets` is a single target, or a reason is not a string.
        ArgumentValueError: There is no target, or a level or the name of a check is unknown.

    Example:
        >>> @parametrize_with_dropout_checks([torch.nn.Dropout], select=["mode"])
        ... def test_dropout(target, check):
        ...     check(target)
        >>> [parameter.id for parameter in test_dropout.pytestmark[0].args[1]][:2]
        ['Dropout-output-shape', 'Dropout-eval-identity']
    """
    need_level(level)
    names = chosen(select, ignore)
    taken: set[str] = set()
    parameters = []
    for target in _listed(targets):
        name = _unique(_short_name(target), taken)
        expected = _expected(expected_failures, target)
        try:
            subject = target if isinstance(target, Subject) else resolve(target, spec=spec)
        # An exception from its code concerns this target only, not the other tests.
        except (Exception, SystemExit) as error:
            parameters.append(pytest.param(target, NotUnderstood(error), id=f"{name}-target"))
            continue
        run = _Run(target, subject, level, seed)
        parameters += _parameters(run, name, names, expected, strict)
    return pytest.mark.parametrize(("target", "check"), parameters)


class TargetCheck:
    """A check of one target: a test gets it as `check`, and calls it with its `target`.

    Attributes:
        rule: The rule that the check decides.
    """

    def __init__(self, run: _Run, rule: Rule, *, fails_on_advice: bool) -> None:
        self.rule = rule
        self._run = run
        self._fails_on_advice = fails_on_advice

    def __repr__(self) -> str:
        return f"<check {self.rule.name}>"

    def __call__(self, target: Any) -> None:
        """Run the check, or reuse its result.

        Raises:
            VerificationError: It found an error, or advice if that counts.
            ArgumentValueError: The target is not the one that the test got with the check.
        """
        __tracebackhide__ = True
        self._run.need(target)
        result = self._run.result(self.rule.name)
        if result.status == "skip":
            pytest.skip(result.message)
        if result.status == "ok":
            return
        if self.rule.severity == "advice" and not self._fails_on_advice:
            pytest.skip(f"advice: {result.message}; `torchdropout explain {self.rule.name}`")
        raise VerificationError(_said(result, self._run))


class NotUnderstood:
    """Stands in for all checks of a target that cannot be found, loaded or interpreted."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __repr__(self) -> str:
        return "<check target>"

    def __call__(self, target: Any) -> None:
        """Raise what interpreting the target raised."""
        __tracebackhide__ = True
        if isinstance(self._error, TargetError):
            # The message is complete, and the traceback would show only this package.
            raise TargetError(str(self._error)) from None
        if isinstance(self._error, Exception):
            raise self._error
        # A SystemExit that is raised as it is would end pytest.
        raise VerificationError(f"{target!r} raised {self._error!r}") from self._error


class _Run:
    """A run of the verifier on one target, whose checks may run in any order."""

    def __init__(self, target: Any, subject: Subject, level: str, seed: int) -> None:
        self.subject, self.level, self.seed = subject, level, seed
        self.target = target
        self._results: dict[str, CheckResult] = {}
        self._known = Known()

    def need(self, target: Any) -> None:
        """Raise an error if the run is not of this target."""
        if target is not self.target:
            raise ArgumentValueError(
                f"Expected `target` to be the one that the test got with its check, "
                f"{self.subject.name}, got target={target!r} ({type(target).__name__})"
            )

    def result(self, name: str) -> CheckResult:
        """The result of the check of this name: the same as in a run of all checks."""
        code, spec = _CODES[name], self.subject.spec
        codes = codes_of(None, spec)
        needed = waits_for(codes, spec)[code]
        for other in (*(c for c in codes if c in needed), code):
            if other not in self._results:
                self._results[other] = self._run(other)
        return self._results[code]

    def _run(self, code: str) -> CheckResult:
        with begun(self.subject, self.level, self.seed) as run:
            run.known.learn(*self._known.told)
            result = run(code, lost(self._results.values()))
            self._known.learn(*run.known.told)
        return result


def _parameters(
    run: _Run, name: str, checks: frozenset[str], expected: ExpectedFailures, strict: bool
) -> Iterator[Any]:
    for code in codes_of(checks, run.subject.spec):
        rule = RULES[code]
        reason = expected.get(rule.name)
        marks = []
        if reason is not None:
            marks.append(pytest.mark.xfail(reason=reason, strict=True, raises=VerificationError))
        check = TargetCheck(run, rule, fails_on_advice=strict or reason is not None)
        yield pytest.param(run.target, check, id=f"{name}-{rule.name}", marks=marks)


def _listed(targets: Iterable[Any]) -> list[Any]:
    """The targets as a list; a single target is refused."""
    is_one = isinstance(targets, (str, type, torch.nn.Module))
    if is_one or not isinstance(targets, Iterable):
        raise ArgumentTypeError(
            "Expected `targets` to be a list of targets, "
            f"got targets={targets!r} ({type(targets).__name__}); put it in brackets"
        )
    listed = list(targets)
    if not listed:
        raise ArgumentValueError(
            f"Expected `targets` to hold a target, got targets={targets!r} "
            f"({type(targets).__name__})"
        )
    return listed


def _short_name(target: Any) -> str:
    """The name of a target in the names of tests."""
    if isinstance(target, Subject):
        target = target.name
    if isinstance(target, str):
        return target.rpartition(":")[2]
    inner = target.func if isinstance(target, functools.partial) else target
    name = getattr(inner, "__name__", None)
    if isinstance(name, str):
        return name
    if isinstance(target, torch.nn.Module):
        text = " ".join(repr(target).split())
        if len(text) <= 60:
            return text
    return type(inner).__name__


def _unique(name: str, taken: set[str]) -> str:
    """The name, with a number from the second target of that name on."""
    numbered, number = name, 1
    while numbered in taken:
        number += 1
        numbered = f"{name}-{number}"
    taken.add(numbered)
    return numbered


def _expected(
    given: ExpectedFailures | Callable[[Any], ExpectedFailures] | None, target: Any
) -> dict[str, str]:
    """The reasons by the names of the checks."""
    expected = given(target) if callable(given) else given
    if expected is None:
        return {}
    if not isinstance(expected, Mapping):
        raise ArgumentTypeError(
            "Expected `expected_failures` to be a mapping from names of checks to reasons, or a "
            f"function from a target to one, got {expected!r} ({type(expected).__name__})"
        )
    reasons = {}
    for key, reason in expected.items():
        if not isinstance(reason, str):
            raise ArgumentTypeError(
                f"Expected `expected_failures` to hold reasons, got {key!r}: {reason!r} "
                f"({type(reason).__name__})"
            )
        reasons[_named(key)] = reason
    return reasons


def _named(key: object) -> str:
    """The name of the check with this name or code."""
    text = str(key).strip().lower()
    name = _NAMES.get(text, text)
    if name not in _CODES:
        hint = close_to(text, [*_CODES, *RULES], "`torchdropout checks` lists them")
        raise ArgumentValueError(
            f"Expected `expected_failures` to give names or codes of checks, got {key!r} "
            f"({type(key).__name__}); {hint}"
        )
    return name


def _said(result: CheckResult, run: _Run) -> str:
    """The message of a failure: finding, requirement, figures, target, where to read more."""
    rule, subject = result.rule, run.subject
    lines = [f"{rule.name} ({rule.code}): {result.message}", f"required: {rule.summary}"]
    figures = [
        f"{name}={_shown(value)}"
        for name, value in result.figures.items()
        if isinstance(value, (str, int, float))
    ]
    if figures:
        lines.append(f"figures: {', '.join(figures[:_MOST_FIGURES])}")
    return "\n".join(
        [
            *lines,
            f"target: {subject.name}, {subject.description}; level {run.level}, seed {run.seed}",
            f"`torchdropout explain {rule.name}` says why it matters and how to fix it.",
        ]
    )


def _shown(value: Figure) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
