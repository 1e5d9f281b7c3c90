"""`torchdropout mc plan`."""

import json
import subprocess
import sys

import pytest

from torchdropout.cli import run

SOURCE = """
import torch

class Shifted(torch.nn.Module):
    def forward(self, x):
        return x * torch.empty_like(x).bernoulli_(0.5) * 2 + 1 if self.training else x

class Poisson(torch.nn.Module):
    def forward(self, x):
        return x + torch.poisson(x.abs())

def make():
    print("made")
    model = torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.Dropout(0.25), torch.nn.Dropout())
    return model, (torch.ones(3, 8),)

def bare():
    return make()[0]

def shifted():
    return torch.nn.Sequential(torch.nn.Dropout(), Shifted()), (torch.ones(3, 8),)

def poisson():
    return torch.nn.Sequential(torch.nn.Dropout(), Poisson()), (torch.ones(3, 8),)

class Drops(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.drop, self.function = torch.nn.Dropout(), function

    def forward(self, x, table=None):
        return self.function(self.drop, x, *([] if table is None else [table]))

def table():
    return Drops(lambda drop, x, table: drop(x) @ table.T), (torch.ones(3, 8), torch.ones(3, 8))

def folds():
    fold = lambda drop, x: x * drop(torch.ones(x.numel(), 1)).view(*x.shape[::-1]).T
    return Drops(fold), (torch.ones(3, 8),)

def flips():
    return Drops(lambda drop, x: drop(x.flip(0)).flip(0)), (torch.randn(3, 8),)

def dropped():
    return torch.nn.Dropout(), (torch.randn(3, 8),)

def none():
    return torch.nn.Linear(8, 4), (torch.ones(3, 8),)

def scripted():
    return torch.jit.trace(torch.nn.Linear(8, 4), torch.ones(3, 8)), (torch.ones(3, 8),)

def program():
    return torch.export.export(torch.nn.Linear(8, 4), (torch.ones(3, 8),))
"""
TEXT = """\
site  draws    p     how it is reached
1 #0  dropout  0.25  its call
2 #0  dropout  0.5   its call

One input in another batch, and in another order: the same.
2 of 2 sites draw. With the mean of each draw the output is eval's, bit for bit.
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text(SOURCE)


def mc_plan(*arguments):
    return run(["mc", "plan", *arguments])


def test_text(capsys):
    assert mc_plan("model.py:make") == 0
    assert capsys.readouterr() == (TEXT, "made\n")
    assert mc_plan("model.py:bare", "--input", "2x8") == 0
    assert capsys.readouterr().out == TEXT
    assert mc_plan("model.py:make", "-q") == 0
    assert capsys.readouterr().out == TEXT.splitlines()[-1] + "\n"


def test_json(capsys):
    assert mc_plan("model.py:make", "--format", "json", "--exclude", "2") == 0
    data = json.loads(capsys.readouterr().out)
    site = {"path": "1", "number": 0, "draws": "dropout", "p": 0.25, "reached": "its call"}
    assert data == {
        "schema": 1,
        "target": "model.py:make",
        "sites": [
            {**site, "selected": True, "batched": True, "shape": [2, 4]},
            {
                **site,
                **{"path": "2", "p": 0.5, "reached": "left as in eval"},
                **{"selected": False, "batched": False, "shape": [3, 4]},
            },
        ],
        "unreached": [],
        "proof": "With the mean of each draw the output is eval's, bit for bit.",
        "problem": "",
        "undecided": [],
        "trial": "One input in another batch, and in another order: the same.",
        "mixing": "",
    }
    assert mc_plan("model.py:poisson", "--format", "json") == 1
    data = json.loads(capsys.readouterr().out)
    assert data["unreached"] == [{"path": "1", "number": 0, "draws": "poisson"}]


def test_errors(capsys):
    assert mc_plan("model.py:shifted") == 1
    assert "something other than dropout depends on the training mode" in capsys.readouterr().out
    assert mc_plan("model.py:shifted", "--exit-zero") == 0
    assert mc_plan("model.py:shifted", "--include", "0") == 0
    assert "1 #0  bernoulli  0.5  left as in eval\n" in capsys.readouterr().out
    assert mc_plan("model.py:poisson") == 1
    assert "1 #0  poisson       not reached\n" in capsys.readouterr().out


def test_a_file(tmp_path, capsys):
    assert mc_plan("model.py:make", "-o", "plan.txt") == 0
    assert (tmp_path / "plan.txt").read_text() == TEXT
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("the output is eval's, bit for bit; see plan.txt\n")


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model.py:none"], "Expected a model that draws, got none"),
        (["model.py:scripted"], "a module that torch.jit did not compile"),
        (["model.py:program"], "an exported program, whose mode is fixed"),
        (["model.py:absent"], "model.py:absent"),
        (["model.py:bare", "--input", "2x7"], "model.py:bare"),
        (["model.py:bare"], "Expected `args` to be a tensor among them"),
        (["model.py:make", "--include", "9"], "`include` to be patterns of paths that draw (1, 2)"),
        (["model.py:make", "--input", "two"], "Expected `--input` to be [NAME=]SHAPE"),
        (["model.py:make", "--batch-dim", "-1"], "--batch-dim"),
        (["model.py:make", "-o", "no/such/folder.txt"], "folder"),
        ([], "Missing argument 'TARGET'"),
    ],
)
def test_what_cannot_be_run(arguments, message, capsys):
    assert mc_plan(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert "Traceback" not in err


@pytest.mark.integration
@pytest.mark.skipif(sys.platform != "linux", reason="only there a process of its own runs it")
def test_a_factory_that_ends_the_process(tmp_path):
    (tmp_path / "ends.py").write_text("import os\n\n\ndef make():\n    os._exit(0)\n")
    command = [sys.executable, "-m", "torchdropout", "mc", "plan", "ends.py:make"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert "the process ended with exit code 0" in done.stderr


def test_an_argument_that_may_be_shared_is_named(capsys):
    assert mc_plan("model.py:table") == 0  # each site is reached
    said = "Nothing shows whether the argument 'table' has a row for each input"
    assert said in capsys.readouterr().out
    assert mc_plan("model.py:table", "--shared", "table") == 0
    assert said not in capsys.readouterr().out
    assert mc_plan("model.py:table", "--shared", "tables") == 2


def test_where_the_samples_lie(capsys):
    assert mc_plan("model.py:folds") == 1  # a pass would be refused
    assert "its call, but nothing shows the order" in capsys.readouterr().out
    for dims, code in (("drop=0,alternating", 0), ("drop#0=-2", 1), ("drop=0", 1)):
        assert mc_plan("model.py:folds", "--batch-dims", dims) == code
        out = capsys.readouterr().out
        assert "but nothing shows" not in out
        # Neighbours are not of one input there.
        assert ("Expected a sample to have the same result in another batch" in out) == code
    for dims, words in (
        ("drop", "Expected PATH=DIM or PATH=DIM,alternating, got 'drop'"),
        ("drop=x", "got 'drop=x'"),
        ("drop=0,folded", "to be (dimension, 'alternating')"),
        ("drop=1", "got 1 for 'drop' at drop #0"),
    ):
        assert mc_plan("model.py:folds", "--batch-dims", dims) == 2
        assert words in capsys.readouterr().err


def test_inputs_that_depend_on_their_batch(capsys):
    assert mc_plan("model.py:flips") == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("1 of 1 sites draw. Expected the rows of a sample at drop #0")
    assert mc_plan("model.py:flips", "--format", "json") == 1
    assert json.loads(capsys.readouterr().out)["mixing"] in last


def test_a_declared_length(capsys):
    assert mc_plan("model.py:dropped", "--sequence", "16") == 0
    assert mc_plan("model.py:dropped", "--sequence", "16", "--sequence-dim", "2") == 2
    assert "2 or more positions along dimension 2" in capsys.readouterr().err
    assert mc_plan("model.py:dropped", "--sequence", "0") == 2
