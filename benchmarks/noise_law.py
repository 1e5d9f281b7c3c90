"""The coefficients of continuous noise, and how exact its numbers are, over all 2^32 words.

    python benchmarks/noise_law.py fit        # the approximations, as contract/noise.py has them
    python benchmarks/noise_law.py accuracy   # errors and Kolmogorov distances
    python benchmarks/noise_law.py accuracy --stride 4099   # errors of some words, in seconds

`accuracy` fails (exit code 1) where a number is off by more than section 7 of the contract allows.
With `--stride K` it takes every K-th word, and those next to the ends of the regions and to powers
of two.

The distribution function of the numbers is that of all words, each equally likely. Its largest
distance from the exact one is computed at every number, from both sides.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, ndtr, ndtri, ndtri_exp

from torchdropout._core.contract import noise
from torchdropout._core.contract.noise import Law

Array = NDArray[np.float64]

PIECE = 2**19  # words at a time: what fits into a cache
BOUND = 1.1e-6  # of the error of each number: section 7 of the contract
NEAR = 2**10  # words on each side of an edge that `--stride` takes
POINTS = 8000  # at which an approximation is fitted
ROUNDS = 600

# --- the coefficients -----------------------------------------------------------------------------


def fitted(f: Array, x: Array, weight: Array, above: int, below: int) -> tuple[float, Array, Array]:
    """The polynomials P and Q, Q(0) = 1, with the least maximum of `|weight (f - P / Q)|`.

    Least squares, linearised as by C. Sanathanan and J. Koerner (1963), with the weights of C. L.
    Lawson (1961): each round adds weight where the error is large.
    """
    denominator, lawson = np.ones_like(x), np.ones_like(x)
    powers = np.vander(x, max(above, below) + 1, increasing=True)
    columns = np.hstack([powers[:, : above + 1], -f[:, None] * powers[:, 1 : below + 1]])
    least = np.inf, np.zeros(above + 1), np.ones(1)
    for _ in range(ROUNDS):
        row = np.sqrt(lawson) * weight / denominator
        matrix = columns * row[:, None]
        size = np.linalg.norm(matrix, axis=0)
        solution = np.linalg.lstsq(matrix / size, f * row, rcond=1e-16)[0] / size
        p, q = solution[: above + 1], np.r_[1.0, solution[above + 1 :]]
        denominator = powers[:, : below + 1] @ q
        error = abs(weight * (f - powers[:, : above + 1] @ p / denominator))
        if error.max() < least[0]:
            least = error.max(), p, q
        lawson = lawson * (error / error.max() + 1e-3)
        lawson /= lawson.sum()
    return least


def fit() -> None:
    """Print the coefficients, rounded to float32, and the error of each approximation."""
    # Chebyshev points on [0, 1]: dense at the ends, where the errors of such fits are largest.
    unit = (1 + np.cos(np.linspace(0, np.pi, POINTS))) / 2

    end = noise._CENTRAL / 2**31
    x = np.maximum(end * unit, 1e-4)
    central = fitted(ndtri((1 + x) / 2) / x, noise._SQUARE - x * x, x, 3, 3)
    show("central region", central, "A", "B")

    first, last = np.sqrt(-2 * np.log((1 - end) / 2)), np.sqrt(66 * np.log(2))
    w = first + (last - first) * unit
    show("tail", fitted(w + ndtri_exp(-w * w / 2), w, np.ones_like(w), 2, 3), "C", "D")

    s = np.maximum((np.sqrt(2) - 1) / (np.sqrt(2) + 1) * unit, 1e-3)
    z = s * s
    # 2 atanh(s) = s (2 + z (...)): the first coefficient is exact.
    show("logarithm", fitted((2 * np.arctanh(s) / s - 2) / z, z, s**3, 2, 0), "LOG[1:]")


def show(what: str, found: tuple[float, Array, Array], *names: str) -> None:
    """Print what was fitted."""
    print(f"{what}: error {found[0]:.2g}")
    for name, values in zip(names, found[1:], strict=False):
        print(f"    {name} = {', '.join(str(np.float32(value)) for value in values)}")


# --- accuracy -------------------------------------------------------------------------------------


def uniform_quantile(u: Array, rest: Array) -> Array:
    """The inverse distribution function at u = 1 - rest."""
    return u - rest


def normal_quantile(u: Array, rest: Array) -> Array:
    """As `uniform_quantile`."""
    return np.where(u < rest, ndtri(u), -ndtri(rest))


def logistic_quantile(u: Array, rest: Array) -> Array:
    """As `uniform_quantile`."""
    return np.log(u / rest)


LAWS: dict[Law, tuple[Callable[[Array, Array], Array], Callable[[Array], Array], float]] = {
    # The quantile, the distribution function, and by how much numbers of neighbouring words may be
    # out of order.
    Law.UNIFORM: (uniform_quantile, lambda e: (1 + e) / 2, 1e-7),
    Law.NORMAL: (normal_quantile, ndtr, 1e-5),
    Law.LOGISTIC: (logistic_quantile, expit, 1e-5),
}


def pieces(stride: int) -> Iterator[torch.Tensor]:
    """Words of the lower half: the upper half has the same numbers, negated.

    Every `stride`-th, in order. Unless these are all, the words next to an edge come first.
    """
    if stride > 1:
        split = noise.MIDDLE - noise._CENTRAL  # the words below it are in the tail
        edges = torch.tensor([0, split, noise.MIDDLE - 1, *(2**k for k in range(31))])
        near = (edges[:, None] + torch.arange(-NEAR, NEAR + 1)).unique()
        yield near[(near >= 0) & (near < noise.MIDDLE)]
    for start in range(0, noise.MIDDLE, PIECE * stride):
        yield torch.arange(start, min(start + PIECE * stride, noise.MIDDLE), stride)


class Distance:
    """The Kolmogorov distance of the numbers of all words, which are added nearly in order."""

    def __init__(self, distribution: Callable[[Array], Array]) -> None:
        self.largest = 0.0
        self._distribution, self._finished = distribution, 0
        self._held = np.empty(0, np.float32)

    def add(self, e: NDArray[np.float32], reached: float) -> None:
        """Add numbers; no later one is below `reached`, so that the ranks up to it are final."""
        held = np.sort(np.concatenate([self._held, e]), kind="stable")  # fast where nearly in order
        final = int(np.searchsorted(held, reached))
        last = np.flatnonzero(np.append(held[1:final] != held[: final - 1], True))
        true = self._distribution(held[last].astype(np.float64))
        above = (self._finished + last + 1) / 2**32
        below = np.append(self._finished, self._finished + last[:-1] + 1) / 2**32
        self.largest = max(self.largest, abs(above - true).max(), abs(below - true).max())
        self._finished += final
        self._held = held[final:]


def accuracy(stride: int) -> list[str]:
    """Print the largest error of each distribution and, of all words, its Kolmogorov distance.

    Returns:
        What is wrong: a sentence for each distribution with an error above the bound, or a NaN.
    """
    wrong = []
    for law, (quantile, distribution, disorder) in LAWS.items():
        error, word, at = 0.0, 0, 0.0
        distance = Distance(distribution)
        for words in pieces(stride):
            e = noise.noise_of_words(words, law).numpy()
            u = (2 * words.numpy() + 1) / 2**33
            exact = quantile(u, 1 - u)
            errors = abs(e - exact)
            worst = errors.argmax()  # of a NaN, if there is one
            if not errors[worst] <= error:
                error, word, at = errors[worst], int(words[worst]), exact[worst]
            if stride == 1:
                at_end = int(words[-1]) == noise.MIDDLE - 1
                distance.add(e, np.inf if at_end else exact[-1] - disorder)
        name = law.name.lower()
        said = f"{name:>8}: error at most {error:.3g} (at {at:.3f})"
        if stride == 1:
            said += f", Kolmogorov distance {distance.largest:.3g}"
        print(said, flush=True)
        if not error <= BOUND:
            wrong.append(
                f"{name}: the number of the word {word:#x} should be {at:.9g} and is off by "
                f"{error:.3g}; section 7 of docs/contract.md allows {BOUND:.3g}"
            )
    return wrong


def strides(text: str) -> int:
    """Parse the argument of `--stride`."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected an integer of at least 1, got {text!r}")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("command", choices=["fit", "accuracy"])
    parser.add_argument("--stride", type=strides, default=1, help="accuracy: every K-th word only")
    options = parser.parse_args(arguments)
    if options.command == "fit":
        fit()
        return 0
    wrong = accuracy(options.stride)
    print(*wrong, sep="\n", end="\n" if wrong else "", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
