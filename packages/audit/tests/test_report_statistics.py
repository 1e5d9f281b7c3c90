"""`--statistics`: how often each rule was found."""

import json
from pathlib import Path

import jsonschema
import pytest

import _reports as r
from torchdropout_audit.__main__ import main
from torchdropout_audit.report import render_statistics, render_statistics_json

SCHEMA = Path(__file__).parents[3] / "docs" / "audit.schema.json"
VALIDATOR = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
ONE, TWO = r.finding(), r.finding(line=50, severity="advice", fix=r.UNSAFE)
P_ONE = {"code": "TD123", "name": "p-one", "severity": "advice", "fix": None}
MANY = [r.finding(line=line, **P_ONE) for line in range(1, 12)]
OTHER = [
    r.finding(code="TD122", name="p-out-of-range"),
    r.finding(code="TD122", name="p-out-of-range"),
]


def test_a_line_for_each_rule_and_the_verdict():
    *lines, verdict = render_statistics(r.report(ONE, *MANY, TWO, *OTHER)).splitlines()
    assert lines == [
        "11  TD123 p-one                 11 advice",
        " 2  TD101 functional-always-on  1 error, 1 advice, 1 fixable, 1 fixable, unsafe",
        " 2  TD122 p-out-of-range        2 errors, 2 fixable",
    ]
    assert verdict.startswith("3 errors, 12 advice in ")
    assert render_statistics(r.report()).startswith("no errors in ")
    assert render_statistics(r.report()).count("\n") == 1


def test_colours_change_no_character_and_only_the_verdict_wraps():
    report = r.report(ONE, *MANY)
    plain = render_statistics(report)
    styled = render_statistics(report, styled=True)
    assert "\x1b[1;31mTD101" in styled
    assert "\x1b[33mTD123" in styled
    first, second, *verdict = render_statistics(report, width=30).splitlines()
    assert [first, second] == plain.splitlines()[:2]
    assert len(verdict) > 1
    assert max(map(len, verdict)) <= 30


def test_as_json():
    data = json.loads(render_statistics_json(r.report(ONE, *MANY, TWO)))
    VALIDATOR.validate(data)
    assert data["statistics"] == [
        {"code": "TD123", "name": "p-one", "count": 11, "errors": 0, "fixable": 0,
         "fixable_unsafe": 0},
        {"code": "TD101", "name": "functional-always-on", "count": 2, "errors": 1, "fixable": 1,
         "fixable_unsafe": 1},
    ]  # fmt: skip
    assert "findings" not in data
    assert data["files"] == 212


@pytest.mark.parametrize("spoil", [
    lambda d: d.update(findings=[]), lambda d: d.pop("statistics"),
    lambda d: d["statistics"][0].update(count=0), lambda d: d["statistics"][0].pop("errors"),
])  # fmt: skip
def test_the_schema_refuses(spoil):
    text = render_statistics_json(r.report(ONE))
    data = json.loads(text)
    assert text == json.dumps(data, indent=2)
    VALIDATOR.validate(data)
    spoil(data)
    assert not VALIDATOR.is_valid(data)


# The command


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCHDROPOUT_CACHE", str(tmp_path / ".cache"))
    Path("a.py").write_text("from torch import nn\n\na = nn.Dropout(1.5)\nb = nn.Dropout(1.0)\n")


def test_the_command(capsys):
    assert main(["--statistics"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1  TD122 p-out-of-range  1 error"
    assert lines[1] == "1  TD123 p-one           1 advice"
    assert lines[2].startswith("1 error, 1 advice in 1 file (")
    assert main(["--statistics", "--exit-zero", "--format=json", "--output=out.json"]) == 0
    assert [row["count"] for row in json.loads(Path("out.json").read_text())["statistics"]] == [
        1,
        1,
    ]


def test_the_format_of_the_settings_is_for_reports(capsys):
    Path("pyproject.toml").write_text("[tool.torchdropout.audit]\nformat = 'github'\n")
    assert main(["--statistics"]) == 1
    assert capsys.readouterr().out.startswith("1  TD122 ")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--format=sarif"], "with --format text or json, got sarif"),
        (["--format=github"], "with --format text or json, got github"),
        (["--diff"], "--diff or --statistics, not both"),
    ],
)
def test_misuse(more, words, capsys):
    assert main(["--statistics", *more]) == 2
    out, err = capsys.readouterr()
    assert (out, words in err) == ("", True)
