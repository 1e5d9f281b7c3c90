"""The limit on the processor time of a piece of work."""

import signal
import threading
import time

import pytest

from torchdropout_audit import limit
from torchdropout_audit.limit import TooLongError, within

needs_timer = pytest.mark.skipif(not hasattr(signal, "SIGVTALRM"), reason="it has no such timer")
needs_clock = pytest.mark.skipif(
    not hasattr(time, "pthread_getcpuclockid"), reason="a thread has no clock of its own"
)


def here(work):
    work()


def in_a_thread(work):
    """Does the work in another thread, and raises here what it raises there."""
    raised = []

    def run():
        try:
            work()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    for error in raised:
        raise error


RUNS = pytest.mark.parametrize(
    "run", [pytest.param(here, marks=needs_timer), pytest.param(in_a_thread, marks=needs_clock)]
)


def spin(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


@RUNS
def test_work_ends_when_its_time_is_over(run):
    spent = []

    def work():
        began = time.thread_time()
        try:
            with within(0.05):
                spin(60)
        finally:
            spent.append(time.thread_time() - began)

    with pytest.raises(TooLongError):
        run(work)
    assert 0.03 < spent[0] < 30
    assert not issubclass(TooLongError, Exception)  # which a rule may catch


@pytest.mark.integration
@RUNS
def test_only_work_of_the_processor_inside_counts(run):
    def work():
        with within(0.1):
            time.sleep(0.2)
        spin(0.2)

    run(work)


@RUNS
def test_work_that_fails_says_so(run):
    def work():
        with within(0.1):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(work)
    run(lambda: spin(0.2))


@needs_timer
def test_the_timer_is_as_it_was():
    before = signal.getsignal(signal.SIGVTALRM)
    with within(60):
        assert 0 < signal.getitimer(signal.ITIMER_VIRTUAL)[0] < 61  # it is rounded up
        assert signal.getsignal(signal.SIGVTALRM) is not before
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0, 0)
    assert signal.getsignal(signal.SIGVTALRM) is before


@needs_clock
def test_the_thread_that_watches_ends():
    running = []

    def work():
        with within(60):
            running.append(threading.active_count())
        running.append(threading.active_count())

    in_a_thread(work)
    assert running[0] == running[1] + 1


@pytest.mark.parametrize(
    ("run", "module", "name"),
    [(here, signal, "SIGVTALRM"), (in_a_thread, time, "pthread_getcpuclockid")],
)
def test_where_time_cannot_be_measured_there_is_no_limit(monkeypatch, run, module, name):
    monkeypatch.delattr(module, name, raising=False)
    monkeypatch.setattr(limit.signal, "setitimer", None, raising=False)
    done = []

    def work():
        with within(0):
            done.append(True)

    run(work)
    assert done == [True]
