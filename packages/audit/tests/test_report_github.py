"""Workflow commands."""

import _reports as r
from torchdropout_audit.report import render_github


def test_a_line_a_finding_errors_first_and_the_verdict():
    report = r.report(r.ADVICE, r.finding(), problems=("x: no such file",))
    assert render_github(report).splitlines() == [
        "::error file=src/model.py,line=41,endLine=41,col=9,endColumn=29,"
        "title=TD101 functional-always-on::F.dropout(h, self.p) drops in eval too: training "
        "defaults to True (add training=self.training)",
        "::warning file=src/model.py,line=50,endLine=50,col=9,endColumn=29,title=TD123 p-one::"
        "F.dropout(h, self.p) drops in eval too: training defaults to True",
        "::error title=torchdropout audit::x: no such file",
        "::notice title=torchdropout audit::1 error, 1 advice in 212 files, 1 problem (0.9 s). "
        "Run again with --fix to fix 1.",
    ]


def test_columns_are_of_one_line_only():
    (line, _) = render_github(r.report(r.finding(end_line=43))).splitlines()
    assert line.startswith("::error file=src/model.py,line=41,endLine=43,title=")


def test_a_cell_has_no_lines_of_the_file():
    (line, _) = render_github(r.report(r.IN_NOTEBOOK)).splitlines()
    assert line.startswith("::error file=note books/a.ipynb,title=TD101 functional-always-on::")
    assert "::cell 3, line 2: F.dropout" in line


def test_an_interrupted_run_is_an_error():
    assert render_github(r.report(complete=False)).startswith("::error title=torchdropout audit::")


def test_what_would_end_a_command_is_escaped():
    odd = r.finding(path="a,b:c%.py", message="100%\nof\r::it")
    (line, _) = render_github(r.report(odd)).splitlines()
    assert "file=a%2Cb%3Ac%25.py," in line
    assert "::100%25%0Aof%0D::it" in line
