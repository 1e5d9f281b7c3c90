"""The coefficients of continuous noise, and how exact its numbers are, over all 2^32 words.

    python benchmarks/noise_law.py fit        # the approximations, as contract/noise.py has them
    python benchmarks/noise_law.py accuracy   # errors and Kolmogorov distances

The distribution function of the numbers is that of all words, each equally likely. Its largest
distance from the exact one is computed at every number, from both sides.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, ndtr, ndtri, ndtri_exp

from torchdropout.contract import noise
from torchdropout.contract.noise import Law, noise_of_words

Array = NDArray[np.float64]

PIECE = 2**19  # words at a time: what fits into a cache
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


def pieces() -> Iterator[tuple[int, torch.Tensor]]:
    """All words of the lower half, in order: the upper half has the same numbers, negated."""
    for start in range(0, 2**31, PIECE):
        yield start, torch.arange(start, start + PIECE)


def accuracy() -> None:
    """Print the largest error of each distribution, and its Kolmogorov distance."""
    for law, (quantile, distribution, disorder) in LAWS.items():
        error, distance, at, finished = 0.0, 0.0, 0.0, 0
        held = np.empty(0, np.float32)
        for start, words in pieces():
            e = noise_of_words(words, law).numpy()
            u = (2 * words.numpy() + 1) / 2**33
            exact = quantile(u, 1 - u)
            errors = abs(e - exact)
            if errors.max() > error:
                error, at = errors.max(), exact[errors.argmax()]
            # Numbers that no later word can reach: their ranks are final.
            held = np.sort(np.concatenate([held, e]), kind="stable")  # fast where nearly in order
            at_end = start + PIECE == 2**31
            final = len(held) if at_end else int(np.searchsorted(held, exact[-1] - disorder))
            last = np.flatnonzero(np.append(held[1:final] != held[: final - 1], True))
            true = distribution(held[last].astype(np.float64))
            above = (finished + last + 1) / 2**32
            below = np.append(finished, finished + last[:-1] + 1) / 2**32
            distance = max(distance, abs(above - true).max(), abs(below - true).max())
            finished += final
            held = held[final:]
        print(
            f"{law.name.lower():>8}: error at most {error:.3g} (at {at:.3f}), "
            f"Kolmogorov distance {distance:.3g}",
            flush=True,
        )


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("command", choices=["fit", "accuracy"])
    {"fit": fit, "accuracy": accuracy}[parser.parse_args().command]()


if __name__ == "__main__":
    main()
