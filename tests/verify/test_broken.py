"""Every check can fail: each broken dropout is caught by the check that names its fault, first."""

import pytest

from torchdropout.verify import CHECKS, check_subject
from verify import broken_table

NAMES = {check.name for check in CHECKS.values()}


def need_check(member, pending):
    """Skips a dropout while the check it names, or those of its kind, are being written."""
    for name in (member.trips, "shared-mask" if member.spec else member.trips):
        if name in pending - NAMES:
            pytest.skip(f"{name} is not there yet")


def test_the_check_that_names_the_fault_says_so_first(broken, pending, coarse):
    need_check(broken, pending)
    report = check_subject(
        broken.subject(), level=broken.level or coarse, only=broken.checks_up_to_the_fault()
    )
    assert report.complete
    assert [finding.name for finding in report.findings] == [broken.trips]


@pytest.mark.slow
def test_at_standard_it_says_so_too(broken, pending):
    need_check(broken, pending)
    assert broken_table.judge(broken)[2] == broken.trips


def test_every_check_has_a_broken_dropout(broken_zoo, pending):
    assert NAMES <= set(broken_zoo.values()) <= NAMES | pending
    assert len(broken_zoo) >= 200


@pytest.mark.parametrize("name", ["live_in_eval", "half_percent_high", "takes_nan"])
def test_the_report_of_a_broken_dropout_is_as_long_as_that_of_a_right_one(
    name, broken_members, judge
):
    report = judge(broken_members[name].target)
    assert [check.rule.name for check in report.checks] == [c.name for c in CHECKS.values()]


@pytest.mark.skipif(not broken_table.TABLE.exists(), reason="no table was written")
def test_the_table_lists_every_dropout_and_what_it_should_say():
    members, rows = broken_table.zoo(), broken_table.read()
    assert list(rows) == list(members)
    assert [row for key, row in rows.items() if not broken_table.is_right(members[key], row)] == []
