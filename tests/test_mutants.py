"""The driver of `make mutants`: what it changes, and that what it leaves out is there."""

import gc
import json
import sys
from types import FunctionType

import pytest

import mutants
import mutants_map
import mutants_server

TEXT = """
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import never

LIMIT: Literal[7] = 3
HUGE = 1e30
_MOST_NAMES = 11


class A:
    def __repr__(self) -> str:
        return f"A({self.n + 1})"

    def m(self, x: int = 2) -> int:
        "A docstring of 10 words."
        self.pair = 8, 8
        self.n = x
        if x < 5 and not self.done:
            raise ValueError("é", 1.5)
        if x is None:
            return False
        if len(x) > _MOST_NAMES:
            self.n -= 0
        dict(zip(self.all, x, strict=True), strict=True)
        return max(x, [i for i in self.all if i == 4][0])
"""


def test_what_is_mutated_and_what_is_not():
    found = mutants.mutations("src/a.py", TEXT)
    changes = {(m.function, mutants.one_line(m.old), m.new) for m in found}
    assert {
        ("", "3", "4"),
        ("A.m", "x < 5", "(x <= 5)"),
        ("A.m", "5", "50"),
        ("A.m", "x < 5 and not self.done", "(x < 5 or not self.done)"),
        ("A.m", "not self.done", "(self.done)"),
        ("A.m", 'raise ValueError("é", 1.5)', "pass"),
        ("A.m", "1.5", "0.5"),
        ("A.m", "i == 4", "(not (i == 4))"),
        ("A.m", "self.n = x", "pass"),
        ("A.m", "True", "False"),
    } <= changes
    assert [m.old[:11] for m in found if m.kind == "returned value"] == ["return max("]
    assert any(m.kind == "max/min" for m in found)
    assert sum(m.old == "True" for m in found) == 1  # not that of `zip`
    assert not any(m.old in ("7", "10", "1") or "never" in m.old for m in found)
    assert [m.new for m in found if m.old == "0"] == ["1"] * 2
    assert [m.new for m in found if m.old == "1e30"] == ["1e+31"]  # the others are the same number
    assert [m.kind for m in found if "11" in m.old or "_MOST" in m.old] == ["condition"]
    assert len({m.key for m in found}) == len(found)
    for mutation in found:
        assert TEXT[mutation.start : mutation.end] == mutation.old
        compile(mutation.applied(TEXT), "a.py", "exec")


@pytest.mark.parametrize("key", mutants.equivalents())
def test_each_mutation_that_is_left_out_is_one_that_could_be_drawn(key):
    path = key.partition("::")[0]
    text = (mutants.ROOT / path).read_text()
    assert key in {mutation.key for mutation in mutants.mutations(path, text)}


def test_a_case_that_is_not_in_the_map_runs_what_the_others_run(tmp_path, capsys):
    path = tmp_path / "map.json"
    names = "src/a.py::f", "src/a.py::g"
    known = {"t.py::a[1]": names[:1], "t.py::a[2]": names, "t.py::b": names[1:]}
    path.write_text(
        json.dumps({test: {"seconds": 1.0, "runs": runs} for test, runs in known.items()})
    )
    tests = mutants.Selection(path)
    tests.keep(["t.py::a[2]", "t.py::a[3]", "t.py::b", "t.py::c"])
    assert tests.by_function == {
        "src/a.py::f": {"t.py::a[2]", "t.py::a[3]"},
        "src/a.py::g": {"t.py::a[2]", "t.py::a[3]", "t.py::b"},
    }
    assert tests.seconds.keys() == {"t.py::a[2]", "t.py::a[3]", "t.py::b", "t.py::c"}
    assert tests.unknown == {"t.py::c"}


def test_a_test_of_which_nothing_is_known_is_tried_last_for_sources_of_its_room(tmp_path):
    path = tmp_path / "map.json"
    known = "tests/a/test_x.py::test_known"
    path.write_text(json.dumps({known: {"seconds": 9.0, "runs": ["src/a/b.py::f"]}}))
    tests = mutants.Selection(path)
    new = "tests/a/test_x.py::test_new", "tests/c/test_x.py::test_elsewhere"
    tests.keep([known, *new])
    (mutation,) = mutants.mutations("src/a/b.py", "def f(): return g")
    assert tests.of(mutation)[0] == [known, new[0]]


def test_the_nearest_tests_come_first_and_then_the_quickest(tmp_path):
    path = tmp_path / "map.json"
    seconds = {
        "tests/test_other.py::test_b": 0.1,
        "tests/test_other.py::test_a": 0.2,
        "tests/test_other.py::test_example[check-count-spread]": 3.0,
        "tests/a/test_layer.py::test_c": 4.0,
        "tests/test_other.py::test_d": 60.0,
    }
    known = {
        t: {"seconds": s, "runs": ["src/a/layer.py::count_spread"]} for t, s in seconds.items()
    }
    path.write_text(json.dumps(known))
    tests = mutants.Selection(path)
    mutation = mutants.mutations("src/a/layer.py", "def count_spread(): return 1")[0]
    names = ["test_c", "test_example[check-count-spread]", "test_b", "test_a"]
    chosen, left_out = tests.of(mutation)
    assert [test.partition("::")[2] for test in chosen] == names
    assert left_out == pytest.approx(60.02)


