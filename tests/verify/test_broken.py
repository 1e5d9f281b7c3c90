"""Every check can fail: each broken dropout is caught by the check that names its fault, first."""

from dataclasses import replace

import pytest

from torchdropout.verify import CHECKS, RULES, check_subject
from torchdropout.verify.examples import EXAMPLES
from torchdropout.verify.runner import codes_of
from torchdropout.verify.specs import PLAIN
from verify import _zoo, tables

# Left to their own broken dropouts: to trace takes seconds. Those of `compiled-law` are slow.
TRACED = {"device-followed"}


def test_the_check_that_names_the_fault_says_so_first(broken):
    """Before those of its group and those that it needs; the slow test has all."""
    subject = broken.subject()
    level = broken.level or replace(_zoo.COARSE, compiled=broken.trips in TRACED)
    report = check_subject(subject, level=level, only=broken.quick_checks(subject.spec))
    assert not report.interrupted
    assert broken.reporting_checks(report) == [broken.trips]


@pytest.mark.slow
def test_at_standard_it_says_so_too(broken):
    assert tables.of_member(broken)[2] == broken.trips


def test_every_check_has_a_broken_dropout(broken_members):
    """That of its example, which `test_check_examples` verifies, and in some cases others."""
    caught = {member.trips for member in broken_members.values()}
    assert caught | EXAMPLES.keys() == {check.name for check in CHECKS.values()}


@pytest.mark.integration
@pytest.mark.parametrize("name", ["live_in_eval", "half_percent_high"])
def test_the_report_of_a_broken_dropout_has_all_checks(name, broken_members, run_checks):
    report = run_checks(broken_members[name].target, level=_zoo.SMALL)
    assert [check.rule for check in report.checks] == [RULES[c] for c in codes_of(None, PLAIN)]


@pytest.mark.parametrize("table", tables.FILES)
def test_a_table_lists_every_dropout_and_what_it_should_say(table):
    rows, wanted = tables.read(table), tables.expected(table)
    assert set(rows) ^ set(wanted) == set(), "make checks"
    assert list(rows) == list(wanted)
    assert [key for key, (place, said) in wanted.items() if rows[key][place] != said] == []
