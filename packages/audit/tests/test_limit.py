"""The limit on the processor time of a piece of work."""

import signal
import threading
import time

import pytest

from torchdropout_audit import limit
from torchdropout_audit.limit import TooLongError, within

needs_timer = pytest.mark.skipif(not hasattr(signal, "SIGVTALRM"), reason="it has no such timer")


def spin(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


@needs_timer
def test_work_ends_when_its_time_is_over():
    spent = []

    def work():
        began = time.thread_time()
        try:
            with within(0.05):
                spin(60)
        finally:
            spent.append(time.thread_time() - began)

    with pytest.raises(TooLongError):
        work()
    assert 0.03 < spent[0] < 30
    assert not issubclass(TooLongError, Exception)  # which a rule may catch


@pytest.mark.integration
@needs_timer
def test_only_work_of_the_processor_inside_counts():
    def work():
        with within(0.1):
            time.sleep(0.2)
        spin(0.2)

    work()


@needs_timer
def test_work_that_fails_says_so():
    def work():
        with within(0.1):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    spin(0.2)


@needs_timer
def test_the_timer_is_as_it_was():
    before = signal.getsignal(signal.SIGVTALRM)
    with within(60):
        assert 0 < signal.getitimer(signal.ITIMER_VIRTUAL)[0] < 61  # it is rounded up
        assert signal.getsignal(signal.SIGVTALRM) is not before
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0, 0)
    assert signal.getsignal(signal.SIGVTALRM) is before


def test_where_time_cannot_be_measured_there_is_no_limit(monkeypatch):
    monkeypatch.setattr(limit.signal, "setitimer", None, raising=False)
    done = []

    def work():
        with within(0):
            done.append(True)

    thread = threading.Thread(target=work)  # no signal reaches it
    thread.start()
    thread.join()
    monkeypatch.delattr(signal, "SIGVTALRM", raising=False)
    work()
    assert done == [True, True]
