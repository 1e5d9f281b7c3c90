"""The trial that shows whether the rest of its batch changes what a sample gets."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from ..._core import _torch
from ...errors import SiteError, TorchDropoutError
from ...functional._part import Part
from ...functional._shards import is_spread
from ...random import Key
from ._out_of_memory import is_out_of_memory
from ._places import FAILURES, Probe, Recorder, Site, Sites, norms_still
from ._rows import Rows, in_rows, misfit, numbered, rows_of
from ._shared import batch_size, shared_leaves
from ._watch import Draw, SiteId, tree_of

# The samples of each forward: three of them, the same in another order, and two of them.
_WHOLE, *_OTHERS = (0, 1, 2), (1, 0, 2), (1, 2)
_KEYS = 64  # tried for a draw that is not alike for neighbours

THE_SAME = "One input in another batch, and in another order: the same."
_MOVED = (
    "Expected the rows of a sample at {site} ({kind}) to be the same in another batch, and in "
    "another order of it, got others: the model moves, picks or mixes samples before that draw. If "
    "it moves or picks them, pass a function that gives the sample of each row, "
    "batch_dims={{{name!r}: function}}; if that is so by design, pass independent=False."
)
_MIXED = (
    "Expected a sample to have the same result in another batch, and in another order of it, as "
    "its draws are the same, got another one {where}. If that is so by design, pass "
    "independent=False."
)


class _NotShown(Exception):  # noqa: N818 - no error: the trial ends
    """Why a forward cannot show anything."""


def tried(probe: Probe, sites: Sites, batch_dim: int) -> Sites:
    """The sites with what the trial shows; nothing runs if they have a problem already.

    Args:
        probe: Forwards of the model, whose sites these are.
        sites: The sites.
        batch_dim: The dimension of the samples in the arguments.
    """
    if not sites or any(site.problem for site in sites.values()):
        return sites
    if probe.missed or probe.own or probe.hidden:
        sites.shown = "Nothing shows whether one input in another batch is the same: see above."
        return sites
    try:
        if _torch.vmap_randomness():
            raise _NotShown("it is within torch.func.vmap, which hides the values")
        with norms_still(probe.model):
            problems = _Trial(probe, sites, batch_dim).run()
    except _NotShown as reason:
        sites.shown = f"Nothing shows whether one input in another batch is the same: {reason}."
        return sites
    found = {id: site._replace(problem=problems.of_sites.get(id, "")) for id, site in sites.items()}
    result = Sites(found, sites.hidden, sites.unseen)
    result.single = sites.single
    result.mixing = problems.mixing
    result.shown = problems.mixing or ("" if problems.of_sites else THE_SAME)
    return result


class _Problems(NamedTuple):
    of_sites: Mapping[SiteId, str]
    mixing: str


class _Seen(Recorder):
    """A scope in which samples have given numbers, which records the rows of each draw by sample.

    Args:
        trial: The trial.
        numbers: The number of each sample of the forward.
    """

    def __init__(self, trial: _Trial, numbers: Sequence[int]) -> None:
        super().__init__(trial.probe.forced, key_of=trial.probe.key_of, given=trial.probe.given)
        self.trial = trial
        self.numbers = numbers
        self.rows: dict[SiteId, dict[int, list[torch.Tensor]]] = {}
        self.counts: dict[Any, Any] = {}
        self.kinds: dict[SiteId, str] = {}
        self.modules: list[tuple[str, torch.Tensor]] = []

    def answer(self, site: SiteId, draw: Draw) -> Any:
        """Compute a draw for the samples of these numbers."""
        number, site = site.number, self.given.merged(site)
        found = self.trial.sites.get(site)
        if any(is_spread(t) for t in draw.tensors if isinstance(t, torch.Tensor)):
            raise _NotShown(f"{site} draws for a tensor that processes share")
        if found is None or not found.is_of(draw) or found.place.batch is None:
            return self._shared(site, found, draw)
        problem = misfit(draw, found, len(self.numbers))
        if problem:
            self.trial.problems.setdefault(site, problem)
            raise _Ends
        given = self.given.rows_of(site)
        rows = rows_of(draw, found, len(self.numbers), given, number, self.counts)
        self.kinds[site] = draw.kind
        # A tensor that is filled holds nothing yet.
        if draw.tensors and draw.finish is None and (draw.aligned or found.rows is not None):
            self._note(site, draw, rows)
        where = numbered(rows, found, self.numbers)
        return draw.finished(self.trial.drawn(found, draw, rows, where, self.key_of(site)))

    def _shared(self, site: SiteId, found: Site | None, draw: Draw) -> Any:
        """A draw that all samples share, whose size must not depend on them."""
        shapes: list[tuple[int, ...]] = []
        first, in_order = self.numbers[0], [*range(self.numbers[0], self.numbers[-1] + 1)]
        start = first if [*self.numbers] == in_order else -1
        layout = Part(None, start, seen=shapes.append)
        y = draw.compute(*draw.tensors, key=self.key_of(site), layout=layout)
        if found is not None and shapes and shapes[0] != found.shape:
            problem = f"its shape depends on the samples: it is {shapes[0]} or {found.shape}"
        elif shapes and 0 in shapes[0]:
            problem = "it draws nothing for the first samples, so nothing shows where samples lie"
        else:
            return draw.finished(y)
        self.trial.problems.setdefault(site, problem)
        raise _Ends

    def _note(self, site: SiteId, draw: Draw, rows: Rows) -> None:
        """Keep the rows of each sample, in the order that they have in it."""
        lead, dim = draw.tensors[0], rows.dim
        for t in draw.tensors:
            if not isinstance(t, torch.Tensor) or t.ndim != lead.ndim:
                continue
            if dim >= 0 and t.shape[dim] != lead.shape[dim]:
                continue
            for sample in dict.fromkeys(sample for sample, _ in rows.places):
                own = sorted((at, n) for n, (s, at) in enumerate(rows.places) if s == sample)
                places = torch.tensor([n for _, n in own], device=t.device)
                part = t.detach().clone() if dim < 0 else t.detach().index_select(dim, places)
                held = self.rows.setdefault(site, {}).setdefault(self.numbers[sample], [])
                held.append(part)


class _Ends(Exception):  # noqa: N818 - no error: the trial ends
    """A problem was found in the midst of a forward."""


class _Trial:
    """The forwards of a trial, all with the same draws for a sample."""

    def __init__(self, probe: Probe, sites: Sites, batch_dim: int) -> None:
        self.probe, self.sites, self.dim = probe, sites, batch_dim
        self.problems: dict[SiteId, str] = {}
        self._keys: dict[SiteId, tuple[Key, dict[str, Any]]] = {}
        args, kwargs = probe.arguments
        if any(map(is_spread, _torch.tree.tree_leaves((args, kwargs)))):
            raise _NotShown("processes share its arguments")
        skipped = shared_leaves(probe.model, args, kwargs, probe.shared or ())
        self.size = batch_size(args, kwargs, batch_dim, skipped) or 0
        self.places, self.variants = self._choice()

    def _choice(self) -> tuple[list[int], list[int]]:
        """Three samples that differ, changed where the batch has less."""
        places = [0]
        for n in range(1, min(self.size, 16)):
            if len(places) < len(_WHOLE) and all(self._differ(n, other) for other in places):
                places.append(n)
        missing = len(_WHOLE) - len(places)
        return [*places, *[0] * missing], [*[0] * len(places), *range(1, missing + 1)]

    def _differ(self, one: int, other: int) -> bool:
        return self.probe.differ({self.dim: (self.size, [one])}, {self.dim: (self.size, [other])})

    def run(self) -> _Problems:
        """Compare the forwards."""
        try:
            whole, y = self._forward(_WHOLE)
            outputs: dict[tuple[int, ...], Any] = {_WHOLE: y}
            shown = False
            for order in _OTHERS:
                try:
                    other, outputs[order] = self._forward(order)
                except SiteError:  # such draws take samples in order only
                    continue
                shown = True
                site = _first_moved(whole, other)
                if site is not None:
                    several = sum(other.path == site.path for other in self.sites) > 1
                    name = f"{site.path}#{site.number}" if several else site.path
                    kind = whole.kinds[site]
                    return _Problems({}, _MOVED.format(site=site, kind=kind, name=name))
        except _Ends:
            return _Problems(self.problems, "")
        if not shown:
            raise _NotShown("its draws take samples in order only")
        for order in _OTHERS:
            if order in outputs and self._differ_by_sample(order, outputs):
                return _Problems({}, _MIXED.format(where=self._where(order)))
        return _Problems({}, "")

    def _forward(self, order: Sequence[int], noting: bool = False) -> tuple[_Seen, Any]:
        """A forward with some of the samples, each with its own number."""
        places = [self.places[n] for n in order]
        variants = [self.variants[n] for n in order]
        scope = _Seen(self, order)
        try:
            args, kwargs = self.probe.samples(self.size, places, variants if any(variants) else ())
            with self._modules(scope) if noting else contextlib.nullcontext():
                return scope, self.probe.run(scope, args, kwargs)
        except (_NotShown, _Ends, TorchDropoutError):
            raise
        except FAILURES as error:
            if is_out_of_memory(error):
                raise
            why = f"the forward fails with other samples ({type(error).__name__}: {error})"
            raise _NotShown(why) from error

    def drawn(
        self,
        site: Site,
        draw: Draw,
        rows: Rows,
        where: Sequence[int],
        key: Key,
    ) -> torch.Tensor:
        """A draw with a key for which neighbours differ: equal masks would show nothing."""
        part, dim = Part(site.place.batch, 0), rows.dim
        if site.id in self._keys or draw.kind != "bernoulli" or dim < 0:
            key, options = self._keys.setdefault(site.id, (key, {}))
            return in_rows(draw, dim, where, key, part, **options)
        options = {}
        for n in range(_KEYS):
            own = key.fold_in(n)
            y = in_rows(draw, dim, where, own, part, **options)
            of_samples = [
                y.index_select(dim, torch.tensor(at, device=y.device))
                for at in ([n for n, (s, _) in enumerate(rows.places) if s == k] for k in range(3))
            ]
            if not any(map(torch.equal, of_samples, of_samples[1:])):
                break
            if n == _KEYS // 2:
                options = {"rate": 0.5}
        self._keys[site.id] = own, options
        return y

    # --- Comparison ------------------------------------------------------------------------------

    def _differ_by_sample(self, order: Sequence[int], outputs: Mapping[Any, Any]) -> bool:
        tensors = [_tensors(outputs[o]) for o in (_WHOLE, order, _OTHERS[-1]) if o in outputs]
        if len({*map(len, tensors)}) > 1:
            return False  # it returns something else for another batch
        return any(self._differs(order, *of_one) for of_one in zip(*tensors, strict=True))

    def _differs(self, order: Sequence[int], one: Any, two: Any, few: Any = None) -> bool:
        """Whether the rows of a sample differ between two results that have a row for each."""
        dim = _dim_of_samples(self.dim, one, two, order)
        if dim is None or (few is not None and _dim_of_samples(dim, one, few, (1, 2)) != dim):
            return False
        at = torch.tensor(order, device=one.device)
        return not is_close(one.index_select(dim, at), two)

    def _where(self, order: Sequence[int]) -> str:
        """The module after which the values of two forwards first differ."""
        whole, other = (self._forward(o, noting=True)[0].modules for o in (_WHOLE, order))
        for (path, one), (other_path, two) in zip(whole, other, strict=False):
            if path == other_path and self._differs(order, one, two):
                kind = type(tree_of(self.probe.model, self.probe.prefix).paths[path]).__name__
                return f"after the module {path!r} ({kind})" if path else "in code of the model"
        return "in code of the model"

    @contextlib.contextmanager
    def _modules(self, scope: _Seen) -> Iterator[None]:
        """Note the results of the modules."""

        def noted(path: str) -> Any:
            def note(module: torch.nn.Module, args: Any, output: Any) -> None:
                scope.modules.extend((path, t.detach().clone()) for t in _tensors(output))

            return note

        modules = tree_of(self.probe.model, self.probe.prefix).paths.items()
        hooks = [
            module.register_forward_hook(noted(path))
            for path, module in modules
            if not isinstance(module, torch.jit.ScriptModule)
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def _first_moved(whole: _Seen, other: _Seen) -> SiteId | None:
    """The first site at which a sample's rows hold other numbers, in the same shape."""
    for site, samples in other.rows.items():
        for sample, tensors in samples.items():
            expected = whole.rows.get(site, {}).get(sample, [])
            for one, two in zip(expected, tensors, strict=False):
                if one.shape == two.shape and not is_close(one, two):
                    return site
    return None


