import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import pytest
from click.shell_completion import BashComplete

import started
import torchdropout
from torchdropout import cli
from torchdropout.cli import verify
from torchdropout.cli._apart import apart
from torchdropout.errors import TargetError
from torchdropout.verify import isolation
from torchdropout.verify.comparison import Comparison, Row
from torchdropout.verify.registry import RULES
from torchdropout.verify.results import CheckResult, Report, TargetReport
from torchdropout.verify.runner import codes_of
from torchdropout.verify.specs import PLAIN

SOURCE = str(Path(torchdropout.__file__).parents[1])
ZEROS = next(rule for rule in RULES.values() if rule.name == "p-one-zeros")
NAMED = next(rule for rule in RULES.values() if rule.name == "wrong-p-named")

# A wrong shape ends the run at once: a real run of the real runner that takes no time.
BAD = """
    import os
    print("loading")

    def good_at_nothing(x, p, training):
        print("it is called")
        os.write(1, b"from below\\n")
        return x[:1]
"""


@pytest.fixture
def bad(tmp_path):
    path = tmp_path / "bad.py"
    path.write_text(textwrap.dedent(BAD))
    return f"{path}:good_at_nothing"


def report(target="a:b", *statuses, interrupted=False):
    rules = {"ok": ZEROS, "error": ZEROS, "advice": NAMED}
    checks = tuple(
        CheckResult(rules[status], "ok" if status == "ok" else "fail", "seen")
        for status in statuses
    )
    return Report((TargetReport(target, "d", "quick", 0, 1e-6, checks, 1.0, interrupted),))


@pytest.fixture
def stubbed(monkeypatch):
    """Replaces the runner by a table from target to statuses, an exception, or a cut-off run."""
    calls = []

    def stub(table):
        def check_dropout(target, **options):
            calls.append((target, options))
            outcome = table[target]
            if isinstance(outcome, BaseException):
                raise outcome
            if "cut" in outcome:
                return report(target, *outcome[:-1], interrupted=True)
            return report(target, *outcome)

        monkeypatch.setattr(isolation, "check_dropout", check_dropout)
        return calls

    return stub


def cuts(outcome):
    return isinstance(outcome, KeyboardInterrupt) or (type(outcome) is tuple and "cut" in outcome)


GOOD, FAULTY, ADVISED = ("ok",), ("ok", "error", "advice"), ("ok", "advice")
UNABLE = TargetError("Expected TARGET 'x:y' to be there, got nothing")

# statuses of the targets, options, exit code
EXITS = [
    ([GOOD], [], 0),
    ([GOOD], ["--strict"], 0),
    ([ADVISED], [], 0),
    ([ADVISED], ["--strict"], 1),
    ([FAULTY], [], 1),
    ([GOOD, FAULTY], [], 1),
    ([FAULTY, GOOD], ["--strict"], 1),
    ([UNABLE], [], 2),
    ([UNABLE, GOOD], [], 2),
    ([FAULTY, UNABLE], [], 2),
    ([KeyboardInterrupt()], [], 130),
    ([("ok", "cut"), GOOD], [], 130),
    ([UNABLE, ("error", "cut")], [], 130),
]


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize(("outcomes", "options", "code"), EXITS)
def test_exit_code_and_what_is_printed(stubbed, capsys, form, outcomes, options, code):
    table = {f"m:T{i}": outcome for i, outcome in enumerate(outcomes)}
    calls = stubbed(table)
    assert cli.run(["verify", *table, "--format", form, *options]) == code
    out, err = capsys.readouterr()
    ran = [t for t, outcome in table.items() if not isinstance(outcome, BaseException)]
    if code == 130:
        last = next(t for t, o in table.items() if cuts(o))
        assert calls[-1][0] == last  # the others are not started
        ran = [t for t in ran if t <= last]
    if form == "json":
        assert [t["target"] for t in json.loads(out)["targets"]] == ran
    else:
        assert [t for t in table if t in out] == ran
        interrupted = re.findall(r"^interrupted after \d+ checks? and .* no verdict\.$", out, re.M)
        assert len(interrupted) == sum(type(table[t]) is tuple and "cut" in table[t] for t in ran)
    unable = any(outcome is UNABLE for outcome in outcomes)
    assert err == (f"torchdropout: {UNABLE}\n" if unable else "")


