import copy
import json
from dataclasses import replace
from pathlib import Path
from unittest import mock

import jsonschema
import pytest

from torchdropout.reporting.findings import SCHEMA
from torchdropout.verify import check_dropout
from torchdropout.verify.context import LEVELS
from torchdropout.verify.report import render_json
from torchdropout.verify.results import Report
from torchdropout.verify.runner import codes_of
from torchdropout.verify.specs import PLAIN
from verify import _reports as r
from verify import _zoo
from verify.broken import scale

FILE = Path(__file__).parents[2] / "docs" / "report.schema.json"
VALIDATOR = jsonschema.Draft202012Validator(json.loads(FILE.read_text(encoding="utf-8")))


def load(report):
    return json.loads(render_json(report))


@pytest.fixture(scope="module", autouse=True)
def small():
    """A report has the same parts whatever the size of the samples."""
    with mock.patch.dict(LEVELS, quick=replace(_zoo.SMALL, name="quick")):
        yield


@pytest.fixture(scope="module")
def unscaled():
    return load(check_dropout(scale.unscaled, level="quick"))


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(VALIDATOR.schema)
    assert VALIDATOR.schema["properties"]["schema"]["const"] == SCHEMA


def test_a_run_on_a_broken_dropout_is_valid(unscaled):
    VALIDATOR.validate(unscaled)
    assert "kept-scale" in {finding["name"] for finding in unscaled["targets"][0]["findings"]}


def test_selected_checks_that_pass_are_no_verdict(unscaled):
    data = load(check_dropout(scale.unscaled, level="quick", select=["mode"], ignore=["TD504"]))
    VALIDATOR.validate(data)
    (one,) = data["targets"]
    assert (one["passed"], one["complete"], one["interrupted"]) == (True, False, False)
    assert one["verdict"] == "none"
    of = len(codes_of(None, PLAIN))
    assert one["selection"] == {"select": ["mode"], "ignore": ["TD504"], "count": 4, "of": of}
    (whole,) = unscaled["targets"]
    assert whole["selection"] == {"select": [], "ignore": [], "count": of, "of": of}
    assert (whole["complete"], whole["verdict"]) == (True, "incorrect")


MADE = {
    "nothing": Report(()),
    "every status": Report((r.target(*r.EVERY, file="a.py", line=3),)),
    "interrupted": Report((r.target(r.OK, interrupted=True),)),
    "known": Report((r.target(r.ERROR, known=frozenset({"TD552"})),)),
    "pictures": Report((r.target(*r.PICTURED), r.target(*r.PICTURED))),
    "not finite": Report(
        (r.target(r.check(figures={"nan": float("nan"), "list": [float("inf"), None]})),)
    ),
    **{name: r.saying(text) for name, text in r.HOSTILE.items()},
}


@pytest.mark.parametrize("report", MADE.values(), ids=MADE)
def test_made_reports_are_valid(report):
    VALIDATOR.validate(load(report))


def owned(data, path=()):
    """The paths of all objects whose members the schema names."""
    if isinstance(data, dict) and path[-1:] != ("figures",):
        yield path
        for key, value in data.items():
            yield from owned(value, (*path, key))
    elif isinstance(data, list):
        for i, value in enumerate(data):
            yield from owned(value, (*path, i))


def at(data, path):
    for key in path:
        data = data[key]
    return data


def test_the_schema_refuses_what_is_missing_or_more():
    data = load(Report((r.target(*r.EVERY),)))
    paths = list(owned(data))
    # The report, its target, the selection, findings and checks.
    assert len(paths) == 3 + 2 + len(r.EVERY)
    for path in paths:
        more = copy.deepcopy(data)
        at(more, path)["surprise"] = 1
        assert not VALIDATOR.is_valid(more), path
        for key in at(data, path):
            less = copy.deepcopy(data)
            del at(less, path)[key]
            assert not VALIDATOR.is_valid(less), (*path, key)
            other = copy.deepcopy(data)
            at(other, path)[key] = object()
            assert not VALIDATOR.is_valid(other), (*path, key)


# member of a target, values that it never has
WRONG = {
    "line": [-1], "false_alarm_rate": [0, 1], "seconds": [-0.5], "spec": [""], "passed": [1],
    "known": [["TD5"], ["TD552", "TD552"]], "seed": [0.5], "verdict": ["passed"],
    "selection": [
        {"select": [1], "ignore": [], "count": 1, "of": 1},
        {"select": [], "ignore": [], "count": -1, "of": 1},
    ],
}  # fmt: skip


def test_the_schema_refuses_values_that_no_report_has():
    for key, values in WRONG.items():
        for value in values:
            data = load(Report((r.target(*r.EVERY),)))
            data["targets"][0][key] = value
            assert not VALIDATOR.is_valid(data), (key, value)
