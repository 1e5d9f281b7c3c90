"""Reports as HTML: one file, or a fragment for a notebook, that needs nothing else and no script.

Whatever a target may have said is escaped; a page also forbids, by its own policy, all that it does
not need.
"""

from __future__ import annotations

import hashlib
import html
import math
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...reporting.findings import Rule
from ...reporting.lines import clean, plural
from ..results import CheckResult, Report, TargetReport
from ._style import CSS
from ._words import label, tally, total, verdict
from .json import render_json

_COMMAND = "torchdropout verify"
_NO_TARGET = "No target was judged"


def render_html(report: Report) -> str:
    """The report as one page that loads nothing.

    Args:
        report: What to render.

    Returns:
        An HTML document in ASCII, readable at 400 px and in dark mode.

    Example:
        >>> render_html(Report(())).splitlines()[0]
        '<!doctype html>'
    """
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" \
content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<meta name="color-scheme" content="light dark">
<title>{_text(_title(report))}</title>
<style>body {{ margin: 0 }} .td-report {{ min-height: 100vh }}</style>
</head>
<body>
{_fragment(report)}
</body>
</html>
"""
    return _ascii(page)


def render_html_fragment(report: Report) -> str:
    """The report as one `<div>` with its own style, as a notebook shows it.

    Args:
        report: What to render.

    Returns:
        HTML in ASCII, whose style and ids are its own.

    Example:
        >>> render_html_fragment(Report(()))[:23]
        '<div class="td-report">'
    """
    return _ascii(_fragment(report))


def _fragment(report: Report) -> str:
    # Ids must differ between all reports that a notebook shows.
    digest = hashlib.blake2b(render_json(report).encode(), digest_size=6).hexdigest()
    several = len(report.targets) > 1
    heading = "h2" if several else "h1"
    parts = [
        _target(target, f"td-{digest}-{i}", heading) for i, target in enumerate(report.targets)
    ]
    if several or not report.targets:
        parts.insert(0, _overview(report, f"td-{digest}"))
    return f'<div class="td-report">\n<style>{CSS}</style>\n<main>\n{"".join(parts)}</main>\n</div>'


def _title(report: Report) -> str:
    if len(report.targets) == 1:
        (target,) = report.targets
        return f"{target.target}: {verdict(target)}"
    return f"torchdropout: {total(report) if report.targets else _NO_TARGET}"


def _overview(report: Report, prefix: str) -> str:
    if not report.targets:
        return _banner("none", _COMMAND, _NO_TARGET, "the report is empty")
    links = "".join(
        f'<li class="{_mood(target)}"><a href="#{prefix}-{i}">{_text(target.target)}</a> '
        f"<span>{_text(verdict(target))}</span></li>\n"
        for i, target in enumerate(report.targets)
    )
    mood = "pass" if report.passed else "fail"
    found = len(report.findings)
    banner = _banner(mood, _COMMAND, total(report), plural(found, "finding"))
    return f'{banner}<ul class="td-targets">\n{links}</ul>\n'


def _banner(mood: str, judged: str, headline: str, aside: str, heading: str = "h1") -> str:
    return (
        f'<header class="td-banner {mood}"><p class="td-judged">{_text(judged)}</p>\n'
        f"<{heading}>{_text(headline)}</{heading}>\n<p>{_text(aside)}</p></header>\n"
    )


def _mood(target: TargetReport) -> str:
    if not target.complete:
        return "none"
    return "pass" if target.passed else "fail"


def _target(target: TargetReport, prefix: str, heading: str) -> str:
    says = verdict(target)
    says = says[0].upper() + says[1:]
    parts = [
        f'<section class="td-target" id="{prefix}">\n',
        _banner(_mood(target), target.target, says, tally(target), heading),
        f'<p class="td-description">{_text(target.description)}</p>\n',
        _run(target),
        _findings(target),
        _pictures(target, prefix),
        _checks(target),
        "</section>\n",
    ]
    return "".join(parts)


def _run(target: TargetReport) -> str:
    place = f"{target.file}:{target.line}" if target.file and target.line else target.file
    facts = {
        "claims to be": target.spec,
        "level": target.level,
        "seed": str(target.seed),
        "false-alarm rate of the run": f"{target.false_alarm_rate:.2g}",
        "defined in": place,
    }
    items = [f"<div><dt>{k}</dt><dd>{_text(v)}</dd></div>" for k, v in facts.items() if v]
    return f'<dl class="td-facts">{"".join(items)}</dl>\n'


def _findings(target: TargetReport) -> str:
    failed = [check for check in target.checks if check.status == "fail"]
    if not failed:
        return ""
    order = ("FAIL", "advice", "known")
    failed.sort(key=lambda check: order.index(label(check, target.known)))
    cards = "".join(_finding(check, label(check, target.known)) for check in failed)
    return f"<section><h3>{_text(plural(len(failed), 'finding'))}</h3>\n{cards}</section>\n"


def _finding(check: CheckResult, shown: str) -> str:
    rule = check.rule
    return (
        f'<details class="td-finding {shown.lower()}"><summary>{_badge(shown)} '
        f"<b>{_text(rule.name)}</b> <code>{_text(rule.code)}</code>"
        f"<span>{_text(check.message)}</span></summary>\n"
        f"<p><b>{_prose(rule.summary)}</b></p>\n{_explained(rule)}"
        f"{_figures(check.figures)}</details>\n"
    )


def _explained(rule: Rule) -> str:
    paragraphs = textwrap.dedent(rule.explain).strip("\n").split("\n\n")
    parts = [_paragraph(text) for text in paragraphs if text.strip()]
    for title, code in (("Broken", rule.broken), ("Fixed", rule.fixed)):
        if code:
            parts.append(f"<h4>{title}</h4>\n{_code(code)}")
    return "".join(parts)


def _paragraph(text: str) -> str:
    """A paragraph; one with an indented line (code, a list) keeps its lines."""
    if any(line.startswith((" ", "\t", "- ")) for line in text.splitlines()):
        return _code(text)
    return f"<p>{_prose(text)}</p>\n"


def _code(text: str) -> str:
    source = textwrap.dedent(text.expandtabs()).strip("\n")
    lines = (_escape(clean(line)) for line in source.splitlines())
    # What scrolls must be reached by keys.
    return f'<pre tabindex="0"><code>{chr(10).join(lines)}</code></pre>\n'


def _figures(figures: Mapping[str, Any]) -> str:
    """The single figures of a finding, then the tests that reject; what a picture shows is left."""
    single = {k: v for k, v in figures.items() if isinstance(v, (str, int, float)) or v is None}
    items = [f"<div><dt>{_text(k)}</dt><dd>{_figure(v)}</dd></div>" for k, v in single.items()]
    parts = [f'<dl class="td-facts">{"".join(items)}</dl>\n'] if items else []
    worst = figures.get("worst")
    if isinstance(worst, Sequence) and not isinstance(worst, str):
        parts.append(_worst([row for row in worst if isinstance(row, Mapping)]))
    return f"<h4>Figures</h4>\n{''.join(parts)}" if "".join(parts) else ""


def _worst(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    head = "".join(f'<th scope="col">{_text(key)}</th>' for key in keys)
    body = "".join(
        f"<tr>{''.join(f'<td>{_figure(row.get(key))}</td>' for key in keys)}</tr>\n" for row in rows
    )
    return (
        f'<div class="td-scroll" tabindex="0"><table><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{body}</tbody></table></div>\n"
    )


def _figure(value: Any) -> str:
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.6g}"
    return _text("none" if value is None else str(value))


def _pictures(target: TargetReport, prefix: str) -> str:
    # Here, for matplotlib takes its time to load, and the other renderers have no use for it.
    from . import pictures

    drawn = [
        (check, picture)
        for i, check in enumerate(target.checks)
        if (picture := pictures.draw(check, f"{prefix}-{i}")) is not None
    ]
    if not drawn:
        return ""
    figures = "".join(
        f'<figure class="{label(check, target.known).lower()}"><figcaption>'
        f"<b>{_text(picture.title)}</b> <code>{_text(check.rule.name)}</code></figcaption>\n"
        + picture.svg.replace("<svg", f'<svg role="img" aria-label="{_text(picture.alt)}"', 1)
        + "</figure>\n"
        for check, picture in drawn
    )
    return f'<section><h3>Pictures</h3>\n<div class="td-pictures">\n{figures}</div></section>\n'


def _checks(target: TargetReport) -> str:
    if not target.checks:
        return ""
    rows = "".join(_rows(target))
    return (
        f"<section><h3>{_text(plural(len(target.checks), 'check'))}</h3>\n"
        '<table class="td-checks"><thead><tr><th scope="col">status</th>'
        '<th scope="col">check</th><th scope="col">what was seen</th>'
        f'<th scope="col">would see</th></tr></thead>\n{rows}</table></section>\n'
    )


def _rows(target: TargetReport) -> Iterator[str]:
    """A row a check; a body a group, under its name."""
    group = None
    for check in target.checks:
        if check.rule.group != group:
            yield "" if group is None else "</tbody>\n"
            group = check.rule.group
            head = f'<th colspan="4" scope="rowgroup">{_text(group)}</th>'
            yield f'<tbody><tr class="td-group">{head}</tr>\n'
        shown = label(check, target.known)
        yield (
            f'<tr class="{shown.lower()}"><td>{_badge(shown)}</td>'
            f'<th scope="row">{_text(check.rule.name)}</th><td>{_text(check.message)}</td>'
            f"<td>{_text(check.sees)}</td></tr>\n"
        )
    yield "</tbody>\n"


def _badge(shown: str) -> str:
    return f'<span class="td-badge {shown.lower()}">{shown}</span>'


def _text(text: str) -> str:
    """Text on one line; the wide gaps that part a message's columns become dots."""
    return _escape(re.sub(r" {3,}", " \u00b7 ", clean(text).strip()))


def _prose(text: str) -> str:
    """Text with `code` in it."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", _escape(clean(" ".join(text.split()))))


def _escape(text: str) -> str:
    return html.escape(text, quote=True)


def _ascii(text: str) -> str:
    """The same page in ASCII: right in whatever encoding it is written or sent."""
    return text.encode("ascii", "xmlcharrefreplace").decode("ascii")
