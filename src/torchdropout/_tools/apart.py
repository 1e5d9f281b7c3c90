"""Runs code that nobody trusts in a process of its own, under a guard, and hears its messages.

The parent trusts no byte of the process. It waits for nothing that the process sends, keeps at most
one message of limited size, executes none of it, and notices what others than the harness have
written. This is no sandbox: the code has all rights of the user.

A guard stands between the parent and the process. Linux gives it the processes that the code has
started when their parents end, also those that have left the process's group and session. When the
process ends, when the parent says so, and when the parent is gone, the guard ends all of them. If
the kernel lacks `PR_SET_CHILD_SUBREAPER`, it ends the process's group only.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import hmac
import json
import os
import signal
import socket
import struct
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, ClassVar

# What a process has done that has written what its harness does not write.
SCRIBBLED = "the process wrote into a socket that it did not open"
_CLOSED = "the process closed a socket that it did not open"
# Seconds within which a process that has closed its end of the socket must exit.
_MOST_LEAVING = 1.0
# Seconds for a guard to end what the code has started.
_MOST_CLEARING = 10.0
# Bytes of a message.
_MOST_BYTES = 1 << 26
# Before each message: its length, and the code that only the two ends can compute.
_HEAD = struct.Struct(">Q16s")
# Linux's names for "signal me when my parent ends", "leave no core file", "give me orphans".
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 1, 4, 36


# --- Messages -----------------------------------------------------------------------------------


class Channel:
    """One end of a socket for messages, which are JSON data.

    The code in the process may find the socket. A message therefore carries a code computed from
    its number and contents with a key that the two ends share: one that is forged, changed or
    repeated is refused.
    """

    def __init__(self, end: socket.socket, key: bytes, flags: int = 0) -> None:
        self._end, self._key, self._flags = end, key, flags
        self._sent = self._received = 0
        self._data = bytearray()

    def fileno(self) -> int:
        """The descriptor, to wait for."""
        return self._end.fileno()

    def close(self) -> None:
        """Close this end."""
        self._end.close()

    def send(self, *message: Any) -> None:
        """Send a message.

        Raises:
            OSError: The other end is closed, or full and must not be waited for.
        """
        body = json.dumps(message, default=str).encode()
        self._end.sendall(_HEAD.pack(len(body), self._code(self._sent, body)) + body, self._flags)
        self._sent += 1

    def receive(self) -> list[Any] | None:
        """The next message; None if it has not all arrived and must not be waited for.

        Raises:
            EOFError: The other end is closed.
            OSError: The same, before it has read all.
            ValueError: What arrived is not from the other end.
        """
        while lacking := self._size() - len(self._data):
            try:
                part = self._end.recv(min(lacking, 1 << 20), self._flags)
            except BlockingIOError:
                return None
            if not part:
                raise EOFError
            self._data += part
        code, body = _HEAD.unpack_from(self._data)[1], bytes(self._data[_HEAD.size :])
        if not hmac.compare_digest(code, self._code(self._received, body)):
            raise ValueError("not the code of the message")
        self._data.clear()
        self._received += 1
        message: list[Any] = json.loads(body)
        return message

    def _size(self) -> int:
        """How many bytes are needed to go on: those of the head, then those of the message."""
        if len(self._data) < _HEAD.size:
            return _HEAD.size
        length: int = _HEAD.unpack_from(self._data)[0]
        if length > _MOST_BYTES:
            raise ValueError(f"a message of {length} bytes")
        return _HEAD.size + length

    def _code(self, number: int, body: bytes) -> bytes:
        numbered = number.to_bytes(8, "big") + body
        return hashlib.blake2b(numbered, key=self._key, digest_size=16).digest()


class Harness(Channel):
    """The end in the process that runs the code."""

    def __init__(self, end: socket.socket, key: bytes) -> None:
        super().__init__(end, key)
        self._pid = os.getpid()

    def send(self, *message: Any) -> None:
        """Send a message; end the process if nobody reads, or if it is a fork of the original."""
        if os.getpid() != self._pid:  # the code has forked: only the original process reports
            os._exit(0)
        with contextlib.suppress(OSError, ValueError, AttributeError):
            sys.stderr.flush()  # this may be the last thing that the process does
        try:
            super().send(*message)
        except OSError:
            os._exit(1)

    def receive(self) -> list[Any] | None:
        """Wait for the next message; end the process if there will be none."""
        try:
            return super().receive()
        except (EOFError, OSError):
            os._exit(0)


# --- The parent ---------------------------------------------------------------------------------


class Process:
    """A process, as its parent sees it; only on Linux.

    Attributes:
        pid: The id of its guard.
        channel: The parent's end, which never waits.
    """

    # The ends of all, which the others must not have.
    _open: ClassVar[set[Channel]] = set()

    def __init__(self, work: Callable[[Harness], object]) -> None:
        """Fork a guard, which forks a process that does the work."""
        _open_streams()
        mine, theirs = socket.socketpair()
        key, parent = os.urandom(16), os.getpid()
        self.channel = Channel(mine, key, socket.MSG_DONTWAIT)
        self._open.add(self.channel)
        # Ctrl-C between the start of a process and its registration would leave it behind.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.pid = fork()
            if self.pid == 0:
                try:
                    for channel in self._open:
                        channel.close()
                    _guard(parent, theirs, mask)
                    _leave_streams()
                    work(Harness(theirs, key))
                except BaseException:
                    traceback.print_exc()
                finally:
                    os._exit(0)  # the parent cleans up what this process has inherited
            theirs.close()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def has_ended(self) -> bool:
        """Whether it has ended; a process that it has started may hold the socket open."""
        return self._end() is not None

    def _end(self) -> os.waitid_result | None:
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)

    def last_words(self) -> str:
        """Describe how a process that has closed its end of the socket has ended."""
        deadline = time.monotonic() + _MOST_LEAVING
        while time.monotonic() < deadline:
            end = self._end()
            if end is None:
                time.sleep(0.01)
            elif end.si_code == os.CLD_EXITED:
                return f"the process ended with exit code {end.si_status}"
            else:
                return f"the process ended with {signal.Signals(end.si_status).name}"
        return _CLOSED

    @classmethod
    def end(cls, *processes: Process) -> None:
        """End processes, and those they have started."""
        for process in processes:
            cls._open.discard(process.channel)
            process.channel.close()
            os.kill(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + 2 * _MOST_CLEARING
        for process in processes:
            while os.waitpid(process.pid, os.WNOHANG) == (0, 0):
                # The code may have stopped its guard, and may do so again.
                is_late = time.monotonic() > deadline
                os.kill(process.pid, signal.SIGKILL if is_late else signal.SIGCONT)
                time.sleep(0.002)


def _open_streams() -> None:
    """Open /dev/null where stdin, stdout or stderr is closed: no socket must have their numbers."""
    while (opened := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(opened)


def fork() -> int:
    """Fork this process, as `os.fork` does, without its warnings and with output written once."""
    # Both processes would write the buffered output.
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    with warnings.catch_warnings():
        # Python warns of any other thread; those of NumPy's BLAS handle a fork.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


# --- The guard ----------------------------------------------------------------------------------


def _guard(parent: int, theirs: socket.socket, mask: Collection[int]) -> None:
    """Fork the process that does the work, and return in it; the guard itself does not return.

    The guard exits with the status of that process, so that `parent` sees it.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD, signal.SIGINT})
    os.setpgid(0, 0)
    prctl = ctypes.CDLL(None).prctl
    prctl(_PR_SET_CHILD_SUBREAPER, 1)
    guard = os.getpid()
    pid = fork()
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
        theirs.close()
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


# --- The process --------------------------------------------------------------------------------


def _die_with(parent: int, number: signal.Signals) -> None:
    """Have this process signalled when its parent ends, however that happens."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def _leave_streams() -> None:
    """Leave stdin and stdout to the parent: no prompt is answered, and prints go to stderr."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
