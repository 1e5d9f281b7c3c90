"""Verifies targets, each in its own process: a crash or a hang of one of them is a finding.

A child loads the target, and runs the checks that this process sends it, one at a time. When it
dies or exceeds the time limit, the check that was running has failed, and another child continues
with the rest. Where processes cannot be forked, everything runs in this process.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import traceback
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from multiprocessing.connection import wait
from typing import Any, Protocol

import torch

from .._tools.apart import SCRIBBLED, Harness, Process, fork
from ..errors import ArgumentTypeError, ArgumentValueError, TargetError
from ..reporting.findings import Rule, plain
from .context import Known, describe
from .limit import can_limit
from .registry import RULES, chosen
from .results import CheckResult, Selection, TargetReport
from .runner import (
    begun,
    check_dropout,
    lost,
    need_codes,
    overdue,
    selection_of,
    understood,
)
from .targets import resolve

# Extra seconds for a child beyond a check's limit, to stop the check by itself and to continue.
GRACE = 2.0
# Seconds between two polls of silent processes.
_TICK = 0.1
# What a process sends of a report that has not begun, and of a result.
_HEADING = (
    "description",
    "level",
    "seed",
    "false_alarm_rate",
    "interrupted",
    "spec",
    "file",
    "line",
)
_RESULT = ("status", "message", "figures", "sees", "seconds")

_UNABLE = (TargetError, ArgumentTypeError, ArgumentValueError)


class Watch(Protocol):
    """Is notified of the progress of runs."""

    def begin(self, target: str) -> None:
        """A target begins to load."""

    def at(self, target: str, done: int, total: int, rule: Rule) -> None:
        """A check begins."""

    def over(self, target: str) -> None:
        """A target's run has ended."""

    def tick(self) -> None:
        """Called regularly while runs are in progress."""


@dataclass(frozen=True)
class RunOutcome:
    """The result of a run of all targets.

    Attributes:
        reports: The reports of the targets that could be run, in their order.
        unable: Why the others could not be run.
        interrupted: Whether Ctrl-C ended the run.
    """

    reports: tuple[TargetReport, ...]
    unable: tuple[str, ...]
    interrupted: bool

    @property
    def is_partial(self) -> bool:
        """Whether a report is missing or incomplete."""
        return self.interrupted or bool(self.unable)


def verify_targets(
    targets: Sequence[str],
    options: Mapping[str, Any],
    watch: Watch,
    *,
    timeout: float | None = None,
    jobs: int = 1,
    fork: bool | None = None,
) -> RunOutcome:
    """Verify TARGETs.

    Args:
        targets: TARGET strings.
        options: Arguments of `check_dropout`.
        watch: Is notified of the progress.
        timeout: Seconds for a check, and for loading a target.
        jobs: Number of targets that are verified at the same time, where processes are forked.
        fork: Whether processes are forked, on Linux: not if torch's threads have been used in
            this one, since a child does not have these threads. None: as `can_fork` says.

    Returns:
        The reports, and the reasons of the targets that could not be run.
    """
    if can_fork() if fork is None else fork and sys.platform == "linux":
        return _run_apart(targets, options, watch, timeout, jobs)
    return _run_here(targets, options, watch, timeout if can_limit() else None)


def can_fork() -> bool:
    """Whether a process that has loaded torch can be forked and used: only on Linux, not always.

    Autograd has no threads until a backward on the CPU is nested deep in others, or one runs on
    another device, or the first follows a FakeTensorMode of a torch for CUDA without a GPU. From
    then on it refuses every backward in a forked process.
    """
    if sys.platform != "linux":
        return False
    pid = fork()
    if pid == 0:
        done = False
        try:
            x = torch.zeros((), requires_grad=True)
            torch.autograd.grad(x.square(), x)
            done = True
        finally:
            os._exit(not done)
    return os.waitpid(pid, 0)[1] == 0


# --- In this process ----------------------------------------------------------------------------


