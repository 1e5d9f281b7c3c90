"""Finds the broken and the correct dropouts, and reads what their docstrings say of them.

The docstring of a broken one begins with the check that must be the first to report it, what the
dropout claims to be if that is not plain dropout, and the level at which its fault is seen if that
is not the coarsest: "few-masks: ...", "shared-mask of dropout2d: ...", "drop-rate at quick: ...".
That of a correct one that is not plain begins with what it is, and the level: "dropout2d: ...".
"""

import importlib
import inspect
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torchdropout.verify import CHECKS, SPECS, Level
from torchdropout.verify.targets import resolve

HERE = Path(__file__).parent

# Below `quick`: enough for gross faults, in a fraction of a second.
COARSE = Level("coarse", 0.01, 0.03, 0.02, 1e5, 1 << 18, 1 << 18, 1 << 21, strength=1)

# Smaller still, for what is right: false alarms do not depend on the size of a sample
# (`test_false_alarm`), and the slow tests have more.
SMALL = Level("small", 0.03, 0.1, 0.06, 1e4, 1 << 16, 1 << 16, 1 << 18, strength=1)

# Samples of a few thousand, where the runner is tested and not the statistics.
TINY = Level("tiny", 0.06, 0.2, 0.1, 1e3, 1 << 14, 1 << 14, 1 << 16, strength=1)

ORDER = {check.name: place for place, check in enumerate(CHECKS.values())}

# These take most of the time of a run, by many small calls or large ones.
LONG = frozenset(
    [
        *("thread-law", "scale-constant", "position-rate", "value-rate", "tiny-input"),
        *("linear-rank", "dtype-rate", "seeds-differ", "few-masks", "large-call"),
    ]
)

SHORT = frozenset(ORDER) - LONG

# One run of these takes a quarter of a second or more at the coarsest level. The broken form of
# the example of each is a quick test; the fixed form and the zoo are left to the integration tests.
HEAVY = frozenset(
    [
        *("attention-everywhere", "axis-independence", "block-shape", "call-independence"),
        *("count-spread", "draws-everywhere", "eval-everywhere", "gradient-everywhere"),
        *("joint-counts", "lag-independence", "large-call", "linear-rank", "module-state"),
        *("position-rate", "scale-common", "thread-law", "values-everywhere"),
    ]
)

# These take a third of the rest.
LESS_LONG = ("axis-independence", "call-independence", "lag-independence")


def quick_share(name, plain):
    """The checks of a correct dropout in the quick tests: a third of what takes long is left.

    By the letters of its name, so that the thirds are of one size and stay what they are.
    """
    third = sum(map(ord, name)) % 3
    share = (SHORT - {*LESS_LONG}) | {LESS_LONG[third]}
    return share | frozenset(sorted(LONG)[third::3]) if plain else share


def with_needed(name, spec=None):
    """A check and all that it needs, also through others."""
    by_name = {check.name: check for check in CHECKS.values()}
    found, waiting = set(), [name]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            more = () if spec is None else spec.needs.get(one, ())
            waiting += [*by_name[one].needs, *more]
    return frozenset(found)


@dataclass(frozen=True)
class Member:
    """A dropout of the zoo."""

    name: str
    group: str
    target: Any
    trips: str | None = None
    spec: str | None = None
    level: str | None = None

    def subject(self):
        """Understood; the spec is named only where there is one."""
        return resolve(self.target, **({"spec": self.spec} if self.spec else {}))

    def reporting_checks(self, report):
        """The checks with a finding. Advice on the way to an error does not count."""
        severity = {check.name: check.severity for check in CHECKS.values()}
        wanted = ("error", "advice") if severity.get(self.trips) == "advice" else ("error",)
        return [finding.name for finding in report.findings if finding.severity in wanted]

    def checks_up_to_the_fault(self):
        """The checks of a run up to the one that must report it: the first of them is the first."""
        last = ORDER.get(self.trips, len(ORDER))
        return frozenset(name for name, place in ORDER.items() if place <= last)

    def quick_checks(self, spec):
        """Return the check that must report it, those of its group before it, and what it needs."""
        group = {check.name: check.group for check in CHECKS.values()}
        near = {name for name in self.checks_up_to_the_fault() if group[name] == group[self.trips]}
        return frozenset(near) - LONG | with_needed(self.trips, spec)


SAID = {
    "broken": re.compile(r"(?P<trips>[a-z-]+)(?: of (?P<spec>\S+))?(?: at (?P<level>\w+))?: "),
    "correct": re.compile(r"(?P<spec>[a-z0-9-]+(:\S+)?)(?: at (?P<level>\w+))?: "),
}


def said(target, kind):
    """The check that a docstring names, the spec and the level, or what there is of these."""
    found = SAID[kind].match(inspect.getdoc(target) or "")
    parts = found.groupdict() if found else {}
    known = parts.get("trips") in ORDER or parts.get("spec", "").partition(":")[0] in SPECS
    return [parts.get(part) for part in ("trips", "spec", "level")] if known else [None] * 3


def members(kind):
    """All dropouts in the files of `broken/` or `correct/`, by name."""
    found = {}
    for path in sorted((HERE / kind).glob("[!_]*.py")):
        module = importlib.import_module(f"verify.{kind}.{path.stem}")
        for name, target in vars(module).items():
            if name.startswith("_") or not callable(target):
                continue
            trips, spec, level = said(target, kind)
            if kind == "broken" and not trips:
                continue
            assert name not in found, f"{name} is in two files"
            spec = None if spec == "plain" else spec
            found[name] = Member(name, path.stem, target, trips, spec, level)
    return found
