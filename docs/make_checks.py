"""Writes docs/checks/ from the table of checks, a page a group: `python docs/make_checks.py`."""

from __future__ import annotations

import importlib
import math
from itertools import groupby
from pathlib import Path

from torchdropout.reporting.findings import Rule
from torchdropout.verify import CHECKS, LEVELS, RULES

PAGES = Path(__file__).parent / "checks"

HEAD = """\
# The checks

Made by `python docs/make_checks.py` from the checks themselves: `torchdropout explain NAME` prints
the same, with the whole programs. `torchdropout verify TARGET --select NAME` runs one.

An *error* means that a target is not a correct dropout, *advice* that it could serve its users
better. The *statistical* checks share the false-alarm rate of a run equally; the others are exact.
A check is skipped where one that it needs has failed.

`torchdropout explain NAME` also prints a program that has the fault, and what fixes it. The tests
verify both: the first fails this check before any other, the second has no error.
"""

LEVELS_HEAD = """\
## Levels

The smallest fault that each level looks for, where rates are differences from p. Each run states
what it can see, which is a larger fault where a measurement reaches its time limit first.

| level | rate, p=0.1 | rate, p=0.5 | by dtype, value, layout | correlation | masks in a pool |
|---|---|---|---|---|---|
"""


def pages() -> dict[str, str]:
    """The pages as text, by the name of the file."""
    rules = list(RULES.values())
    groups = {name: list(members) for name, members in groupby(rules, lambda rule: rule.group)}
    contents = "```{toctree}\n:hidden:\n\n" + "".join(f"{name}\n" for name in groups) + "```\n"
    index = "\n".join([HEAD, _levels(), _index(groups), contents])
    return {
        "index.md": index,
        **{f"{name}.md": _group(name, members) for name, members in groups.items()},
    }


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


def _index(groups: dict[str, list[Rule]]) -> str:
    lines = ["## All of them", "", "| group | checks |", "|---|---|"]
    for name, rules in groups.items():
        links = [f"[{_title(rule)}]({name}.md#{_anchor(rule)})" for rule in rules]
        lines.append(f"| [{name}]({name}.md) | {', '.join(links)} |")
    return "\n".join(lines) + "\n"


def _title(rule: Rule) -> str:
    return f"{rule.code} {rule.name}"


def _anchor(rule: Rule) -> str:
    return _title(rule).lower().replace(" ", "-")


def _group(name: str, rules: list[Rule]) -> str:
    module = importlib.import_module(f"torchdropout.verify.checks.{name}")
    about = (module.__doc__ or "").strip()
    return "\n".join([f"# Checks: {name}", "", about, "", *map(_rule, rules)])


def _rule(rule: Rule) -> str:
    check = CHECKS[rule.code]
    kind = [rule.severity, *(["statistical"] if check.statistical else [])]
    if check.needs:
        kind.append(f"needs {', '.join(check.needs)}")
    return "\n".join(
        [
            f"## {_title(rule)}",
            "",
            f"**{rule.summary}** ({'; '.join(kind)})",
            "",
            rule.explain.strip(),
            "",
        ]
    )


def main() -> None:
    """Write the pages; one of a group that is gone goes."""
    PAGES.mkdir(exist_ok=True)
    written = pages()
    for file in PAGES.glob("*.md"):
        if file.name not in written:
            file.unlink()
    for name, text in written.items():
        (PAGES / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
