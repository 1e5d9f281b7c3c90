"""Measure the targets: one table of the required, the desired and the measured figures.

Each row alternates its candidates in this process, with warm memory, p = 0.1 and, unless the row
says otherwise, one thread. A row of several cases shows the worst of them. With kernels for AVX2,
forced or the best there are, "must" and "reach" of a speed are halved, those of a time against a
copy or a product, and of a time an element, doubled. A verdict is that on the figure before it is
rounded; a figure that misses a bound has as many digits as show it.

    python benchmarks/table.py           measure; docs/performance/table.csv and performance.md
    python benchmarks/table.py --page    regenerate the page from the results
"""

from __future__ import annotations

import csv
import math
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import harness
import machine
import operations
import torch
from harness import Case, Interval, Plan, Result
from operations import BF16, F16, F32, KI, MI, OURS, TORCH
from rich.console import Console
from rich.table import Table

import torchdropout.functional as td
from torchdropout import backends

PLAN = Plan(budget_s=1.5, fewest=15, slow_rounds=11)


@dataclass(frozen=True)
class Unit:
    """How a row is formatted and compared.

    Args:
        at_least: Whether more is better.
        number: A figure as text, with so many digits more than usual.
        name: The text after the number.
        forced: The factor of a bound if AVX2 is forced.
    """

    at_least: bool
    number: Callable[[float, int], str]
    name: str
    forced: float = 1.0

    def limit(self, bound: float) -> str:
        """A bound in words."""
        return f"{'at least' if self.at_least else 'at most'} {self.number(bound, 0)}{self.name}"

    def meets(self, value: float, bound: float) -> bool:
        """Whether a figure is on the good side of a bound."""
        return value >= bound if self.at_least else value <= bound

    def figure(self, value: float, bounds: Sequence[float]) -> str:
        """A figure as text that does not seem to meet one of the bounds by being rounded."""
        missed = [bound for bound in bounds if not self.meets(value, bound)]
        for more in range(MOST_DIGITS):
            text = self.number(value, more)
            if all(text != self.number(bound, more) for bound in missed):
                break
        return text

    def spread(self, ratio: Interval, bounds: Sequence[float] = ()) -> str:
        """A figure and its interval, if it has one."""
        low, high = self.number(ratio.low, 0), self.number(ratio.high, 0)
        interval = "" if ratio.low == ratio.high else f" [{low}, {high}]"
        return f"{self.figure(ratio.value, bounds)}{self.name}{interval}"


MOST_DIGITS = 12  # beyond three


def _digits(value: float, more: int) -> str:
    return f"{value:.{3 + more}g}"


SPEED = Unit(True, _digits, " x as fast", forced=0.5)
TIME = Unit(False, _digits, " of the time", forced=2.0)
EACH = Unit(False, _digits, " ns an element", forced=2.0)
COST = Unit(False, lambda ratio, more: f"{100 * (ratio - 1):+.{1 + more}f}", " %")
BYTES = Unit(False, lambda count, more: f"{count:.{more}f}", " bytes")


@dataclass(frozen=True)
class Measured:
    """The figure of a row.

    Args:
        ratio: Its value and 95 % interval.
        results: The cases it was taken from.
        note: A remark, such as where the worst was or what torch's own figure is.
    """

    ratio: Interval
    results: Sequence[Result] = ()
    note: str = ""


Measure = Callable[[Plan], Measured]
Figure = Callable[[Result], Interval]


@dataclass(frozen=True)
class Row:
    """A target: its text, its bounds and how to measure it."""

    title: str
    unit: Unit
    must: float
    reach: float
    measure: Measure

    def bound(self, value: float, forced: bool) -> float:
        """`must` or `reach`, multiplied for AVX2."""
        return value * self.unit.forced if forced else value