def _run_here(
    targets: Sequence[str], options: Mapping[str, Any], watch: Watch, timeout: float | None
) -> RunOutcome:
    reports: list[TargetReport] = []
    unable: list[str] = []
    for target in targets:

        def tell(i: int, total: int, rule: Rule, target: str = target) -> None:
            watch.at(target, i, total, rule)
            watch.tick()

        watch.begin(target)
        watch.tick()
        try:
            with stdout_to_stderr():
                (report,) = check_dropout(target, **options, timeout=timeout, progress=tell)
        except _UNABLE as error:
            unable.append(str(error))
        except KeyboardInterrupt:
            return RunOutcome(tuple(reports), tuple(unable), True)
        else:
            reports.append(report)
            if report.interrupted:
                return RunOutcome(tuple(reports), tuple(unable), True)
        watch.over(target)
    return RunOutcome(tuple(reports), tuple(unable), False)


@contextlib.contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """Keep what a target prints, from Python or from native code, out of the report on stdout."""
    with contextlib.ExitStack() as stack:
        sys.stdout.flush()
        with contextlib.suppress(OSError, ValueError):  # no such descriptor: nothing to redirect
            saved = os.dup(1)
            stack.callback(os.close, saved)
            os.dup2(2, 1)
            stack.callback(os.dup2, saved, 1)
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        yield


# --- In other processes: the parent -------------------------------------------------------------


@dataclass
class _Child:
    """A process that runs the checks of a target."""

    process: Process
    heard: float
    is_loaded: bool = False
    # The check that it runs.
    code: str | None = None
    # When the compiler began, if it runs.
    compiles: float | None = None


@dataclass
class _Case:
    """A target, and the process that verifies it."""

    target: str
    heading: TargetReport | None = None
    # The checks in the order of the run.
    codes: Sequence[str] = ()
    results: dict[str, CheckResult] = field(default_factory=dict)
    known: Known = field(default_factory=Known)
    began: float = 0.0
    seconds: float = 0.0
    child: _Child | None = None
    unable: str = ""

    @property
    def is_over(self) -> bool:
        """Whether the target needs no more work."""
        return bool(self.unable) or (self.heading is not None and self.following is None)

    @property
    def following(self) -> str | None:
        """The first check without a result: the one that runs, or else the next."""
        return next((code for code in self.codes if code not in self.results), None)

    def so_far(self) -> TargetReport | None:
        """The report of the checks that have ended, once the target has been loaded."""
        return self.heading and replace(
            self.heading,
            checks=tuple(self.results.values()),
            seconds=self.seconds,
            interrupted=self.following is not None,
        )


