"""`python -m torchdropout` where a package is missing, or where it is interrupted."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from torchdropout import __main__ as program
from torchdropout._tools.extras import missing

ROOT = Path(__file__).parents[1]
PATH = os.pathsep.join([str(ROOT / "src"), str(ROOT / "packages" / "audit" / "src")])


@pytest.fixture
def raised(monkeypatch):
    """Makes each import raise an error."""

    def raising(error):
        def import_module(name):
            raise error

        monkeypatch.setattr(importlib, "import_module", import_module)

    return raising


def absent(name):
    return ModuleNotFoundError(f"No module named {name!r}", name=name)


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["verify", "torch.nn:Dropout"], "verify"),
        (["audit", "."], "audit"),
        (["--version"], ""),
        ([], ""),
        (["info", "--format", "json"], "info"),
    ],
)
@pytest.mark.parametrize("name", ["click", "rich"])
def test_a_missing_package_is_named(raised, capsys, name, arguments, command):
    raised(absent(name))
    assert program.main(arguments) == 2
    assert capsys.readouterr() == ("", f"{missing(command)}\n")


def test_info_needs_no_package(raised, capsys):
    raised(absent("click"))
    assert program.main(["info"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("torchdropout ")
    assert err == ""


def test_a_package_that_lacks_another_is_broken(raised):
    raised(absent("colorama"))
    with pytest.raises(ModuleNotFoundError, match="colorama"):
        program.main(["info"])


def test_an_interrupt_while_packages_load(raised, capsys):
    raised(KeyboardInterrupt())
    assert program.main(["info"]) == 130
    assert capsys.readouterr() == ("", "")


COMMAND_LINES = ["--version", "--help", "audit --no-config model.py", "explain TD101"]
AS_SCRIPT = "import sys; from torchdropout.__main__ import main; sys.exit(main())"


@pytest.mark.integration
@pytest.mark.parametrize("line", COMMAND_LINES)
@pytest.mark.parametrize("is_script", [True, False])
def test_what_needs_no_torch_does_not_import_it(line, is_script, tmp_path):
    (tmp_path / "torchdropout").write_text(AS_SCRIPT)
    (tmp_path / "model.py").write_text("import torch.nn as nn\nnn.Dropout(0.5)\n")
    started = [str(tmp_path / "torchdropout")] if is_script else ["-m", "torchdropout"]
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *started, *line.split()],
        capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": PATH},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    imported = {said.rpartition("|")[2].strip() for said in done.stderr.splitlines()}
    assert "torchdropout.__main__" in imported or not is_script
    assert imported.isdisjoint({"torch", "numpy"})


USES_IT = """
import torchdropout as td
from torchdropout import nn
from torchdropout.functional import dropout
assert "torch" in sys.modules
import torch
assert torch.ops.torchdropout is not None
assert td.nn.Dropout is nn.Dropout
assert td.convert(torch.nn.Sequential(torch.nn.Dropout(0.5))) is not None
assert not hasattr(td, "no_such_name")
"""


@pytest.mark.integration
@pytest.mark.parametrize(
    "first", ["td.nn", "import torchdropout.nn", "from torchdropout import Key"]
)
def test_a_program_of_the_name_of_the_command_has_the_whole_library(first, tmp_path):
    said = f"import sys\nimport torchdropout as td\nassert 'torch' not in sys.modules\n{first}\n"
    (tmp_path / "torchdropout").write_text(said + USES_IT)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "torchdropout")],
        capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": PATH},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
