"""Statistics over stochastic passes, streamed: memory does not grow with their number.

An accumulator holds a state, a chunk of passes makes another, and two states sum to one: the same
addition serves a new chunk and the merging of accumulators. All is summed in float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeVar

import torch

from ..._core._validate import (
    REAL,
    check_bool,
    check_number,
    got,
    is_integer,
    wrong_type,
    wrong_value,
)
from ...errors import ArgumentTypeError, ArgumentValueError
from ._result import Index, Result, check_index

if TYPE_CHECKING:
    from typing_extensions import Self

OutputKind = Literal["logits", "probabilities"]


class _Kind(NamedTuple):
    """The properties that all chunks share."""

    shape: tuple[int, ...]  # of the output of one pass
    dtype: torch.dtype
    device: torch.device


@dataclass(frozen=True)
class _Moments:
    """The number, mean and sum of squared deviations of some passes."""

    count: int
    mean: torch.Tensor
    squares: torch.Tensor

    @staticmethod
    def of(chunk: torch.Tensor) -> _Moments:
        mean = chunk.mean(0)
        return _Moments(len(chunk), mean, (chunk - mean).square_().sum(0))

    def __add__(self, other: _Moments) -> _Moments:
        """Chan, Golub and LeVeque's pairwise update: no large numbers are subtracted."""
        count = self.count + other.count
        delta = other.mean - self.mean
        mean = self.mean + delta * (other.count / count)
        squares = delta.square() * (self.count * (other.count / count))
        return _Moments(count, mean, squares.add_(self.squares).add_(other.squares))

    @property
    def variance(self) -> torch.Tensor:
        return self.squares / self.count


@dataclass(frozen=True)
class _Classes:
    moments: _Moments
    entropy: torch.Tensor  # summed over the passes
    votes: torch.Tensor  # passes that predict each class

    def __add__(self, other: _Classes) -> _Classes:
        return _Classes(
            self.moments + other.moments,
            self.entropy + other.entropy,
            self.votes + other.votes,
        )


@dataclass(frozen=True)
class _Values:
    moments: _Moments
    noise: torch.Tensor | None  # its variance, summed over the passes
    density: torch.Tensor | None  # the logarithm of the sum of the densities of the target

    def __add__(self, other: _Values) -> _Values:
        noise = density = None
        if self.noise is not None and other.noise is not None:
            noise = self.noise + other.noise
        if self.density is not None and other.density is not None:
            density = torch.logaddexp(self.density, other.density)
        return _Values(self.moments + other.moments, noise, density)


_State = TypeVar("_State", _Classes, _Values)


