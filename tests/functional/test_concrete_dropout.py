"""Concrete dropout: the paper's formula on the contract's logistic noise, and a gradient for p."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import special

from torchdropout import Key, MaskLayout
from torchdropout import functional as F
from torchdropout._core.contract.noise import Law, noise
from torchdropout.errors import ArgumentValueError

KEY = Key(8, 9)


def randn(*shape, dtype=torch.float64):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).to(
        dtype
    )


def defined(x, p, temperature=0.1, key=KEY, layout=None):
    """`x (1 - z) / (1 - p)`, in NumPy as in the paper, from the noise of the definition."""
    layout = layout or MaskLayout.of(tuple(x.shape))
    e = [
        noise(key.seed, key.stream, Law.LOGISTIC, layout.index(place))
        for place in itertools.product(*map(range, x.shape))
    ]
    e = np.array(e, dtype=np.float64).reshape(tuple(x.shape))
    z = special.expit((np.log(p) - np.log(1 - p) + e) / temperature)
    return torch.from_numpy(np.asarray(x.double().numpy() * (1 - z) / (1 - p)))


@pytest.mark.parametrize("p", [0.01, 0.3, 0.9])
@pytest.mark.parametrize("temperature", [0.1, 2 / 3, 3])
def test_equals_the_definition(p, temperature):
    logit = torch.tensor(p, dtype=torch.float64).logit()
    for shape in ((), (7,), (6, 5), (5, 4, 3, 2), (0, 3), (3, 0)):
        x = randn(*shape)
        y = F.concrete_dropout(x, logit, True, temperature, key=KEY)
        torch.testing.assert_close(y, defined(x, p, temperature), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_extreme_p(dtype):
    """p = 0 keeps, p = 1 gives zeros, and neither gives a NaN, nor do the gradients."""
    x = randn(50).to(dtype).requires_grad_()
    for extreme, expected in ((-math.inf, x), (-1e3, x), (1e3, 0 * x), (math.inf, 0 * x)):
        logit = torch.tensor(extreme, dtype=dtype, requires_grad=True)
        y = F.concrete_dropout(x, logit, key=KEY)
        assert torch.equal(y, expected)
        of_x, of_logit = torch.autograd.grad(y.sum(), (x, logit))
        assert torch.equal(of_x, torch.full_like(x, float(extreme < 0)))
        assert of_logit == 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_the_gradient_of_p_is_summed_in_the_compute_type(dtype):
    """2**16 terms: in bfloat16 itself a sum of them stops growing at 256."""
    x = torch.ones(2**16, dtype=dtype)
    logit = torch.tensor([0.2], requires_grad=True)
    F.concrete_dropout(x, logit, True, 1.0, key=KEY).sum(dtype=torch.float32).backward()
    wide = torch.tensor([0.2], dtype=torch.float64, requires_grad=True)
    F.concrete_dropout(x.double(), wide, True, 1.0, key=KEY).sum().backward()
    torch.testing.assert_close(logit.grad.double(), wide.grad, rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (
            {"p_logit": torch.zeros(2, 1, 3)},
            ArgumentValueError,
            r"`p_logit` to be of one element, or of a shape that broadcasts to the input's, "
            r"\(2, 3\), got p_logit=<tensor of shape \(2, 1, 3\), torch.float32>",
        ),
        ({"p_logit": torch.zeros(2)}, ArgumentValueError, r"input's, \(2, 3\)"),
        (
            {"temperature": 0},
            ArgumentValueError,
            r"`temperature` to be above 0 and finite, of the relaxation, got temperature=0 \(int\)",
        ),
        ({"temperature": -0.1, "training": False}, ArgumentValueError, "got temperature=-0.1"),
    ],
)
def test_refusals_draw_nothing(change, error, words):
    before = torch.get_rng_state()
    with pytest.raises(error, match=words):
        F.concrete_dropout(**{"input": torch.ones(2, 3), "p_logit": torch.zeros(1), **change})
    assert torch.equal(torch.get_rng_state(), before)
