"""Diffs that `patch` and git take."""

import shutil
import subprocess

import pytest

from torchdropout_audit.report import render_diff

CASES = {
    "a line": ("a\nb\nc\n", "a\nB\nc\n"),
    "no end": ("a\nb", "a\nB"),
    "an end more": ("a", "a\n"),
    "other line ends": ("a\r\nb\r\n", "a\r\nB\r\n"),
    "a form feed and a lone return": ("a\x0cb\rc\nd\n", "a\x0cb\rC\nd\n"),
    "many lines": (
        "\n".join(map(str, range(50))),
        "\n".join(map(str, [*range(9), 9.5, *range(10, 50)])),
    ),
}


def test_no_change_is_no_diff():
    assert render_diff("f.py", "x\n", "x\n") == ""


def test_what_a_path_says_stays_on_its_line():
    assert render_diff("a\nb\x1b.py", "x\n", "y\n").splitlines()[0] == "--- a b .py"


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
@pytest.mark.parametrize(("old", "new"), CASES.values(), ids=CASES)
def test_git_applies_it(tmp_path, old, new):
    path = tmp_path / "f.py"
    path.write_bytes(old.encode())
    diff = render_diff("f.py", old, new).encode()
    subprocess.run(
        ["git", "apply", "-p0", "--whitespace=nowarn"], input=diff, cwd=tmp_path, check=True
    )
    assert path.read_bytes() == new.encode()
