"""Tensors that are spread over processes: each computes its part, with the draws of the whole."""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch

from .._core import _torch
from .._core._validate import check_dense, wrong_type, wrong_value
from .._core.contract.layout import row_major
from .._core.contract.seed import as_int64
from ..errors import ArgumentValueError

_MODULE = "torch.distributed.tensor"


def is_spread(x: Any) -> bool:
    """Whether it is a `DTensor`, without importing its module."""
    # Plain tensors first: a graph of them then has no guard on what is imported.
    if type(x) is torch.Tensor or type(x) is torch.nn.Parameter or _MODULE not in sys.modules:
        return False
    return isinstance(x, sys.modules[_MODULE].DTensor)


def are_spread(tensors: Mapping[str, torch.Tensor | None]) -> bool:
    """Whether the tensors of a call, by name, are DTensors: either all of them are, or none."""
    if not any(map(is_spread, tensors.values())):
        return False
    (name, lead), *others = tensors.items()
    spread = is_spread(lead)
    for other, tensor in others:
        if tensor is not None and is_spread(tensor) != spread:
            expected = (
                f"{'a' if spread else 'not a'} DTensor, as `{name}` is{'' if spread else ' not'}"
            )
            wrong_type(other, expected, tensor)
    mesh = lead.device_mesh  # type: ignore[union-attr]
    if mesh.get_coordinate() is None:
        wrong_value(name, f"on a mesh that has this process, and not on {mesh}", lead)
    for other, tensor in others:
        if tensor is not None and tensor.device_mesh != mesh:  # type: ignore[attr-defined]
            wrong_value(other, f"on the mesh of `{name}`, {mesh}", tensor)
    return True


def by_parts(
    function: Callable[..., Any],
    tensors: Mapping[str, torch.Tensor | None],
    base: int = 0,
    strides: Sequence[int] | None = None,
    whole: Sequence[int] = (),
    shape: Sequence[int] | None = None,
    shared: Collection[str] = (),
) -> Any:
    """`function(*tensors, base, strides)`; for DTensors, each process calls it with its parts.

    The part begins at the mask index that its first element has in the whole, so that the draws are
    those of the whole on one process, if each process has the same key: all get one key, or have
    generators in the same state, as torch requires for its own random operators.

    The result is placed as the first tensor is, except that a sum over processes is summed first.
    Dimensions in `whole` are gathered for the call where they are sharded, and sharded again.

    Args:
        function: It returns a tensor that has the dimensions of the draws, or the first of them,
            or a tuple of such tensors. Nothing may be drawn before it.
        tensors: The arguments by name. Dimensions are aligned at the last one, and one of size 1 is
            expanded.
        base: Mask index of the first draw of the whole, its 64 bits as int64; any for a function
            that draws nothing.
        strides: Mask strides of the whole; None for row-major ones.
        whole: Dimensions of the draws that a part must have whole.
        shape: Shape of the draws; by default the first tensor's.
        shared: Names of the tensors that every process needs whole, such as weights.
    """
    for name, tensor in tensors.items():
        if tensor is not None:
            check_dense(name, tensor)
    if not are_spread(tensors):  # almost always
        return function(*tensors.values(), base, strides)
    lead = next(iter(tensors.values()))
    parts = _Parts(lead, whole, shape)
    strides = row_major(parts.shape) if strides is None else strides
    given = [parts.of(t, name in shared) for name, t in tensors.items() if t is not None]
    together = iter(_Alike.apply(*given))
    local = [None if tensor is None else next(together) for tensor in tensors.values()]
    found = function(*local, parts.base(base, strides), strides)
    return parts.joined(found, given[0])


def whole(x: torch.Tensor) -> torch.Tensor:
    """All of a tensor, with its gradient; torch reads a DTensor's number from one process' part."""
    return x.full_tensor() if is_spread(x) else x  # type: ignore[attr-defined]


def pieces(x: Any, dim: int) -> int:
    """The number of shards of a dimension of a DTensor."""
    of_dim = [getattr(p, "dim", None) == dim % x.ndim for p in x.placements]
    return math.prod(n for n, cuts in zip(x.device_mesh.shape, of_dim, strict=True) if cuts)


class _Alike(torch.autograd.Function):
    """The identity, whose gradients are the same in all processes, except for their values.

    It passes them on once it has all, with zeros for missing ones, in the layout of the parts.
    The collectives that then sum or gather them depend on order and layout, which differ
    if a process has an empty part.
    """

    @staticmethod
    def forward(ctx: Any, *parts: torch.Tensor) -> tuple[torch.Tensor, ...]:
        ctx.strides = [torch.empty_like(part, device="meta").stride() for part in parts]
        out = tuple(part.view_as(part) for part in parts)
        constant = [t for t, needs in zip(out, ctx.needs_input_grad, strict=True) if not needs]
        ctx.mark_non_differentiable(*constant)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[Any, ...]:
        return tuple(map(_laid_out, gradients, ctx.strides))


def _laid_out(x: torch.Tensor, strides: tuple[int, ...]) -> torch.Tensor:
    if x.stride() == strides:
        return x
    return x.new_empty_strided(x.shape, strides).copy_(x)


