"""`torchdropout-audit` as it is typed."""

import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import started
from _texts import ADVICE, BAD, FIXED
from torchdropout_audit import command
from torchdropout_audit.__main__ import main
from torchdropout_audit._version import __version__
from torchdropout_audit.findings import SourceReport
from torchdropout_audit.registry import RULES
from torchdropout_audit.reporting.settings import tomllib

SOURCE = str(Path(command.__file__).parents[1])

CLEAN = "from torch import nn\n\ndrop = nn.Dropout(0.1)\n"


pytestmark = pytest.mark.usefixtures("folder")
needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
needs_bytes = pytest.mark.skipif(sys.platform == "win32", reason="a name is text there")


def put(**files):
    for name, text in files.items():
        Path(f"{name}.py").write_text(text)


def run(*arguments):
    return main(arguments)


# files, options, exit code
EXITS = [
    ({"a": CLEAN}, [], 0),
    ({"a": CLEAN}, ["--strict"], 0),
    ({"a": ADVICE}, [], 0),
    ({"a": ADVICE}, ["--strict"], 1),
    ({"a": ADVICE}, ["--strict", "--exit-zero"], 0),
    ({"a": BAD}, [], 1),
    ({"a": BAD, "b": CLEAN}, [], 1),
    ({"a": BAD}, ["--exit-zero"], 0),
    ({"a": BAD}, ["--ignore", "functional"], 0),
    ({"a": BAD}, ["--select", "p-one"], 0),
    ({"a": BAD}, ["--fix"], 0),
    ({"a": BAD}, ["--diff"], 1),
    ({"a": CLEAN}, ["--diff"], 0),
    ({"a": ADVICE}, ["--diff", "--strict"], 0),  # nothing that can be fixed
    ({"a": "drop = nn.Dropout(", "b": CLEAN}, [], 1),
    ({"a": "drop = nn.Dropout("}, [], 2),
    ({"a": "drop = nn.Dropout("}, ["--exit-zero"], 2),
    ({}, [], 2),
    ({"a": CLEAN}, ["a.py", "no.py"], 1),
    ({"a": BAD}, ["no.py"], 2),
    ({"a": BAD}, ["a.py", "--exclude", "a.py"], 0),  # as pre-commit names what is excluded
]


@pytest.mark.parametrize("form", ["text", "json", "sarif", "github"])
@pytest.mark.parametrize(("files", "options", "code"), EXITS)
def test_exit_code(capsys, form, files, options, code):
    put(**files)
    form = [] if "--diff" in options else ["--format", form]
    assert run(*options, *form) == code
    assert "Traceback" not in capsys.readouterr().err


def test_findings_are_printed_in_the_order_of_the_paths(capsys):
    put(a=BAD, b=ADVICE)
    assert run("b.py", "a.py") == 1
    out, err = capsys.readouterr()
    assert err == ""
    places = re.findall(r"^(\S+:\d+:\d+)  (TD\d+) ", out, re.M)
    assert places == [("b.py:3:19", "TD123"), ("a.py:7:16", "TD101")]
    assert out.splitlines()[-1].startswith("1 error, 1 advice in 2 files (")


def test_quiet_and_verbose(capsys):
    put(a=BAD)
    assert run("-q", "a.py") == 1
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("a.py:7:16  TD101 functional-always-on  ")
    assert last.startswith("1 error in 1 file ")
    assert run("-v", "a.py") == 1
    lines = capsys.readouterr().out.splitlines()
    summary = RULES["functional-always-on"].summary
    assert f"    {summary} (torchdropout-audit --explain functional-always-on)" in lines
    assert len(lines) == 5
    assert run("-q", "-v", "a.py") == 2
    assert "not both" in capsys.readouterr().err
    assert run("-q", "a.py", "-o", "report") == 1
    assert capsys.readouterr() == ("", "")
    assert Path("report").read_text().startswith("a.py:7:16")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_a_full_disk_is_one_line_and_exit_code_2():
    put(a=BAD)
    done = ended(f"{sys.executable} -m torchdropout_audit a.py >/dev/full")
    said = "torchdropout-audit: Expected to write the output, got: No space left on device\n"
    assert (done.returncode, done.stderr) == (2, said)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[tool.torchdropout.audti]\nstrict = true\n", "got [tool.torchdropout.audti]"),
        ("[tool.torchdropout.audit]\npaths = " + "[" * 100_000, "brackets nested too deep"),
    ],
    ids=["misspelt", "brackets"],
)
def test_wrong_settings_are_one_line_and_exit_code_2(capsys, text, words):
    put(a=CLEAN)
    Path("pyproject.toml").write_text(text)
    assert run("a.py") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err.splitlines()[-1]
    assert run("a.py", "--no-config") == 0


