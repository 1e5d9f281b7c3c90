import pytest

from torchdropout.errors import TorchDropoutError, VerificationError
from torchdropout.verify.report import render_html_fragment
from torchdropout.verify.results import Report
from verify import _reports as r


def test_a_report_that_did_not_pass_raises_what_it_found():
    report = Report(
        (
            r.target(r.ADVICE, r.ERROR, r.OK, name="a:A"),
            r.target(r.OK, r.ADVICE, name="b:B"),
            r.target(r.OK, name="c:C", interrupted=True),
        )
    )
    with pytest.raises(VerificationError) as caught:
        report.raise_for_errors()
    assert str(caught.value) == (
        "a:A: not a correct dropout\n"
        "  error TD552 p-one-zeros: 4096 are NaN\n"
        "  advice TD602 wrong-p-named: p=1.5 accepted\n"
        "c:C: interrupted, no verdict"
    )
    assert isinstance(caught.value, AssertionError)
    assert isinstance(caught.value, TorchDropoutError)


def test_known_findings_are_listed_and_fail_nothing():
    target = r.target(r.ERROR, r.ADVICE, known=frozenset({"TD552", "TD999"}))
    assert target.passed
    assert [f.code for f in target.findings] == ["TD552", "TD602"]
    assert [f.code for f in target.new_findings] == ["TD602"]
    assert target.to_dict()["known"] == ["TD552", "TD999"]
    assert target.to_dict()["passed"] is True
    report = Report((target,))
    assert report.raise_for_errors() is report
    assert [f.code for f in report.new_findings] == ["TD602"]


def test_a_known_finding_saves_neither_a_new_error_nor_an_interrupted_run():
    new = r.check(code="TD511", name="kept-scale", message="off by 2")
    known = frozenset({"TD552"})
    assert not r.target(r.ERROR, known=known, interrupted=True).passed
    target = r.target(r.ERROR, new, known=known)
    assert not target.passed
    with pytest.raises(VerificationError) as caught:
        Report((target,)).raise_for_errors()
    assert "TD511" in str(caught.value)
    assert "TD552" not in str(caught.value)


def test_a_notebook_shows_the_html():
    report = Report((r.target(*r.EVERY),))
    assert report._repr_html_() == render_html_fragment(report)
