"""The passes of Monte-Carlo dropout: the scope in which a model in eval draws."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from ..._core import _torch, ops
from ..._core.contract.keep import scale
from ..._core.contract.seed import as_int64
from ...errors import SiteError
from ...functional._part import Part
from ...random import Key
from ..scope import Place, SiteId, keyed
from ..scope.interface import (
    Draw,
    batch_size,
    fitted,
    injected,
    is_packed,
    misfit,
    shared_leaves,
    size_of,
    unfolded,
    unwrapped,
)
from ._batch import Batch
from ._layout import Layout
from ._plan import Plan, check_mode, training

if TYPE_CHECKING:
    from typing_extensions import Self


class CannotBatchError(SiteError):
    """Several passes cannot be computed in one forward, or not after some draw."""

    def __init__(self, why: str) -> None:
        super().__init__(f"Expected `strategy` to be 'auto' or 'loop' for this model, as {why}.")


class Expansion(NamedTuple):
    """A module whose first call in a forward makes the passes from the inputs in its arguments.

    Attributes:
        path: Its path.
        leaves: Which of the arguments hold the inputs, as a small trial has shown: a size
            alone does not show it. None until then.
    """

    path: str
    leaves: frozenset[int] | None = None


class Passes(keyed):
    """A scope in which the model's forward computes some passes, each with its own key.

    Pass t of input i has the draws of step t and sample i of `keyed`.

    Args:
        model: The model, in eval.
        plan: What draws, or a function that finds it with the arguments of the first forward.
        key: The key of all passes.
        first: The first pass of the first forward.
        count: How many passes a forward has; each further forward has the next ones. Another
            number may be set between two forwards.
        index: Which input of the data set the first one is.
        alike: Whether all inputs have the masks of the first.
        expand: Whether the model is called with the inputs once, and the first draw makes `count`
            of each; otherwise it is called with `count` repetitions of the batch.
        expansion: The module that makes them instead of the first draw.
        layout: Where the inputs and their positions lie.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        plan: Plan | Callable[[Any, Any], Plan],
        key: Key,
        *,
        first: int = 0,
        count: int = 1,
        index: int,
        alike: bool = False,
        expand: bool = False,
        expansion: Expansion | None = None,
        layout: Layout = Layout(),  # noqa: B008 - it does not change
    ) -> None:
        super().__init__(
            model,
            seed=key,
            batch_dim=layout.batch_dim,
            shared=layout.shared,
            sequence=None if layout.length is None else (0, layout.length),
            sequence_dim=layout.sequence_dim,
            independent=layout.independent,
            on_unreached="ignore",
        )
        self.forced = True
        self._of_all = key
        self._pass = first
        self.count = count
        self._index = index
        self._alike = alike
        self.expand = expand
        self.expanded = not expand
        self.drew = False
        self.expansion = expansion
        self._inlet_hook: Any = None
        self._size = 0
        self._find = plan
        self._plan: Plan | None = None if callable(plan) else plan
        self._modules: list[torch.nn.Module] | None = None
        self._flags = contextlib.ExitStack()
        self._steps: list[Key] = []
        self._arguments: Any = None
        # Around attention, which is computed differently if operators are observed.
        self.unobserved: Callable[[], contextlib.AbstractContextManager[None]]
        self.unobserved = contextlib.nullcontext

    def before(self, args: Any, kwargs: Any) -> None:
        """The forward of the next passes begins."""
        self._flags.close()  # after a forward that Ctrl-C ended
        check_mode(self.model, self._watcher.tree.modules)
        skipped = shared_leaves(unwrapped(self.model), args, kwargs, self.shared or ())
        self._size = batch_size(args, kwargs, self.batch_dim, skipped) or 0
        _torch.in_python(self._note_sizes)(args, kwargs, skipped)
        plan = self._plan
        if callable(self._find) and (plan is None or (plan.found.single and self._size > 1)):
            self._plan = self._planned(self._find, args, kwargs)
            self._modules = None
            if plan is not None:
                plan.found.check_places(self._plan.found)
        assert self._plan is not None
        if self._modules is None:
            self._modules = self._switched(self._plan)
        _torch.in_python(self._turn_on)()  # a graph cannot hold the exit from training mode
        watcher = self._watcher
        watcher.start, watcher.rows, watcher.numbers = self._index, self._size, None
        self._steps = [self._of_all.fold_in(self._pass + t) for t in range(self.count)]
        self.expanded = not self.expand
        self.drew = not self._plan.rates
        if callable(self._find):  # the user's arguments, not copies
            self._arguments = (args, kwargs)

    def _note_sizes(self, args: Any, kwargs: Any, skipped: Collection[int]) -> None:
        """Note the shape of an input, up to the second one."""
        dim, sizes = self.batch_dim, self._watcher.sizes
        for n, leaf in enumerate(_torch.tree.tree_leaves((args, kwargs), is_leaf=is_packed)):
            if n not in skipped and size_of(leaf, dim) is not None:
                shape = leaf.shape if isinstance(leaf, torch.Tensor) else None
                if len(sizes) < 2:
                    sizes.add(shape and (*shape[:dim], *shape[dim + 1 :]))
                return

    def _turn_on(self) -> None:
        assert self._modules is not None
        self._flags.enter_context(training(self._modules))

    def _planned(self, find: Callable[[Any, Any], Plan], args: Any, kwargs: Any) -> Plan:
        self._watcher.remove()
        try:
            found: Plan = _torch.in_python(find)(args, kwargs)
        finally:
            self._watcher.install(self.model, self.prefix)
        return found

    def _is_given(self, x: torch.Tensor) -> bool:
        """Whether a tensor shares memory with an argument of the forward."""
        given = _torch.tree.tree_leaves(self._arguments)
        return any(
            _torch.storage_id(leaf) == _torch.storage_id(x)
            for leaf in given
            if isinstance(leaf, torch.Tensor)
        )

    def _switched(self, plan: Plan) -> list[torch.nn.Module]:
        """The modules that are put in training."""
        modules = self._watcher.tree.paths
        on = {site.path for site in plan.sites if site.selected}
        return [
            modules[path] for path in plan.flags if path in on or injected(modules[path]) is None
        ]

    def after(self) -> None:
        """The forward has ended: one that failed is tried again with the same passes."""
        self._flags.close()
        self._arguments = None
        if self._watcher.completed:
            self._pass += self.count

    def __enter__(self) -> Self:
        super().__enter__()
        found = self._watcher.tree.paths
        if self.expansion is not None and self.expansion.path in found:
            module = found[self.expansion.path]
            self._inlet_hook = module.register_forward_pre_hook(self._let_in, with_kwargs=True)
        return self

    def _leave(self) -> None:
        if self._inlet_hook is not None:
            self._inlet_hook.remove()
        self._flags.close()
        super()._leave()

    def _let_in(self, module: torch.nn.Module, args: Any, kwargs: Any) -> Any:
        """Make the passes of a module's arguments, of those that have the inputs and no passes."""
        assert self.expansion is not None
        given = Batch(args, kwargs, self.batch_dim, self._size, self.expansion.leaves)
        if given.only is None:
            self.expansion = self.expansion._replace(leaves=given.having())
        self.expanded = True
        repeated = given.repeated(self.count)
        return repeated.args, repeated.kwargs

    def answer(self, site: SiteId, draw: Draw) -> Any:
        """Compute a draw for each pass, or leave it as it is in eval."""
        plan = self._plan
        if plan is None:
            raise SiteError(
                f"Expected a forward of the model, got one of its part {site.path} alone: call the "
                "model, or activate that part."
            )
        number, site = site.number, plan.found.of(site)
        found = plan.found.get(site)
        if found is None and not self.independent:
            problem = "it draws in some forwards and not in others"
            return self._of_batch(site, draw, problem, {})
        if found is None or not found.is_of(draw):
            raise SiteError(
                f"Expected the draws that the model had when it was planned, got {site} "
                f"({draw.kind}). Make a plan with inputs for which it draws there."
            )
        if site not in plan.rates and draw.mean is not None:
            return draw.finished(draw.mean(*draw.tensors))
        self.drew = True
        self._check_vmap(site, draw)
        rate = plan.rates.get(site)
        options: dict[str, Any] = {} if rate is None else {"rate": rate}
        if self.count == 1 and draw.inplace and self._is_given(draw.tensors[0]):
            options["fresh"] = True  # the next pass has the same input
        apart = self.expanded
        rows = self._size * (self.count if self.expand and apart else 1)
        varies = len(self._watcher.sizes) > 1
        if varies:
            found = fitted(draw, found, rows)
        problem = found.problem or misfit(draw, found, rows)
        if problem and not found.problem and self.count > 1:
            raise CannotBatchError(f"{site} ({draw.kind}) has the rows of one pass only")
        if problem:
            return self._of_batch(site, draw, problem, options)
        if varies and self.sequence is None:
            self._check_padding(found, draw)
        batch, positions = found.place.batch, found.place.sequence
        if self._alike and batch is not None and (batch.times != 1 or found.rows is not None):
            raise SiteError(
                f"Expected draws with a dimension of inputs alone for masks='shared', got {site} "
                f"({draw.kind}), where several rows belong to an input."
            )
        in_rows = bool(positions) and batch is not None and positions[0].dim == batch.dim
        if found.rows is not None or in_rows:
            if self.count > 1:
                raise CannotBatchError(f"the rows of {site} ({draw.kind}) are found one by one")
            compute = functools.partial(draw.compute, **options)
            return self._of_rows(site, found, draw._replace(compute=compute), number)
        place = found.place
        if batch is not None and batch.alternating:
            if self.count > 1:
                raise CannotBatchError(f"the inputs alternate in {site} ({draw.kind})")
            draw, place = unfolded(draw, place)
            batch = place.batch
        part = self._part(place)
        if self.count == 1:
            with contextlib.nullcontext() if draw.passes is None else self.unobserved():
                y = draw.compute(*draw.tensors, key=self.key_of(site), layout=part, **options)
            return draw.finished(y)
        if batch is None or not draw.aligned:
            raise CannotBatchError(f"{site} ({draw.kind}) has no dimension of inputs")
        if not apart and draw.finish is not None:
            raise CannotBatchError(f"{site} ({draw.kind}) writes into its input")
        stream = site.stream()
        keys = torch.tensor(
            [[as_int64(step.seed), step.stream ^ stream] for step in self._steps],
            dtype=torch.int64,
            device="cpu",
        )
        self.expanded = True
        return draw.finished(self._of_passes(draw, batch.dim, keys, part, rate, apart))

    def _part(self, place: Place) -> Part:
        sequence = (*place.sequence, *place.others)
        return Part(place.batch, self._index, sequence, 0, self._length(), alike=self._alike)

    def key_of(self, site: SiteId) -> Key:
        """The key of a site in the only pass of a forward."""
        (step,) = self._steps
        return Key(step.seed, step.stream ^ site.stream())

    def _of_batch(self, site: SiteId, draw: Draw, problem: str, options: dict[str, Any]) -> Any:
        """A draw that does not belong to one input: an error, or that of the batch."""
        self._depends(
            f"Expected draws that belong to one input each, got {site} ({draw.kind}): {problem}."
        )
        if self.count > 1:
            raise CannotBatchError(f"{site} ({draw.kind}) does not belong to one input")
        key = self.key_of(site)
        key = key.fold_in(self._index) if self._index else key
        layout = Part(None, 0)
        return draw.finished(draw.compute(*draw.tensors, key=key, layout=layout, **options))

    def _of_passes(
        self,
        draw: Draw,
        dim: int,
        keys: torch.Tensor,
        part: Part,
        rate: float | None,
        expanded: bool,
    ) -> torch.Tensor:
        """A draw for each pass, of tensors that have the passes already or have none."""
        p = draw.p if rate is None else rate
        lead = draw.tensors[0]
        if (draw.plain or draw.kind == "bernoulli") and type(p) is float:
            # One call of the operator serves all passes, since it takes a key for each.
            x, factor = self._apart(lead, dim, expanded).movedim(dim, 0), scale(p)
            if not draw.plain:
                x, factor = torch.ones(x.shape, dtype=torch.bfloat16, device=x.device), 1.0
            base, strides = part.indices(x.shape[1:], ())
            y = ops.masked_affine(x, keys, p, factor, 0.0, 0.0, base, strides)
            return y.to(lead.dtype).movedim(0, dim).flatten(dim, dim + 1)
        options: dict[str, Any] = {} if rate is None else {"rate": rate}
        if draw.inplace and not expanded:
            options["fresh"] = True

        def follows(t: torch.Tensor) -> bool:
            return bool(t.ndim == lead.ndim and t.shape[dim] == lead.shape[dim])

        given = {i: t for i, t in enumerate(draw.tensors) if isinstance(t, torch.Tensor)}
        along = {i: dim if expanded and follows(t) else None for i, t in given.items()}
        if draw.passes is not None and expanded:
            tensors = list(draw.tensors)
            for i, t in given.items():
                tensors[i] = (
                    t[None] if along[i] is None else self._apart(t, dim, expanded).movedim(dim, 0)
                )
            done: torch.Tensor | None
            with self.unobserved():
                done = draw.passes(*tensors, keys=keys, layout=part, **options)
            if done is not None:
                return done.movedim(0, dim).flatten(dim, dim + 1)

        def one(key: torch.Tensor, *found: torch.Tensor) -> torch.Tensor:
            tensors = list(draw.tensors)
            for i, t in zip(given, found, strict=True):
                tensors[i] = t
            seed, stream = key.unbind()
            y: torch.Tensor = draw.compute(*tensors, key=Key(seed, stream), layout=part, **options)
            return y

        apart = (t if along[i] is None else self._apart(t, dim, expanded) for i, t in given.items())
        found: torch.Tensor = torch.vmap(one, (0, *along.values()), dim)(keys, *apart)
        return found.flatten(dim, dim + 1)

    def _apart(self, x: torch.Tensor, dim: int, expanded: bool) -> torch.Tensor:
        """A tensor with the passes as a dimension before that of the inputs."""
        if expanded:
            apart: torch.Tensor = x.unflatten(dim, (self.count, -1))
            return apart
        return x.unsqueeze(dim).expand(*x.shape[:dim], self.count, *x.shape[dim:])
