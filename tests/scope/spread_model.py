"""A program: the masks of a model that processes over gloo divide among them, and of the whole.

`python spread_model.py STORE CASE...`: some of `CASES`, by four processes.
"""

import gc
import os
import sys
import traceback

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.pipelining import PipelineStage, Schedule1F1B, ScheduleGPipe
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    RowwiseParallel,
    parallelize_module,
)
from torch.nn import functional as torch_F
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

import torchdropout as td
from torchdropout import functional as F

WORLD = 4
BATCH, LENGTH, WIDTH = 64, 8, 12
X = torch.randn(BATCH, LENGTH, WIDTH, generator=torch.Generator().manual_seed(1))
SCOPE = {"seed": 2**63 + 11, "step": 5}


def note(module, mask):
    """Not in the forwards of `find_sites`, which need no gradient, or on tensors without values."""
    if torch.is_grad_enabled() and mask.device.type == "cpu":
        module.seen.append(mask.detach())


class Noted(nn.Module):
    """Draws for ones, so that its masks are seen, and multiplies with them."""

    def __init__(self, draw):
        super().__init__()
        self.draw = draw
        self.seen = []

    def forward(self, x):
        mask = self.draw(torch.ones_like(x))
        note(self, mask)
        return x * mask if x.shape == mask.shape else x