def test_problems_are_told_a_line_each(capsys):
    put(a=CLEAN)
    Path("empty").mkdir()
    assert run("a.py", "empty", "no.py") == 1
    out, err = capsys.readouterr()
    assert out.startswith("no errors in 1 file, 2 problems (")
    assert [line.partition(":")[0] for line in err.splitlines()] == ["torchdropout-audit"] * 2
    assert "no.py: no such file" in err
    assert run("a.py", "no.py", "--format=json") == 1
    out, err = capsys.readouterr()
    assert (len(json.loads(out)["problems"]), err) == (1, "")


def test_fixes_are_made_and_a_second_run_has_nothing_to_do(capsys):
    put(a=BAD, b=ADVICE)
    assert run("--fix") == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("1 fixed; no errors, 1 advice in")
    assert Path("a.py").read_text() == FIXED
    assert Path("b.py").read_text() == ADVICE
    assert run("--fix") == 0
    assert "fixed" not in capsys.readouterr().out


def test_unsafe_fixes_are_made_when_asked_for(capsys):
    flagged = BAD.replace("0.1)", "self.training)")
    put(a=flagged)
    options = ["--select", "training-passed-as-p"]
    for safe in ([], ["--fix"]):
        assert run(*options, *safe) == 1
        assert capsys.readouterr().out.endswith("Run again with --unsafe-fixes to fix 1.\n")
        assert Path("a.py").read_text() == flagged
    assert run(*options, "--unsafe-fixes", "--diff") == 1
    assert Path("a.py").read_text() == flagged
    assert run(*options, "--unsafe-fixes") == 0
    assert Path("a.py").read_text() == flagged.replace("self.tr", "training=self.tr")


def test_a_diff_writes_nothing(capsys):
    put(b=BAD, a=BAD, c=CLEAN)
    for options in (["--diff"], ["--diff", "--fix"]):
        assert run(*options) == 1
        out, err = capsys.readouterr()
        assert err == "torchdropout-audit: 2 files would change\n"
        assert [line for line in out.splitlines() if line.startswith(("---", "+"))] == [
            "--- a.py", "+++ a.py", "+        return F.dropout(x, 0.1, training=self.training)",
            "--- b.py", "+++ b.py", "+        return F.dropout(x, 0.1, training=self.training)",
        ]  # fmt: skip
    assert Path("a.py").read_text() == BAD
    assert run("--diff", "--output", "fix.diff") == 1
    printed, err = capsys.readouterr()
    assert (printed, err) == ("", "torchdropout-audit: 2 files would change; see fix.diff\n")
    assert Path("fix.diff").read_text() == out
    assert run("--fix") == 0
    assert run("--diff") == 0
    assert capsys.readouterr().out.strip().endswith("s).")  # of the run before; the diff is empty


@pytest.mark.parametrize("form", ["text", "json", "sarif", "github"])
def test_the_report_goes_to_its_file_and_the_verdict_to_stderr(capsys, form):
    put(a=BAD)
    assert run("--format", form, "--output", "report") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"torchdropout-audit: 1 error in 1 file .* to fix 1; see report\n", err)
    assert "TD101" in Path("report").read_text()


