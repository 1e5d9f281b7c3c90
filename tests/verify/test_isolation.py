"""Each target in a process of its own: what ends or hangs it is a finding, and the rest goes on."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
import torch

import torchdropout
from torchdropout._tools import apart
from torchdropout.verify import RULES, isolation
from torchdropout.verify.context import LEVELS
from verify import _zoo

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux")

SOURCE = str(Path(torchdropout.__file__).parents[1])
FAST = ("output-shape", "p-zero-identity", "p-one-zeros", "empty-input", "dtype-kept")

HEAD = """
    import contextlib, ctypes, faulthandler, os, signal, sys, time
    import torch
    from torch.nn.functional import dropout

    faulthandler.disable()  # pytest's: its words on the tests' own crashes help nobody

    def wait_for(path):
        while not os.path.exists(path):
            time.sleep(0.01)
"""


class Watch:
    """Records the calls; raises at one of the checks if asked to."""

    def __init__(self, interrupt_at=None):
        self.loading, self.began, self.ended, self.ticks = [], [], [], 0
        self._interrupt_at = interrupt_at

    def begin(self, target):
        self.loading.append(target)

    def at(self, target, done, total, rule):
        self.began.append((target, done, total, rule.name))
        if rule.name == self._interrupt_at:
            raise KeyboardInterrupt

    def over(self, target):
        self.ended.append(target)

    def tick(self):
        self.ticks += 1


@pytest.fixture
def target(tmp_path):
    """Writes a file with a function, `dropout` after what the text does first; its TARGET."""

    def write(text, name="drop", before=""):
        path = tmp_path / f"{name}.py"
        body = textwrap.indent(textwrap.dedent(text), "    ")
        path.write_text(
            textwrap.dedent(HEAD)
            + textwrap.dedent(before)
            + f"\ndef {name}(x, p, training):\n{body}\n    return dropout(x, p, training)\n"
        )
        return f"{path}:{name}"

    return write


@pytest.fixture(autouse=True)
def no_child_is_left(monkeypatch):
    # However long a process takes to end on a machine that has other things to do.
    monkeypatch.setattr(apart, "_MOST_LEAVING", 300)
    descendants = apart._descendants
    before = {*descendants()}  # those of other tests, which are shared
    yield
    assert {*descendants()} <= before
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def run_verifier(*targets, select=FAST, watch=None, fork=True, **more):
    options = {
        "level": "quick", "seed": 0, "select": select, "ignore": (), "p_name": None,
        "keep_prob": None, "training_name": None, "spec": None, "compile": False,
        "checkpoint": False, "device": None,
    }  # fmt: skip
    # What is tried is how processes work together, not what small faults are found.
    with mock.patch.dict(LEVELS, quick=replace(_zoo.SMALL, name="quick")):
        return isolation.verify_targets(targets, options, watch or Watch(), fork=fork, **more)


def only(outcome):
    """The results by name of the one target that was verified, to its end."""
    assert outcome.unable == ()
    assert not outcome.interrupted
    (report,) = outcome.reports
    assert not report.interrupted
    results = {check.rule.name: check for check in report.checks}
    assert len(results) == len(report.checks)
    return results


def failed(results, status="fail"):
    return {name: check.message for name, check in results.items() if check.status == status}


LATE = {"empty-input": "not checked: it did not end within 300 s"}


def timeless(outcome):
    data = [report.to_dict() for report in outcome.reports]
    for one in data:
        del one["seconds"]
        for check in one["checks"]:
            del check["seconds"]
    return json.dumps(data)


def in_python(script, *arguments):
    """What a script prints in a process of its own."""
    command = [sys.executable, "-c", textwrap.dedent(script), *arguments]
    folder = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.integration
def test_it_says_what_a_run_here_says(target):
    unscaled = target("if training: return x * (torch.rand_like(x) >= p)")
    # In a process of its own: where an earlier test has made autograd start threads, no child that
    # is forked can differentiate.
    script = """
        import sys
        from verify.test_isolation import run_verifier, timeless
        select = ("mode", "scale", "rate", "edges")
        for fork in (True, False):
            print(timeless(run_verifier(*sys.argv[1:], select=select, fork=fork)))
    """
    apart, here = in_python(script, "torch.nn:Dropout", unscaled).splitlines()
    assert apart == here
    right, wrong = json.loads(apart)
    assert [right["target"], wrong["target"]] == ["torch.nn:Dropout", unscaled]
    assert right["passed"]
    assert [check for check in wrong["checks"] if check["status"] == "fail"]


@pytest.mark.integration
def test_where_autograd_has_threads_all_runs_here():
    """After a backward deep in others a forked process cannot differentiate."""
    script = """
        import os
        import torch
        from torchdropout.verify import isolation
        from verify.test_isolation import run_verifier

        class Deep(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x, depth):
                ctx.depth = depth
                return x.clone()

            @staticmethod
            def backward(ctx, gradient):
                if ctx.depth:
                    with torch.enable_grad():
                        Deep.apply(torch.zeros((), requires_grad=True), ctx.depth - 1).backward()
                return gradient, None

        assert isolation.can_fork()
        Deep.apply(torch.zeros((), requires_grad=True), 100).backward()
        assert not isolation.can_fork()
        outcome = run_verifier("torch.nn:Dropout", select=("gradient",), fork=None)
        assert not outcome.is_partial, outcome
        (report,) = outcome.reports
        print(report.passed, sum(check.status == "ok" for check in report.checks))
    """
    passed, count = in_python(script).split()
    assert passed == "True"
    assert int(count) > 3


def test_the_watch_is_told_what_runs(target):
    watch = Watch()
    name = target("")
    run_verifier(name, watch=watch)
    in_order = [rule.name for rule in RULES.values() if rule.name in FAST]
    assert watch.began == [(name, i, len(FAST), rule) for i, rule in enumerate(in_order)]
    assert watch.loading == watch.ended == [name]
    assert watch.ticks > 0


# `tests/_tools/test_apart.py` has more ends.
ENDS = {
    "ctypes.string_at(0)": "the process ended with SIGSEGV",
    "os._exit(3)": "the process ended with exit code 3",
    "os.closerange(3, 1000)": "the process ended with exit code 1",
    "raise KeyboardInterrupt": "raised KeyboardInterrupt",
}


@pytest.mark.integration
@pytest.mark.parametrize("does", ENDS)
def test_what_ends_the_process_is_a_finding_and_the_rest_is_verified(target, does, capfd):
    results = only(run_verifier(target(f"if not x.numel(): {does}")))
    assert set(results) == set(FAST)
    assert failed(results) == {"empty-input": ENDS[does]}
    assert results["empty-input"].figures == {"process": ENDS[does]}
    assert all(check.status == "ok" for check in results.values() if not failed({"": check}))


# Writes into each socket and pipe made for the target; the tests of `apart` have other texts.
FORGES = """
    def forge():
        for name in set(os.listdir("/proc/self/fd")) - {before}:
            with contextlib.suppress(OSError):
                if os.readlink("/proc/self/fd/" + name).startswith(("pipe:", "socket:")):
                    os.write(int(name), bytes(99))
        time.sleep(3600)
