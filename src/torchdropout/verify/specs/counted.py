"""Kinds that keep a fixed number of each group: tokens of a sample, n of m neighbours."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from ..context import Fault
from ..subject import MADE, Built, Spec, because
from .effect import Scaled, decode_affine

EXEMPT = {
    **because("at least one of a group is kept", "p-one-zeros", "edge-gradients"),
    **because(
        MADE,
        *("input-unmodified", "inplace-claim", "layout-values", "layout-rate", "layout-mask"),
        "expanded-independent",
    ),
}

MOST = 256  # places of a group, so that one of them is dropped at a small p


@dataclass(frozen=True)
class Counted(Spec):
    """A fixed number of each group is kept, all choices equally likely.

    The number is group * (1 - p), or one of its neighbours if it is not whole. One place of each
    group is used, a different one in each: these draws are independent. A module that always keeps
    some tokens first (`num_prefix_tokens`) is given as many before each group.

    Attributes:
        group: Tokens of a sample, or m of n:m.
        removes: Whether dropped elements are removed (tokens), or become 0 (n:m).
        effect: How kept values are scaled.
    """

    group: int = 8
    removes: bool = True
    effect: Scaled = field(default_factory=lambda: Scaled(unscaled=True, inverse=False))

    def kept_of(self, p: float) -> tuple[int, int]:
        """How many of a group may be kept: the fewest and the most."""
        exact = self.group * (1 - p)
        return max(1, math.floor(exact + 1e-9)), max(1, math.ceil(exact - 1e-9))

    def holding(self, p: float) -> Counted:
        """The same kind, with groups of up to 32 if they hold p exactly, else with larger ones."""
        sizes = (self.group, *range(2, 33))
        held = (n for n in sizes if len(set(replace(self, group=n).kept_of(p))) == 1)
        # Every group holds p = 0.
        size = next(held, 0) or max(self.group, min(MOST, math.ceil(1 / p)))
        return replace(self, group=size, cost=self.cost * size // self.group)

    def rates(self, p: float) -> tuple[float, float]:
        """See `Spec.rates`."""
        fewest, most = self.kept_of(p)
        return 1 - most / self.group, 1 - fewest / self.group

    def call(self, built: Built, x: torch.Tensor, training: bool) -> Any:
        """See `Spec.call`."""
        flat = x.reshape(-1)
        at = torch.arange(flat.numel(), device=x.device)
        place = at % self.group
        given = self.groups(built, flat.numel(), x.dtype, x.device)
        prefix = given.shape[1] - self.group
        values = given[..., 0].index_put((at, prefix + place), flat)
        given = torch.stack([values, given[..., 1]], dim=-1) if self.removes else values
        y = built.call(given, training)
        seen, _ = self.seen(y, given, training)
        own = seen.gather(1, place[:, None])[:, 0]
        if not training:
            return own.reshape(x.shape)
        return self._decoded(flat, own, built.p).reshape(x.shape)

    def _decoded(self, x: torch.Tensor, y: torch.Tensor, p: float) -> torch.Tensor:
        """As `Effect.decode`; the scale may be one over the share of a group that is kept."""
        if not 0 < p < 1:
            return y
        shares = {1 - p, *(1 - rate for rate in self.rates(p))} if self.effect.inverse else set()
        scales = [*(1 / share for share in sorted(shares)), *([1.0] * self.effect.unscaled)]
        return decode_affine(x, y, p, [(scale, 0.0, 0.0) for scale in scales])

    def groups(
        self, built: Built, count: int, dtype: torch.dtype, device: torch.device
    ) -> torch.Tensor:
        """Groups of ones, each next to its number, counted from 1; with a prefix, if it has one."""
        prefix = getattr(built.module, "num_prefix_tokens", 0) if self.removes else 0
        size = self.group + (prefix if isinstance(prefix, int) else 0)
        numbers = torch.arange(1, size + 1, dtype=dtype, device=device).expand(count, size)
        return torch.stack([torch.ones_like(numbers), numbers], dim=-1)

    def seen(
        self, y: Any, given: torch.Tensor, training: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The values of the output at their places in the groups, and which places have one.

        A prefix is left out.
        """
        if self.removes and isinstance(y, (tuple, list)) and y:
            y = y[0]  # some implementations also return the indices
        if not isinstance(y, torch.Tensor):
            raise Fault(f"expected a tensor, got {type(y).__name__}", type=type(y).__name__)
        prefix = given.shape[1] - self.group
        if not self.removes or not training:
            if y.shape != given.shape:
                raise Fault(f"expected shape {tuple(given.shape)}, got {tuple(y.shape)}")
            values = y[:, prefix:, 0] if self.removes else y
            return values, values.detach() != 0
        if y.ndim != 3 or y.shape[0] != given.shape[0] or y.shape[2] != 2:
            raise Fault(f"expected shape ({given.shape[0]}, tokens kept, 2), got {tuple(y.shape)}")
        number = y[..., 1].detach().double() - 1
        whole = number.round().clamp(0, given.shape[1] - 1).long()
        count = torch.zeros(given.shape[:2], dtype=torch.long, device=y.device)
        count.scatter_add_(1, whole, torch.ones_like(whole))
        if bool((number != whole).any()) or bool((count > 1).any()):
            raise Fault("a token was returned changed, or twice")
        if bool((count[:, :prefix] == 0).any()):
            raise Fault(f"one of the first {prefix} tokens, which are to be kept, was dropped")
        values = torch.zeros(given.shape[:2], dtype=y.dtype, device=y.device)
        return values.scatter(1, whole, y[..., 0])[:, prefix:], count[:, prefix:] > 0
