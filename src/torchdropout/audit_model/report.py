"""Renders a model's sites as a tree, as JSON and as an HTML page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from rich.text import Text

from .._tools import html
from ..reporting.lines import clean, hanging, joined, plural, wrapped
from .results import AuditedSite, AuditedSites

_COLUMNS = ("kind", "p asked", "p seen", "calls", "train", "eval", "no grad", "kept", "line")
_GAP = 2
_STYLE = {"error": "bold red", "advice": "yellow"}


class _Row(NamedTuple):
    """A line of the tree: a module that contains sites, or a site."""

    depth: int
    label: str
    site: AuditedSite | None


def render_sites(
    sites: AuditedSites,
    *,
    width: int | None = None,
    styled: bool = False,
    every: bool = False,
    quiet: bool = False,
) -> str:
    """Renders the audit as text: a tree of sites, the findings, the verdict.

    Args:
        sites: What to render.
        width: Columns of the terminal; the tree is not wrapped. None to wrap nothing.
        styled: Whether to colour it with ANSI codes.
        every: Whether to list sites at p=0 too.
        quiet: Whether to leave out the tree.

    Returns:
        Lines that each end in a newline.
    """
    lines = [] if quiet else list(_sites(sites, width, every))
    for finding in sites.findings:
        style = _STYLE[finding.severity]
        head = Text.assemble(
            (f"{finding.severity:<6}", style), f"  {finding.code} {finding.name}  "
        )
        lines += hanging(head, [(finding.message, "")], width)
    lines += [Text()] if sites.findings else []
    lines += wrapped(verdict_line(sites), width, "bold green" if sites.passed else "bold red")
    if sites.findings:
        name = sites.findings[0].name
        lines += wrapped(f"`torchdropout explain {name}` says why and how to fix it.", width)
    return joined(lines, styled)


def render_sites_json(sites: AuditedSites) -> str:
    """Renders the audit as JSON text, in ASCII: `{"schema": 1, "model": ..., "sites": [...]}`.

    Example:
        >>> json.loads(render_sites_json(AuditedSites("Net", ())))["sites"]
        []
    """
    return json.dumps(sites.to_dict(), indent=2, allow_nan=False)


def verdict_line(sites: AuditedSites) -> str:
    """The number of findings and sites, and the time, in one line."""
    errors = len(sites.errors)
    advice = len(sites.findings) - errors
    counts = plural(errors, "error") + (f", {advice} advice" if advice else "")
    return f"{counts} at {plural(len(sites), 'site')} in {sites.seconds:.1f} s."


# --- Text ---------------------------------------------------------------------------------------


def _sites(sites: AuditedSites, width: int | None, every: bool) -> Iterator[Text]:
    """The model, its notes, and the tree of its sites."""
    shown = [site for site in sites if every or site.acts]
    yield Text(clean(sites.model), style="bold")
    for note in sites.notes:
        yield from wrapped(note, width, "dim")
    yield Text()
    if shown:
        yield from _tree(shown)
        yield Text()
    hidden = len(sites) - len(shown)
    if hidden:
        yield from wrapped(f"{plural(hidden, 'site')} at p=0: --all lists them", width, "dim")
        yield Text()


def _tree(sites: Sequence[AuditedSite]) -> Iterator[Text]:
    rows = list(_rows(sites))
    labels = ["  " * row.depth + clean(row.label) for row in rows]
    cells = [_cells(row.site) for row in rows]
    table = [["", *_COLUMNS], *([label, *cell] for label, cell in zip(labels, cells, strict=True))]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for i, cell in enumerate(table):
        site = rows[i - 1].site if i else None
        line = Text(style="dim" if i == 0 else "")
        for j, (text, size) in enumerate(zip(cell, widths, strict=True)):
            style = "bold red" if site is not None and site.eval and j == 6 else ""
            line.append(text.ljust(size), style=style).append(" " * _GAP)
        line.rstrip()
        yield line


def _rows(sites: Iterable[AuditedSite]) -> Iterator[_Row]:
    """The lines of the tree; a module with a single child shares its line."""
    root = _Node()
    for site in sites:
        node = root
        for part in site.name.split(".") if site.name else ():
            node = node.children.setdefault(part, _Node())
        node.sites.append(site)
    yield from _walk(root, 0)


class _Node:
    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.sites: list[AuditedSite] = []


def _walk(node: _Node, depth: int) -> Iterator[_Row]:
    for site in node.sites:
        yield _Row(depth, "(itself)", site)
    for name, child in node.children.items():
        label = name
        while not child.sites and len(child.children) == 1:
            ((part, child),) = child.children.items()
            label = f"{label}.{part}"
        if len(child.sites) == 1 and not child.children:
            yield _Row(depth, label, child.sites[0])
        else:
            yield _Row(depth, label, None)
            yield from _walk(child, depth + 1)


def _cells(site: AuditedSite | None) -> list[str]:
    if site is None:
        return [""] * len(_COLUMNS)
    return [
        clean(site.kind),
        _number(site.asked),
        _number(site.seen),
        str(site.calls),
        *map(_switch, (site.train, site.eval, site.no_grad)),
        _bytes(site.kept),
        clean(site.line) + (f"  also {clean(', '.join(site.also))}" if site.also else ""),
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _switch(on: bool | None) -> str:
    return "" if on is None else "on" if on else "off"


def _bytes(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.3g} {unit}" if unit != "B" else f"{count} B"
        size /= 1024
    return f"{size:.3g} GiB"


# --- HTML ---------------------------------------------------------------------------------------


def render_sites_html(sites: AuditedSites) -> str:
    """Renders the audit as one page in ASCII that loads nothing and has no script.

    Example:
        >>> render_sites_html(AuditedSites("Net", ())).splitlines()[0]
        '<!doctype html>'
    """
    title = clean(f"{sites.model}: {verdict_line(sites)}")
    return html.page(title, render_sites_html_fragment(sites))


def render_sites_html_fragment(sites: AuditedSites) -> str:
    """Renders the audit as one `<div>` with its own style, as a notebook shows it."""
    classes = [column.replace("p ", "").replace(" ", "-") for column in _COLUMNS]
    return html.render(
        html.environment(__package__, clean),
        "sites.html",
        sites=sites,
        verdict=verdict_line(sites),
        columns=_COLUMNS,
        rows=[(row, list(zip(classes, _cells(row.site), strict=True))) for row in _rows(sites)],
    )
