import pytest

from torchdropout.errors import TorchDropoutError, VerificationError
from torchdropout.verify.report import render_html_fragment
from torchdropout.verify.results import Report
from verify import _reports as r

KNOWN = frozenset({"TD552"})
NEW = r.check(code="TD511", name="kept-scale", message="off by 2")


def test_a_report_that_did_not_pass_raises_what_it_found():
    report = Report(
        (
            r.target(r.ADVICE, r.ERROR, r.OK, name="a:A"),
            r.target(r.OK, r.ADVICE, name="b:B"),
            r.target(r.OK, name="c:C", interrupted=True),
            r.target(r.ERROR, NEW, name="d:D", known=KNOWN),
            r.target(r.ERROR, name="e:E", known=KNOWN, interrupted=True),
        )
    )
    with pytest.raises(VerificationError) as caught:
        report.raise_for_errors()
    assert str(caught.value) == (
        "a:A: not a correct dropout\n"
        "  error TD552 p-one-zeros: 4096 are NaN\n"
        "  advice TD602 wrong-p-named: p=1.5 accepted\n"
        "c:C: interrupted, no verdict\n"
        "d:D: not a correct dropout\n"
        "  error TD511 kept-scale: off by 2\n"
        "e:E: interrupted, no verdict"
    )
    assert isinstance(caught.value, AssertionError)
    assert isinstance(caught.value, TorchDropoutError)
    report = Report((r.target(r.ERROR, r.ADVICE, known=KNOWN),))
    assert report.raise_for_errors() is report


def test_a_notebook_shows_the_html():
    report = Report((r.target(*r.EVERY),))
    assert report._repr_html_() == render_html_fragment(report)
