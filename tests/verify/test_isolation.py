"""Each target in a process of its own: what ends or hangs it is a finding, and the rest goes on."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
import torch

import torchdropout
from torchdropout.errors import ArgumentTypeError, ArgumentValueError, TargetError
from torchdropout.verify import RULES, isolation
from torchdropout.verify.context import LEVELS
from torchdropout.verify.results import CheckResult
from verify import _reports as r
from verify import _zoo

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux")

SOURCE = str(Path(torchdropout.__file__).parents[1])
FAST = ("output-shape", "p-zero-identity", "p-one-zeros", "empty-input", "dtype-kept")

HEAD = """
    import contextlib, ctypes, faulthandler, os, signal, sys, time
    import torch
    from torch.nn.functional import dropout

    faulthandler.disable()  # pytest's: its words on the tests' own crashes help nobody

    def inside(name):
        "Whether a check is what has called."
        frame = sys._getframe()
        while frame is not None:
            if frame.f_code.co_name == name.replace("-", "_"):
                return True
            frame = frame.f_back
        return False

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
    monkeypatch.setattr(isolation, "_MOST_LEAVING", 300)
    descendants = isolation._descendants
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


@pytest.fixture
def forks():
    """For tests whose forks run a backward: the command asks the same before it forks."""
    if not isolation.can_fork():
        assert torch.accelerator.is_available()  # elsewhere tests/conftest.py sees to it
        pytest.skip("autograd has threads in this process, for the devices of this machine")


def only(outcome):
    """The results by name of the one target that was verified, to its end."""
    assert outcome.unable == ()
    assert not outcome.interrupted
    (report,) = outcome.reports
    assert not report.interrupted
    results = {check.rule.name: check for check in report.checks}
    assert len(results) == len(report.checks)
    return results


def failed(results):
    return {name: check.message for name, check in results.items() if check.status == "fail"}


def timeless(outcome):
    data = [report.to_dict() for report in outcome.reports]
    for one in data:
        del one["seconds"]
        for check in one["checks"]:
            del check["seconds"]
    return json.dumps(data)


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
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), "torch.nn:Dropout", unscaled],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    apart, here = done.stdout.splitlines()
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
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    passed, count = done.stdout.split()
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


