"""DropBlock: stretches of a line, squares of a plane or cubes of a volume are dropped together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn import functional as F

from ..context import Fault
from ..subject import MADE, Built, Spec, because
from .effect import AnyScale

EXEMPT = {
    **because(
        "places in a block depend on each other, and the rate depends on the place",
        *("position-rate", "lag-independence", "axis-independence", "call-independence"),
        *("joint-counts", "count-spread", "linear-rank", "mask-repeats", "few-masks"),
        *("tiny-input", "thread-law", "compiled-law", "dtype-independence"),
    ),
    **because(
        "scale-common checks the scale",
        *("kept-scale", "scale-constant", "grad-scale", "grad-at-zero", "dtype-scale"),
        *("grad-second-order", "dtype-gradient"),
    ),
    **because(
        MADE,
        *("input-unmodified", "inplace-claim", "layout-values", "layout-rate", "layout-mask"),
        "expanded-independent",
    ),
    **because("the scale may depend on all values", "nonfinite-kept", "nonfinite-dropped"),
}

# A density of blocks that is wrong for p is wrong at p=1 too: it is reported once.
NEEDS = {"p-one-zeros": ("drop-rate",), "edge-gradients": ("drop-rate",)}

_MOST_PLANES = 1 << 12  # of a call


@dataclass(frozen=True)
class Blocks(Spec):
    """Ghiasi et al. (2018): blocks are dropped so that the expected fraction dropped is p.

    A plane has some elements of x, so far apart that no block covers two of them, and ones
    elsewhere. The places take turns, so that the mean rate over all is the expected fraction. The
    draws are independent, and a sum of draws of unequal rates spreads less than the binomial of
    their mean: the tests stay exact bounds.

    Attributes:
        dims: Dimensions of a plane: 1 for a line, 3 for a volume.
        size: Side of a plane.
        block: Side of a block.
        effect: How the scale is decoded.
        part: Planes per call.
    """

    dims: int = 2
    size: int = 16
    block: int = 7
    effect: AnyScale = field(default_factory=AnyScale)
    part: int = _MOST_PLANES

    @property
    def places(self) -> int:
        """The number of places of a plane."""
        return int(self.size**self.dims)

    @property
    def per_side(self) -> int:
        """Elements of x along a side: a divisor of it, so that all places are read equally."""
        divisors = (n for n in range(2, self.size) if self.size % n == 0)
        return max((n for n in divisors if self.size // n > self.block), default=1)

    def call(self, built: Built, x: torch.Tensor, training: bool) -> Any:
        """See `Spec.call`."""
        elements = self.part * self.per_side**self.dims
        parts = [self._call(built, part, training) for part in torch.split(x.reshape(-1), elements)]
        return torch.cat(parts).reshape(x.shape)

    def _call(self, built: Built, x: torch.Tensor, training: bool) -> torch.Tensor:
        groups = self._groups(x.device)
        per_plane = groups.shape[1]
        planes = -(-x.numel() // per_plane)
        # The step is coprime to the number of groups: even a few planes are read everywhere.
        place = groups[torch.arange(planes, device=x.device) * 101 % len(groups)]
        filled = F.pad(x, (0, planes * per_plane - x.numel()), value=1.0).reshape(planes, per_plane)
        given = x.new_ones(planes, self.places).scatter(1, place, filled)
        given = given.reshape(planes, 1, *[self.size] * self.dims)
        y = built.call(given, training)
        if not isinstance(y, torch.Tensor) or y.shape != given.shape:
            got = tuple(y.shape) if isinstance(y, torch.Tensor) else type(y).__name__
            raise Fault(f"expected a tensor of shape {tuple(given.shape)}, got {got}")
        own = y.reshape(planes, self.places).gather(1, place).reshape(-1)[: x.numel()]
        return self.effect.decode(x, own, built.p) if training else own

    def _groups(self, device: torch.device) -> torch.Tensor:
        """The places of a plane, one row for those that are read together."""
        sides = [self.per_side, self.size // self.per_side] * self.dims
        places = torch.arange(self.places, device=device).reshape(sides)
        order = [*range(1, 2 * self.dims, 2), *range(0, 2 * self.dims, 2)]
        return places.permute(order).reshape(-1, self.per_side**self.dims)