class _Statistics(Generic[_State]):
    """The part that both tasks share: the state, the kept samples and the running means."""

    def __init__(self, keep_samples: Any, record_means: Any) -> None:
        self.keep_samples = check_bool("keep_samples", keep_samples)
        self.record_means = check_bool("record_means", record_means)
        self._kind: _Kind | None = None
        self._state: _State | None = None
        self._samples: list[torch.Tensor] = []
        self._running: list[tuple[int, torch.Tensor]] = []

    @property
    def n_samples(self) -> int:
        """The number of passes so far."""
        return 0 if self._state is None else self._state.moments.count

    def _settings(self) -> dict[str, Any]:
        """The settings that two accumulators must share to be merged."""
        return {"keep_samples": self.keep_samples, "record_means": self.record_means}

    def merge(self, other: Self) -> Self:
        """Add the passes of another accumulator over the same inputs, which is not changed.

        The order in which chunks are added and merged changes nothing except rounding, and the
        order of kept samples.

        Args:
            other: One with the same settings, and outputs of the same shape, dtype and device.

        Returns:
            This accumulator.

        Raises:
            ArgumentTypeError: It is not an accumulator of the same class.
            ArgumentValueError: Its settings or its outputs differ.
        """
        if type(other) is not type(self):
            wrong_type("other", f"a {type(self).__name__}", other)
        for name, mine in self._settings().items():
            theirs = other._settings()[name]
            if not _equal(mine, theirs):
                raise ArgumentValueError(
                    f"Expected `other` to have the same {name}, {mine!r}, got {theirs!r} "
                    f"({type(theirs).__name__})."
                )
        if other._state is not None:
            assert other._kind is not None
            self._fits(other._kind)
            if self._state is not None:
                self._check_states(self._state, other._state)
            self._add(other._kind, other._state, other._samples)
        return self

    def _check_states(self, mine: _State, theirs: _State) -> None:
        """Whether two states have the same parts, apart from the settings."""

    def _fits(self, kind: _Kind) -> None:
        if self._kind is not None:
            names = ("shape of one pass", "dtype", "device")
            for name, mine, theirs in zip(names, self._kind, kind, strict=True):
                if mine != theirs:
                    raise ArgumentValueError(
                        f"Expected all passes to have the same {name}, {mine}, got {theirs} "
                        f"({type(theirs).__name__})."
                    )

    def _add(self, kind: _Kind, state: _State, samples: list[torch.Tensor]) -> None:
        total = state if self._state is None else self._state + state
        self._kind, self._state = kind, total
        if self.keep_samples:
            self._samples += samples
        if self.record_means:
            moments = total.moments
            self._running.append((moments.count, moments.mean.to(_narrow(kind.dtype))))

    def _check_chunk(self, outputs: Any, least: int) -> _Kind:
        """The kind of a chunk `(n, B, ...)`, which fits those before it."""
        if not isinstance(outputs, torch.Tensor):
            wrong_type("outputs", "a tensor (select_output takes it from a tuple or dict)", outputs)
        if outputs.dtype not in REAL:
            wrong_type("outputs", "a floating-point tensor of 16 bits or more", outputs)
        if outputs.ndim < least or not len(outputs):
            expected = "of shape (n, B, ...), n passes of 1 or more over B inputs"
            if least == 3:
                expected += ", with a dimension of classes"
            wrong_value("outputs", expected, outputs)
        kind = _Kind(tuple(outputs.shape[1:]), outputs.dtype, outputs.device)
        self._fits(kind)
        return kind

    def _result(
        self, task: Literal["classification", "regression"], index: Index, class_dim: int | None
    ) -> tuple[Result, dict[str, torch.Tensor]]:
        """A result without the task's own values, and the dictionary that takes them."""
        if self._state is None:
            raise ArgumentValueError("Expected at least one pass, got 0 passes: call `update`.")
        assert self._kind is not None
        moments = self._state.moments
        dtype = _narrow(self._kind.dtype)
        values = {"mean": moments.mean.to(dtype, copy=True), "spread": moments.variance.to(dtype)}
        if self.keep_samples:
            values["samples"] = torch.cat(self._samples)
        place = check_index(index, self._kind.shape[0], self._kind.device)
        running = tuple(self._running)
        return Result(task, moments.count, place, class_dim, running, values), values


