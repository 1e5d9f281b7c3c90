"""The example of each check: the broken form fails it before any other, the fixed one does not."""

import ast
import functools
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from torchdropout.verify import CHECKS, check_subject
from torchdropout.verify.examples import EXAMPLES
from torchdropout.verify.targets import resolve
from verify._zoo import COARSE, HEAVY, with_needed

# Tracing takes seconds: it is left to the examples of these checks.
TRACED = {"compiled-law", "device-followed"}

ORDER = [check.name for check in CHECKS.values()]


@pytest.fixture(scope="module")
def findings(tmp_path_factory):
    """`findings(program, spec, last, compiled, whole)`: what a run of the check `last` finds.

    The run has that check and what it needs, or all checks up to it.
    """
    folder = tmp_path_factory.mktemp("examples")

    @functools.cache  # many are fixed into the same program
    def found(program, spec, last, compiled, whole):
        torch.set_num_threads(1)
        # A name of its own: torch.compile keeps what it has compiled by the name of the module.
        file = folder / f"example_{len(list(folder.iterdir()))}.py"
        file.write_text(program)
        subject = resolve(f"{file}:{ast.parse(program).body[-1].name}", spec=spec)
        before = frozenset(ORDER[: ORDER.index(last) + 1])
        only = before if whole else with_needed(last, subject.spec)
        level = replace(COARSE, compiled=compiled)
        report = check_subject(subject, level=level, only=only)
        assert not report.interrupted
        return report.findings

    return found


def test_every_check_has_an_example():
    assert set(EXAMPLES) == {check.name for check in CHECKS.values()}


# Each with what its check needs alone; by all checks where there is time.
WHOLE = pytest.mark.parametrize(
    "whole", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["check", "run"]
)


@pytest.mark.parametrize("name", EXAMPLES)
@WHOLE
def test_the_broken_form_trips_its_check_first(name, whole, findings):
    example = EXAMPLES[name]
    found = findings(example.broken, example.spec, name, name in TRACED, whole)
    # An error may come with advice that follows from it: other threads, other masks.
    errors = [finding.name for finding in found if finding.severity == "error"]
    assert (errors or [finding.name for finding in found]) == [name]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.integration] * (name in HEAVY | {"compiled-law"}))
        for name in EXAMPLES
    ],
)
@WHOLE
def test_the_fixed_form_does_not_and_has_no_error(name, whole, findings):
    example = EXAMPLES[name]
    last = ORDER[-1] if whole else name
    found = findings(example.fixed, example.spec, last, name in TRACED, whole)
    assert name not in [finding.name for finding in found]
    assert [f"{f.name}: {f.message}" for f in found if f.severity == "error"] == []


def test_the_patch_is_a_small_change():
    for name, example in EXAMPLES.items():
        signs = [line[:2].strip() for line in example.patch.splitlines()]
        assert set(signs) <= {"", "-", "+"}, name
        assert 0 < len(signs) - signs.count("") <= 9, name
        assert len(signs) <= 30, name


def test_the_programs_are_clean(tmp_path):
    for name, example in EXAMPLES.items():
        for form in ("broken", "fixed"):
            (tmp_path / f"{name}-{form}.py").write_text(getattr(example, form))
    ruff = [sys.executable, "-m", "ruff"]
    flags = ["--isolated", "--line-length", "80"]
    for command in (["check", "--select", "E,F,I,W,UP,B"], ["format", "--check"]):
        done = subprocess.run(
            [*ruff, *command, *flags, tmp_path], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
