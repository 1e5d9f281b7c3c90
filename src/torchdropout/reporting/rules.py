"""Renders rules as text and JSON."""

from __future__ import annotations

import difflib
import json
import textwrap
from collections.abc import Iterable, Sequence

from rich.text import Text

from .findings import SCHEMA, Rule
from .lines import filled, hanging, joined, listing, wrapped


def render_rule(rule: Rule, *, width: int | None = None, styled: bool = False) -> str:
    """Renders a rule for `explain`: what it requires, its explanation and examples."""
    head = Text.assemble((f"{rule.code} {rule.name}", "bold"), f"   {rule.group}   {rule.severity}")
    lines = [head, *wrapped(rule.summary, width), Text()]
    for paragraph in textwrap.dedent(rule.explain).strip().split("\n\n"):
        lines += [*filled(paragraph, width), Text()]
    for title, source in (("Broken:", rule.broken), ("Fixed:", rule.fixed)):
        if source:
            lines += [Text(title, style="bold"), Text(), *listing(source), Text()]
    if rule.evidence:
        lines += [*filled(f"Seen in: {rule.evidence}", width), Text()]
    return joined(lines[:-1], styled)


def render_rule_markdown(rule: Rule) -> str:
    """Renders a rule as Markdown, under a heading of the third level, with its fix as a diff."""
    parts = [f"### {rule.code} {rule.name}", f"**{rule.summary}** ({rule.severity})"]
    parts.append(textwrap.dedent(rule.explain).strip())
    if rule.broken:
        parts.append(fix_in_markdown(rule))
    if rule.evidence:
        parts.append(f"Seen in: {rule.evidence}")
    return "\n\n".join(parts) + "\n"


def fix_in_markdown(rule: Rule, *, whole: bool = False) -> str:
    """Renders what a fix changes in a rule's broken program; what it adds, with the lines around.

    Args:
        rule: Whose program.
        whole: Whether to show the program whole.
    """
    broken, fixed = (text.strip().splitlines() for text in (rule.broken, rule.fixed))
    if not fixed:
        return "\n".join(["```python", *broken, "```"])
    changes = difflib.SequenceMatcher(None, broken, fixed).get_opcodes()
    around = any(tag in ("insert", "delete") for tag, *_ in changes)
    n = len(broken) if whole else int(around)
    _, _, _, *lines = difflib.unified_diff(broken, fixed, n=n, lineterm="")
    parts = ("..." if line.startswith("@@") else line.rstrip() for line in lines)
    shown = "\n".join(parts).strip("\n")
    return f"```diff\n{shown}\n```"


def render_rules(rules: Sequence[Rule], *, width: int | None = None, styled: bool = False) -> str:
    """Renders rules for `checks` and `rules`, one line each."""
    name_width = max((len(rule.name) for rule in rules), default=0)
    group_width = max((len(rule.group) for rule in rules), default=0)
    lines = []
    for rule in rules:
        head = Text.assemble(
            f"{rule.code}  {rule.name:<{name_width}}  {rule.group:<{group_width}}  ",
            (f"{rule.severity:<6}", "red" if rule.severity == "error" else "yellow"),
            "  ",
        )
        lines += hanging(head, [(rule.summary, "")], width)
    return joined(lines, styled)


def render_rules_json(rules: Iterable[Rule], key: str = "rules") -> str:
    """Renders rules as JSON text: `{"schema": 1, "rules": [...]}`.

    Args:
        rules: What to render.
        key: The name of the list.

    Returns:
        ASCII text.
    """
    keys = ("code", "name", "group", "severity", "summary")
    listed = [{key: getattr(rule, key) for key in keys} for rule in rules]
    return json.dumps({"schema": SCHEMA, key: listed}, indent=2)