@dataclass(frozen=True)
class Line:
    """A row with its figure, for display and for JSON."""

    row: Row
    measured: Measured
    forced: bool

    @property
    def must(self) -> float:
        """The required value."""
        return self.row.bound(self.row.must, self.forced)

    @property
    def reach(self) -> float:
        """The target."""
        return self.row.bound(self.row.reach, self.forced)

    @property
    def verdict(self) -> str:
        """The verdict on "must", and on "reach" if that is met too."""
        unit, value = self.row.unit, self.measured.ratio.value
        if not unit.meets(value, self.must):
            return "not met"
        return "met, reached" if unit.meets(value, self.reach) else "met"

    def cells(self) -> tuple[str, str, str, str, str]:
        """The cells of the table."""
        unit = self.row.unit
        note = f"; {self.measured.note}" if self.measured.note else ""
        return (
            self.row.title,
            unit.limit(self.must),
            unit.number(self.reach, 0),
            f"{unit.spread(self.measured.ratio, (self.must, self.reach))}{note}",
            self.verdict,
        )

    def as_json(self) -> dict[str, Any]:
        """Figures and verdict, for JSON."""
        return {
            "row": self.row.title,
            "must": self.must,
            "reach": self.reach,
            "at_least": self.row.unit.at_least,
            **asdict(self.measured.ratio),
            "note": self.measured.note,
            "verdict": self.verdict,
            "cases": [result.as_json() for result in self.measured.results],
        }


def worst(unit: Unit, figure: Figure, cases: Sequence[Case], plan: Plan) -> Measured:
    """The worst figure of some cases, and of which, if there are several."""
    results = [harness.measure(case, plan) for case in cases]
    figures = [figure(result) for result in results]
    select = min if unit.at_least else max
    at = select(range(len(cases)), key=lambda i: figures[i].value)
    where = f"at {harness.shape_name(cases[at].shape)}, {cases[at].operation}"
    return Measured(figures[at], results, where if len(cases) > 1 else "")


def speed(result: Result) -> Interval:
    """The time of the other candidate over ours."""
    (ratio,) = result.ratios().values()
    return ratio


def time(result: Result) -> Interval:
    """Our time over that of the other candidate."""
    return speed(result).inverse()


def nanoseconds(result: Result) -> Interval:
    """The time an element, of a case with one candidate."""
    (samples,) = result.samples.values()
    one = math.prod(result.case.shape) * 1e-9
    return harness.ratio_of_medians(samples.seconds, [one] * len(samples.seconds))


def step_cost(case: Case, plan: Plan) -> Measured:
    """A training step over that without dropout, ours and torch's."""
    result = harness.measure(case, plan)
    cost, torchs = (result.ratios()[name] for name in (operations.FUSED, "torch"))
    return Measured(cost, [result], f"torch's own {COST.spread(torchs)}")


def kept_bytes(plan: Plan) -> Measured:
    """The largest number over sizes and dtypes; it is counted, so the plan does not matter."""
    del plan
    inputs = [
        torch.randn(n, dtype=dtype, requires_grad=True) for n in (KI, MI) for dtype in (F32, BF16)
    ]
    counted = max(harness.kept_bytes(lambda x: td.dropout(x, 0.1), x) for x in inputs)
    return Measured(Interval(*[float(counted)] * 3))


def _against(base: Case, *others: str, **changes: Any) -> Case:
    """A case with two candidates: torchdropout and one more."""
    return replace(base, only=(OURS, *others), **changes)


def _row(unit: Unit, figure: Figure, title: str, must: float, reach: float, *cases: Case) -> Row:
    return Row(title, unit, must, reach, partial(worst, unit, figure, cases))


_speed, _time = partial(_row, SPEED, speed), partial(_row, TIME, time)


def _forward_rows() -> Iterator[Row]:
    if operations.source().exists():  # not for the reference
        alone = [replace(case, only=("keep bits",)) for case in operations.bits(quick=False)]
        yield _row(EACH, nanoseconds, "keep bits alone, 1Mi and 64Mi", 0.13, 0.09, *alone)

    def case(n: int, dtype: torch.dtype = F32) -> Case:
        return _against(operations.FORWARD, TORCH, shape=(n,), dtype=dtype)

    title = "float32 forward, 16Ki to 256Ki, against `F.dropout`"
    yield _speed(title, 14, 20, *map(case, (16 * KI, 64 * KI, 256 * KI)))
    yield _speed("bfloat16 forward, 256Ki, against `F.dropout`", 16, 22, case(256 * KI, BF16))
    yield _speed("float16 forward, 256Ki, against `F.dropout`", 16, 22, case(256 * KI, F16))
    for dtype, must, reach in ((F32, 1.05, 0.90), (BF16, 1.25, 1.0)):
        title = f"{harness.dtype_name(dtype)} forward, 64Mi into `out=`, against `copy_`"
        yield _time(title, must, reach, replace(operations.OUT, dtype=dtype))


