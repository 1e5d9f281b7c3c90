"""What every rule has: words, a code of its own, a broken example that it finds, a fixed one."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from torchdropout_audit import rules
from torchdropout_audit.registry import FINDERS
from torchdropout_audit.source import audit_text

ALL = pytest.mark.parametrize("name", FINDERS)


def found(text):
    return {finding.name for finding in audit_text(text, "model.py")}


@ALL
def test_the_broken_example_is_found_by_this_rule_alone(name):
    assert found(FINDERS[name].rule.broken) == {name}


@ALL
def test_the_fixed_example_is_clean(name):
    assert found(FINDERS[name].rule.fixed) == set()


@ALL
def test_the_words(name):
    rule = FINDERS[name].rule
    assert re.fullmatch(r"TD[12]\d\d", rule.code)
    assert rule.summary.endswith(".")
    assert "\n" not in rule.summary
    assert "To fix:" in rule.explain
    assert rule.evidence
    assert "!" not in (rule.summary + rule.explain).replace("!=", "")


@ALL
def test_what_marks_a_place_marks_it_in_the_source(name):
    text = FINDERS[name].rule.broken
    lines = text.splitlines()
    for finding in audit_text(text, "model.py"):
        assert finding.source == lines[finding.line - 1]
        assert 1 <= finding.column <= len(finding.source)
        assert (finding.end_line, finding.end_column) > (finding.line, finding.column)
        assert finding.path == "model.py"
        assert "\n" not in finding.message + finding.hint


def test_codes_are_unique_and_in_order():
    codes = [finder.rule.code for finder in FINDERS.values()]
    assert codes == sorted(set(codes))


def test_a_rule_is_a_file_and_a_file_a_rule():
    files = {p.stem for p in Path(rules.__path__[0]).glob("*.py") if not p.stem.startswith("_")}
    assert files == {name.replace("-", "_") for name in FINDERS}


@pytest.mark.parametrize(
    ("text", "line", "column", "source"),
    [
        ("x = 1\nx = (\n", 2, 5, "x = ("),
        ("x = (", 1, 5, "x = ("),
        ("x = 1\n\x0c\ny = (\n", 3, 5, "y = ("),
        ("x = 1\r\ry = (\r\n", 3, 5, "y = ("),
        ("x\0\n", 1, 1, "x\0"),
        ("'\ud800'\n", 1, 1, "'\ud800'"),
        ("-" * 100_000 + "1", 1, 1, "-" * 399 + "…"),
    ],
)
def test_where_it_does_not_parse(text, line, column, source):
    [found] = audit_text(text)
    place = (found.line, found.column, found.end_line, found.end_column)
    assert place == (line, column, line, column + 1)
    assert found.source == source
    assert audit_text(text, rules={"p-one"}) == []


def test_findings_come_in_the_order_of_their_places():
    text = "\n".join(f.rule.broken for f in FINDERS.values())
    places = [(f.line, f.column) for f in audit_text(text)]
    assert places == sorted(places)
    assert len(places) > len(FINDERS) / 2


def test_the_examples_do_not_import_what_torch_lacks():
    texts = [f"{finder.rule.broken}\n{finder.rule.fixed}" for finder in FINDERS.values()]
    roots = re.findall(r"^\s*(?:from|import) (\w+)", "\n".join(texts), re.M)
    assert set(roots) <= {"torch", "torchdropout", "collections"}


def test_the_examples_are_formatted(tmp_path):
    for name, finder in FINDERS.items():
        (tmp_path / f"{name}-broken.py").write_text(finder.rule.broken)
        (tmp_path / f"{name}-fixed.py").write_text(finder.rule.fixed)
    command = [sys.executable, "-m", "ruff", "format", "--check", "--isolated"]
    command += ["--line-length", "100", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_norm_without_a_qualified_name_is_named():
    text = """
from torch import nn
from .basics import *

class Block(nn.Sequential):
    def __init__(self, size, dropout=0.1):
        layers = [nn.Linear(size, size), nn.Dropout(dropout)]
        layers.append(BatchNorm(size))
        super().__init__(*layers)
"""
    [found] = audit_text(text, "model.py")
    assert found.message.startswith("Dropout before BatchNorm (BatchNorm, line 8), which")
