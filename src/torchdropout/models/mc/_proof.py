"""The proof that nothing but dropout is turned on: a forward with the mean of each draw."""

from __future__ import annotations

import contextlib
import functools
from collections import deque
from collections.abc import Callable, Collection, Iterator
from itertools import takewhile
from typing import Any

import torch

from ..scope import SiteId
from ..scope.interface import Draw, Probe, Recorder, tree_of, unchanged
from ._probe import PlanProbe, difference_of, flat, fresh, is_same

# Draws after which a condition or an order may follow; the others are dropout as a whole.
_RAW = ("bernoulli", "randn")


class _Means(Recorder):
    """A scope in which each random number is replaced by its mean.

    Args:
        moved: Sites of which each number is replaced by another one, near the mean.
        by: That number minus the mean, in roots of the precision.
    """

    def __init__(self, moved: Collection[SiteId] = (), by: float = 0.0) -> None:
        super().__init__()
        self.moved, self.by = moved, by
        self.without: list[SiteId] = []
        self.raw: list[SiteId] = []
        self.paths: set[str] = set()

    def answer(self, site: SiteId, draw: Draw) -> Any:
        """The mean of the draw, if it has one."""
        self.paths.add(site.path)
        if draw.mean is None:
            self.without.append(site)
            return super().answer(site, draw)
        mean = draw.mean(*draw.tensors)
        if draw.kind in _RAW:
            self.raw.append(site)
        if site in self.moved and mean.is_floating_point():
            mean = mean + self.by * torch.finfo(mean.dtype).eps ** 0.5
        return draw.finished(mean)


def prove(probe: Probe, args: Any, kwargs: Any) -> tuple[str, str]:
    """The result of the forward with means: a proof, or a problem."""
    model = probe.model
    given, named = fresh(args, kwargs)
    with unchanged(model), torch.no_grad():  # it may draw in eval
        expected = model(*given, **named)
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    seen: list[str] = []

    @contextlib.contextmanager
    def around() -> Iterator[None]:
        with probe.around():
            yield
        seen.extend(n for n, b in model.named_buffers() if not is_same(b, before[n]))

    def in_eval(scope: _Means) -> Any:
        return PlanProbe(model, args, kwargs).run(scope, args, kwargs)

    def turned_on(scope: _Means) -> Any:
        return PlanProbe(model, args, kwargs, around=around).run(scope, args, kwargs)

    scope = _Means()
    found = turned_on(scope)
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
        means = _Means()
        expected = in_eval(means)
        if means.paths:
            difference = difference_of(expected, found)
            shown += ", where it draws in eval too"
        elif _has_fast_path(model):
            # Under a mode torch runs an encoder step by step, with other values for padding.
            difference = difference_of(expected, found)
            shown += " without the fast path of torch's encoder, which sets padding to zero"
    if difference is not None and difference[0] == 0.0:
        return f"{shown}, bit for bit.", ""
    if difference is not None and _is_rounding(difference):
        return f"{shown}, within {difference[0]:.2g}.", ""
    path = _first_that_differs(model, lambda: in_eval(_Means()), lambda: turned_on(_Means()))
    raw = [site for site in scope.raw if _is_within(site.path, path)]
    if raw:  # the output follows a small change of its draws, unless by leaps or not at all
        little, more = (difference_of(found, turned_on(_Means(raw, by))) for by in (0.25, 1.0))
        if not (little and more and 0.0 < little[0] < more[0] / 2):
            sites = ", ".join(map(str, raw))
            what = "a condition or an order follows its draw, whose mean shows nothing"
            return f"The effect of {sites} is unknown: {what}.", ""
    by = "has another form than" if difference is None else "differs from"
    much = "" if difference is None else f" by {difference[0]:.2g}"
    return "", (
        f"With the mean of each draw the output {by} eval's{much}: something other than dropout "
        f"depends on the training mode. {_advice(model, path, scope.paths)}"
    )


def _advice(model: torch.nn.Module, path: str, drawing: Collection[str]) -> str:
    """Where the outputs begin to differ, and what to do about it."""
    kind = type(tree_of(model).paths[path]).__name__
    where = f"The first module with another output is {path or '(the model itself)'} ({kind})"
    accept = "on_unreached='ignore' accepts it."
    if path in drawing:
        return f"{where}: exclude={path!r} leaves its dropout off, and {accept}"
    if path and any(_is_within(one, path) for one in drawing):
        return f"{where}: exclude={path + '.*'!r} leaves the dropout in it off, and {accept}"
    return f"{where}: {accept}"


def _is_within(path: str, outer: str) -> bool:
    return not outer or path == outer or path.startswith(f"{outer}.")


def _first_that_differs(
    model: torch.nn.Module, one: Callable[[], Any], other: Callable[[], Any]
) -> str:
    """The path of the first module whose output in one forward differs from that in the other.

    Where the forwards call other modules, the module around them.
    """
    outputs: deque[tuple[str, Any]] = deque()
    found: list[str] = []

    def note(path: str, output: Any) -> None:
        outputs.append((path, fresh((output,), {})[0][0]))

    def compare(path: str, output: Any) -> None:
        if found:
            return
        expected, value = outputs.popleft() if outputs else ("", None)
        if expected != path:
            names = zip(f"{expected}.".split("."), f"{path}.".split("."), strict=False)
            found.append(".".join(a for a, _ in takewhile(lambda pair: pair[0] == pair[1], names)))
        elif not _is_rounding(difference_of(value, output)):
            found.append(path)

    for run, each in ((one, note), (other, compare)):
        hooks = [
            module.register_forward_hook(functools.partial(_after, each, path))
            for path, module in tree_of(model).paths.items()
            if not isinstance(module, torch.jit.ScriptModule)
        ]
        try:
            run()
        finally:
            for hook in hooks:
                hook.remove()
    return found[0] if found else ""


def _after(
    each: Callable[[str, Any], None], path: str, module: torch.nn.Module, args: Any, output: Any
) -> None:
    each(path, output)


def _is_rounding(difference: tuple[float, float] | None) -> bool:
    return difference is not None and difference[0] <= difference[1]


def _has_fast_path(model: torch.nn.Module) -> bool:
    fast = (torch.nn.TransformerEncoder, torch.nn.TransformerEncoderLayer)
    return any(isinstance(module, fast) for module in model.modules())