def _tensors(output: Any) -> list[torch.Tensor]:
    """The tensors of a result whose numbers are compared."""
    leaves = _torch.tree.tree_leaves(output)
    return [t for t in leaves if isinstance(t, torch.Tensor) and not is_spread(t)]


def _dim_of_samples(dim: int, one: Any, other: Any, order: Sequence[int]) -> int | None:
    """The dimension along which a result has a row for each sample; the others must be equal."""
    if one.ndim != other.ndim or not (one.is_floating_point() or one.is_complex()):
        return None
    for d in dict.fromkeys((dim, 0)):
        if not -one.ndim <= d < one.ndim:
            continue
        shape, expected = list(other.shape), list(one.shape)
        if expected[d] == len(_WHOLE) and shape[d] == len(order):
            expected[d] = shape[d]
            if shape == expected:
                return d % int(one.ndim)
    return None


def is_close(one: torch.Tensor, two: torch.Tensor) -> bool:
    """Whether numbers are equal up to the rounding of a model.

    A product adds in another order for another number of rows, and each layer passes its rounding
    on. So half of the digits must agree, of the largest number: a sample that gets the mask of
    another, or is scaled by the others, differs in the first ones.
    """
    if torch.equal(one, two):
        return True
    if not one.is_floating_point() and not one.is_complex():
        return False
    eps = torch.finfo(one.dtype).eps
    if one.device.type != "cpu" or torch.is_autocast_enabled(one.device.type):
        eps = max(eps, torch.finfo(torch.bfloat16).eps / 8)  # of products with fewer digits
    size = float(one.abs().nan_to_num(posinf=0.0).max())
    return torch.allclose(one, two, rtol=0.0, atol=eps**0.5 * size, equal_nan=True)


Probe.tried = tried