ENDS = {
    "ctypes.string_at(0)": "the process ended with SIGSEGV",
    "os.abort()": "the process ended with SIGABRT",
    "os.kill(os.getpid(), signal.SIGKILL)": "the process ended with SIGKILL",
    # Its guard ignores the one, and waits for the other.
    # Python ignores it, and some of these targets run in the process of the tests.
    "signal.signal(signal.SIGPIPE, signal.SIG_DFL); os.kill(os.getpid(), signal.SIGPIPE)": (
        "the process ended with SIGPIPE"
    ),
    "os.kill(os.getpid(), signal.SIGTERM)": "the process ended with SIGTERM",
    "os._exit(3)": "the process ended with exit code 3",
    "os._exit(0)": "the process ended with exit code 0",
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


SCRIBBLES = """
    if not x.numel():
        for name in set(os.listdir("/proc/self/fd")) - {before}:
            with contextlib.suppress(OSError):
                if os.readlink("/proc/self/fd/" + name).startswith("pipe:"):
                    os.write(int(name), (4).to_bytes(4, "big") + b"oops")
        time.sleep(3600)
"""


def test_a_target_that_writes_where_results_go_is_found_out(target, monkeypatch):
    monkeypatch.setattr(isolation, "_MOST_LEAVING", 0.2)  # it stays
    text = SCRIBBLES.format(before={path.name for path in Path("/proc/self/fd").iterdir()})
    words = "the process closed, or wrote into, a pipe that it did not open"
    assert failed(only(run_verifier(target(text)))) == {"empty-input": words}


def test_a_choice_that_does_not_apply_is_told(target):
    outcome = run_verifier(target(""), select=("block-shape",))
    assert outcome.reports == ()
    assert "(plain), got block-shape" in outcome.unable[0]


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

    def tell_and_note(case, child, *arguments):
        tell(case, child, *arguments)
        if child.code is not None and RULES[child.code].name == "empty-input":
            begun["empty-input"].touch()

    monkeypatch.setattr(isolation, "_start", start_and_tell)
    monkeypatch.setattr(isolation, "_tell", tell_and_note)
    monkeypatch.setattr(isolation, "time", Clock(path))

    def code(at="empty-input"):
        return f"wait_for({str(begun[at])!r}); open({str(path)!r}, 'w').close()"

    return code


def test_a_target_that_leaves_its_group_is_ended(target, monkeypatch):
    monkeypatch.setattr(isolation, "_MOST_LEAVING", 0.2)  # it stays, without its end of the pipe
    leave = "if not x.numel(): os.setpgid(0, os.getpgid(os.getppid())); os.closerange(3, 256)"
    results = only(run_verifier(target(f"{leave}; time.sleep(3600)"), timeout=300))
    assert set(failed(results)) == {"empty-input"}


def test_each_check_may_end_the_process(target, capfd):
    results = only(run_verifier(target("os._exit(9)"), select=("mode", "edges")))
    assert set(failed(results).values()) == {"the process ended with exit code 9"}
    # Those that need a failed one are not tried: each would cost a process.
    assert any(check.status == "skip" for check in results.values())


def test_what_hangs_below_python_is_ended_from_outside(target, note):
    hang = "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM}); time.sleep(3600)"
    results = only(run_verifier(target(f"if not x.numel(): {note()}; {hang}"), timeout=300))
    assert failed(results) == {"empty-input": "did not end within 300 s"}
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
    assert failed(results) == {"empty-input": "did not end within 300 s"}
    assert results["empty-input"].seconds < 300


def test_what_was_found_before_is_known_after(target):
    wrong = """
        if inside("empty-input"): os._exit(1)
        if training and p == 0.5: return dropout(x, 0.6) * (0.4 / 0.5)
    """
    results = only(run_verifier(target(wrong), select=("drop-rate", "empty-input", "tiny-input")))
    assert results["drop-rate"].status == "fail"
    assert results["empty-input"].message == "the process ended with exit code 1"
    assert results["tiny-input"].message == "not checked: drop-rate failed"


def test_wrong_rates_are_known_to_the_next_process(target, monkeypatch):
    class Run:
        def __init__(self):
            self.bad_rates = set()

        def __call__(self, code, failed):
            if RULES[code].name == "drop-rate":
                self.bad_rates.add(0.25)
            elif RULES[code].name == "empty-input":
                os._exit(1)
            return CheckResult(RULES[code], "ok", f"{self.bad_rates}, {sorted(failed)}")

    monkeypatch.setattr(isolation, "begun", lambda *_, **__: contextlib.nullcontext(Run()))
    results = only(run_verifier(target(""), select=("drop-rate", "empty-input", "tiny-input")))
    assert results["tiny-input"].message == "{0.25}, ['empty-input']"


# --- Several processes for a target ---------------------------------------------------------------

SHARED = ("mode", "scale", "rate", "edges", "dtype", "layout-mask", "seeds-differ")


@pytest.mark.integration
@pytest.mark.parametrize(
    "text",
    [
        "",
        "if training: return x * (torch.rand_like(x) >= p)",  # others need what fails
        "if training and p == 0.5: return dropout(x, 0.6) * (0.4 / 0.5)",  # a wrong rate
        "if x.dtype == torch.float64: os._exit(3)",  # several checks end their process
    ],
)
def test_several_processes_say_what_one_says(target, text, capfd):
    drop = target(text)
    alone = run_verifier(drop, select=SHARED)
    assert timeless(run_verifier(drop, select=SHARED, jobs=3)) == timeless(alone)


@pytest.mark.integration
@pytest.mark.usefixtures("forks")
def test_processes_share_the_checks_of_a_target(target, tmp_path, monkeypatch):
    tell = isolation._tell

    def tell_when_all_have_loaded(case, child, watch):
        # On a busy machine the first process would have run every check before another loads.
        if all(other.is_loaded for other in case.children):
            tell(case, child, watch)

    monkeypatch.setattr(isolation, "_tell", tell_when_all_have_loaded)
    by = "with open({!r}, 'a') as file: print(os.getpid(), file=file)".format(str(tmp_path / "by"))

    def processes(jobs, select=SHARED):
        (tmp_path / "by").unlink(missing_ok=True)
        only(run_verifier(target(by), select=select, jobs=jobs))
        return len(set((tmp_path / "by").read_text().split()))

    assert processes(1) == 1
    assert processes(3) > 1
    assert processes(3, select=("eval-identity", "empty-input")) == 1  # too few to share


def test_a_check_waits_for_those_it_depends_on(target, monkeypatch):
    running, tell, hear = set(), isolation._tell, isolation._hear
    early = []

    def told(case, child, watch):
        before = child.code
        tell(case, child, watch)
        if child.code != before:
            early.extend(case.waits[child.code] - case.results.keys())
            running.add(child.code)

    def heard(case, child, message):
        running.discard(child.code)
        hear(case, child, message)

    monkeypatch.setattr(isolation, "_tell", told)
    monkeypatch.setattr(isolation, "_hear", heard)
    results = only(run_verifier(target(""), select=SHARED, jobs=3))
    assert len(results) > 20
    assert not early


def test_a_process_that_ends_between_two_checks_ends_the_next(target, monkeypatch):
    hear = isolation._hear

    def hear_when_it_has_ended(case, child, message):
        hear(case, child, message)
        if message[0] == "understood":
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    monkeypatch.setattr(isolation, "_hear", hear_when_it_has_ended)
    monkeypatch.setattr(isolation._Pipes, "receive", lambda self: os._exit(7))
    for jobs in (1, 3):
        results = only(run_verifier(target(""), select=("empty-input", "dtype-kept"), jobs=jobs))
        assert set(failed(results).values()) == {"the process ended with exit code 7"}
        assert len(failed(results)) == 2


@pytest.mark.usefixtures("forks")
def test_one_process_goes_on_where_others_cannot_load_the_target(target, tmp_path, capfd):
    # The first that loads it stays.
    before = f"os.mkdir({str(tmp_path / 'loaded')!r})"
    found = failed(only(run_verifier(target("", before=before), select=SHARED, jobs=3)))
    found.pop("layout-mask", None)  # advice on torch's dropout
    assert found == {}


def test_ctrl_c_ends_all_processes_of_a_target(target):
    watch = Watch(interrupt_at="dtype-rate")
    outcome = run_verifier(target(""), select=SHARED, jobs=3, watch=watch)
    assert outcome.interrupted
    (report,) = outcome.reports
    assert report.interrupted
    assert "drop-rate" in {check.rule.name for check in report.checks}


@pytest.mark.integration
@pytest.mark.parametrize(
    ("before", "got"),
    [
        ("os._exit(4)", "got: the process ended with exit code 4"),
        ("ctypes.string_at(0)", "got: the process ended with SIGSEGV"),
        ("time.sleep(3600)", "got: no end within 300 s"),
        ("raise KeyboardInterrupt", "got: raised KeyboardInterrupt"),
        ("raise LookupError('not here')", "LookupError: not here"),
    ],
)
def test_what_ends_the_process_while_it_loads(target, before, got, note, capfd, tmp_path):
    hangs = "sleep" in before
    bad, good = (
        target("", "bad", f"{note('loading')}; {before}" if hangs else before),
        target("", "good"),
    )
    outcome = run_verifier(bad, good, timeout=300 if hangs else None, select=("empty-input",))
    (message,) = outcome.unable
    assert message.startswith(f"Expected TARGET {bad!r} to load")
    assert got in message
    assert [report.target for report in outcome.reports] == [good]
    assert not outcome.interrupted
    assert outcome.is_partial


def test_what_a_target_raises_outside_of_a_check(target, capfd):
    stops = """
        class Stop(BaseException): pass
        class Stops(torch.nn.Module):
            def __init__(self, p=0.5): raise Stop("here")
        """
    bad, good = target("", "bad", stops).replace(":bad", ":Stops"), target("", "good")
    outcome = run_verifier(bad, good, select=("empty-input",))
    (message,) = outcome.unable
    assert message.startswith(f"TARGET {bad!r} raised outside of a check: ")
    assert message.endswith("Stop: here")
    assert [report.target for report in outcome.reports] == [good]


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


@pytest.mark.integration
def test_a_target_that_forks_speaks_with_one_voice(target, tmp_path):
    results = only(run_verifier(target("if not x.numel(): os.fork()")))
    assert set(results) == set(FAST)
    assert failed(results) == {}


def test_what_a_target_starts_is_ended_with_it(target, tmp_path):
    note = tmp_path / "pid"
    start = f"""
        if not os.path.exists({str(note)!r}):
            import subprocess
            child = subprocess.Popen(["sleep", "3600"])
            open({str(note)!r}, "w").write(str(child.pid))
    """
    only(run_verifier(target(start)))
    assert gone(int(note.read_text()))


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
            while not os.path.exists(note):
                time.sleep(0.01)
"""

# What happens once the daemon runs, and what is reported.
LEAVES = {
    "": {},
    "os.abort()": {"empty-input": "the process ended with SIGABRT"},
    "os._exit(3)": {"empty-input": "the process ended with exit code 3"},
    "raise KeyboardInterrupt": {"empty-input": "raised KeyboardInterrupt"},
    "hangs": {"empty-input": "did not end within 300 s"},
}


@pytest.mark.integration
@pytest.mark.parametrize("does", LEAVES)
def test_a_daemon_is_ended_with_the_target_that_started_it(target, note, tmp_path, does, capfd):
    daemon = tmp_path / "daemon"
    if does == "hangs":
        block = "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})"
        does = f"{note()}; {block}; time.sleep(3600)"
    text = f"if not x.numel(): once({str(daemon)!r}); {does or 'pass'}"
    results = only(run_verifier(target(text, before=DAEMON), timeout=300))
    assert failed(results) == LEAVES["hangs" if "sleep" in does else does]
    assert is_gone(int(daemon.read_text()))


@pytest.mark.integration
def test_what_starts_others_again_and_again_is_ended(target, tmp_path):
    note = tmp_path / "session"
    begets = f"""
        if not x.numel():
            if not os.fork():
                os.setsid()
                open({str(note)!r}, "w").write(str(os.getpid()))
                while True:  # its id is another at each moment
                    if os.fork():
                        os._exit(0)
            while not (os.path.exists({str(note)!r}) and os.path.getsize({str(note)!r})):
                time.sleep(0.01)
    """
    only(run_verifier(target(begets)))
    session = note.read_text()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            assert path.read_text().rpartition(")")[2].split()[3] != session


def test_a_target_that_stops_its_guard_does_not_stop_the_run(target, monkeypatch):
    monkeypatch.setattr(isolation, "_MOST_CLEARING", 0.05)
    stop = "if not x.numel(): os.kill(os.getppid(), signal.SIGSTOP)"
    assert failed(only(run_verifier(target(stop)))) == {}


def is_gone(pid):
    return not Path(f"/proc/{pid}").exists()


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


def test_what_a_target_prints_goes_to_stderr(target, capfd):
    only(run_verifier(target("print('from Python'); os.write(1, b'from below\\n')")))
    out, err = capfd.readouterr()
    assert out == ""
    assert "from Python" in err
    assert "from below" in err


def test_what_a_target_prints_last_is_seen(target, capfd):
    only(run_verifier(target("if not x.numel(): print('good', 'bye', flush=True); os.abort()")))
    assert "good bye" in capfd.readouterr().err


MEETS = """
    mine, other = {mine!r}, {other!r}
    open(mine, "w").close()
    while not os.path.exists(other):
        time.sleep(0.01)
"""


@pytest.mark.integration
def test_jobs_are_done_at_once_and_reported_in_order(target, tmp_path):
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    over = tmp_path / "over"
    # Either loads only while the other does; the first ends after the second.
    before = textwrap.dedent(MEETS).format(mine=a, other=b)
    first = target(f"wait_for({str(over)!r})", "first", before)
    second = target("", "second", textwrap.dedent(MEETS).format(mine=b, other=a))
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
    names = [target("assert torch.get_num_threads() == 2", name) for name in ("a", "b")]
    before = torch.get_num_threads()
    torch.set_num_threads(6)
    try:
        outcome = run_verifier(*names, jobs=3, select=("output-shape",))
    finally:
        torch.set_num_threads(before)
    assert [report.passed for report in outcome.reports] == [True, True]


def test_ctrl_c_leaves_what_was_done(target):
    first, second, third = (target("", name) for name in ("first", "second", "third"))
    watch = Watch(interrupt_at="p-one-zeros")
    outcome = run_verifier(first, second, third, watch=watch)
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


def test_figures_are_plain_where_they_are_read():
    class Loud:
        def __reduce__(self):
            return print, ("code of the target",)

        def __repr__(self):
            return "loud"

    result = CheckResult(
        RULES["TD521"], "fail", "seen", {"a": (1, 2.5), "b": Loud(), "c": float("inf"), "d": 0.1}
    )
    plain = isolation._plain(result)
    assert plain.figures == {"a": [1, 2.5], "b": "loud", "c": "inf", "d": 0.1}
    assert (plain.rule, plain.message) == (result.rule, "seen")


def test_without_forking_the_interrupt_is_the_same(target):
    watch = Watch(interrupt_at="p-one-zeros")
    outcome = run_verifier(target("", "first"), target("", "second"), watch=watch, fork=False)
    assert outcome.interrupted
    (report,) = outcome.reports
    assert report.interrupted
    assert report.checks[-1].rule.name == "p-zero-identity"


def test_without_forking_the_progress_is_the_same(target):
    watch, targets = Watch(), (target("", "first"), target("", "second"))
    run_verifier(*targets, select=("empty-input",), watch=watch, fork=False)
    assert watch.loading == watch.ended == list(targets)
    assert watch.began == [(name, 0, 1, "empty-input") for name in targets]
    assert watch.ticks == 4  # when a target begins to load, and when a check begins


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
    assert failed(results) == {"empty-input": "did not end within 300 s"}


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


# The parent's bookkeeping, without processes

# Two groups of two, of which one waits.
MODE, SCALE, EDGES = ("TD501", "TD502"), ("TD511", "TD512"), ("TD551",)
CODES = (*MODE, *SCALE, *EDGES)


def result_of(code, status="ok"):
    return CheckResult(RULES[code], status, "seen")


def child_of(case, code=None, *, group="", is_loaded=True):
    """A process of a case that only exists on paper; it keeps what is sent to it."""
    orders = mock.Mock()
    child = isolation._Child(0, mock.Mock(), orders, 0.0, is_loaded, code, group)
    case.children.append(child)
    return child


@pytest.fixture
def case(monkeypatch):
    """A case that has begun to load; its processes end on paper, too."""
    monkeypatch.setattr(
        isolation, "_end", lambda case, *children: [case.children.remove(c) for c in children]
    )
    monkeypatch.setattr(isolation, "_last_words", lambda child: "ended so")
    return isolation._Case("a:A", began=time.monotonic())


@pytest.fixture
def loaded(case):
    """The case once its target is loaded: five checks, the last of which waits for the first."""
    waits = {code: frozenset() for code in CODES} | {EDGES[0]: frozenset(MODE[:1])}
    heading = r.target(interrupted=True)
    case.heading, case.waits = heading, waits
    return case


def test_a_case_is_over_when_nothing_is_left(loaded):
    assert (loaded.left, loaded.is_over) == (list(CODES), False)
    loaded.results = {code: result_of(code) for code in CODES[:-1]}
    assert (loaded.left, loaded.is_over) == (list(EDGES), False)
    report = loaded.so_far(interrupted=True)
    assert (report.interrupted, [c.rule.code for c in report.checks]) == (True, list(CODES[:-1]))
    loaded.results = {code: result_of(code) for code in reversed(CODES)}
    assert (loaded.left, loaded.is_over) == ([], True)
    report = loaded.so_far(interrupted=False)
    assert (report.interrupted, [c.rule.code for c in report.checks]) == (False, list(CODES))
    assert 0 <= report.seconds < 60


def test_a_case_that_is_not_loaded_has_no_report_and_is_not_over(case):
    assert case.so_far(interrupted=True) is None
    assert not case.is_over
    case.unable = "why"
    assert case.is_over


@pytest.mark.parametrize(
    ("running", "group", "ended", "expected"),
    [
        ((), "", (), MODE[0]),
        ((), "scale", (), SCALE[0]),  # a group that it has begun
        ((MODE[0],), "", (), SCALE[0]),  # a group that nobody runs
        ((MODE[0],), "mode", (), MODE[1]),
        ((MODE[0], SCALE[0]), "", (), MODE[1]),  # the last one waits
        ((MODE[1], SCALE[0]), "", MODE[:1], EDGES[0]),
        ((), "edges", (), MODE[0]),
        ((), "edges", MODE[:1], EDGES[0]),
        ((), "mode", MODE, SCALE[0]),
        (SCALE, "", MODE, EDGES[0]),
        ((*SCALE, *EDGES), "", MODE, None),
        ((*MODE, *SCALE), "", (), None),
    ],
)
def test_which_check_a_process_gets(loaded, running, group, ended, expected):
    loaded.results = {code: result_of(code) for code in ended}
    for code in running:
        child_of(loaded, code, group=RULES[code].group)
    child = child_of(loaded, group=group)
    assert loaded.next_for(child) == expected


@pytest.mark.parametrize(
    ("ready", "spare", "wanted"),
    [(0, 5, 1), (7, 5, 1), (8, 5, 2), (8, 0, 1), (40, 5, 6), (12, 5, 3), (12, 1, 2)],
)
def test_how_many_processes_a_target_can_use(case, ready, spare, wanted):
    codes = list(RULES)[: ready + 3]
    case.waits = {code: frozenset() for code in codes[:ready]}
    assert case.wanted(spare) == 1  # it is not loaded
    case.heading = r.target()
    case.waits |= {code: frozenset(["TD999"]) for code in codes[ready:]}
    assert case.wanted(spare) == wanted
    case.is_alone = True
    assert case.wanted(spare) == 1


def test_what_a_process_says_is_noted(case):
    first, second = child_of(case, is_loaded=False), child_of(case, "TD502")
    heading, waits = r.target(), {code: frozenset() for code in CODES}
    isolation._hear(case, first, ("understood", heading, waits))
    assert (case.heading, case.waits, first.is_loaded) == (heading, waits, True)
    isolation._hear(case, second, ("ended", result_of("TD502", "fail"), frozenset([0.5])))
    assert case.results == {"TD502": result_of("TD502", "fail")}
    assert second.code is None
    isolation._hear(case, second, ("ended", result_of("TD511"), frozenset([0.1])))
    assert case.bad_rates == {0.1, 0.5}
    assert case.children == [first, second]


@pytest.mark.parametrize(("others", "unable", "is_alone"), [(0, "why", False), (1, "", True)])
def test_a_target_that_cannot_be_loaded_is_reported_if_no_process_has(
    case, others, unable, is_alone
):
    child = child_of(case, is_loaded=False)
    for _ in range(others):
        child_of(case)
    isolation._hear(case, child, ("unable", "why"))
    assert (case.unable, case.is_alone) == (unable, is_alone)
    assert child not in case.children


def test_a_target_that_interrupts_its_process_fails_the_check(loaded):
    child = child_of(loaded, "TD502")
    isolation._hear(loaded, child, ("stopped",))
    (result,) = loaded.results.values()
    assert (result.rule.code, result.status) == ("TD502", "fail")
    assert (result.message, result.figures) == (
        "raised KeyboardInterrupt", {"process": "raised KeyboardInterrupt"}
    )  # fmt: skip
    assert loaded.children == []


def test_a_process_is_told_one_check_at_a_time(loaded):
    watch, child = Watch(), child_of(loaded, is_loaded=False)
    isolation._tell(loaded, child, watch)
    child.is_loaded, child.code = True, "TD501"
    isolation._tell(loaded, child, watch)
    child.orders.send.assert_not_called()
    loaded.results = {"TD501": result_of("TD501", "fail"), "TD502": result_of("TD502")}
    loaded.bad_rates, child.code = frozenset([0.5]), None
    isolation._tell(loaded, child, watch)
    child.orders.send.assert_called_once_with(("TD511", {"output-shape"}, frozenset([0.5])))
    assert (child.code, child.group) == ("TD511", "scale")
    assert time.monotonic() - child.heard < 60
    assert watch.began == [("a:A", 2, 5, "kept-scale")]
    # One that is gone is found by what it does not say.
    other = child_of(loaded)
    other.orders.send.side_effect = BrokenPipeError
    isolation._tell(loaded, other, watch)
    assert other.code == "TD551"
    loaded.results = {code: result_of(code) for code in CODES}
    child.code = None
    isolation._tell(loaded, child, watch)
    assert len(watch.began) == 2


@pytest.mark.parametrize(
    ("code", "words", "timeout", "message", "figures"),
    [
        ("TD502", "ended so", None, "ended so", {"process": "ended so"}),
        ("TD502", None, 5.0, "did not end within 5 s", {"limit": 5.0}),
        ("TD502", None, None, "", {"process": ""}),
        (None, "ended so", None, "ended so", {"process": "ended so"}),
    ],
)
def test_the_check_of_a_process_that_is_gone_has_failed(
    loaded, code, words, timeout, message, figures
):
    child = child_of(loaded, code)
    child.heard = time.monotonic() - 3
    isolation._gone(loaded, child, words, timeout)
    (result,) = loaded.results.values()
    # Between two checks it is the next.
    assert (result.rule.code, result.status) == (code or "TD501", "fail")
    assert (result.message, result.figures) == (message, figures)
    assert 3 <= result.seconds < 60
    assert not loaded.is_alone


def test_a_process_that_is_gone_when_nothing_may_begin_leaves_the_rest_to_one(loaded):
    loaded.results = {code: result_of(code) for code in CODES}
    isolation._gone(loaded, child_of(loaded), "ended so")
    assert loaded.is_alone
    assert len(loaded.results) == 5


@pytest.mark.parametrize(
    ("words", "timeout", "got"),
    [("ended so", None, "ended so"), (None, 5.0, "no end within 5 s")],
)
def test_a_process_that_is_gone_before_it_has_loaded(case, words, timeout, got):
    isolation._gone(case, child_of(case, is_loaded=False), words, timeout)
    assert case.unable == f"Expected TARGET 'a:A' to load, got: {got}"


@pytest.mark.parametrize(
    ("code", "is_loaded", "ago", "timeout", "is_late"),
    [
        ("TD502", True, 7.9, 5.0, True),
        ("TD502", True, 6.0, 5.0, False),  # it has two seconds to stop by itself
        ("TD502", True, 800.0, None, False),
        (None, True, 800.0, 5.0, False),  # it waits
        (None, False, 7.9, 5.0, True),
    ],
)
def test_a_process_may_be_late_while_it_does_something(
    loaded, code, is_loaded, ago, timeout, is_late
):
    child = child_of(loaded, code, is_loaded=is_loaded)
    child.heard = time.monotonic() - ago
    isolation._listen(loaded, child, False, timeout)
    assert (child not in loaded.children) is is_late
    child.results.recv.assert_not_called()


def test_all_that_a_process_has_sent_is_heard(loaded):
    child = child_of(loaded, "TD502")
    child.results.poll.side_effect = [True, True, False]
    child.results.recv.side_effect = [
        ("ended", result_of("TD502"), frozenset()), ("ended", result_of("TD511"), frozenset())
    ]  # fmt: skip
    isolation._listen(loaded, child, True, None)
    assert list(loaded.results) == ["TD502", "TD511"]
    child.results.poll.side_effect = EOFError
    child.heard = time.monotonic() - 800  # it is gone, and not late as well
    isolation._listen(loaded, child, True, 5.0)
    assert loaded.results["TD501"].message == "ended so"
    assert loaded.children == []
    # From one that is gone nothing more is received: its pipe is closed.
    other = child_of(loaded, "TD551")
    other.results.recv.side_effect = [("stopped",)]
    isolation._listen(loaded, other, True, None)
    assert loaded.results["TD551"].message == "raised KeyboardInterrupt"
    assert other.results.poll.call_count == 1
    assert len(loaded.results) == 4


@pytest.mark.parametrize(
    ("interrupted", "unable", "is_partial"),
    [(False, (), False), (True, (), True), (False, ("why",), True)],
)
def test_an_outcome_is_partial_where_a_report_is_missing(interrupted, unable, is_partial):
    assert isolation.RunOutcome((), unable, interrupted).is_partial is is_partial


@pytest.mark.parametrize(
    ("fork", "can", "platform", "is_apart"),
    [
        (None, True, "linux", True),
        (None, False, "linux", False),
        (True, False, "linux", True),
        (False, True, "linux", False),
        (True, True, "win32", False),
    ],
)
@pytest.mark.parametrize("limited", [True, False])
def test_where_targets_are_verified(monkeypatch, fork, can, platform, is_apart, limited):
    calls = []
    monkeypatch.setattr(isolation, "can_fork", lambda: can)
    monkeypatch.setattr(isolation, "can_limit", lambda: limited)
    monkeypatch.setattr(isolation.sys, "platform", platform)
    monkeypatch.setattr(isolation, "_run_apart", lambda *args: calls.append(("apart", *args)))
    monkeypatch.setattr(isolation, "_run_here", lambda *args: calls.append(("here", *args)))
    isolation.verify_targets(["a"], {}, "watch", timeout=5.0, fork=fork)
    here = ("here", ["a"], {}, "watch", 5.0 if limited else None)
    assert calls == [("apart", ["a"], {}, "watch", 5.0, 1) if is_apart else here]


@pytest.mark.parametrize(("status", "can"), [(0, True), (256, False), (9, False)])
def test_a_process_is_forked_to_see_whether_it_can_be_used(monkeypatch, status, can):
    monkeypatch.setattr(isolation, "_fork", lambda: 7)
    monkeypatch.setattr(isolation.os, "waitpid", lambda pid, flags: (pid, status))
    assert isolation.can_fork() is can
    monkeypatch.setattr(isolation, "_fork", lambda: 0)
    monkeypatch.setattr(isolation.os, "_exit", sys.exit)
    if not can:  # as autograd does then
        monkeypatch.setattr(torch.Tensor, "square", lambda x: 1 / 0)
    with pytest.raises(SystemExit) as caught:
        isolation.can_fork()
    assert caught.value.code == (not can)


def test_only_linux_forks(monkeypatch):
    monkeypatch.setattr(isolation.sys, "platform", "darwin")
    monkeypatch.setattr(isolation, "_fork", lambda: pytest.fail("forked"))
    assert isolation.can_fork() is False


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (lambda: os._exit(7), "the process ended with exit code 7"),
        (lambda: os._exit(0), "the process ended with exit code 0"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "the process ended with SIGKILL"),
    ],
)
def test_how_a_process_has_ended(end, words):
    pid = isolation._fork()
    if pid == 0:
        end()
    try:
        assert isolation._last_words(isolation._Child(pid, None, None, 0.0)) == words
    finally:
        os.waitpid(pid, 0)


def test_a_process_that_has_closed_its_pipe_and_goes_on(monkeypatch):
    monkeypatch.setattr(isolation, "_MOST_LEAVING", 0.02)
    pid = isolation._fork()
    if pid == 0:
        time.sleep(3600)
        os._exit(0)
    try:
        said = isolation._last_words(isolation._Child(pid, None, None, 0.0))
        assert said.startswith("the process closed, or wrote into, a pipe")
        assert pid in isolation._descendants()
        assert os.getpid() not in isolation._descendants()
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_a_process_reports_until_nobody_reads_and_only_itself(monkeypatch):
    results, orders, stderr = mock.Mock(), mock.Mock(), mock.Mock()
    monkeypatch.setattr(isolation.sys, "stderr", stderr)
    monkeypatch.setattr(isolation.os, "_exit", lambda status: sys.exit(status))
    pipes = isolation._Pipes(results, orders)
    stderr.flush.side_effect = ValueError  # the target has closed it
    pipes.send("ended", 1)
    stderr.flush.assert_called_once_with()
    results.send.assert_called_once_with(("ended", 1))
    assert pipes.receive() is orders.recv()
    results.send.side_effect = BrokenPipeError
    orders.recv.side_effect = EOFError
    with pytest.raises(SystemExit, match="1"):
        pipes.send("ended", 2)
    with pytest.raises(SystemExit, match="0"):
        pipes.receive()
    monkeypatch.setattr(isolation.os, "getpid", lambda: -1)
    with pytest.raises(SystemExit, match="0"):
        pipes.send("ended", 3)
    assert results.send.call_count == 2


OPTIONS = {"level": "quick", "seed": 3, "select": (), "ignore": ()}


@pytest.fixture
def served():
    """What a process says of a target, and what it answers to a prompt; in this process."""
    kept, threads = os.dup(0), torch.get_num_threads()
    read, write = os.pipe()
    os.write(write, b"yes")

    def serve(target, *orders):
        pipes = mock.Mock()
        pipes.receive.side_effect = orders
        isolation._serve(pipes, target, OPTIONS, None, 3)
        assert torch.get_num_threads() == 3
        return [call.args for call in pipes.send.call_args_list], os.read(0, 1)

    try:
        os.dup2(read, 0)
        yield serve
    finally:
        os.dup2(kept, 0)
        torch.set_num_threads(threads)
        for descriptor in (kept, read, write):
            os.close(descriptor)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (TargetError("no such file"), ("unable", "no such file")),
        (ArgumentTypeError("no spec"), ("unable", "no spec")),
        (ArgumentValueError("no kind"), ("unable", "no kind")),
        (KeyboardInterrupt(), ("stopped",)),
        (
            SystemExit(3),
            ("unable", "TARGET 'a.py:A' raised outside of a check: SystemExit: 3"),
        ),
    ],
)
def test_what_ends_a_process_is_said_and_a_prompt_has_no_answer(served, monkeypatch, error, said):
    monkeypatch.setattr(isolation, "resolve", mock.Mock(side_effect=error))
    assert served("a.py:A") == ([said], b"")
    isolation.resolve.assert_called_once_with("a.py:A")


def test_a_process_carries_out_orders(served):
    code = next(code for code, rule in RULES.items() if rule.name == "p-zero-identity")
    order = (code, frozenset(), frozenset({0.25}))
    said, _ = served("torch.nn:Dropout", order, KeyboardInterrupt)
    (_, heading, waits), (_, result, rates), _ = said
    assert [kind for kind, *_ in said] == ["understood", "ended", "stopped"]
    assert (heading.level, heading.seed) == ("quick", 3)
    assert code in waits
    assert (result.rule.code, result.status, rates) == (code, "ok", {0.25})


def test_a_process_whose_parent_is_gone_already_is_signalled(monkeypatch):
    kill = mock.Mock()
    monkeypatch.setattr(isolation.ctypes, "CDLL", mock.Mock())
    monkeypatch.setattr(isolation.os, "kill", kill)
    isolation._die_with(os.getppid(), signal.SIGTERM)
    kill.assert_not_called()
    isolation._die_with(-1, signal.SIGTERM)
    kill.assert_called_once_with(os.getpid(), signal.SIGTERM)


def test_a_fork_repeats_no_output_and_does_not_warn(monkeypatch):
    done = []

    def fork():
        done.append("fork")
        warnings.warn("other threads", DeprecationWarning, stacklevel=1)
        return 7

    for name in ("stdout", "stderr"):
        flushed = mock.Mock(flush=lambda name=name: done.append(name))
        monkeypatch.setattr(isolation.sys, name, flushed)
    monkeypatch.setattr(isolation.os, "fork", fork)
    assert isolation._fork() == 7
    assert done == ["stdout", "stderr", "fork"]


class Hours:
    """The module `time`, which says these times in turn, and sleeps for short times only."""

    def __init__(self, monkeypatch, times):
        self.naps, self._times = 0, iter(times)
        monkeypatch.setattr(isolation, "time", self)

    def monotonic(self):
        return next(self._times)

    def sleep(self, seconds):
        assert 0 < seconds < 0.1
        self.naps += 1


def test_a_process_that_closes_its_pipe_is_waited_for(monkeypatch):
    end = mock.Mock(si_code=os.CLD_EXITED, si_status=3)
    ends = iter([None, None, end, None, None])
    monkeypatch.setattr(isolation.os, "waitid", lambda *_: next(ends))
    monkeypatch.setattr(isolation, "_MOST_LEAVING", 10)
    clock = Hours(monkeypatch, [0, 1, 2, 3, 100, 101, 109, 110])
    child = isolation._Child(7, None, None, 0.0)
    assert isolation._last_words(child) == "the process ended with exit code 3"
    assert isolation._last_words(child).startswith("the process closed")
    assert clock.naps == 4


def test_a_guard_ends_what_it_finds_until_nothing_is_left_or_its_time_is_up(monkeypatch):
    living = iter([[5, 6], [6], [6], [7], [7]])
    ended = iter([(5, 9), (6, 3), (0, 0), (0, 0), ChildProcessError, (0, 0), (0, 0)])
    told = []

    def kill(pid, number):
        told.append((pid, number))
        if pid == 6:
            raise PermissionError

    def wait(pid, flag):
        assert (pid, flag) == (-1, os.WNOHANG)
        found = next(ended)
        if found is ChildProcessError:
            raise found
        return found

    monkeypatch.setattr(isolation, "_descendants", lambda: next(living))
    monkeypatch.setattr(isolation.os, "kill", kill)
    monkeypatch.setattr(isolation.os, "waitpid", wait)
    late = isolation._MOST_CLEARING
    clock = Hours(monkeypatch, [0, 1, 2, 3, 0, 1, late - 1, late])
    assert isolation._end_children() == {5: 9, 6: 3}
    both = [(pid, n) for n in (signal.SIGSTOP, signal.SIGKILL) for pid in (5, 6)]
    assert told == [*both, *both[1::2], *both[1::2]]
    assert clock.naps == 2
    assert isolation._end_children() == {}
    assert clock.naps == 4


def test_processes_are_ended_together_and_killed_where_their_guard_does_not(monkeypatch):
    case, told, waited = isolation._Case("a:A"), [], []

    def wait(pid, flag):
        assert flag == os.WNOHANG
        assert told[:2] == [(1, signal.SIGTERM), (2, signal.SIGTERM)]
        waited.append(pid)
        return (pid, 0) if pid == 1 or (2, signal.SIGKILL) in told else (0, 0)

    # A guard may take that long itself.
    clock = Hours(monkeypatch, [isolation._MOST_CLEARING * n for n in (0, 1.5, 1.9, 2.5)])
    monkeypatch.setattr(isolation.os, "kill", lambda *given: told.append(given))
    monkeypatch.setattr(isolation.os, "waitpid", wait)
    children = [isolation._Child(pid, mock.Mock(), mock.Mock(), 0.0) for pid in (1, 2, 3)]
    case.children += children
    isolation._end(case, *children[:2])
    assert case.children == children[2:]
    assert told[2:] == [(2, signal.SIGKILL)]
    assert waited == [1, 2, 2, 2, 2]
    assert clock.naps == 3
    for child in children:
        is_closed = [pipe.close.called for pipe in (child.results, child.orders)]
        assert is_closed == [child.pid != 3] * 2


@pytest.mark.parametrize(
    ("threads", "jobs", "each"), [(6, 3, 2), (7, 3, 2), (1, 3, 1), (3, 3, 1), (5, 1, 5)]
)
def test_the_threads_of_a_process(monkeypatch, threads, jobs, each):
    seen = []

    def start(case, running, options, timeout, threads):
        seen.append((case.target, options, timeout, threads))
        raise KeyboardInterrupt

    monkeypatch.setattr(isolation, "_start", start)
    monkeypatch.setattr(isolation.torch, "get_num_threads", lambda: threads)
    outcome = isolation._run_apart(["a", "b"], {"seed": 0}, Watch(), 5.0, jobs)
    assert 0 < isolation._TICK <= 0.5  # the bars move on
    assert seen == [("a", {"seed": 0}, 5.0, each)]
    assert (outcome.reports, outcome.unable, outcome.interrupted) == ((), (), True)


@pytest.mark.parametrize(
    ("jobs", "targets", "ready", "started"),
    [
        (5, "ab", {"a": 12, "b": 12}, "abaab"),  # three can share twelve checks
        (5, "a", {"a": 40}, "aaaaa"),
        (1, "ab", {"a": 40}, "a"),
        (2, "abc", {"a": 40, "b": 40}, "ab"),
        (2, "abc", {"a": 40, "b": None}, "abc"),  # b is over, and c needs its process
        (3, "abc", {"a": 40, "b": None}, "abca"),
    ],
)
def test_processes_are_started_while_there_are_jobs(
    monkeypatch, case, jobs, targets, ready, started
):
    starts, watch, cases, waits = [], Watch(), {}, []

    def start(case, running, options, timeout, threads):
        cases[case.target] = case
        starts.append(case.target)
        child_of(case)

    def wait(connections, seconds):
        waits.append(len(connections))
        if len(waits) == 2:
            raise KeyboardInterrupt
        for target, count in ready.items():
            cases[target].heading = count and r.target()
            cases[target].waits = {code: frozenset() for code in list(RULES)[: count or 0]}
            cases[target].unable = "" if count else "why"
        return []

    monkeypatch.setattr(isolation, "_start", start)
    monkeypatch.setattr(isolation, "wait", wait)
    monkeypatch.setattr(isolation, "_tell", lambda *_: None)
    isolation._run_apart(list(targets), {}, watch, None, jobs)
    over = [target for target, count in ready.items() if count is None]
    assert "".join(starts) == started
    assert watch.loading == list(dict.fromkeys(started))
    assert watch.ended == over
    assert waits == [min(jobs, len(targets)), len(started) - len(over)]
    assert all(0 <= time.monotonic() - case.began < 60 for case in cases.values())
    assert not any(case.children for case in cases.values())


def test_what_is_printed_goes_to_stderr_and_stdout_is_as_before(capfd, monkeypatch):
    stdout = open(1, "w", closefd=False)  # noqa: SIM115
    monkeypatch.setattr(sys, "stdout", stdout)
    print("before")  # in the buffer
    descriptors = os.listdir("/proc/self/fd")  # noqa: PTH208
    with isolation.stdout_to_stderr():
        stdout.flush()  # as a target may
        print("from Python")
        os.write(1, b"from native code\n")
    assert sys.stdout is stdout
    stdout.flush()
    assert os.listdir("/proc/self/fd") == descriptors  # noqa: PTH208
    os.write(1, b"afterwards\n")
    out, err = capfd.readouterr()
    assert (out, err) == ("before\nafterwards\n", "from Python\nfrom native code\n")
