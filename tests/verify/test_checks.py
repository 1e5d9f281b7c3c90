"""The table, the texts, and what the checks promise to see."""

import re

import numpy
import pytest
import torch

from torchdropout.verify import CHECKS, LEVELS, RULES, Level, check_subject
from torchdropout.verify.context import Context
from torchdropout.verify.registry import STATISTICAL
from torchdropout.verify.targets import resolve


def test_every_rule_says_what_is_measured_and_how_to_fix_it():
    for rule in RULES.values():
        assert rule.summary.endswith("."), rule.name
        assert "\n" not in rule.summary, rule.name
        assert rule.explain.startswith("Measured: "), rule.name
        assert "\n\nTo fix: " in rule.explain, rule.name
        # Measured, why, fix: three paragraphs at least.
        assert len(rule.explain.split("\n\n")) >= 3, rule.name


def test_a_check_needs_only_checks_that_come_before_it():
    before = set()
    for check in CHECKS.values():
        assert set(check.needs) <= before
        before.add(check.name)


def test_the_shares_of_all_checks_add_up_to_less_than_the_rate():
    context = Context(resolve(torch.nn.Dropout), LEVELS["quick"], 0, 1e-6, STATISTICAL)
    exact = len(CHECKS) - STATISTICAL
    assert STATISTICAL * context.share + exact * context.coincidence < 1e-6
    assert context.family(10).each * 10 == pytest.approx(context.share)


# Power: what a check says it sees, it sees.

RUNS = 40
ENOUGH = 38  # 95 %; with a power of .99 fewer have a chance of 0.007


def run_check(name, target, seed, share=1e-3):
    """One check alone, at a level small enough for many runs."""
    options = {"false_alarm_rate": share * STATISTICAL, "only": frozenset([name])}
    (result,) = check_subject(resolve(target), level=SMALL, seed=seed, **options).checks
    return result


SMALL = Level("small", 0.02, 0.06, 0.1, 1e4, 1 << 16, 1 << 16, 1 << 18)


def caught(name, target, least):
    """Whether at least so many of `RUNS` runs find it; ends when the others cannot change that."""
    found = 0
    for seed in range(RUNS):
        found += run_check(name, target, seed).status == "fail"
        if found >= least or found + RUNS - 1 - seed < least:
            break
    return found >= least


def seen(name, target, pattern):
    """The figure in what a passing check says it sees."""
    return float(re.search(pattern, run_check(name, target, 1000).sees).group(1))


def masked(where):
    """A dropout of where it drops."""

    def dropout(x, p, training):
        return x.masked_fill(where(x, p), 0) * (1 / (1 - p) if p < 1 else 0) if training else x

    return dropout


def off_by(size):
    return masked(lambda x, p: torch.rand(x.shape) < (p + size if p == 0.5 else p))


def correlated(strength):
    def where(x, p):
        drop = (torch.rand(x.shape) < p).reshape(-1)
        if drop.numel() % 16 == 0:
            pairs = drop.view(-1, 2, 8)
            copied = torch.rand(pairs[:, 0].shape) < strength
            pairs[:, 1] = torch.where(copied, pairs[:, 0], pairs[:, 1])
        return drop.reshape(x.shape)

    return masked(where)


def pooled(pool):
    def where(x, p):
        generator = torch.Generator().manual_seed(int(torch.randint(int(pool), ())))
        return torch.rand(x.shape, generator=generator) < p

    return masked(where)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("name", "pattern", "of_size", "smaller"),
    [
        ("drop-rate", r"([\d.e-]+) at p=0.5", off_by, 1 / 4),
        ("drop-rate", r"([\d.e-]+) at p=0.5", lambda size: off_by(-size), 1 / 4),
        ("lag-independence", r"a correlation of ([\d.e-]+)", correlated, 1 / 4),
        ("few-masks", r"a pool of ([\d.e+]+)", pooled, 20),
    ],
)
def test_a_fault_of_the_size_stated_is_caught(name, pattern, of_size, smaller):
    size = seen(name, torch.nn.Dropout, pattern)
    assert caught(name, of_size(size), ENOUGH)
    # The figure is not an understatement either: an error of a quarter is mostly let pass.
    assert not caught(name, of_size(smaller * size), RUNS // 2)


# --- What checks are made of ----------------------------------------------------------------------


@pytest.mark.integration
def test_no_check_at_quick_imports_sympy(processes):
    code = """
        import sys, torch
        from dataclasses import replace
        from torchdropout.verify import check_subject
        from torchdropout.verify.context import LEVELS
        from torchdropout.verify.targets import resolve
        # Its samples have no say in what is imported.
        quick = replace(LEVELS["quick"], pool=1e4, run=1 << 16, zeros=1 << 16, most=1 << 18)
        assert check_subject(resolve(torch.nn.Dropout), level=quick).passed
        assert "sympy" not in sys.modules
    """
    assert processes.run(code) == (0, "")


class KeepsItsMask(torch.nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p, self.mask, self.both = p, torch.ones(2), numpy.array([p, 1 - p])

    def forward(self, x):
        return torch.nn.functional.dropout(x, self.p, self.training)


def test_arrays_of_a_module_are_not_its_p(run_checks):
    report = run_checks(KeepsItsMask, only=frozenset({"module-state", "drop-rate"}))
    assert report.passed
    assert {check.status for check in report.checks} == {"ok"}
