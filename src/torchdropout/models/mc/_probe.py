"""Forwards of a model in eval that leave nothing behind, and whether two outputs are equal."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Set
from typing import Any

import torch

from ..._core import _torch
from ...random import Key
from ..scope import SiteId, Sites
from ..scope.interface import (
    Draw,
    Leaf,
    Probe,
    Recorder,
    Taken,
    having,
    is_out_of_memory,
    is_packed,
    leaves_of,
    shared_leaves,
    without_one,
)

_FIXED = (str, bytes, bool, int, float, complex, torch.nn.Module, torch.dtype, torch.device, tuple)


def fresh(args: Any, kwargs: Any) -> Any:
    """The arguments of one forward, which may write into them or fill a cache among them."""
    copies: dict[int, Any] = {}  # a tensor that is passed twice stays one tensor

    def of(leaf: Any) -> Any:
        if leaf is None or isinstance(leaf, _FIXED) or callable(leaf):
            return leaf
        if id(leaf) not in copies:
            try:
                is_tensor = isinstance(leaf, torch.Tensor)
                copies[id(leaf)] = leaf.clone() if is_tensor else copy.deepcopy(leaf)
            except Exception:  # it holds something without a copy, such as a lock
                copies[id(leaf)] = leaf
        return copies[id(leaf)]

    def each(value: Any) -> Any:
        if isinstance(value, torch.Tensor):  # most are: a tree takes ten times as long
            return of(value)
        return _torch.tree.tree_map(of, value, is_leaf=is_packed)

    return tuple(map(each, args)), {name: each(value) for name, value in kwargs.items()}


_TRIES = 16  # enough to see a layer that is skipped half of the time


class PlanProbe(Probe):
    """Forwards that leave nothing behind in their arguments either.

    A draw may decide that a layer is skipped, so one forward may not show all draws.
    """

    output: Any = None
    only: Set[SiteId] | None = None  # the sites that draw; None for all

    def all_draws(self, paths: Set[str]) -> dict[SiteId, Any]:
        """The draws of a forward, and of others with other keys until each of these paths draws."""
        found: dict[SiteId, Any] = {}
        order: list[SiteId] = []
        for step in range(_TRIES):
            at = 0
            for site, draw in self._with_keys_of(step).draws().items():
                if site not in found:
                    found[site] = draw
                    order.insert(at, site)
                at = order.index(site) + 1
            if paths <= {site.path for site in found}:
                break
        return {site: found[site] for site in order}

    def all_sites(self, batch_dim: int, wanted: Set[SiteId], positions: int | None = None) -> Sites:
        """The sites, from forwards until these are among them."""
        sites = self._with_keys_of(0).sites(batch_dim, positions)
        for step in range(1, _TRIES):
            if wanted <= sites.keys():
                break
            sites = sites.joined(self._with_keys_of(step).sites(batch_dim, positions))
        return sites

    def alone(self, dim: int, size: int) -> tuple[str | int, frozenset[Leaf], list[str | int]]:
        """The argument that says how many inputs there are, and the leaves without a row for each.

        Also the arguments for which nothing shows this although it matters: with one more row, of
        other numbers, the forward succeeds, and draws or returns something else.
        """
        args, kwargs = self.arguments
        names = leaves_of(self.model, args, kwargs)
        shared = shared_leaves(self.model, args, kwargs, self.shared or ())
        self._batch_dim, self.apart = dim, dict.fromkeys(shared)
        of_size = having(self, dim, size)
        first, *others = of_size
        open_questions: list[str | int] = []
        if self.shared is None and others:
            try:
                self.pair(dim, size)
            except Exception as error:
                if is_out_of_memory(error):
                    raise
                found = without_one(self, others, dim, size)
                of_size = [n for n in of_size if found is None or n not in found[0]]
            else:
                open_questions = [names[n][0] for n in others if self._depends_on(n, dim, size)]
        alone = frozenset({*names} - {names[n] for n in of_size})
        return names[first][0], alone, open_questions

    def few(self, alone: Set[Leaf], dim: int, size: int, most: int) -> Any:
        """The arguments of the first inputs."""
        names = leaves_of(self.model, *self.arguments)
        self.apart = {n: None for n, name in enumerate(names) if name in alone}
        return self._part({dim: (size, range(most))})

    def _depends_on(self, place: int, dim: int, size: int) -> bool:
        """Whether a forward with two inputs depends on a third row of one leaf."""

        def shown() -> Any:
            draws = self.draws({dim: (size, [0, 0])})
            return {site: shape for site, (_, shape) in draws.items()}, self.output

        draws, expected = shown()
        self.apart = {place: [0, 0, 0]}
        self._alters = lambda number, _: number == place
        try:
            more, found = shown()
        except Exception as error:
            if is_out_of_memory(error):
                raise
            return False
        finally:
            self.apart, self._alters = {}, None
        return draws != more or difference_of(expected, found) != (0.0, 0.0)

    def draws_more(self) -> bool:
        """Whether something draws that cannot be given a key."""
        return bool(self.missed or self.own or self.hidden)

    def _with_keys_of(self, step: int) -> Probe:
        self.key_of = lambda site: Key(step, site.stream())
        return self

    def _part(self, taken: Taken) -> Any:
        return super()._part(taken) if taken else self.arguments  # packed sequences too

    def run(self, scope: Recorder, args: Any, kwargs: Any) -> Any:
        """The output of a forward in a scope."""
        args, kwargs = fresh(args, kwargs)
        if self.only is not None:
            scope.answer = functools.partial(self._answer, scope.answer)  # type: ignore[method-assign]
        try:
            self.output = super().run(scope, args, kwargs)
        finally:
            vars(scope).pop("answer", None)  # a circle, which would keep the arguments alive
        return self.output

    def _answer(self, answer: Callable[[SiteId, Draw], Any], site: SiteId, draw: Draw) -> Any:
        """The draw, or what eval has in its place."""
        if self.only is None or self.given.merged(site) in self.only or draw.mean is None:
            return answer(site, draw)
        return draw.finished(draw.mean(*draw.tensors))


def flat(output: Any, depth: int = 4) -> tuple[list[Any], list[Any]]:
    """The leaves of an output, including those of dataclasses and other objects, and its form."""
    leaves, form = _torch.tree.tree_flatten(output)
    found, forms = [], [form]
    for leaf in leaves:
        opaque = isinstance(leaf, (torch.Tensor, torch.nn.Module, type)) or callable(leaf)
        inside = {} if opaque or not depth else getattr(leaf, "__dict__", {})
        if inside:
            more, form = flat(dict(inside), depth - 1)
            found += more
            forms += [type(leaf), *form]
        else:
            found.append(leaf)
    return found, forms


def difference_of(expected: Any, found: Any) -> tuple[float, float] | None:
    """The largest difference, and the part that rounding may cause; None for another form."""
    a, form = flat(expected)
    b, other = flat(found)
    if form != other:
        return None
    largest = allowed = 0.0
    for x, y in zip(a, b, strict=True):
        are_tensors = [isinstance(t, torch.Tensor) for t in (x, y)]
        if not any(are_tensors):
            continue
        if not all(are_tensors) or x.shape != y.shape or x.dtype != y.dtype:
            return None
        if not x.dtype.is_floating_point:
            largest = max(largest, float((~_where_same(x, y)).sum()))
            continue
        if is_same(x, y):
            continue
        apart = torch.where(_where_same(x, y), 0, x - y)
        largest = max(largest, float(apart.abs().nan_to_num(nan=torch.inf).max()))
        size = max(1.0, float(x.abs().nan_to_num(posinf=0.0).max()))
        allowed = max(allowed, 64 * torch.finfo(x.dtype).eps * size)
    return largest, allowed


def _where_same(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Where two tensors have equal numbers, or both have NaN."""
    return (x == y) | ((x != x) & (y != y))


def is_same(x: torch.Tensor, y: torch.Tensor) -> bool:
    return x.shape == y.shape and bool(_where_same(x, y).all())