def _gradient_rows() -> Iterator[Row]:
    for n, must, reach in ((64 * MI, 5, 6), (16 * KI, 4, 5), (KI, 1.0, 1.5)):
        case = _against(operations.FORWARD_BACKWARD, TORCH, shape=(n,))
        title = f"float32 forward and backward, {harness.shape_name((n,))}, against `F.dropout`"
        yield _speed(title, must, reach, case)
    small = [
        _against(base, TORCH, shape=(n,))
        for base in (operations.FORWARD, operations.WATCHED, operations.FORWARD_BACKWARD)
        for n in (1, 16, 64, 256, KI, 4 * KI)
    ]
    yield _speed("never slower than torch, 1 to 4Ki, gradients or not", 1.0, 1.5, *small)


def _fused_rows() -> Iterator[Row]:
    for dtype, must, reach in ((F32, 14, 16), (BF16, 24, 27)):
        title = f"{harness.dtype_name(dtype)} in place, 64Mi, against `F.dropout`"
        yield _speed(title, must, reach, replace(operations.IN_PLACE, dtype=dtype))
    for dtype, must, reach in ((F32, 8, 10), (BF16, 15, 18)):
        title = f"{harness.dtype_name(dtype)} `dropout_add` with bias, 64Mi"
        case = replace(operations.DROPOUT_ADD, dtype=dtype)
        yield _speed(f"{title}, against {operations.COMPOSED}", must, reach, case)
    for base in (operations.IMAGES, operations.DROP_PATH):
        title = f"{base.operation}, {harness.shape_name(base.shape)}, against `x * scale`"
        yield _time(title, 1.1, 1.0, _against(base, operations.SCALED))


def _attention_rows() -> Iterator[Row]:
    def of(*shapes: tuple[int, ...]) -> list[Case]:
        return [_against(operations.ATTENTION, "torch", shape=shape) for shape in shapes]

    title = "attention, forward and backward, {} probabilities, against torch's"
    tiny = of((1, 1, 1, 8), (1, 1, 8, 8), (2, 4, 16, 16))
    small = of((2, 4, 32, 16), (1, 8, 64, 64), (2, 8, 64, 64), (2, 8, 128, 64))
    large = of((2, 8, 256, 64), (1, 4, 512, 64), (2, 8, 1024, 64))
    yield _speed(title.format("1 to 2Ki"), 1.0, 1.3, *tiny)
    yield _speed(title.format("8Ki to 256Ki"), 1.0, 1.3, *small)
    yield _speed(title.format("1Mi to 16Mi"), 1.3, 2.0, *large)


def _shared_rows() -> Iterator[Row]:
    for place, where in (
        ("", "into `out=`, against `x * m`"),
        (operations.SHARED_IN_PLACE, "in place, against `x *= m`"),
    ):
        for size in (1, 16, 128, 512):
            title = f"float32 shared masks, {size} MiB {where}"
            yield _time(title, 1.1, 1.0, *operations.shared_of(size * KI, place))
    title = "float32 shared masks, 64 KiB into `out=`, against `x * m`"
    yield _time(title, 3, 2, *operations.shared_of(64))


def _whole_rows() -> Iterator[Row]:
    yield _speed("2 threads against 1, float32 forward, 64Mi", 1.7, 1.9, operations.THREADS)
    yield Row("bytes of tensors kept for the backward beyond x", BYTES, 16, 16, kept_bytes)
    only = (operations.NONE, operations.FUSED, "torch")
    for number, plural in ((1, ""), (2, "s")):
        title = f"training step of TransformerEncoderLayer, {number} thread{plural}, over p = 0"
        case = replace(operations.TRANSFORMER, threads=number, only=only)
        yield Row(title, COST, 1.12, 1.06, partial(step_cost, case))


