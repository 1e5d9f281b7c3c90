"""A program: the masks of a model that processes over gloo divide among them, and of the whole.

`python spread_model.py STORE CASE...`: some of `CASES`, by four processes, and by two where `FEWER`
has the case. What processes leave for others lies beside STORE.
"""

import contextlib
import gc
import itertools
import os
import re
import sys
import traceback
import warnings
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch._functorch import config
from torch.distributed._functional_collectives import all_gather_tensor_autograd
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.pipelining import PipelineStage, Schedule1F1B, ScheduleGPipe
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
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
    def __init__(self, reentrant=None):
        super().__init__()
        self.blocks = nn.ModuleDict({str(i): Block() for i in range(WORLD)})
        self.reentrant = reentrant

    def forward(self, x):
        for block in self.blocks.values():
            if self.reentrant is None:
                x = block(x)
            else:
                x = checkpoint(block, x, use_reentrant=self.reentrant)
        return x


def net(reentrant=None):
    """The model; `reentrant` is None where nothing is computed again."""
    torch.manual_seed(0)
    return Net(reentrant)


def masks(model):
    """By name the masks of each forward, one after the other; they are forgotten."""
    found = {}
    for name, module in model.named_modules():
        if hasattr(module, "seen"):
            found[name.removeprefix("module.")] = torch.cat(module.seen)
            module.seen.clear()
    return found


def whole(make=net):
    """What one process computes: masks, output, gradients."""
    model = make()
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


