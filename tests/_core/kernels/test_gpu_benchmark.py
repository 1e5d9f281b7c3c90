"""`benchmarks/gpu.py` on a CPU, in small sizes: what it would measure on a GPU can be measured."""

import pytest

from scripts import BENCHMARKS

SMOKE = f"""
import sys, warnings
warnings.simplefilter("error")
sys.path[:0] = [{str(BENCHMARKS)!r}]
import gpu
gpu.main(["--device", "cpu", "--smoke"])
"""


@pytest.mark.integration
def test_every_row_is_measured_and_what_is_not_installed_is_said(processes):
    status, text = processes.run(SMOKE)
    assert status == 0, text
    assert "flash-attention: not installed" in text
    assert "TransformerEngine: not installed" in text
    assert "recompile" not in text
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert {len(row) for row in rows} == {9}
    measured = [row for row in rows if row[3] != "who"]
    assert len(measured) > 100
    assert all(float(row[4]) > 0 for row in measured)
