"""A model over processes has, bit for bit, the masks that it has on one."""

import subprocess
import sys
from pathlib import Path

import pytest

import started

PROGRAM = Path(__file__).parent / "spread_model.py"
CASES = ["ddp", "fsdp2", "fsdp2_recomputed", "ddp_reentrant"]
CASES += ["by_ranks", "by_ranks_accumulated", "by_ranks_resumed", "by_ranks_refused"]
CASES += ["sequence", "gathered_keys"]
CASES += ["tensor_parallel", "heads"]
CASES += ["pipeline", "prefixed", "stopped", "resumed", "ddp_compiled", "ddp_budget"]


@pytest.mark.integration
def test_processes_draw_what_one_draws(tmp_path):
    worker = started.start(
        [sys.executable, "-W", "ignore", str(PROGRAM), str(tmp_path / "store"), *CASES],
        cwd=PROGRAM.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        out, err = worker.communicate(timeout=600)
        assert worker.returncode == 0, err
        said = [line.split(": ")[1] for line in out.splitlines() if line.startswith("as the")]
        assert said == CASES
    finally:
        started.end_all()
