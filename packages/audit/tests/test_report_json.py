"""JSON, by the schema that is published."""

import copy
import json
from pathlib import Path

import jsonschema
import pytest

import _reports as r
from torchdropout_audit.findings import SourceReport
from torchdropout_audit.report import render_json
from torchdropout_audit.reporting.findings import SCHEMA
from torchdropout_audit.run import audit_paths

FILE = Path(__file__).parents[3] / "docs" / "audit.schema.json"
VALIDATOR = jsonschema.Draft202012Validator(json.loads(FILE.read_text(encoding="utf-8")))
REPORT = r.report(
    r.finding(), r.finding(fix=r.UNSAFE), r.ADVICE, r.IN_NOTEBOOK, problems=("x: no",), fixed=2
)


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(VALIDATOR.schema)
    assert VALIDATOR.schema["properties"]["schema"]["const"] == SCHEMA


def test_a_report_of_nothing():
    assert json.loads(render_json(SourceReport((), files=2))) == {
        "schema": SCHEMA,
        "findings": [],
        "files": 2,
        "problems": [],
        "fixed": 0,
        "ignored": 0,
        "complete": True,
        "seconds": 0.0,
    }


def test_seconds_have_three_decimals():
    assert json.loads(render_json(r.report(seconds=0.98765)))["seconds"] == 0.988


def test_it_passes_where_it_is_complete_and_has_no_error():
    assert r.report().passed
    assert r.report(r.ADVICE).passed
    assert not r.report(r.ADVICE, r.finding()).passed
    assert not r.report(complete=False).passed


def test_what_is_in_it():
    data = json.loads(render_json(REPORT))
    VALIDATOR.validate(data)
    assert render_json(REPORT) == json.dumps(data, indent=2)
    assert {k: v for k, v in data.items() if k != "findings"} == {
        "schema": 1, "files": 212, "problems": ["x: no"], "fixed": 2, "ignored": 0,
        "complete": True, "seconds": 0.93,
    }  # fmt: skip
    assert data["findings"][0] == {
        "path": "src/model.py", "cell": 0, "line": 41, "column": 9, "end_line": 41,
        "end_column": 29, "severity": "error", "code": "TD101", "name": "functional-always-on",
        "message": r.finding().message, "hint": "add training=self.training", "fixable": True,
        "fix": {"does": "add training=self.training", "safe": True},
    }  # fmt: skip
    assert [f["fixable"] for f in data["findings"]] == [True, True, False, True]
    assert data["findings"][3]["cell"] == 3


def test_a_real_run_is_valid(tmp_path):
    (tmp_path / "a.py").write_text("from torch import nn\nnn.Dropout(1.5)  # größer\nx = (\n")
    (tmp_path / "b.py").write_text("from torch import nn\nnn.Dropout(1.5)\nnn.Dropout(1.0)\n")
    report = audit_paths([tmp_path, tmp_path / "no.py"], cache=False)
    data = json.loads(render_json(report))
    VALIDATOR.validate(data)
    assert [f["name"] for f in data["findings"]] == ["syntax-error", "p-out-of-range", "p-one"]
    assert len(data["problems"]) == 1


def broken():
    yield "a key more", lambda d: d.update(more=1)
    yield "a key less", lambda d: d.pop("files")
    yield "a severity", lambda d: d["findings"][0].update(severity="warning")
    yield "a code", lambda d: d["findings"][0].update(code="X1")
    yield "a line", lambda d: d["findings"][0].update(line=0)
    yield "a fix", lambda d: d["findings"][0].update(fix={"does": "", "safe": True})
    yield "a count", lambda d: d.update(files=-1)


@pytest.mark.parametrize("spoil", [spoil for _, spoil in broken()], ids=[n for n, _ in broken()])
def test_the_schema_refuses(spoil):
    data = copy.deepcopy(json.loads(render_json(REPORT)))
    spoil(data)
    assert not VALIDATOR.is_valid(data)
