"""Writes docs/checks.md from the table of checks: `python docs/make_checks.py`."""

from __future__ import annotations

import importlib
import math
from itertools import groupby
from pathlib import Path

from torchdropout.reporting.findings import Rule
from torchdropout.verify import CHECKS, LEVELS, RULES

PAGE = Path(__file__).parent / "checks.md"

HEAD = """\
# The checks

Made by `python docs/make_checks.py` from the checks themselves: `torchdropout explain NAME` prints
the same. `torchdropout verify TARGET --select NAME` runs one.

An *error* means that a target is no correct dropout, *advice* that it could serve people better.
The *statistical* checks share the false-alarm rate of a run equally; the others are exact. A check
says nothing where one that it needs has failed.

Each comes with a program that has the fault and the same program mended. Both are judged in the
tests: the first trips the check before any other, the second has no error.
"""

LEVELS_HEAD = """\
## Levels

What is looked for; each run states what it saw. It may be more, where the time that a measurement
may take ends first. The rates are differences from p.

| level | rate, p=0.1 | rate, p=0.5 | by dtype, value, layout | correlation | masks in a pool |
|---|---|---|---|---|---|
"""


def page() -> str:
    """The page as text."""
    rules = list(RULES.values())
    groups = [(name, list(members)) for name, members in groupby(rules, lambda rule: rule.group)]
    parts = [HEAD, _levels(), _index(rules)]
    parts += [_group(name, members) for name, members in groups]
    return "\n".join(parts)


def _levels() -> str:
    rows = []
    for level in LEVELS.values():
        # In standard deviations of one mask bit: see `Level`.
        tenth, half = (math.sqrt(p * (1 - p)) for p in (0.1, 0.5))
        cells = [
            level.name,
            f"{level.rate * tenth:.2g}",
            f"{level.rate * half:.2g}",
            f"{level.rough_rate * half:.2g}",
            f"{level.correlation:g}",
            f"{int(level.pool):,}",
        ]
        rows.append(f"| {' | '.join(cells)} |\n")
    return LEVELS_HEAD + "".join(rows)


def _index(rules: list[Rule]) -> str:
    lines = ["## All of them", "", "| code | check | group | severity | requires |"]
    lines += ["|---|---|---|---|---|"]
    lines += [
        f"| {rule.code} | [{rule.name}](#{_anchor(rule)}) | {rule.group} | {rule.severity} "
        f"| {_cell(rule.summary)} |"
        for rule in rules
    ]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _title(rule: Rule) -> str:
    return f"{rule.code} {rule.name}"


def _anchor(rule: Rule) -> str:
    return _title(rule).lower().replace(" ", "-")


def _group(name: str, rules: list[Rule]) -> str:
    module = importlib.import_module(f"torchdropout.verify.checks.{name}")
    about = (module.__doc__ or "").strip()
    return "\n".join([f"## {name}", "", about, "", *map(_rule, rules)])


def _rule(rule: Rule) -> str:
    check = CHECKS[rule.code]
    kind = [rule.severity, *(["statistical"] if check.statistical else [])]
    if check.needs:
        kind.append(f"needs {', '.join(check.needs)}")
    return "\n".join(
        [
            f"### {_title(rule)}",
            "",
            f"**{rule.summary}** ({'; '.join(kind)})",
            "",
            rule.explain.strip(),
            "",
            "Broken:",
            "",
            f"```python\n{rule.broken}```",
            "",
            "Mended:",
            "",
            f"```python\n{rule.fixed}```",
            "",
        ]
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
