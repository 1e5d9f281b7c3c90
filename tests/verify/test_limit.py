"""A time limit ends whatever Python code, and leaves alarms and trace functions as they were."""

import contextlib
import signal
import sys
import threading
import time

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from torchdropout.errors import ArgumentValueError, VerificationError
from torchdropout.verify import check_dropout
from torchdropout.verify.limit import AGAIN, can_limit, time_limit
from torchdropout.verify.report import render_text


def spins():
    while True:
        pass


def catches_everything():
    while True:
        try:  # noqa: SIM105
            time.sleep(3600)
        except:  # noqa: E722
            pass


@contextlib.contextmanager
def swallowing():
    with contextlib.suppress(BaseException):
        yield


def catches_by_a_generator():
    while True:
        with swallowing():
            time.sleep(3600)


@pytest.mark.parametrize("hangs", [spins, catches_everything, catches_by_a_generator])
def test_what_hangs_is_ended(hangs):
    start = time.monotonic()
    with time_limit(0.05) as limit:
        hangs()
    assert limit.is_over
    assert not limit.is_armed
    assert time.monotonic() - start >= 0.05


def test_what_ends_in_time_is_left_alone():
    before = signal.getsignal(signal.SIGALRM)
    with time_limit(None) as limit:
        assert signal.getsignal(signal.SIGALRM) is before
    assert not limit.is_over
    with time_limit(3600) as limit:
        time.sleep(0.01)
    assert not limit.is_over
    with pytest.raises(LookupError), time_limit(3600) as limit:
        raise LookupError
    assert not limit.is_over


@pytest.fixture
def alarm():
    """The list that the caller's own alarm rings into; restores what pytest has set."""
    rung = []
    handler = signal.signal(signal.SIGALRM, lambda *_: rung.append(time.monotonic()))
    left, interval = signal.setitimer(signal.ITIMER_REAL, 0)
    yield rung
    signal.setitimer(signal.ITIMER_REAL, left, interval)
    signal.signal(signal.SIGALRM, handler)


@pytest.mark.parametrize("hangs", [True, False])
def test_the_callers_alarm_rings_when_it_would_have(alarm, hangs):
    handler = signal.getsignal(signal.SIGALRM)
    start = time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, 3600)
    with time_limit(0.1 if hangs else 1800):
        time.sleep(3600 if hangs else 0.01)
    assert signal.getsignal(signal.SIGALRM) is handler
    left, interval = signal.setitimer(signal.ITIMER_REAL, 0.01)
    assert left <= 3600 - (0.09 if hangs else 0.009)
    assert left >= 3600 - (time.monotonic() - start) - 0.01
    assert interval == 0
    while not alarm:
        time.sleep(0.01)
    assert len(alarm) == 1


def test_an_alarm_that_was_due_inside_rings_after(alarm):
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    with time_limit(0.3):
        time.sleep(3600)
    assert alarm or signal.getitimer(signal.ITIMER_REAL)[0] <= 1e-3  # at once
    while not alarm:
        time.sleep(0.01)
    assert len(alarm) == 1


@pytest.mark.usefixtures("alarm")
def test_an_alarm_that_rings_again_and_again_goes_on_to():
    signal.setitimer(signal.ITIMER_REAL, 3600, 1800)
    assert 0 < AGAIN < 0.2  # what goes on does not go on for long
    with time_limit(1800):
        assert signal.getitimer(signal.ITIMER_REAL)[1] == pytest.approx(AGAIN)
    left, interval = signal.getitimer(signal.ITIMER_REAL)
    assert 3000 < left <= 3600
    assert interval == 1800
    signal.setitimer(signal.ITIMER_REAL, 0)
    with time_limit(1800):
        assert 1700 < signal.getitimer(signal.ITIMER_REAL)[0] <= 1800
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_the_callers_trace_function_stays():
    def tracer(frame, event, argument):
        return None

    before = sys.gettrace()
    frame = sys._getframe()
    sys.settrace(tracer)
    try:
        with time_limit(0.05):
            catches_everything()
        assert sys.gettrace() is tracer
        assert frame.f_trace is None
    finally:
        sys.settrace(before)


def test_it_can_be_set_in_the_main_thread_alone():
    said = []

    def other():
        said.append(can_limit())
        with pytest.raises(ArgumentValueError, match="main thread"):
            check_dropout(F.dropout, level="quick", timeout=5)
        said.append("told")

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert (can_limit(), said) == (True, [False, "told"])


def hangs_on_empty(x, p, training):
    if not x.numel():
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)  # its time is up at once
        catches_everything()
    return F.dropout(x, p, training)


def test_a_check_that_does_not_end_is_no_verdict_and_the_others_run():
    names = ["p-zero-identity", "empty-input", "p-one-zeros"]
    report = check_dropout(hangs_on_empty, level="quick", select=names, timeout=300)
    (one,) = report
    assert (one.findings, one.late, one.verdict) == ((), ("empty-input",), "none")
    assert (one.interrupted, one.passed, one.complete) == (False, False, False)
    late = next(check for check in one.checks if check.status == "late")
    assert {check.status for check in one.checks if check is not late} == {"ok"}
    assert (late.message, late.figures) == (
        "not checked: it did not end within 300 s",
        {"limit": 300},
    )
    assert late.seconds >= 0.01
    with pytest.raises(VerificationError, match="no verdict: empty-input did not end"):
        report.raise_for_errors()
    assert "no verdict: 1 check did not end" in render_text(report)


def test_what_waits_for_a_check_that_does_not_end_is_not_run():
    def hangs(x, p, training):
        if x.dtype == torch.float16:
            signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
            time.sleep(3600)
        return F.dropout(x, p, training)

    names = ["dtype-rate", "dtype-independence"]
    (one,) = check_dropout(hangs, level="quick", select=names, timeout=300)
    assert [(check.status, check.message) for check in one.checks] == [
        ("late", "not checked: it did not end within 300 s"),
        ("skip", "not checked: dtype-rate did not end"),
    ]


def test_the_time_of_the_compiler_does_not_count():
    with time_limit(0.2) as limit:
        limit.pause()
        time.sleep(0.4)
        limit.resume()
    assert not limit.is_over
    with time_limit(0.2) as limit:
        limit.pause()
        limit.resume()
        time.sleep(3600)
    assert limit.is_over


@pytest.mark.integration
def test_a_slow_compiler_is_no_fault_of_its_target():
    def backend(graph, _):
        time.sleep(3)
        return graph

    torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1))  # loads what is loaded once
    (one,) = check_dropout(
        nn.Dropout, level="quick", select=["state-restored"], timeout=2.5, compile=backend
    )
    assert [(check.status, check.message) for check in one.checks if check.status != "ok"] == []


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), "5", True])
def test_a_wrong_limit_is_told(timeout):
    with pytest.raises(ArgumentValueError, match=r"`timeout`.*seconds above 0"):
        check_dropout(F.dropout, timeout=timeout)