@pytest.mark.parametrize(
    ("path", "text", "is_public"),
    [
        ("src/torchdropout/a.py", "def f(p=3): pass", True),
        ("src/torchdropout/a.py", "class A:\n    def __init__(self, p=3): pass", True),
        ("src/torchdropout/a.py", "def _f(p=3): pass", False),
        ("src/torchdropout/a.py", "class _A:\n    def f(self, p=3): pass", False),
        ("src/torchdropout/a.py", "class A:\n    p: int = 3", True),
        ("packages/audit/src/a.py", "def f(p=3): pass", False),
    ],
)
def test_the_written_interface_notices_the_defaults_of_public_functions(
    tmp_path, path, text, is_public
):
    known = tmp_path / "map.json"
    interface = "tests/test_signatures.py::test_interface"
    known.write_text(json.dumps({interface: {"seconds": 0.3, "runs": []}}))
    mutation = mutants.mutations(path, text)[0]
    assert mutants.Selection(known).of(mutation)[0] == [interface] * is_public


def test_the_map_is_made_of_every_file_of_tests_once():
    parts = mutants.parts_of(mutants.TESTS)
    files = [file for part in parts for file in part]
    folders = [mutants.ROOT / folder for folder in mutants.TESTS]
    assert len(files) == len(set(files)) == sum(len([*f.rglob("test_*.py")]) for f in folders)
    assert all(len({file.rpartition("/")[0] for file in part}) == 1 for part in parts)
    assert max(map(len, parts)) == mutants.FILES
    for test in mutants.ENDLESS:
        file, _, name = test.partition("::")
        assert f"def {name or 'test_'}" in (mutants.ROOT / file).read_text()


def test_the_tests_of_the_command_line_are_those_of_its_files():
    is_own = mutants.Selection._is_own
    assert is_own("tests/test_cli.py::test_a", "src/torchdropout/cli/verify.py")
    assert not is_own("tests/test_cli.py::test_a", "src/torchdropout/verify/stats.py")
    assert is_own("tests/verify/test_stats.py::test_a", "src/torchdropout/verify/stats.py")
    assert is_own("tests/verify/test_stats_of_it.py::test_a", "src/torchdropout/verify/_stats.py")
    assert not is_own("tests/verify/test_statsof.py::test_a", "src/torchdropout/verify/stats.py")
    assert not is_own("tests/verify/test_a_stats.py::test_a", "src/torchdropout/verify/stats.py")


IMPORTED = """
LIMIT = 3

def ran(x):
    return x + 10

class A:
    number = ran(4)

    @property
    def twice(self):
        return [2 * i for i in (self.number,)][0]

def outer(n):
    def inner(x, more=5):
        return x * n + more
    return inner

kept = outer(2)
pair = (lambda x: x + 1), (lambda x: x + 1)
"""


@pytest.mark.parametrize(
    ("old", "new", "expression", "expected"),
    [
        ("2 * i", "(3 * i)", "A().twice", 42),
        ("(self.number,)", "(1,\n        self.number)", "A().twice", 2),
        ("x * n + more", "x * n - more", "kept(1)", -3),
        ("x * n + more", "x * n - more", "outer(2)(1)", -3),
        ("more=5", "more=6", "outer(2)(1)", None),  # `outer` ran
        ("x * n + more", "x + more", "kept(1)", None),  # `kept` has a cell for n
        ("x + 10", "x + 11", "A.number", None),
        ("LIMIT = 3", "LIMIT = 4", "LIMIT", None),
        ("ran(4)", "ran(5)", "A.number", None),
        ("x + 1),", "x + 2),", "pair[0](0)", 2),
    ],
)
def test_functions_in_memory_get_the_code_that_an_import_would_give_them(
    old, new, expression, expected, tmp_path
):
    assert IMPORTED.count(old) == 1
    file = tmp_path / "a.py"
    recorder, names = mutants_map.Recorder(), {}
    code = compile(IMPORTED, str(file), "exec", dont_inherit=True)
    traced = sys.gettrace()
    sys.settrace(recorder.trace)
    try:
        exec(code, names)
    finally:
        sys.settrace(traced)
    collected = mutants_server.Collected(recorder)
    collected.ran = set(recorder.codes.values())
    collected.functions = {
        str(file): [
            f for f in gc.get_objects() if type(f) is FunctionType and f.__globals__ is names
        ]
    }
    before = eval(expression, names)
    text = IMPORTED.replace(old, new)
    assert collected.change(file, IMPORTED, text) == (expected is not None)
    after = eval(expression, names)
    if expected is None:
        assert after == before
    else:
        anew = {}
        exec(text, anew)
        assert after == eval(expression, anew) == expected != before


def test_a_file_that_was_not_imported_is_left_to_the_import(tmp_path):
    collected = mutants_server.Collected(mutants_map.Recorder())
    collected.ran, collected.functions = set(), {}
    assert collected.change(tmp_path / "a.py", IMPORTED, IMPORTED.replace("LIMIT = 3", "LIMIT = 4"))
