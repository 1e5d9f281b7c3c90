"""`torchdropout audit-model`."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from torchdropout.audit_model.load import Input, read_input, read_inputs
from torchdropout.cli import run
from torchdropout.errors import ArgumentValueError

PAGE = Path(__file__).parents[2] / "docs" / "audit-model.md"
FAULTY = Path(__file__).parent / "models" / "faulty.py"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def audit(*arguments):
    return run(["audit-model", *map(str, arguments)])


@pytest.mark.parametrize("name", ["alive", "named"])
def test_errors(name, capsys):
    assert audit(f"{FAULTY}:{name}") == 1
    out, err = capsys.readouterr()
    assert "TD301 alive-in-eval  the model's own F.dropout" in out
    assert "drop " in out
    assert err == ""


def test_the_page_shows_what_is_printed(capsys, monkeypatch):
    """Compared without times and measured rates."""
    monkeypatch.chdir(FAULTY.parent)
    assert audit("my_model.py:build") == 1
    printed = capsys.readouterr().out
    blocks = PAGE.read_text(encoding="utf-8").split("```")
    command = "\n$ torchdropout audit-model my_model.py:build\n"
    shown = next(block.removeprefix(command) for block in blocks if block.startswith(command))
    source = (FAULTY.parent / "my_model.py").read_text()
    assert f"python\n{source}" in blocks

    def plain(text):
        words = (re.sub(r"0\.\d{3,}|\d+\.\d s", "#", line).split() for line in text.splitlines())
        return list(words)

    assert plain(printed) == plain(shown)


def test_inputs_are_made(capsys):
    assert audit(f"{FAULTY}:bare", "--input", "4x64", "--format", "json") == 1
    out, err = capsys.readouterr()
    data = json.loads(out)
    assert [site["kind"] for site in data["sites"]] == ["Dropout", "F.dropout"]
    assert err == "printed by the factory\n"


@pytest.mark.integration
def test_a_package_whose_name_begins_as_torch_does_has_lines(capsys):
    assert audit("torchvision.models:swin_t", "--input", "1x3x32x32", "--format", "json") == 0
    sites = json.loads(capsys.readouterr().out)["sites"]
    lines = {one["line"].rpartition(":")[0] for one in sites if one["kind"] == "StochasticDepth"}
    assert lines == {"torchvision/models/swin_transformer.py"}


@pytest.mark.parametrize(
    "body",
    [
        "import sys\nsys.exit(0)",
        "def build():\n    raise SystemExit",
        "class M(torch.nn.Module):\n    def forward(self):\n        exit(0)\nbuild = M()",
        "class M(torch.nn.Module):\n    config = property(lambda self: exit(0))\n"
        "    def forward(self):\n        pass\nbuild = M()",
        "def __getattr__(name):\n    exit(0)",
    ],
    ids=["file", "factory", "forward", "property", "attribute"],
)
def test_a_target_that_ends_the_program_is_an_error(body, tmp_path, capsys):
    file = tmp_path / "ends.py"
    file.write_text(f"import torch\n{body}\n")
    before = sys.path.copy(), set(sys.modules)
    assert audit(f"{file}:build") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "SystemExit" in err
    assert sys.path == before[0]
    assert not [name for name in set(sys.modules) - before[1] if "_target_" in name]


ENDS = {
    "exit": ("os._exit(0)", "the process ended with exit code 0"),
    "kill": ("os.kill(os.getpid(), 9)", "the process ended with SIGKILL"),
    "exec": ("os.execv('/bin/true', ['true'])", "the process ended with exit code 0"),
    "left-behind": (
        "subprocess.Popen(['sleep', '600'], close_fds=False); os._exit(0)",
        "the process ended with exit code 0",
    ),
    "raise": ("raise KeyError('x')", "KeyError"),
}


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux")
@pytest.mark.parametrize("name", ENDS)
def test_a_process_that_ends_is_noticed(name, tmp_path, monkeypatch, capfd):
    body, said = ENDS[name]
    file = tmp_path / "ends.py"
    file.write_text(f"import os, subprocess\n\ndef build():\n    {body}\n")
    # Without arguments they are those of the process, which is forked then.
    monkeypatch.setattr(sys, "argv", ["torchdropout", "audit-model", f"{file}:build"])
    assert run() == 2
    out, err = capfd.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert said in line


@pytest.mark.integration
@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux")
def test_a_process_and_what_it_has_started_end_with_the_command(tmp_path):
    file = tmp_path / "hangs.py"
    file.write_text(
        "import os, subprocess\n"
        "def build():\n"
        "    child = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        "    print(os.getpid(), child.pid, flush=True)\n"
        "    child.wait()\n"
    )
    command = [sys.executable, "-m", "torchdropout", "audit-model", f"{file}:build"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        started = process.stderr.readline().split()
        process.send_signal(signal.SIGTERM)
        process.stderr.read()  # until nothing that the target has started holds it open
    assert process.returncode == -signal.SIGTERM
    assert len(started) == 2
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]


def test_what_a_model_says_is_one_line_without_control_characters(tmp_path, capsys):
    file = tmp_path / "says.py"
    file.write_text("def build():\n    raise ValueError('\\x1b]0;title\\x07\\n::error::x')\n")
    assert audit(f"{file}:build") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isprintable()


def test_advice_fails_only_when_strict(capsys):
    assert audit(f"{FAULTY}:never") == 0
    assert audit(f"{FAULTY}:never", "--strict") == 1
    assert audit(f"{FAULTY}:never", "--strict", "--exit-zero") == 0
    assert audit(f"{FAULTY}:alive", "--exit-zero") == 0


def test_a_file(tmp_path, capsys):
    file = tmp_path / "report"
    assert audit(f"{FAULTY}:alive", "--format", "html", "--output", file) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("torchdropout: 1 error at 2 sites in")
    assert "alive-in-eval" in file.read_text()


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("nothing", "Expected TARGET as `package.module:Attribute` or `path/file.py:Attribute`"),
        (
            "no.such.package:f",
            "to name an importable module, no.such.package, got no module named 'no'",
        ),
        ("nowhere.py:f", "to name a Python file, nowhere.py, got no such file"),
        ("faulty.py:gone", "to name an attribute 'gone'"),
        (
            "faulty.py:no_model",
            "to return a model, (model, args) or (model, args, kwargs), got int",
        ),
        ("faulty.py:broken", "RuntimeError: no weights"),
        ("faulty.py:bare", "in the pass 'train' with no arguments"),
    ],
)
def test_what_cannot_be_run(target, said, capsys):
    assert audit(target.replace("faulty.py", str(FAULTY))) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err


@pytest.mark.parametrize("text", ["", "x", "4x", "4x-1", "4:nothing", "a-b=4", "4:Tensor", "3.5"])
def test_inputs_that_are_none(text, capsys):
    with pytest.raises(ArgumentValueError, match="Expected `--input` to be"):
        read_input(text)
    assert audit(f"{FAULTY}:bare", "--input", text) == 2


def test_inputs():
    assert read_input("2") == Input("", (2,), torch.float32)
    assert [each.name for each in read_inputs(["2", "2", "x=2", "y=2"])] == ["", "", "x", "y"]
    with pytest.raises(ArgumentValueError, match=r"once for each name, got 'x=2' \(str\) and"):
        read_inputs(["x=2", "2", "x=3"])
    ids = read_input("ids=3x5:int64").make(torch.device("cpu"))
    assert ids.dtype == torch.int64
    assert set(ids.flatten().tolist()) <= {0, 1}
    for dtype in ("float64", "complex64"):
        made = read_input(f"8:{dtype}").make(torch.device("cpu"))
        assert made.dtype == getattr(torch, dtype)
        assert not set(made.tolist()) & {0, 1}
    assert bool(read_input("4:bool").make(torch.device("cpu")).all())
    assert read_input("4:bfloat16").make(torch.device("meta")).is_meta
    before = torch.get_rng_state()
    read_input("4x4").make(torch.device("cpu"))
    assert torch.equal(before, torch.get_rng_state())


LAZY = """
import torch
from helper import drop

class Net(torch.nn.Module):
    def forward(self, x):
        import helper, later
        return later.same(helper.drop(x))

def build():
    return Net(), (torch.ones(64),)
"""


def test_a_file_imports_its_neighbours_also_when_it_is_called(tmp_path, capsys):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "net.py").write_text(LAZY)
    (folder / "helper.py").write_text(
        "import torch.nn.functional as F\ndef drop(x):\n    return F.dropout(x, 0.5)\n"
    )
    (folder / "later.py").write_text("def same(x):\n    return x\n")
    before = sys.path.copy(), set(sys.modules)
    assert audit(f"{folder}/net.py:build") == 1
    # Relative to the folder that the command was run in, not to the target's.
    assert "F.dropout (elsewhere/helper.py:3) drops in eval" in capsys.readouterr().out
    assert sys.path == before[0]
    assert not {"net", "helper", "later"} & (set(sys.modules) - before[1])
    assert not list(folder.rglob("__pycache__"))
