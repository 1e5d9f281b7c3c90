"""`keyed`: the dropout of a model by one key, for a step of training."""

from __future__ import annotations

import contextlib
import itertools
import threading
import warnings
import weakref
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch.compiler import is_dynamo_compiling

from ..._core import _torch
from ..._core._validate import (
    check_bool,
    check_unsigned,
    is_integer,
    plain,
    wrong_type,
    wrong_value,
)
from ...errors import ArgumentValueError, SiteError
from ...functional._bernoulli import in_part
from ...functional._override import observers
from ...functional._part import Part
from ...random import Key
from ._given import BatchDims, Given, unfolded
from ._handlers import new_watcher
from ._places import Probe, Site, Sites, check_dims
from ._ranks import Processes, Ranks
from ._rows import fitted, in_rows, misfit, numbered, rows_of, stretched
from ._shared import Shared, check_shared, shared_leaves, size_of, with_samples
from ._watch import Draw, SiteId, State, Watcher, unwrapped

if TYPE_CHECKING:
    from typing_extensions import Self

_WATCHERS: weakref.WeakKeyDictionary[torch.nn.Module, Watcher] = weakref.WeakKeyDictionary()


class keyed:  # noqa: N801 - as torch's scopes are named
    """A scope in which each draw of a model is a function of (seed, step, site, sample).

    The masks do not depend on how the work is split: on the number of processes or micro-batches,
    on checkpointing, compilation or the device. Each draw has the key
    `Key(Key(seed).fold_in(step).seed, stream)`, where the stream is the first 60 bits of the
    SHA-256 of `path#number`: the path of the module, and which of its draws it is. Its mask indices
    are those of section 3 of the contract in the whole batch.

    It reaches torch's dropout functions, modules and attention, the dropout of recurrent layers,
    `bernoulli`, `rand` and `randn` in code of the model, and all of this library. A draw in
    any other way is an error. Draws outside the model's forward, and those that have a key or a
    generator, are as they are without a scope.

    At the first forward the model runs on a few samples, to find along which dimension of each draw
    the samples lie, and whether the rest of the batch changes what a sample gets; see `find_sites`.
    If it does, a divided batch is an error. A copy or a saved file of the model made
    within the scope contains nothing of the scope.

    Args:
        model: In training.
        seed: In [0, 2**64), or a `Key`.
        step: The number of the training step, in [0, 2**64).
        batch: `(start, total)`: the number of this part's first sample, and the size of the whole
            batch. By default the forward has the whole batch. A further forward of the model in the
            same scope continues where the last ended, as micro-batches do. Or the processes that
            have different samples: "distributed" for all of them, a process group, or a mesh of one
            dimension. Each forward then has the samples of the first rank, then those of the next,
            however many each has. They exchange these numbers, so all call the model equally often.
        samples: Instead of `batch`, the number of each sample, in a tensor or a sequence: a sample
            has the masks of its number, wherever it is. A further forward has the next of them.
        sequence: `(start, total)` of the positions, if sequences are divided; `(0, length)` if they
            are padded, so that no mask depends on how far: `length` is the longest of all.
        batch_dim: The dimension of the samples in the tensors that the model is called with.
        sequence_dim: That of the positions.
        shared: The arguments of the forward that all samples share, if their sizes do not show it;
            see `find_sites`.
        batch_dims: The dimension of the samples in the draws of some sites, by path, where forwards
            do not show it, or which sample each row belongs to; see `find_sites`, which takes
            it if `sites` is given.
        independent: False for a model in which a sample's draws depend on the rest of its batch by
            design: a warning instead of an error. The masks are then the same only if the batch is
            divided in the same way.
        sites: What `find_sites` returned. Required if `model.compile()` was called.
        prefix: Put before the paths, if this model is a stage of a larger one.
        on_unreached: What to do about a draw that cannot be given a key: "raise", "warn" or
            "ignore".

    Raises:
        ArgumentTypeError: An argument has a type that is not accepted.
        ArgumentValueError: An argument has a value that is not accepted; a scope of the model is
            active already; a forward reaches beyond the batch; there is no process group; the
            processes are in different steps or forwards.
        SiteError: In the forward, a draw cannot be given a key, or does not belong to one sample.

    Example:
        >>> import torch, torchdropout as td
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Dropout(0.5))
        >>> x = torch.randn(6, 4)
        >>> with td.keyed(model, seed=0, step=7):
        ...     whole = model(x)
        >>> with td.keyed(model, seed=0, step=7, batch=(2, 6)):
        ...     part = model(x[2:])
        >>> torch.equal(whole[2:] == 0, part == 0)
        True

    Reference:
        Counter-based generators: J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
        SC 2011; keys that are folded along a program's structure, as in JAX.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        *,
        seed: int | Key,
        step: int = 0,
        batch: tuple[int, int] | Processes | None = None,
        samples: Sequence[int] | torch.Tensor | None = None,
        sequence: tuple[int, int] | None = None,
        batch_dim: int = 0,
        sequence_dim: int = 1,
        shared: Shared | None = None,
        batch_dims: BatchDims | None = None,
        independent: bool = True,
        sites: Sites | None = None,
        prefix: str = "",
        on_unreached: Literal["raise", "warn", "ignore"] = "raise",
    ) -> None:
        _refuse_to_be_compiled()  # its guards would name the watchers of all other models
        if not isinstance(model, torch.nn.Module):
            wrong_type("model", "a module", model)
        if isinstance(model, torch.jit.ScriptModule):
            wrong_type("model", "a module that torch.jit did not compile, as it hides draws", model)
        key = seed if isinstance(seed, Key) else Key(check_unsigned("seed", seed, 64))
        if sites is not None and not isinstance(sites, Sites):
            wrong_type("sites", "what find_sites returns, or None", sites)
        if sites is not None and batch_dims is not None:
            wrong_value("batch_dims", "None with `sites`: give it to find_sites", batch_dims)
        if on_unreached not in ("raise", "warn", "ignore"):
            wrong_value("on_unreached", "'raise', 'warn' or 'ignore'", on_unreached)
        check_dims(batch_dim, sequence_dim)
        self.model = model
        self.key = key.fold_in(check_unsigned("step", step, 64))
        placed = batch is None or isinstance(batch, tuple)
        self.batch = _check_range("batch", batch) if placed else None
        self._ranks = None if placed else Ranks(batch, model)
        if samples is not None and batch is not None:
            wrong_value("batch", "None with `samples`, which has the number of each", batch)
        self._samples = None if samples is None else _numbers("samples", samples)
        self.sequence = _check_range("sequence", sequence)
        self.batch_dim = batch_dim
        self.sequence_dim = None if sequence is None else sequence_dim
        self._length_dim = sequence_dim
        self.independent = check_bool("independent", independent)
        self.shared = check_shared(shared)
        self.given = Given(batch_dims)
        self.prefix = prefix
        self.on_unreached = on_unreached
        self._given = sites
        self._sites: Sites | None = None
        self._rows = 0
        self._rehearses = False
        self._arguments: tuple[Any, Any] | None = None
        self._next = 0 if self.batch is None else self.batch[0]
        self._starts: torch.Tensor = self._places_from(self._next)
        self._watcher = _watcher_of(unwrapped(model))
        self._warned: set[str] = set()
        self.forced = False

    # --- Entering and leaving --------------------------------------------------------------------

    def __enter__(self) -> Self:
        _refuse_to_be_compiled()
        watcher = self._watcher
        watcher.belong_to(self)
        try:
            self._enter()
        except BaseException:
            self._leave()
            raise
        return self

    def _enter(self) -> None:
        watcher = self._watcher
        if self._given is not None:
            self._use(self._given)
        elif _torch.is_compiled(unwrapped(self.model)):  # and cannot be run to find the sites
            raise ArgumentValueError(
                "Expected `sites`, what find_sites returns, for a model whose compile() was "
                "called, got sites=None (NoneType)."
            )
        watcher.install(self.model, self.prefix)
        watcher.observe()
        observers.append(watcher.call)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        observers.remove(self._watcher.call)
        self._leave()

    def _leave(self) -> None:
        self._watcher.stop()
        self._watcher.remove()
        self._watcher.belong_to(None)

    @contextlib.contextmanager
    def resumed(self, state: State) -> Iterator[None]:
        """Re-enter the scope at the place of a forward: a region is recomputed."""
        watcher = self._watcher
        before, active = watcher.state(), watcher.scope
        if active is None:
            self.__enter__()
        else:
            watcher.scope = self
        watcher.go_to(state)
        observes, watcher.observes = watcher.observes, True
        watcher.held += 1
        thread, watcher.thread = watcher.thread, threading.get_ident()
        try:
            with contextlib.nullcontext() if watcher.mode.is_active() else watcher.mode:
                yield
        finally:
            watcher.held -= 1
            watcher.thread = thread
            watcher.observes = observes
            watcher.go_to(before)
            if active is None:
                self.__exit__(None, None, None)
            else:
                watcher.scope = active

    # --- A forward -------------------------------------------------------------------------------

    def before(self, args: Any, kwargs: Any) -> None:
        """A forward of the model begins."""
        skipped = (
            shared_leaves(unwrapped(self.model), args, kwargs, self.shared) if self.shared else ()
        )
        first = with_samples(args, kwargs, self.batch_dim, skipped)
        rows = None if first is None else size_of(first, self.batch_dim)
        # A pipeline stage runs once more, for shapes: that is not a micro-batch. Without a
        # sample there is nothing to place, and no way to find sites.
        if rows is None and self.batch_dim != 0:
            wrong_value("batch_dim", "a dimension of an argument of the forward", self.batch_dim)
        infers = not is_dynamo_compiling() and _torch.infers_shapes()
        start, self._rows = self._next, rows or 0
        if self._ranks is not None and not infers:  # even if only the others have samples
            place = _torch.in_python(self._placed)
            start, self._rows = place(self._ranks, self._rows)
        self._rehearses = rows == 0 or (rows is None and self.batch is None) or infers
        if self._rehearses:
            if infers:
                self._rows = 0
            elif rows is None and self._ranks is not None:
                raise ArgumentValueError(
                    "Expected a forward with samples, got no argument with a dimension "
                    f"{self.batch_dim}, and a batch that processes divide."
                )
            return
        if self._sites is None:
            _torch.in_python(self._find_sites)(args, kwargs, is_dynamo_compiling())
        elif self._sites.single and rows != 1:
            _torch.in_python(self._check_places)(args, kwargs)
        elif is_dynamo_compiling() and self._sites.unseen:
            _torch.in_python(self._use)(self._sites, True)
        length = size_of(first, self._length_dim)
        if self.sequence_dim is not None:
            if length is None:
                other = with_samples(args, kwargs, self.sequence_dim, skipped)
                length = size_of(other, self.sequence_dim)
            self._check_length(length)
        elif not is_dynamo_compiling() and len(self._watcher.sizes) < 2:
            sizes = _sizes(first, self.batch_dim)
            self._watcher.sizes.add(sizes)
        if self.batch is not None:
            total = self.batch[1]
            if rows is None or start + rows > total:
                raise ArgumentValueError(
                    f"Expected a forward that lies within the batch, got {rows} samples from "
                    f"sample {start} on with batch={self.batch!r}."
                )
        self._arguments = None if is_dynamo_compiling() else (args, kwargs)
        self._watcher.rows = rows or 0
        self._watcher.numbers = None
        if self._samples is not None:
            start = _torch.in_python(self._number)(start, rows or 0, is_dynamo_compiling())
        self._watcher.start = start
        if self._sites is not None and self._sites.mixing and self._is_divided():
            self._depends(self._sites.mixing)
        self._starts = self._places_from(start)

    def _number(self, start: int, rows: int, is_compiled: bool) -> int:
        """Note the numbers of the samples of a forward, and return the first."""
        assert self._samples is not None
        numbers = self._samples[start : start + rows]
        if len(numbers) < rows:
            raise ArgumentValueError(
                f"Expected `samples` to have a number for each sample of the forwards, got "
                f"{len(self._samples)} for a forward of {rows} after {start}."
            )
        if not numbers:
            return 0
        if any(b != a + 1 for a, b in itertools.pairwise(numbers)):
            if is_compiled or any(map(_torch.is_compiled, self.model.modules())):
                raise SiteError(
                    "Expected samples whose numbers follow one another in a compiled model, got "
                    f"{numbers[:8]}."
                )
            self._watcher.numbers = numbers
        return numbers[0]

    def _placed(self, ranks: Ranks, rows: int) -> tuple[int, int]:
        """The first sample of this process in a forward, and how many all have."""
        if self._next == 0 and self._watcher.ranked == self.key:
            warnings.warn(
                "A scope with processes in `batch` has the seed and the step of the last one, and "
                "so its masks: if gradients of several forwards are accumulated, run all "
                "forwards of a step in one scope.",
                RuntimeWarning,
                stacklevel=2,
            )
        return ranks.place(self.key, self._next, rows)

    def _check_length(self, length: int | None) -> None:
        """Check that the positions of a forward lie within the sequence."""
        if self.sequence is not None and length is not None:
            start, total = self.sequence
            if start + length > total:
                raise ArgumentValueError(
                    f"Expected a forward that lies within the sequence, got {length} positions "
                    f"from position {start} on with sequence={self.sequence!r}."
                )

    def after(self) -> None:
        """The forward has ended: a failed one is retried with the same samples."""
        self._arguments = None
        if self._watcher.completed:
            self._next += self._rows
            if self._ranks is not None:
                self._watcher.ranked = self.key

    def _find_sites(self, args: Any, kwargs: Any, is_compiled: bool) -> None:
        self._use(self._found(args, kwargs), is_compiled)

    def _found(self, args: Any, kwargs: Any) -> Sites:
        known, how = self._watcher.known, self._how()
        if how not in known:
            known[how] = self._probe(args, kwargs)
        found: Sites = known[how]
        return found

    def _how(self) -> tuple[Any, ...]:
        """The data that the sites of a model depend on."""
        training = unwrapped(self.model).training
        given = self.given.how()
        return self.batch_dim, self.sequence_dim, self.shared, given, self.prefix, training

    def _probe(self, args: Any, kwargs: Any, tries: bool = True) -> Sites:
        """Find sites with the keys of this step, which may decide which code runs.

        Args:
            args: The arguments of the forward.
            kwargs: Its keyword arguments.
            tries: Whether a trial follows; one is enough for a model.
        """
        inner = unwrapped(self.model)
        self._watcher.remove()
        options: dict[str, Any] = {"shared": self.shared, "given": self.given}
        probe = Probe(inner, args, kwargs, self.prefix, key_of=self.key_of, **options)
        try:
            return probe.sites_or_whole(self.batch_dim, self.sequence_dim, tries)
        finally:  # or a further forward would draw without keys
            self._watcher.install(self.model, self.prefix)

    def _look_again(self) -> None:
        """Find the sites of this forward too: a draw may skip others, as a dropped layer does."""
        if self._arguments is None or self._sites is None or is_dynamo_compiling():
            return
        watcher = self._watcher
        state = watcher.state()
        try:
            found = self._sites.joined(self._probe(*self._arguments, tries=False))
        finally:
            watcher.go_to(state)
        if self._given is None:
            watcher.known[self._how()] = found
        self._use(found)

    def _check_places(self, args: Any, kwargs: Any) -> None:
        """Check sites that were found with one sample in the first forward with several."""
        assert self._sites is not None
        self._sites.check_places(self._probe(args, kwargs, tries=False))
        self._sites.single = False

    def _use(self, sites: Sites, is_compiled: bool = False) -> None:
        if sites.hidden:
            self._complain(
                "Expected draws that can be given a key, but the forward of this model advances a "
                "generator of torch, Python or NumPy in a way that no function shows, such as in "
                "scripted code or by `numpy.random`."
            )
        is_compiled = is_compiled or any(map(_torch.is_compiled, self.model.modules()))
        if sites.unseen and is_compiled:
            names = ", ".join(sorted(sites.unseen))
            self._complain(
                f"Expected draws that can be given a key in a compiled model, got {names}, which "
                "the compiler hides."
            )
        self._sites = sites

    def key_of(self, site: SiteId) -> Key:
        """The key of a site."""
        return Key(self.key.seed, site.stream() ^ self.key.stream)

    def answer(self, site: SiteId, draw: Draw) -> Any:
        """Compute a draw with the site's key, at the place of this part of the batch."""
        if self._rehearses:
            return draw.compute(*draw.tensors, key=self.key_of(site), layout=Part(None, 0))
        number, known = site.number, self._sites
        if self.given.rows or (known is not None and known.merged):
            site = self._merged(site)
        sites = self._sites_with(site, draw)
        if sites is None:
            raise SiteError(
                f"Expected a forward of the model, got one of its part {site.path} alone: call the "
                "model first, or make a scope of that part."
            )
        found = sites.get(site)
        if found is None:
            if not self.independent:
                return self._of_forward(site, draw, "it draws in some forwards and not in others")
            raise SiteError(
                f"Expected the draws that the model had when its sites were found, got {site} "
                f"({draw.kind}). Pass sites=find_sites(model, ...) with arguments for which it "
                "draws there."
            )
        watcher = self._watcher
        problem, compiles = found.problem, is_dynamo_compiling()
        if not (problem or compiles):
            if len(watcher.sizes) != 1 and watcher.rows:
                found = fitted(draw, found, watcher.rows)
                self._check_padding(found, draw)
            problem = misfit(draw, found, watcher.rows)
        place = found.place
        batch, sequence, others = place
        if self.sequence is not None:
            if not (problem or compiles):
                problem = stretched(draw, found)
            if self.sequence[0] and (others or len(sequence) > 1):
                problem = problem or _BOTH
        if problem and self._is_divided():
            return self._of_forward(site, draw, problem)
        if batch is not None:
            folded = sequence and sequence[0].dim == batch.dim
            if watcher.numbers is not None or folded or found.rows is not None:
                return self._of_rows(site, found, draw, number)
            if batch.alternating:
                draw, place = unfolded(draw, place)
                batch, sequence, others = place
        if others:
            sequence = (*sequence, *others)
        stream = sites.streams[site]
        if compiles:
            of_step = self.key.tensor().unbind()
            key = Key(of_step[0], of_step[1] ^ stream)
            part = Part(batch, 0, sequence, 0, self._length(), key, self.places)
        else:
            start = watcher.start if watcher.numbers is None else -1  # all share the draws
            part = Part(batch, start, sequence, self._first(), self._length())
            seed, stream = self.key.seed, self.key.stream ^ stream
            if draw.plain:
                y = in_part(draw.tensors[0], draw.p, seed, stream, part)
                if y is not None:
                    return y
            self._check_vmap(site, draw)
            key = Key(seed, stream)
        return draw.finished(draw.compute(*draw.tensors, key=key, layout=part))

    def _merged(self, site: SiteId) -> SiteId:
        """The site of a draw, where all draws of a module are one."""
        found = self.given.merged(site)
        return found if self._sites is None else self._sites.of(found)

    def _of_rows(self, site: SiteId, found: Site, draw: Draw, number: int) -> Any:
        """A draw whose rows belong to samples in any order."""
        if is_dynamo_compiling():
            raise SiteError(
                f"Expected samples in order in compiled code, got others at {site} ({draw.kind})."
            )
        watcher, given = self._watcher, self.given.rows_of(site) or found.rows
        batch = found.place.batch
        assert batch is not None
        if batch.alternating and batch.dim:
            return self._of_forward(site, draw, f"the samples alternate along {batch.dim}")
        rows = rows_of(draw, found, watcher.rows, given, number, watcher.counts)
        start = watcher.start
        numbers = watcher.numbers or range(start, start + watcher.rows)
        self._check_vmap(site, draw)
        sequence, times = (*found.place.sequence, *found.place.others), 0
        if sequence and sequence[0].dim == batch.dim:  # a row for each position
            sequence, times = (), self._length()
            first = self._first()
            rows = rows._replace(places=[(sample, first + n) for sample, n in rows.places])
        part = Part(batch, 0, sequence, self._first(), self._length())
        where = numbered(rows, found, numbers, times)
        return draw.finished(in_rows(draw, rows.dim, where, self.key_of(site), part))

    def _is_divided(self) -> bool:
        """Whether a forward has a part of the samples or positions, as far as is known."""
        whole = self.batch is None and self._ranks is None and self._samples is None
        return not whole or self.sequence is not None or self._next > 0

    def _of_forward(self, site: SiteId, draw: Draw, problem: str) -> Any:
        """A draw that does not belong to one sample: an error, or that of the forward alone."""
        divided = self.batch is not None or self._ranks is not None or self._samples is not None
        if self.sequence is None:
            what = "sample each, as the batch is"
        elif not divided:
            what = "position each, as the sequence is"
        else:
            what = "sample and one position each, as the batch and the sequence are"
        self._depends(
            f"Expected draws that belong to one {what} divided, got {site} ({draw.kind}): "
            f"{problem}."
        )
        if is_dynamo_compiling():
            raise SiteError(f"Expected draws of single samples in compiled code, got {site}.")
        start = self._watcher.start
        key = self.key_of(site)
        key = key.fold_in(start) if start else key
        return draw.finished(draw.compute(*draw.tensors, key=key, layout=Part(None, 0)))

    def _depends(self, message: str) -> None:
        """Report that a sample's result depends on the rest of its batch."""
        if self.independent:
            advice = "" if "independent=False" in message else f" {_ADVICE}"
            raise SiteError(f"{message}{advice}")
        if not (self._watcher.warned or is_dynamo_compiling()):
            self._watcher.warned = True
            warnings.warn(
                f"{message} With independent=False such masks are the same only for a batch that "
                "is divided in the same way.",
                RuntimeWarning,
                stacklevel=2,
            )

    def _check_padding(self, found: Site, draw: Draw) -> None:
        """Warn once about masks that depend on the number of positions of a forward."""
        lead, shape = draw.tensors[0] if draw.aligned else None, found.shape
        watcher = self._watcher
        if lead is None or shape is None or lead.ndim != len(shape) or len(watcher.sizes) != 2:
            return
        dim = self._length_dim - (self._length_dim > self.batch_dim)
        known = {sizes[dim] for sizes in watcher.sizes if sizes and len(sizes) > dim}
        if len(known) < 2:
            return
        axis = found.place.batch
        dims = range(lead.ndim - (draw.kind == "scaled_dot_product_attention"))
        others = [d for d in dims if axis is None or d != axis.dim]
        if all(shape[d] in (1, lead.shape[d]) for d in others):
            return
        lengths = " and of ".join(map(str, sorted(known)))
        watcher.sizes.add(None)
        warnings.warn(
            f"Forwards of {lengths} positions: the masks of {found.id} and others depend on the "
            "number of positions, and so on how far a batch is padded. Pass sequence=(0, L), "
            "where L is the length of the longest sequence of all, for masks that do not.",
            RuntimeWarning,
            stacklevel=2,
        )

    def _check_vmap(self, site: SiteId, draw: Draw) -> None:
        """Refuse a draw that would be the same for the samples of a vmap, but must not be."""
        for randomness in _torch.vmap_randomness() - {"same"}:
            raise SiteError(
                "Expected randomness='same' in torch.func.vmap within a scope, as a sample has no "
                f"number there and all have one mask, got randomness={randomness!r} at {site} "
                f"({draw.kind}). Call the model with the batch."
            )

    def _sites_with(self, site: SiteId, draw: Draw) -> Sites | None:
        """The sites, including this one if the model is found to draw this way there."""
        found = None if self._sites is None else self._sites.get(site)
        if found is None or not found.is_of(draw):
            self._look_again()
        return self._sites

    def places(self) -> torch.Tensor:
        """The first sample and position of the current forward."""
        return self._starts

    def _places_from(self, start: int) -> torch.Tensor:
        return torch.tensor([start, self._first()], dtype=torch.int64)

    def _first(self) -> int:
        return 0 if self.sequence is None else self.sequence[0]

    def _length(self) -> int:
        return 0 if self.sequence is None else self.sequence[1]

    def unreached(self, site: SiteId, name: str) -> None:
        """Report a function that draws and cannot be given a key."""
        self._complain(
            f"Expected draws that can be given a key, got {name} at {site}, which draws from "
            "torch's generator."
        )

    def unseen(self, name: str) -> None:
        """Do nothing: outside compiled code the function gets its key."""

    def outside(self, name: str) -> None:
        """Leave it as it is."""

    def owned(self, site: SiteId, name: str, generator: Any) -> None:
        """Leave it as it is."""

    def _complain(self, message: str) -> None:
        if self.on_unreached == "raise":
            raise SiteError(f"{message} on_unreached='ignore' leaves it as it is.")
        if self.on_unreached == "warn" and message not in self._warned:
            self._warned.add(message)
            warnings.warn(message, RuntimeWarning, stacklevel=2)


