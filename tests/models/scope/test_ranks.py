"""Which samples a process has, as processes tell each other; here one process plays them all.

Real processes are in test_processes.py.
"""

import sys
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from torch import distributed as dist
from torch import nn

import torchdropout as td
from torchdropout.errors import ArgumentTypeError, ArgumentValueError
from torchdropout.models.scope import _ranks

MODEL = nn.Linear(2, 2)


class Group:
    def __init__(self, size=3):
        self.size = size


class Mesh:
    def __init__(self, *shape):
        self.shape, self.ndim = shape, len(shape)

    def get_group(self):
        return "of the mesh"

    def size(self):
        return self.shape[0] if self.shape else 1


@pytest.fixture
def processes(monkeypatch):
    """The second of three processes; returns what the others say."""
    said = []

    def gather(found, own, group):
        assert group is not None
        found[:] = [own if one is None else one for one in said]

    fake = SimpleNamespace(
        is_available=lambda: True,
        is_initialized=lambda: True,
        get_world_size=lambda group=None: getattr(group, "size", 3),
        get_rank=lambda group: 1,
        all_gather_object=gather,
        ProcessGroup=Group,
        GroupMember=dist.GroupMember,
        group=SimpleNamespace(WORLD="the world"),
    )
    monkeypatch.setattr(_ranks, "dist", fake)
    monkeypatch.setattr(_ranks, "device_mesh", SimpleNamespace(DeviceMesh=Mesh))
    return said


def keyed(batch, model=MODEL):
    return td.keyed(model, seed=7, batch=batch)


@pytest.mark.parametrize("batch", ["distributed", Group(), Mesh(3)], ids=str.__class__)
def test_the_samples_of_the_first_rank_come_first(processes, batch):
    model, found = nn.Dropout(0.5), []
    with keyed(batch, model) as scope:
        key = scope.key
        for start, sizes in ((0, (4, 5, 6)), (15, (2, 0, 1)), (18, (1, 2, 0))):
            others = [(key.seed, key.stream, start, size) for size in sizes]
            processes[:] = [others[0], None, others[2]]
            found.append(model(torch.ones(sizes[1], 9)))
    with td.keyed(nn.Dropout(0.5), seed=7) as scope:
        whole = scope.model(torch.ones(24, 9))
    assert torch.equal(torch.cat(found), whole[[4, 5, 6, 7, 8, 19, 20]])
    processes[:] = [(key.seed, key.stream, 0, 1), None, (key.seed, key.stream, 0, 1)]
    with (
        keyed(batch, model),  # would have the masks of the last one
        pytest.warns(RuntimeWarning, match="run all forwards of a step in one scope"),
    ):
        model(torch.ones(1, 9))
    with (
        keyed(batch, nn.Dropout(0.5)) as scope,
        pytest.raises(ArgumentValueError, match="with samples, got no argument with a dimension"),
    ):
        scope.model(torch.tensor(1.0))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ((1, 0, 0), r"the same seed and step, got Key\(\d+, \d+\), .* by rank"),
        ((0, 1, 0), "the same seed and step"),
        ((0, 0, 3), "the same forward, after as many samples, got 3, 0, 0 by rank"),
    ],
)
def test_processes_in_different_forwards_are_refused(processes, change, says):
    with keyed("distributed", nn.Dropout(0.5)) as scope:
        own = scope.key.seed, scope.key.stream, 0
        other = tuple(a + b for a, b in zip(own, change, strict=True))
        processes += [(*other, 4), None, (*own, 6)]
        with pytest.raises(ArgumentValueError, match=says):
            scope.model(torch.ones(5, 3))


@pytest.mark.parametrize(
    ("batch", "is_there", "error", "says"),
    [
        ("ranks", True, ArgumentValueError, "'distributed' if it is a string"),
        (Mesh(2, 3), True, ArgumentValueError, "a mesh of one dimension"),
        (Mesh(), True, ArgumentValueError, "a mesh of one dimension"),
        (dist.GroupMember.NON_GROUP_MEMBER, True, ArgumentValueError, "that this process is in"),
        (3, True, ArgumentTypeError, r"\(start, total\), 'distributed', a process group, a me"),
        ("distributed", False, ArgumentValueError, "without torch.distributed.init_process_group"),
        ("ranks", False, ArgumentValueError, "'distributed' if it is a string"),
        (Group(), False, ArgumentTypeError, "a process group, a mesh or None"),
    ],
)
def test_groups_that_are_not(processes, monkeypatch, batch, is_there, error, says):
    monkeypatch.setattr(_ranks.dist, "is_initialized", lambda: is_there)
    with pytest.raises(error, match=says):
        keyed(batch)


class Parallel(nn.Module):
    """A stand-in for DistributedDataParallel."""

    def __init__(self, size):
        super().__init__()
        self.process_group = Group(size)


class Sharded(nn.Linear):
    """A stand-in for a module that FSDP divides; its weight lies on a mesh."""

    def __init__(self, mesh):
        super().__init__(2, 2)
        self.weight.device_mesh = mesh


def plain(mesh):
    model = nn.Linear(2, 2)
    model.weight.device_mesh = mesh
    return model


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (Parallel(3), None),
        (Parallel(2), "with gradients that 2 of 3 processes average"),
        (Parallel(4), "with gradients that 4 of 3 processes average"),
        (Sharded(Mesh(3)), None),
        (plain(Mesh(3)), r"with '0.weight' on a mesh of shape \(3,\)"),
        (Sharded(Mesh(2)), r"with '0.weight' on a mesh of shape \(2,\)"),
        (Sharded(Mesh(3, 1)), r"with '0.weight' on a mesh of shape \(3, 1\)"),
    ],
)
def test_models_that_others_divide(processes, monkeypatch, model, says):
    monkeypatch.setattr(_ranks, "DistributedDataParallel", Parallel)
    fsdp = SimpleNamespace(FSDPModule=Sharded)
    monkeypatch.setitem(sys.modules, "torch.distributed.fsdp", fsdp)
    monkeypatch.setattr(_ranks, "is_spread", lambda p: hasattr(p, "device_mesh"))
    refused = nullcontext() if says is None else pytest.raises(ArgumentValueError, match=says)
    with refused:
        keyed("distributed", nn.Sequential(model))
