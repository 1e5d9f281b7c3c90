"""Which checks are run, and that these are."""

import itertools

import pytest
import torch

from torchdropout.errors import ArgumentValueError
from torchdropout.verify import RULES, check_dropout
from torchdropout.verify.registry import chosen


def group(name):
    return frozenset(rule.name for rule in RULES.values() if rule.group == name)


def test_the_checks_of_a_group_stand_together():
    """Reports and pages have a heading for each run of them."""
    groups = [name for name, _ in itertools.groupby(rule.group for rule in RULES.values())]
    assert sorted(groups) == sorted(set(groups)), "verify/registry.py: CHECKS"


# `tests/test_selection.py` has the ways to choose.
def test_what_is_chosen():
    assert chosen((), ()) == {rule.name for rule in RULES.values()}
    wanted = {"drop-rate"} | group("scale") - {"kept-scale"}
    assert chosen(["td521", "Scale"], ["kept-scale"]) == wanted


def test_what_names_nothing_is_told():
    for name, words in (("drop-rat", "drop-rate"), ("zzzz", "`torchdropout checks` lists them")):
        with pytest.raises(ArgumentValueError, match=rf"`select`.*'{name}' \(str\); .*{words}"):
            chosen([name], ())
    with pytest.raises(ArgumentValueError, match=r"leave a check.*drop-rate.*list.*'rate'"):
        chosen(["drop-rate"], ["rate"])


def test_a_run_does_what_was_chosen_and_in_the_order_of_the_table():
    report = check_dropout(
        torch.nn.Dropout, level="quick", select=["edges", "kept-scale"], ignore=["p-one-zeros"]
    )
    ran = [check.rule.name for check in report.targets[0].checks]
    names = group("edges") - {"p-one-zeros"} | {"kept-scale"}
    assert ran == [rule.name for rule in RULES.values() if rule.name in names]


def test_a_chosen_check_runs_without_those_it_needs():
    def by_share(x, p, training):
        kept = torch.rand(x.shape) >= p
        return x * kept / kept.double().mean().clamp(min=1e-9) if training else x

    (alone,) = check_dropout(by_share, level="quick", select=["drop-rate"]).targets[0].checks
    assert alone.status == "ok"
    both = check_dropout(by_share, level="quick", select=["drop-rate", "kept-scale"])
    assert [check.status for check in both.targets[0].checks] == ["fail", "skip"]


def test_a_choice_that_does_not_apply_is_told():
    with pytest.raises(ArgumentValueError, match=r"applies to .*Dropout \(plain\), got block-"):
        check_dropout(torch.nn.Dropout, select=["block-shape"])


def test_a_wrong_choice_is_told_before_the_target_is_loaded(tmp_path):
    path = tmp_path / "loud.py"
    path.write_text("raise AssertionError('loaded')")
    with pytest.raises(ArgumentValueError, match="`select`"):
        check_dropout(f"{path}:Drop", select=["nothing"])
