"""The driver of `make mutants`: what it changes, and that what it leaves out is there."""

import json

import pytest

import mutants

TEXT = """
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import never

LIMIT: Literal[7] = 3


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
    } <= changes
    assert [m.old[:11] for m in found if m.kind == "returned value"] == ["return max("]
    assert any(m.kind == "max/min" for m in found)
    assert not any(m.old in ("7", "10", "1") or "never" in m.old for m in found)
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


def test_the_map_is_made_of_every_file_of_tests_once():
    parts = mutants.parts_of(mutants.TESTS)
    files = [file for part in parts for file in part]
    folders = [mutants.ROOT / folder for folder in mutants.TESTS]
    assert len(files) == len(set(files)) == sum(len([*f.rglob("test_*.py")]) for f in folders)
    assert all(len({file.rpartition("/")[0] for file in part}) == 1 for part in parts)
    assert max(map(len, parts)) == mutants.FILES
    file, _, name = mutants.ENDLESS.partition("::")
    assert f"def {name}(" in (mutants.ROOT / file).read_text()


def test_the_tests_of_the_command_line_are_those_of_its_files():
    is_own = mutants.Selection._is_own
    assert is_own("tests/test_cli.py::test_a", "src/torchdropout/cli/verify.py")
    assert not is_own("tests/test_cli.py::test_a", "src/torchdropout/verify/stats.py")
    assert is_own("tests/verify/test_stats.py::test_a", "src/torchdropout/verify/stats.py")
