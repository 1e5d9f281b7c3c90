"""`torchdropout audit`, `rules` and `explain`, with torchdropout-audit and without it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import torchdropout
import torchdropout_audit
from torchdropout import cli
from torchdropout._tools import extras
from torchdropout.audit_model.rules import RULES as MODEL_RULES
from torchdropout_audit.registry import RULES as SOURCE_RULES

SOURCES = [str(Path(module.__file__).parents[1]) for module in (torchdropout, torchdropout_audit)]
BAD = "from torch import nn\n\ndrop = nn.Dropout(1.5)\n"
RULES = sorted((*SOURCE_RULES.values(), *MODEL_RULES.values()), key=lambda rule: rule.code)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCHDROPOUT_CACHE", str(tmp_path / ".cache"))
    Path("a.py").write_text(BAD)


def test_the_audit_is_run_under_this_programs_name(capsys):
    assert cli.run(["audit", "a.py"]) == 1
    assert capsys.readouterr().out.startswith("a.py:3:19  TD122 p-out-of-range  ")
    assert cli.run(["audit", "no.py"]) == 2
    assert capsys.readouterr().err == "torchdropout: no.py: no such file or folder\n"
    assert cli.run(["audit", "-h"]) == 0
    assert capsys.readouterr().out.startswith("Usage: torchdropout audit [OPTIONS] [PATH]...\n")
    assert cli.run(["audit", "--jobs", "0"]) == 2
    assert "Try 'torchdropout audit --help' for help." in capsys.readouterr().err


def test_the_rules_of_both_audits_are_listed(capsys):
    assert cli.run(["rules"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:4] for line in lines] == [
        [rule.code, rule.name, rule.group, rule.severity] for rule in RULES
    ]
    assert cli.run(["rules", "--format", "json"]) == 0
    listed = json.loads(capsys.readouterr().out)["rules"]
    assert [rule["name"] for rule in listed] == [rule.name for rule in RULES]


def test_every_rule_is_explained_by_name_and_code(capsys):
    for rule in RULES:
        assert cli.run(["explain", rule.name]) == 0
        by_name = capsys.readouterr().out
        assert cli.run(["explain", rule.code]) == 0
        assert capsys.readouterr().out == by_name
        assert by_name.startswith(f"{rule.code} {rule.name}   {rule.group}   {rule.severity}\n")


# What cannot be imported, and the command lines: their exit codes, stdout and stderr. Forks share
# what takes long, to import torch; NumPy is missing in all, as torch would import it.
WITHOUT = """
import gc, json, os, sys, tempfile, warnings
warnings.simplefilter("ignore")
class Block:
    def __init__(self, packages):
        self.packages = packages
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.packages:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Block(["numpy"]))
import torch
gc.freeze()  # or each fork looks for garbage among what was imported, at its end
for packages, calls in json.loads(sys.argv[1]):
    assert not set(packages) & sys.modules.keys()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if not child:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            sys.meta_path.insert(0, Block(packages))
            from torchdropout.__main__ import main
            print(*(main(call) for call in calls))
            sys.exit()
        assert os.waitpid(child, 0)[1] == 0, os.pread(err.fileno(), 1 << 20, 0)
        said = [os.pread(file.fileno(), 1 << 20, 0).decode() for file in (out, err)]
    print(json.dumps(said))
"""
CASES = {
    "all of the verifier's": (
        ["scipy", "matplotlib", "numpy"],
        [["audit", "a.py"], ["rules"], ["explain", "p-one"], ["--help"]],
    ),
    "one of the audit's": (["rich"], [["audit", "--strict", "a.py"]]),
    "the audit": (
        ["torchdropout_audit"],
        [
            ["audit", "--strict", "a.py"],
            ["rules"],
            ["explain", "TD301"],
            ["explain", "p-one"],
            ["--help"],
        ],
    ),
}


@pytest.fixture(scope="module")
def without(tmp_path_factory):
    """The exit codes, stdout and stderr of each case."""
    folder = tmp_path_factory.mktemp("without")
    (folder / "a.py").write_text(BAD)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(SOURCES)}
    env["TORCHDROPOUT_CACHE"] = str(folder / ".cache")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, json.dumps([*CASES.values()])],
        capture_output=True, text=True, env=env, cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = {}
    for name, line in zip(CASES, done.stdout.splitlines(), strict=True):
        out, err = json.loads(line)
        *out, codes = out.splitlines()
        said[name] = codes, "\n".join(out), err
    return said


@pytest.mark.integration
def test_the_audit_needs_nothing_of_the_verifier(without):
    missing, _ = CASES["all of the verifier's"]
    codes, out, _ = without["all of the verifier's"]
    assert codes == "1 0 0 0"
    assert "TD122 p-out-of-range" in out
    assert set(missing) & set(extras.packages_of("verify"))
    assert "Needs click, rich, scipy and numpy." in out


HOW = (
    "torchdropout audit needs torchdropout-audit: pip install packages/audit, "
    "in a clone of the repository\n"
)


@pytest.mark.integration
def test_without_a_package_of_the_audit_the_command_says_how_to_install_it(without):
    assert without["one of the audit's"] == ("2", "", HOW)


@pytest.mark.integration
def test_without_the_audit_of_sources_all_else_works(without):
    codes, out, err = without["the audit"]
    assert codes == "2 0 0 2 0"
    assert err.startswith(HOW)
    first = min(MODEL_RULES.values(), key=lambda rule: rule.code)
    assert out.startswith(first.code)  # nothing of the audit
    assert "TD301" in out
    assert "TD101" not in out
    assert "'p-one' (str)" in err
    assert "Needs torchdropout-audit." in out