def by_batch(rank, wrap, reentrant=None, make=net, splits=(1, 4)):
    """Each process has a share of the batch, in one part, and in two with the first a quarter."""
    expected, y, gradients = whole(make)
    model = make() if reentrant is None else make(reentrant)
    wrapped = wrap(model)
    world = dist.get_world_size()
    each = BATCH // world
    here = slice(rank * each, (rank + 1) * each)
    # A reentrant region needs an input with a gradient, and a backward for each forward.
    mine = X[here].clone().requires_grad_(reentrant is True)
    for split in splits:
        sizes = [size for size in (each // split, each - each // split) if size]
        wrapped.zero_grad()
        with td.keyed(wrapped, batch=(rank * each, BATCH), **SCOPE):
            parts, losses = [], []
            for part in mine.split(sizes):
                parts.append(wrapped(part))
                # The mean over the processes is that over the batch.
                losses.append(loss(parts[-1]) * world)
                if reentrant:
                    losses.pop().backward()
            if losses:
                sum(losses).backward()
        seen = masks(model)
        if reentrant is False:  # the forward, then what the backward recomputes, last part first
            total = {name: len(mask) for name, mask in seen.items()}
            assert set(total.values()) == {2 * each}
            again = {name: mask[each:].split(sizes[::-1]) for name, mask in seen.items()}
            again = {name: torch.cat(parts[::-1]) for name, parts in again.items()}
            compare(again, expected, here)
            seen = {name: mask[:each] for name, mask in seen.items()}
        # A reentrant region notes what the backward recomputes: its forward has no gradient.
        compare(seen, expected, here)
        torch.testing.assert_close(torch.cat(parts), y[here])
        for name, p in model.named_parameters():
            grad = p.grad.full_tensor() if isinstance(p.grad, DTensor) else p.grad
            torch.testing.assert_close(grad, gradients[name])


def ddp(rank):
    by_batch(rank, DistributedDataParallel)


def by_ranks(rank):
    """The processes tell each other how many samples they have; compared with one process."""
    expected, y, gradients = whole()
    mesh = init_device_mesh("cpu", (WORLD,), mesh_dim_names=("dp",))
    uneven = (20, 4, 30, 10)  # a rank with 0 has no gradient to give
    for sizes, batch in (
        ((16,) * WORLD, "distributed"),
        (uneven, dist.group.WORLD),
        (uneven, mesh["dp"]),
    ):
        start = sum(sizes[:rank])
        model = net()
        wrapped = DistributedDataParallel(model)
        with td.keyed(wrapped, batch=batch, **SCOPE):
            z = wrapped(X[start : start + sizes[rank]])
        (loss(z) * WORLD).backward()
        compare(masks(model), expected, slice(start, start + sizes[rank]))
        torch.testing.assert_close(z, y[start : start + sizes[rank]])
        for name, p in model.named_parameters():
            torch.testing.assert_close(p.grad, gradients[name], rtol=1e-4, atol=1e-4)


def by_ranks_accumulated(rank):
    """Forwards of one scope, each of which has samples of all; some processes have none in one."""
    expected, *_ = whole()
    model = net()
    start = 0
    with td.keyed(model, batch="distributed", **SCOPE):
        for sizes in ((3, 5, 1, 7), (0, 8, 0, 8), (8, 8, 8, 8)):
            first = start + sum(sizes[:rank])
            here = slice(first, first + sizes[rank])
            model(X[here])
            found = masks(model)
            compare(found, expected, here)
            start += sum(sizes)
    assert start == BATCH
    said = "run all forwards of a step in one scope"
    with pytest.warns(RuntimeWarning, match=said), td.keyed(model, batch="distributed", **SCOPE):
        model(X[:2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for step in (6, 7):
            with td.keyed(model, seed=SCOPE["seed"], step=step, batch="distributed"):
                model(X[:2])
                model(X[:2])


def by_ranks_resumed(rank):
    """Two steps of four processes, then two of a run that starts with the third; groups of two."""
    through = net()
    expected = trained(through, (0, BATCH), STEPS)
    groups = [dist.new_group([0, 1]), dist.new_group([2, 3])]
    each = BATCH // 2
    here = slice(rank % 2 * each, (rank % 2 + 1) * each)
    model = net()
    state = {}
    for steps in (STEPS[:2], STEPS[2:]):
        if state:
            torch.manual_seed(rank)
            model = net()
            model.load_state_dict(state["model"])
        wrapped = DistributedDataParallel(model, process_group=groups[rank // 2])
        optimiser = torch.optim.SGD(model.parameters(), lr=2e-3)
        for step in steps:
            optimiser.zero_grad()
            with td.keyed(wrapped, seed=SCOPE["seed"], step=step, batch=groups[rank // 2]):
                loss(wrapped(X[here])).backward()
            compare(masks(model), expected[step], here)
            optimiser.step()
        state = {"model": {name: p.clone() for name, p in model.state_dict().items()}}
    for name, p in model.named_parameters():
        torch.testing.assert_close(p, through.get_parameter(name))


def by_ranks_refused(rank):
    """What would give samples of several processes one mask, or masks of two steps."""

    def forwards(model, count, options):
        with td.keyed(model, **{**SCOPE, "batch": "distributed", **options}):
            for _ in range(count):
                with contextlib.suppress(ZeroDivisionError):
                    model(X[:2])

    def refused(message, model=None, count=1, **options):
        with pytest.raises(td.errors.ArgumentValueError, match=re.escape(message)):
            forwards(net() if model is None else model, count, options)

    refused("in the same seed and step, got Key(", step=rank)
    fails = net()
    fails.register_forward_hook(lambda *_: 1 // 0 if rank == 1 and fails.training else None)
    refused("in the same forward, after as many samples, got 8, 0, 8, 8 by rank", fails, 2)
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("dp", "tp"))
    refused("a mesh of one dimension", batch=mesh)
    pair = dist.new_group([0, 1])
    if rank > 1:
        refused("a process group that this process is in", batch=pair)
    of_all = init_device_mesh("cpu", (WORLD,))
    for over, model in ((mesh["tp"], Spread()), (of_all, Spread())):
        parallelize_module(model, over, {"up": ColwiseParallel()})
        refused("for a model with 'up.weight' on a mesh of shape", model)
    refused("on a mesh of shape (2, 2)", fully_shard(net(), mesh=mesh))
    refused("on a mesh of shape (2,)", fully_shard(net(), mesh=mesh["dp"]))  # of stages, say
    averaged = DistributedDataParallel(net(), process_group=mesh["dp"].get_group())
    refused("with gradients that 2 of 4 processes average", averaged)
    forwards(averaged, 1, {"batch": mesh["dp"]})
    forwards(sharded(net()), 1, {})


def sharded(model):
    for block in model.blocks.values():
        fully_shard(block)
    return fully_shard(model)


def fsdp2(rank):
    init_device_mesh("cpu", (WORLD,))
    by_batch(rank, sharded)


def fsdp2_recomputed(rank):
    init_device_mesh("cpu", (WORLD,))
    by_batch(rank, sharded, reentrant=False)


def ddp_reentrant(rank):
    by_batch(rank, DistributedDataParallel, reentrant=True)


class Small(nn.Module):
    """What is compiled in little time."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.up, self.down = nn.Linear(WIDTH, 16), nn.Linear(16, WIDTH)
        self.drop = Noted(nn.Dropout(0.3))
        self.path = Noted(lambda x: F.drop_path(x, 0.4, True))

    def forward(self, x):
        return x + self.path(self.down(self.drop(self.up(x).tanh())))


def ddp_compiled(rank, budget=1.0):
    """One graph serves both scopes."""
    count = CompileCounterWithBackend("aot_eager")

    def compiled(model):
        return torch.compile(DistributedDataParallel(model), backend=count)

    with config.patch(activation_memory_budget=budget, enable_autograd_cache=False):
        by_batch(rank, compiled, make=Small, splits=(1, 1))
    assert count.frame_count == 1


def ddp_budget(rank):
    """The backward computes again what the budget does not let the forward keep."""
    ddp_compiled(rank, budget=0.0)


STEPS = range(4)  # of a run, which is stopped after the second


def trained(model, batch, steps):
    """The masks of each of some steps of SGD."""
    start, end = batch
    rate = 1e-3 * BATCH / (end - start)  # FSDP2 takes the mean over the processes
    optimiser = torch.optim.SGD(model.parameters(), lr=rate)
    found = []
    for step in steps:
        optimiser.zero_grad()
        with td.keyed(model, seed=SCOPE["seed"], step=step, batch=(start, BATCH)):
            loss(model(X[start:end])).backward()
        found.append(masks(model))
        optimiser.step()
    return found


def trained_by_processes(rank, resume):
    """Two steps of FSDP2 compared with those of a run on one process that nothing stops."""
    through = net()
    expected = trained(through, (0, BATCH), STEPS)
    each = BATCH // dist.get_world_size()
    here = slice(rank * each, (rank + 1) * each)
    init_device_mesh("cpu", (dist.get_world_size(),))
    model = sharded(net())
    state = {"model": model.state_dict(), "step": torch.tensor(0)}
    if resume:
        dcp.load(state, checkpoint_id=FOLDER / "checkpoint")
    steps = STEPS[int(state["step"]) :][:2]
    found = trained(model, (here.start, here.stop), steps)
    for step, seen in zip(steps, found, strict=True):
        compare(seen, expected[step], here)
    state["step"] += len(steps)
    return through, model, state


def stopped(rank):
    """Four processes leave a checkpoint after two steps, and end."""
    *_, state = trained_by_processes(rank, resume=False)
    dcp.save(state, checkpoint_id=FOLDER / "checkpoint")


def resumed(rank):
    """Two processes start anew from it, with another state of the generator."""
    torch.manual_seed(99)
    through, model, state = trained_by_processes(rank, resume=True)
    assert state["step"] == len(STEPS)
    for name, p in model.named_parameters():
        torch.testing.assert_close(p.full_tensor(), through.get_parameter(name))


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


class Gathering(nn.Module):
    """Attention of the positions at hand to all; its values are gathered after it drew."""

    def __init__(self, gather):
        super().__init__()
        torch.manual_seed(0)
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.gather = gather
        self.seen = []

    def forward(self, x):
        q, k, v = (f(x).unflatten(2, (3, 4)) for f in (self.query, self.key, self.value))
        k, v = self.gather(k).transpose(1, 2), self.gather(v).transpose(1, 2)
        unit = torch.eye(k.shape[2]).expand(*k.shape[:3], -1)  # the output is the weights
        weights = torch_F.scaled_dot_product_attention(q.transpose(1, 2), k, unit, dropout_p=0.4)
        note(self, weights == 0)
        return (weights @ v).transpose(1, 2).flatten(2)


def gathered_keys(rank):
    """Each process has a quarter of the queries, and the keys and values of all."""
    model = Gathering(lambda x: x)
    with td.keyed(model, **SCOPE):
        y = model(X)
    expected = masks(model)
    assert 0.38 < expected[""].float().mean() < 0.42
    loss(y).backward()
    each = LENGTH // WORLD
    here = slice(rank * each, (rank + 1) * each)
    parts = Gathering(lambda x: all_gather_tensor_autograd(x, 1, dist.group.WORLD))
    for start, end in ((16, 40), (0, BATCH)):
        with td.keyed(parts, batch=(start, BATCH), sequence=(rank * each, LENGTH), **SCOPE):
            z = parts(X[start:end, here])
        compare(masks(parts), expected, (slice(start, end), slice(None), here))
        torch.testing.assert_close(z, y[start:end, here])
    loss(z).backward()
    for p, of_whole in zip(parts.parameters(), model.parameters(), strict=True):
        dist.all_reduce(p.grad)
        torch.testing.assert_close(p.grad, of_whole.grad, rtol=1e-4, atol=1e-5)


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
        ddp_reentrant,
        by_ranks,
        by_ranks_accumulated,
        by_ranks_resumed,
        by_ranks_refused,
        sequence,
        gathered_keys,
        tensor_parallel,
        heads,
        pipeline,
        prefixed,
        stopped,
        resumed,
        ddp_compiled,
        ddp_budget,
    )
}
FEWER = {"resumed": 2, "ddp_compiled": 2, "ddp_budget": 2}  # how many processes


def child(rank, world, store, cases):
    code = 1
    try:
        torch.set_num_threads(1)
        address = f"file://{store}"
        dist.init_process_group("gloo", init_method=address, rank=rank, world_size=world)
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
    FOLDER = Path(store).parent
    gc.freeze()  # imported objects are not garbage, and stay shared
    failed = False
    for world, group in itertools.groupby(cases, key=lambda case: FEWER.get(case, WORLD)):
        processes = []
        group = list(group)
        for rank in range(world):
            # A copy of this process has imported everything.
            processes.append(os.fork())
            if processes[-1] == 0:
                child(rank, world, f"{store}.{group[0]}", group)
        ends = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]
        failed = failed or any(ends)
    sys.exit(failed)
