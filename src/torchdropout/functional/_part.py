"""The mask indices of a part of a batch: what `scope` gives a call as its layout."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch.compiler import is_dynamo_compiling

from .._core.contract.seed import as_int64
from ..errors import ArgumentValueError, SiteError
from ..random import Key, move


class Axis(NamedTuple):
    """A dimension of a draw along which a batch, or its sequences, are divided.

    Attributes:
        dim: The dimension.
        times: How many of its places belong to one sample, or to one position.
        alternating: Whether the samples alternate there, instead of a sample's places being
            neighbours. A `Part` has no such dimension.
    """

    dim: int
    times: int
    alternating: bool = False


class Part:
    """Mask indices of a part of a batch: sample by sample, and row-major within a sample.

    `index = sample * size + place`, where `size` is how many draws a sample has, so that a sample
    has the same draws in every batch. Where the samples lie along the first dimension, these are
    the indices of the whole batch in section 3 of the contract.

    Args:
        batch: The dimension of the samples; None where all samples share the draws.
        start: The number of the part's first sample; -1 if their numbers are in no order.
        sequence: The dimensions of the positions, such as queries and keys; none where they are
            not counted in a sequence of a length that is known.
        first: The number of the part's first position.
        length: How many positions the whole sequence has.
        key: In compiled code the key, which then carries the base, as an input of the graph.
        places: In compiled code a function that gives `start` and `first`, int64 of shape (2,).
        seen: Called with the shape of the draws, of size 1 where they are shared.
        alike: Whether all samples have the draws of the first.
        size: How many places a sample has; 0 for as many as it has draws.
        step: How far the number of a row is from that of the row before it.
    """

    def __init__(
        self,
        batch: Axis | None,
        start: int,
        sequence: tuple[Axis, ...] = (),
        first: int = 0,
        length: int = 0,
        key: Key | None = None,
        places: Callable[[], torch.Tensor] | None = None,
        seen: Callable[[tuple[int, ...]], object] | None = None,
        alike: bool = False,
        size: int = 0,
        step: int = 1,
    ) -> None:
        self.batch = batch
        self.start = start
        self.sequence = sequence
        self.first = first
        self.length = length
        self.key = key
        self.places = places
        self.seen = seen
        self.alike = alike
        self.size = size
        self.step = step

    def apart(self, size: int) -> Part:
        """The same with that many places for each sample, whatever the shape of its draws."""
        part = copy.copy(self)
        part.size = size
        return part

    def of_rows(self, dim: int, first: int, step: int) -> Part:
        """The same for rows with the numbers `first`, `first + step` and so on.

        A dimension of -1 stands for none: the draw is one row.
        """
        part = copy.copy(self)
        part.batch, part.start, part.step = Axis(dim, 1), first, step
        return part

    def first_sample(self, key: Key, size: int) -> int:
        """The number of the first sample, for a call with this key, `size` places per sample.

        In compiled code it is 0, and the key begins that many places later.
        """
        if self.places is None:
            if self.start < 0:
                raise SiteError(
                    "Expected samples whose numbers follow one another in a module that takes the "
                    "number of the first."
                )
            return self.start
        if not is_dynamo_compiling():
            return int(self.places()[0])
        move(key, self.places()[0] * size)
        return 0

    def indices(self, shape: Sequence[int], shared: Sequence[int]) -> tuple[int, list[int]]:
        """Base (its 64 bits as int64) and strides for a draw of this shape."""
        if self.alike and self.batch is not None:
            shared = [*shared, self.batch.dim]
        sizes = [1 if dim in shared else n for dim, n in enumerate(shape)]
        if self.seen is not None:
            self.seen(tuple(sizes))
        samples = self._dim(self.batch, sizes, shared)
        whole = list(sizes)
        positions = []
        for axis in self.sequence:
            if self._dim(axis, sizes, shared) is not None:
                positions.append(axis)
                whole[axis.dim] = self.length * axis.times
                if sizes[axis.dim] > whole[axis.dim]:
                    raise ArgumentValueError(
                        f"Expected `sequence` to have a length of {sizes[axis.dim]} or more, the "
                        f"positions of a draw, got {self.length}."
                    )
        strides, step = [0] * len(sizes), 1
        for dim in reversed(range(len(sizes))):
            if dim != samples and dim not in shared:
                strides[dim] = step
                step = step * whole[dim]
        step = self.size or step
        of_sample = of_position = 0
        if samples is not None and self.batch is not None:
            strides[samples] = step * self.step
            of_sample = self.batch.times * step
        elif self.batch is not None and self.batch.dim < 0:
            of_sample = step
        for axis in positions:
            of_position += axis.times * strides[axis.dim]
        if self.key is not None and self.places is not None and is_dynamo_compiling():
            steps = torch.tensor([of_sample, of_position], dtype=torch.int64, device="cpu")
            move(self.key, torch.sum(self.places() * steps))
            return 0, strides
        start, first = self.start, self.first
        if self.places is not None:  # what the compiler leaves to Python
            start, first = map(int, self.places().tolist())
        base = start * of_sample + first * of_position
        last = base + sum((n - 1) * s for n, s in zip(sizes, strides, strict=True) if n)
        if last >= 2**64:
            raise ArgumentValueError(
                f"Expected a batch whose mask indices lie in [0, 2**64), got sample {start} "
                f"with {of_sample} draws of its own in a tensor of shape {tuple(shape)}."
            )
        return as_int64(base), strides

    def row_major(self, shape: torch.Size) -> int | None:
        """The base of `indices` for a draw whose strides are row-major, at a fraction of its cost.

        None where they are not, or may not be, row-major: then use `indices`.
        """
        plain = not (self.sequence or self.seen or self.alike or self.size) and self.step == 1
        if not plain or self.places is not None or self.batch is None:
            return None
        n = shape.numel()
        if self.batch.dim != 0 or not shape or not n:
            return None
        base = self.start * self.batch.times * (n // shape[0])
        return as_int64(base) if base + n <= 2**64 else None

    @staticmethod
    def _dim(axis: Axis | None, sizes: Sequence[int], shared: Sequence[int]) -> int | None:
        if axis is None or not 0 <= axis.dim < len(sizes) or axis.dim in shared:
            return None
        return axis.dim
