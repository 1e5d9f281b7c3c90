"""A process for code that nobody trusts: what it sends is heard only if its harness has sent it."""

import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from torchdropout._tools import apart
from torchdropout._tools.apart import Channel, Harness, Process

linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux")


@pytest.fixture
def ends():
    """The parent's end, that of the process, and the socket that the code of the process finds."""
    mine, theirs = socket.socketpair()
    with mine, theirs:
        yield Channel(mine, b"key", socket.MSG_DONTWAIT), Channel(theirs, b"key"), theirs


def sent(*message, number=0, key=b"key"):
    """What an end sends as its message of this number."""
    data = bytearray()
    end = Channel(mock.Mock(sendall=lambda part, _: data.extend(part)), key)
    end._sent = number
    end.send(*message)
    return bytes(data)


def test_messages_arrive_in_order(ends):
    ours, theirs, _ = ends
    assert ours.receive() is None
    theirs.send("a", 1, [0.5, None])
    theirs.send({"b": "\ud800"})
    ours.send("order")
    assert theirs.receive() == ["order"]
    assert ours.receive() == ["a", 1, [0.5, None]]
    assert ours.receive() == [{"b": "\ud800"}]
    assert ours.receive() is None


def test_a_message_that_arrives_in_parts_is_not_waited_for(ends):
    ours, _, found = ends
    text = "x" * (1 << 20)  # more than the socket holds
    data = sent(text)
    for start in range(0, len(data), 50_000):
        assert ours.receive() is None
        found.sendall(data[start : start + 50_000])
    assert ours.receive() == [text]


class Loud:
    def __reduce__(self):
        return print, ("code of the target",)

    def __repr__(self):
        return "loud"


def test_objects_arrive_as_text(ends):
    ours, theirs, _ = ends
    theirs.send(Loud(), {"p": Loud()})
    assert ours.receive() == ["loud", {"p": "loud"}]


def test_the_end_of_the_other_side_is_noticed_also_within_a_message(ends):
    ours, _, found = ends
    found.sendall(b"\0\0")
    found.close()
    with pytest.raises(EOFError):
        ours.receive()


FORGED = {
    "garbage": b"oops" * 1000,
    "a length of 2^31": struct.pack("!i", 2**31 - 1) + bytes(20),
    "a length of 2^62": struct.pack(">Q16s", 2**62, b""),
    "an empty message": bytes(24),
    "without a code": struct.pack(">Q16s", 2, b"") + b"[]",
    "another key": sent("ok", key=b"other"),
    "a later message": sent("ok", number=1),
    "changed": sent("no").replace(b"no", b"ok"),
    "shorter": struct.pack(">Q", 4) + sent(1, 2, 3)[8:],
}


@pytest.mark.parametrize("text", FORGED)
def test_what_others_write_is_refused(ends, text):
    ours, _, found = ends
    found.sendall(FORGED[text])
    with pytest.raises(ValueError):
        ours.receive()


def test_a_message_is_heard_once(ends):
    ours, _, found = ends
    found.sendall(2 * sent("ok"))
    assert ours.receive() == ["ok"]
    with pytest.raises(ValueError, match="code"):
        ours.receive()


def test_one_message_of_limited_size_is_kept(ends, monkeypatch):
    monkeypatch.setattr(apart, "_MOST_BYTES", 1000)
    ours, _, found = ends
    found.sendall(struct.pack(">Q16s", 1000, b"") + bytes(100_000))
    with pytest.raises(ValueError, match="code"):
        ours.receive()
    assert len(ours._data) == 1024


def test_an_end_that_reads_nothing_is_not_waited_for(ends):
    with pytest.raises(BlockingIOError):
        ends[0].send("x" * 10_000_000)


def test_a_process_reports_until_nobody_reads_and_only_itself(ends, monkeypatch):
    ours, _, found = ends
    monkeypatch.setattr(apart.os, "_exit", lambda status: sys.exit(status))
    stderr = mock.Mock()
    stderr.flush.side_effect = ValueError  # the target has closed it
    monkeypatch.setattr(apart.sys, "stderr", stderr)
    harness = Harness(found, b"key")
    harness.send("ended", 1)
    stderr.flush.assert_called_once_with()
    assert ours.receive() == ["ended", 1]
    ours.send("order")
    assert harness.receive() == ["order"]
    harness._pid = -1  # a fork of the process
    with pytest.raises(SystemExit, match="0"):
        harness.send("ended", 2)
    harness._pid = os.getpid()
    assert ours.receive() is None
    ours.close()
    with pytest.raises(SystemExit, match="0"):
        harness.receive()
    with pytest.raises(SystemExit, match="1"):
        harness.send("ended", 3)


