"""The results of the stochastic passes over some inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NoReturn

import torch

from ..._core._validate import check_number, got, is_integer, plain, wrong_type, wrong_value
from ...errors import ArgumentValueError, UnavailableError

Task = Literal["classification", "regression"]
Index = int | Sequence[int] | torch.Tensor | None

_OF_CLASSES = ("predictive_entropy", "expected_entropy", "mutual_information", "variation_ratio")
_OF_TASK: Mapping[str, tuple[str, ...]] = {
    "classification": ("mean", "variance", "std", "prediction", *_OF_CLASSES),
    "regression": (
        *("mean", "variance", "std"),
        *("epistemic_variance", "aleatoric_variance", "log_density"),
    ),
}
# The arguments that the statistics need for values that are not always computed.
_HOW = {
    "samples": "keep the samples of each pass with keep_samples=True",
    "aleatoric_variance": "give the variance of the noise, as `precision=` or `variance=`",
    "log_density": "give `target=` and the variance of the noise, as `precision=` or `variance=`",
}
_QUANTILE_LIMIT = 2**24  # elements that torch.quantile accepts in every version


@dataclass(frozen=True, repr=False, eq=False)
class Result:
    """The statistics of T stochastic passes over B inputs, as plain tensors.

    `ClassificationStatistics.result` and `RegressionStatistics.result` make it. Its attributes
    cannot be set. Over the passes t, with outputs `y[t]`, or probabilities `p[t]` of the classes c:

    - `mean`: `sum_t y[t] / T`, of the probabilities in a classification; `(B, ...)`
    - `variance`: `sum_t (y[t] - mean)**2 / T`, with that of the noise in a regression; `(B, ...)`
    - `std`: `sqrt(variance)`
    - `samples`: `y[t]` or `p[t]`, if they were kept; `(T, B, ...)`
    - `n_samples`, the number T; `index`, which inputs of the data set these are, `(B,)`
    - `running_means`: pairs of a number of passes and their mean, if they were recorded

    The variance is that of a mixture of the T predictions, divided by T: it is 0 for one pass.
    `variance * T / (T - 1)` is the unbiased estimate of the variance over infinitely many.

    Only in a classification, without the dimension of the classes, in nats:

    - `prediction`: the class with the largest mean probability
    - `predictive_entropy`: `H = -sum_c mean[c] log mean[c]`
    - `expected_entropy`: `E = sum_t -sum_c p[t, c] log p[t, c] / T`
    - `mutual_information`: `H - E`, or 0 if rounding makes it negative (BALD)
    - `variation_ratio`: 1 - the share of the passes that predict the most frequent class

    Only in a regression:

    - `epistemic_variance`: `sum_t (y[t] - mean)**2 / T`
    - `aleatoric_variance`: the variance of the noise, `1 / precision` or `sum_t s2[t] / T`
    - `log_density`: `log(sum_t N(target; y[t], s2[t]) / T)`; `(B,)`

    A result has `len(result)` inputs. `Result.cat` joins those of several batches.

    Raises:
        UnavailableError: An attribute belongs to the other task, or was not computed; the error
            says how. It is an `AttributeError`, so `hasattr` is False.

    Example:
        >>> import torch
        >>> from torchdropout import mc
        >>> logits = torch.tensor([[[2.0, 0.0], [2.0, 0.0]], [[2.0, 0.0], [0.0, 2.0]]])
        >>> r = mc.ClassificationStatistics().update(logits).result()
        >>> r.mutual_information
        tensor([0.0000, 0.3278])
        >>> r.variation_ratio
        tensor([0.0000, 0.5000])
        >>> r
        Result of 2 passes over 2 inputs (index 0 to 1): classification of 2 classes
          mean                float32, (2, 2)
          predictive_entropy  0.5292 on average, 0.3653 to 0.6931 nats
          mutual_information  0.1639 on average, 0 to 0.3278 nats
          variation_ratio     0.25 on average, 0 to 0.5
          samples             not kept

    Reference:
        Y. Gal and Z. Ghahramani, "Dropout as a Bayesian approximation", ICML 2016 (mean, variance,
        log density); N. Houlsby et al., "Bayesian active learning for classification and
        preference learning", arXiv:1112.5745 (2011) (mutual information); Y. Gal, "Uncertainty in
        deep learning", PhD thesis, Cambridge (2016), section 3.3 (variation ratio); A. Kendall and
        Y. Gal, "What uncertainties do we need?", NeurIPS 2017 (a predicted variance of the noise).
    """

    task: Task
    n_samples: int
    index: torch.Tensor
    class_dim: int | None
    running_means: tuple[tuple[int, torch.Tensor], ...]
    _values: Mapping[str, torch.Tensor]

    def _value(self, name: str) -> torch.Tensor:
        if name in self._values:
            return self._values[name]
        if name in _OF_TASK[self.task] or name == "samples":
            raise UnavailableError(f"This result has no `{name}`: {_HOW[name]}.")
        other = "regression" if self.task == "classification" else "classification"
        raise UnavailableError(
            f"`{name}` belongs to task={other!r}; this result, of task={self.task!r}, has "
            f"{', '.join(_OF_TASK[self.task])}."
        )

    @property
    def mean(self) -> torch.Tensor:
        """The mean over the passes; in a classification of the probabilities."""
        return self._value("mean")

    @property
    def variance(self) -> torch.Tensor:
        """The variance over the passes, divided by T, with that of the noise if it is known."""
        spread = self._value("spread")
        if "aleatoric_variance" in self._values:
            return spread + self._values["aleatoric_variance"]
        return spread

    @property
    def std(self) -> torch.Tensor:
        """The square root of the variance."""
        return self.variance.sqrt()

    @property
    def epistemic_variance(self) -> torch.Tensor:
        """The variance over the passes alone, in a regression."""
        self._of("regression", "epistemic_variance")
        return self._value("spread")

    @property
    def aleatoric_variance(self) -> torch.Tensor:
        """The variance of the noise, in a regression."""
        return self._value("aleatoric_variance")

    @property
    def log_density(self) -> torch.Tensor:
        """The logarithm of the predictive density of each input's target, in a regression."""
        return self._value("log_density")

    @property
    def prediction(self) -> torch.Tensor:
        """The class with the largest mean probability."""
        self._of("classification", "prediction")
        assert self.class_dim is not None
        return self.mean.argmax(self.class_dim)

    @property
    def predictive_entropy(self) -> torch.Tensor:
        """The entropy of the mean probabilities, in nats."""
        return self._value("predictive_entropy")

    @property
    def expected_entropy(self) -> torch.Tensor:
        """The mean over the passes of the entropy of each, in nats."""
        return self._value("expected_entropy")

    @property
    def mutual_information(self) -> torch.Tensor:
        """Predictive minus expected entropy (BALD), in nats."""
        return self._value("mutual_information")

    @property
    def variation_ratio(self) -> torch.Tensor:
        """The share of the passes that do not predict the most frequent class."""
        return self._value("variation_ratio")

    @property
    def samples(self) -> torch.Tensor:
        """The output of each pass, or its probabilities in a classification: `(T, B, ...)`."""
        return self._value("samples")

    def _of(self, task: Task, name: str) -> None:
        if self.task != task:
            self._value(name)  # raises

    def quantiles(self, q: float | Sequence[float]) -> torch.Tensor:
        """Quantiles over the passes, interpolated between samples as `torch.quantile` does.

        They are those of the outputs, without the noise of a regression.

        Args:
            q: A number in [0, 1], or several.

        Returns:
            Shape `(B, ...)` for a number, `(len(q), B, ...)` for several.

        Raises:
            UnavailableError: The samples were not kept.
            ArgumentTypeError: q is not a number or a sequence of numbers.
            ArgumentValueError: One is outside [0, 1].

        Example:
            >>> import torch
            >>> from torchdropout import mc
            >>> statistics = mc.RegressionStatistics(keep_samples=True)
            >>> statistics.update(torch.arange(5.0)[:, None]).result().quantiles([0.25, 0.5])
            tensor([[1.],
                    [2.]])
        """
        if "samples" not in self._values:
            raise UnavailableError(f"This result has no quantiles: {_HOW['samples']}.")
        expected = "a number in [0, 1], or a sequence of them"
        single = not isinstance(q, Sequence) or isinstance(q, str)
        numbers = [check_number("q", expected, one) for one in ([q] if single else q)]  # type: ignore[union-attr]
        for number in numbers:
            if not 0.0 <= number <= 1.0:
                wrong_value("q", "in [0, 1]", q)
        samples = self.samples
        flat = samples.flatten(1)
        at = torch.tensor(numbers, dtype=flat.dtype, device=flat.device)
        step = max(1, _QUANTILE_LIMIT // len(flat))
        parts = [torch.quantile(part, at, 0) for part in flat.split(step, 1) if part.numel()]
        found = torch.cat(parts, 1) if parts else flat.new_empty((len(numbers), 0))
        found = found.reshape(len(numbers), *samples.shape[1:])
        return found[0] if single else found

    def __len__(self) -> int:
        return len(self.index)

    def to(self, device: torch.device | str) -> Result:
        """Return the result with its tensors on another device."""
        return replace(
            self,
            index=self.index.to(device),
            running_means=tuple((n, mean.to(device)) for n, mean in self.running_means),
            _values={name: value.to(device) for name, value in self._values.items()},
        )

    @staticmethod
    def cat(results: Iterable[Result]) -> Result:
        """Join the results of several batches, in the order given.

        Values that only some of them have are left out.

        Args:
            results: At least one; with the same task, number of passes and shapes of an input, and
                with different inputs.

        Raises:
            ArgumentTypeError: One is not a `Result`.
            ArgumentValueError: There are none, they do not fit together, or two have the same
                index.

        Example:
            >>> import torch
            >>> from torchdropout import mc
            >>> of = lambda x, index: mc.RegressionStatistics().update(x).result(index)
            >>> r = mc.Result.cat([of(torch.zeros(3, 2), 0), of(torch.ones(3, 2), 2)])
            >>> r.mean, r.index
            (tensor([0., 0., 1., 1.]), tensor([0, 1, 2, 3]))
        """
        batches = list(results)
        if not batches:
            wrong_value("results", "at least one Result", batches)
        for batch in batches:
            if not isinstance(batch, Result):
                wrong_type("results", "Results", batch)
        first = batches[0]
        for batch in batches[1:]:
            for name, a, b in (
                ("task", first.task, batch.task),
                ("n_samples", first.n_samples, batch.n_samples),
                ("class_dim", first.class_dim, batch.class_dim),
                ("shape of an input", tuple(first.mean.shape[1:]), tuple(batch.mean.shape[1:])),
            ):
                if a != b:
                    _unlike(name, a, b)
        index = torch.cat([batch.index for batch in batches])
        values, counts = index.unique(return_counts=True)
        if bool((counts > 1).any()):
            raise ArgumentValueError(
                "Expected `results` to have different inputs, got "
                f"index {int(values[counts > 1][0])} more than once: give each batch its `index=`."
            )
        names = [name for name in first._values if all(name in b._values for b in batches)]
        running = [dict(batch.running_means) for batch in batches]
        shared = [n for n in running[0] if all(n in means for means in running)]
        return replace(
            first,
            index=index,
            running_means=tuple((n, torch.cat([m[n] for m in running])) for n in shared),
            _values={
                name: torch.cat([b._values[name] for b in batches], int(name == "samples"))
                for name in names
            },
        )

    def __repr__(self) -> str:
        inputs = f"{len(self)} input{'' if len(self) == 1 else 's'}"
        if len(self):
            inputs += f" (index {int(self.index.min())} to {int(self.index.max())})"
        passes = f"{self.n_samples} pass{'' if self.n_samples == 1 else 'es'}"
        task: str = self.task
        if self.class_dim is not None:
            task += f" of {self.mean.shape[self.class_dim]} classes"
        rows = [("mean", f"{_dtype(self.mean)}, {tuple(self.mean.shape)}")]
        if self.task == "classification":
            rows += [
                (n, _range(self._values[n], " nats"))
                for n in ("predictive_entropy", "mutual_information")
            ]
            rows += [("variation_ratio", _range(self.variation_ratio))]
        else:
            rows += [("std", _range(self.std))]
            rows += [(n, _range(self._values[n])) for n in ("log_density",) if n in self._values]
        kept = self._values.get("samples")
        rows += [
            ("samples", "not kept" if kept is None else f"{_dtype(kept)}, {tuple(kept.shape)}")
        ]
        width = max(len(name) for name, _ in rows)
        lines = [f"Result of {passes} over {inputs}: {task}"]
        return "\n  ".join([*lines, *(f"{name:<{width}}  {text}" for name, text in rows)])


def _dtype(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _range(values: torch.Tensor, unit: str = "") -> str:
    if not values.numel():
        return "of no inputs"
    numbers = (values.mean().item(), values.min().item(), values.max().item())
    middle, low, high = (f"{number:.4g}" for number in numbers)
    return f"{middle} on average, {low} to {high}{unit}"


def _unlike(name: str, a: object, b: object) -> NoReturn:
    raise ArgumentValueError(
        f"Expected `results` to have the same {name}, got {a!r} and {b!r} ({type(b).__name__})."
    )


def check_index(index: Any, size: int, device: torch.device) -> torch.Tensor:
    """The numbers in the data set of the inputs of a batch: `(size,)`, int64.

    Raises:
        ArgumentTypeError: It is not an integer, nor a sequence or tensor of integers.
        ArgumentValueError: One is negative or named twice, or there are not `size` of them.
    """
    expected = "the index of the first input, or one for each input"
    if index is None:
        index = 0
    if is_integer(index):
        first = plain(index)
        if first < 0:
            wrong_value("index", f"{expected}, 0 or more", index)
        if first + size > 2**63:
            wrong_value("index", f"{expected}, below 2**63", index)
        return torch.arange(size, device=device) + first  # `arange` to the end would need 2**63
    if not isinstance(index, torch.Tensor) and hasattr(index, "__array__"):
        index = torch.as_tensor(index.__array__())
    if isinstance(index, torch.Tensor):
        if index.dtype == torch.bool or index.is_floating_point() or index.is_complex():
            wrong_type("index", f"{expected}: integers", index)
        found = index.to(device, torch.int64)
    elif isinstance(index, Sequence) and all(map(is_integer, index)):
        found = torch.tensor([*map(plain, index)], dtype=torch.int64, device=device)
    else:
        wrong_type("index", f"{expected}: integers", index)
    if found.shape != (size,):
        raise ArgumentValueError(
            f"Expected `index` to have one number for each of {size} inputs, {got('index', index)}."
        )
    if bool((found < 0).any()):
        wrong_value("index", f"{expected}, 0 or more", index)
    if len(found.unique()) != size:
        wrong_value("index", f"{expected}, each once", index)
    return found.clone()
