"""Which of the samples of all processes a process has, as they tell each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeAlias, Union

import torch
from torch import distributed as dist
from torch.distributed import device_mesh
from torch.nn.parallel import DistributedDataParallel

from ..._core._validate import wrong_type, wrong_value
from ...errors import ArgumentValueError
from ...functional._shards import is_spread
from ...random import Key

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup
    from torch.distributed.device_mesh import DeviceMesh

# The values that `keyed` accepts instead of the place of the samples.
Processes: TypeAlias = Union[Literal["distributed"], "ProcessGroup", "DeviceMesh"]


class Ranks:
    """The processes among which each forward's samples are divided, in order of rank.

    Args:
        batch: "distributed" for all processes, a process group, or a mesh of one dimension.
        model: The model, whose parameters may show that processes share samples.

    Raises:
        ArgumentTypeError: `batch` is something else.
        ArgumentValueError: There is no process group; this process is not in it; the mesh has
            several dimensions; "distributed" for a model that is parallel in another way.
    """

    def __init__(self, batch: Any, model: torch.nn.Module) -> None:
        there = dist.is_available() and dist.is_initialized()
        if isinstance(batch, str):
            if batch != "distributed":
                wrong_value("batch", "'distributed' if it is a string", batch)
            if not there:
                what = "(start, total) or None without torch.distributed.init_process_group"
                wrong_value("batch", what, batch)
            _check_all_have_samples(model)
            self._group = dist.group.WORLD
        elif there and isinstance(batch, dist.ProcessGroup):
            self._group = batch
        elif there and isinstance(batch, device_mesh.DeviceMesh):
            if batch.ndim != 1:
                wrong_value("batch", "a mesh of one dimension, such as mesh['dp']", batch)
            self._group = batch.get_group()
        elif there and batch == dist.GroupMember.NON_GROUP_MEMBER:
            wrong_value("batch", "a process group that this process is in", batch)
        else:
            what = "(start, total), 'distributed', a process group, a mesh or None"
            wrong_type("batch", what, batch)

    def place(self, key: Key, start: int, rows: int) -> tuple[int, int]:
        """The number of this process's first sample, and how many all have in this forward.

        Args:
            key: The key of the step.
            start: The number of samples in earlier forwards.
            rows: The number of samples of this process in this forward.

        Raises:
            ArgumentValueError: The processes are in different steps, or not in the same forward.
        """
        own = key.seed, key.stream, start, rows
        found: list[Any] = [None] * dist.get_world_size(self._group)
        dist.all_gather_object(found, own, group=self._group)
        for what, all_got in (
            ("seed and step", [f"Key({seed}, {stream})" for seed, stream, _, _ in found]),
            ("forward, after as many samples", [str(before) for _, _, before, _ in found]),
        ):
            if len({*all_got}) > 1:
                raise ArgumentValueError(
                    f"Expected all processes of `batch` to be in the same {what}, got "
                    f"{', '.join(all_got)} by rank."
                )
        sizes = [one[-1] for one in found]
        return start + sum(sizes[: dist.get_rank(self._group)]), sum(sizes)


def _check_all_have_samples(model: torch.nn.Module) -> None:
    """Check that nothing shows that some processes share samples.

    Raises:
        ArgumentValueError: Gradients are averaged over some processes, or a layer is parallel.
    """
    world = dist.get_world_size()
    for module in model.modules():
        if isinstance(module, DistributedDataParallel):
            size = dist.get_world_size(module.process_group)
            if size != world:
                _refuse(f"with gradients that {size} of {world} processes average")
    spread = [(name, p) for name, p in model.named_parameters() if is_spread(p)]
    if not spread:
        return
    from torch.distributed.fsdp import FSDPModule  # a large import

    by_fsdp = any(isinstance(module, FSDPModule) for module in model.modules())
    for name, p in spread:
        mesh: Any = p.device_mesh  # type: ignore[attr-defined]
        if mesh.ndim > 1 or mesh.size() != world or not by_fsdp:
            _refuse(f"with {name!r} on a mesh of shape {tuple(mesh.shape)}")


def _refuse(why: str) -> NoReturn:
    what = "the processes that have different samples, as a process group or such as mesh['dp'],"
    wrong_value("batch", f"{what} for a model {why}", "distributed")