"""


def test_what_a_target_writes_where_results_go_is_not_believed(target):
    forges = FORGES.format(before={path.name for path in Path("/proc/self/fd").iterdir()})
    results = only(run_verifier(target("if not x.numel(): forge()", before=forges)))
    assert failed(results) == {"empty-input": apart.SCRIBBLED}


class Clock:
    """The module `time` for the process that verifies: a day later once a file is there.

    So the limit is as long as all else may take, and what hangs is late at once.
    """

    def __init__(self, note):
        self.note = note

    def monotonic(self):
        return time.monotonic() + 86400 * self.note.exists()

    def __getattr__(self, name):
        return getattr(time, name)


@pytest.fixture
def note(tmp_path, monkeypatch):
    """What Python code is to do before it hangs in empty-input, or loading: then the time is up.

    First it waits until the process that verifies has heard of the beginning, and will hear no
    more: what is heard after the note is in time.
    """
    path, begun = tmp_path / "hangs", {at: tmp_path / at for at in ("empty-input", "loading")}
    start, tell = isolation._start, isolation._tell

    def start_and_tell(case, *arguments):
        start(case, *arguments)
        begun["loading"].touch()

    def tell_and_note(case, *arguments):
        tell(case, *arguments)
        code = case.child and case.child.code
        if code is not None and RULES[code].name == "empty-input":
            begun["empty-input"].touch()

    monkeypatch.setattr(isolation, "_start", start_and_tell)
    monkeypatch.setattr(isolation, "_tell", tell_and_note)
    monkeypatch.setattr(isolation, "time", Clock(path))

    def code(at="empty-input"):
        return f"wait_for({str(begun[at])!r}); open({str(path)!r}, 'w').close()"

    return code


HANGS = "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM}); time.sleep(3600)"


def test_what_hangs_below_python_is_ended_from_outside(target, note):
    results = only(run_verifier(target(f"if not x.numel(): {note()}; {HANGS}"), timeout=300))
    assert (failed(results), failed(results, "late")) == ({}, LATE)
    assert results["empty-input"].seconds > 300 + isolation.GRACE


# Brings the alarm forward that ends a check, so that the limit may be long for all others.
ALARM = "signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)"


def test_what_hangs_in_python_is_ended_inside(target):
    watch = Watch()
    hang = f"""
        if not x.numel(): {ALARM}
        while not x.numel():
            with contextlib.suppress(BaseException):
                time.sleep(3600)
    """
    results = only(run_verifier(target(hang), timeout=300, watch=watch))
    assert (failed(results), failed(results, "late")) == ({}, LATE)
    assert results["empty-input"].seconds < 300


def test_what_was_found_before_is_known_after(target):
    wrong = """
        if not x.numel(): os._exit(1)
        if training and p == 0.5: return dropout(x, 0.6) * (0.4 / 0.5)
    """
    results = only(run_verifier(target(wrong), select=("drop-rate", "empty-input", "tiny-input")))
    assert results["drop-rate"].status == "fail"
    assert results["empty-input"].message == "the process ended with exit code 1"
    assert results["tiny-input"].message == "not checked: drop-rate failed"


@pytest.mark.integration
@pytest.mark.parametrize(
    ("before", "got"),
    [
        ("os._exit(4)", "got: the process ended with exit code 4"),
        ("time.sleep(3600)", "got: no end within 300 s"),
        ("raise LookupError('not here')", "LookupError: not here"),
    ],
)
def test_what_ends_the_process_while_it_loads(target, before, got, note, capfd, tmp_path):
    hangs = "sleep" in before
    bad = target("", "bad", f"{note('loading')}; {before}" if hangs else before)
    good = target("", "good")
    outcome = run_verifier(bad, good, timeout=300 if hangs else None, select=("empty-input",))
    (message,) = outcome.unable
    assert message.startswith(f"Expected TARGET {bad!r} to load")
    assert got in message
    assert [report.target for report in outcome.reports] == [good]
    assert not outcome.interrupted
    assert outcome.is_partial


def test_a_target_that_loads_only_once(target, tmp_path, capfd):
    mark = tmp_path / "loaded"
    before = f"""
        if os.path.exists({str(mark)!r}):
            os._exit(5)
        open({str(mark)!r}, "w").close()
    """
    name = target("if not x.numel(): os._exit(1)", before=before)
    outcome = run_verifier(name)
    assert len(outcome.unable) == 1
    (report,) = outcome.reports  # what was seen is not lost
    assert report.interrupted
    assert report.checks[-1].rule.name == "empty-input"


# A daemon, as it is made by the book: neither its parent nor its group or session is the target's.
DAEMON = """
    def daemon(note):
        if os.fork():
            os.wait()
            return
        os.setsid()
        if os.fork():
            os._exit(0)
        with open(note + ".new", "w") as file:
            file.write(str(os.getpid()))
        os.rename(note + ".new", note)
        time.sleep(3600)

    def once(note):
        if not os.path.exists(note):
            daemon(note)
            wait_for(note)
