"""Every check can fail: each broken dropout is caught by the check that names its fault, first."""

from dataclasses import replace

import pytest
import torch

from torchdropout.verify import CHECKS, check_subject
from verify import broken_table

# Left to their own broken dropouts: to trace takes seconds. Those of `compiled-law` are slow.
TRACED = {"device-followed"}
SEVERITY = {check.name: check.severity for check in CHECKS.values()}


def test_the_check_that_names_the_fault_says_so_first(broken, coarse):
    """Before those of its group and those that it needs; the slow test has all."""
    level = broken.level or replace(coarse, compiled=broken.trips in TRACED)
    subject = broken.subject()
    report = check_subject(subject, level=level, only=broken.quick_checks(subject.spec))
    assert not report.interrupted
    assert broken.accusers(report) == [broken.trips]


@pytest.mark.slow
def test_at_standard_it_says_so_too(broken):
    assert broken_table.judge(broken)[2] == broken.trips


def test_every_check_has_a_broken_dropout(broken_zoo, missed):
    caught = {check for name, check in broken_zoo.items() if name not in missed}
    assert caught == set(SEVERITY)
    assert len(broken_zoo) - len(missed) >= 200


@pytest.mark.parametrize("name", ["live_in_eval", "half_percent_high", "takes_nan"])
def test_the_report_of_a_broken_dropout_is_as_long_as_that_of_a_right_one(
    name, broken_members, judge
):
    broken, right = judge(broken_members[name].target), judge(torch.nn.Dropout)
    assert [check.rule for check in broken.checks] == [check.rule for check in right.checks]


@pytest.mark.skipif(not broken_table.TABLE.exists(), reason="no table was written")
def test_the_table_lists_every_dropout_and_what_it_should_say(missed, accused):
    members, rows = broken_table.zoo(), broken_table.read()
    assert list(rows) == list(members)
    wrong = {key[1] for key, row in rows.items() if not broken_table.is_right(members[key], row)}
    assert wrong == set(missed) | set(accused)