class ClassificationStatistics(_Statistics[_Classes]):
    """Accumulate the statistics of stochastic passes of a classifier.

    With the probabilities `p[t] = softmax(outputs[t])` of T passes:

    - `mean = sum_t p[t] / T`
    - `predictive_entropy = H = -sum_c mean[c] log mean[c]`
    - `expected_entropy = E = sum_t (-sum_c p[t, c] log p[t, c]) / T`
    - `mutual_information = max(H - E, 0)`
    - `variation_ratio = 1 - max_c votes[c] / T`, with the passes whose most probable class is c

    Everything is computed and summed in float64, the variance by Chan's update, and rounded once:
    to float64 for outputs in float64, else to float32. The state has the size of one pass. If a
    pass is NaN, the statistics of that input are NaN. No gradient is kept.

    Args:
        outputs: Whether the outputs are "logits" or "probabilities". Probabilities are divided by
            their sum, which for outputs of 16 bits is only nearly 1.
        class_dim: The dimension of the classes in the output `(B, ...)` of one pass; 1 as in
            `torch.nn.functional.cross_entropy`, -1 if the classes come last.
        keep_samples: Keep the probabilities of each pass, for `Result.samples` and `quantiles`.
        record_means: Keep the mean after each update, for `plot.convergence`.

    Shape:
        Updates: `(n, B, ...)`, n passes over B inputs; with C classes, for example `(n, B, C)`, or
        `(n, B, C, H, W)`. Entropies have the shape `(B, ...)` without the classes.

    Raises:
        ArgumentTypeError: An argument has the wrong type.
        ArgumentValueError: outputs is neither word, or class_dim is 0, the dimension of the batch.

    Example:
        >>> import torch
        >>> statistics = ClassificationStatistics()
        >>> generator = torch.Generator().manual_seed(0)
        >>> for _ in range(4):  # chunks of 5 passes over 3 inputs with 10 classes
        ...     _ = statistics.update(torch.randn(5, 3, 10, generator=generator))
        >>> r = statistics.result()
        >>> r.n_samples, r.mean.shape, r.predictive_entropy.shape
        (20, torch.Size([3, 10]), torch.Size([3]))

    Reference:
        As `Result`; T. F. Chan, G. H. Golub and R. J. LeVeque, "Algorithms for computing the sample
        variance", The American Statistician 37 (1983).
    """

    def __init__(
        self,
        *,
        outputs: OutputKind = "logits",
        class_dim: int = 1,
        keep_samples: bool = False,
        record_means: bool = False,
    ) -> None:
        super().__init__(keep_samples, record_means)
        if not isinstance(outputs, str):
            wrong_type("outputs", "'logits' or 'probabilities'", outputs)
        if outputs not in ("logits", "probabilities"):
            wrong_value("outputs", "'logits' or 'probabilities'", outputs)
        if not is_integer(class_dim):
            wrong_type("class_dim", "an integer, the dimension of the classes", class_dim)
        if class_dim == 0:
            wrong_value("class_dim", "a dimension other than 0, that of the batch", class_dim)
        self.outputs, self.class_dim = outputs, class_dim

    def _settings(self) -> dict[str, Any]:
        return {**super()._settings(), "outputs": self.outputs, "class_dim": self.class_dim}

    def update(self, outputs: torch.Tensor) -> Self:
        """Add a chunk of passes.

        Args:
            outputs: Logits or probabilities, `(n, B, ...)`, with the classes in `class_dim`.

        Returns:
            This accumulator.

        Raises:
            ArgumentTypeError: It is not a floating-point tensor of 16 bits or more.
            ArgumentValueError: It has no pass, fewer than 2 classes, another shape, dtype or device
                than before, or values that are not probabilities with outputs="probabilities".
        """
        kind = self._check_chunk(outputs, 3)
        dim = self._dim(len(kind.shape))
        if kind.shape[dim] < 2:
            expected = (
                f"2 classes or more in dimension {self.class_dim} of one pass; for one logit z of "
                "two classes pass torch.stack([torch.zeros_like(z), z], 1)"
            )
            wrong_value("outputs", expected, outputs)
        p = self._probabilities(outputs.detach(), dim)
        # (n, B, ...) without the classes, its passes moved to where one pass has the classes.
        winners = p.argmax(dim + 1).movedim(0, dim)
        votes = torch.zeros(kind.shape, dtype=torch.int64, device=kind.device)
        votes.scatter_add_(dim, winners, torch.ones_like(winners))
        entropy = torch.special.entr(p).sum((0, dim + 1))
        samples = [p.to(_narrow(kind.dtype))] if self.keep_samples else []
        self._add(kind, _Classes(_Moments.of(p), entropy, votes), samples)
        return self

    def _dim(self, ndim: int) -> int:
        dim = self.class_dim + ndim if self.class_dim < 0 else self.class_dim
        if not 0 < dim < ndim:
            wrong_value("class_dim", f"one of the dimensions 1 to {ndim - 1}", self.class_dim)
        return dim

    def _probabilities(self, outputs: torch.Tensor, dim: int) -> torch.Tensor:
        wide = outputs.double()
        if self.outputs == "logits":
            return wide.softmax(dim + 1)
        total = wide.sum(dim + 1, keepdim=True)
        slack = 2e-2 if outputs.dtype in (torch.float16, torch.bfloat16) else 1e-3
        # Written so that NaN, which a pass may return, is not refused.
        if bool((wide < 0).any()) or bool(((total - 1).abs() > slack).any()):
            low, sums = wide.min().item(), (total.min().item(), total.max().item())
            expected = f"probabilities, which sum to 1 over dimension {self.class_dim} of one pass"
            raise ArgumentValueError(
                f"Expected `outputs` to be {expected}, got a least value of {low:.4g} and sums "
                f"from {sums[0]:.4g} to {sums[1]:.4g} (Tensor): for logits pass outputs='logits'."
            )
        return wide / total

    def result(self, index: Index = None) -> Result:
        """Return the statistics of the passes so far; more may follow.

        Args:
            index: Which inputs of the data set these are: the index of the first, or one for each;
                0 to B - 1 if None.

        Raises:
            ArgumentTypeError: index is not an integer or integers.
            ArgumentValueError: There was no pass, or index does not name B different inputs.
        """
        dim = self._dim(len(self._kind.shape)) if self._kind else None
        result, values = self._result("classification", index, dim)
        state, dtype = self._state, result.mean.dtype
        assert state is not None
        assert dim is not None
        predictive = torch.special.entr(state.moments.mean).sum(dim)
        expected = state.entropy / state.moments.count
        ratio = 1 - state.votes.amax(dim).double() / state.moments.count
        values["predictive_entropy"] = predictive.to(dtype)
        values["expected_entropy"] = expected.to(dtype)
        values["mutual_information"] = (predictive - expected).clamp_(min=0).to(dtype)
        values["variation_ratio"] = ratio.where(~predictive.isnan(), predictive).to(dtype)
        return result


