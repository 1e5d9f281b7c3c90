"""Along which dimension of each draw the samples lie, found by forwards of two batch sizes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from .. import _torch
from .._validate import wrong_type, wrong_value
from ..functional._part import Axis, Part
from ..random import Key
from ._handlers import HANDLERS, injected
from ._watch import Draw, Place, Scope, SiteId, State, Watcher, unwrapped


class Site(NamedTuple):
    """A place where a model draws.

    Attributes:
        id: The path of its module, and which of that module's draws it is.
        kind: The function that draws.
        p: Its rate, where it has one.
        shape: Of the draws in the forward that was looked at, of size 1 where they are shared.
        place: Along which dimensions the samples and the positions lie.
        problem: Why a batch that is divided cannot have this draw; empty if it can.
    """

    id: SiteId
    kind: str
    p: Any
    shape: tuple[int, ...] | None
    place: Place = Place(None)
    problem: str = ""


class Sites(Mapping[SiteId, Site]):
    """The sites of a model, in the order in which they draw."""

    def __init__(self, found: Mapping[SiteId, Site]) -> None:
        self._found = dict(found)

    def __getitem__(self, site: SiteId) -> Site:
        found: Site = self._found[site]
        return found

    def __iter__(self) -> Iterator[SiteId]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __repr__(self) -> str:
        return "\n".join(f"{site.id}: {site.kind}, p={site.p}" for site in self.values())


def find_sites(
    model: torch.nn.Module,
    *args: Any,
    batch_dim: int = 0,
    sequence_dim: int | None = None,
    prefix: str = "",
    **kwargs: Any,
) -> Sites:
    """Find where a model draws, and along which dimension of each draw the samples lie.

    The model runs three times without gradients, on two and on three samples that are copies of
    the first of each tensor, with draws of its own; buffers and generators are then as before.

    Args:
        model: In the mode in which it will be used.
        args: Arguments of its forward.
        batch_dim: The dimension of the samples in those tensors.
        sequence_dim: The dimension of the positions in them, where sequences are divided.
        prefix: Put before the paths, for a model that is a part of a larger one.
        kwargs: Arguments of its forward, by name.

    Raises:
        ArgumentTypeError: `model` is not a module, or a dimension is not an integer.
        ArgumentValueError: No argument is a tensor that has the dimension.

    Example:
        >>> import torch, torchdropout as td
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Dropout(0.1))
        >>> td.find_sites(model, torch.ones(8, 4))
        1 #0: dropout, p=0.1
    """
    if not isinstance(model, torch.nn.Module):
        wrong_type("model", "a module", model)
    look = Look(unwrapped(model), args, kwargs, prefix)
    return look.sites(batch_dim, sequence_dim)


def batch_size(args: Any, kwargs: Any, dim: int) -> int | None:
    """The size along a dimension of the first tensor that has it."""
    for leaf in _torch.tree.tree_leaves((args, kwargs)):
        if isinstance(leaf, torch.Tensor) and leaf.ndim > dim >= -leaf.ndim:
            return leaf.shape[dim]
    return None


def _axis(
    few: tuple[int, ...], many: tuple[int, ...] | None, small: int, large: int
) -> tuple[Axis | None, str]:
    """The dimension whose size follows that of the batch, or why there is none."""
    if many is None or len(few) != len(many):
        return None, "its draws have another number of dimensions in another batch"
    found = []
    for dim, (a, b) in enumerate(zip(few, many, strict=True)):
        if a == b:
            continue
        times, rest = divmod(b - a, large - small)
        if rest or times * small != a:
            return None, f"dimension {dim} of its draws is not a multiple of the batch"
        found.append(Axis(dim, times))
    if not found:
        return None, ""
    found.sort(key=lambda axis: axis.times)
    if len(found) > 1 and found[0].times == found[1].times:
        dims = " and ".join(str(axis.dim) for axis in found)
        return None, f"dimensions {dims} of its draws both follow the batch"
    return found[0], ""


_ALL: Mapping[int, tuple[int, Sequence[int]]] = {}


class Look:
    """Forwards of a model that leave nothing behind, to see where it draws.

    Args:
        model: The model, without wrappers.
        args: Arguments of its forward.
        kwargs: Those by name.
        prefix: Put before the paths.
        around: Entered around each forward.
        forced: Whether calls that say `training=False` draw too.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        args: Any,
        kwargs: Any,
        prefix: str = "",
        around: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext,
        forced: bool = False,
    ) -> None:
        self.model = model
        self.arguments = (args, kwargs)
        self.prefix = prefix
        self.around = around
        self.forced = forced
        self.missed: dict[SiteId, str] = {}

    def sites(self, batch_dim: int, sequence_dim: int | None = None) -> Sites:
        """The sites, by forwards of two and three samples, and of shorter sequences.

        Raises:
            ArgumentValueError: No argument is a tensor that has the dimension.
        """
        args, kwargs = self.arguments
        size = batch_size(args, kwargs, batch_dim)
        if size is None:
            wrong_value(
                "args",
                f"a tensor among them that has a dimension {batch_dim}, of the samples",
                args,
            )
        two = self.shapes({batch_dim: (size, [0, 0])})
        three = self.shapes({batch_dim: (size, [0, 0, 0])})
        shorter = None
        length = 0
        if sequence_dim is not None:
            length = batch_size(args, kwargs, sequence_dim) or 0
            if length < 2:
                wrong_value("args", f"2 or more positions along dimension {sequence_dim}", args)
            shorter = self.shapes(
                {batch_dim: (size, [0, 0]), sequence_dim: (length, range(length - 1))}
            )
        found = {}
        for site, (draw, shape) in {**three, **two}.items():
            problem = ""
            batch = sequence = None
            if (
                site not in two
                or site not in three
                or (shorter is not None and site not in shorter)
            ):
                problem = "it draws in some forwards and not in others"
            elif shape is not None:
                batch, problem = _axis(shape, three[site][1], 2, 3)
                if shorter is not None and not problem:
                    sequence, problem = _axis(shorter[site][1], shape, length - 1, length)
            found[site] = Site(site, draw.kind, draw.p, shape, Place(batch, sequence), problem)
        return Sites(
            {site: found[site] for site in sorted(found, key=list({**two, **three}).index)}
        )

    def shapes(self, taken: Mapping[int, tuple[int, Sequence[int]]] = _ALL) -> dict[SiteId, Any]:
        """The draws of a forward, and the shapes of their masks.

        Args:
            taken: Of a dimension of that size in the arguments, the places that are used.
        """

        def part(leaf: Any) -> Any:
            if not isinstance(leaf, torch.Tensor):
                return leaf
            for dim, (size, places) in taken.items():
                if leaf.ndim > dim >= -leaf.ndim and leaf.shape[dim] == size:
                    leaf = leaf.index_select(dim, torch.tensor([*places], device=leaf.device))
            return leaf

        looking = Looking(self.forced)
        self.run(looking, *_torch.tree.tree_map(part, self.arguments))
        self.missed.update(looking.missed)
        return looking.found

    def run(self, scope: Scope, args: Any, kwargs: Any) -> Any:
        """The output of a forward in a scope."""
        watcher = Watcher(HANDLERS, injected)
        watcher.scope = scope
        watcher.install(self.model, self.prefix)
        try:
            with unchanged(self.model), torch.no_grad(), self.around(), watcher.mode:
                return self.model(*args, **kwargs)
        finally:
            watcher.remove()


