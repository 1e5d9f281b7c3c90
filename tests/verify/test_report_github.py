import re

import pytest

from torchdropout.verify.report import render_github
from torchdropout.verify.results import Report
from verify import _reports as r


def unescape(text, *, of_property=False):
    """What the runner does: https://github.com/actions/runner, ActionCommand."""
    pairs = [("%0D", "\r"), ("%0A", "\n")]
    pairs += [("%3A", ":"), ("%2C", ",")] if of_property else []
    for escaped, plain in [*pairs, ("%25", "%")]:
        text = text.replace(escaped, plain)
    return text


def commands(text):
    """Reads the lines as the runner does: each is one command, or the test fails."""
    out = []
    for line in re.split(r"\r\n|\r|\n", text.removesuffix("\n")) if text else []:
        name, properties, message = re.fullmatch(r"::([a-z]+) (.*?)::(.*)", line).groups()
        given = dict(part.split("=", 1) for part in properties.split(","))
        given = {key: unescape(value, of_property=True) for key, value in given.items()}
        out.append((name, given, unescape(message)))
    return out


def test_a_command_a_finding_then_the_verdict():
    report = Report((r.target(*r.EVERY, name="drops.py:Drop", file="src/drops.py", line=41),))
    assert render_github(report) == (
        "::error file=src/drops.py,line=41,title=TD552 p-one-zeros::drops.py:Drop: 4096 are NaN\n"
        "::warning file=src/drops.py,line=41,title=TD602 wrong-p-named::"
        "drops.py:Drop: p=1.5 accepted\n"
        "::notice file=src/drops.py,line=41,title=drops.py%3ADrop::"
        "1 error, 1 advice in 11.4 s: not a correct dropout.\n"
    )


def test_a_place_that_is_not_known_is_left_out():
    (error, verdict) = commands(render_github(Report((r.target(r.ERROR),))))
    assert error == ("error", {"title": "TD552 p-one-zeros"}, "drops.py:Drop: 4096 are NaN")
    assert verdict[:2] == ("notice", {"title": "drops.py:Drop"})


def test_several_targets_known_findings_and_an_interrupted_run():
    report = Report(
        (
            r.target(r.ERROR, r.ADVICE, name="a:A", known=frozenset({"TD552"})),
            r.target(r.OK, name="b:B", interrupted=True),
        )
    )
    assert [(name, given["title"]) for name, given, _ in commands(render_github(report))] == [
        ("warning", "TD602 wrong-p-named"),
        ("notice", "known: TD552 p-one-zeros"),
        ("notice", "a:A"),
        ("error", "b:B"),
        ("notice", "torchdropout verify"),
    ]
    assert render_github(report).endswith("::1 of 2 targets passed.%0Ab:B: interrupted\n")


@pytest.mark.parametrize("text", r.HOSTILE.values(), ids=r.HOSTILE)
def test_hostile_text_can_start_no_command_of_its_own(text):
    rendered = render_github(r.saying(text))
    assert not [c for c in rendered if not c.isprintable() and c != "\n"]
    found = commands(rendered)
    shown = "".join(c if c.isprintable() or c in "\r\n" else " " for c in text)
    assert [name for name, _, _ in found] == ["error", "notice", "error", "error", "notice"]
    assert found[0] == (
        "error",
        {"file": shown, "line": "3", "title": "TD521 drop-rate"},
        f"{shown}: {shown}",
    )
    assert found[1][1]["title"] == shown
