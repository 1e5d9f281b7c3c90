"""Which samples a process has, as processes tell each other; here one process plays them all.

Real processes are in test_processes.py.
"""

import sys
from types import SimpleNamespace

import pytest
from torch import distributed as dist
from torch import nn

from torchdropout import Key
from torchdropout.errors import ArgumentTypeError, ArgumentValueError
from torchdropout.models.scope import _ranks
from torchdropout.models.scope._ranks import Ranks

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
        assert group == "group"
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


def ranks():
    found = object.__new__(Ranks)
    found._group = "group"
    return found


@pytest.mark.parametrize("start", [0, 20])
def test_the_samples_of_the_first_rank_come_first(processes, start):
    processes += [(7, 9, start, 4), None, (7, 9, start, 6)]
    assert ranks().place(Key(7, 9), start, 5) == (start + 4, 15)


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (
            (8, 9, 0, 4),
            r"the same seed and step, got Key\(8, 9\), Key\(7, 9\), Key\(7, 9\) by rank",
        ),
        (
            (7, 8, 0, 4),
            r"the same seed and step, got Key\(7, 8\), Key\(7, 9\), Key\(7, 9\) by rank",
        ),
        ((7, 9, 3, 4), "the same forward, after as many samples, got 3, 0, 0 by rank"),
    ],
)
def test_processes_in_different_forwards_are_refused(processes, other, says):
    processes += [other, None, (7, 9, 0, 6)]
    with pytest.raises(ArgumentValueError, match=says):
        ranks().place(Key(7, 9), 0, 5)


@pytest.mark.parametrize("batch", ["distributed", Group(), Mesh(3)], ids=str.__class__)
def test_groups_that_are_taken(processes, batch, monkeypatch):
    found = Ranks(batch, MODEL)._group
    if isinstance(batch, Group):
        assert found is batch
    else:
        assert found == ("of the mesh" if isinstance(batch, Mesh) else "the world")


@pytest.mark.parametrize(
    ("batch", "error", "says"),
    [
        ("ranks", ArgumentValueError, "'distributed' if it is a string"),
        (Mesh(2, 3), ArgumentValueError, "a mesh of one dimension"),
        (Mesh(), ArgumentValueError, "a mesh of one dimension"),
        (dist.GroupMember.NON_GROUP_MEMBER, ArgumentValueError, "that this process is in"),
        (3, ArgumentTypeError, r"\(start, total\), 'distributed', a process group, a mesh or None"),
    ],
)
def test_groups_that_are_not(processes, batch, error, says):
    with pytest.raises(error, match=says):
        Ranks(batch, MODEL)


@pytest.mark.parametrize(
    ("batch", "error", "says"),
    [
        ("distributed", ArgumentValueError, "without torch.distributed.init_process_group"),
        ("ranks", ArgumentValueError, "'distributed' if it is a string"),
        (Group(), ArgumentTypeError, "a process group, a mesh or None"),
        (Mesh(3), ArgumentTypeError, "a process group, a mesh or None"),
    ],
)
@pytest.mark.parametrize("missing", ["is_initialized", "is_available"])
def test_without_processes(processes, monkeypatch, batch, error, says, missing):
    monkeypatch.setattr(_ranks.dist, missing, lambda: False)
    with pytest.raises(error, match=says):
        Ranks(batch, MODEL)


@pytest.mark.parametrize(("size", "is_refused"), [(3, False), (2, True), (4, True)])
def test_gradients_that_some_processes_average(processes, monkeypatch, size, is_refused):
    class Parallel(nn.Module):
        process_group = Group(size)

    monkeypatch.setattr(_ranks, "DistributedDataParallel", Parallel)
    model = nn.Sequential(nn.ReLU(), Parallel())
    if not is_refused:
        Ranks("distributed", model)
        return
    with pytest.raises(ArgumentValueError, match=f"with gradients that {size} of 3 processes aver"):
        Ranks("distributed", model)


@pytest.mark.parametrize(
    ("mesh", "by_fsdp", "is_refused"),
    [
        (Mesh(3), True, False),
        (Mesh(3), False, True),
        (Mesh(2), True, True),
        (Mesh(3, 1), True, True),
    ],
)
def test_parameters_that_are_divided(processes, monkeypatch, mesh, by_fsdp, is_refused):
    class Sharded(nn.Linear):
        pass

    model = Sharded(2, 2) if by_fsdp else nn.Linear(2, 2)
    model.weight.device_mesh = mesh
    fsdp = SimpleNamespace(FSDPModule=Sharded)
    monkeypatch.setitem(sys.modules, "torch.distributed.fsdp", fsdp)
    monkeypatch.setattr(_ranks, "is_spread", lambda p: hasattr(p, "device_mesh"))
    if not is_refused:
        Ranks("distributed", model)
        return
    with pytest.raises(
        ArgumentValueError, match=r"with 'weight' on a mesh of shape \(\d(, 1)?,?\)"
    ):
        Ranks("distributed", model)
