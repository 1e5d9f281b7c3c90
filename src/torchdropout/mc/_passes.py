"""The passes of Monte-Carlo dropout: the scope in which a model in eval draws."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import torch

from .. import ops
from ..contract.keep import scale
from ..contract.layout import row_major
from ..contract.seed import as_int64
from ..errors import SiteError
from ..functional._part import Part
from ..random import Key
from ..scope import SiteId, keyed
from ..scope._handlers import injected
from ..scope._watch import Draw, paths_of, unwrapped
from ._plan import Plan, check_mode, training


class CannotBatchError(SiteError):
    """Several passes cannot be computed in one forward, or not from some draw on."""

    def __init__(self, why: str) -> None:
        super().__init__(f"Expected `strategy` to be 'auto' or 'loop' for this model, as {why}.")


class Passes(keyed):
    """A scope in which the model's forward computes some passes, each by its own key.

    Pass t of the input i has the draws of step t and sample i of `keyed`.

    Args:
        model: The model, in eval.
        plan: What draws, or a function that finds it with the arguments of the first forward.
        key: Of all passes.
        first: The first pass of the first forward.
        count: How many passes a forward has; each further forward has the next ones.
        index: Which input of the data set the first one is.
        alike: Whether all inputs have the masks of the first.
        expand: Whether the model is called with the inputs once, and the first draw makes `count`
            of each; otherwise it is called with `count` repetitions of the batch.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        plan: Plan | Callable[[Any, Any], Plan],
        key: Key,
        *,
        first: int = 0,
        count: int = 1,
        index: int = 0,
        alike: bool = False,
        expand: bool = False,
    ) -> None:
        super().__init__(model, seed=key, on_unreached="ignore")
        self.forced = True
        self._of_all = key
        self._pass = first
        self._count = count
        self._index = index
        self._alike = alike
        self._expand = expand
        self._expanded = not expand
        self._find = plan
        self._plan: Plan | None = None if callable(plan) else plan
        self._modules: list[torch.nn.Module] | None = None
        self._flags = contextlib.ExitStack()
        self._steps: list[Key] = []

    def before(self, args: Any, kwargs: Any) -> None:
        """The forward of the next passes begins."""
        self._flags.close()  # after one that ended by Ctrl-C
        check_mode(self.model)
        if self._plan is None:
            assert callable(self._find)
            self._watcher.remove()
            try:
                self._plan = self._find(args, kwargs)
            finally:
                self._watcher.install(self.model, self.prefix)
        if self._modules is None:
            self._modules = self._switched(self._plan)
        self._flags.enter_context(training(self._modules))
        self._watcher.start = self._index
        self._steps = [self._of_all.fold_in(self._pass + t) for t in range(self._count)]
        self._expanded = not self._expand

    def _switched(self, plan: Plan) -> list[torch.nn.Module]:
        """The modules that are put in training."""
        modules = paths_of(unwrapped(self.model))
        on = {site.path for site in plan.sites if site.selected}
        return [
            modules[path] for path in plan.flags if path in on or injected(modules[path]) is None
        ]

    def after(self) -> None:
        """It has ended."""
        self._flags.close()
        self._pass += self._count

    def _leave(self) -> None:
        self._flags.close()
        super()._leave()

    def answer(self, site: SiteId, draw: Draw) -> Any:
        """Compute a draw for each pass, or leave it as it is in eval."""
        plan = self._plan
        found = None if plan is None else plan.found.get(site)
        if plan is None or found is None:
            raise SiteError(
                f"Expected the draws that the model had when it was planned, got {site} "
                f"({draw.kind}). Make a plan with inputs for which it draws there."
            )
        if site not in plan.rates and draw.mean is not None:
            return draw.finished(draw.mean(*draw.tensors))
        if found.problem:
            raise SiteError(
                f"Expected draws that belong to one input each, got {site} ({draw.kind}): "
                f"{found.problem}."
            )
        batch = found.place.batch
        if self._alike and batch is not None and batch.times != 1:
            raise SiteError(
                f"Expected draws with a dimension of inputs alone for masks='shared', got {site} "
                f"({draw.kind}), where {batch.times} rows belong to an input."
            )
        part = Part(batch, self._index, alike=self._alike)
        rate = plan.rates.get(site)
        stream = site.stream()
        if self._count == 1:
            (step,) = self._steps
            key = Key(step.seed, step.stream ^ stream)
            return draw.finished(draw.compute(*draw.tensors, key=key, layout=part, rate=rate))
        if batch is None or not draw.aligned:
            raise CannotBatchError(f"{site} ({draw.kind}) has no dimension of inputs")
        if not self._expanded and draw.finish is not None:
            raise CannotBatchError(f"{site} ({draw.kind}) writes into its input")
        keys = torch.tensor(
            [[as_int64(step.seed), step.stream ^ stream] for step in self._steps],
            dtype=torch.int64,
            device="cpu",
        )
        y = self._of_passes(draw, batch.dim, keys, part, rate)
        self._expanded = True
        return draw.finished(y)

    def _of_passes(
        self, draw: Draw, dim: int, keys: torch.Tensor, part: Part, rate: float | None
    ) -> torch.Tensor:
        p = draw.p if rate is None else rate
        if draw.plain and type(p) is float:
            x = self._apart(draw.tensors[0], dim).movedim(dim, 0)
            base, strides = part.indices(x.shape[1:], ())
            strides = strides or row_major(x.shape[1:])
            y = ops.masked_affine(x, keys, p, scale(p), 0.0, 0.0, base, strides)
            return y.movedim(0, dim).flatten(dim, dim + 1)
        if draw.kind == "bernoulli" and type(p) is float and 0 <= p <= 1 and rate is None:
            like = draw.tensors[0]
            x = self._apart(like, dim).movedim(dim, 0)
            base, strides = part.indices(x.shape[1:], ())
            strides = strides or row_major(x.shape[1:])
            ones = torch.ones(x.shape, dtype=torch.bfloat16, device=like.device)
            keep = ops.masked_affine(ones, keys, p, 1.0, 0.0, 0.0, base, strides)
            return keep.to(like.dtype).movedim(0, dim).flatten(dim, dim + 1)
        lead = draw.tensors[0]

        def follows(t: Any) -> bool:
            same = isinstance(t, torch.Tensor) and t.ndim == lead.ndim
            return same and t.shape[dim] == lead.shape[dim]

        along = [dim if follows(t) and self._expanded else None for t in draw.tensors]
        tensors = [
            t if d is None else self._apart(t, dim)
            for t, d in zip(draw.tensors, along, strict=True)
        ]

        def one(key: torch.Tensor, *tensors: torch.Tensor) -> torch.Tensor:
            seed, stream = key.unbind()
            found: torch.Tensor = draw.compute(
                *tensors, key=Key(seed, stream), layout=part, rate=rate, fresh=not self._expanded
            )
            return found

        given = [i for i, t in enumerate(tensors) if isinstance(t, torch.Tensor)]

        def of_given(key: torch.Tensor, *found: torch.Tensor) -> torch.Tensor:
            everything = list(tensors)
            for i, t in zip(given, found, strict=True):
                everything[i] = t
            return one(key, *everything)

        dims = (0, *(along[i] for i in given))
        found: torch.Tensor = torch.vmap(of_given, dims, dim)(keys, *(tensors[i] for i in given))
        together: torch.Tensor = found.flatten(dim, dim + 1)
        return together

    def _apart(self, x: torch.Tensor, dim: int) -> torch.Tensor:
        """A tensor with the passes as a dimension before that of the inputs."""
        if self._expanded:
            apart: torch.Tensor = x.unflatten(dim, (self._count, -1))
            return apart
        return x.unsqueeze(dim).expand(*x.shape[:dim], self._count, *x.shape[dim:])