"""


@pytest.mark.integration
def test_a_daemon_is_ended_with_the_target_that_started_it(target, note, tmp_path):
    daemon = tmp_path / "daemon"
    text = f"if not x.numel(): once({str(daemon)!r}); {note()}; {HANGS}"
    results = only(run_verifier(target(text, before=DAEMON), timeout=300))
    assert (failed(results), failed(results, "late")) == ({}, LATE)
    assert not Path(f"/proc/{int(daemon.read_text())}").exists()


def gone(pid):
    """Waits until a process has ended, or is dead and only not waited for."""
    while True:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)


def test_a_target_that_asks_is_told_that_nobody_is_there(target):
    results = only(run_verifier(target("if not x.numel(): os.read(0, 1) or 1 / 0")))
    assert "ZeroDivisionError" in failed(results)["empty-input"]


def test_what_a_target_prints_goes_to_stderr_also_where_it_then_ends(target, capfd):
    ends = "if not x.numel(): print('good', 'bye', flush=True); os.abort()"
    says = "print('from Python', flush=True); os.write(1, b'from below\\n')"
    only(run_verifier(target(f"{says}\n{ends}")))
    out, err = capfd.readouterr()
    assert out == ""
    for said in ("from Python", "from below", "good bye"):
        assert said in err


@pytest.mark.integration
def test_jobs_are_done_at_once_and_reported_in_order(target, tmp_path):
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    over = tmp_path / "over"
    # Either loads only while the other does; the first ends after the second.
    meets = "open({!r}, 'w').close(); wait_for({!r})"
    first = target(f"wait_for({str(over)!r})", "first", meets.format(a, b))
    second = target("", "second", meets.format(b, a))
    third = target("", "third")

    class Tells(Watch):
        def over(self, target):
            super().over(target)
            over.touch()

    watch = Tells()
    outcome = run_verifier(first, second, third, jobs=2, watch=watch, select=("output-shape",))
    assert outcome.unable == ()
    assert [report.target for report in outcome.reports] == [first, second, third]
    assert sorted(watch.ended) == sorted([first, second, third])
    assert watch.ended.index(second) < watch.ended.index(first)


def test_jobs_share_the_threads(target):
    # Three of six each: a third process has nothing to do.
    names = [target("assert torch.get_num_threads() == 3", name) for name in ("a", "b")]
    before = torch.get_num_threads()
    torch.set_num_threads(6)
    try:
        outcome = run_verifier(*names, jobs=3, select=("output-shape",))
    finally:
        torch.set_num_threads(before)
    assert [report.passed for report in outcome.reports] == [True, True]


@pytest.mark.parametrize("fork", [True, False])
def test_ctrl_c_leaves_what_was_done(target, fork):
    first, second, third = (target("", name) for name in ("first", "second", "third"))
    watch = Watch(interrupt_at="p-one-zeros")
    outcome = run_verifier(first, second, third, watch=watch, fork=fork)
    assert outcome.interrupted
    assert outcome.unable == ()
    (report,) = outcome.reports
    assert (report.target, report.interrupted, report.passed) == (first, True, False)
    order = [rule.name for rule in RULES.values() if rule.name in FAST]
    done = order.index("p-one-zeros")
    assert [check.rule.name for check in report.checks] == order[:done]


@pytest.mark.integration
def test_a_target_and_its_daemon_die_with_the_command(target, tmp_path):
    note, daemon = tmp_path / "pid", tmp_path / "daemon"
    text = f"once({str(daemon)!r}); open({str(note)!r}, 'w').write(str(os.getpid()))"
    name = target(f"{text}; time.sleep(3600)", before=DAEMON)
    path = os.pathsep.join(filter(None, (SOURCE, os.environ.get("PYTHONPATH"))))
    with subprocess.Popen(
        [sys.executable, "-m", "torchdropout", "verify", name, "--level=quick"],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        while not (note.exists() and note.read_text()):
            assert process.poll() is None
            time.sleep(0.05)
        pid = int(note.read_text())
        assert pid != process.pid
        process.send_signal(signal.SIGKILL)
    assert gone(pid)
    assert gone(int(daemon.read_text()))


@pytest.mark.parametrize(
    ("before", "interrupted", "unable"),
    [("raise KeyboardInterrupt", True, ""), ("raise LookupError('not here')", False, "not here")],
)
def test_without_forking_what_cannot_be_loaded_is_reported(target, before, interrupted, unable):
    bad, good = target("", "bad", before), target("", "good")
    outcome = run_verifier(good, bad, good, select=("output-shape",), fork=False)
    assert outcome.interrupted is interrupted
    assert [unable in text for text in outcome.unable] == [True] * bool(unable)
    assert [report.target for report in outcome.reports] == [good] * (1 if interrupted else 2)


def test_without_forking_the_limit_holds(target):
    hang = f"if not x.numel(): {ALARM}; time.sleep(3600)"
    results = only(run_verifier(target(hang), timeout=300, fork=False))
    assert (failed(results), failed(results, "late")) == ({}, LATE)


def test_a_target_has_none_of_the_handlers_of_the_process_that_starts_it(target):
    checks = """
        own = [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGCHLD, signal.SIGINT)]
        assert own == [signal.SIG_DFL, signal.SIG_DFL, signal.default_int_handler]
        assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())
        # The target and its guard lead groups of their own.
        assert os.getpgid(0) == os.getpid()
        assert os.getpgid(os.getppid()) == os.getppid()
    """
    numbers = (signal.SIGTERM, signal.SIGCHLD, signal.SIGINT)
    before = {s: signal.signal(s, lambda *_: None) for s in numbers}
    try:
        assert failed(only(run_verifier(target(checks), select=("output-shape",)))) == {}
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