class RegressionStatistics(_Statistics[_Values]):
    """Accumulate the statistics of stochastic passes of a regression.

    With the outputs `y[t]` of T passes, and the variance of the noise `s2[t]`, which is
    `1 / precision` or was predicted by the model:

    - `mean = sum_t y[t] / T`
    - `epistemic_variance = sum_t (y[t] - mean)**2 / T`
    - `aleatoric_variance = sum_t s2[t] / T`
    - `variance = epistemic_variance + aleatoric_variance`
    - `log_density = log(sum_t prod_d N(target[d]; y[t, d], s2[t, d]) / T)`

    The density of an input is the joint one of all its d outputs. Everything is computed and summed
    in float64, the variance by Chan's update, and rounded once: to float64 for outputs in float64,
    else to float32. The state has the size of one pass. If a pass is not finite, the statistics
    are NaN. No gradient is kept.

    Args:
        precision: The model precision tau of the noise, above 0: a number, or a tensor that
            broadcasts to the output `(B, ...)` of one pass. None if the noise is not known, or if
            the model predicts its variance.
        target: The true outputs, in the shape `(B, ...)` of the output of one pass, for
            `log_density`. It needs the variance of the noise.
        keep_samples: Keep the outputs of each pass, for `Result.samples` and `quantiles`.
        record_means: Keep the mean after each update, for `plot.convergence`.

    Shape:
        Updates: `(n, B, ...)`, n passes over B inputs. The results have `(B, ...)`, `log_density`
        has `(B,)`.

    Raises:
        ArgumentTypeError: An argument has the wrong type.
        ArgumentValueError: precision is not above 0, or not finite.

    Example:
        >>> import torch
        >>> statistics = RegressionStatistics(precision=4.0, target=torch.tensor([1.0]))
        >>> r = statistics.update(torch.tensor([[0.0], [2.0]])).result()
        >>> r.mean, r.epistemic_variance, r.aleatoric_variance, r.variance
        (tensor([1.]), tensor([1.]), tensor([0.2500]), tensor([1.2500]))
        >>> r.log_density
        tensor([-2.2258])

    Reference:
        As `Result`; T. F. Chan, G. H. Golub and R. J. LeVeque, "Algorithms for computing the sample
        variance", The American Statistician 37 (1983).
    """

    def __init__(
        self,
        *,
        precision: float | torch.Tensor | None = None,
        target: torch.Tensor | None = None,
        keep_samples: bool = False,
        record_means: bool = False,
    ) -> None:
        super().__init__(keep_samples, record_means)
        expected = "finite and above 0, the precision of the noise"
        if isinstance(precision, torch.Tensor):
            if precision.dtype not in REAL:
                wrong_type("precision", "a number or a floating-point tensor", precision)
            precision = precision.detach().double()
            if not bool(((precision > 0) & precision.isfinite()).all()):
                wrong_value("precision", f"{expected}, everywhere", precision)
        elif precision is not None:
            number = check_number("precision", "a number, the precision of the noise", precision)
            if not 0 < number < math.inf:
                wrong_value("precision", expected, precision)
            precision = number
        if target is not None and not isinstance(target, torch.Tensor):
            wrong_type("target", "a tensor", target)
        if target is not None and target.is_complex():
            wrong_type("target", "a tensor of real numbers", target)
        self.precision = precision
        self.target = None if target is None else target.detach()

    def _settings(self) -> dict[str, Any]:
        return {**super()._settings(), "precision": self.precision, "target": self.target}

    def update(self, outputs: torch.Tensor, variance: torch.Tensor | None = None) -> Self:
        """Add a chunk of passes.

        Args:
            outputs: The predictions, `(n, B, ...)`.
            variance: The variance of the noise that the model predicts, above 0, in the shape of
                the outputs; in every update, or in none.

        Returns:
            This accumulator.

        Raises:
            ArgumentTypeError: One is not a floating-point tensor of 16 bits or more.
            ArgumentValueError: outputs has no pass, or another shape, dtype or device than before;
                variance has another shape than outputs, is not above 0, is given in one update and
                not in another, or with a precision; the target has another shape than one pass;
                the precision does not broadcast to it; or the noise is not known and there is a
                target.
        """
        kind = self._check_chunk(outputs, 2)
        y = outputs.detach().double()
        noise = self._noise(y, variance)
        density = None
        if self.target is not None:
            if tuple(self.target.shape) != kind.shape:
                expected = f"of the shape {kind.shape} of one pass, without broadcasting"
                wrong_value("target", expected, self.target)
            if self.target.device != kind.device:
                raise ArgumentValueError(
                    f"Expected `target` to be on the outputs' device, {kind.device}, got one on "
                    f"{self.target.device} ({type(self.target).__name__})."
                )
            if noise is None:
                raise ArgumentValueError(
                    "Expected the variance of the noise, as `precision=` or `variance=`, for the "
                    "density of the target, got precision=None and variance=None (NoneType)."
                )
            logs = (
                (self.target.double() - y).square_().div_(noise).add_((2 * math.pi * noise).log())
            )
            density = logs.mul_(-0.5).flatten(2).sum(2) if y.ndim > 2 else logs.mul_(-0.5)
            density = density.logsumexp(0)
        total = None if noise is None else noise.expand_as(y).sum(0)
        samples = [outputs.detach().to(_narrow(kind.dtype), copy=True)] if self.keep_samples else []
        self._add(kind, _Values(_Moments.of(y), total, density), samples)
        return self

    def _check_states(self, mine: _Values, theirs: _Values) -> None:
        if (mine.noise is None) != (theirs.noise is None):
            words = ("without", "with") if mine.noise is None else ("with", "without")
            raise ArgumentValueError(
                f"Expected `other` to be {words[0]} a variance of the noise in its updates, got "
                f"one {words[1]} ({type(self).__name__})."
            )

    def _noise(self, y: torch.Tensor, variance: Any) -> torch.Tensor | None:
        """The variance of the noise in a shape that broadcasts to the chunk; None if unknown."""
        if variance is None:
            if self._state is not None and self.precision is None and self._state.noise is not None:
                wrong_type("variance", "a tensor, as in the updates before", variance)
            if self.precision is None:
                return None
            tau = torch.as_tensor(self.precision, dtype=torch.float64, device=y.device)
            if tau.ndim > y.ndim - 1 or any(
                a not in (1, b)
                for a, b in zip(reversed(tau.shape), reversed(y.shape), strict=False)
            ):
                expected = f"a tensor that broadcasts to the shape {tuple(y.shape[1:])} of one pass"
                wrong_value("precision", expected, self.precision)
            return tau.reciprocal()
        if self.precision is not None:
            wrong_value("variance", "None, since there is a `precision`", variance)
        if self._state is not None and self._state.noise is None:
            wrong_value("variance", "None, as in the updates before", variance)
        if not isinstance(variance, torch.Tensor) or variance.dtype not in REAL:
            raise ArgumentTypeError(
                "Expected `variance` to be a floating-point tensor of 16 bits or more, "
                f"{got('variance', variance)}."
            )
        if variance.shape != y.shape:
            expected = f"of the shape {tuple(y.shape)} of the outputs, without broadcasting"
            wrong_value("variance", expected, variance)
        wide = variance.detach().double()
        if bool((wide <= 0).any()):
            wrong_value("variance", "above 0 everywhere; for a logarithm pass its exp()", variance)
        return wide

    def result(self, index: Index = None) -> Result:
        """Return the statistics of the passes so far; more may follow.

        Args:
            index: Which inputs of the data set these are: the index of the first, or one for each;
                0 to B - 1 if None.

        Raises:
            ArgumentTypeError: index is not an integer or integers.
            ArgumentValueError: There was no pass, or index does not name B different inputs.
        """
        result, values = self._result("regression", index, None)
        state, dtype = self._state, result.mean.dtype
        assert state is not None
        if state.noise is not None:
            values["aleatoric_variance"] = (state.noise / state.moments.count).to(dtype)
        if state.density is not None:
            log_density = state.density - math.log(state.moments.count)
            values["log_density"] = log_density.to(dtype)
        return result


def _narrow(dtype: torch.dtype) -> torch.dtype:
    """The dtype of the results."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor) or isinstance(b, torch.Tensor):
        both = isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor)
        return both and a.device == b.device and torch.equal(a, b)
    return bool(a == b)
