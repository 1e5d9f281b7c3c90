"""SARIF, by the schema of its makers."""

import json
from pathlib import Path
from urllib.parse import unquote, urlparse

import jsonschema
import pytest

import _reports as r
from torchdropout_audit.findings import SourceReport
from torchdropout_audit.fix import apply_fixes
from torchdropout_audit.registry import RULES
from torchdropout_audit.report import render_sarif
from torchdropout_audit.source import audit_text

FILE = Path(__file__).parent / "data" / "sarif-2.1.0-rtm.5.json"
VALIDATOR = jsonschema.Draft4Validator(
    json.loads(FILE.read_text(encoding="utf-8")), format_checker=jsonschema.FormatChecker()
)


def sarif(report):
    data = json.loads(render_sarif(report, tuple(RULES.values()), "1.2.3"))
    VALIDATOR.validate(data)
    (run,) = data["runs"]
    return run


@pytest.mark.parametrize(
    "report",
    [
        r.report(),
        r.report(r.finding(), r.ADVICE, r.IN_NOTEBOOK, problems=("x: no",)),
        r.report(r.finding(path="/tmp/größer & so.py", fix=r.UNSAFE), complete=False),
    ],
)
def test_it_is_valid(report):
    run = sarif(report)
    assert len(run["results"]) == len(report.findings)
    assert run["invocations"][0]["executionSuccessful"] is report.complete
    said = run["invocations"][0]["toolExecutionNotifications"]
    assert [each["message"]["text"] for each in said] == list(report.problems)


def test_every_rule_is_told():
    driver = sarif(r.report())["tool"]["driver"]
    assert driver["version"] == "1.2.3"
    assert [(rule["id"], rule["name"]) for rule in driver["rules"]] == [
        (rule.code, rule.name) for rule in RULES.values()
    ]
    explained = [rule["fullDescription"]["text"] for rule in driver["rules"]]
    assert explained == [rule.explain for rule in RULES.values()]
    assert all(explained)
    for shown, rule in zip(driver["rules"], RULES.values(), strict=True):
        text = f"{rule.summary}\n\n{rule.explain}"
        assert shown["help"]["text"] == text
        said, _, fix = shown["help"]["markdown"].partition("\n\n```diff\n")
        assert said == text
        lines = fix.removesuffix("\n```").splitlines()
        for sign, program in (("-", rule.broken), ("+", rule.fixed)):
            kept = [line[1:] for line in lines if line[:1] in (sign, " ", "")]
            assert kept == [line.rstrip() for line in program.strip().splitlines()]
    assert not RULES["syntax-error"].broken


def test_a_result():
    (result,) = sarif(r.report(r.finding()))["results"]
    assert list(RULES)[result["ruleIndex"]] == "functional-always-on"
    assert (result["ruleId"], result["level"]) == ("TD101", "error")
    assert result["message"]["text"].endswith("to True (add training=self.training)")
    (location,) = result["locations"]
    assert location["physicalLocation"] == {
        "artifactLocation": {"uri": "src/model.py", "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": 41, "startColumn": 9, "endLine": 41, "endColumn": 29},
    }
    assert sarif(r.report(r.ADVICE))["results"][0]["level"] == "warning"


def test_a_cell_has_the_line_in_the_file():
    (result,) = sarif(r.report(r.IN_NOTEBOOK))["results"]
    (location,) = result["locations"]
    assert location["physicalLocation"]["region"] == {"startLine": 31}
    assert location["physicalLocation"]["artifactLocation"]["uri"] == "note%20books/a.ipynb"
    assert location["logicalLocations"] == [{"fullyQualifiedName": "cell 3"}]
    assert result["message"]["text"].startswith("cell 3, line 2: ")
    assert "fixes" not in result


@pytest.mark.parametrize("path", ["/a b/größer.py", "/x#y?.py"])
def test_an_absolute_path_is_a_uri_of_its_own(path):
    (result,) = sarif(r.report(r.finding(path=path)))["results"]
    where = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert set(where) == {"uri"}
    parsed = urlparse(where["uri"])
    assert (parsed.scheme, unquote(parsed.path)) == ("file", path)


def test_the_fix_that_is_told_is_the_fix():
    text = "import torch.nn as nn\r\n# größer 日本\r\nnn.Dropout(keep_prob)\r\n"
    found = [f for f in audit_text(text, "a.py") if f.fix is not None]
    assert found
    (result,) = sarif(SourceReport(tuple(found), 1))["results"]
    ((change,),) = [fix["artifactChanges"] for fix in result["fixes"]]
    fixed = text
    for each in sorted(
        change["replacements"], key=lambda e: e["deletedRegion"]["charOffset"], reverse=True
    ):
        start = each["deletedRegion"]["charOffset"]
        end = start + each["deletedRegion"]["charLength"]
        fixed = fixed[:start] + each["insertedContent"]["text"] + fixed[end:]
    assert fixed == apply_fixes(text, found, unsafe=True)[0] != text


def test_the_schema_refuses():
    text = render_sarif(r.report(r.finding()), tuple(RULES.values()), "1")
    data = json.loads(text)
    assert text == json.dumps(data, indent=2)
    data["runs"][0]["results"][0]["level"] = "advice"
    assert not VALIDATOR.is_valid(data)