HOW = {
    "level": "standard", "seed": 0, "select": (), "ignore": (), "spec": None, "compile": False,
    "checkpoint": False, "device": None, "p_name": None, "keep_prob": None, "training_name": None,
}  # fmt: skip

# Options, and what they change in `HOW` and in how the run is done.
PLAIN_RUN = {"timeout": 120.0, "jobs": 2, "fork": False}
REACHES = [
    ([], {}, {}),
    (["--level", "quick", "--seed", "5"], {"level": "quick", "seed": 5}, {}),
    (["--p-name", "q", "--training-name", "live"], {"p_name": "q", "training_name": "live"}, {}),
    (["--keep-prob", "k"], {"keep_prob": "k"}, {}),
    (["--select", "rate,TD51", "--select", "mode"], {"select": ("rate,TD51", "mode")}, {}),
    (["--ignore", "layout"], {"ignore": ("layout",)}, {}),
    (["--spec", "plain:quantised=256"], {"spec": "plain:quantised=256"}, {}),
    (["--compile", "--checkpoint"], {"compile": True, "checkpoint": True}, {}),
    (["--device", "cuda", "a:b"], {"device": "cuda"}, {}),  # a target is verified once
    (["--level", "thorough"], {"level": "thorough"}, {"timeout": 900.0}),
    (["--level", "thorough", "--timeout", "2.5"], {"level": "thorough"}, {"timeout": 2.5}),
    (["--timeout", "0", "--jobs", "3"], {}, {"timeout": None, "jobs": 3}),
]


@pytest.fixture
def asked(monkeypatch):
    """Replaces the verifier, and records how it was called."""
    calls = []

    def record(targets, how, watch, **more):
        calls.append((targets, how, more))
        return isolation.RunOutcome(report("a:b", "ok").targets, (), False)

    monkeypatch.setattr(verify, "verify_targets", record)
    return calls


@pytest.mark.parametrize(("options", "changed", "run"), REACHES)
def test_options_reach_the_runner(asked, options, changed, run):
    assert cli.run(["verify", "a:b", *options]) == 0
    assert asked == [(("a:b",), HOW | changed, PLAIN_RUN | run)]


def test_a_kind_is_named_before_the_run(asked, capsys):
    for kind, words in (
        ("chanels", "close to it: channels; channels is dropout1d, dropout2d or dropout3d"),
        ("drop-pth", "close to it: drop-path"),
        ("qqqqqq", "the kinds are plain, "),
    ):
        for command in (["verify", "a:b"], ["compare", "a:b", "c:d"]):
            assert cli.run([*command, "--spec", kind]) == 2
            err = capsys.readouterr().err
            assert f"got {kind!r}; {words}" in err
            assert len(err.splitlines()) == 4
    assert asked == []


EXPLAINED = "`torchdropout explain p-one-zeros` says why it matters"


@pytest.mark.parametrize(
    ("options", "first", "last"),
    [
        ([], "a:b", EXPLAINED),
        (["-v"], "a:b", EXPLAINED),
        (["-q"], "  FAIL    p-one-zeros    seen", "a:b: 1 error, 1 advice in 1.0 s: not a correct"),
    ],
)
def test_quiet_and_verbose(stubbed, capsys, tmp_path, options, first, last):
    stubbed({"a:b": FAULTY})
    assert cli.run(["verify", "a:b", *options]) == 1
    out, err = capsys.readouterr()
    first_line, *_, last_line = out.splitlines()
    assert (first_line, err) == (first, "")
    assert last_line.startswith(last)
    assert ("ok      p-one-zeros" in out) is (options == ["-v"])
    path = tmp_path / "report"
    assert cli.run(["verify", "a:b", "-o", str(path), *options]) == 1
    assert path.read_text() == out
    assert bool(capsys.readouterr().err) is (options != ["-q"])