def test_a_disk_that_is_full_does_not_lose_the_report(capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    put(a=BAD)
    Path("report").write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    assert run("--output", "report") == 2
    out, err = capsys.readouterr()
    assert "TD101" in out
    assert "report is unchanged: No space left on device" in err
    assert Path("report").read_text() == "old"


# stdin


@pytest.fixture
def stdin(monkeypatch):
    def give(data):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    return give


def test_stdin_is_audited(stdin, capsys):
    stdin(BAD.encode())
    assert run("-") == 1
    assert capsys.readouterr().out.startswith("<stdin>:7:16  TD101")
    stdin(BAD.encode())
    assert run("-", "--stdin-filename", "src/net.py", "--format", "json") == 1
    assert json.loads(capsys.readouterr().out)["findings"][0]["path"] == "src/net.py"
    stdin(CLEAN.encode())
    assert run("-") == 0
    stdin(BAD.encode())
    capsys.readouterr()
    assert run("-", "--diff") == 1
    assert "+++ <stdin>" in capsys.readouterr().out
    stdin(b"\xff = dropout\n")
    assert run("-") == 2
    assert "TD002" in capsys.readouterr().out


def test_stdin_is_fixed_to_stdout_and_all_else_is_kept(stdin, capfdbinary):
    data = b"\xef\xbb\xbf# \xc3\xa4\r\n" + BAD.replace("\n", "\r\n").encode()
    stdin(data)
    assert run("-", "--fix") == 0
    out, err = capfdbinary.readouterr()
    assert out == data.replace(b"0.1)", b"0.1, training=self.training)")
    assert err.startswith(b"1 fixed; no errors in 1 file (")
    assert err.count(b"\n") == 1
    for same in (CLEAN.encode(), b"x = (", b"\xff = dropout\n"):
        stdin(same)
        run("-", "--fix")
        assert capfdbinary.readouterr().out == same


def test_fixed_stdin_and_a_report_in_a_file(stdin, capsys):
    stdin(BAD.encode())
    assert run("-", "--fix", "--format=json", "--output", "report.json") == 0
    out, err = capsys.readouterr()
    assert out == FIXED
    assert err.startswith("torchdropout-audit: 1 fixed; no errors in 1 file (")
    assert json.loads(Path("report.json").read_text())["fixed"] == 1


# Settings


@pytest.fixture
def asked(monkeypatch):
    """Replaces the audit; what was asked of it."""
    calls = []

    def audit_paths(paths, **how):
        calls.append((paths, how))
        return SourceReport((), 1)

    monkeypatch.setattr(command, "audit_paths", audit_paths)
    return calls


SETTINGS = """
[tool.torchdropout.audit]
paths = ["src"]
select = ["TD12", "TD101"]
ignore = ["p-zero"]
exclude = ["old"]
extend-exclude = ["older"]
strict = true
jobs = 2
format = "json"

[tool.torchdropout.audit.per-file-ignores]
"tests/**" = ["p-one"]
"""
RATE = {name for name, rule in RULES.items() if rule.code.startswith("TD12")}


def test_settings_are_what_the_command_line_leaves_open(asked, capsys, folder):
    Path("pyproject.toml").write_text(SETTINGS)
    assert run() == 0
    ((paths, how),) = asked
    assert paths == ("src",)
    assert how == {
        "rules": (RATE | {"functional-always-on"}) - {"p-zero"},
        "exclude": ("old", "older"),
        "per_file_ignores": {"tests/**": {"p-one"}},
        "root": folder.resolve(),
        "respect_gitignore": True,
        "jobs": 2,
        "cache": True,
        "fix": None,
        "changed": None,
    }
    assert json.loads(capsys.readouterr().out)["files"] == 1


def test_the_command_line_beats_the_settings(asked, capsys):
    Path("pyproject.toml").write_text(SETTINGS)
    options = ["--select=TD101", "--ignore=p-one", "--exclude=new", "--jobs=1", "--no-cache",
               "--no-gitignore", "--format=text", "--unsafe-fixes"]  # fmt: skip
    assert run("tests", *options) == 0
    ((paths, how),) = asked
    assert paths == ("tests",)
    assert how["rules"] == {"functional-always-on"}
    assert how["exclude"] == ("new", "older")
    given = (how["jobs"], how["cache"], how["respect_gitignore"], how["fix"])
    assert given == (1, False, False, "unsafe")
    assert capsys.readouterr().out.startswith("no errors")


def test_without_settings_the_current_folder_is_audited(asked, folder):
    Path("pyproject.toml").write_text(SETTINGS)
    assert run("--no-config") == 0
    assert asked[0][0] == (".",)
    assert asked[0][1]["rules"] == set(RULES)
    Path("deep").mkdir()
    assert run("--config", "pyproject.toml") == 0
    assert asked[1][1]["root"] == folder.resolve()


def test_strict_and_ignores_of_a_file_are_set(capsys):
    put(a=ADVICE)
    Path("pyproject.toml").write_text("[tool.torchdropout.audit]\nstrict = true\n")
    assert run() == 1
    assert run("--no-strict") == 0
    with Path("pyproject.toml").open("a") as file:
        file.write("per-file-ignores = { 'a.py' = ['p-one'] }\n")
    assert run() == 0
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--select", "p-oen"], ["`select`", "'p-oen' (str)", "p-one"]),
        (["--ignore", "TD"], ["leave a rule to run"]),
        (["--exclude", "!"], ["`exclude`", "'!' (str)"]),
        (["--format", "xml"], ["--format", "'xml'", "sarif"]),
        (["--jobs", "0"], ["--jobs"]),
        (["-", "a.py"], ["`-`", "only PATH"]),
        (["--diff", "--format", "json"], ["not both"]),
        (["--output", "no/report"], ["--output", "no folder"]),
        (["--config", "no.toml"], ["no.toml", "No such file"]),
    ],
)
def test_misuse_is_told_on_stderr(arguments, words, asked, capsys):
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert (out, asked) == ("", [])
    for word in words:
        assert word in err


