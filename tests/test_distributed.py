"""DTensors: each process computes its shard, with the draws that the whole has on one."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import started
from torchdropout import functional as F

PROGRAM = Path(__file__).parent / "spread.py"


@pytest.mark.integration
@pytest.mark.parametrize(
    ("amount", "mesh"),
    [
        ("some", (3,)),
        pytest.param("all", (3,), marks=pytest.mark.slow),
        pytest.param("all", (2, 2), marks=pytest.mark.slow),
    ],
)
def test_a_spread_tensor_has_the_draws_of_the_whole(amount, mesh, tmp_path):
    command = [sys.executable, "-W", "ignore", str(PROGRAM), str(tmp_path / "store"), amount]
    worker = started.start(
        [*command, *map(str, mesh)],
        cwd=PROGRAM.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        out, err = worker.communicate()
        assert worker.returncode == 0, err
        words, count = out.splitlines()[-1].rsplit(maxsplit=1)  # Gloo of torch 2.10 says more
        assert words == "as the whole:"
        assert int(count) > 120
    finally:
        started.end_all()


def test_a_tensor_that_is_not_spread_asks_for_nothing():
    from torchdropout.functional._shards import is_spread

    class Own(torch.Tensor):
        pass

    for x in (torch.ones(2), torch.nn.Parameter(torch.ones(2)), torch.ones(2).as_subclass(Own)):
        assert not is_spread(x)
    assert F.dropout(torch.ones(2).as_subclass(Own), 0.5).shape == (2,)