@pytest.mark.parametrize("name", ["verify", "compare", "audit", "audit-model"])
def test_commands_that_report_have_the_same_flags(name):
    command = cli.main.get_command(None, name)
    flags = {flag for option in command.params for flag in option.opts}
    common = {"--output", "-o", "--quiet", "-q", "--verbose", "-v", "--exit-zero", "--format"}
    assert common <= flags


@pytest.mark.parametrize("name", ["verify a:b", "compare a:b c:d", "audit", "audit-model a:b"])
def test_quiet_and_verbose_exclude_each_other(asked, capsys, name):
    assert cli.run([*name.split(), "-q", "-v"]) == 2
    assert "Expected --quiet or --verbose, not both" in capsys.readouterr().err
    assert asked == []


def test_exit_zero_is_for_what_is_found_only(stubbed, capsys):
    stubbed({"a:b": FAULTY, "a:c": ADVISED, "x:y": UNABLE, "c:d": ("ok", "cut")})
    assert cli.run(["verify", "a:b", "--exit-zero"]) == 0
    assert "not a correct dropout" in capsys.readouterr().out
    assert cli.run(["verify", "a:c", "--strict", "--exit-zero"]) == 0
    assert cli.run(["verify", "x:y", "--exit-zero"]) == 2
    assert cli.run(["verify", "c:d", "--exit-zero"]) == 130


COMMANDS = [cli.main.get_command(None, name) for name in cli.main.list_commands(None)]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_and_option_is_explained(command):
    assert command.help
    for option in command.params:
        if option.param_type_name == "option":
            assert option.help, option.name
            has_default = isinstance(option.default, (int, str)) and option.default is not False
            is_shown = has_default and option.default != "<stdin>"
            assert bool(option.show_default) == is_shown, option.name


# Settings


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Writes `[tool.torchdropout]` into the `pyproject.toml` of the current folder."""
    monkeypatch.chdir(tmp_path)

    def write(text):
        Path("pyproject.toml").write_text(f"[tool.torchdropout]\n{textwrap.dedent(text)}")

    return write


ALL_SET = """
    targets = ["m:A", "m:B"]
    level = "quick"
    seed = 7
    select = ["rate", "mode"]
    ignore = ["TD521"]
    strict = true
    timeout = 5
    jobs = 3
    format = "json"
