"""Which commands have the current folder taken off the path; both distributions have the file."""

import sys
import types
from pathlib import Path

import pytest

import torchdropout
import torchdropout_audit
from torchdropout import _safe_path

RUN = {
    "-m torchdropout audit .": True,
    "-mtorchdropout audit": True,
    "-Bm torchdropout": True,
    "-W ignore -X importtime -m torchdropout": True,
    "-m torchdropout.cli": True,
    "-bBdEiOPqRsSuvxm torchdropout": True,
    "-Bmtorchdropout.cli audit": True,
    "-cm torchdropout": False,
    "-Xm torchdropout": False,
    "--m torchdropout": False,
    "-m": False,
    "-m pytest torchdropout": False,
    "-mpytest torchdropout": False,
    "-m torchdropout_of_another": False,
    "-m pytest -m torchdropout": False,
    "-W m torchdropout": False,
    "m torchdropout": False,
    "": False,
}


@pytest.mark.parametrize(("command", "leaves"), RUN.items())
def test_the_folder_is_left_where_this_package_is_run(command, leaves, monkeypatch):
    monkeypatch.setattr(sys, "orig_argv", ["python", *command.split()])
    monkeypatch.setattr(sys, "argv", ["-m"])  # as it is until the module is found
    monkeypatch.setattr(sys, "path", ["here", "there"])
    _safe_path.leave_current_folder("torchdropout")
    assert sys.path == (["there"] if leaves else ["here", "there"])


FLAGS = [
    types.SimpleNamespace(isolated=0, safe_path=True),
    types.SimpleNamespace(isolated=1, safe_path=False),
    types.SimpleNamespace(isolated=1),  # as before Python 3.11
]


@pytest.mark.parametrize(
    ("name", "value"),
    [("argv", ["audit.py"]), ("argv", []), *(("flags", flags) for flags in FLAGS)],
)
def test_it_stays_where_it_is_not_that_of_python(name, value, monkeypatch):
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "torchdropout"])
    monkeypatch.setattr(sys, "argv", ["-m"])
    monkeypatch.setattr(sys, "path", ["here", "there"])
    monkeypatch.setattr(sys, name, value)
    _safe_path.leave_current_folder("torchdropout")
    assert sys.path == ["here", "there"]


def test_both_files_are_the_same():
    homes = [Path(package.__file__).parent for package in (torchdropout, torchdropout_audit)]
    one, other = ((home / "_safe_path.py").read_text() for home in homes)
    assert one == other
