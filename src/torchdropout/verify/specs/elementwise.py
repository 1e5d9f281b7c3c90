"""Kinds that act on x value by value, with one draw shared along some of its axes."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from ..context import Fault
from ..subject import Built, Spec
from .effect import Effect, Scaled

# Sizes of the axes that share a draw: unequal, and small, since larger ones only cost time.
_SHARED = (2, 3, 2, 2)
MOST_SHARED = len(_SHARED)
# Inputs of up to this many elements are compared with a copy, to see whether a call wrote to them.
_MOST_COMPARED = 4096


@dataclass(frozen=True)
class Elementwise(Spec):
    """`y = effect(x)`, with one draw for all elements that differ only along axes marked `*`.

    Attributes:
        pattern: The axes of an input: `n` and `c` have separate draws, `*` shares one. Empty for
            any number of axes and one draw per element.
        effect: What happens to a kept and to a dropped value.
        ranks: The numbers of axes to try if a target does not accept an input of this pattern.
    """

    pattern: str = ""
    effect: Effect = field(default_factory=Scaled)
    ranks: tuple[int, ...] = ()

    def with_axes(self, axes: int) -> Elementwise:
        """Return the same kind on inputs with this many axes, the last of which share a draw.

        Raises:
            ValueError: It has no such input: too few axes, or too many that share a draw.
        """
        own = self.pattern.rstrip("* ").split()
        pattern = " ".join((*own, *["*"] * (axes - len(own))))
        found = replace(self, pattern=pattern, ranks=())
        if not len(own) <= axes or not 0 < len(found.shared) <= MOST_SHARED:
            raise ValueError(axes)
        return replace(found, cost=2 * found.per_draw) if own else found

    @functools.cached_property
    def shared(self) -> tuple[int, ...]:
        """The axes that share a draw."""
        return tuple(i for i, axis in enumerate(self.pattern.split()) if axis == "*")

    @functools.cached_property
    def per_draw(self) -> int:
        """Elements that share a draw."""
        return math.prod(_SHARED[: len(self.shared)])

    def shape(self, draws: int, channels: int | None = None) -> tuple[int, ...]:
        """The shape of an input with this many draws, and channels if the pattern has any."""
        axes = self.pattern.split()
        if channels is None:
            channels = 64 if draws and draws % 64 == 0 else draws or 3
        own = {"n": draws // channels if "c" in axes else draws, "c": channels}
        sizes = iter(_SHARED)
        return tuple(next(sizes) if axis == "*" else own[axis] for axis in axes)

    @property
    def is_drawn_by_call(self) -> bool:
        """See `Spec.is_drawn_by_call`."""
        return bool(self.pattern) and "n" not in self.pattern

    def call(self, built: Built, x: torch.Tensor, training: bool) -> Any:
        """See `Spec.call`."""
        if self.is_drawn_by_call:
            return self._calls(built, x, training)
        given = self.spread(x) if self.pattern else x
        before = given.detach().clone() if given.numel() <= _MOST_COMPARED else None
        y = built.call(given, training)
        original = x
        if before is not None and not _equal(given.detach(), before):
            original = self._rows(before)[:, 0].reshape(x.shape) if self.pattern else before
            with torch.no_grad():
                if given is not x:
                    x.copy_(self._rows(given)[:, 0].reshape(x.shape))
        if not isinstance(y, torch.Tensor) or y.shape != given.shape or y.device != given.device:
            if self.pattern and isinstance(y, torch.Tensor):
                raise Fault(f"expected shape {tuple(given.shape)}, got {tuple(y.shape)}")
            return y
        if self.pattern:
            y = self.gather(y, x)
        return self.effect.decode(original, y, built.p) if training else y

    def _calls(self, built: Built, x: torch.Tensor, training: bool) -> torch.Tensor:
        """Call the target once per draw; the rest is done for all draws at once."""
        shape = _SHARED[: len(self.shared)]
        given = x.reshape(-1, *[1] * len(shape)).expand(-1, *shape).contiguous()
        read = []
        for part in given.unbind():
            # Views of one tensor must not be written to while a gradient is recorded.
            y = built.call(part.clone() if part.requires_grad else part, training)
            if not isinstance(y, torch.Tensor) or y.shape != shape:
                got = tuple(y.shape) if isinstance(y, torch.Tensor) else type(y).__name__
                raise Fault(f"expected shape {shape}, got {got}")
            read.append(y)
        if not read:
            return x
        rows = torch.stack(read).reshape(len(read), self.per_draw)
        y = self._places(rows).reshape(x.shape)
        return self.effect.decode(x, y, built.p) if training else y

    def spread(self, x: torch.Tensor) -> torch.Tensor:
        """Make an input of the target with the value of each draw at all places that share it.

        A strided x becomes a strided input, and an expanded one stays expanded.
        """
        channels = x.shape[-1] if x.ndim > 1 and x.shape[-1] else None
        shape = self.shape(x.numel(), channels)
        single = tuple(1 if i in self.shared else size for i, size in enumerate(shape))
        full = x.reshape(single).expand(shape)
        if 0 in x.stride():
            return full
        if x.is_contiguous():
            return full.contiguous()
        if len(shape) == 4 and x.is_contiguous(memory_format=torch.channels_last):
            return full.contiguous(memory_format=torch.channels_last)
        return full.movedim(0, -1).contiguous().movedim(-1, 0)

    def gather(self, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Read one value per draw, in the shape of x.

        Each draw is read at one of its places in turn, so the values and the gradients of all
        places are covered; `shared-mask` checks that they are equal.
        """
        return self._places(self._rows(y)).reshape(x.shape)

    def _places(self, rows: torch.Tensor) -> torch.Tensor:
        """A different place of each row, in turn."""
        places = torch.arange(len(rows), device=rows.device) % self.per_draw
        return rows.gather(1, places[:, None])[:, 0]

    def _rows(self, y: torch.Tensor) -> torch.Tensor:
        """The output with one row per draw."""
        own = [i for i in range(y.ndim) if i not in self.shared]
        return y.permute(*own, *self.shared).reshape(-1, self.per_draw)


def _equal(first: torch.Tensor, second: torch.Tensor) -> bool:
    return bool(((first == second) | (first.isnan() & second.isnan())).all())
