"""The distributions of the tests are those of SciPy, far out in the tails, too."""

import numpy as np
import pytest
from scipy.stats import binom, norm, uniform

from torchdropout.verify import probability as of

# Of 0, 1, few and many events; the counts are up to 12 standard deviations away.
CASES = [
    (n, p)
    for n in (0, 1, 2, 7, 100, 5000, 10**7)
    for p in (0.0, 1e-7, 0.001, 1 / 3, 0.5, 0.9, 1 - 1e-7, 1.0)
]


def counts_of(n, p):
    spread = np.linspace(-12, 12, 49) * (n * p * (1 - p)) ** 0.5
    inside = np.clip(np.rint(n * p + spread), 0, n).astype(int)
    return np.unique([-1, 0, *inside, n, n + 1])


def test_binomial_tails():
    for n, p in CASES:
        for tail in ("cdf", "sf"):
            counts, ours = counts_of(n, p), getattr(of, f"binomial_{tail}")
            known = getattr(binom, tail)(counts, n, p)
            np.testing.assert_allclose(ours(counts, n, p), known, rtol=1e-9)


@pytest.mark.parametrize("chance", [1e-12, 1e-6, 0.003, 0.25, 0.5, 0.75, 0.99])
def test_binomial_limits_are_where_the_tail_crosses_the_chance(chance):
    for n, p in CASES:
        if n == 0 or not 0 < p < 1:
            continue
        above, up_to = of.binomial_isf(chance, n, p), of.binomial_ppf(chance, n, p)
        assert binom.sf(above, n, p) <= chance
        assert above == 0 or binom.sf(above - 1, n, p) > chance
        assert binom.cdf(up_to, n, p) >= chance
        assert up_to == 0 or binom.cdf(up_to - 1, n, p) < chance


@pytest.mark.parametrize(
    ("law", "known"),
    [
        (of.Normal(), norm()),
        (of.Normal(1.0, 0.3), norm(1.0, 0.3)),
        (of.Uniform(0.6, 1.4), uniform(0.6, 0.8)),
    ],
    ids=["Normal", "Normal(1, 0.3)", "Uniform(0.6, 1.4)"],
)
def test_continuous_distributions(law, known):
    values, chances = np.linspace(-2, 3, 101), np.array([1e-9, 0.001, 0.2, 0.5, 0.999])
    np.testing.assert_allclose(law.cdf(values), known.cdf(values), rtol=1e-9)
    np.testing.assert_allclose(law.ppf(chances), known.ppf(chances), rtol=1e-9)
    if isinstance(law, of.Normal):
        np.testing.assert_allclose(law.isf(chances), known.isf(chances), rtol=1e-9)
