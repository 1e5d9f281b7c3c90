import re
from xml.etree import ElementTree as ET

import junitparser
import pytest

from torchdropout.verify.report import render_junit
from torchdropout.verify.results import Report
from verify import _reports as r

REPORT = Report(
    (
        r.target(*r.EVERY, name="a.py:A", file="src/a.py", line=41),
        r.target(r.OK, r.ERROR, name="b:B", interrupted=True),
        r.target(r.ERROR, name="c:C", known=frozenset({"TD552"})),
    )
)


def cases(xml):
    return {
        (case.get("classname"), case.get("name")): case
        for case in ET.fromstring(xml).iter("testcase")
    }


def test_a_suite_a_target_and_a_case_a_check():
    root = ET.fromstring(render_junit(REPORT))
    assert root.tag == "testsuites"
    keys = ("name", "tests", "failures", "errors", "skipped", "time")
    assert [tuple(map(suite.get, keys)) for suite in root] == [
        ("a.py:A", "5", "1", "0", "2", "11.420"),
        ("b:B", "3", "1", "1", "0", "11.420"),
        ("c:C", "1", "0", "0", "1", "11.420"),
    ]
    assert [root.get(k) for k in keys[1:]] == ["9", "2", "1", "3", "34.260"]
    assert [(case.get("name"), case.get("time")) for case in root[0].iter("testcase")] == [
        (check.rule.name, "0.250") for check in r.EVERY
    ]


def test_outcomes():
    found = cases(render_junit(REPORT))

    def outcome(target, name):
        return [
            (child.tag, child.get("message"), child.get("type"))
            for child in found[target, name]
            if child.tag != "system-out"
        ]

    assert outcome("a.py:A", "eval-identity") == []
    assert outcome("a.py:A", "p-one-zeros") == [("failure", "4096 are NaN", "TD552")]
    advice = ("skipped", "advice: p=1.5 accepted", "TD602")
    assert outcome("a.py:A", "wrong-p-named") == [advice]
    assert outcome("a.py:A", "mode-switch") == [("skipped", "not checked", "TD504")]
    assert outcome("c:C", "p-one-zeros") == [("skipped", "known: 4096 are NaN", "TD552")]
    ((kind, message, _),) = outcome("b:B", "complete")
    assert (kind, message[:26]) == ("error", "interrupted after 2 checks")
    assert found["a.py:A", "p-one-zeros"].get("file") == "src/a.py"
    assert found["a.py:A", "p-one-zeros"].get("line") == "41"
    assert found["b:B", "p-one-zeros"].get("file") is None


def test_a_selection_is_recorded_and_leaves_no_verdict():
    def facts(**more):
        (suite,) = ET.fromstring(render_junit(Report((r.target(r.OK, **more),))))
        return {one.get("name"): one.get("value") for one in suite.iter("property")}

    some, every = facts(selection=r.MODE), facts()
    assert (some["select"], some["ignore"], some["checks"]) == ("mode", "TD504", "1 of 57 checks")
    assert some["verdict"] == "no verdict: 1 of 57 checks"
    assert (every["select"], every["checks"]) == ("", "all that apply")
    assert every["verdict"] == "a correct dropout"


def test_a_failure_explains_itself_and_every_case_says_what_was_seen():
    found = cases(render_junit(REPORT))
    failure = found["a.py:A", "p-one-zeros"].find("failure").text
    assert failure.startswith("TD552 p-one-zeros: The summary of p-one-zeros.\n\nMeasured:")
    assert "To fix: fix it." in failure
    assert found["a.py:A", "drop-rate"].find("system-out").text == (
        "TD521 The summary of drop-rate.\n0.1 dropped   p-value 0.4\nsees an error of 0.0012"
    )


@pytest.mark.parametrize("text", r.HOSTILE.values(), ids=r.HOSTILE)
def test_hostile_text_is_kept_but_for_what_xml_cannot_say(text):
    xml = render_junit(r.saying(text))
    assert xml.isascii()
    root = ET.fromstring(xml)
    expected = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]", "\ufffd", text)
    assert root[0].get("name") == expected
    (failure,) = root[0].iter("failure")
    assert failure.get("message") == expected
    assert {child.tag for child in root.iter()} <= {
        "testsuites", "testsuite", "properties", "property", "testcase", "failure", "error",
        "skipped", "system-out",
    }  # fmt: skip
    assert len(junitparser.JUnitXml.fromstring(xml.encode())) == 2
