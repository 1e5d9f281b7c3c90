"""Variational dropout: learned normal noise on the input, and layers with normal weights."""

import functools
import math

import numpy as np
import pytest
import torch

from draws import draws_nothing, randn
from noise_oracle import numbers
from torchdropout import Key, MaskLayout
from torchdropout import functional as F
from torchdropout._core.contract.noise import Law
from torchdropout.functional.variational_dropout import kl_of, log_alpha_of

KEY = Key(8, 9)


@pytest.mark.parametrize("function", [F.variational_dropout, F.concrete_dropout])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_one_gradient_alone(function, dtype):
    inputs = [randn(4, 3, dtype=dtype).requires_grad_(), randn(4, 1).requires_grad_()]
    gradient = randn(4, 3, seed=2, dtype=dtype)
    both = torch.autograd.grad(function(*inputs, key=KEY), inputs, gradient)
    assert [t.dtype for t in both] == [dtype, torch.float64]
    for number, wanted in enumerate(inputs):
        given = [t if t is wanted else t.detach() for t in inputs]
        (alone,) = torch.autograd.grad(function(*given, key=KEY), wanted, gradient)
        torch.testing.assert_close(alone, both[number])


CONVOLUTIONS = {
    "plain": {},
    "strided": {"stride": 2, "padding": 1},
    "grouped": {"groups": 2, "padding": (1, 0), "dilation": (1, 2)},
    "same": {"padding": "same", "dilation": 2},
    "valid": {"padding": "valid"},
}


def inputs(kind):
    """Arguments of a layer, and torch's function of them."""
    if kind == "linear":
        shapes = ((5, 4), (3, 4), (3,))
        run, plain = F.variational_linear, torch.nn.functional.linear
    else:
        given = CONVOLUTIONS[kind]
        weight = (4, 4 // given.get("groups", 1), 3, 2)  # an even side, for "same"
        shapes = ((2, 4, 6, 5), weight, (4,))
        run = functools.partial(F.variational_conv2d, **given)
        plain = functools.partial(torch.nn.functional.conv2d, **given)
    x, weight, bias = (randn(*shape, seed=i + 1) for i, shape in enumerate(shapes))
    log_sigma2 = randn(*weight.shape, seed=9) - 1
    return (x, weight, log_sigma2, bias), run, plain


# torch's own warning about an even kernel with padding="same".
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.parametrize("kind", ["linear", *CONVOLUTIONS])
class TestLayers:
    def test_the_output_has_its_mean_and_variance(self, kind):
        (x, weight, log_sigma2, bias), run, plain = inputs(kind)
        y = run(x, weight, log_sigma2, bias, key=KEY)
        mean, variance = plain(x, weight, bias), plain(x**2, log_sigma2.exp())
        noise = numbers(Law.NORMAL, KEY, mean.shape, MaskLayout.of(mean.shape)).double()
        expected = mean + variance.sqrt() * noise
        torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12)
        if kind != "linear":  # without a batch dimension
            single = run(x[0], weight, log_sigma2, bias, key=KEY)
            torch.testing.assert_close(single, y[0], rtol=1e-12, atol=1e-12)

    def test_eval_prunes_and_draws_nothing(self, kind):
        (x, weight, log_sigma2, bias), run, plain = inputs(kind)
        with draws_nothing():
            y = run(x, weight, log_sigma2, bias, training=False, threshold=0.5)
        noisy = log_sigma2.exp() / weight**2 > math.exp(0.5)
        assert 0 < noisy.sum() < noisy.numel()
        torch.testing.assert_close(y, plain(x, weight.masked_fill(noisy, 0.0), bias))
        all_of_them = run(x, weight, log_sigma2, bias, training=False, threshold=math.inf)
        assert torch.equal(all_of_them, plain(x, weight, bias))

    def test_a_row_of_zeros_has_no_noise_and_a_finite_gradient(self, kind):
        arguments, run, plain = inputs(kind)
        x = torch.zeros_like(arguments[0]).requires_grad_()
        log_sigma2 = arguments[2].requires_grad_()
        y = run(x, arguments[1], log_sigma2, arguments[3])
        torch.testing.assert_close(y, plain(x, arguments[1], arguments[3]))
        for gradient in torch.autograd.grad(y.sum(), (x, log_sigma2)):
            assert torch.isfinite(gradient).all()

    def test_half_precision_and_autocast(self, kind):
        arguments, run, _ = inputs(kind)
        exact = run(*arguments, key=KEY)
        half = run(*(t.bfloat16() for t in arguments), key=KEY)
        assert half.dtype == torch.bfloat16
        torch.testing.assert_close(half.double(), exact, rtol=0.05, atol=0.15)
        x, weight, log_sigma2, bias = [t.float().requires_grad_() for t in arguments]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = run(x, weight, log_sigma2, bias, key=KEY)
        assert y.dtype == torch.bfloat16
        torch.testing.assert_close(y.double(), exact, rtol=0.05, atol=0.15)
        gradients = torch.autograd.grad(y.float().sum(), (x, weight, log_sigma2, bias))
        assert all(g.dtype == torch.float32 for g in gradients)


def test_log_alpha_is_finite_for_a_weight_of_zero():
    weight = torch.tensor([0.0, 1e-30, 2.0, 1e-7], requires_grad=True)
    log_alpha = log_alpha_of(weight, torch.zeros(4))
    assert log_alpha[2].item() == pytest.approx(-math.log(4), rel=1e-6)
    assert log_alpha[3].item() == pytest.approx(-math.log(1e-14), abs=0.02)
    (gradient,) = torch.autograd.grad(kl_of(log_alpha).sum(), weight)
    assert torch.isfinite(gradient).all()
    assert log_alpha_of(torch.ones(2).half(), torch.zeros(2).half()).dtype == torch.float32


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ({"dilation": 2}, 1),  # the kernel just fits
        ({"dilation": (2, 1), "stride": [1, 2]}, (1, 2)),
        ({"dilation": 3, "padding": 1}, 1),
        ({"dilation": 3, "padding": "same"}, 5),
        ({"stride": (2,)}, 2),
        ({"stride": np.int64(2)}, 2),
        ({"padding": [1, 0]}, (5, 3)),
    ],
    ids=str,
)
def test_a_number_for_both_dimensions_or_one_for_each(given, size):
    weight = torch.ones(3, 4, 3, 3)
    size = (size, size) if isinstance(size, int) else size
    for training in (True, False):
        x, log_sigma2 = torch.ones(2, 4, 5, 5), torch.zeros_like(weight)
        y = F.variational_conv2d(x, weight, log_sigma2, training=training, **given)
        assert y.shape == (2, 3, *size)