class Attention(nn.Module):
    """Its output is its weights, which are all alike before the dropout."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, x):
        zeros = torch.zeros(len(x), 3, LENGTH, 4, device=x.device)
        unit = torch.eye(LENGTH, device=x.device).expand(len(x), 3, LENGTH, LENGTH)
        weights = torch_F.scaled_dot_product_attention(zeros, zeros, unit, dropout_p=0.25)
        note(self, weights)
        return weights.mean(1) @ x


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(WIDTH, WIDTH)
        self.drop = Noted(nn.Dropout(0.3))
        self.path = Noted(lambda x: F.drop_path(x, 0.4, True))
        self.attention = Attention()
        self.own = Noted(lambda x: x * torch.rand(len(x), 1, 1, device=x.device))

    def forward(self, x):
        x = x + self.path(self.drop(self.linear(x).tanh()))
        return x + self.own(self.attention(x))


class Net(nn.Module):
    def __init__(self, recompute=False):
        super().__init__()
        self.blocks = nn.ModuleDict({str(i): Block() for i in range(WORLD)})
        self.recompute = recompute

    def forward(self, x):
        for block in self.blocks.values():
            x = checkpoint(block, x, use_reentrant=False) if self.recompute else block(x)
        return x


def net(recompute=False):
    torch.manual_seed(0)
    return Net(recompute)


def masks(model):
    """By name the masks of each forward, one after the other; they are forgotten."""
    found = {}
    for name, module in model.named_modules():
        if isinstance(module, (Noted, Attention)):
            found[name.removeprefix("module.")] = torch.cat(module.seen)
            module.seen.clear()
    return found


def whole():
    """What one process computes: masks, output, gradients."""
    model = net()
    with td.keyed(model, **SCOPE):
        y = model(X)
    found = masks(model)
    loss(y).backward()
    return found, y.detach(), {name: p.grad for name, p in model.named_parameters()}


def loss(y):
    return y.square().sum() / BATCH


def compare(found, expected, part=slice(None)):
    assert found.keys() == expected.keys()
    for name, mask in found.items():
        assert torch.equal(mask, expected[name][part]), name


def by_batch(rank, wrap, recompute=False):
    """Each process has a quarter of the batch, in two micro-batches."""
    expected, y, gradients = whole()
    model = net(recompute)
    wrapped = wrap(model)
    each = BATCH // WORLD
    mine = X[rank * each : (rank + 1) * each]
    for sizes in ([each], [each // 4, each - each // 4]):
        wrapped.zero_grad()
        with td.keyed(wrapped, batch=(rank * each, BATCH), **SCOPE):
            parts = [wrapped(part) for part in mine.split(sizes)]
            # The mean over the processes is that over the batch.
            (sum(map(loss, parts)) * WORLD).backward()
        seen = masks(model)
        if recompute:  # the forward, then what the backward recomputes, the last part first
            total = {name: len(mask) for name, mask in seen.items()}
            assert set(total.values()) == {2 * each}
            again = {name: mask[each:].split(sizes[::-1]) for name, mask in seen.items()}
            again = {name: torch.cat(parts[::-1]) for name, parts in again.items()}
            compare(again, expected, slice(rank * each, (rank + 1) * each))
            seen = {name: mask[:each] for name, mask in seen.items()}
        compare(seen, expected, slice(rank * each, (rank + 1) * each))
        torch.testing.assert_close(torch.cat(parts), y[rank * each : (rank + 1) * each])
        for name, p in model.named_parameters():
            grad = p.grad.full_tensor() if isinstance(p.grad, DTensor) else p.grad
            torch.testing.assert_close(grad, gradients[name])


def ddp(rank):
    by_batch(rank, DistributedDataParallel)


def sharded(model):
    for block in model.blocks.values():
        fully_shard(block)
    return fully_shard(model)


def fsdp2(rank):
    init_device_mesh("cpu", (WORLD,))
    by_batch(rank, sharded)


def fsdp2_recomputed(rank):
    init_device_mesh("cpu", (WORLD,))
    by_batch(rank, sharded, recompute=True)


def sequence(rank):
    """Each process has a quarter of the positions."""

    class Positions(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop = Noted(nn.Dropout(0.3))
            self.heads = Noted(lambda x: drop_heads(x))
            self.path = Noted(lambda x: F.drop_path(x, 0.4, True))

        def forward(self, x):
            return self.path(self.heads(self.drop(x)))

    def drop_heads(x):
        y = x.unflatten(2, (3, 4)).transpose(1, 2)
        return torch_F.dropout(y, 0.5).transpose(1, 2).flatten(2)

    model = Positions()
    with td.keyed(model, **SCOPE):
        model(X)
    expected = masks(model)
    each = LENGTH // WORLD
    here = slice(rank * each, (rank + 1) * each)
    for start, end in ((0, BATCH), (16, 40)):
        with td.keyed(model, batch=(start, BATCH), sequence=(rank * each, LENGTH), **SCOPE):
            model(X[start:end, here])
        compare(masks(model), expected, (slice(start, end), here))


class Spread(nn.Module):
    """An MLP and the functions that draw, for tensors that are parallel along the features."""

    def __init__(self):
        super().__init__()
        self.up = nn.Linear(WIDTH, 16)
        self.drop = Noted(nn.Dropout(0.3))
        self.down = nn.Linear(16, WIDTH)
        self.drops = nn.ModuleDict(
            {
                "alpha": Noted(nn.AlphaDropout(0.3)),
                "blocks": Noted(lambda x: F.drop_block1d(x, 0.3, 3)),
                "tokens": Noted(lambda x: F.token_dropout(x, 0.5)),
                "n of m": Noted(lambda x: F.n_m_dropout(x, 2, 4)),
                "concrete": Noted(lambda x: F.concrete_dropout(x, 0 * x[0] + 0.2)),
                "variational": Noted(lambda x: F.variational_dropout(x, 0 * x[0] - 1)),
                "zoneout": Noted(lambda x: F.zoneout(x, 0 * x, 0.3)),
                "add": Noted(lambda x: F.dropout_add(x, 0 * x, 0.3)),
                "rand": Noted(torch.rand_like),
                "normal": Noted(lambda x: torch.empty_like(x).normal_()),
                "bernoulli": Noted(lambda x: x.bernoulli(0.3)),
                "attention": Noted(
                    lambda x: torch_F.scaled_dot_product_attention(
                        0 * x.unsqueeze(1), 0 * x.unsqueeze(1), x.unsqueeze(1), dropout_p=0.3
                    ).squeeze(1)
                ),
            }
        )

    def forward(self, x):
        x = self.drop(self.up(x).relu())
        for name, drop in self.drops.items():
            drop(x if name != "attention" else gathered(x))
        return self.down(x)


def gathered(x):
    """Attention whose features are divided would sum over processes."""
    return x.redistribute(placements=[Shard(0)]) if isinstance(x, DTensor) else x


def tensor_parallel(rank):
    torch.manual_seed(0)
    model = Spread()
    state = model.state_dict()
    with td.keyed(model, **SCOPE):
        y = model(X)
    expected = masks(model)
    mesh = init_device_mesh("cpu", (WORLD,))
    spread = Spread()
    spread.load_state_dict(state)
    plan = {
        "up": ColwiseParallel(use_local_output=False),
        "down": RowwiseParallel(input_layouts=Shard(-1)),
    }
    parallelize_module(spread, mesh, plan)
    for start, end in ((0, BATCH), (16, 40)):
        x = distribute_tensor(X[start:end], mesh, [Replicate()])
        with td.keyed(spread, batch=(start, BATCH), **SCOPE):
            z = spread(x)
        found = {}
        for name, module in spread.named_modules():
            if isinstance(module, Noted):
                (mask,) = module.seen
                module.seen.clear()
                assert isinstance(mask, DTensor), name
                found[name] = mask.full_tensor()
        exact = {name for name in found if not name.endswith(("concrete", "attention"))}
        for name in found:
            if name in exact:
                assert torch.equal(found[name], expected[name][start:end]), name
            else:  # sums, and torch's exp, which rounds by where in a vector an element is
                torch.testing.assert_close(found[name], expected[name][start:end])
        torch.testing.assert_close(z, y[start:end])


def heads(rank):
    """Attention whose heads are divided, as after linear layers that are parallel by columns."""
    made = torch.zeros(BATCH, WORLD, LENGTH, 4), torch.eye(LENGTH).expand(BATCH, WORLD, -1, -1)

    class Heads(nn.Module):
        def forward(self, q, v):
            return torch_F.scaled_dot_product_attention(q, q, v, dropout_p=0.25)

    with td.keyed(Heads(), **SCOPE) as scope:
        expected = scope.model(*made)  # its weights, all alike before the dropout
    assert 0.2 < (expected == 0).float().mean() < 0.3
    mesh = init_device_mesh("cpu", (WORLD,))
    for divided in (Shard(1), Shard(0)):
        for start, end in ((0, BATCH), (16, 40)):
            given = [distribute_tensor(t[start:end].contiguous(), mesh, [divided]) for t in made]
            with td.keyed(Heads(), batch=(start, BATCH), **SCOPE) as scope:
                found = scope.model(*given)
            assert isinstance(found, DTensor)
            assert found.placements == (divided,)
            assert torch.equal(found.full_tensor(), expected[start:end])


def pipeline(rank):
    """Stages that keep the paths of the whole: all other blocks are left out."""
    expected, y, gradients = whole()
    for schedule in (ScheduleGPipe, Schedule1F1B):
        stage = net()
        for name in list(stage.blocks):
            if name != str(rank):
                del stage.blocks[name]
        pipe = PipelineStage(stage, rank, WORLD, torch.device("cpu"))
        plan = schedule(pipe, n_microbatches=8, loss_fn=lambda z, _: loss(z), scale_grads=False)
        for step in (4, 5):
            stage.zero_grad()
            with td.keyed(stage, seed=SCOPE["seed"], step=step, batch=(0, BATCH)):
                given = (X,) if rank == 0 else ()
                target = {"target": X} if rank == WORLD - 1 else {}
                z = plan.step(*given, **target)
            found = masks(stage)
        compare(found, {name: expected[name] for name in found})
        if rank == WORLD - 1:
            torch.testing.assert_close(z, y)
        for name, p in stage.named_parameters():
            torch.testing.assert_close(p.grad, gradients[name], rtol=1e-4, atol=1e-4)


def prefixed(rank):
    """A stage that is a module of the whole, and knows its path by `prefix`."""
    expected, *_ = whole()
    block = net().blocks[str(rank)]
    with td.keyed(block, prefix=f"blocks.{rank}", batch=(0, BATCH), **SCOPE):
        block(X[:16])
        block(X[16:])
    found = {f"blocks.{rank}.{name}": mask for name, mask in masks(block).items()}
    assert len(found) == 4
    compare(found, {name: expected[name] for name in found})


CASES = {
    function.__name__: function
    for function in (
        ddp,
        fsdp2,
        fsdp2_recomputed,
        sequence,
        tensor_parallel,
        heads,
        pipeline,
        prefixed,
    )
}


def child(rank, store, cases):
    code = 1
    try:
        torch.set_num_threads(1)
        address = f"file://{store}"
        dist.init_process_group("gloo", init_method=address, rank=rank, world_size=WORLD)
        for case in cases:
            CASES[case](rank)
            dist.barrier()
            if rank == 0:
                print("as the whole:", case, flush=True)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    store, *cases = sys.argv[1:]
    processes = []
    gc.freeze()  # imported objects are not garbage, and stay shared
    for rank in range(WORLD):
        # A copy of this process has imported everything.
        processes.append(os.fork())
        if processes[-1] == 0:
            child(rank, store, cases)
    failed = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]
    sys.exit(any(failed))