# Rules


def test_rules_are_listed(capsys):
    assert run("--rules") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:4] for line in lines] == [
        [rule.code, rule.name, rule.group, rule.severity] for rule in RULES.values()
    ]
    assert run("--rules", "--format", "json") == 0
    listed = json.loads(capsys.readouterr().out)["rules"]
    assert [rule["name"] for rule in listed] == list(RULES)


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
def test_every_rule_is_explained_by_name_and_code(rule, capsys):
    assert run("--explain", rule.name) == 0
    by_name = capsys.readouterr().out
    assert run("--explain", rule.code.lower()) == 0
    assert capsys.readouterr().out == by_name
    assert by_name.startswith(f"{rule.code} {rule.name}   {rule.group}   {rule.severity}\n")
    assert " ".join(rule.evidence.split()) in " ".join(by_name.split())


def test_a_rule_that_does_not_exist_is_not_explained(capsys):
    assert run("--explain", "p-oen") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "got 'p-oen' (str); close to it: p-one" in err
    assert run("--explain", "qqq") == 2
    assert "`torchdropout-audit --rules` lists them" in capsys.readouterr().err


def test_help_and_version(capsys):
    for asked in ("-h", "--help"):
        assert run(asked) == 0
        assert capsys.readouterr().out.startswith("Usage: torchdropout-audit [OPTIONS] [PATH]...\n")
    for asked in ("-V", "--version"):
        assert run(asked) == 0
        assert capsys.readouterr().out == f"torchdropout-audit, version {__version__}\n"


def test_a_language_server_needs_pygls(monkeypatch, capsys):
    for name in ("pygls", "pygls.lsp.server"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "torchdropout_audit.lsp", raising=False)
    assert run("--lsp") == 2
    out, err = capsys.readouterr()
    assert (out, f'pip install "{command.PYGLS}"' in err) == ("", True)
    project = Path(__file__).parents[1] / "pyproject.toml"
    extras = tomllib.loads(project.read_text())["project"]["optional-dependencies"]
    assert extras == {"lsp": [command.PYGLS]}


# What only a process of its own shows.


def start(*arguments, **options):
    plain = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    path = os.pathsep.join(filter(None, (SOURCE, os.environ.get("PYTHONPATH"))))
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    options.setdefault("env", {**plain, "PYTHONPATH": path})
    return started.start([sys.executable, *PROGRAM, *arguments], **options)