"""


def test_settings_are_what_the_command_line_leaves_open(settings, asked, capsys):
    settings(ALL_SET)
    assert cli.run(["verify"]) == 0
    set_here = {"level": "quick", "seed": 7, "select": ("rate", "mode"), "ignore": ("TD521",)}
    assert asked == [(("m:A", "m:B"), HOW | set_here, PLAIN_RUN | {"timeout": 5.0, "jobs": 3})]
    assert json.loads(capsys.readouterr().out)["schema"] == 1


def test_the_command_line_takes_precedence_over_the_settings(settings, asked, capsys):
    settings(ALL_SET)
    options = "--level=standard --seed=1 --select=edges --ignore=TD555 --timeout=0 --jobs=1"
    assert cli.run(["verify", "a:b", *options.split(), "--format=text"]) == 0
    set_here = {"seed": 1, "select": ("edges",), "ignore": ("TD555",)}
    assert asked == [(("a:b",), HOW | set_here, PLAIN_RUN | {"timeout": None, "jobs": 1})]
    assert capsys.readouterr().out.startswith("a:b\n")


def test_strict_is_set_and_unset(settings, stubbed):
    settings("strict = true")
    stubbed({"a:b": ADVISED})
    for options, code in ([], 1), (["--no-strict"], 0), (["--no-config"], 0):
        assert cli.run(["verify", "a:b", *options]) == code


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sede = 1", ["pyproject.toml", "'sede'", "close to it: seed"]),
        ("seed = 'x'", ["pyproject.toml", "`seed`", "an integer"]),
        ("seed = " + "[" * 100_000, ["to be TOML, got brackets nested too deep\n"]),
    ],
    ids=["misspelt", "no integer", "brackets"],
)
def test_wrong_settings_end_the_run_before_it_begins(settings, asked, capsys, text, words):
    settings(text)
    assert cli.run(["verify", "a:b"]) == 2
    out, err = capsys.readouterr()
    assert (out, asked) == ("", [])
    for word in words:
        assert word in err


# Files


@pytest.mark.parametrize("form", ["text", "json", "junit", "html", "github"])
def test_the_report_goes_to_its_file_and_the_verdict_to_stderr(stubbed, tmp_path, capsys, form):
    stubbed({"a:b": FAULTY})
    assert cli.run(["verify", "a:b", "--format", form]) == 1
    printed, _ = capsys.readouterr()
    path = tmp_path / "report"
    assert cli.run(["verify", "a:b", "--format", form, "--output", str(path)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    said = "1 error, 1 advice in 1.0 s: not a correct dropout"
    assert err == f"torchdropout: {said}; see {path}\n"
    assert path.read_text().strip() == printed.strip()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("table", "code", "why"),
    [
        ({"a:b": GOOD, "x:y": UNABLE}, 2, "a target could not be run"),
        ({"a:b": GOOD, "x:y": KeyboardInterrupt()}, 130, "the run was interrupted"),
        ({"a:b": ("ok", "cut"), "x:y": GOOD}, 130, "the run was interrupted"),
    ],
)
def test_a_run_that_fails_leaves_the_old_file(stubbed, tmp_path, capsys, table, code, why):
    stubbed(table)
    path = tmp_path / "report.json"
    path.write_text("old")
    assert cli.run(["verify", *table, "--format=json", "--output", str(path)]) == code
    out, err = capsys.readouterr()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    assert f"{path} is unchanged: {why}" in err
    assert json.loads(out)["targets"][0]["target"] == "a:b"  # the results so far are not lost


def test_a_file_that_cannot_be_written_is_reported_before_the_run(asked, tmp_path, capsys):
    for path, got in ((tmp_path / "no" / "report", "no folder"), (tmp_path, "a folder")):
        assert cli.run(["verify", "a:b", "--output", str(path)]) == 2
        assert got in capsys.readouterr().err
    assert asked == []


def test_a_disk_that_is_full_does_not_lose_the_report(stubbed, tmp_path, capsys, monkeypatch):
    full = mock.Mock(side_effect=OSError(28, "No space left on device"))
    stubbed({"a:b": GOOD})
    path = tmp_path / "report"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    assert cli.run(["verify", "a:b", "--output", str(path)]) == 2
    out, err = capsys.readouterr()
    assert "the 1 check ok" in out
    assert f"{path} is unchanged: No space left on device" in err
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_baseline_accepts_what_is_known(stubbed, tmp_path, capsys):
    path = str(tmp_path / "known.json")
    stubbed({"a:b": ("error", "advice"), "a:c": ("error",)})
    assert cli.run(["verify", "a:b", "--format=json", "--output", path]) == 1
    assert cli.run(["verify", "a:b", "--baseline", path]) == 0
    assert cli.run(["verify", "a:b", "--baseline", path, "--strict"]) == 0
    capsys.readouterr()
    assert cli.run(["verify", "a:b", "a:c", "--baseline", path]) == 1
    out, err = capsys.readouterr()
    assert re.search(r" known +p-one-zeros", out, re.M)
    assert re.search(r" FAIL +p-one-zeros", out, re.M)
    assert err == ""
    stubbed({"a:b": GOOD})
    assert cli.run(["verify", "a:b", "--baseline", path]) == 0
    assert capsys.readouterr().err == "torchdropout: a:b: TD552 p-one-zeros is fixed\n"


# Comparing


COMPARED = [(True, True, 0), (False, True, 1), (False, False, 130)]


@pytest.mark.parametrize(("same", "complete", "code"), COMPARED)
def test_a_comparison_and_its_exit_code(monkeypatch, capsys, tmp_path, same, complete, code):
    asked = []

    def compare(a, b, **options):
        options["progress"](0, 1, ZEROS)
        print("the target speaks")
        asked.append((a, b, options))
        rows = () if same else (Row("policy", "p = 1", "zeros", "NaN", True, "error"),)
        one, other = (report(name, "ok").targets[0] for name in (a, b))
        return Comparison(one, other, rows, 1e-6, 1.0, complete)

    monkeypatch.setattr(verify, "compare_dropouts", compare)
    options = ["--level=quick", "--seed=3", "--spec=alpha", "--timeout=9"]
    assert cli.run(["compare", "m:A", "m:B", *options]) == code
    ((a, b, given),) = asked
    assert (a, b) == ("m:A", "m:B")
    assert given.pop("progress")
    assert given == {"level": "quick", "seed": 3, "spec": "alpha", "timeout": 9.0}
    out, err = capsys.readouterr()
    assert "m:A" in out
    assert "m:B" in out
    assert err == "the target speaks\n"
    assert cli.run(["compare", "m:A", "m:B", "--format=json"]) == code
    assert json.loads(capsys.readouterr().out)["same"] is same
    assert cli.run(["compare", "m:A", "m:B", "--exit-zero"]) == (0 if code == 1 else code)
    capsys.readouterr()
    assert cli.run(["compare", "m:A", "m:B", "-q"]) == code
    (verdict,) = capsys.readouterr().out.splitlines()
    path = tmp_path / "report"
    assert cli.run(["compare", "m:A", "m:B", "-o", str(path)]) == code
    out, err = capsys.readouterr()
    if complete:
        assert (out, err) == ("", f"the target speaks\ntorchdropout: {verdict[:-1]}; see {path}\n")
        assert path.read_text().endswith(f"{verdict}\n")
    else:
        assert f"{path} is unchanged: the run was interrupted" in err
        assert not path.exists()
    assert cli.run(["compare", "m:A", "m:B", "-o", str(tmp_path)]) == 2


# arguments, words on stderr
MISUSED = [
    (["verify"], ["TARGET"]),
    (["verify", "a:b", "--level", "slow"], ["--level", "'slow'", "quick", "thorough"]),
    (["verify", "a:b", "--seed", "x"], ["--seed", "'x'", "integer"]),
    (["verify", "a:b", "--format", "xml"], ["--format", "'xml'", "junit"]),
    (["verify", "a:b", "--p-name", "q", "--keep-prob", "k"], ["not both", "--p-name q", "k"]),
    (["explain", "p-one-zero"], ["Expected `NAME`", "'p-one-zero' (str)", "p-one-zeros"]),
    (["explain", "TD999"], ["Expected `NAME`", "'TD999' (str)", "close to it: TD"]),
    (["explain", "td999"], ["Expected `NAME`", "'td999' (str)", "close to it: TD"]),
    (["verify", "a:b", "--select", "TD999"], ["'TD999' (str)", "close to it: TD"]),
    (["explain", "qqq"], ["Expected `NAME`", "'qqq' (str)", "`torchdropout checks` and "]),
    (["verfy"], ["verfy"]),
    (["verify", "a:b", "--timeout", "-1"], ["--timeout", "-1"]),
    (["verify", "a:b", "--jobs", "0"], ["--jobs", "0"]),
    (["verify", "a:b", "--select", "drop-rat"], ["`select`", "'drop-rat' (str)", "drop-rate"]),
    (["verify", "a:b", "--ignore", "TD"], ["leave a check to run", "'TD'"]),
    (["verify", "a:b", "--baseline", "/no/file"], ["`baseline`", "/no/file", "No such file"]),
    (["compare", "a:b"], ["B"]),
]


@pytest.mark.parametrize(("arguments", "words"), MISUSED)
def test_misuse_is_reported_on_stderr(arguments, words, capsys):
    assert cli.run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    for word in words:
        assert word in err


def test_missing_targets_are_reported_in_one_line_each(tmp_path, capsys):
    targets = [f"{tmp_path}/no.py:Drop", "nowhere:Drop", "torch.nn.Dropout"]
    assert cli.run(["verify", *targets, "--format", "json"]) == 2
    out, err = capsys.readouterr()
    assert json.loads(out) == {"schema": 1, "targets": []}
    lines = err.splitlines()
    assert len(lines) == len(targets)
    for line, target in zip(lines, targets, strict=True):
        assert line.startswith("torchdropout: Expected TARGET")
        assert repr(target) in line


@pytest.mark.parametrize(("command", "targets"), [("verify", 1), ("compare", 2)])
def test_what_a_target_prints_stays_out_of_the_json(bad, capfd, command, targets):
    code = cli.run([command, *[bad] * targets, "--level=quick", "--format=json"])
    out, err = capfd.readouterr()
    found = json.loads(out)
    if command == "verify":
        assert (code, found["targets"][0]["passed"]) == (1, False)
    else:
        assert code in (0, 1)
        assert found["a"] == found["b"]
        assert found["a"]["findings"][0] == "output-shape"
    for line in ("loading", "it is called", "from below"):
        assert line in err


# In a process of its own: exit codes, pipes, signals, terminals, missing packages.


def start(*arguments):
    path = os.pathsep.join(filter(None, (SOURCE, os.environ.get("PYTHONPATH"))))
    return started.start(
        [sys.executable, "-m", "torchdropout", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip


@pytest.fixture(autouse=True)
def no_process_is_left():
    yield
    started.end_all()


def finish(process):
    out, err = process.communicate()
    return process.returncode, out, err


def test_selected_checks_that_pass_are_no_verdict(capfd):
    """A dropout with half the rate passes the checks of its modes."""
    of = len(codes_of(None, PLAIN))
    chosen = sum(rule.group == "mode" for rule in RULES.values())
    options = ["--level=quick", "--select=mode"]
    for form, words in (
        ("text", f"no verdict: {chosen} of {of} checks"),
        ("html", f"select mode, {chosen} of {of} checks"),
        ("json", '"verdict": "none"'),
    ):
        assert cli.run(["verify", "torch.nn:Dropout", *options, f"--format={form}"]) == 0
        out, _ = capfd.readouterr()
        assert words in out
        assert "a correct dropout" not in out.lower()


def test_a_class_in_a_file_has_its_place(tmp_path, capfd):
    path = tmp_path / "drops.py"
    path.write_text("import torch\n\n\nclass Drop(torch.nn.Dropout):\n    pass\n")
    options = ["--level=quick", "--select=output-shape"]
    assert cli.run(["verify", f"{path}:Drop", *options, "--format=json"]) == 0
    (one,) = json.loads(capfd.readouterr().out)["targets"]
    assert (one["file"], one["line"]) == (str(path), 4)
    assert cli.run(["verify", f"{path}:Drop", *options, "--format=github"]) == 0
    assert f"::notice file={path},line=4," in capfd.readouterr().out


CUT = "def drop(x, p, training):\n    return x[:1]\n"
WHOLE = "def drop(x, p, training):\n    return x\n"


@pytest.mark.integration
def test_watch_verifies_again_when_the_file_changes(tmp_path):
    path = tmp_path / "drops.py"
    path.write_text(CUT)
    options = ["--level=quick", "--select=output-shape", "--watch"]
    process = start("verify", f"{path}:drop", *options)

    def read_to(stream, words):
        while words not in (line := stream.readline()):
            assert line, words

    read_to(process.stdout, "not a correct dropout")
    read_to(process.stderr, f"watching {path}; Ctrl-C ends it")
    path.write_text(WHOLE)
    read_to(process.stdout, "no verdict: 1 of")
    read_to(process.stderr, "watching")
    path.write_text("def drop(\n")
    read_to(process.stderr, "to load")  # it is watched until it can be loaded again
    read_to(process.stderr, "watching")
    path.write_text(CUT)
    read_to(process.stdout, "not a correct dropout")
    read_to(process.stderr, "watching")
    process.send_signal(signal.SIGINT)
    code, _, err = finish(process)
    assert (code, err) == (1, "")


def test_a_watch_runs_once_a_change_is_whole(tmp_path, monkeypatch, capsys):
    path, other = tmp_path / "drops.py", tmp_path / "other.py"
    files, seen = {path}, []
    looks = iter([None, path, path, None, other, None, None, None])

    def change(file):
        file.write_text(f"{file.read_text() if file.exists() else ''}x")

    def run():
        seen.append(path.read_text())
        files.add(other)  # the run has found it
        if len(seen) == 3:
            change(path)  # while it runs
        return len(seen)

    def look(seconds):
        file = next(looks, path)
        if file is not None:
            change(file)
        elif len(seen) == 4:
            raise KeyboardInterrupt

    change(path)
    monkeypatch.setattr(verify.time, "sleep", look)
    assert verify._watched(run, lambda: frozenset(files)) == 4
    assert seen == ["x", "xxx", "xxx", "xxxx"]
    said = f"torchdropout: watching {path}, {other}; Ctrl-C ends it\n"
    assert capsys.readouterr().err == said * 4
    assert verify._watched(lambda: 0, frozenset) == 2
    assert "whose file is known for --watch, got none" in capsys.readouterr().err
    stopped = verify.INTERRUPTED  # a run that is interrupted ends the watch
    assert verify._watched(lambda: stopped, lambda: frozenset(files)) == stopped


# The words that were typed, some of what the last is completed to, and what not.
COMPLETED = [
    (["veri"], ["verify"], ["compare"]),
    (["verify", "--select", "drop-"], ["drop-rate"], ["mode"]),
    (["verify", "--ignore", "mode,edg"], ["mode,edges", "mode,edge-gradients"], ["edges"]),
    (["verify", "--select", "TD52"], ["TD521", "TD522"], ["TD511"]),
    (["verify", "--spec", "drop-b"], ["drop-block"], ["plain"]),
    (["explain", "functional-a"], ["functional-always-on"], ["drop-rate"]),
    (["audit", "--select", "p-o"], ["p-one", "p-out-of-range"], ["drop-rate"]),
]


@pytest.mark.parametrize(("words", "some", "others"), COMPLETED)
def test_a_shell_completes_names(words, some, others):
    *before, last = words
    shell = BashComplete(cli.main, {}, "torchdropout", "_TORCHDROPOUT_COMPLETE")
    found = {item.value for item in shell.get_completions(before, last)}
    assert set(some) <= found
    assert not set(others) & found


# The exit code of each line, where nothing can be written to stdout.
OUTPUT_TO = """
    import os, sys
    from torchdropout.__main__ import main

    read, closed_pipe = os.pipe()
    os.close(read)
    for full, line in {cases!r}:
        os.dup2(os.open("/dev/full", os.O_WRONLY) if full else closed_pipe, 1)
        print(main(line), file=sys.stderr)
