"""Gaussian dropout, Gaussian noise and uniform dropout: one operator with three kinds of noise."""

import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from torchdropout import Key
from torchdropout import functional as F
from torchdropout._core.contract.noise import Law
from torchdropout.errors import ArgumentValueError

KEY = Key(8, 9)


@dataclass
class Kind:
    """A function, a usual size of its noise, and what it then does to an element."""

    function: Any
    size: float
    law: Law
    factor: float
    addend: float


KINDS = {
    "gaussian_dropout": Kind(F.gaussian_dropout, 0.2, Law.NORMAL, 0.5, 0.0),
    "gaussian_noise": Kind(F.gaussian_noise, 0.3, Law.NORMAL, 0.0, 0.3),
    "uniform_dropout": Kind(F.uniform_dropout, 0.4, Law.UNIFORM, 0.4, 0.0),
}
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())


def test_gaussian_dropout_has_the_variance_of_dropout():
    """It is within 6 standard errors, for 2**17 elements: the fourth moment is 3 or so."""
    n = 2**17
    for p in (0.05, 0.3, 0.5, 0.9, 0.999):
        y = F.gaussian_dropout(torch.ones(n, dtype=torch.float64), p, key=KEY)
        variance = p / (1 - p)
        assert abs(y.mean().item() - 1) < 6 * math.sqrt(variance / n)
        assert abs(y.var().item() - variance) < 6 * variance * math.sqrt(2 / n)


INF, NAN = math.inf, math.nan


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "error", "words"),
    [
        (
            F.gaussian_dropout,
            (1.0,),
            {},
            ArgumentValueError,
            r"Expected `p` to be in \[0, 1\): the variance of the noise is p / \(1 - p\), "
            r"got p=1.0 \(float\)\.",
        ),
        (F.gaussian_dropout, (1,), {}, ArgumentValueError, r"got p=1 \(int\)"),
        (
            F.gaussian_noise,
            (-0.1,),
            {},
            ArgumentValueError,
            "Expected `sigma` to be 0 or more and finite, the standard deviation of the noise, "
            r"got sigma=-0.1 \(float\)\.",
        ),
        (F.gaussian_noise, (INF,), {}, ArgumentValueError, r"got sigma=inf \(float\)"),
        (F.gaussian_noise, (10**400,), {}, ArgumentValueError, "`sigma` .*finite"),
        (
            F.uniform_dropout,
            (1.0,),
            {},
            ArgumentValueError,
            r"Expected `beta` to be in \[0, 1\), half the width of the noise, "
            r"got beta=1.0 \(float\)\.",
        ),
    ],
)
def test_refusals_draw_nothing(function, args, kwargs, error, words):
    x, before = torch.ones(2, 3), torch.get_rng_state()
    with pytest.raises(error, match=words):
        function(x, *args, **kwargs)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(x, torch.ones(2, 3))


@each_kind
def test_what_is_not_finite_stays_so(kind):
    x = torch.tensor([math.inf, -math.inf, math.nan])
    y = kind.function(x, kind.size, key=KEY)
    assert y.isnan().tolist() == [False, False, True]
    assert bool(y[:2].isinf().all())
