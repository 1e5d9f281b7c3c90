"""Files audited in parallel, fixed, and given up when told to."""

import gc
import json
import os
import pickle
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

import started
from _fixtures import FILES, cases
from torchdropout_audit import run as run_module
from torchdropout_audit import workers
from torchdropout_audit.findings import SourceReport
from torchdropout_audit.limit import TooLongError
from torchdropout_audit.registry import FINDERS, RULES
from torchdropout_audit.run import WORDS, audit_data, audit_paths, may_break_a_rule
from torchdropout_audit.workers import CrashError, NoWorkerError, run_all

BAD = "import torch.nn as nn\nnn.Dropout(7)\n"
CLEAN = "import torch.nn as nn\nnn.Dropout(0.7)\n"
FIXABLE = """\
import torch.nn as nn
import torch.nn.functional as F

class Net(nn.Module):
    def forward(self, x):
        return F.dropout(x, 0.5)  # é
"""
FIXED = FIXABLE.replace("0.5)", "0.5, training=self.training)")


pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture(autouse=True)
def no_process_is_left():
    yield
    started.end_all()


@pytest.fixture
def parallel(monkeypatch):
    """Starts processes for however little."""
    monkeypatch.setattr(run_module, "_WORTH_A_PROCESS", 0)


def write(**texts):
    for name, text in texts.items():
        Path(f"{name}.py").write_text(text, encoding="utf-8")


def found(report):
    return [(f.path, f.name, f.line) for f in report.findings]


# --- What is parsed -----------------------------------------------------------------------------


def test_nothing_that_breaks_a_rule_is_passed_over():
    broken = [
        file.text
        for fixture in FILES
        for case in cases(fixture)
        for file in case.files
        if any(mark.code != "TD001" for line in file.lines for mark in line.marks)
    ]
    broken += [found.rule.broken for found in FINDERS.values()]
    assert broken
    assert [text for text in broken if not may_break_a_rule(text.encode())] == []


def test_what_no_rule_could_mean_is_not_parsed(monkeypatch):
    monkeypatch.setattr(run_module, "audit_rules", None)
    write(a="optimizer.step()")
    report = audit_paths(["a.py"])
    assert (report.files, report.problems) == (1, ())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model.eval()", False),
        ("def f(model):\n    model.eval()", True),
        ("model.eval()\nloss.backward()", True),
        ("model.eval()\noptimizer.step()", True),
        ("model.train(False)\noptimizer.step()", True),
        ("model.train(mode=False)\noptimizer.step()", True),
        ("model.train(True)\noptimizer.step()", False),
        ("model.train(False)\noptimizer.steps()", False),
        ("def train (self): ...", False),
        ("import os; drop_last = DROP", False),
        ("import torch\ndef train (self): ...", True),
        ("class Net(Module):\n    def train(self): ...", True),
        ("import torch\ntrain()\ndef pretrain(): ...", False),
        ("d\0r\0o\0p\0o\0u\0t\0", True),  # UTF-16
        *[(f"x = 1\n{word.decode()}\n", True) for word in WORDS],
    ],
)
def test_which_texts_may_break_a_rule(text, expected):
    assert may_break_a_rule(text.encode()) is expected


def test_a_file_of_too_many_bytes_is_not_read(monkeypatch):
    write(a=BAD)
    monkeypatch.setattr(run_module, "MOST_BYTES", len(BAD))
    assert len(audit_paths(["a.py"], cache=False).findings) == 1
    monkeypatch.setattr(run_module, "MOST_BYTES", len(BAD) - 1)
    report = audit_paths(["a.py"], cache=False)
    said = f"not audited: {len(BAD)} bytes, more than the limit of {len(BAD) - 1}"
    assert (report.problems, report.files, report.findings) == ((f"a.py: {said}",), 0, ())


def test_a_file_of_too_many_characters_is_not_parsed():
    report, _ = audit_data(b"# dropout".ljust(2_000_001), "a.py")
    said = "not audited: 2,000,001 characters, more than the limit of 2,000,000"
    assert (report.problems, report.files) == ((f"a.py: {said}",), 0)


@pytest.mark.parametrize("is_on", [True, False])
def test_the_garbage_collector_is_as_it_was(is_on):
    (gc.enable if is_on else gc.disable)()
    try:
        audit_data(BAD.encode(), "a.py")
        assert gc.isenabled() == is_on
    finally:
        gc.enable()