def _run_apart(
    targets: Sequence[str],
    options: Mapping[str, Any],
    watch: Watch,
    timeout: float | None,
    jobs: int,
) -> RunOutcome:
    cases = [_Case(target) for target in targets]
    waiting, running = deque(cases), list[_Case]()
    threads = max(1, torch.get_num_threads() // max(1, min(jobs, len(targets))))
    interrupted = False
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(waiting.popleft())
                running[-1].began = time.monotonic()
                watch.begin(running[-1].target)
            for case in running:
                if case.child is None:
                    _start(case, options, timeout, threads)
            wait([c.child.process.channel.fileno() for c in running if c.child], _TICK)
            for case in running:
                _listen(case, timeout)
                _tell(case, watch)
                if case.is_over:
                    _end(case)
                    watch.over(case.target)
            running = [case for case in running if not case.is_over]
            watch.tick()
    except KeyboardInterrupt:
        interrupted = True
    finally:
        for case in running:
            _end(case)
    reports = [case.so_far() for case in cases]
    return RunOutcome(
        tuple(report for report in reports if report is not None),
        tuple(case.unable for case in cases if case.unable),
        interrupted,
    )


def _start(case: _Case, options: Mapping[str, Any], timeout: float | None, threads: int) -> None:
    """Start a process that verifies the target of a case."""
    serve = partial(_serve, target=case.target, options=options, timeout=timeout, threads=threads)
    case.child = _Child(Process(serve), time.monotonic())


def _listen(case: _Case, timeout: float | None) -> None:
    """Receive what the process has sent, or note that it is gone or late."""
    if (child := case.child) is None:
        return
    process = child.process
    try:
        has_ended = process.has_ended()
        while case.child and (message := process.channel.receive()) is not None:
            _hear(case, child, message)
        if has_ended and case.child:
            raise EOFError
    except (EOFError, OSError):
        _gone(case, child, process.last_words())
    except ValueError:
        _gone(case, child, SCRIBBLED)
    is_busy = child.compiles is None and (child.code is not None or not child.is_loaded)
    late = timeout is not None and time.monotonic() > child.heard + timeout + GRACE
    if late and is_busy and case.child:
        _gone(case, child, None, timeout)


def _hear(case: _Case, child: _Child, message: Sequence[Any]) -> None:
    """Handle one message of a process; `_serve` lists them."""
    kind, *said = message
    if kind == "understood":
        heading, selection, case.codes = said
        selection |= {name: tuple(selection[name]) for name in ("select", "ignore")}
        case.heading = TargetReport(
            case.target, checks=(), selection=Selection(**selection), **heading
        )
        child.is_loaded = True
    elif kind == "ended":
        result, told = said
        if child.code is None:
            raise ValueError("a result that nobody expects")
        case.results[child.code] = CheckResult(RULES[child.code], **result)
        case.known.learn(*told)
        child.code = None
    elif kind == "compiles":
        (begins,) = said
        if not begins and child.compiles is not None:
            child.heard += time.monotonic() - child.compiles
        child.compiles = time.monotonic() if begins else None
    elif kind == "unable":
        _end(case)
        (case.unable,) = said
    elif kind == "stopped":
        # Ctrl-C reaches only the parent, so the target raised this itself.
        _gone(case, child, "raised KeyboardInterrupt")


def _tell(case: _Case, watch: Watch) -> None:
    """Give a process that has nothing to do the next check to run."""
    child, code = case.child, case.following
    if child is None or code is None or child.code is not None or not child.is_loaded:
        return
    child.code, child.heard = code, time.monotonic()
    with contextlib.suppress(OSError):  # it has ended, which `_listen` will find
        child.process.channel.send(code, lost(case.results.values()), case.known.told)
    watch.at(case.target, len(case.results), len(case.codes), RULES[code])


def _gone(case: _Case, child: _Child, words: str | None, timeout: float | None = None) -> None:
    """Handle the end of a process: the check that ran has failed; the rest remains."""
    _end(case)
    # A process that ends between two checks would end in the next too: without a result for it, a
    # target that always does so would be restarted forever.
    code, seconds = case.following, time.monotonic() - child.heard
    if not child.is_loaded:
        got = words or f"no end within {timeout:g} s"
        case.unable = f"Expected TARGET {case.target!r} to load, got: {got}"
    elif code is not None and timeout is not None:
        case.results[code] = overdue(RULES[code], timeout, seconds)
    elif code is not None:
        message = words or ""
        case.results[code] = CheckResult(
            RULES[code], "fail", message, {"process": message}, "", seconds
        )


def _end(case: _Case) -> None:
    """End the process of a case, and those it has started."""
    if case.child is not None:
        Process.end(case.child.process)
        case.child = None
    case.seconds = time.monotonic() - case.began


# --- In other processes: the child --------------------------------------------------------------


def _serve(
    harness: Harness,
    target: str,
    options: Mapping[str, Any],
    timeout: float | None,
    threads: int,
) -> None:
    """Verify a target and report the progress.

    Messages: `understood, heading, selection, codes`; `compiles, begins`; `ended, result, told`;
    instead of more of these, `unable, why` or `stopped`.
    """
    how = dict(options)
    level, seed = how.pop("level"), how.pop("seed")
    select, ignore = how.pop("select"), how.pop("ignore")
    names = chosen(select, ignore)
    try:
        torch.set_num_threads(threads)
        subject = resolve(target, **how)
        selection = selection_of(subject.spec, names, select, ignore)
        heading = understood(subject, level=level, seed=seed)
        codes = need_codes(names, subject)
        with begun(subject, level, seed, timeout=timeout) as run:
            harness.send(
                "understood",
                {name: getattr(heading, name) for name in _HEADING},
                asdict(selection),
                [*codes],
            )
            run.compiling = partial(harness.send, "compiles")
            while order := harness.receive():
                code, before, told = order
                run.known.learn(*told)
                result = run(code, before)
                said = {name: plain(getattr(result, name)) for name in _RESULT}
                harness.send("ended", said, run.known.told)
    except _UNABLE as error:
        harness.send("unable", str(error))
    except KeyboardInterrupt:
        harness.send("stopped")
    except BaseException as error:
        traceback.print_exc()
        harness.send("unable", f"TARGET {target!r} raised outside of a check: {describe(error)}")