_ADVICE = (
    "If the model moves or picks rows, pass a function that gives the sample of each in "
    "`batch_dims`; if its draws depend on the batch by design, pass independent=False."
)
_BOTH = (
    "several dimensions of its draws follow sequences, and a part of them does not show which "
    "positions it has. In attention whose queries are a part of the sequence, gather the keys and "
    "values of all parts first"
)


def _sizes(leaf: Any, dim: int) -> tuple[int, ...] | None:
    """The shape of a sample in an argument."""
    if not isinstance(leaf, torch.Tensor):
        return None
    shape = [*leaf.shape]
    del shape[dim]
    return tuple(shape)


def _numbers(name: str, given: Any) -> list[int]:
    """The numbers of samples, in a tensor, an array or a sequence.

    Raises:
        ArgumentTypeError: It is something else.
        ArgumentValueError: It is empty, or a number is negative or 2**63 or more.
    """
    what = "integers in [0, 2**63), one for each sample, in a tensor or a sequence"
    if isinstance(given, torch.Tensor) and given.dtype.is_floating_point:
        wrong_type(name, what, given)
    values = given.tolist() if hasattr(given, "tolist") else given
    if not isinstance(values, Sequence) or isinstance(values, str):
        wrong_type(name, what, given)
    if not all(map(is_integer, values)):
        wrong_type(name, what, given)
    if not values or not all(0 <= value < 2**63 for value in values):
        wrong_value(name, what, given)
    return [plain(value) for value in values]


def _refuse_to_be_compiled() -> None:
    """Raise, so that Dynamo falls back to Python, or raises with `fullgraph=True`."""
    if is_dynamo_compiling():
        raise SiteError(
            "Expected a scope to begin outside compiled code, got a function that "
            "torch.compile compiles: its draws cannot be seen."
        )


def is_in_scope(model: torch.nn.Module) -> bool:
    """Whether a scope of the model is active."""
    watcher = _WATCHERS.get(unwrapped(model))
    return watcher is not None and watcher.scope is not None


def _watcher_of(model: torch.nn.Module) -> Watcher:
    """The watcher of a model, the same in all its scopes."""
    if model not in _WATCHERS:
        _WATCHERS[model] = new_watcher()
    return _WATCHERS[model]


def _check_range(name: str, value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    what = "(start, total) with 0 <= start < total <= 2**63, or None"
    if not (isinstance(value, tuple) and len(value) == 2 and all(map(is_integer, value))):
        wrong_type(name, what, value)
    if not 0 <= value[0] < value[1] <= 2**63:
        wrong_value(name, what, value)
    return plain(value[0]), plain(value[1])