"""


@pytest.mark.integration
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_a_full_disk_is_an_error_in_one_line_and_a_closed_pipe_is_none(processes, tmp_path):
    path = tmp_path / "drops.py"
    path.write_text("from torch import nn\n\n\ndef make():\n    return nn.Dropout(0.5)\n")
    fast = ["--level=quick", "--select=output-shape"]
    lines = [
        ["--help"], ["-V"], ["verify", "--help"],
        ["checks"], ["rules"], ["explain", "p-one"], ["info"],
        ["verify", "torch.nn:Dropout", *fast], ["audit", "--no-config", "--no-cache", str(path)],
        ["audit-model", f"{path}:make", "--input", "4x4"],
    ]  # fmt: skip
    cases = [(True, line) for line in lines] + [(False, ["checks"]), (False, ["info"])]
    status, said = processes.run(OUTPUT_TO.format(cases=cases))
    full = "torchdropout: Expected to write the output, got: No space left on device\n2\n"
    assert (status, said) == (0, full * len(lines) + "0\n0\n")


SLOW = """
    import time, torch

    class Slow(torch.nn.Dropout):
        def forward(self, x):
            print("called")
            time.sleep(0.05)
            return super().forward(x)
"""


# What a report says of an interruption needs no signal: see `EXITS`.
@pytest.mark.integration
def test_interrupt_leaves_a_partial_report(tmp_path):
    path = tmp_path / "slow.py"
    path.write_text(textwrap.dedent(SLOW))
    command = "verify", f"{path}:Slow", "torch.nn:Dropout", "--format=json"
    process = start(*command, "--jobs=1", "--level=quick")
    # The first check makes four calls; after twenty it has ended and many are still to come.
    for _ in range(20):
        assert process.stderr.readline() == "called\n"
    process.send_signal(signal.SIGINT)
    code, out, err = finish(process)
    assert code == 130
    assert "Traceback" not in err
    (one,) = json.loads(out)["targets"]
    assert (one["target"], one["complete"], one["passed"]) == (command[1], False, False)
    assert 1 <= len(one["checks"]) < len(codes_of(None, PLAIN))
    assert one["checks"][0]["name"] == "output-shape"


DIES = """
    import os, torch

    def dies(x, p, training):
        x.numel() or os.abort()
        return torch.nn.functional.dropout(x, p, training)