class _Parts:
    """How the draws of a call are divided among the processes: as its first tensor is."""

    def __init__(self, lead: Any, whole: Sequence[int], shape: Sequence[int] | None) -> None:
        self.tensor = sys.modules[_MODULE]
        self.lead = lead
        self.shape = tuple(lead.shape if shape is None else shape)
        self.whole = {dim % len(self.shape) for dim in whole}
        ahead = len(self.shape) - lead.ndim
        self.placements, self.computed = [], []
        for place, p in enumerate(lead.placements):
            if type(p) is self.tensor.Shard:
                if ahead or p.dim < 0:
                    p = self.tensor.Shard(p.dim % lead.ndim + ahead)
            elif hasattr(p, "dim") and (ahead or not self._is_range(place)):
                # No single base gives its draws.
                self.whole.add(p.dim % lead.ndim + ahead)
            self.placements.append(self.tensor.Replicate() if p.is_partial() else p)
        self.computed = [
            self.tensor.Replicate() if self._gathers(p) else p for p in self.placements
        ]

    def _is_range(self, place: int) -> bool:
        """Whether a strided shard is one range of its dimension after all.

        FSDP makes one of a tensor sharded along a later mesh dimension: of that many ranges.
        """
        strided, mesh = self.lead.placements[place], self.lead.device_mesh
        ranges = 1
        for later, p in enumerate(self.lead.placements[place + 1 :], place + 1):
            if type(p) is self.tensor.Shard and p.dim == strided.dim:
                ranges *= mesh.size(later)
        return bool(strided.split_factor == ranges)

    def _gathers(self, placement: Any) -> bool:
        return getattr(placement, "dim", None) in self.whole

    def base(self, base: int, strides: Sequence[int]) -> int:
        """The mask index of the first draw of this process' part."""
        return as_int64((base + sum(map(operator.mul, self._start(), strides))) % 2**64)

    def _start(self) -> Sequence[int]:
        """The place of this process' part, whose dimensions are cut as `torch.chunk` cuts them."""
        mesh, shard = self.lead.device_mesh, self.tensor.Shard
        if not all(type(p) is shard or p.is_replicate() for p in self.computed):
            _, strided = _torch.shard_offset()(self.shape, mesh, self.computed)
            return strided  # type: ignore[no-any-return]
        # The compiler of torch 2.13 cannot call the methods of a placement.
        start, size = [0] * len(self.shape), list(self.shape)
        for p, place, pieces in zip(self.computed, mesh.get_coordinate(), mesh.shape, strict=True):
            if type(p) is shard:
                most = -(-size[p.dim] // pieces)
                first = min(most * place, size[p.dim])
                start[p.dim] += first
                size[p.dim] = min(most, size[p.dim] - first)
        return start

    def of(self, t: Any, shared: bool) -> torch.Tensor:
        """The part of a tensor that this process needs."""
        ahead = len(self.shape) - t.ndim
        placements, of_gradient = [], []
        for p in self.computed:
            if not p.is_replicate():
                dim = p.dim - ahead
                divided = not shared and dim >= 0
                if divided and (t.shape[dim] != 1 or self.shape[p.dim] == 1):
                    p = p if ahead == 0 else self.tensor.Shard(dim)
                else:
                    # All parts share it, and its gradient is the sum of theirs.
                    placements.append(self.tensor.Replicate())
                    of_gradient.append(self.tensor.Partial())
                    continue
            placements.append(p)
            of_gradient.append(p)
        try:
            t = t.redistribute(placements=placements)
        except AssertionError as error:  # torch 2.10 raises it for strided shards
            raise ArgumentValueError(
                f"Expected DTensors whose shards torch {torch.__version__} can gather, as a draw "
                f"depends on all of them, got one placed {t.placements} ({type(t).__name__})."
            ) from error
        local: torch.Tensor = t.to_local(grad_placements=of_gradient)
        return local

    def joined(self, found: Any, local: Any) -> Any:
        """The whole result, from this process' part, placed as the first tensor is."""
        if isinstance(found, tuple):
            y, *others = found
            return (self.joined(y, local), *(self._joined(other, local) for other in others))
        return self._joined(found, local).redistribute(placements=self.placements)

    def _joined(self, part: torch.Tensor, local: torch.Tensor) -> Any:
        placements = [
            p if p.is_replicate() or p.dim < part.ndim else self.tensor.Replicate()
            for p in self.computed
        ]
        shape = [n if d in self.whole else self.shape[d] for d, n in enumerate(part.shape)]
        # A DTensor notes the order of its dimensions in memory, which must be that of its parts.
        alike = part.shape == local.shape and part.stride() == local.stride()
        alike = alike and tuple(shape) == tuple(self.lead.shape)
        return self.tensor.DTensor.from_local(
            part if alike else part.contiguous(),
            self.lead.device_mesh,
            placements,
            run_check=False,
            shape=torch.Size(shape),
            stride=self.lead.stride() if alike else tuple(row_major(shape)),
        )
