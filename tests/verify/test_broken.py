"""Every check can fail: each broken dropout is caught by the check that names its fault, first."""

from torchdropout.verify import CHECKS


def test_the_check_that_names_the_fault_says_so_first(broken, expected, judge):
    report = judge(broken)
    assert report.complete
    assert [finding.name for finding in report.findings][:1] == [expected]
    # The report of a broken dropout is as long as that of a right one: nothing stops half-way.
    assert [check.rule.name for check in report.checks] == [c.name for c in CHECKS.values()]


def test_every_check_has_a_broken_dropout(broken_zoo):
    assert set(broken_zoo.values()) == {check.name for check in CHECKS.values()}
    assert len(broken_zoo) >= 60