PROGRAM = ("-m", "torchdropout_audit")


@pytest.fixture(autouse=True)
def no_process_is_left():
    yield
    started.end_all()


def test_interrupt_while_stdin_is_read():
    process = start("-", stdin=subprocess.PIPE)
    # It reads: there is room for a little more than a pipe holds.
    process.stdin.write("x = 1\n" * 20_000)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert (process.returncode, out, err.strip()) == (130, "", "")


def ended(command, folder=None):
    """Runs a program, or a command line, to its end, in a folder, with this path."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    shell = isinstance(command, str)
    return subprocess.run(
        command, shell=shell, cwd=folder, env=env, capture_output=True, text=True, check=False
    )


def test_neither_torch_nor_torchdropout_is_imported():
    put(a=BAD)
    code = """
import sys
from torchdropout_audit.__main__ import main
print(main(["a.py", "--no-cache"]), *(m for m in ("torch", "torchdropout") if m in sys.modules))
"""
    done = ended([sys.executable, "-c", code])
    assert done.stdout.splitlines()[-1] == "1", done.stderr


@pytest.mark.integration
@pytest.mark.parametrize("package", ["torchdropout_audit", "torchdropout"])
@pytest.mark.parametrize("joined", [False, True])
def test_a_module_that_is_run_imports_nothing_of_the_folder(package, joined, tmp_path):
    for name in ("torch", "click", "rich", "json", "pickle", "tokenize", "numpy"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('it ran')\n")
    (tmp_path / "x.py").write_text("import torch.nn as nn\nnn.Dropout(7)\n")
    run = [f"-m{package}"] if joined else ["-m", package]
    rest = ["audit"] if package == "torchdropout" else []
    command = [sys.executable, *run, *rest, "--no-config", "--no-cache", "."]
    done = ended(command, tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert "1 error in 8 files" in done.stdout


def test_a_package_that_imports_this_one_keeps_its_path(tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "__init__.py").write_text("import torchdropout_audit, beside\n")
    (tmp_path / "own" / "run.py").write_text("")
    (tmp_path / "beside.py").write_text("print('found')\n")
    done = ended([sys.executable, "-m", "own.run"], tmp_path)
    assert done.stdout == "found\n"


# Waits for a signal in a phase of the run.
PHASES = {
    "search": "run.find_files = waiting(run.find_files)",
    "parser": "ast.parse = waiting(ast.parse)",
    "workers": "run._Run._end = waiting(run._Run._end); run._WORTH_A_PROCESS = 0",
    "write": "os.fsync = waiting(os.fsync)",
    "report": "command.style = waiting(command.style)",
}
IN_A_PHASE = """
import ast, os, sys, time
from torchdropout_audit import command, run
from torchdropout_audit.__main__ import main

def waiting(function):
    def wait(*arguments, **more):
        print("waits", flush=True)
        time.sleep(3600)
    return wait

{phase}
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.integration
@needs_signals
@pytest.mark.parametrize("phase", PHASES)
def test_ctrl_c_leaves_a_report_and_nothing_else(monkeypatch, folder, phase):
    program = IN_A_PHASE.format(phase=PHASES[phase])
    monkeypatch.setitem(globals(), "PROGRAM", ("-c", program))
    text = BAD + "x = [1, 2, 3]\n" * (4_000 if phase == "workers" else 1)
    for i in range(6):
        Path(f"f{i}.py").write_text(f"{text}# {i}\n")
    options = {"write": ["--fix"], "parser": ["--format=json"]}.get(phase, [])
    process = start("--jobs=2", "--no-cache", *options)
    assert process.stdout.readline() == "waits\n"
    listed = ["ps", "-o", "pid=", "--ppid", str(process.pid)]
    children = subprocess.run(listed, capture_output=True, text=True).stdout.split()
    assert len(children) == (2 if phase == "workers" else 0)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err.strip()) == (130, "")
    if phase == "parser":
        assert json.loads(out)["complete"] is False
    else:
        assert out.startswith("interrupted: ") or phase in ("workers", "report")
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)
    assert sorted(each.name for each in folder.iterdir()) == [f"f{i}.py" for i in range(6)]
    assert [Path(f"f{i}.py").read_text() for i in range(6)] == [f"{text}# {i}\n" for i in range(6)]


