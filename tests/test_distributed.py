"""DTensors: each process computes its shard, with the draws that the whole has on one."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

import started
from torchdropout import functional as F

SCRIPT = """
    import sys
    import torch, torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor
    import torchdropout as td
    from torchdropout import functional as F

    rank, world, store = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world)
    mesh = init_device_mesh("cpu", (world,))
    x = torch.randn(7, 5, 6, generator=torch.Generator().manual_seed(0))
    functions = {
        "dropout": lambda x: F.dropout(x, 0.4),
        "with a key": lambda x: F.dropout(x, 0.4, key=td.Key(2**63 + 5, 1)),
        "in place": lambda x: F.dropout(x * 1, 0.4, inplace=True),
        "dropout1d": lambda x: F.dropout1d(x, 0.4),
        "alpha": lambda x: F.alpha_dropout(x, 0.4, True),
        "drop_path": lambda x: F.drop_path(x, 0.4, True),
        "locked": lambda x: F.locked_dropout(x, 0.4),
        "layout": lambda x: F.dropout(x, 0.4, layout=td.MaskLayout(7, (0, 90, 2))),
        "gaussian": lambda x: F.gaussian_dropout(x, 0.4),
        "noise in place": lambda x: F.gaussian_noise(x * 1, 0.4, inplace=True),
        "module": td.nn.Dropout(0.4),
        "eval": lambda x: F.dropout(x, 0.4, False) * 1,
    }

    def run(function, x):
        x = x.detach().requires_grad_()
        torch.manual_seed(3)
        y = function(x)
        y.square().sum().backward()
        return y.detach(), x.grad, torch.rand(1)

    for name, function in functions.items():
        y, gradient, after = run(function, x)
        for placement in (Shard(0), Shard(1), Shard(2), Replicate()):
            got, theirs, then = run(function, distribute_tensor(x, mesh, [placement]))
            assert got.placements == (placement,), (name, placement)
            assert torch.equal(got.full_tensor(), y), (name, placement)
            assert torch.equal(theirs.full_tensor(), gradient), (name, placement)
            assert torch.equal(then, after), (name, placement)
    torch.manual_seed(3)
    sums = F.dropout(DTensor.from_local(x, mesh, [Partial()]), 0.4)
    torch.manual_seed(3)
    torch.testing.assert_close(sums.full_tensor(), F.dropout(x * world, 0.4))
    dist.destroy_process_group()
    print("as the whole:", len(functions))
"""


@pytest.mark.parametrize("world", [3])
def test_a_spread_tensor_has_the_draws_of_the_whole(world, tmp_path):
    workers = [
        started.start(
            [
                *(sys.executable, "-W", "ignore", "-c", textwrap.dedent(SCRIPT)),
                *(str(rank), str(world), str(tmp_path / "store")),
            ],
            cwd=Path(__file__).parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(world)
    ]
    try:
        for worker in workers:
            out, err = worker.communicate()
            assert worker.returncode == 0, err
            assert out.splitlines()[-1] == "as the whole: 12"  # Gloo of torch 2.10 says more
    finally:
        started.end_all()


def test_a_tensor_that_is_not_spread_asks_for_nothing():
    from torchdropout.functional._shards import is_spread

    class Own(torch.Tensor):
        pass

    for x in (torch.ones(2), torch.nn.Parameter(torch.ones(2)), torch.ones(2).as_subclass(Own)):
        assert not is_spread(x)
    assert F.dropout(torch.ones(2).as_subclass(Own), 0.5).shape == (2,)
