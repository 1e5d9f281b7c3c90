"""The table of targets: its verdicts, what it prints of a figure, and its rows."""

from dataclasses import replace

import pytest

import scripts


@pytest.fixture(scope="module")
def table():
    with scripts.benchmark("table") as module:
        yield module


def line(table, unit, value, must, reach, forced=False):
    row = table.Row("row", unit, must, reach, measure=None)
    return table.Line(row, table.Measured(table.Interval(value, value - 0.1, value + 0.1)), forced)


@pytest.mark.parametrize(
    ("unit", "value", "must", "reach", "figure", "verdict"),
    [
        ("SPEED", 13.97, 14, 20, "13.97 x as fast [13.9, 14.1]", "not met"),
        ("SPEED", 13.9996, 14, 20, "13.9996 x as fast [13.9, 14.1]", "not met"),
        ("SPEED", 13.94, 14, 20, "13.9 x as fast [13.8, 14]", "not met"),
        ("SPEED", 14.02, 14, 20, "14 x as fast [13.9, 14.1]", "met"),
        ("SPEED", 19.99, 14, 20, "19.99 x as fast [19.9, 20.1]", "met"),
        ("TIME", 1.1004, 1.1, 1.0, "1.1004 of the time [1, 1.2]", "not met"),
        ("TIME", 0.9996, 1.1, 1.0, "1 of the time [0.9, 1.1]", "met, reached"),
        ("EACH", 0.1304, 0.13, 0.09, "0.1304 ns an element [0.0304, 0.23]", "not met"),
        ("COST", 1.1203, 1.12, 1.06, "+12.03 % [+2.0, +22.0]", "not met"),
        ("BYTES", 16.4, 16, 16, "16.4 bytes [16, 16]", "not met"),
    ],
)
def test_what_is_printed_misses_a_bound_that_the_figure_misses(
    table, unit, value, must, reach, figure, verdict
):
    found = line(table, getattr(table, unit), value, must, reach)
    assert found.cells()[3:] == (figure, verdict)


@pytest.mark.parametrize(("unit", "must"), [("SPEED", 7), ("TIME", 28), ("EACH", 28), ("COST", 14)])
def test_the_bounds_of_avx2(table, unit, must):
    assert line(table, getattr(table, unit), 1, 14, 20, forced=True).must == must


def test_a_row_in_nanoseconds_is_that_of_its_slowest_size(table, monkeypatch):
    def measure(case, plan):
        del plan
        each = {2**20: 0.1, 2**26: 0.2}[case.shape[0]]
        seconds = [each * 1e-9 * case.shape[0] * part for part in (0.9, 1.0, 1.1)]
        return table.Result(case, {"only": table.harness.Samples(1, seconds)})

    monkeypatch.setattr(table.harness, "measure", measure)
    cases = [replace(table.operations.BITS, shape=(n,)) for n in (2**20, 2**26)]
    found = table.worst(table.EACH, table.nanoseconds, cases, plan=None)
    assert found.ratio.value == pytest.approx(0.2)
    assert found.ratio.low == pytest.approx(0.18)
    assert found.ratio.high == pytest.approx(0.22)
    assert (found.note, len(found.results)) == ("at 64Mi, keep bits", 2)


def test_shared_masks_have_a_row_for_each_size_and_place(table):
    titles = [row.title for row in table.rows() if "shared masks" in row.title]
    for size in ("1 MiB", "16 MiB", "128 MiB", "512 MiB"):
        for place in ("into `out=`, against `x * m`", "in place, against `x *= m`"):
            assert titles.count(f"float32 shared masks, {size} {place}") == 1
    cases = table.operations.shared(quick=False)
    sizes = {case.shape for case in cases if "place" in case.operation}
    assert {shape for shape in sizes if shape[1:] == (128, 256)} == {
        (mebibytes * 2**18 // 2**15, 128, 256) for mebibytes in (1, 4, 16, 128, 512)
    }