# --- Processes ------------------------------------------------------------------------------------


def said_by(process: Process) -> list[Any]:
    """What a process sends, once it has sent it."""
    while (said := process.channel.receive()) is None:
        time.sleep(0.001)
    return said


@contextlib.contextmanager
def started(work):
    process = Process(work)
    try:
        yield process
    finally:
        Process.end(process)


def sleeps(harness):
    time.sleep(3600)


@linux
@pytest.mark.parametrize(
    ("work", "words"),
    [
        (lambda _: os._exit(7), "the process ended with exit code 7"),
        (lambda _: None, "the process ended with exit code 0"),
        (lambda _: os.kill(os.getpid(), signal.SIGKILL), "the process ended with SIGKILL"),
    ],
)
def test_how_a_process_has_ended(work, words, monkeypatch):
    monkeypatch.setattr(apart, "_MOST_LEAVING", 300)
    with started(work) as process:
        assert process.last_words() == words
        assert process.has_ended()


@linux
def test_a_process_that_has_closed_its_socket_and_goes_on(monkeypatch):
    monkeypatch.setattr(apart, "_MOST_LEAVING", 0.02)
    with started(sleeps) as process:
        assert process.last_words() == "the process closed a socket that it did not open"
        assert not process.has_ended()
        assert process.pid in apart._descendants()
        assert os.getpid() not in apart._descendants()


# Every standard descriptor is closed, so that the socket could get any of their numbers.
CLOSED = """
import os
os.closerange(0, 3)
from torchdropout._tools.apart import Process
from multiprocessing.connection import wait

def work(harness):
    for descriptor in (0, 1, 2):
        os.read(0, 1)
    os.write(1, b"out")
    os.write(2, b"err")
    harness.send("done")

process = Process(work)
while (said := process.channel.receive()) is None:
    wait([process.channel])
Process.end(process)
os._exit(said != ["done"])
"""


@linux
@pytest.mark.integration
def test_no_standard_descriptor_is_needed():
    assert subprocess.run([sys.executable, "-c", CLOSED], check=False).returncode == 0


@linux
def test_no_process_has_the_socket_of_another():
    def work(harness):
        harness.send(os.path.exists(other))  # noqa: PTH110
        time.sleep(3600)

    with started(sleeps) as first:
        other = f"/proc/self/fd/{first.channel.fileno()}"
        assert Path(other).exists()
        with started(work) as second:
            assert said_by(second) == [False]


def test_a_process_whose_parent_is_gone_already_is_signalled(monkeypatch):
    kill = mock.Mock()
    monkeypatch.setattr(apart.ctypes, "CDLL", mock.Mock())
    monkeypatch.setattr(apart.os, "kill", kill)
    apart._die_with(os.getppid(), signal.SIGTERM)
    kill.assert_not_called()
    apart._die_with(-1, signal.SIGTERM)
    kill.assert_called_once_with(os.getpid(), signal.SIGTERM)


def test_a_fork_repeats_no_output_and_does_not_warn(monkeypatch):
    done = []

    def fork():
        done.append("fork")
        warnings.warn("other threads", DeprecationWarning, stacklevel=1)
        return 7

    monkeypatch.setattr(apart.sys, "stdout", mock.Mock(flush=lambda: done.append("stdout")))
    monkeypatch.setattr(apart.sys, "stderr", None)  # it is closed
    monkeypatch.setattr(apart.os, "fork", fork)
    assert apart.fork() == 7
    assert done == ["stdout", "fork"]


@linux
def test_a_guard_that_its_code_stops_again_and_again_is_killed(monkeypatch):
    monkeypatch.setattr(apart, "_MOST_CLEARING", 0)
    kill = os.kill
    # What continues a process comes to nothing, as if it were stopped again at once.
    monkeypatch.setattr(os, "kill", lambda pid, n: n == signal.SIGCONT or kill(pid, n))

    def stops(harness):
        os.kill(os.getppid(), signal.SIGSTOP)
        harness.send(os.getpid())
        time.sleep(60)

    with started(sleeps), started(stops) as process:
        (pid,) = said_by(process)
    end = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists():  # it dies with its guard
        assert time.monotonic() < end
        time.sleep(0.001)


@linux
def test_what_a_process_has_started_is_ended_with_it():
    def starts(harness):
        harness.send(subprocess.Popen(["sleep", "600"], start_new_session=True).pid)
        time.sleep(3600)

    with started(starts) as process:
        (pid,) = said_by(process)
        assert pid in apart._descendants()
    assert not Path(f"/proc/{pid}").exists()
