"""Along which dimension of each draw the samples lie, found by forwards of two batch sizes."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, TypeAlias

import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from ..._core import _torch
from ..._core._validate import is_integer, wrong_type, wrong_value
from ..._tools.process_state import TORCHS, ProcessState, generators, held_generators
from ...errors import SiteError, TorchDropoutError
from ...functional._attention import as_typed
from ...functional._part import Axis, Part
from ...functional._shards import is_spread
from ...random import Key
from ._given import BatchDims, Given, GivenRows
from ._handlers import new_watcher
from ._out_of_memory import explained, is_out_of_memory, may_fail
from ._shared import (
    Pair,
    Shared,
    astray,
    batch_size,
    check_shared,
    is_packed,
    shared_leaves,
    size_of,
    two_and_three,
)
from ._watch import INSTANCE_NORMS, NORMS, Draw, Place, SiteId, is_replicated, tree_of, unwrapped

# For each dimension, the size of the leaves that are divided, and the places taken from them.
Taken: TypeAlias = Mapping[int, tuple[int, Sequence[int]]]
_ALL: Taken = {}


class Site(NamedTuple):
    """A place where a model draws.

    Attributes:
        id: The path of its module, and which of that module's draws it is.
        kind: The function that draws.
        p: Its rate, if it has one.
        shape: The shape of the draws in the inspected forward, of size 1 where they are
            shared.
        place: Along which dimensions the samples and the positions lie.
        problem: Why a batch that is divided cannot have this draw; empty if it can.
        rows: The function that gives the sample of each row, where `batch_dims` has one.
    """

    id: SiteId
    kind: str
    p: Any
    shape: tuple[int, ...] | None
    place: Place = Place(None)
    problem: str = ""
    rows: GivenRows | None = None

    def is_of(self, draw: Draw) -> bool:
        """Whether it may be the site of a draw; another site has its number if one was skipped."""
        rank = draw.tensors[0].ndim if draw.aligned else None
        return self.kind == draw.kind and (None in (rank, self.shape) or rank == self._rank())

    def is_like(self, other: Site) -> bool:
        """Whether another probe may have found the same site."""
        return self.kind == other.kind and self._rank() == other._rank()

    def _rank(self) -> int:
        return len(self.shape or ())


class Sites(Mapping[SiteId, Site]):
    """The sites of a model, in the order in which they draw.

    Attributes:
        hidden: Whether a generator advanced although no drawing function was seen.
        unseen: Functions that draw, and that cannot be given keys in a compiled model.
        streams: `SiteId.stream` of each.
        single: Whether they were found with one sample: an argument of one row may then be taken
            for that sample's. A forward with several samples decides.
        mixing: Why the rest of its batch changes the result of a sample; empty if a trial showed
            that it does not, or if there was none.
        shown: What the trial showed, or why there was none.
        merged: The modules all of whose draws are one site.
    """

    single = False
    mixing = ""
    shown = ""

    def __init__(self, found: Mapping[SiteId, Site], hidden: bool, unseen: Iterable[str]) -> None:
        self._found: dict[SiteId, Site] = dict(found)
        self.hidden = hidden
        self.unseen = frozenset(unseen)
        self.streams = {site: site.stream() for site in self._found}
        self.merged = frozenset(
            id.path for id, site in found.items() if site.rows and site.rows.name == id.path
        )

    def joined(self, other: Sites) -> Sites:
        """These, and the sites of the other that are missing here or draw in another way there."""
        found = {**self._found, **other._found}
        for id, site in self._found.items():
            if site.is_like(found[id]):
                found[id] = site
        sites = Sites(found, self.hidden or other.hidden, self.unseen | other.unseen)
        sites.single = self.single and other.single
        sites.mixing = self.mixing or other.mixing
        sites.shown = self.shown or other.shown
        return sites

    def of(self, site: SiteId) -> SiteId:
        """The site of a draw: that of its module where all draws of it are one."""
        return SiteId(site.path, 0) if site.path in self.merged else site

    def check_places(self, other: Sites) -> None:
        """Check that the samples lie where another probe, with several samples, finds them.

        Raises:
            SiteError: They lie elsewhere.
        """
        for id in self._found.keys() & other._found.keys():
            if self._found[id].place != other._found[id].place:
                raise SiteError(
                    "Expected draws for which a forward with one sample shows where the samples "
                    f"lie, got {id} ({self._found[id].kind}), which lies elsewhere with several: "
                    "an argument of one row was taken for that sample's. Pass `shared` with the "
                    "names of the arguments that all samples share."
                )

    def __getitem__(self, site: SiteId) -> Site:
        found: Site = self._found[site]
        return found

    def get(self, site: SiteId, default: Any = None) -> Any:
        """As in `Mapping`, but several times as fast, since each draw calls it."""
        return self._found.get(site, default)

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
    shared: Shared | None = None,
    batch_dims: BatchDims | None = None,
    prefix: str = "",
    **kwargs: Any,
) -> Sites:
    """Find where a model draws, and along which dimension of each draw the samples lie.

    The model runs without gradients on two and on three copies of the first sample, with draws of
    its own; buffers and generators are then restored. If a dimension holds several places of
    each sample, such as windows or heads, it runs on two further pairs, the second of which differs
    in one sample: the places of a sample must be neighbours there, or the samples alternate. If all
    samples are alike, one gets other numbers. If the forward succeeds only with the given number
    of samples, each site has that as its problem.

    A trial then shows whether the rest of the batch changes what a sample gets: the model runs on
    three samples, on the same in another order, and on two of them. The rows of each draw and the
    result of each sample must be the same, up to rounding. `mixing` of what is returned says what
    is not. Batch norm uses the statistics that it holds.

    Args:
        model: In the mode in which it will be used.
        args: Arguments of its forward.
        batch_dim: The dimension of the samples in those tensors.
        sequence_dim: The dimension of the positions in them, if sequences are divided.
        shared: The arguments that all samples share: names of the forward's parameters, and numbers
            of its `*args`. By default a tensor that has the size of the batch has a
            place for each sample, unless the forward fails only with that reading; if a site
            depends on this and nothing shows it, the site has a problem, as does one that follows
            a tensor other than the first, if neither a site nor the result follows the first.
        batch_dims: The dimension of the samples in the draws of some sites, where forwards do not
            show it: by the path of the module, or by `path#number` for one of its draws. Where it
            holds several places of each sample these are neighbours, or with `(dimension,
            "alternating")` the samples alternate. It must agree with what forwards show. For a draw
            whose rows the model moves or picks, a function, or `(dimension, function)`: it maps a
            `Call`, with the tensors of the draw, to the sample of each row, counted in the forward,
            or to one sample, which has the whole draw. All draws of a module are then one site.
        prefix: Put before the paths, for a model that is a part of a larger one.
        kwargs: Arguments of its forward, by name.

    Raises:
        ArgumentTypeError: `model` is not a module, a dimension is not an integer, `shared` is not
            a collection of names and numbers, or `batch_dims` is not a mapping of paths.
        ArgumentValueError: No argument is a tensor that has the dimension; `shared` has a name
            that the forward does not have; `batch_dims` has a path that does not draw, or a
            dimension that the draws do not have or whose size does not fit.

    Example:
        >>> import torch, torchdropout as td
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Dropout(0.1))
        >>> td.find_sites(model, torch.ones(8, 4))
        1 #0: dropout, p=0.1
    """
    if not isinstance(model, torch.nn.Module):
        wrong_type("model", "a module", model)
    check_dims(batch_dim, sequence_dim)
    given = Given(batch_dims)
    probe = Probe(unwrapped(model), args, kwargs, prefix, shared=check_shared(shared), given=given)
    return probe.sites_or_whole(batch_dim, sequence_dim)


def check_dims(batch_dim: Any, sequence_dim: Any) -> None:
    """Check the dimensions of the samples and of the positions, which may be None.

    Raises:
        ArgumentTypeError: One is not an integer.
    """
    if not is_integer(batch_dim):
        wrong_type("batch_dim", "an integer, the dimension of the samples", batch_dim)
    if sequence_dim is not None and not is_integer(sequence_dim):
        wrong_type("sequence_dim", "an integer, the dimension of the positions", sequence_dim)


def _taken(x: torch.Tensor, dim: int, places: Sequence[int]) -> torch.Tensor:
    """Take some places of a dimension.

    A DTensor is not indexed by a tensor, and autocast changes what `cat` does.
    """
    if list(places) == list(range(len(places))):
        return x.narrow(dim, 0, len(places))
    if not is_spread(x):
        return x.index_select(dim, torch.tensor(places, device=x.device))
    return torch.cat([x.narrow(dim, place, 1) for place in places], dim)


def of_packed(packed: PackedSequence, places: Sequence[int]) -> PackedSequence:
    """Take some of the sequences."""
    padded, lengths = pad_packed_sequence(packed)
    at = torch.tensor(places)
    return pack_padded_sequence(
        padded.index_select(1, at.to(padded.device)), lengths[at], enforce_sorted=False
    )


def _axes(site: Site, along: str) -> tuple[Axis, ...]:
    """The dimensions of the samples or of the positions."""
    if site.rows is not None or site.problem:
        return ()
    if along == "sequence":
        return site.place.sequence
    return () if site.place.batch is None else (site.place.batch,)


def _order(
    probe: Probe,
    found: dict[SiteId, Site],
    along: str,
    dims: Mapping[int, int],
    draws: Mapping[SiteId, Any],
) -> None:
    """Find in which order the places of samples or positions lie, where there are several of each.

    Compare the inputs of draws between two alike samples and two that differ: all changes
    belong to the second. If all are alike, the second gets other numbers.

    Args:
        probe: The forwards.
        found: The sites, which get a problem where their places are not neighbours. Samples
            may also alternate.
        along: "batch" or "sequence".
        dims: The size along the dimension of the arguments, and that of others, from which a place
            is taken twice.
        draws: The draws of two samples.
    """
    (dim, size), *rest = dims.items()
    others = {other: (n, [0, 0]) for other, n in rest}
    what = "samples" if along == "batch" else "positions"

    def places(*taken: int) -> Taken:
        return {dim: (size, taken), **others}

    numbers = (n for n in range(size) if probe.differ(places(0), places(n)))
    other = next(numbers, 0)
    alike = probe.seen(places(0, 0))
    try:
        changed = probe.seen(places(0, other), altered=other == 0)
    except Exception as error:
        if other or is_out_of_memory(error):
            raise
        changed = {}  # the model does not accept other numbers: nothing shows the order
    for id, site in found.items():
        for axis in _axes(site, along):
            if axis.times == 1:
                continue
            if changed and (id not in alike or id not in changed or alike[id][0] != changed[id][0]):
                found[id] = site._replace(problem="how much it draws depends on the values")
                break
            is_given = along == "batch" and probe.given.of(id) is not None
            pairs = zip(alike[id][1], changed[id][1], strict=False) if changed else ()
            orders = [order for pair in pairs for order in _orders(*pair, axis)]
            fits = {axis.alternating}.intersection(*orders)
            inner = draws[id][0].inner
            rank = len(site.shape or ())
            if not (orders or is_given):
                problem = f"nothing shows the order of the {what} along dimension {axis.dim}"
            elif fits:
                continue
            elif axis.alternating:
                problem = f"the {what} do not alternate along dimension {axis.dim}"
            elif (
                along == "batch"
                and not is_given
                and {True}.intersection(*orders)
                and inner is not None
                and axis.dim < rank - inner
            ):
                place = site.place._replace(batch=axis._replace(alternating=True))
                found[id] = site._replace(place=place)
                continue
            else:
                problem = f"the {what} alternate along dimension {axis.dim} of its draws"
            found[id] = site._replace(problem=problem)
            break


def _orders(one: torch.Tensor, two: torch.Tensor, axis: Axis) -> Iterator[set[bool]]:
    """Whether the places of two samples may alternate, and whether they may be neighbours.

    Nothing, if the inputs of a draw do not show it: the second differs in its second sample.
    """
    if one.ndim <= axis.dim or one.shape != two.shape or one.shape[axis.dim] != 2 * axis.times:
        return
    rows = (one != two).movedim(axis.dim, 0).reshape(2 * axis.times, -1).any(1)
    if rows.all():  # the samples are mixed: it is not known in which order
        yield {False, True}
    elif rows.any():
        of_first = {False: rows[: axis.times], True: rows[::2]}
        yield {alternating for alternating, part in of_first.items() if not part.any()}


def _altered(x: torch.Tensor, dim: int) -> torch.Tensor:
    """The tensor with other numbers at its last place along a dimension."""
    last = x.narrow(dim, -1, 1)
    if not x.is_floating_point():
        other = torch.where(last > 0, last - 1, last + 1)
    elif is_spread(x):
        other = last + last.cos()
    else:
        steps = torch.arange(last.numel(), device=x.device).view(last.shape).cos().to(x.dtype) / 8
        other = last + steps * (1 + last.abs())  # no number stays as it is
    return torch.cat([x.narrow(dim, 0, x.shape[dim] - 1), other], dim)


def _axis(
    few: tuple[int, ...], many: tuple[int, ...] | None, small: int, large: int
) -> tuple[Axis | None, str]:
    """The dimension whose size follows that of the batch, or why there is none."""
    found, problem = _following(few, many, small, large, "batch")
    if len(found) > 1:
        dims = " and ".join(str(axis.dim) for axis in found)
        return None, f"dimensions {dims} of its draws both follow the batch"
    return (found[0] if found else None), problem


def _with_positions(
    batch: Axis | None,
    shape: tuple[int, ...],
    shorter: Sequence[tuple[int, tuple[int, ...] | None]],
) -> tuple[Place, str]:
    """Where the positions lie in draws of a shape, by those with one position less of a sequence.

    Args:
        batch: The dimension of the samples.
        shape: The shape of the draws.
        shorter: For each sequence its length and the shape with one position less.
    """
    axes: list[tuple[Axis, ...]] = []
    for length, less in shorter:
        if less is None:
            return Place(batch), "its draws change their number of dimensions with the sequence"
        found, problem = _following(less, shape, length - 1, length, "sequence")
        if problem:
            return Place(batch), problem
        # Another dimension may have the gathered keys of all parts of a sequence.
        axes.append(tuple(axis for axis in found if axis.times == found[0].times))
        if batch is not None and any(axis.dim == batch.dim for axis in found):
            # The positions of a sample are neighbours, and nothing else lies there.
            if (
                len(shorter) > 1
                or found != [Axis(batch.dim, shape[batch.dim] // length)]
                or (batch.times != length)
            ):
                return Place(batch), f"samples and positions lie along dimension {batch.dim} both"
            return Place(batch, (Axis(batch.dim, 1),)), ""
    if len({axis.dim for found in axes for axis in found}) < sum(map(len, axes)):
        return Place(batch), "one dimension of its draws follows two sequences"
    return Place(batch, axes[0], tuple(axis for found in axes[1:] for axis in found)), ""


def _following(
    few: tuple[int, ...], many: tuple[int, ...] | None, small: int, large: int, whole: str
) -> tuple[list[Axis], str]:
    """The dimensions whose size follows that of the batch or a sequence, by places of each."""
    if many is None or len(few) != len(many):
        return [], f"its draws change their number of dimensions with the {whole}"
    found = []
    for dim, (a, b) in enumerate(zip(few, many, strict=True)):
        if a == b:
            continue
        times, rest = divmod(b - a, large - small)
        if rest or times * small != a:
            return [], f"dimension {dim} of its draws is not a multiple of the {whole}"
        found.append(Axis(dim, times))
    return sorted(found, key=lambda axis: axis.times), ""


FAILURES = (RuntimeError, ValueError, IndexError)  # of a forward with another number of samples


class Probe:
    """Forwards of a model that leave nothing behind, to see where it draws.

    `probe.tried(sites, batch_dim)` gives the sites and what a trial shows: whether the rest of the
    batch changes a sample. `_trial`, which is made of probes, puts it here.

    Args:
        model: The model, without wrappers.
        args: Arguments of its forward.
        kwargs: Its keyword arguments.
        prefix: Put before the paths.
        around: Entered around each forward.
        forced: Whether calls that say `training=False` draw too.
        key_of: The key of a site; by default the same in every probe.
        shared: The arguments that all samples share; None to find out if sizes do not show it.
        given: Where the samples lie, as far as the caller says.
    """

    tried: ClassVar[Callable[[Probe, Sites, int], Sites]]

    def __init__(
        self,
        model: torch.nn.Module,
        args: Any,
        kwargs: Any,
        prefix: str = "",
        around: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext,
        forced: bool = False,
        key_of: Callable[[SiteId], Key] | None = None,
        shared: Shared | None = (),
        given: Given | None = None,
    ) -> None:
        self.given = given or Given(None)
        self.model = model
        self.arguments = (args, kwargs)
        self.prefix = prefix
        self.around = around
        self.forced = forced
        self.key_of = key_of
        self.shared = shared
        # By the number of a leaf, the places taken from it instead; None for all.
        self.apart: dict[int, Sequence[int] | None] = {}
        self._batch_dim = 0
        self._alters: Callable[[int, torch.Tensor], bool] | None = None
        self._variants: Sequence[int] = ()
        self.hidden: set[str] = set()  # generators that advance although no function shows why
        self.missed: dict[SiteId, str] = {}
        self.own: dict[SiteId, str] = {}  # draws from a generator of their own
        self.unseen: set[str] = set()

    def sites(self, batch_dim: int, sequence_dim: int | None = None) -> Sites:
        """The sites, by forwards of two and three samples, and of shorter sequences.

        Raises:
            ArgumentValueError: No argument is a tensor that has the dimension.
        """
        args, kwargs = self.arguments
        for path, module in tree_of(self.model, self.prefix).paths.items():
            if is_replicated(module):
                what = "a model without DataParallel on several devices, whose threads hide draws"
                wrong_type("model", what, path or module)
        shared = shared_leaves(self.model, args, kwargs, self.shared or ())
        size = batch_size(args, kwargs, batch_dim, shared)
        if not size:
            what = f"a tensor among them that has a dimension {batch_dim}, of one or more samples"
            wrong_value("args", what, args)
        self._batch_dim = batch_dim
        self.apart = dict.fromkeys(shared)
        (two, three, result_follows), unknown = two_and_three(self, batch_dim, size)
        shorter: list[tuple[int, dict[SiteId, Any]]] = []
        length = 0
        if sequence_dim is not None:
            length = batch_size(args, kwargs, sequence_dim, shared) or 0
            if length < 2:
                wrong_value("args", f"2 or more positions along dimension {sequence_dim}", args)
            shorter = self._shorter(batch_dim, size, sequence_dim, length)
        found = {}
        for site, (draw, shape) in two.items():
            rows = self.given.rows_of(site)
            if rows is not None:
                place = Place(Axis(rows.dim, 1))
                found[site] = Site(site, draw.kind, draw.p, shape, place, "", rows)
                continue
            problem = ""
            place = Place(None)
            if not (site in three and all(site in few for _, few in shorter)):
                problem = "it draws in some forwards and not in others"
            else:
                batch, problem = self._axis(site, draw, {2: shape, 3: three[site][1]})
                place = Place(batch)
                if shape is not None and shorter and not problem:
                    place, problem = _with_positions(
                        batch, shape, [(n, few[site][1]) for n, few in shorter]
                    )
            found[site] = Site(site, draw.kind, draw.p, shape, place, problem)
        for site, (draw, shape) in three.items():
            if site not in found:
                problem = "it draws in some forwards and not in others"
                found[site] = Site(site, draw.kind, draw.p, shape, Place(None), problem)
        folded = {"batch": {batch_dim: size}}
        if sequence_dim is not None:
            folded["sequence"] = {sequence_dim: length, batch_dim: size}
        for along, dims in folded.items():
            axes = [axis for site in found.values() for axis in _axes(site, along)]
            if any(axis.times > 1 for axis in axes):
                _order(self, found, along, dims, {**three, **two})
        # If nothing depends on the number of places of the first, another may hold the samples.
        idle = all(site.place.batch is None and not site.problem for site in found.values())
        if self.shared is None and found and idle and not result_follows:
            unknown = astray(self, batch_dim, size)
        for site, problem in unknown.items():
            if site in found and not found[site].problem:
                found[site] = found[site]._replace(problem=problem)
        self.given.check_names(found, tree_of(self.model, self.prefix).paths)
        sites = Sites(found, bool(self.hidden), self.unseen)
        sites.single = size == 1
        return sites

    def _axis(
        self, site: SiteId, draw: Draw, shapes: Mapping[int, tuple[int, ...] | None]
    ) -> tuple[Axis | None, str]:
        """Where the samples lie in draws for two and three of them, or for all."""
        given = self.given.of(site)
        axis, problem = None, ""
        if len(shapes) > 1 and shapes[2] is not None:
            axis, problem = _axis(shapes[2], shapes[3], 2, 3)
        if given is None or problem:
            return axis, problem
        return given.axis(site, draw, shapes)

    def sites_or_whole(
        self, batch_dim: int, sequence_dim: int | None = None, tries: bool = True
    ) -> Sites:
        """The sites, even of a model whose forward succeeds only with this number of samples.

        With `tries`, a trial follows.

        Raises:
            ArgumentValueError: No argument is a tensor that has the dimension.
        """
        try:
            with explained():
                found = self.sites(batch_dim, sequence_dim)
                return self.tried(found, batch_dim) if tries else found
        except TorchDropoutError:
            raise
        except FAILURES as error:
            if is_out_of_memory(error):
                raise
            whole = self._whole(error, batch_dim, sequence_dim)
            try:
                self.sites(batch_dim, sequence_dim)
            except FAILURES:
                return whole
            raise  # the number of samples was not the cause

    def _whole(self, error: BaseException, batch_dim: int, sequence_dim: int | None) -> Sites:
        args, kwargs = self.arguments
        skipped = shared_leaves(self.model, args, kwargs, self.shared or ())
        size = batch_size(args, kwargs, batch_dim, skipped)
        assert size is not None
        self.apart, self._alters = {}, None
        unknown = (
            f"the forward fails with two or with three samples ({type(error).__name__}: {error}). "
            "If an argument does not belong to the samples, pass its name in `shared`"
        )
        found = {}
        for site, (draw, shape) in self.draws().items():
            place, problem = Place(None), unknown
            if self.given.of(site) is not None and sequence_dim is None:
                axis, problem = self._axis(site, draw, {size: shape})
                place = Place(axis)
            found[site] = Site(site, draw.kind, draw.p, shape, place, problem)
        self.given.check_names(found, tree_of(self.model, self.prefix).paths)
        return Sites(found, bool(self.hidden), self.unseen)

    def _shorter(
        self, batch_dim: int, size: int, sequence_dim: int, length: int
    ) -> list[tuple[int, dict[SiteId, Any]]]:
        """The draws with one position less, for each length of the arguments; that length too."""

        def draws(n: int) -> dict[SiteId, Any]:
            return self.draws({batch_dim: (size, [0, 0]), sequence_dim: (n, list(range(n - 1)))})

        found = [(length, draws(length))]
        leaves = _torch.tree.tree_leaves(self.arguments, is_leaf=is_packed)
        for n in dict.fromkeys(size_of(leaf, sequence_dim) for leaf in leaves):
            if n is not None and n > 1 and n != length:
                with may_fail():  # it is not a length
                    found.append((n, draws(n)))
        return found

    def pair(self, dim: int, size: int) -> Pair:
        two, of_two = self._looked_at({dim: (size, [0, 0])})
        three, of_three = self._looked_at({dim: (size, [0, 0, 0])})
        rows = [
            (a[d], b[d])
            for a, b in zip(of_two, of_three, strict=False)
            for d in {dim, 0}
            if len(a) == len(b) > d >= -len(a)
        ]
        return Pair(two, three, any(a != b and 3 * a == 2 * b for a, b in rows))

    def draws(self, taken: Taken = _ALL) -> dict[SiteId, Any]:
        """The draws of a forward, and the shapes of their masks.

        Args:
            taken: For each dimension, the size of the leaves to divide, and the places taken.
        """
        return self._looked_at(taken)[0]

    def _looked_at(self, taken: Taken) -> tuple[dict[SiteId, Any], list[tuple[int, ...]]]:
        """The draws of a forward, and the shapes of the tensors that it returns."""
        scope = Recorder(self.forced, key_of=self.key_of, given=self.given)
        y = self.run(scope, *self._part(taken))
        self.missed.update(scope.missed)
        found = {id: (draw, (*shapes, None)[0]) for id, (draw, shapes) in scope.found.items()}
        leaves = _torch.tree.tree_leaves(y)
        return found, [tuple(t.shape) for t in leaves if isinstance(t, torch.Tensor)]

    def seen(self, taken: Taken, altered: bool = False) -> dict[SiteId, Any]:
        """The shapes of the masks of a forward, and the input of each.

        Batch norm does not let a sample change another.

        Args:
            taken: For the dimension of the samples, its size and the places taken.
            altered: Whether the last of them gets other numbers.
        """
        inputs: dict[str, Any] = {}
        scope = Recorder(self.forced, inputs, self.key_of, self.given)
        if altered:
            tensors = [t for t in _torch.tree.tree_leaves(self.arguments) if _is_numeric(t)]
            floats = any(t.is_floating_point() for t in tensors)
            self._alters = lambda _, leaf: leaf.is_floating_point() or not floats
        hooks = [
            module.register_forward_pre_hook(
                functools.partial(_note, inputs, path), with_kwargs=True
            )
            for path, module in tree_of(self.model, self.prefix).paths.items()
            if not isinstance(module, torch.jit.ScriptModule)
        ]
        try:
            with norms_still(self.model):
                self.run(scope, *self._part(taken))
        finally:
            self._alters = None
            for hook in hooks:
                hook.remove()
        return {
            id: ((*shapes, None)[0], scope.evidence[id]) for id, (_, shapes) in scope.found.items()
        }

    def run(self, scope: Recorder, args: Any, kwargs: Any) -> Any:
        """The output of a forward in a scope."""
        watcher = new_watcher()
        watcher.scope = scope
        watcher.install(self.model, self.prefix)
        try:
            with (
                unchanged(self.model) as moved,
                torch.no_grad(),
                _torch.eager(),
                self.around(),
            ):
                y = self.model(*args, **kwargs)
                known = {TORCHS} if scope.missed else set()
                self.hidden |= {*moved.common.drawn()} - known
                self.unseen |= {*scope.missed.values(), *scope.blind}
                self.own |= scope.own()
                for name in moved.held.drawn():
                    path, _, attribute = name.rpartition(".")
                    if path not in {site.path for site in self.own}:
                        self.own[SiteId(path, 0)] = f"{attribute}, a generator of its own"
                return y
        finally:
            watcher.stop()
            watcher.remove()
            watcher.scope = None  # a cycle holds the watcher
            scope.restore()

    def differ(self, one: Taken, other: Taken) -> bool:
        """Whether two parts of the arguments have different values of the same shapes."""
        a, b = (
            [t for t in _torch.tree.tree_leaves(self._part(taken)) if isinstance(t, torch.Tensor)]
            for taken in (one, other)
        )
        return [t.shape for t in a] == [t.shape for t in b] and not all(map(torch.equal, a, b))

    def _part(self, taken: Taken) -> Any:
        def part(number: int, leaf: Any) -> Any:
            if is_packed(leaf):
                places = self.apart.get(number, next(iter(taken.values()))[1])
                return leaf if places is None else of_packed(leaf, places)
            if not isinstance(leaf, torch.Tensor):
                return leaf
            for dim, (size, places) in taken.items():
                own = self.apart.get(number, places) if dim == self._batch_dim else places
                if own is not None and size_of(leaf, dim) == size:
                    leaf = _taken(leaf, dim, own)
                    alters = self._alters if dim == next(iter(taken)) else None
                    if alters is not None and _is_numeric(leaf) and alters(number, leaf):
                        leaf = _altered(leaf, dim)
                    if self._variants and dim == self._batch_dim and own is places:
                        leaf = self._varied(leaf, dim)
            return leaf

        leaves, form = _torch.tree.tree_flatten(self.arguments, is_leaf=is_packed)
        if not taken:
            return self.arguments
        with torch.no_grad():  # a checkpointed region around a probe counts what autograd saves
            return _torch.tree.tree_unflatten([*map(part, range(len(leaves)), leaves)], form)

    def samples(self, size: int, places: Sequence[int], variants: Sequence[int] = ()) -> Any:
        """The arguments with some of the samples.

        Args:
            size: How many there are.
            places: Which of them.
            variants: For each how its numbers are changed: 0 for not at all.
        """
        self._variants = variants
        try:
            return self._part({self._batch_dim: (size, places)})
        finally:
            self._variants = ()

    def _varied(self, leaf: torch.Tensor, dim: int) -> torch.Tensor:
        tensors = [t for t in _torch.tree.tree_leaves(self.arguments) if _is_numeric(t)]
        floats = any(t.is_floating_point() for t in tensors)
        if not _is_numeric(leaf) or (floats and not leaf.is_floating_point()):
            return leaf
        ones = [leaf.narrow(dim, n, 1) for n in range(len(self._variants))]
        for n, variant in enumerate(self._variants):
            if variant:
                other = _altered(ones[n], dim)
                if variant > 1:  # half of the numbers, as integers may have two values only
                    half = torch.arange(other.numel(), device=other.device).view(other.shape) % 2
                    other = torch.where(half == 0, ones[n], other)
                ones[n] = other
        with as_typed(leaf.device):
            return torch.cat(ones, dim)


class Recorder:
    """A scope that records the draws, with some key.

    Args:
        forced: Whether calls that say `training=False` draw too.
        inputs: The arguments of each module, to keep the inputs of draws; None to keep nothing.
        key_of: The key of a site.
        given: Where the samples lie, as far as the caller says.
    """

    resumed = None  # a region around a probe is not the forward's

    def __init__(
        self,
        forced: bool = False,
        inputs: Mapping[str, Any] | None = None,
        key_of: Callable[[SiteId], Key] | None = None,
        given: Given | None = None,
    ) -> None:
        self.forced = forced
        self.inputs = inputs
        self.given = given or Given(None)
        self.evidence: dict[SiteId, list[torch.Tensor]] = {}
        self.key_of = key_of or (lambda site: Key(0, site.stream()))
        self.missed: dict[SiteId, str] = {}
        self.blind: set[str] = set()
        self._given: dict[int, tuple[torch.Generator, torch.Tensor, SiteId, str]] = {}
        # A module that got a key draws after the answer.
        self.found: dict[SiteId, tuple[Draw, list[tuple[int, ...]]]] = {}

    def before(self, args: Any, kwargs: Any) -> None:
        """Nothing to do."""

    def after(self) -> None:
        """Nothing to do."""

    def unreached(self, site: SiteId, name: str) -> None:
        """Note it: a scope with these sites reports it."""
        self.missed[site] = name

    def unseen(self, name: str) -> None:
        """Note it: the scope of a compiled model reports it."""
        self.blind.add(name)

    def outside(self, name: str) -> None:
        """Leave it as it is."""

    def owned(self, site: SiteId, name: str, generator: Any) -> None:
        """Note it, and the state of the generator."""
        if isinstance(generator, torch.Generator):
            noted = generator, generator.get_state(), site, f"{name} by a generator of its own"
            self._given.setdefault(id(generator), noted)

    def own(self) -> dict[SiteId, str]:
        """The functions that drew from a generator of their own."""
        return {
            site: name
            for generator, state, site, name in self._given.values()
            if not torch.equal(generator.get_state(), state)
        }

    def restore(self) -> None:
        """Restore the generators that were passed to functions."""
        for generator, state, *_ in self._given.values():
            generator.set_state(state)

    def answer(self, site: SiteId, draw: Draw) -> Any:
        """Compute the draw and note the shape of its mask."""
        if _torch.in_nested_region():
            self.unseen("draws in torch.compiler.nested_compile_region")
        site = self.given.merged(site)
        if self.inputs is not None:  # before a dropout in place
            # A filled tensor holds nothing yet. The module's inputs are laid out as its masks are.
            known = () if draw.finish is not None else draw.tensors
            given = _torch.tree.tree_leaves(self.inputs.get(site.path))
            tensors = [t for t in (*known, *given) if isinstance(t, torch.Tensor)]
            self.evidence[site] = [t.detach().clone() for t in tensors]
        shapes: list[tuple[int, ...]] = []
        layout = Part(None, 0, seen=shapes.append)
        y = draw.compute(*draw.tensors, key=self.key_of(site), layout=layout)
        self.found.setdefault(site, (draw._replace(tensors=()), shapes))
        return draw.finished(y)


def _note(
    inputs: dict[str, Any], path: str, module: torch.nn.Module, args: Any, kwargs: Any
) -> None:
    """A hook that notes the arguments of a module."""
    inputs[path] = args, kwargs


def _is_numeric(leaf: Any) -> bool:
    return isinstance(leaf, torch.Tensor) and not (leaf.is_complex() or leaf.dtype == torch.bool)


class _Generators(NamedTuple):
    """The generators before a forward.

    Attributes:
        common: Those of torch, on the devices of the model, of Python and, if loaded, of NumPy.
        held: Those in the attributes of the modules.
    """

    common: ProcessState
    held: ProcessState


@contextlib.contextmanager
def unchanged(model: torch.nn.Module) -> Iterator[_Generators]:
    """Restore buffers and generators at the end; the generators show whether they advanced."""
    devices = {b.device for b in model.buffers()} | {p.device for p in model.parameters()}
    buffers = [(b, b.detach().clone()) for b in model.buffers()]
    own = [torch.cuda.default_generators[d.index] for d in devices if d.type == "cuda"]
    numpy = sys.modules.get("numpy")
    state = _Generators(
        ProcessState(generators(numpy, own)),
        ProcessState(held_generators(tree_of(model).paths, numpy)),
    )
    try:
        yield state
    finally:
        state.common.restore()
        state.held.restore()
        with torch.no_grad():
            for buffer, value in buffers:
                if not torch.equal(buffer, value):
                    buffer.copy_(value)


@contextlib.contextmanager
def norms_still(model: torch.nn.Module) -> Iterator[None]:
    """Make batch norm use the statistics that it holds; one without gets the mean 0, variance 1."""
    norms: list[Any] = [m for m in model.modules() if isinstance(m, NORMS)]
    before = [(norm, norm.training, norm.running_mean, norm.running_var) for norm in norms]
    for norm in norms:
        mixes = not isinstance(norm, INSTANCE_NORMS)  # of an input with all samples
        if norm.running_mean is None and mixes and norm.num_features:
            like = next(norm.parameters(), torch.empty(0))
            norm.running_mean = torch.zeros(norm.num_features).to(like)
            norm.running_var = torch.ones(norm.num_features).to(like)
        norm.training = norm.training and norm.running_mean is None
    try:
        yield
    finally:
        for norm, *kept in before:
            norm.training, norm.running_mean, norm.running_var = kept
