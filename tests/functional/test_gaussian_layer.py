"""The parts of a layer with normal weights: its variance, the root of it, and their derivatives."""

import pytest
import torch

from draws import randn
from torchdropout.functional import _gaussian_layer as layer

LAYERS = {
    "linear": (layer.Linear(), (2, 5, 4), (3, 4)),
    "one sample": (layer.Linear(), (4,), (3, 4)),
    "convolution": (layer.Convolution((2, 1), (1, 0), (1, 2), 2), (2, 4, 6, 7), (6, 2, 3, 2)),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
def test_a_variance_in_each_type(name, dtype):
    """Squares of float16 overflow: it is computed in float32, and stays there."""
    of, *shapes = LAYERS[name]
    x, log_sigma2 = (randn(*shape, seed=n).to(dtype) for n, shape in enumerate(shapes))
    given = [x.requires_grad_(), log_sigma2.requires_grad_()]
    y = layer.variance(*given, of)
    assert y.dtype == (torch.float32 if dtype == torch.float16 else dtype)
    wide = [t.detach().double().requires_grad_() for t in given]
    expected = of.value(wide[0] ** 2, wide[1].exp())
    close = {"rtol": 0.05, "atol": 0.05} if dtype != torch.float32 else {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(y.double(), expected, **close)
    gradient = randn(*y.shape, seed=3)
    found = torch.autograd.grad(y, given, gradient.to(y.dtype))
    for a, b in zip(found, torch.autograd.grad(expected, wide, gradient), strict=True):
        assert a.dtype == dtype
        torch.testing.assert_close(a.double(), b, rtol=0.1, atol=0.1)


def test_a_large_square_of_float16_is_finite():
    x, log_sigma2 = torch.full((1, 4), 300.0).half(), torch.full((3, 4), 6.0).half()
    y = layer.variance(x, log_sigma2, layer.Linear())
    torch.testing.assert_close(y, torch.full((1, 3), 4 * 9e4) * torch.tensor(6.0).exp())
    with torch.autocast("cpu", torch.float16):
        assert torch.equal(layer.variance(x.float(), log_sigma2.float(), layer.Linear()), y)
    given, tangents = (x, log_sigma2), (torch.ones_like(x), torch.ones_like(log_sigma2))
    _, tangent = torch.func.jvp(lambda *t: layer.variance(*t, layer.Linear()), given, tangents)
    torch.testing.assert_close(tangent, y * (1 + 2 / 300))
    meta = layer.variance(x.to("meta"), log_sigma2.to("meta"), layer.Linear())
    assert (meta.dtype, meta.shape) == (torch.float32, (1, 3))


def test_the_root_has_a_derivative_of_zero_at_zero():
    variance = torch.tensor([0.0, 0.25, 4.0], requires_grad=True)
    root = layer._root(variance)
    assert root.tolist() == [0.0, 0.5, 2.0]
    assert torch.autograd.grad(root.sum(), variance)[0].tolist() == [0.0, 1.0, 0.25]
    with torch.no_grad():
        assert torch.equal(layer._root(variance), root)
