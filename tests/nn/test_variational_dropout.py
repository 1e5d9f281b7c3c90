"""nn.VariationalDropout, VariationalLinear and VariationalConv2d: state, divergence, pruning."""

import math

import pytest
import torch

import torchdropout as td
from draws import draws_nothing
from torchdropout import functional as F
from torchdropout.errors import ArgumentTypeError, ArgumentValueError
from variants import seeded


def divergence(log_alpha):
    """Molchanov et al. 2017, equation 14, without its constant."""
    k1, k2, k3 = 0.63576, 1.87320, 1.48695
    rising = 1 / (1 + math.exp(-(k2 + k3 * log_alpha)))
    return -(k1 * rising - 0.5 * math.log1p(math.exp(-log_alpha)) - k1)


def layers():
    torch.manual_seed(0)
    return [
        (td.nn.VariationalLinear(4, 3, init_log_sigma2=-1.0), torch.randn(6, 4)),
        (td.nn.VariationalLinear(4, 3, bias=False, threshold=1.0), torch.randn(2, 5, 4)),
        (td.nn.VariationalConv2d(2, 3, 3, padding=1, stride=2), torch.randn(2, 2, 6, 5)),
        (
            td.nn.VariationalConv2d(2, 4, 3, padding="same", padding_mode="circular", groups=2),
            torch.randn(2, 2, 6, 5),
        ),
    ]


IDS = ["linear", "no-bias", "conv", "circular"]


@pytest.mark.parametrize("which", range(4), ids=IDS)
class TestLayers:
    def test_train_is_the_function_and_eval_the_pruned_layer(self, which):
        module, x = layers()[which]
        parent = torch.nn.Linear if which < 2 else torch.nn.Conv2d
        assert isinstance(module, parent)
        with torch.no_grad():
            module.log_sigma2.normal_(0, 3)
            plain = parent.forward(module, x)
            y = seeded(module, x)
            assert y.shape == plain.shape
            assert not torch.allclose(y, plain)
            assert torch.equal(y, seeded(module, x))
            if which < 2:
                given = (module.weight, module.log_sigma2, module.bias)
                assert torch.equal(y, seeded(F.variational_linear, x, *given))
            with draws_nothing():
                pruned = module.eval()(x)
            noisy = module.log_sigma2.exp() > math.exp(module.threshold) * module.weight**2
            module.weight[noisy] = 0.0
            torch.testing.assert_close(pruned, parent.forward(module, x))

    def test_divergence_and_sparsity(self, which):
        module, _ = layers()[which]
        with torch.no_grad():
            module.log_sigma2.normal_(0, 3)
        log_alpha = (module.log_sigma2 - module.weight.square().log()).double().flatten().tolist()
        expected = sum(map(divergence, log_alpha))
        assert module.kl().item() == pytest.approx(expected, rel=1e-5)
        share = sum(a > module.threshold for a in log_alpha) / len(log_alpha)
        assert 0 < share < 1
        assert module.sparsity() == pytest.approx(share, rel=1e-12)


def test_takes_the_state_of_a_trained_layer():
    for parent, ours in (
        (torch.nn.Linear(4, 3), td.nn.VariationalLinear(4, 3)),
        (torch.nn.Conv2d(2, 3, 3), td.nn.VariationalConv2d(2, 3, 3)),
    ):
        missing, unexpected = ours.load_state_dict(parent.state_dict(), strict=False)
        assert (missing, unexpected) == (["log_sigma2"], [])
        assert torch.equal(ours.weight, parent.weight)
    layer = td.nn.VariationalLinear(4, 3, dtype=torch.float64, device="meta")
    assert layer.log_sigma2.dtype == torch.float64
    assert layer.log_sigma2.is_meta


class TestDropout:
    @pytest.mark.parametrize(("dim", "shape"), [(-1, (6, 5, 4)), (1, (6, 4, 5)), (0, (4, 5))])
    def test_an_alpha_for_each_feature(self, dim, shape):
        module = td.nn.VariationalDropout(0.5, 4, dim=dim)
        with torch.no_grad():
            module.log_alpha[1:3] = -60.0
        x = torch.randn(shape)
        noisy = ((seeded(module, x) - x).abs() > 1e-6).movedim(dim, 0).flatten(1).any(1)
        assert noisy.tolist() == [True, False, False, True]
        assert module.p.tolist() == pytest.approx([0.5, 0, 0, 0.5])
        with pytest.raises(ArgumentValueError, match=r"`log_alpha` .* broadcasts to the input's"):
            module(torch.randn(*(7 for _ in shape)))

    def test_divergence(self):
        module = td.nn.VariationalDropout(0.3, 4, weights=10)
        expected = 40 * divergence(math.log(0.3 / 0.7))
        assert module.kl().item() == pytest.approx(expected, rel=1e-6)


def test_kl_and_sparsity_of_a_model():
    shared = td.nn.VariationalLinear(4, 4)
    others = td.nn.VariationalDropout(), torch.nn.Linear(4, 2)
    model = torch.nn.Sequential(shared, torch.nn.ReLU(), shared, *others)
    torch.testing.assert_close(td.nn.kl(model), shared.kl() + model[3].kl())
    assert td.nn.kl(torch.nn.Linear(2, 2)) == 0
    assert math.isnan(td.nn.sparsity(torch.nn.Linear(2, 2)))
    big = td.nn.VariationalLinear(4, 12, init_log_sigma2=30.0)
    assert td.nn.sparsity(torch.nn.Sequential(shared, big)) == pytest.approx(0.75, abs=0.02)
    for function in (td.nn.kl, td.nn.sparsity):
        with pytest.raises(ArgumentTypeError, match=r"`model` to be a torch.nn.Module, got model="):
            function([shared])


@pytest.mark.parametrize(
    "make",
    [
        lambda: td.nn.VariationalLinear(4, 3, init_log_sigma2=-3.0),
        lambda: td.nn.VariationalConv2d(2, 3, 3),
        lambda: td.nn.VariationalDropout(0.3, 4),
        lambda: td.nn.ConcreteDropout(torch.nn.Linear(4, 3), init_min=0.2, init_max=0.2),
        lambda: td.nn.ConcreteDropout(torch.nn.Linear(4, 3), init_min=0.1, init_max=0.4),
    ],
)
def test_made_on_meta_and_set_afterwards(make):
    torch.manual_seed(0)
    expected = make()
    with torch.device("meta"):
        module = make()
    module.to_empty(device="cpu")
    torch.manual_seed(0)
    for part in reversed(list(module.modules())):
        part.reset_parameters()
    for name, value in module.state_dict().items():
        assert torch.equal(value, expected.state_dict()[name]), name