# --- Reports ------------------------------------------------------------------------------------


def test_findings_are_by_path_and_by_place():
    write(b=BAD + "nn.Dropout(8)\n", a=BAD, c=CLEAN)
    Path("n.ipynb").write_text(
        json.dumps({"cells": [{"cell_type": "code", "source": BAD}], "metadata": {}})
    )
    report = audit_paths(["b.py", "."])
    assert found(report) == [
        ("b.py", "p-out-of-range", 2),
        ("b.py", "p-out-of-range", 3),
        ("a.py", "p-out-of-range", 2),
        ("n.ipynb", "p-out-of-range", 2),
    ]
    assert [f.cell for f in report.findings] == [0, 0, 0, 1]
    assert (report.files, report.problems, report.complete) == (4, (), True)
    assert report.seconds > 0


def test_only_the_rules_that_are_asked_for():
    write(a=BAD + "nn.Dropout(1.0)\n")
    assert found(audit_paths(["."])) == [("a.py", "p-out-of-range", 2), ("a.py", "p-one", 3)]
    assert found(audit_paths(["."], rules=["p-one"])) == [("a.py", "p-one", 3)]
    assert found(audit_paths(["."], rules=[])) == []
    assert found(audit_paths(["."], rules=RULES)) == found(audit_paths(["."]))


def test_rules_that_are_not_for_some_files():
    Path("tests").mkdir()
    write(a=BAD, b=BAD)
    Path("tests/a.py").write_text(BAD)
    ignores = {"tests": ["p-out-of-range"], "/b.py": ["p-one", "p-out-of-range"], "a.py": []}
    assert found(audit_paths(["."], per_file_ignores=ignores)) == [("a.py", "p-out-of-range", 2)]
    ignores = {"src/tests/": ["p-out-of-range"]}
    report = audit_paths(["."], per_file_ignores=ignores, root="..")
    assert [f.path for f in report.findings] == ["a.py", "b.py"]
    for root, count in ((None, 1), ("..", 0)):
        report, _ = audit_data(BAD.encode(), "tests/a.py", per_file_ignores=ignores, root=root)
        assert (len(report.findings), report.files) == (count, 1)


def test_comments_are_heeded():
    write(a=BAD.replace("7)", "7)  # torchdropout: ignore[p-out-of-range]"))
    assert found(audit_paths(["."])) == []
    write(a=CLEAN + "x = 1  # torchdropout: ignore[p-out-of-range]\n")
    assert found(audit_paths(["."])) == [("a.py", "unused-ignore", 3)]


def test_progress_is_told():
    write(a=BAD, b=CLEAN, c="x = 1")
    told = []
    audit_paths(["."], progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_what_is_interrupted_is_not_complete(monkeypatch):
    write(a=BAD, b=BAD)

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    report = audit_paths(["."], jobs=1, progress=lambda done, _: done == 2 and interrupt())
    assert (report.complete, report.files, len(report.findings)) == (False, 2, 2)
    monkeypatch.setattr(run_module, "find_files", interrupt)
    report = audit_paths(["."])
    assert report == SourceReport((), 0, seconds=report.seconds, complete=False, interrupted=True)


BLOCK = """
class Block{i}(nn.Module):
    def __init__(self, dim, dropout=0.1):
        super().__init__()
        self.drop = nn.Dropout(dropout)
        self.norm = nn.BatchNorm1d(dim)

    def forward(self, x):
        return self.norm(self.drop(x))
"""


@pytest.mark.integration
def test_a_long_file_is_read_to_its_end():
    right = BLOCK.replace("self.norm(self.drop(x))", "self.drop(self.norm(x))")
    blocks = [right.format(i=i) for i in range(4_000)]
    write(a="".join(["from torch import nn\n", *blocks, BLOCK.format(i=4_000)]))
    report = audit_paths(["a.py"], rules=["dropout-before-batchnorm"])
    assert len(report.findings) == 1
    assert (report.problems, report.complete) == ((), True)


def test_a_file_that_is_not_read_to_its_end_is_named():
    loops = "".join(" " * n + f"for x{n} in x:\n" for n in range(8, 26))
    method = f"    def walk(self, x):\n{loops}{' ' * 26}x = self.drop(x)\n"
    write(a="from torch import nn\n" + BLOCK.format(i=0) + method)
    write(b="from torch import nn\n" + BLOCK.format(i=0))
    report = audit_paths(["."], rules=["dropout-before-batchnorm"])
    assert [each.path for each in report.findings][-1] == "b.py"
    assert report.problems == (
        "a.py: dropout-before-batchnorm was not applied to the whole file: there are more than "
        "40,000 statements and expressions that are followed",
    )
    assert (report.complete, report.passed, report.interrupted) == (False, False, False)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (TooLongError(), "not audited: it takes more than 20 s of the processor"),
        (TypeError("no\n such thing"), "the audit failed: TypeError: no such thing"),
    ],
)
def test_a_file_that_cannot_be_audited_costs_itself_alone(monkeypatch, error, said):
    audit_rules = run_module.audit_rules

    def fail(text, path, *rest):
        if path == "b.py":
            raise error
        return audit_rules(text, path, *rest)

    monkeypatch.setattr(run_module, "audit_rules", fail)
    write(a=BAD, b=BAD, c=BAD)
    report = audit_paths(["."], cache=False)
    assert [f.path for f in report.findings] == ["a.py", "c.py"]
    assert (report.problems, report.files) == ((f"b.py: {said}",), 2)
    report, data = audit_data(BAD.encode(), "b.py", fix="safe")
    assert (report.problems, report.files, report.findings) == ((f"b.py: {said}",), 0, ())
    assert data == BAD.encode()