class Looking:
    """A scope that records the draws, with some key."""

    def __init__(self, forced: bool = False) -> None:
        self.forced = forced
        self.found: dict[SiteId, tuple[Draw, tuple[int, ...] | None]] = {}
        self.missed: dict[SiteId, str] = {}

    def before(self, args: Any, kwargs: Any) -> None:
        """Nothing to do."""

    def after(self) -> None:
        """Nothing to do."""

    def unreached(self, site: SiteId, name: str) -> None:
        """Note it: the scope that comes says so."""
        self.missed[site] = name

    def answer(self, site: SiteId, draw: Draw) -> Any:
        """Compute the draw and note the shape of its mask."""
        shapes: list[tuple[int, ...]] = []
        layout = Part(None, 0, seen=shapes.append)
        y = draw.compute(*draw.tensors, key=Key(0, site.stream()), layout=layout)
        self.found[site] = draw._replace(tensors=()), shapes[0] if shapes else None
        return draw.finished(y)

    def resumed(self, state: State) -> contextlib.AbstractContextManager[None]:
        """Nothing is computed again, as there is no backward."""
        return contextlib.nullcontext()


@contextlib.contextmanager
def unchanged(model: torch.nn.Module) -> Iterator[None]:
    """Put buffers and the generators of torch back at the end."""
    devices = {b.device for b in model.buffers()} | {p.device for p in model.parameters()}
    cuda = sorted(d.index or 0 for d in devices if d.type == "cuda")
    buffers = [(b, b.detach().clone()) for b in model.buffers()]
    with torch.random.fork_rng(devices=cuda):
        try:
            yield
        finally:
            with torch.no_grad():
                for buffer, value in buffers:
                    if not torch.equal(buffer, value):
                        buffer.copy_(value)
