"""`MCDropout`: the predictions of a model with its dropout on, and how much they differ."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any, Literal, NamedTuple

import torch

from ..._core import _torch
from ..._core._validate import check_bool, check_count, check_unsigned, got, wrong_type, wrong_value
from ...errors import ArgumentTypeError, ArgumentValueError, SiteError
from ...random import Key
from ..scope.interface import (
    BatchDims,
    Shared,
    batch_size,
    is_in_scope,
    is_out_of_memory,
    is_packed,
    shared_leaves,
    unwrapped,
)
from ._batch import Batch
from ._choice import Patterns, check_choice
from ._halving import halving
from ._layout import Layout
from ._output import Selector, select_output
from ._passes import Expansion, Passes
from ._plan import (
    OnUnreached,
    Plan,
    check_model,
    check_no_scope,
    check_plan,
    find_plan,
    following,
)
from ._result import Result, Task, check_index
from ._statistics import ClassificationStatistics, RegressionStatistics

Strategy = Literal["auto", "expand", "repeat", "loop"]

# Elements that an operator may return in one forward, if max_batch is not given. On a CPU more
# than fits into its caches makes a forward slower, row for row; elsewhere it is a bound on memory.
_ELEMENTS_CPU = 2**21
_ELEMENTS = 2**28
_FEW = 8  # rows of a forward to measure; passes of a loop whose outputs are kept together

_STATISTICS: Mapping[Task, Any] = {
    "classification": ClassificationStatistics,
    "regression": RegressionStatistics,
}


class _Batching(NamedTuple):
    """How passes are computed, and how many of a batch share a forward."""

    strategy: str
    passes: int
    expansion: Expansion | None = None  # where "expand" makes the passes; None for the first draw

    @property
    def place(self) -> tuple[str, str | None]:
        """The strategy, and the path of the module that makes the passes."""
        return self.strategy, self.expansion and self.expansion.path

    @property
    def expands(self) -> bool:
        return self.strategy == "expand" and self.passes > 1


class MCDropout:
    """Predict with dropout on: T passes over each input, as streamed statistics.

    The model stays in eval. In each pass its dropout is turned on, and nothing else: `plan` says
    where, and proves it. Pass t over input i has masks that are a function of (seed, t, site,
    i): the same for any batch size, number of passes in a forward, order and device.

    Args:
        model: In eval.
        n_samples: The number of passes T.
        seed: In [0, 2**64), or a `Key`.
        task: "classification" or "regression".
        include: Patterns, as of the shell, of the paths whose dropout is on; by default all.
        exclude: Patterns of those whose dropout is off.
        p: Another drop probability, for all sites or by pattern.
        masks: "per-input", or "shared": one mask per pass for all inputs.
        strategy: "loop" runs the model once per pass; "repeat" on several repetitions of the batch;
            "expand" on the batch, from which the first draw, or a module around it, makes the
            repetitions, so that what comes before it is computed once. "auto" chooses the fastest
            of them that gives the same result.
        max_batch: The most rows in a forward, inputs times passes; by default as many as
            suit the largest result of an operator: 8 MB on a CPU, 1 GB elsewhere (float32). To find
            the sites, the model runs on two and three inputs whatever its value.
        batch_dim: The dimension of the inputs in the arguments, and in the output, whose first
            dimension it is if the output has another number of rows there. In a result the
            inputs come first.
        shared: The arguments that all inputs share: names of the forward's parameters, and numbers
            of its `*args`. By default an argument with as many rows as there are
            inputs has one for each, unless the forward fails only with that reading; if nothing
            shows it, that is an error.
        batch_dims: As in `plan`.
        sequence: `(0, length)`, with the length of the longest sequence of the data set, for masks
            that do not depend on how far a batch is padded.
        sequence_dim: The dimension of the positions in the arguments.
        independent: False for a model in which what an input gets depends on the rest of its batch
            by design: a warning instead of an error.
        keep_samples: Keep the output of each pass, for `Result.samples` and `quantiles`.
        on_unreached: What to do if a draw cannot be reached or something other than dropout
            changes: "raise", "warn" or "ignore".
        output: Selects the tensor that is the prediction; see `select_output`.
        statistics: Further arguments of `ClassificationStatistics` or `RegressionStatistics`. A
            `target` is that of the data set: input i has `target[i]`.

    Raises:
        ArgumentTypeError: An argument has a type that is not accepted.
        ArgumentValueError: An argument has a value that is not accepted; the model is in training.

    Example:
        >>> import torch
        >>> from torchdropout import mc
        >>> _ = torch.manual_seed(0)
        >>> model = torch.nn.Sequential(
        ...     torch.nn.Linear(4, 16), torch.nn.Dropout(0.5), torch.nn.Linear(16, 3)
        ... ).eval()
        >>> predictor = mc.MCDropout(model, n_samples=50, seed=0)
        >>> x = torch.randn(6, 4)
        >>> r = predictor(x)
        >>> r.mean.shape, r.mutual_information.shape
        (torch.Size([6, 3]), torch.Size([6]))
        >>> torch.allclose(r.mean[4:], predictor(x[4:], index=4).mean)
        True

    Reference:
        Y. Gal and Z. Ghahramani, "Dropout as a Bayesian approximation: representing model
        uncertainty in deep learning", ICML 2016.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        n_samples: int = 100,
        *,
        seed: int | Key = 0,
        task: Task = "classification",
        include: Patterns = None,
        exclude: Patterns = None,
        p: float | Mapping[str, float] | None = None,
        masks: Literal["per-input", "shared"] = "per-input",
        strategy: Strategy = "auto",
        max_batch: int | None = None,
        batch_dim: int = 0,
        shared: Shared | None = None,
        batch_dims: BatchDims | None = None,
        sequence: tuple[int, int] | None = None,
        sequence_dim: int = 1,
        independent: bool = True,
        keep_samples: bool = False,
        on_unreached: OnUnreached = "raise",
        output: Selector | None = None,
        **statistics: Any,
    ) -> None:
        with _turn_of(model) if isinstance(model, torch.nn.Module) else contextlib.nullcontext():
            check_model(model)
        for name, given, words in (
            ("task", task, ("classification", "regression")),
            ("masks", masks, ("per-input", "shared")),
            ("strategy", strategy, ("auto", "expand", "repeat", "loop")),
            ("on_unreached", on_unreached, ("raise", "warn", "ignore")),
        ):
            if given not in words:
                wrong_value(name, " or ".join(map(repr, words)), given)
        self.model = model
        self.n_samples = check_count("n_samples", n_samples)
        self.key = seed if isinstance(seed, Key) else Key(check_unsigned("seed", seed, 64))
        self.task: Task = task
        check_choice(include, exclude, p)
        self.include, self.exclude, self.p = include, exclude, p
        self.masks = masks
        self.strategy = strategy
        self.max_batch = None if max_batch is None else check_count("max_batch", max_batch)
        self.layout = Layout.of(batch_dim, shared, batch_dims, sequence, sequence_dim, independent)
        self.keep_samples = check_bool("keep_samples", keep_samples)
        self.on_unreached: OnUnreached = on_unreached
        self.output = output
        self._options = statistics
        self._check_options()
        self._statistics()  # it raises its errors now, not after the first forward
        self._plan: Plan | None = None
        self._batchings: dict[Any, _Batching] = {}  # by the kind of a batch
        self._refused: dict[Any, set[Any]] = {}  # the ways that failed for it
        self._most = self.max_batch  # inputs of a forward, fewer after out-of-memory errors

    def __repr__(self) -> str:
        return (
            f"MCDropout({type(self.model).__name__}, n_samples={self.n_samples}, seed={self.key}, "
            f"task={self.task!r}, strategy={self.strategy!r})"
        )

    # --- One batch -------------------------------------------------------------------------------

    def __call__(self, *args: Any, index: Any = None, **kwargs: Any) -> Result:
        """The statistics of the passes over a batch.

        Args:
            args: Arguments of the model's forward.
            index: Which inputs of the data set these are, since masks depend on it: the index of
                the first, or one for each; 0 and on by default.
            kwargs: Arguments of the forward, by name; pass one that is called `index` by
                position.

        Raises:
            ArgumentTypeError: index is not an integer or integers.
            ArgumentValueError: The model is in training; no argument has a batch; index does not
                name the inputs; the model has no dropout that can be on; nothing shows whether all
                inputs share an argument, and there is no `shared`.
            SiteError: As `on_unreached` says; what an input gets depends on the rest of its batch,
                and `independent` is True.
        """
        # If compiled, the passes would be computed without their draws.
        found: Result = _torch.in_python(self._call)(args, kwargs, index)
        return found

    @torch.no_grad()
    def _call(self, args: Any, kwargs: Any, index: Any) -> Result:
        with _turn_of(self.model):
            return self._result(args, kwargs, index)

    def _result(self, args: Any, kwargs: Any, index: Any) -> Result:
        if is_in_scope(self.model):
            raise ArgumentValueError(
                "Expected no scope of this model to be active, got a call of MCDropout within one."
            )
        check_model(self.model)
        inner = unwrapped(self.model)
        skipped = shared_leaves(inner, args, kwargs, self.layout.shared or ())
        size = batch_size(args, kwargs, self.layout.batch_dim, skipped)
        if not size:
            dim = self.layout.batch_dim
            expected = f"a tensor among them with one or more inputs along dimension {dim}"
            if any(isinstance(given, Mapping) for given in args):
                expected += " (give the arguments in a mapping as **mapping)"
            wrong_value("args", expected, args)
        numbers = check_index(index, size, torch.device("cpu"))
        found = self._plan
        if found is None or (found.found.single and size > 1):
            self._plan = self._planned(args, kwargs)
            if found is not None:
                found.found.check_places(self._plan.found)
        assert self._plan is not None
        only = following(self._plan, inner, args, kwargs, self.layout.batch_dim, size)
        batch = Batch(args, kwargs, self.layout.batch_dim, size, only)
        parts = []
        for start, end in _runs(numbers.tolist()):
            while start < end:
                most = end - start if self._most is None else min(self._most, end - start)

                def run(count: int, start: int = start) -> Result:
                    of_run = numbers[start : start + count]
                    statistics = self._statistics(of_run)
                    self._update(statistics, batch.part(start, start + count), int(of_run[0]))
                    found: Result = statistics.result(of_run)
                    return found

                # After the passes of a forward: not even one pass of the whole batch fits.
                count, result = halving(run, most, "inputs")
                if count < most:
                    self._most = count
                parts.append(result)
                start += count
        return parts[0] if len(parts) == 1 else Result.cat(parts)

    def plan(self, *args: Any, **kwargs: Any) -> Plan:
        """The plan, found with the first batch, or with this one."""
        if self._plan is None:
            with _turn_of(self.model):
                self._plan = self._planned(args, kwargs)
        return self._plan

    def _planned(self, args: Any, kwargs: Any) -> Plan:
        check_model(self.model)
        check_no_scope(self.model)
        found = find_plan(
            self.model,
            args,
            kwargs,
            self.include,
            self.exclude,
            self.p,
            self.layout,
            self.max_batch,
        )
        for name in found.undecided:  # parts of a batch would take parts of it
            expected = (
                f"({name!r},) if all inputs share that argument, ({found.first!r},) if they share "
                "that one, and () if they share neither, as nothing shows which"
            )
            wrong_value("shared", expected, self.layout.shared)
        check_plan(found, self.on_unreached, self.layout.independent)
        return found

    def _check_options(self) -> None:
        known = list(inspect.signature(_STATISTICS[self.task]).parameters)
        for name in self._options:
            if name not in known:
                raise ArgumentTypeError(
                    "Expected further arguments of MCDropout to be those of "
                    f"{_STATISTICS[self.task].__name__} for task={self.task!r} "
                    f"({', '.join(known)}), {got(name, self._options[name])}."
                )

    def _statistics(self, numbers: torch.Tensor | None = None) -> Any:
        options = self._options
        target = options.get("target")
        if numbers is not None and isinstance(target, torch.Tensor):
            if not target.ndim or int(numbers.max()) >= len(target):
                wrong_value("target", f"of each input, up to number {int(numbers.max())}", target)
            options = {**options, "target": target[numbers.to(target.device)]}
        return _STATISTICS[self.task](keep_samples=self.keep_samples, **options)

    def _update(self, statistics: Any, batch: Batch, index: int) -> None:
        """Give the outputs of all passes to the statistics, in chunks `(n, B, ...)`."""
        kind, first = batch.kind(), 0
        while first < self.n_samples:
            how = self._batching_of(kind, batch, index)
            with self._passes(index, how, first) as scope:
                while first < self.n_samples:
                    wanted = min(how.passes, self.n_samples - first)

                    def run(
                        count: int, how: _Batching = how, scope: Passes = scope
                    ) -> torch.Tensor:
                        return self._run(scope, batch, how._replace(passes=count))

                    least = wanted if how.strategy == "loop" else 1
                    try:
                        count, outputs = halving(run, wanted, "passes", least)
                    except Exception as error:
                        if not self._has_slower(how, error):
                            raise
                        self._refused.setdefault(kind, set()).add(how.place)
                        del self._batchings[kind]
                        break
                    if count < wanted:
                        how = self._batchings[kind] = how._replace(passes=count)
                    statistics.update(outputs)
                    first += count

    def _has_slower(self, how: _Batching, error: Exception) -> bool:
        """Whether passes that failed in this way may succeed in a slower one."""
        if self.strategy != "auto" or how.strategy == "loop":
            return False
        return not is_out_of_memory(error)

    def _passes(self, index: int, how: _Batching, first: int = 0) -> Passes:
        assert self._plan is not None
        return Passes(
            self.model,
            self._plan,
            self.key,
            first=first,
            index=index,
            alike=self.masks == "shared",
            expand=how.expands,
            expansion=how.expansion,
            layout=self.layout,
        )

    def _run(self, scope: Passes, batch: Batch, how: _Batching) -> torch.Tensor:
        """The outputs of the next passes, `(count, B, ...)`."""
        count, loops = how.passes, how.strategy == "loop"
        scope.count = 1 if loops else count
        scope.expand = how.expands
        given = batch if how.expands or loops else batch.repeated(count)
        times = count if loops else 1
        found = [select_output(given(self.model), self.output) for _ in range(times)]
        if not (scope.expanded and scope.drew):
            raise SiteError(
                "Expected a model that draws as it did when it was planned, got no draw: plan it "
                "again by another MCDropout."
            )
        rows = batch.size if loops else count * batch.size
        found = [y.movedim(self._dim_of(y, rows), 0) for y in found]
        if loops:
            return torch.stack(found)
        apart: torch.Tensor = found[0].unflatten(0, (count, batch.size))
        return apart

    def _dim_of(self, y: torch.Tensor, rows: int) -> int:
        """The dimension of the inputs in an output: that of the arguments, or else the first."""
        dims = dict.fromkeys((self.layout.batch_dim, 0))
        for dim in dims:
            if y.ndim > dim and y.shape[dim] == rows:
                return dim
        where = " or ".join(map(str, dims))
        raise SiteError(
            f"Expected an output of {rows} inputs along dimension {where}, got one of shape "
            f"{tuple(y.shape)}."
        )

    # --- How -------------------------------------------------------------------------------------

    def _batching_of(self, kind: Any, batch: Batch, index: int) -> _Batching:
        if kind not in self._batchings:
            self._batchings[kind] = self._choose(batch, index, self._refused.get(kind, set()))
        return self._batchings[kind]

    def _choose(self, batch: Batch, index: int, refused: Set[Any]) -> _Batching:
        few = self.max_batch is not None and self.max_batch < 2 * batch.size
        if few or self.n_samples == 1:
            return _Batching("loop" if self.strategy == "auto" else self.strategy, 1)
        for how in itertools.chain(self._quicker(batch, index, refused), [_Batching("loop", 1)]):
            try:
                most = self._that_fit(batch, index, how)
                break
            except Exception as error:
                if not self._has_slower(how, error):
                    raise
        chunks = -(-self.n_samples // max(1, most))
        return how._replace(passes=-(-self.n_samples // chunks))

    def _quicker(self, batch: Batch, index: int, refused: Set[Any]) -> Iterator[_Batching]:
        """The ways that give the samples of the loop, those that save most first.

        They are tried with two inputs; once one has failed, with the whole batch.
        """
        if self.strategy == "loop":
            return
        if self.strategy == "repeat":
            yield _Batching("repeat", 2)
            return
        few = batch if refused else batch.part(0, min(2, batch.size))
        _, expected = self._try(few, index, _Batching("loop", 2))
        ways = [
            _Batching("expand", 2),
            *(_Batching("expand", 2, expansion) for expansion in self._expansions()),
        ]
        for how in ways if self.strategy == "expand" else [*ways, _Batching("repeat", 2)]:
            if how.place in refused:
                continue
            try:
                expansion, found = self._try(few, index, how)
            except Exception:  # the model fails if rows are repeated there
                continue
            if _alike(expected, found):
                yield how._replace(expansion=expansion)
        if self.strategy == "expand":
            yield _Batching("expand", 2)

    def _expansions(self) -> list[Expansion]:
        """The modules around the first draw, the innermost first, without the model itself."""
        assert self._plan is not None
        path = next((site.path for site in self._plan.sites if site.selected), "")
        names = path.split(".") if path else []
        return [Expansion(".".join(names[:n])) for n in range(len(names), 0, -1)]

    def _try(
        self, batch: Batch, index: int, how: _Batching
    ) -> tuple[Expansion | None, torch.Tensor]:
        """Some passes from the first on, and what was learnt about the module that makes them."""
        with self._passes(index, how) as scope:
            found = self._run(scope, batch, how)
        return scope.expansion, found

    def _that_fit(self, batch: Batch, index: int, how: _Batching) -> int:
        """How many passes fit into a forward: the part before them has one size for any number."""
        if self.max_batch is not None:
            return self.max_batch // batch.size
        if how.strategy == "loop":
            return _FEW
        few = batch.part(0, min(2, batch.size))  # norms without statistics refuse one

        def measured(count: int) -> tuple[int, torch.Tensor]:
            passes = how._replace(passes=count)
            with self._passes(index, passes) as scope, _Largest(scope) as largest:
                scope.unobserved = largest.paused  # in blocks of a size independent of the passes
                y = self._run(scope, few, passes)
            return largest.size, y

        wanted = min(max(1, _FEW // few.size), self.n_samples)
        count, (largest, y) = halving(measured, wanted, "passes")
        elements = _ELEMENTS_CPU if y.device.type == "cpu" else _ELEMENTS
        return elements // int(max(1, largest // (count * few.size)) * batch.size)

    # --- A data set ------------------------------------------------------------------------------

    def stream(self, loader: Iterable[Any], *, progress: bool = False) -> Iterator[Result]:
        """The result of each batch of a loader, whose inputs are numbered as they come.

        Batches are moved to the device of the model, if it is on one.

        Args:
            loader: Yields tensors, mappings (arguments by name), or tuples that begin with one of
                these.
            progress: Show a bar (with tqdm, if it is installed).

        Raises:
            ArgumentTypeError: It is not iterable, it is itself one batch, or an item is something
                else.
        """
        if not isinstance(loader, Iterable) or isinstance(loader, (torch.Tensor, Mapping)):
            expected = "an iterable of batches (the predictor itself is called with one batch)"
            wrong_type("loader", expected, loader)
        index, device = 0, _device_of(self.model)
        for item in _with_progress(loader, progress):
            args, kwargs = _moved(_arguments(item), device)
            result = self(*args, index=index, **kwargs)
            index += len(result)
            yield result

    def predict(self, loader: Iterable[Any], *, progress: bool = False) -> Result:
        """The result over all batches of a loader; arguments and errors of `stream`.

        Raises:
            ArgumentValueError: The loader has no batch.
        """
        results = [*self.stream(loader, progress=progress)]
        if not results:
            wrong_value("loader", "an iterable of one batch or more", loader)
        return Result.cat(results)

    def predict_proba(self, X: Any) -> Any:  # noqa: N803 - scikit-learn's name
        """The mean probabilities `(B, C)` as a NumPy array, as scikit-learn's estimators do.

        Args:
            X: A tensor, an array, a data frame or nested sequences of numbers. Floating-point
                numbers get the dtype of the model.

        Raises:
            ArgumentTypeError: X is something else.
            ArgumentValueError: The task is not a classification.
        """
        if self.task != "classification":
            wrong_value("task", "'classification' for probabilities", self.task)
        try:
            x = torch.as_tensor(X if not hasattr(X, "__array__") else X.__array__())
        except (TypeError, ValueError, RuntimeError):
            wrong_type("X", "a tensor, an array or sequences of numbers", X)
        like = next(iter(self.model.parameters()), None)
        if like is not None:
            x = x.to(like.device, like.dtype if x.is_floating_point() else None)
        return self(x).mean.cpu().numpy()


class _Largest(_torch.OperatorMode):
    """Notes the size of the largest result of an operator that computes several passes."""

    def __init__(self, scope: Passes) -> None:
        super().__init__()
        self.scope, self.size = scope, 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        is_view = any(result.alias_info for result in func._schema.returns)  # e.g. of a weight
        if self.scope.expanded and not is_view:
            for leaf in _torch.tree.tree_leaves(found):
                if isinstance(leaf, torch.Tensor):
                    self.size = max(self.size, leaf.numel())
        return found


def _runs(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """Runs of consecutive numbers, which may share a forward."""
    start = 0
    for i in range(1, len(numbers) + 1):
        if i == len(numbers) or numbers[i] != numbers[i - 1] + 1:
            yield start, i
            start = i


def _alike(expected: torch.Tensor, found: torch.Tensor) -> bool:
    """Equal up to the rounding of larger matrix products."""
    if expected.shape != found.shape or expected.dtype != found.dtype:
        return False
    if not expected.is_floating_point():
        return torch.equal(expected, found)
    slack = 1e3 * torch.finfo(expected.dtype).eps
    return torch.allclose(expected, found, rtol=slack, atol=slack, equal_nan=True)


def _arguments(item: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(item, torch.Tensor):
        return (item,), {}
    if isinstance(item, Mapping):
        return (), dict(item)
    if isinstance(item, (tuple, list)) and item and isinstance(item[0], (torch.Tensor, Mapping)):
        return _arguments(item[0])
    return wrong_type("loader", "one of tensors, mappings or tuples that begin with one", item)


def _device_of(model: torch.nn.Module) -> torch.device | None:
    """The device of a model's parameters and buffers; None if they have several, or no data."""
    found = {t.device for t in (*model.parameters(), *model.buffers())}
    # Weights that are loaded when they are used are meta tensors until then.
    return found.pop() if len(found) == 1 and found != {torch.device("meta")} else None


def _moved(arguments: Any, device: torch.device | None) -> Any:
    def moved(leaf: Any) -> Any:
        return leaf.to(device) if isinstance(leaf, torch.Tensor) or is_packed(leaf) else leaf

    return (
        arguments if device is None else _torch.tree.tree_map(moved, arguments, is_leaf=is_packed)
    )


def _with_progress(loader: Iterable[Any], progress: bool) -> Iterable[Any]:
    if not check_bool("progress", progress):
        return loader
    try:
        from tqdm.auto import tqdm
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("progress=True needs tqdm: pip install tqdm") from error
    found: Iterable[Any] = tqdm(loader)
    return found


_LOCKS: weakref.WeakKeyDictionary[torch.nn.Module, Any] = weakref.WeakKeyDictionary()
_ONE_AT_A_TIME = threading.Lock()


@contextlib.contextmanager
def _turn_of(model: torch.nn.Module) -> Iterator[None]:
    """Make threads that predict with one model wait for one another."""
    with _ONE_AT_A_TIME:
        lock = _LOCKS.setdefault(model, threading.RLock())
    with lock:
        yield