# --- Processes ----------------------------------------------------------------------------------


def test_processes_find_what_one_finds(parallel):
    write(**{f"m{i:02}": BAD * i + FIXABLE for i in range(12)})
    Path("m05.py").write_bytes(b"# dropout \xff")
    Path("m06.py").write_text("dropout = (")
    alone = audit_paths(["."], jobs=1, cache=False)
    together = audit_paths(["."], jobs=3, cache=False)
    assert together.findings == alone.findings
    assert len(alone.findings) > 12
    assert (together.files, together.problems) == (alone.files, alone.problems)


def loaded(_):
    return sorted({"torch", "torchdropout", "click", "rich"} & sys.modules.keys())


def test_processes_import_the_audit_alone(monkeypatch):
    for name in ("torch", "torchdropout"):  # which the tests that ran before may have imported
        monkeypatch.setitem(sys.modules, name, sys.modules.get(name, ModuleType(name)))
    assert {"torch", "torchdropout"}.issubset(loaded(0))
    assert list(run_all(loaded, [0], 1)) == [(0, [])]


def test_nothing_in_the_current_folder_is_imported(parallel):
    text = "open('imported', 'w').close(); raise SystemExit"
    write(ast=text, pickle=text, threading=text, click=text, sitecustomize=text)
    write(a=BAD, b=BAD)
    report = audit_paths(["."], jobs=2)
    assert len(report.findings) == 2
    assert report.problems == ()
    assert not Path("imported").exists()


