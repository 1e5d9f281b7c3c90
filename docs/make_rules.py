"""Writes docs/rules.md from the table of rules: `python docs/make_rules.py`."""

from __future__ import annotations

from pathlib import Path

from torchdropout_audit.table import RULES

from torchdropout.reporting.findings import Rule

PAGE = Path(__file__).parent / "rules.md"

HEAD = """\
# The rules of the audit

Made by `python docs/make_rules.py` from the rules themselves: `torchdropout explain NAME` prints
the same. `torchdropout audit --select NAME` applies one.

An *error* means that the program does what cannot be intended, *advice* that a reader should look.
TD0 is about files, TD1 about [sources](audit.md), TD3 about [models that are run](audit-model.md).
"""


def page() -> str:
    """The page as text."""
    rules = sorted(RULES.values(), key=lambda rule: rule.code)
    parts = [HEAD, _index(rules)]
    for group in dict.fromkeys(rule.group for rule in rules):
        parts += [f"## {group}\n", *(_rule(rule) for rule in rules if rule.group == group)]
    return "\n".join(parts)


def _index(rules: list[Rule]) -> str:
    lines = ["## All of them", "", "| code | rule | group | severity | requires |"]
    lines += ["|---|---|---|---|---|"]
    lines += [
        f"| {rule.code} | [{rule.name}](#{_anchor(rule)}) | {rule.group} | {rule.severity} "
        f"| {rule.summary.replace('|', chr(92) + '|')} |"
        for rule in rules
    ]
    return "\n".join(lines) + "\n"


def _title(rule: Rule) -> str:
    return f"{rule.code} {rule.name}"


def _anchor(rule: Rule) -> str:
    return _title(rule).lower().replace(" ", "-")


def _rule(rule: Rule) -> str:
    parts = [f"### {_title(rule)}", f"**{rule.summary}** ({rule.severity})", rule.explain.strip()]
    for title, source in (("Broken:", rule.broken), ("Fixed:", rule.mended)):
        if source:
            parts += [title, f"```python\n{source.strip()}\n```"]
    if rule.evidence:
        parts.append(f"Seen in: {rule.evidence}")
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
