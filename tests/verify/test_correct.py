"""Correct dropouts, differently written, get no findings."""

import pytest
import torch

from torchdropout.verify import check_subject
from torchdropout.verify.specs import infer
from verify import _ours, _zoo, tables

CORRECT = _zoo.members("correct")


@pytest.mark.slow
def test_no_error_is_found_at_standard(correct):
    assert tables.of_member(correct)[2:] == [tables.NONE, ""]


def _is_verified_with_ours(member):
    """A second dropout of a kind of which `test_ours` verifies one."""
    return member.spec in {case.spec or infer(case.target).name for case in _ours.CASES.values()}


@pytest.mark.integration
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if _is_verified_with_ours(member) else ())
        for name, member in CORRECT.items()
        if member.level is None
    ],
)
def test_no_error_is_found(name):
    """The checks that take long are divided among the plain ones: the slow test has all."""
    correct = CORRECT[name]
    only = _zoo.quick_share(name, correct.spec is None)
    report = check_subject(correct.subject(), level=_zoo.SMALL, only=only)
    errors = [f"{f.name}: {f.message}" for f in report.findings if f.severity == "error"]
    assert errors == []
    assert report.passed


@pytest.mark.integration
def test_the_torch_module_passes_at_quick_with_advice_only(torchs):
    assert torchs.passed
    assert [f.name for f in torchs.findings] == [
        "nonfinite-dropped",
        "layout-mask",
        "wrong-p-refused",
    ]


def test_a_wrong_rate_at_an_instances_own_p_is_found(run_checks):
    class Half(torch.nn.Dropout):
        def forward(self, x):
            drop = torch.rand(x.shape) < self.p / 2
            return x.masked_fill(drop, 0) / (1 - self.p) if self.training else x

    report = run_checks(Half(0.2), level=_zoo.SMALL)
    assert report.findings[0].name == "drop-rate"
    status = {check.rule.name: check.status for check in report.checks}
    # No other p can be tried.
    assert {status[name] for name in ("wrong-p-refused", "p-one-zeros", "p-zero-identity")} == {
        "skip"
    }