def test_a_program_without_a_guard_is_not_run_again(folder):
    write(a=BAD, b=BAD)
    Path("../program.py").write_text(
        "from torchdropout_audit import run\nrun._WORTH_A_PROCESS = 0\nprint('begun')\n"
        "print(len(run.audit_paths(['.'], jobs=2, cache=False).findings))\n"
    )
    command = [sys.executable, "../program.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("begun\n2\n", "")


def kill_some(task):
    if task % 3 == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return task * task


@pytest.mark.integration
def test_a_task_that_ends_its_process_costs_itself_alone():
    results = dict(run_all(kill_some, range(10), 3))
    assert len(results) == 10
    for task, result in results.items():
        if task % 3 == 0:
            assert isinstance(result, CrashError)
            assert "-9" in str(result)
        else:
            assert result == task * task


def test_a_crash_is_told(parallel, monkeypatch):
    def run_all(work, tasks, jobs):
        return ((task, CrashError("-11")) for task in tasks)

    write(a=BAD, b=BAD)
    monkeypatch.setattr(run_module, "run_all", run_all)
    report = audit_paths(["."], jobs=2)
    said = "not audited: the process that audited it ended: -11"
    assert (report.problems, report.files) == ((f"a.py: {said}", f"b.py: {said}"), 0)


@pytest.mark.parametrize(
    ("sizes", "jobs", "asked"),
    [
        ((30, 40, 40), 8, [3]),
        ((30, 40, 40), 2, [2]),
        ((30, 40, 40), 1, []),
        ((30, 40, 30), 8, []),  # not worth a process
        ((30, 300), 1, [1]),  # it may take so much memory that its process is killed
        ((), 8, []),
    ],
)
def test_when_processes_are_started(monkeypatch, sizes, jobs, asked):
    started = []

    def run_all(work, tasks, jobs):
        started.append(jobs)
        return ((task, work(task)) for task in tasks)

    monkeypatch.setattr(run_module, "_WORTH_A_PROCESS", 100)
    monkeypatch.setattr(run_module, "run_all", run_all)
    write(**{f"m{n}": "# dropout".ljust(size) for n, size in enumerate(sizes)})
    assert audit_paths(["."], jobs=jobs, cache=False).files == len(sizes)
    monkeypatch.setattr(run_module, "can_start", lambda: False)
    assert audit_paths(["."], jobs=jobs, cache=False).files == len(sizes)
    assert started == asked


def test_long_files_come_first_and_the_longest_before_them(parallel, monkeypatch):
    begun = []
    monkeypatch.setattr(run_module, "_LONG", len(BAD))
    monkeypatch.setattr(run_module, "run_all", lambda _, tasks, __: begun.extend(tasks) or ())
    monkeypatch.setattr(run_module, "audit_file", lambda _: run_module._Outcome())
    write(a=BAD[:-1], b=BAD, c=BAD + "# more", d="x = 1", e=BAD + BAD, f=BAD)
    assert audit_paths(["."], jobs=2, cache=False).files == 6
    assert [task.path for task in begun] == ["e.py", "c.py", "a.py", "b.py", "f.py"]


@pytest.mark.parametrize(("processors", "jobs"), [(1, 1), (3, 3), (8, 8), (9, 8)])
def test_how_many_processes_there_are(monkeypatch, processors, jobs):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(processors)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert run_module._processors() == jobs
    monkeypatch.delattr(os, "sched_getaffinity")
    assert run_module._processors() == 5
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert run_module._processors() == 1


@pytest.mark.parametrize("interpreter", ["/no/such/python", "/bin/false"])
def test_where_no_process_starts_the_work_is_done_here(parallel, monkeypatch, interpreter):
    monkeypatch.setattr(sys, "executable", interpreter)
    with pytest.raises(NoWorkerError):
        list(run_all(abs, [1, 2], 2))
    write(a=BAD, b=BAD)
    assert len(audit_paths(["."], jobs=2).findings) == 2


def test_a_program_in_one_file_starts_none(monkeypatch):
    assert workers.can_start()
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert not workers.can_start()


def noisy(task):
    os.write(1, b"noise")
    return -task


def test_what_a_task_prints_is_not_a_result(capfdbinary):
    assert list(run_all(noisy, [7, 8], 1)) == [(7, -7), (8, -8)]
    assert capfdbinary.readouterr() == (b"", b"noisenoise")


def slow(seconds):
    Path(f"pid-{os.getpid()}").touch()
    time.sleep(seconds)
    return seconds


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_who_stops_listening_ends_the_processes_at_once(folder):
    results = run_all(slow, [0, 3600, 3600, 3600], 2)
    assert next(results) == (0, 0)
    results.close()  # does not wait for an hour
    pids = [int(path.name[4:]) for path in folder.glob("pid-*")]
    assert pids
    assert not any(map(alive, pids))


PROGRAM = """
import sys, time
from torchdropout_audit import run as run_module

if {jobs} > 1:
    run_module._WORTH_A_PROCESS = 0

def tell(done, total):
    print(done, flush=True)
    if {waits}:
        time.sleep(3600)

report = run_module.audit_paths(["."], jobs={jobs}, cache=False, progress=tell)
print("complete", report.complete, report.files, len(report.findings), flush=True)
"""


def begun(jobs, **pipes):
    """A program that has audited the first of 40 files, and the ids of its processes."""
    text = BAD + "x = [1, 2, 3]\n" * (8_000 if jobs > 1 else 1)
    write(**{f"m{i:02}": text for i in range(40)})
    program = PROGRAM.format(jobs=jobs, waits="stderr" in pipes)
    command = [sys.executable, "-c", program]
    process = started.start(command, stdout=subprocess.PIPE, text=True, **pipes)
    assert process.stdout.readline() == "1\n"
    ps = ["ps", "-o", "pid=", "--ppid", str(process.pid)]
    children = subprocess.run(ps, capture_output=True, text=True).stdout.split()
    assert len(children) == (0 if jobs == 1 else jobs)
    return process, [*map(int, children)]


@pytest.mark.integration
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_ends_with_what_there_is(folder, jobs):
    process, children = begun(jobs, stderr=subprocess.PIPE)
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate()
    word, complete, files, findings = output.splitlines()[-1].split()
    assert (word, complete) == ("complete", "False")
    assert 1 <= int(files) < 40
    assert int(findings) >= 1
    assert (errors, process.returncode) == ("", 0)
    assert not any(map(alive, children))


@pytest.mark.integration
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_no_orphans_when_the_program_is_killed(folder):
    process, children = begun(2)
    process.kill()
    process.communicate()
    while any(map(alive, children)):
        time.sleep(0.05)


# --- Fixing ------------------------------------------------------------------------------------


def test_what_can_be_fixed_is():
    write(a=FIXABLE, b=BAD, c=CLEAN)
    Path("a.py").chmod(0o640)
    report = audit_paths(["."], fix="safe")
    assert Path("a.py").read_text(encoding="utf-8") == FIXED
    assert stat.S_IMODE(Path("a.py").stat().st_mode) == 0o640
    assert (report.fixed, found(report)) == (1, [("b.py", "p-out-of-range", 2)])
    again = audit_paths(["."], fix="safe")
    assert (again.fixed, again.findings) == (0, report.findings)
    assert Path("a.py").read_text(encoding="utf-8") == FIXED


def test_a_link_that_leads_out_of_what_is_named_is_not_fixed(tmp_path):
    outside = tmp_path.parent / f"{tmp_path.name}-outside.py"
    outside.write_text(FIXABLE)
    Path("link.py").symlink_to(outside)
    changes = []
    for options in ({}, {"changed": lambda *change: changes.append(change)}):
        report = audit_paths(["."], fix="safe", **options)
        assert (report.fixed, changes, outside.read_text()) == (0, [], FIXABLE)
        [said] = report.problems
        assert said.startswith("link.py: not fixed: it is a link to ")
    assert audit_paths(["link.py"], fix="safe").fixed == 1  # it was named itself
    assert outside.read_text() == FIXED
    assert Path("link.py").is_symlink()


def test_a_link_within_what_is_named_is_fixed():
    Path("sub").mkdir()
    Path("sub/a.py").write_text(FIXABLE)
    Path("link.py").symlink_to(Path("sub/a.py").resolve())
    report = audit_paths(["."], fix="safe")
    assert (report.fixed, report.problems) == (1, ())
    assert Path("sub/a.py").read_text() == FIXED


def test_what_is_remembered_is_fixed_too_and_what_is_fixed_is_remembered(monkeypatch):
    write(a=FIXABLE)
    for text, fixable in ((FIXABLE, [True]), (FIXABLE + "nn.Dropout(7)\n", [True, False])):
        write(a=text)
        assert [f.fix is not None for f in audit_paths(["."]).findings] == fixable
        assert audit_paths(["."], fix="safe").fixed == 1
        assert len(audit_paths(["."]).findings) == len(fixable) - 1
    monkeypatch.setattr(run_module, "audit_file", None)  # nothing is audited again
    before = audit_paths(["."])
    assert found(before) == [("a.py", "p-out-of-range", 7)]
    assert audit_paths(["."], fix="safe").findings == before.findings
    with pytest.raises(TypeError):
        audit_paths(["."], fix="ignores")


def test_processes_fix(parallel):
    write(**dict.fromkeys("abcdef", FIXABLE))
    assert audit_paths(["."], jobs=2, fix="safe").fixed == 6
    assert all(path.read_text(encoding="utf-8") == FIXED for path in Path().glob("*.py"))


def test_a_change_may_be_shown_and_not_made():
    write(a=FIXABLE, b=CLEAN)
    shown = []
    report = audit_paths(["."], fix="safe", changed=lambda *change: shown.append(change))
    assert shown == [("a.py", FIXABLE, FIXED)]
    assert Path("a.py").read_text(encoding="utf-8") == FIXABLE
    assert (report.fixed, len(report.findings)) == (0, 1)


@pytest.mark.parametrize(
    ("encode", "decode"),
    [
        (lambda text: b"\xef\xbb\xbf" + text.encode(), "utf-8-sig"),
        (lambda text: f"# coding: latin-1\n{text}".encode("latin-1"), "latin-1"),
        (lambda text: text.replace("\n", "\r\n").encode(), "utf-8"),
        (lambda text: text.replace("    ", "\t").encode(), "utf-8"),
        (lambda text: text.rstrip("\n").encode(), "utf-8"),
    ],
    ids=["bom", "latin-1", "crlf", "tabs", "no-end"],
)
def test_what_is_not_fixed_stays_to_the_byte(encode, decode):
    Path("a.py").write_bytes(encode(FIXABLE))
    assert audit_paths(["."], fix="safe").fixed == 1
    assert Path("a.py").read_bytes() == encode(FIXED)
    compile(Path("a.py").read_bytes(), "a.py", "exec")


@pytest.mark.parametrize("indent", [None, 1])
def test_a_notebook_is_fixed_in_its_cell(indent):
    head, body = FIXABLE.split("\n\n")

    def write_notebook(body):
        cells = [
            {"cell_type": "code", "source": ["%time\n", *head.splitlines(True)], "outputs": [1.50]},
            {"source": body.splitlines(True), "cell_type": "code", "outputs": ["Dropout(0.5)"]},
        ]
        data = {"metadata": {}, "cells": cells, "nbformat": 4}
        return json.dumps(data, indent=indent, ensure_ascii=False) + "\n"

    Path("n.ipynb").write_text(write_notebook(body), encoding="utf-8")
    [finding] = audit_paths(["."]).findings
    assert (finding.cell, finding.line) == (2, 3)
    assert audit_paths(["."], fix="safe").fixed == 1
    fixed = write_notebook(FIXED.split("\n\n")[1])
    assert Path("n.ipynb").read_text(encoding="utf-8") == fixed
    assert audit_paths(["."], fix="safe").fixed == 0


def edited_meanwhile(*args):
    write(a="x = 1\n")
    return FIXED, 1


def refuse(*_):
    raise PermissionError(13, "Permission denied")


ASCII = FIXABLE.replace("é", "e").encode()
DECLARED = b"# coding: ascii\n" + ASCII
KOREAN = b"# coding: iso2022_kr\n" + ASCII  # a new text is read back as another


@pytest.mark.parametrize(
    ("data", "name", "instead", "said"),
    [
        (ASCII, "fix_all", edited_meanwhile, "it has just changed"),
        (ASCII, "write_over", refuse, "permission denied"),
        (DECLARED, "fix_all", lambda text, *_: (text + "# é", 1), "'ascii' codec can't"),
        (KOREAN, "fix_all", lambda text, *_: (text + "# \x0e\n", 1), ""),
    ],
    ids=["changed", "may not be written", "a character that the encoding lacks", "read as another"],
)
def test_a_file_that_cannot_be_written_is_left_alone_and_told(
    monkeypatch, data, name, instead, said
):
    Path("a.py").write_bytes(data)
    monkeypatch.setattr(run_module, name, instead)
    report = audit_paths(["."], fix="safe")
    assert Path("a.py").read_bytes() == (b"x = 1\n" if instead is edited_meanwhile else data)
    assert f"a.py: not fixed: {said}" in report.problems[0]
    assert (report.fixed, report.files, len(report.findings)) == (0, 1, 1)


def test_a_fix_that_does_not_help_is_not_offered_again_in_that_run(monkeypatch):
    write(a=FIXABLE)
    with monkeypatch.context() as patched:
        patched.setattr(run_module, "fix_all", lambda text, *_: (text, 0))
        assert [f.fix for f in audit_paths(["."], fix="safe").findings] == [None]
    # It is remembered as it was found.
    assert [f.fix is not None for f in audit_paths(["."]).findings] == [True]
    assert audit_paths(["."], fix="safe").fixed == 1


def test_a_file_that_does_not_parse_is_left_alone():
    text = FIXABLE + "def f(:\n"
    write(a=text)
    report = audit_paths(["."], fix="unsafe")
    assert found(report) == [("a.py", "syntax-error", 7)]
    assert Path("a.py").read_text(encoding="utf-8") == text


# --- Encodings in which the same text can be written in several ways ------------------------------


@pytest.mark.parametrize(
    ("coding", "character", "end"),
    [
        ("unicode_escape", r"\\n \x41", ""),
        ("raw_unicode_escape", r"\u0041", ""),
        ("utf-7", "+AEE-", ""),
        ("iso2022_jp", "\x1b(J", "\x1b(B# e\n"),
    ],
)
@pytest.mark.parametrize("fix", ["safe", "unsafe", "ignores"])
def test_a_file_whose_bytes_would_change_is_not_fixed(coding, character, end, fix):
    """A source that escapes what it could write as it is."""
    data = f"# coding: {coding}\n{FIXABLE.replace('é', character)}{end}".encode()
    Path("a.py").write_bytes(data)
    assert found(audit_paths(["."])), "nothing could be fixed"
    shown = []
    for changed in (None, lambda *change: shown.append(change)):
        report = audit_paths(["."], fix=fix, changed=changed)
        assert Path("a.py").read_bytes() == data
        [problem] = report.problems
        assert "a.py: not fixed: its bytes change when its text is encoded again" in problem
        assert (report.fixed, report.ignored, shown) == (0, 0, [])
    report, after = audit_data(data, "a.py", fix=fix)
    assert (after, report.fixed) == (data, 0)


# --- Memory -------------------------------------------------------------------------------------


def one_line(count):
    """So many findings on one line."""
    calls = ",".join(f"a{n}=F.dropout(x,0.1)" for n in range(count))
    return f"import torch.nn.functional as F\nf({calls})\n"


def test_what_is_kept_of_a_line_does_not_grow_with_its_length():
    sizes = []
    for count in (100, 400):
        report, _ = audit_data(one_line(count).encode(), "a.py")
        assert len(report.findings) == count
        sizes.append(len(pickle.dumps(report.findings)))
    assert sizes[1] < 5 * sizes[0]  # it was 16 times as much


def test_a_long_message_keeps_its_ends():
    """It quotes source text."""
    text = f"from torch import nn\nd = nn.Dropout({'0.' + '0' * 100_000})\n"
    [finding] = audit_data(text.encode(), "a.py")[0].findings
    assert len(finding.message) < 1_000
    assert finding.message.startswith("nn.Dropout with a rate of 0.000")
    assert finding.message.endswith("000 does nothing")


def test_of_many_findings_the_first_are_reported_and_errors_before_advice(monkeypatch):
    monkeypatch.setattr(run_module, "MOST_FINDINGS", 3)
    advice = "nn.Dropout(1.0)\n"
    write(a=f"import torch.nn as nn\n{advice * 4}nn.Dropout(7)\n", b=BAD)
    for _ in range(2):  # not remembered as all there is
        report = audit_paths(["."])
        lines = [(f.path, f.line, f.severity) for f in report.findings]
        assert lines == [
            ("a.py", 2, "advice"), ("a.py", 3, "advice"), ("a.py", 6, "error"), ("b.py", 2, "error")
        ]  # fmt: skip
        said = "a.py: 5 findings, of which 3 are reported, errors first"
        assert (report.problems, report.complete, report.interrupted) == ((said,), False, False)
        assert report.files == 2
    data = f"import torch.nn as nn\n{advice * 4}".encode()
    assert not audit_data(data, "a.py")[0].complete


def killed_for_a(task):
    if task.path == "a.py":
        os.kill(os.getpid(), signal.SIGKILL)
    return run_module.audit_file(task)


@pytest.mark.integration
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_process_that_the_system_kills_costs_one_file(parallel, monkeypatch, jobs):
    monkeypatch.setattr(run_module, "audit_file", killed_for_a)
    write(a=BAD, b=BAD, c=BAD)
    report = audit_paths(["."], jobs=jobs, cache=False)
    assert [f.path for f in report.findings] == ["b.py", "c.py"]
    [problem] = report.problems
    assert problem.startswith("a.py: not audited: the process that audited it ended: exit code -9")


@pytest.mark.integration
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_process_that_ends_while_it_is_idle_costs_nothing():
    processes = workers._Processes(abs)
    try:
        assert processes.run(-7) == 7
        [process] = processes._all
        process.kill()
        process.wait()
        assert processes.run(-8) == 8
    finally:
        processes.kill()
        processes.close()
