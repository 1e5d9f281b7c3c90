"""Processes that share a list of tasks, and can be stopped at any time.

A thread drives each process. Neither `ProcessPoolExecutor` nor `pebble` is used: their processes
start with the current folder on the path and import the program's main module, so that auditing a
folder with a `pickle.py` in it would run that file.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any, Generic, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

# `pickle` is imported first: the path that follows may hold the current folder.
_BEGIN = "import pickle, sys; sys.path[:] = {path!r}; from {module} import serve; serve()"


class CrashError(Exception):
    """A task ended the process that worked on it."""


class NoWorkerError(Exception):
    """A process cannot be started, or ends before it is ready."""


def can_start() -> bool:
    """Whether there is an interpreter to start; a program frozen into one file has none."""
    return bool(sys.executable) and not getattr(sys, "frozen", False)


def run_all(
    work: Callable[[Task], Result], tasks: Iterable[Task], jobs: int
) -> Iterator[tuple[Task, Result | CrashError]]:
    """Runs tasks in other processes.

    Args:
        work: A function of a module; it must not raise.
        tasks: Its arguments, begun in this order.
        jobs: The number of processes.

    Yields:
        Each task and its result, as they finish. When the caller stops iterating, for example
        because of an exception, the processes are killed.

    Raises:
        NoWorkerError: No process could be started.
    """
    processes = _Processes(work)
    threads = ThreadPoolExecutor(jobs)
    try:
        futures = {threads.submit(processes.run, task): task for task in tasks}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        processes.kill()
        threads.shutdown()
        processes.close()


def serve() -> None:
    """Runs in a process: works on tasks from stdin until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when the run ends
    # Results go to what was stdout; what anything prints goes to stderr.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        work = pickle.load(sys.stdin.buffer)
        gc.freeze()  # what is loaded by now stays
        _send(out, "ready")
        while True:
            _send(out, work(pickle.load(sys.stdin.buffer)))
    except (EOFError, BrokenPipeError):  # the parent has closed the pipe, or has ended
        os._exit(0)


class _Processes(Generic[Task, Result]):
    """The processes; each is used by one thread at a time."""

    def __init__(self, work: Callable[[Task], Result]) -> None:
        self._work = work
        self._idle: deque[subprocess.Popen[bytes]] = deque()
        self._all: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._is_stopped = False

    def run(self, task: Task) -> Result | CrashError:
        """Runs a task in an idle process, or in a new one."""
        try:
            process = self._idle.pop()
            while process.poll() is not None:  # the system has ended it meanwhile
                process = self._idle.pop()
        except IndexError:
            process = self._started()
        try:
            _send(process.stdin, task)
            result: Result = pickle.load(process.stdout)  # type: ignore[arg-type]
        except (EOFError, OSError, pickle.UnpicklingError):
            return CrashError(_ended(process.wait()))
        self._idle.append(process)
        return result

    def kill(self) -> None:
        """Kills all processes, and lets none be started."""
        with self._lock:
            self._is_stopped = True
        for process in self._all:
            process.kill()

    def close(self) -> None:
        """Closes the pipes; no thread may use them any more."""
        for process in self._all:
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):  # what was not yet sent
                    pipe.close()  # type: ignore[union-attr]

    def _started(self) -> subprocess.Popen[bytes]:
        # -I and -S: nothing from the environment or the current folder.
        begin = _BEGIN.format(path=sys.path, module=__name__)
        with self._lock:
            if self._is_stopped:
                raise NoWorkerError("stopped")
            try:
                process = subprocess.Popen(
                    [sys.executable, "-I", "-S", "-c", begin],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    # Ctrl-C in a terminal goes to the whole group; `kill` ends these.
                    start_new_session=True,
                )
            except OSError as error:
                raise NoWorkerError(str(error)) from error
            self._all.add(process)
        try:
            _send(process.stdin, self._work)
            pickle.load(process.stdout)  # type: ignore[arg-type]
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            raise NoWorkerError(f"exit code {process.wait()}") from error
        return process


def _ended(code: int) -> str:
    killed = code == -getattr(signal, "SIGKILL", 0)
    return f"exit code {code}" + (", as when the system has no memory left" if killed else "")


def _send(file: Any, value: object) -> None:
    pickle.dump(value, file, pickle.HIGHEST_PROTOCOL)
    file.flush()
