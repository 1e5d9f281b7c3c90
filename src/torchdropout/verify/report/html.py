"""Reports as HTML: one file, or a fragment for a notebook, without scripts or external resources.

Text from a target is escaped (Jinja2 with autoescape); a page also forbids, by its
content security policy, everything that it does not need.
"""

from __future__ import annotations

import functools
import hashlib
import math
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ..._tools import html
from ...reporting.lines import clean, plural
from ..results import CheckResult, Report, TargetReport
from ._words import P_VALUES, has_p_values, label, selected, tally, total, verdict
from .json import render_json

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

_NO_TARGET = "No target was verified"
# The colour of a verdict.
_MOOD = {"correct": "pass", "accepted": "pass", "incorrect": "fail", "none": "none"}


def render_html(report: Report) -> str:
    """Render the report as one page that loads nothing.

    Args:
        report: What to render.

    Returns:
        An HTML document in ASCII, readable at 400 px and in dark mode.

    Example:
        >>> render_html(Report(())).splitlines()[0]
        '<!doctype html>'
    """
    style = "body { margin: 0 } .td-report { min-height: 100vh }"
    return html.page(_line(_title(report)), render_html_fragment(report), style)


def render_html_fragment(report: Report) -> str:
    """Render the report as one `<div>` with its own style, for a notebook.

    Args:
        report: What to render.

    Returns:
        HTML in ASCII, whose style and ids are its own.

    Example:
        >>> render_html_fragment(Report(()))[:23]
        '<div class="td-report">'
    """
    # Ids must differ between all reports that a notebook shows.
    digest = hashlib.blake2b(render_json(report).encode(), digest_size=6).hexdigest()
    return html.render(
        _environment(),
        "report.html",
        no_target=_NO_TARGET,
        mood=("pass" if report.complete else "none") if report.passed else "fail",
        total=total(report),
        findings=plural(len(report.findings), "finding"),
        targets=[_target(t, f"td-{digest}-{i}") for i, t in enumerate(report.targets)],
    )


@functools.cache
def _environment() -> Environment:
    environment = html.environment(__package__, _line)
    environment.filters |= {"prose": _prose, "source": _source}
    return environment


# --- Text in the templates ----------------------------------------------------------------------


def _line(text: str) -> str:
    """Text on one line; the wide gaps between a message's columns become dots."""
    return re.sub(r" {3,}", " \u00b7 ", clean(text).strip())


def _prose(text: str) -> Markup:
    """Text with `code` in it."""
    from markupsafe import Markup, escape

    escaped = str(escape(clean(" ".join(text.split()))))
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", escaped))


def _source(text: str) -> Markup:
    """Lines of source code, without their common indentation."""
    from markupsafe import escape

    lines = textwrap.dedent(text.expandtabs()).strip("\n").splitlines()
    return escape("\n".join(map(clean, lines)))


# --- What the templates show --------------------------------------------------------------------


def _title(report: Report) -> str:
    if len(report.targets) == 1:
        (target,) = report.targets
        return f"{target.target}: {verdict(target)}"
    return f"torchdropout: {total(report) if report.targets else _NO_TARGET}"


def _target(target: TargetReport, prefix: str) -> dict[str, Any]:
    says = verdict(target)
    order = ("FAIL", "advice", "known")
    failed = [_finding(c, label(c, target.known)) for c in target.checks if c.status == "fail"]
    failed.sort(key=lambda finding: order.index(finding["label"]))
    groups = [
        (group, [_row(check, label(check, target.known)) for check in members])
        for group, members in groupby(target.checks, lambda check: check.rule.group)
    ]
    return {
        "id": prefix,
        "name": target.target,
        "mood": _MOOD[target.verdict],
        "verdict": says,
        "headline": says[0].upper() + says[1:],
        "tally": tally(target),
        "description": target.description,
        "facts": _facts(target),
        "findings": failed,
        "finding_count": plural(len(failed), "finding"),
        "pictures": list(_pictures(target, prefix)),
        "groups": groups,
        "check_count": plural(len(target.checks), "check"),
        "note": P_VALUES if has_p_values(check.message for check in target.checks) else "",
    }


def _facts(target: TargetReport) -> list[tuple[str, str]]:
    place = f"{target.file}:{target.line}" if target.file and target.line else target.file
    facts = {
        "claims to be": target.spec,
        "level": target.level,
        "seed": str(target.seed),
        "false-alarm rate of the run": f"{target.false_alarm_rate:.2g}",
        "selection": selected(target, ", "),
        "defined in": place,
    }
    return [(name, value) for name, value in facts.items() if value]


def _row(check: CheckResult, shown: str) -> dict[str, Any]:
    return {"label": shown, "rule": check.rule, "message": check.message, "sees": check.sees}


def _finding(check: CheckResult, shown: str) -> dict[str, Any]:
    figures = {
        name: value
        for name, value in check.figures.items()
        if isinstance(value, (str, int, float)) or value is None
    }
    columns, worst = _worst(check.figures.get("worst"))
    return {
        **_row(check, shown),
        "paragraphs": list(_paragraphs(check.rule.explain)),
        "figures": [(name, _figure(value)) for name, value in figures.items()],
        "columns": columns,
        "worst": worst,
    }


def _paragraphs(text: str) -> Iterator[tuple[str, bool]]:
    """The paragraphs, each with whether its lines are kept, as in code or a list."""
    for paragraph in textwrap.dedent(text).strip("\n").split("\n\n"):
        if paragraph.strip():
            lines = paragraph.splitlines()
            yield paragraph, any(line.startswith((" ", "\t", "- ")) for line in lines)


def _worst(tests: Any) -> tuple[list[str], list[list[str]]]:
    """The tests that reject, as a table, without those that a picture shows."""
    if not isinstance(tests, Sequence) or isinstance(tests, str):
        return [], []
    rows = [row for row in tests if isinstance(row, Mapping)]
    keys = list(dict.fromkeys(key for row in rows for key in row))
    return list(map(str, keys)), [[_figure(row.get(key)) for key in keys] for row in rows]


def _figure(value: Any) -> str:
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.6g}"
    return "none" if value is None else str(value)


def _pictures(target: TargetReport, prefix: str) -> Iterator[dict[str, Any]]:
    # Imported here: matplotlib is slow to load, and the other renderers do not need it.
    from markupsafe import Markup, escape

    from . import pictures

    for i, check in enumerate(target.checks):
        picture = pictures.draw(check, f"{prefix}-{i}")
        if picture is not None:
            alt = f'<svg role="img" aria-label="{escape(_line(picture.alt))}"'
            yield {
                "label": label(check, target.known),
                "check": check.rule.name,
                "title": picture.title,
                "svg": Markup(picture.svg.replace("<svg", alt)),
            }
