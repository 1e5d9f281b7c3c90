"""The README keeps its promises: its Python runs, its commands exist, its figures are those."""

import re
from pathlib import Path

import torch

import torchdropout as td
from torchdropout.verify import RULES
from torchdropout_audit.registry import FINDERS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_python_blocks_run_and_do_what_they_say():
    world = {}
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, "README.md", "exec"), world)
    assert torch.equal(world["m"], world["y"] != 0)
    rows = world["z"] != 0
    assert torch.equal(rows, rows[:, :1].expand_as(rows))
    assert isinstance(world["layer"], td.nn.Dropout)


def test_the_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^    make (\S+)", README, re.MULTILINE):
        assert f"\n{target}:" in makefile


def test_the_number_of_checks_is_that_of_the_table():
    assert f"checks {len(RULES)} properties" in README


def test_its_links_lead_somewhere():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert len(links) >= 4
    assert all((ROOT / link).exists() for link in links)


def test_the_number_of_rules_is_that_of_the_table():
    assert f"{len(FINDERS)} rules ([docs/rules.md]" in README