CLOSED = ["<&-", ">&-", "2>&-", "<&- >&-", "<&- 2>&-", ">&- 2>&-", "<&- >&- 2>&-"]


@pytest.mark.integration
@pytest.mark.skipif(sys.platform == "win32", reason="it has another shell")
@pytest.mark.parametrize("closed", CLOSED)
def test_closed_streams_are_told_and_never_with_a_traceback(closed):
    put(x=BAD)
    for arguments, code in (("-", 2), ("- --fix", 2), ("x.py", 1), ("x.py --diff", 1)):
        if "<&-" not in closed and arguments.startswith("-"):
            continue
        options = "--no-config --no-cache"
        done = ended(f"{sys.executable} -m torchdropout_audit {options} {arguments} {closed}")
        is_read = arguments.startswith("x")
        assert done.returncode == (2 if is_read and ">&-" in closed.split() else code)
        assert "Traceback" not in done.stderr
        if "2>&-" not in closed:
            assert done.stderr.strip() or (is_read and ">&-" not in closed)
        if is_read and ">&-" not in closed.split():
            assert "F.dropout" in done.stdout
        elif is_read and "2>&-" not in closed:
            said = done.stderr.splitlines()
            assert said[-1].startswith("torchdropout-audit: Expected to write the output, got: ")
            assert len(said) == 1 or "--diff" in arguments


@needs_bytes
@pytest.mark.parametrize("form", ["text", "json", "sarif", "github"])
def test_a_name_of_a_file_may_be_any_bytes(form, capsys):
    names = [b"bad\xff.py", b"new\nline.py", b"esc\x1b[31m.py", b"c1\xc2\x9b31m.py"]
    for name in names:
        Path(os.fsdecode(name)).write_text(BAD)
    Path(os.fsdecode(b"no\xff\x1b[31m\n.py")).symlink_to("nowhere")
    assert run("--format", form, ".") == 1
    assert run("--format", form, ".", "--output", "report") == 1
    out, err = capsys.readouterr()
    for text in (out, err, Path("report").read_text(encoding="utf-8")):
        text.encode()
        assert all(character.isprintable() or character == "\n" for character in text)
    if form in ("json", "sarif"):
        json.dumps(json.loads(out), ensure_ascii=False).encode()  # no half of a character
    if form == "sarif":
        uris = set(re.findall(r'"uri": "(.*?\.py)"', out))
        assert uris == {"bad%FF.py", "new%0Aline.py", "esc%1B%5B31m.py", "c1%C2%9B31m.py"}


@needs_bytes
def test_a_name_of_a_file_does_not_steer_the_terminal(monkeypatch):
    """Where stderr is no terminal, click removes some sequences itself."""
    name = "a\x1b]0;title\x07\n\x1b[31m.py"
    Path(name).symlink_to("nowhere")
    stream = io.StringIO()
    stream.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", stream)
    run("--no-cache", "--quiet", name)
    assert stream.getvalue() == "torchdropout-audit: a ]0;title [31m.py: no such file or folder\n"


def test_a_character_that_stdout_lacks_is_escaped(monkeypatch):
    put(a=BAD.replace("x, 0.1", "é, 0.1"))
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    assert run("--no-cache", "a.py") == 1
    assert b"F.dropout(\\xe9, 0.1)" in stream.buffer.getvalue()


def test_stdin_without_end_is_refused(monkeypatch, capsys):
    class Endless(io.RawIOBase):
        def read(self, count=-1):
            return b"#" * count

    monkeypatch.setattr(command, "MOST_BYTES", 3_000_000)
    monkeypatch.setattr(sys, "stdin", type("Stdin", (), {"buffer": Endless()})())
    assert run("-", "--fix") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Expected at most 3,000,000 bytes on stdin, got more" in err
