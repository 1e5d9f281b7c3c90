"""The proof that nothing but dropout is turned on: a forward with the mean of each draw."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch

from ..scope import SiteId
from ..scope._places import Look, Looking, unchanged
from ..scope._watch import Draw
from ._look import PlanLook, difference_of, flat, fresh, is_same


class _Means(Looking):
    """A scope in which each random number is replaced by its mean."""

    def __init__(self) -> None:
        super().__init__()
        self.without: list[SiteId] = []
        self.drew = False

    def answer(self, site: SiteId, draw: Draw) -> Any:
        """The mean of the draw, if it has one."""
        self.drew = True
        if draw.mean is None:
            self.without.append(site)
            return super().answer(site, draw)
        return draw.finished(draw.mean(*draw.tensors))


def prove(look: Look, args: Any, kwargs: Any) -> tuple[str, str]:
    """The result of the forward with means: a proof, or a problem."""
    model = look.model
    given, named = fresh(args, kwargs)
    with unchanged(model), torch.no_grad():  # it may draw in eval
        expected = model(*given, **named)
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    scope = _Means()
    seen: list[str] = []

    @contextlib.contextmanager
    def around() -> Iterator[None]:
        with look.around():
            yield
        seen.extend(n for n, b in model.named_buffers() if not is_same(b, before[n]))

    found = PlanLook(model, args, kwargs, around=around).run(scope, args, kwargs)
    if seen:
        return "", f"Turning dropout on changes the buffer {seen[0]} too."
    if scope.without:
        sites = ", ".join(map(str, scope.without))
        return f"The effect of {sites} is unknown: its draw has no mean.", ""
    shown = "With the mean of each draw the output is eval's"
    if not any(isinstance(leaf, torch.Tensor) for leaf in flat(expected)[0]):
        kind = type(expected).__name__
        return f"Whether anything else changes is unknown: the output, {kind}, has no tensor.", ""
    difference = difference_of(expected, found)
    if not _is_rounding(difference):
        in_eval = _Means()
        expected = PlanLook(model, args, kwargs).run(in_eval, args, kwargs)
        if in_eval.drew:
            difference = difference_of(expected, found)
            shown += ", where it draws in eval too"
        elif _has_fast_path(model):
            # Under a mode torch runs an encoder step by step, with other values for padding.
            difference = difference_of(expected, found)
            shown += " without the fast path of torch's encoder, which sets padding to zero"
    if difference is None:
        return "", f"With the mean of each draw the output has another form than eval's: {_OTHER}."
    largest, _ = difference
    if largest == 0.0:
        return f"{shown}, bit for bit.", ""
    if _is_rounding(difference):
        return f"{shown}, within {largest:.2g}.", ""
    return "", (
        f"With the mean of each draw the output differs from eval's by {largest:.2g}: {_OTHER}."
    )


_OTHER = "something other than dropout depends on the training mode"


def _is_rounding(difference: tuple[float, float] | None) -> bool:
    return difference is not None and difference[0] <= difference[1]


def _has_fast_path(model: torch.nn.Module) -> bool:
    fast = (torch.nn.TransformerEncoder, torch.nn.TransformerEncoderLayer)
    return any(isinstance(module, fast) for module in model.modules())
