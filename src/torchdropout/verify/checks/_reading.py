"""Reads a mask from an output, and compares the values with those of a correct dropout."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from ..context import Context, Fault, Skip, seed_torch
from ..rounding import exact, tolerance, ulp
from ..specs.effect import Scaled
from ..subject import Built, Spec

UNSCALED = "; it looks unscaled"


def split(x: torch.Tensor, y: torch.Tensor, p: float, what: str = "") -> tuple[torch.Tensor, float]:
    """Return the kept places and the largest error there in ulps; each value is dropped or scaled.

    Raises:
        Fault: A value is neither 0 nor x / (1 - p) within the tolerance.
    """
    where = f"{what}: " if what else ""
    expected = exact(x, p)
    value = y.detach().double()
    error = (value - expected).abs()
    kept = value != 0
    wrong = kept & ~(error <= tolerance(expected, p, x.dtype))
    if bool(wrong.any()):
        at = int(torch.nonzero(wrong.reshape(-1))[0])
        got, want = value.reshape(-1)[at].item(), expected.reshape(-1)[at].item()
        nan = int(torch.isnan(value).sum())
        raise Fault(
            f"{where}p={p:g}: {int(wrong.sum())} of {wrong.numel()} values are neither 0 nor "
            f"x / (1 - p), such as {got:.9g}, expected {want:.9g}"
            + (f"; {nan} are NaN" if nan else "")
            + (UNSCALED if _is_unscaled(x, value, expected, kept) else ""),
            p=p,
            wrong=int(wrong.sum()),
            n=wrong.numel(),
            got=got,
            expected=want,
        )
    ulps = (error / ulp(expected, x.dtype))[kept]
    return kept, float(ulps.max()) if ulps.numel() else 0.0


def is_scaled(spec: Spec) -> bool:
    """Whether the target's own values are 0 and x / (1 - p)."""
    return type(spec) is Spec or getattr(spec, "effect", Scaled()) == Scaled()


def _is_unscaled(
    x: torch.Tensor, value: torch.Tensor, expected: torch.Tensor, kept: torch.Tensor
) -> bool:
    given = x.detach().double()
    return bool(((value - given).abs() <= 0.01 * (expected - given).abs())[kept].all())


class _Incoming(torch.autograd.Function):
    """A number whose gradient with respect to y is the incoming one, in its memory layout.

    `torch.autograd.grad` with `grad_outputs` imports SymPy, which takes half a second.
    """

    @staticmethod
    def forward(ctx: Any, y: torch.Tensor, incoming: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(incoming)
        return y.new_zeros(())

    @staticmethod
    def backward(ctx: Any, _: torch.Tensor) -> tuple[torch.Tensor, None]:
        (incoming,) = ctx.saved_tensors
        return incoming, None


def gradients(
    y: torch.Tensor,
    leaves: Sequence[torch.Tensor],
    incoming: torch.Tensor,
    *,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[torch.Tensor, ...]:
    """`torch.autograd.grad` of y with respect to the leaves, for an incoming gradient.

    Raises:
        Fault: The backward writes into the incoming gradient. A later comparison with it would
            look like another fault.
    """
    before = incoming.detach().clone()
    number: torch.Tensor = _Incoming.apply(y, incoming)
    found = torch.autograd.grad(
        number,
        leaves,
        retain_graph=retain_graph,
        create_graph=create_graph,
        allow_unused=allow_unused,
    )
    changed = int(torch.count_nonzero(incoming.detach() != before))
    if changed:
        raise Fault(
            f"the backward writes into the incoming gradient: {changed} of {before.numel()} of its "
            "values changed, for every other operation that gets it",
            changed=changed,
        )
    return found


def seeded_mask(ctx: Context, built: Built, x: torch.Tensor, seed: int) -> torch.Tensor:
    """Return the kept places of a call right after `torch.manual_seed(seed)`. x has no zeros."""
    given = x.clone(memory_format=torch.preserve_format)
    seed_torch(seed)
    return ctx.kept(built, given)


def same_values(y: torch.Tensor, x: torch.Tensor) -> bool:
    """Whether y equals x, with NaN where x has NaN, in any dtype."""
    if y.dtype == x.dtype and torch.equal(y, x):
        return True
    return torch.equal(
        torch.nan_to_num(y.double(), nan=12345.0), torch.nan_to_num(x.double(), nan=12345.0)
    ) and bool((torch.isnan(y) == torch.isnan(x)).all())


@contextlib.contextmanager
def refusal() -> Iterator[None]:
    """Skips a target that says it has no second derivative."""
    try:
        yield
    except RuntimeError as error:
        # torch's messages: for a function that declares it, and for a compiled one.
        if any(words in str(error) for words in ("once_differentiable", "double backward")):
            raise Skip("the target refuses a second derivative") from error
        raise
