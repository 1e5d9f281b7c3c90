"""Every check can fail: each broken dropout is caught by the check that names its fault, first."""

import pytest

from torchdropout.verify import CHECKS, check_subject

NAMES = {check.name for check in CHECKS.values()}


def test_the_check_that_names_the_fault_says_so_first(broken, pending, coarse):
    if broken.trips in pending - NAMES:
        pytest.skip(f"{broken.trips} is not there yet")
    report = check_subject(
        broken.subject(), level=broken.level or coarse, only=broken.checks_up_to_the_fault()
    )
    assert report.complete
    assert [finding.name for finding in report.findings] == [broken.trips]


def test_every_check_has_a_broken_dropout(broken_zoo, pending):
    assert NAMES <= set(broken_zoo.values()) <= NAMES | pending
    assert len(broken_zoo) >= 130


@pytest.mark.parametrize("name", ["live_in_eval", "half_percent_high", "takes_nan"])
def test_the_report_of_a_broken_dropout_is_as_long_as_that_of_a_right_one(
    name, broken_members, judge
):
    report = judge(broken_members[name].target)
    assert [check.rule.name for check in report.checks] == [c.name for c in CHECKS.values()]
