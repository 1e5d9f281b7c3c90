"""MaskLayout: which mask index an element has; section 3 of the contract.

One strided map covers everything: shared draws (a stride of 0), memory layout (it has no effect, as
the map is over logical coordinates), shards and micro-batches (a base).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from .._validate import (
    check_dims,
    check_shape,
    check_unsigned,
    is_integer,
    plain,
    wrong_type,
    wrong_value,
)

_TRACER_WARNING: type[Warning] = torch.jit.TracerWarning  # type: ignore[attr-defined]


def row_major(shape: Sequence[int], shared: Sequence[int] = ()) -> list[int]:
    """Row-major strides of `shape` with the shared dimensions set to size 1, and 0 along those.

    Example:
        >>> row_major((2, 3, 4)), row_major((2, 3, 4), shared=(1,))
        ([12, 4, 1], [4, 0, 1])
    """
    if torch.jit.is_tracing():  # type: ignore[attr-defined]
        shape = _of_example(shape)
    strides = [0] * len(shape)
    step = 1
    for dim in reversed(range(len(shape))):
        if dim not in shared:
            strides[dim] = step
            step = step * shape[dim]
    return strides


def _of_example(shape: Sequence[Any]) -> list[int]:
    """Sizes under torch.jit.trace: tensors there, which an operator does not accept as strides."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", _TRACER_WARNING)  # the one below is clearer
        sizes = [int(n) for n in shape]
    if any(isinstance(n, torch.Tensor) for n in shape[1:]):
        warnings.warn(
            f"torch.jit.trace records the mask indices of its example, of shape {tuple(sizes)}: an "
            "input that is larger in a dimension other than the first has draws that repeat. "
            "torch.export and torch.compile follow the shape.",
            _TRACER_WARNING,
            stacklevel=3,
        )
    return sizes


def sizes_drawn(shape: Sequence[int], strides: Sequence[int]) -> list[int]:
    """The shape of the draws: of size 1 along a dimension that shares its draw.

    Example:
        >>> sizes_drawn((2, 3, 4), (4, 0, 1))
        [2, 1, 4]
    """
    return [1 if s == 0 and n > 0 else n for n, s in zip(shape, strides, strict=True)]


@dataclass(frozen=True)
class MaskLayout:
    """The mask index of the element at `(c0, c1, ...)` is `base + sum(c_d * strides[d])`.

    Attributes:
        base: Index of the first element, in [0, 2**64).
        strides: One integer per dimension; 0 along a dimension that shares its draw.
        shape: The shape of the whole tensor, if `of` made the layout: no part may reach beyond
            it, since its elements would share the indices of others. None if that is not known.
        start: Coordinates in the whole tensor of the part's first element.

    Raises:
        ArgumentTypeError: Base or a stride is not an integer.
        ArgumentValueError: The base is out of range.

    Example:
        >>> MaskLayout.of((4, 3, 2), broadcast_dims=(2,))
        MaskLayout(base=0, strides=(3, 1, 0))
        >>> MaskLayout.of((4, 3, 2)).at((2,))  # the second half of a batch of four
        MaskLayout(base=12, strides=(6, 2, 1))
    """

    base: int
    strides: tuple[int, ...]
    shape: tuple[int, ...] | None = field(default=None, compare=False)
    start: tuple[int, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "base", check_unsigned("base", self.base, 64))
        if not isinstance(self.strides, tuple) or not all(map(is_integer, self.strides)):
            wrong_type("strides", "a tuple of integers", self.strides)
        object.__setattr__(self, "strides", tuple(map(plain, self.strides)))

    def __repr__(self) -> str:
        # Errors show it, also in compiled code, where torch cannot trace a dataclass's repr.
        return f"MaskLayout(base={self.base}, strides={self.strides})"

    @classmethod
    def of(cls, shape: Any, broadcast_dims: Any = ()) -> MaskLayout:
        """The layout of a whole tensor: row-major, with draws shared along `broadcast_dims`.

        Args:
            shape: Sizes of the whole (global) tensor.
            broadcast_dims: Dimensions along which all elements share one draw.
        """
        sizes = check_shape("shape", shape)
        shared = check_dims("broadcast_dims", broadcast_dims, len(sizes))
        return cls(0, tuple(row_major(sizes, shared)), tuple(sizes), (0,) * len(sizes))

    def at(self, start: Any) -> MaskLayout:
        """The layout of the part that begins at `start`: a shard, or a micro-batch.

        Args:
            start: Coordinates of the part's first element; missing trailing ones are 0.

        Raises:
            ArgumentTypeError: It is not a sequence of integers.
            ArgumentValueError: It has too many coordinates, or lies outside the whole tensor.
        """
        coordinates = check_shape("start", start)
        if len(coordinates) > len(self.strides):
            wrong_value("start", f"at most {len(self.strides)} coordinates", start)
        base = self.index(coordinates)
        if self.shape is None:
            return MaskLayout(base, self.strides)
        filled = (*coordinates, *[0] * (len(self.start) - len(coordinates)))
        begin = tuple(a + b for a, b in zip(self.start, filled, strict=True))
        if self._reaches_beyond(begin, (0,) * len(begin)):
            wrong_value(
                "start", f"within the shape {self.shape} that the layout was made of", start
            )
        return MaskLayout(base, self.strides, self.shape, begin)

    def index(self, coordinates: Sequence[int]) -> int:
        """The mask index of an element.

        Example:
            >>> MaskLayout.of((4, 3, 2)).index((1, 2, 1))
            11
        """
        return self.base + sum(c * s for c, s in zip(coordinates, self.strides, strict=False))

    def check_for(self, shape: Sequence[int]) -> None:
        """Raise unless this layout gives every element of a tensor of `shape` an index.

        Raises:
            ArgumentValueError: The number of dimensions differs, an index is outside [0, 2**64), or
                an element lies outside the whole tensor that the layout was made of.
        """
        if len(self.strides) != len(shape):
            wrong_value(
                "layout",
                f"one with a stride for each of the input's {len(shape)} dimensions "
                f"(shape {tuple(shape)})",
                self,
            )
        if self._reaches_beyond(self.start, shape):
            wrong_value(
                "layout",
                f"that of a tensor which contains the input, whose shape {tuple(shape)}, placed at "
                f"{self.start}, reaches beyond {self.shape}",
                self,
            )
        reach = [(size - 1) * s for size, s in zip(shape, self.strides, strict=True) if size > 0]
        lowest = self.base + sum(r for r in reach if r < 0)
        highest = self.base + sum(r for r in reach if r > 0)
        if lowest < 0 or highest >= 2**64:
            wrong_value(
                "layout",
                f"one whose indices over shape {tuple(shape)} lie in [0, 2**64), not from "
                f"{lowest} to {highest}",
                self,
            )

    def _reaches_beyond(self, start: Sequence[int], sizes: Sequence[int]) -> bool:
        """Whether a part has elements outside the whole; where draws are shared, it may."""
        if self.shape is None:
            return False
        part = zip(self.shape, self.strides, start, sizes, strict=True)
        return any(stride != 0 and begin + size > whole for whole, stride, begin, size in part)
