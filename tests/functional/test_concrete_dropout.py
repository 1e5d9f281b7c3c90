"""Concrete dropout: the paper's formula on the contract's logistic noise, and a gradient for p."""

import math

import numpy as np
import pytest
import torch
from scipy import special

from draws import randn
from noise_oracle import numbers
from torchdropout import Key, MaskLayout
from torchdropout import functional as F
from torchdropout._core.contract.noise import Law

KEY = Key(8, 9)


def defined(x, p, temperature):
    """`x (1 - z) / (1 - p)`, in NumPy as in the paper, from the noise of the definition."""
    e = numbers(Law.LOGISTIC, KEY, x.shape, MaskLayout.of(x.shape)).double().numpy()
    z = special.expit((np.log(p) - np.log(1 - p) + e) / temperature)
    return torch.from_numpy(np.asarray(x.double().numpy() * (1 - z) / (1 - p)))


@pytest.mark.parametrize("p", [0.01, 0.3, 0.9])
@pytest.mark.parametrize("temperature", [0.1, 2 / 3, 3])
def test_equals_the_definition(p, temperature):
    logit = torch.tensor(p, dtype=torch.float64).logit()
    for shape in ((), (6, 5), (0, 3)):
        x = randn(*shape)
        y = F.concrete_dropout(x, logit, True, temperature, key=KEY)
        torch.testing.assert_close(y, defined(x, p, temperature), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_extreme_p(dtype):
    """p = 0 keeps, p = 1 gives zeros, and neither gives a NaN, nor do the gradients."""
    x = randn(50, dtype=dtype).requires_grad_()
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