def rows() -> list[Row]:
    """All rows, in the order shown."""
    kinds = _forward_rows, _gradient_rows, _fused_rows, _shared_rows, _attention_rows, _whole_rows
    return [row for kind in kinds for row in kind()]


HEADER = ("row", "must", "reach", "measured", "verdict")


DOCS = Path(__file__).parents[1] / "docs"
KEPT, PAGE = DOCS / "performance" / "table.csv", DOCS / "performance.md"


def keep(lines: Sequence[Line], made_on: str) -> None:
    """Keep what was measured, in place of the rows of the same processor and backend."""
    before, own = kept(), column(made_on)
    place = [column(row["machine"]) for row in before] + [own]
    rows = [row for row in before if column(row["machine"]) != own]
    rows[place.index(own) : place.index(own)] = [
        dict(zip(HEADER, line.cells(), strict=True), machine=made_on) for line in lines
    ]
    with KEPT.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ("machine", *HEADER), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def kept() -> list[dict[str, str]]:
    """All rows that were measured."""
    with KEPT.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def column(made_on: str) -> str:
    """The heading of a machine's column."""
    maker = re.split(r"[ (]", made_on, maxsplit=1)[0]
    return f"{maker}, AVX2" if "backend avx2" in made_on else maker


def page() -> str:
    """The page with its table: a column a machine; a figure that is not what it must be is bold."""
    columns: dict[str, dict[str, dict[str, str]]] = {}
    for row in kept():
        columns.setdefault(row["machine"], {})[row["row"]] = row
    wide = max(columns.values(), key=lambda rows: ("backend avx512" in str(rows), len(rows)))
    lines = [f"- {column(name)}: {name}" for name in columns]
    lines += ["", f"| | must | {' | '.join(map(column, columns))} |"]
    lines += ["|---" * (2 + len(columns)) + "|"]
    for name, row in wide.items():
        cells = [figure(rows[name]) if name in rows else "-" for rows in columns.values()]
        lines.append(f"| {name} | {row['must']} | {' | '.join(cells)} |")
    return harness.fill(PAGE.read_text(encoding="utf-8"), "table", "\n".join(lines))


def figure(row: dict[str, str]) -> str:
    """A figure with its interval, without the unit that "must" has."""
    text = row["measured"] if row["measured"][0] in "+-" else row["measured"].partition(";")[0]
    text = re.sub(r" (x as fast|of the time|ns an element|bytes)", "", text)
    return f"**{text}**" if row["verdict"] == "not met" else text


def as_table(lines: Sequence[Line], caption: str) -> Table:
    """Print the table in a terminal."""
    table = Table(*HEADER, caption=caption, show_lines=True)
    for line in lines:
        table.add_row(*line.cells(), style="red" if line.verdict == "not met" else None)
    return table


def main() -> None:
    harness.become_warm()
    accepted = harness.parser(__doc__)
    accepted.add_argument("--page", action="store_true", help="from the results, without measuring")
    options = harness.parse(__file__, accepted)
    if options.page:
        PAGE.write_text(page(), encoding="utf-8")
        return
    narrow = backends.current() == "avx2"
    plan = harness.QUICK if options.quick else PLAN
    lines = []
    for row in rows():
        lines.append(Line(row, row.measure(plan), narrow))
        print("; ".join(lines[-1].cells()), file=sys.stderr, flush=True)
    made_on = machine.record()
    caption = f"{'AVX2 forced. ' if options.backend else ''}{machine.describe(made_on)}"
    harness.write(
        options.out,
        {"script": Path(__file__).stem, "machine": made_on, "rows": [x.as_json() for x in lines]},
    )
    if not options.quick:
        keep(lines, machine.describe(made_on))
        PAGE.write_text(page(), encoding="utf-8")
    Console().print(as_table(lines, caption))


if __name__ == "__main__":
    main()
