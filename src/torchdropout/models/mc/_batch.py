"""The arguments of a forward, and the parts and repetitions of them that passes take."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch

from ..._core import _torch
from ..scope.interface import is_packed, of_packed, size_of
from ._probe import fresh


class Batch(NamedTuple):
    """The arguments of a forward, and where they hold the inputs.

    Attributes:
        args: The arguments.
        kwargs: The keyword arguments.
        dim: The dimension of the inputs.
        size: The number of inputs.
        only: The numbers of the leaves that hold inputs; None for all that have the right size.
    """

    args: Any
    kwargs: Any
    dim: int
    size: int
    only: frozenset[int] | None = None

    def __call__(self, model: torch.nn.Module) -> Any:
        args, kwargs = fresh(self.args, self.kwargs)
        return model(*args, **kwargs)

    def _leaves(self) -> tuple[list[Any], Any]:
        return _torch.tree.tree_flatten((self.args, self.kwargs), is_leaf=is_packed)  # type: ignore[no-any-return]

    def _having(self, leaves: Sequence[Any]) -> Iterator[int]:
        for number, leaf in enumerate(leaves):
            if size_of(leaf, self.dim) == self.size:
                yield number

    def having(self) -> frozenset[int]:
        """The numbers of the leaves that hold the inputs, by their size."""
        return frozenset(self._having(self._leaves()[0]))

    def _map(
        self, function: Callable[[torch.Tensor], torch.Tensor], places: Sequence[int]
    ) -> Batch:
        leaves, form = self._leaves()
        for n in self._having(leaves):
            if self.only is None or n in self.only:
                leaf = leaves[n]
                leaves[n] = of_packed(leaf, places) if is_packed(leaf) else function(leaf)
        args, kwargs = _torch.tree.tree_unflatten(leaves, form)
        return Batch(args, kwargs, self.dim, len(places), self.only)

    def part(self, start: int, end: int) -> Batch:
        """The inputs from start to end."""
        if (start, end) == (0, self.size):
            return self
        return self._map(lambda t: t.narrow(self.dim, start, end - start), list(range(start, end)))

    def repeated(self, times: int) -> Batch:
        """The batch several times."""
        return self._map(
            lambda t: t.repeat([times if d == self.dim else 1 for d in range(t.ndim)]),
            list(range(self.size)) * times,
        )

    def kind(self) -> Any:
        """The properties shared by batches that are computed in the same way."""
        leaves, form = _torch.tree.tree_flatten((self.args, self.kwargs))
        kinds = tuple(
            (t.shape, t.dtype, t.device, _is_constant(t))
            if isinstance(t, torch.Tensor)
            else type(t)
            for t in leaves
        )
        return kinds, str(form), self.only


def _is_constant(t: torch.Tensor) -> bool:
    """Whether it holds integers that are all the same: many models ignore a mask of ones."""
    if t.is_floating_point() or t.is_complex() or t.is_meta or not t.numel():
        return False
    return bool((t == t.flatten()[0]).all())
