"""Verifies targets, each in its own processes: a crash or a hang of one of them is a finding.

A child loads the target, and runs the checks that this process sends it, one at a time. When it
dies or exceeds the time limit, the check that was running has failed, and another child continues
with the rest. Several children may share the checks of a target: a check begins when those that it
depends on have ended, and its random numbers are its own, so that the report is the same. Where
processes cannot be forked, everything runs in this process.

A guard stands between this process and a child. Linux gives it the processes that the target
has started when their parents end, also those that have left the child's group and session. When
the child ends, when this process says so, and when this process is gone, the guard ends all of
them. If the kernel lacks `PR_SET_CHILD_SUBREAPER`, it ends the child's group only.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
import time
import traceback
import warnings
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import Any, Protocol

import torch

from ..errors import ArgumentTypeError, ArgumentValueError, TargetError
from ..reporting.findings import Rule
from .context import describe
from .limit import can_limit
from .registry import RULES, chosen
from .results import CheckResult, TargetReport
from .runner import (
    begun,
    check_dropout,
    need_codes,
    overdue,
    selection_of,
    understood,
    waits_for,
)
from .targets import resolve

# Extra seconds for a child beyond a check's limit, to stop the check by itself and to continue.
GRACE = 2.0
# Seconds between two polls of silent processes.
_TICK = 0.1
# Seconds within which a process that has closed its end of the pipe must exit.
_MOST_LEAVING = 1.0
# Seconds for a guard to end what a target has started.
_MOST_CLEARING = 10.0
# Checks that must be ready for each process of a target: with fewer, no process is started.
FEWEST = 4
# Linux's names for "signal me when my parent ends", "leave no core file", "give me orphans".
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 1, 4, 36

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
        jobs: Number of processes that verify at the same time, where processes are forked. Those
            that no waiting target needs share the checks of the targets that run.
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
    pid = _fork()
    if pid == 0:
        done = False
        try:
            x = torch.zeros((), requires_grad=True)
            torch.autograd.grad(x.square(), x)
            done = True
        finally:
            os._exit(not done)
    return os.waitpid(pid, 0)[1] == 0


def _fork() -> int:
    # Both processes would write the buffered output.
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        # Python warns of any other thread; those of NumPy's BLAS handle a fork.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


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


@dataclass(eq=False)
class _Child:
    """A process that runs checks of a target."""

    pid: int
    results: Connection
    orders: Connection
    heard: float
    is_loaded: bool = False
    # The check that it runs.
    code: str | None = None
    group: str = ""


@dataclass
class _Case:
    """A target, and the processes that verify it."""

    target: str
    heading: TargetReport | None = None
    # Each check, and those that must have ended before it begins.
    waits: Mapping[str, frozenset[str]] = field(default_factory=dict)
    results: dict[str, CheckResult] = field(default_factory=dict)
    bad_rates: frozenset[float] = frozenset()
    began: float = 0.0
    children: list[_Child] = field(default_factory=list)
    # Whether a second process could not load it, or did not stay.
    is_alone: bool = False
    unable: str = ""

    @property
    def is_over(self) -> bool:
        """Whether the target needs no more work."""
        return bool(self.unable) or (self.heading is not None and not self.left)

    @property
    def left(self) -> list[str]:
        """The checks that have not begun, and those that run."""
        return [code for code in self.waits if code not in self.results]

    def next_for(self, child: _Child) -> str | None:
        """A check that may begin: from the child's current group, or the first one.

        Checks of a group share samples, which each process draws for itself.
        """
        taken = {other.code: other.group for other in self.children if other.code is not None}
        ready = [c for c in self.left if c not in taken and self.waits[c] <= self.results.keys()]
        own = [c for c in ready if RULES[c].group == child.group]
        free = [c for c in ready if RULES[c].group not in taken.values()]
        return next(iter((*own, *free, *ready)), None)

    def wanted(self, spare: int) -> int:
        """How many processes it can use, if `spare` more are allowed than it needs."""
        if self.heading is None or self.is_alone:
            return 1  # a target that cannot be loaded reports it once
        ready = sum(self.waits[code] <= self.results.keys() for code in self.left)
        return max(1, min(1 + spare, ready // FEWEST))

    def so_far(self, interrupted: bool) -> TargetReport | None:
        """The report of the checks that have ended, once the target has been loaded."""
        seconds = time.monotonic() - self.began
        checks = tuple(self.results[code] for code in self.waits if code in self.results)
        return self.heading and replace(
            self.heading, checks=checks, seconds=seconds, interrupted=interrupted
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
    threads = max(1, torch.get_num_threads() // jobs)
    interrupted = False
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(waiting.popleft())
                running[-1].began = time.monotonic()
                watch.begin(running[-1].target)
            for case in running:
                spare = jobs - sum(max(1, len(c.children)) for c in running)
                while len(case.children) < case.wanted(spare + len(case.children) - 1):
                    _start(case, running, options, timeout, threads)
                    spare -= 1
            ready = wait([child.results for c in running for child in c.children], _TICK)
            for case in running:
                for child in list(case.children):
                    _listen(case, child, child.results in ready, timeout)
                for child in case.children:
                    _tell(case, child, watch)
                if case.is_over:
                    _end(case, *case.children)
                    watch.over(case.target)
            running = [case for case in running if not case.is_over]
            watch.tick()
    except KeyboardInterrupt:
        interrupted = True
    finally:
        for case in running:
            _end(case, *case.children)
    reports = [case.so_far(interrupted=bool(case.left)) for case in cases]
    return RunOutcome(
        tuple(report for report in reports if report is not None),
        tuple(case.unable for case in cases if case.unable),
        interrupted,
    )


def _start(
    case: _Case,
    running: Sequence[_Case],
    options: Mapping[str, Any],
    timeout: float | None,
    threads: int,
) -> None:
    """Fork a guard for a case, which forks a process that verifies it."""
    (results, their_results), (their_orders, orders) = Pipe(duplex=False), Pipe(duplex=False)
    children = [child for other in running for child in other.children]
    others = [results, orders, *(c.results for c in children), *(c.orders for c in children)]
    parent = os.getpid()
    # Ctrl-C between the start of a process and its registration would leave it behind.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    pid = _fork()
    if pid == 0:
        try:
            for connection in others:
                connection.close()
            _guard(parent, (their_results, their_orders), mask)
            _serve(_Pipes(their_results, their_orders), case.target, options, timeout, threads)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)  # the parent cleans up what this process has inherited
    their_results.close()
    their_orders.close()
    case.children.append(_Child(pid, results, orders, time.monotonic()))
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _listen(case: _Case, child: _Child, is_ready: bool, timeout: float | None) -> None:
    """Receive what a process has sent, or note that it is gone or late."""
    try:
        while is_ready and child in case.children and child.results.poll():
            _hear(case, child, child.results.recv())
    except Exception:  # the process ended, or the target wrote into the pipe
        _gone(case, child, _last_words(child))
    is_busy = child.code is not None or not child.is_loaded
    late = timeout is not None and time.monotonic() > child.heard + timeout + GRACE
    if late and is_busy and child in case.children:
        _gone(case, child, None, timeout)


def _hear(case: _Case, child: _Child, message: tuple[Any, ...]) -> None:
    """Handle one message of a process; `_serve` lists them."""
    kind, *said = message
    if kind == "understood":
        case.heading, case.waits = said
        child.is_loaded = True
    elif kind == "ended":
        result, bad_rates = said
        case.results[result.rule.code] = result
        case.bad_rates |= bad_rates
        child.code = None
    elif kind == "unable":
        _end(case, child)
        _cannot_load(case, *said)
    elif kind == "stopped":
        # Ctrl-C reaches only the parent, so the target raised this itself.
        _gone(case, child, "raised KeyboardInterrupt")


def _tell(case: _Case, child: _Child, watch: Watch) -> None:
    """Give a process that has nothing to do a check to run, if one may begin."""
    if child.code is not None or not child.is_loaded:
        return
    code = case.next_for(child)
    if code is None:
        return
    child.code, child.group, child.heard = code, RULES[code].group, time.monotonic()
    failed = {r.rule.name for r in case.results.values() if r.status == "fail"}
    with contextlib.suppress(OSError):  # it has ended, which `_listen` will find
        child.orders.send((code, failed, case.bad_rates))
    watch.at(case.target, len(case.results), len(case.waits), RULES[code])


def _gone(case: _Case, child: _Child, words: str | None, timeout: float | None = None) -> None:
    """Handle the end of a process: the check that ran has failed; the rest remains."""
    _end(case, child)
    # A process that ends between two checks would end in the next too: without a result for it, a
    # target that always does so would be restarted forever.
    code, seconds = child.code or case.next_for(child), time.monotonic() - child.heard
    if not child.is_loaded:
        got = words or f"no end within {timeout:g} s"
        _cannot_load(case, f"Expected TARGET {case.target!r} to load, got: {got}")
    elif code is None:
        case.is_alone = True  # another process runs the last ones
    elif timeout is not None:
        case.results[code] = overdue(RULES[code], timeout, seconds)
    else:
        message = words or ""
        case.results[code] = CheckResult(
            RULES[code], "fail", message, {"process": message}, "", seconds
        )


def _cannot_load(case: _Case, why: str) -> None:
    if case.children:
        case.is_alone = True  # those that could go on
    else:
        case.unable = why


def _last_words(child: _Child) -> str:
    """Describe how a process that has closed its end of the pipe has ended."""
    deadline = time.monotonic() + _MOST_LEAVING
    while time.monotonic() < deadline:
        end = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if end is None:
            time.sleep(0.01)
        elif end.si_code == os.CLD_EXITED:
            return f"the process ended with exit code {end.si_status}"
        else:
            return f"the process ended with {signal.Signals(end.si_status).name}"
    return "the process closed, or wrote into, a pipe that it did not open"


def _end(case: _Case, *children: _Child) -> None:
    """End processes of a case, and those they have started."""
    for child in children:
        case.children.remove(child)
        child.results.close()
        child.orders.close()
        os.kill(child.pid, signal.SIGTERM)
    deadline = time.monotonic() + 2 * _MOST_CLEARING
    for child in children:
        while os.waitpid(child.pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:  # the target has stopped its guard
                os.kill(child.pid, signal.SIGKILL)
            time.sleep(0.002)


# --- In other processes: the guard --------------------------------------------------------------


def _guard(parent: int, theirs: Sequence[Connection], mask: set[int | signal.Signals]) -> None:
    """Fork the process that verifies, and return in it; the guard itself does not return.

    The guard exits with the status of that process, so that `parent` sees it.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD, signal.SIGINT})
    os.setpgid(0, 0)
    prctl = ctypes.CDLL(None).prctl
    prctl(_PR_SET_CHILD_SUBREAPER, 1)
    guard = os.getpid()
    pid = _fork()
    if pid == 0:
        os.setpgid(0, 0)
        _die_with(guard, signal.SIGKILL)
        for number in (signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return
    status = 0
    try:
        for connection in theirs:
            connection.close()
        _die_with(parent, signal.SIGTERM)
        over = None
        while over is None and signal.sigwait({signal.SIGTERM, signal.SIGCHLD}) == signal.SIGCHLD:
            over = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        # It is not reaped yet: until then no other process can get the id of its group.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        status = _end_children().get(pid, status)
        if os.WIFSIGNALED(status):
            prctl(_PR_SET_DUMPABLE, 0)
            last = os.WTERMSIG(status)
            if last != signal.SIGKILL:
                signal.signal(last, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {last})
            os.kill(os.getpid(), last)
    finally:
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def _end_children() -> dict[int, int]:
    """End all descendants of this process; return the status of each that became its child."""
    ended: dict[int, int] = {}
    deadline = time.monotonic() + _MOST_CLEARING
    while time.monotonic() < deadline:
        # Stopped first, so that none of them starts another in the meantime.
        living = _descendants()
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in living:
                with contextlib.suppress(OSError):  # it has ended, or is another user's
                    os.kill(pid, number)
        try:
            while (found := os.waitpid(-1, os.WNOHANG)) != (0, 0):
                ended[found[0]] = found[1]
        except ChildProcessError:
            break
        time.sleep(0.002)
    return ended


def _descendants() -> list[int]:
    """The ids of the processes that descend from this one."""
    children: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it has ended
                # The name, in brackets, may contain anything.
                stat = Path(entry.path, "stat").read_text(errors="replace").rpartition(")")[2]
                children.setdefault(int(stat.split()[1]), []).append(int(entry.name))
    found, waiting = list[int](), [os.getpid()]
    while waiting:
        more = children.get(waiting.pop(), [])
        found += more
        waiting += more
    return found


# --- In other processes: the child --------------------------------------------------------------


def _die_with(parent: int, number: signal.Signals) -> None:
    """Have this process signalled when its parent ends, however that happens."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


class _Pipes:
    """The child's ends of the two pipes."""

    def __init__(self, results: Connection, orders: Connection) -> None:
        self._results, self._orders = results, orders
        self._pid = os.getpid()

    def send(self, *message: Any) -> None:
        """Send a message; end the process if nobody reads, or if it is a fork of the original."""
        if os.getpid() != self._pid:  # the target has forked: only the original process reports
            os._exit(0)
        with contextlib.suppress(OSError, ValueError, AttributeError):
            sys.stderr.flush()  # this may be the last thing that the process does
        try:
            self._results.send(message)
        except OSError:
            os._exit(1)

    def receive(self) -> tuple[str, frozenset[str], frozenset[float]]:
        """The next check to run, the names of those that have failed, and the bad rates."""
        try:
            return self._orders.recv()  # type: ignore[no-any-return]
        except (EOFError, OSError):
            os._exit(0)


def _serve(
    pipes: _Pipes,
    target: str,
    options: Mapping[str, Any],
    timeout: float | None,
    threads: int,
) -> None:
    """Verify a target and report the progress.

    Messages: `understood, heading, waits`; `ended, result, bad_rates`; instead of more of these,
    `unable, why` or `stopped`.
    """
    how = dict(options)
    level, seed = how.pop("level"), how.pop("seed")
    select, ignore = how.pop("select"), how.pop("ignore")
    names = chosen(select, ignore)
    try:
        with stdout_to_stderr():
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # nobody can answer a prompt
            torch.set_num_threads(threads)
            subject = resolve(target, **how)
            selection = selection_of(subject.spec, names, select, ignore)
            heading = understood(subject, level=level, seed=seed, selection=selection)
            waits = waits_for(need_codes(names, subject), subject.spec)
            with begun(subject, level, seed, timeout=timeout) as run:
                pipes.send("understood", heading, waits)
                while True:
                    code, failed, bad_rates = pipes.receive()
                    run.bad_rates |= bad_rates
                    result = run(code, failed)
                    pipes.send("ended", _plain(result), frozenset(run.bad_rates))
    except _UNABLE as error:
        pipes.send("unable", str(error))
    except KeyboardInterrupt:
        pipes.send("stopped")
    except BaseException as error:
        traceback.print_exc()
        pipes.send("unable", f"TARGET {target!r} raised outside of a check: {describe(error)}")


def _plain(result: CheckResult) -> CheckResult:
    """The result without the target's objects, whose code must not run in the parent."""
    figures = json.dumps(result.to_dict()["figures"], default=str)
    return replace(result, figures=json.loads(figures))
