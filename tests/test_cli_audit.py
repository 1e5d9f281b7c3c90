"""`torchdropout audit`, `checks`, `rules` and `explain`, also where packages are missing."""

import json
from pathlib import Path

import pytest

import torchdropout
import torchdropout_audit
from torchdropout import cli
from torchdropout._tools import extras
from torchdropout.audit_model.rules import RULES as MODEL_RULES
from torchdropout.verify.registry import RULES as VERIFIER_CHECKS
from torchdropout_audit.registry import RULES as SOURCE_RULES

SOURCES = [str(Path(module.__file__).parents[1]) for module in (torchdropout, torchdropout_audit)]
BAD = "from torch import nn\n\ndrop = nn.Dropout(1.5)\n"
CHECKS = [*VERIFIER_CHECKS.values()]
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


@pytest.mark.parametrize(("command", "rules"), [("checks", CHECKS), ("rules", RULES)])
def test_they_are_listed(command, rules, capsys):
    assert cli.run([command]) == 0
    lines = capsys.readouterr().out.splitlines()
    expected = [[rule.code, rule.name, rule.group, rule.severity] for rule in rules]
    assert [line.split()[:4] for line in lines] == expected
    assert cli.run([command, "--format", "json"]) == 0
    listed = json.loads(capsys.readouterr().out)[command]
    assert [rule["name"] for rule in listed] == [rule.name for rule in rules]
    assert all(rule["summary"] for rule in listed)


def test_each_is_explained_by_name_and_code(capsys):
    for rule in (*CHECKS, *RULES):
        assert cli.run(["explain", rule.name]) == 0
        by_name = capsys.readouterr().out
        assert cli.run(["explain", rule.code.lower()]) == 0
        assert capsys.readouterr().out == by_name
        assert by_name.startswith(f"{rule.code} {rule.name}   {rule.group}   {rule.severity}\n")
        assert " ".join(rule.explain.split()) in " ".join(by_name.split())


WITHOUT = """
    import os, sys
    os.chdir({folder!r})
    sys.path[:0] = {sources!r}

    class Missing:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] in {packages!r}:
                raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

    sys.meta_path.insert(0, Missing())
    for name in {packages!r}:
        sys.modules.pop(name, None)  # torch has imported NumPy
    from torchdropout.__main__ import main
    codes = [main(line.split()) for line in {lines!r}]
    print(*codes)
"""


@pytest.fixture
def without(processes, tmp_path):
    """What command lines print where packages are missing, and their exit codes."""

    def run(packages, *lines):
        given = {"packages": packages, "lines": lines, "folder": str(tmp_path), "sources": SOURCES}
        status, said = processes.run(WITHOUT.format(**given))
        assert status == 0, said
        said, _, codes = said.rstrip().rpartition("\n")
        return said, codes

    return run


@pytest.mark.integration
def test_the_audit_needs_nothing_of_the_verifier(without):
    missing = ["scipy", "matplotlib", "numpy"]
    assert set(missing) & set(extras.packages_of("verify"))
    said, codes = without(missing, "audit a.py", "rules", "explain p-one", "--help")
    assert codes == "1 0 0 0"
    assert "TD122 p-out-of-range" in said
    assert "Needs click, rich, scipy and numpy." in said


@pytest.mark.integration
@pytest.mark.parametrize("package", ["click", "rich", "scipy"])
def test_without_a_package_of_the_verifier_the_command_says_how_to_install_it(without, package):
    said, codes = without([package], "verify torch.nn:Dropout", "info")
    first, *info = said.splitlines()
    assert codes == "2 0"
    assert first == extras.missing("verify")
    assert any(line.startswith("backend ") for line in info)


HOW = (
    "torchdropout audit needs torchdropout-audit: pip install packages/audit, "
    "in a clone of the repository"
)


@pytest.mark.integration
def test_without_a_package_of_the_audit_the_command_says_how_to_install_it(without):
    assert without(["rich"], "audit --strict a.py") == (HOW, "2")


@pytest.mark.integration
def test_without_the_audit_of_sources_all_else_works(without):
    lines = ["audit --strict a.py", "rules", "explain TD301", "explain p-one", "--help"]
    said, codes = without(["torchdropout_audit"], *lines)
    assert codes == "2 0 0 2 0"
    for words in (HOW, "TD301", "'p-one' (str)", "Needs torchdropout-audit."):
        assert words in said
    assert "TD101" not in said  # nothing of the audit
