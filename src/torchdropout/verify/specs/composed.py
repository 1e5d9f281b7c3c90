"""Kinds that put dropout between other operations: a residual sum, attention."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from ..context import Fault
from ..rounding import ULPS, ulp
from ..subject import MADE, Built, Spec, because
from .effect import Effect, Scaled


@dataclass(frozen=True)
class Fused(Spec):
    """`residual + dropout(x + bias)`: with both zero, a plain dropout."""

    def call(self, built: Built, x: torch.Tensor, training: bool) -> Any:
        """See `Spec.call`."""
        if not x.ndim:  # a bias belongs to a last axis
            y = self.call(built, x.reshape(1), training)
            return y.reshape(()) if isinstance(y, torch.Tensor) and y.numel() == 1 else y
        bias = x.new_zeros(x.shape[-1:])
        return built.call(x, training, residual=torch.zeros_like(x), bias=bias)


@dataclass(frozen=True)
class Between(Spec):
    """Zoneout (Krueger et al., 2017): `new` where kept, `old` where dropped, nothing scaled.

    With old = 0 it is a dropout that does not scale. In eval the output is
    `p * old + (1 - p) * new`, from which x is read; `states-mixed` checks that, and the gradients.
    """

    effect: Effect = field(default_factory=lambda: Scaled(unscaled=True, inverse=False))

    def call(self, built: Built, x: torch.Tensor, training: bool) -> Any:
        """See `Spec.call`."""
        y = built.call(x, training, old=torch.zeros_like(x))
        if not isinstance(y, torch.Tensor) or y.shape != x.shape or y.device != x.device:
            return y
        if training:
            return self.effect.decode(x, y, built.p)
        return torch.where(expected(x, torch.zeros_like(x), y, built.p), x, y)


def expected(new: torch.Tensor, old: torch.Tensor, y: torch.Tensor, p: float) -> torch.Tensor:
    """Where y is `p * old + (1 - p) * new`, up to rounding."""
    was, now, got = (t.detach().double() for t in (old, new, y))
    want = p * was + (1 - p) * now
    terms = (p * was).abs() + (now.abs() if y.dtype != torch.float64 else (1 - p) * now.abs())
    near = (got - want).abs() <= ULPS * ulp(terms, y.dtype)
    return near | (got == want) | (torch.isnan(got) & torch.isnan(want))


# Elements of x in a call to attention: v holds `keys` numbers for each.
_MOST_ELEMENTS = 1 << 14


@dataclass(frozen=True)
class Attention(Spec):
    """`dropout(softmax(q k^T)) v`, where only the output is used.

    With q = k = 0 all `keys` probabilities of a row are equal. Each element of x has its own query
    and key; v holds it in a column that no other element of its key uses, so that the output is the
    element times its mask bit, divided by `keys`, which is a power of two.
    """

    keys: int = 32
    queries: int = 4
    heads: int = 2
    part: int = _MOST_ELEMENTS

    def call(self, built: Built, x: torch.Tensor, training: bool) -> Any:
        """See `Spec.call`."""
        parts = [
            self._call(built, part, training) for part in torch.split(x.reshape(-1), self.part)
        ]
        return torch.cat(parts).reshape(x.shape)

    def _call(self, built: Built, x: torch.Tensor, training: bool) -> torch.Tensor:
        each = self.heads * self.queries * self.keys
        batch = -(-x.numel() // each)
        padded = torch.nn.functional.pad(x, (0, batch * each - x.numel()), value=1.0)
        values = padded.reshape(batch, self.heads, self.queries, self.keys)
        # v[b, h, key, (query, key')] is the value where key' is key, else 0.
        v = torch.diag_embed(values).movedim(-2, 2).flatten(-2)
        query = x.new_zeros(batch, self.heads, self.queries, 8)
        key = x.new_zeros(batch, self.heads, self.keys, 8)
        y = built.call(query, training, key=key, value=v)
        expected = (batch, self.heads, self.queries, self.queries * self.keys)
        if isinstance(y, (tuple, list)) and y:
            y = y[0]
        if not isinstance(y, torch.Tensor) or tuple(y.shape) != expected:
            got = tuple(y.shape) if isinstance(y, torch.Tensor) else type(y).__name__
            raise Fault(f"expected an output of shape {expected}, got {got}")
        own = y.reshape(*y.shape[:-1], self.queries, self.keys).diagonal(dim1=2, dim2=3)
        return own.movedim(-1, 2).reshape(-1)[: x.numel()] * self.keys


EXEMPT_BETWEEN = because("the verifier does not request a write into either state", "inplace-claim")

EXEMPT_ATTENTION = {
    **because(
        MADE,
        *("input-unmodified", "inplace-claim", "layout-values", "layout-rate", "layout-mask"),
        "expanded-independent",
    ),
    **because("an infinite value meets zeros", "nonfinite-kept", "nonfinite-dropped"),
}
