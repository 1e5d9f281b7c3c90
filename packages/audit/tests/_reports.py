"""Findings and reports made up, for tests of what renders them."""

from torchdropout_audit.findings import Edit, Fix, SourceFinding, SourceReport

LINE = "    h = F.dropout(h, self.p)"
SAFE = Fix("add training=self.training", (Edit(30, 30, ", training=self.training"),))
UNSAFE = Fix("do more", (Edit(30, 31, "x"),), safe=False)


def finding(**changes):
    given = {
        "path": "src/model.py",
        "line": 41,
        "column": 9,
        "end_line": 41,
        "end_column": 29,
        "code": "TD101",
        "name": "functional-always-on",
        "severity": "error",
        "message": "F.dropout(h, self.p) drops in eval too: training defaults to True",
        "hint": "add training=self.training",
        "source": LINE,
        "fix": SAFE,
    }
    return SourceFinding(**(given | changes))


ADVICE = finding(
    line=50, end_line=50, code="TD123", name="p-one", severity="advice", fix=None, hint=""
)
IN_NOTEBOOK = finding(path="note books/a.ipynb", cell=3, line=2, end_line=2, file_line=31)


def report(*findings, **more):
    return SourceReport(findings, **({"files": 212, "seconds": 0.93} | more))
