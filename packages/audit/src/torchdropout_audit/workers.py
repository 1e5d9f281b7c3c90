"""Processes that work through a list of tasks, and can be stopped at once.

`concurrent.futures` will not do here. Its processes import the program's main module, and with it
torch: a second or two and some hundred MB each, for the reading of text. And it gives up all tasks
when one of them ends a process, as a source can that overflows the parser's stack.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

# The package in name only: its `__init__` imports torch, and is not run.
_BEGIN = """
import pickle, sys, types
sys.path[:], folder = pickle.load(sys.stdin.buffer)
package = sys.modules["torchdropout"] = types.ModuleType("torchdropout")
package.__path__ = [folder]
from torchdropout_audit.workers import serve
serve()
"""
_FOLDER = str(Path(__file__).parents[1])


class CrashError(Exception):
    """A task has ended the process that worked on it."""


class NoWorkerError(Exception):
    """A process cannot be started, or does not come up."""


def can_start() -> bool:
    """Whether there is an interpreter to start; a program frozen into one file has none."""
    return bool(sys.executable) and not getattr(sys, "frozen", False)


def run_all(
    work: Callable[[Task], Result], tasks: Iterable[Task], jobs: int
) -> Iterator[tuple[Task, Result | CrashError]]:
    """Does tasks in processes of their own.

    Args:
        work: A function of a module, which raises nothing.
        tasks: What it is called with; begun in this order.
        jobs: How many processes.

    Yields:
        Each task and its result, as they end. When the caller stops listening, by an exception
        say, the processes are killed.

    Raises:
        NoWorkerError: No process comes up.
    """
    pool: _Pool[Task, Result] = _Pool(work, tasks, jobs)
    try:
        yield from pool.results()
    finally:
        pool.stop()


def serve() -> None:
    """What a process does: work until there is no more, or no one who asks for it."""
    # The parent decides when an interrupted run ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Results go where stdout went; what anything prints goes to stderr.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        work = pickle.load(sys.stdin.buffer)
        gc.freeze()  # what is loaded by now stays
        _send(out, "ready")
        while True:
            _send(out, work(pickle.load(sys.stdin.buffer)))
    except (EOFError, BrokenPipeError):
        # Nothing is to be tidied up, and a flush of a broken pipe would complain.
        os._exit(0)


class _Pool(Generic[Task, Result]):
    """A thread a process: it hands over a task, waits for the result, and takes the next."""

    def __init__(self, work: Callable[[Task], Result], tasks: Iterable[Task], jobs: int) -> None:
        self._work = work
        self._tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[Task, Any] | NoWorkerError] = queue.SimpleQueue()
        self._left = 0
        for self._left, task in enumerate(tasks, 1):
            self._tasks.put(task)
        self._lock = threading.Lock()
        self._is_stopped = False
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._threads = [threading.Thread(target=self._drive, daemon=True) for _ in range(jobs)]
        for thread in self._threads:
            thread.start()

    def results(self) -> Iterator[tuple[Task, Result | CrashError]]:
        while self._left:
            done = self._done.get()
            if isinstance(done, NoWorkerError):
                raise done
            self._left -= 1
            yield done

    def stop(self) -> None:
        with self._lock:
            self._is_stopped = True
            for process in self._processes:
                process.kill()
        for thread in self._threads:
            thread.join()

    def _drive(self) -> None:
        process = None
        try:
            while not self._is_stopped:
                try:
                    task = self._tasks.get_nowait()
                except queue.Empty:
                    break
                process = process or self._started()
                try:
                    _send(process.stdin, task)
                    self._done.put((task, pickle.load(process.stdout)))  # type: ignore[arg-type]
                except (EOFError, OSError, pickle.UnpicklingError):
                    self._done.put((task, CrashError(f"exit code {self._over(process)}")))
                    process = None
        except NoWorkerError as error:
            self._done.put(error)
        finally:
            if process is not None:
                self._over(process)

    def _started(self) -> subprocess.Popen[bytes]:
        """A process that is ready for tasks."""
        # -I and -S: nothing from the environment or the current folder; the path is handed over.
        command = [sys.executable, "-I", "-S", "-c", _BEGIN]
        with self._lock:
            if self._is_stopped:
                raise NoWorkerError("stopped")
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    # A Ctrl-C at the terminal goes to all of a group: these are stopped by us.
                    start_new_session=True,
                )
            except OSError as error:
                raise NoWorkerError(str(error)) from error
            self._processes.add(process)
        try:
            _send(process.stdin, (sys.path, _FOLDER))
            _send(process.stdin, self._work)
            pickle.load(process.stdout)  # type: ignore[arg-type]
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            raise NoWorkerError(f"exit code {self._over(process)}") from error
        return process

    def _over(self, process: subprocess.Popen[bytes]) -> int:
        """Ends a process: without its input it has nothing to wait for."""
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):  # what was not yet sent goes nowhere
                pipe.close()
        code = process.wait()
        with self._lock:
            self._processes.discard(process)
        return code


def _send(file: Any, value: object) -> None:
    pickle.dump(value, file, pickle.HIGHEST_PROTOCOL)
    file.flush()