"""


@pytest.mark.integration
def test_the_program_runs_a_target_in_a_process_of_its_own(tmp_path):
    path = tmp_path / "fatal.py"
    path.write_text(textwrap.dedent(DIES))
    options = ["--select=output-shape,edges", "--level=quick", "--format=json"]
    code, out, err = finish(start("verify", f"{path}:dies", *options))
    assert (code, "Traceback" in err) == (1, False)
    (one,) = json.loads(out)["targets"]
    found = {c["name"]: c["message"] for c in one["checks"] if c["status"] == "fail"}
    assert found == {"empty-input": "the process ended with SIGABRT"}


def shown_on(terminal):
    """All that a terminal shows until its other end is closed."""
    shown = b""
    with contextlib.suppress(OSError):  # Linux raises it when the other end is closed
        while part := os.read(terminal, 65536):
            shown += part
    os.close(terminal)
    return shown.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("no_color", ["", "1"])
def test_a_terminal_gets_progress_its_width_and_colour(bad, no_color, monkeypatch):
    for name, value in {"COLUMNS": "80", "LINES": "50", "TERM": "xterm-256color"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setenv("NO_COLOR", no_color)
    ours, theirs = pty.openpty()
    with ThreadPoolExecutor(1) as threads:
        shown = threads.submit(shown_on, ours)
        with os.fdopen(theirs, "w") as terminal, contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.redirect_stdout(terminal))
            stack.enter_context(contextlib.redirect_stderr(terminal))
            assert cli.run(["verify", bad, "--level=quick"]) == 1
        shown = shown.result()
    assert ("\x1b[1;31mFAIL" in shown) is not bool(no_color)
    assert f"/{len(codes_of(None, PLAIN))}" in shown  # the bar
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
    table = text[text.index("level quick") :]
    assert "expected shape" in table
    assert max(len(line) for line in table.splitlines()) <= 80


def test_info(capsys):
    assert cli.run(["info"]) == 0
    said = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert said["torchdropout"] == torchdropout.__version__
    assert said["backend"] == torchdropout.backends.current()
    assert said["backend"] in said["backends"]
    assert cli.run(["info", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == said
    with torchdropout.backends.use("reference"):
        assert cli.run(["info"]) == 0
    assert "requested by backends.use('reference')" in capsys.readouterr().out


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux")
@pytest.mark.parametrize(
    ("work", "message"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "the process ended with SIGKILL"),
        (lambda: torchdropout.Key("x"), "Expected `seed`"),  # an error of ours, as it is
        (lambda: signal.raise_signal(signal.SIGINT), "Expected TARGET to run, got KeyboardInt"),
    ],
)
def test_a_process_without_a_result(work, message):
    def opened():
        return {file.name for file in Path("/proc/self/fd").iterdir()}

    before = opened()
    with pytest.raises(TargetError, match=message):
        apart(work, "a:b", fork=True)
    assert apart(lambda: 3, "a:b", fork=True) == 3
    assert opened() == before
