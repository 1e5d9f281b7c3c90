"""nn.ConcreteDropout: around a layer or before it, and what it adds to the loss."""

import copy
import math
import operator
import pickle

import pytest
import torch
from torch.nn.utils import parametrizations

import torchdropout as td
from draws import draws_nothing
from torchdropout import functional as F
from torchdropout.errors import ArgumentTypeError
from variants import seeded


def around(**kwargs):
    torch.manual_seed(0)
    return td.nn.ConcreteDropout(torch.nn.Linear(4, 3), 0.02, 0.3, 0.2, 0.2, **kwargs)


def by_the_paper(p, squares, input_dim, weight_regularizer=0.02, dropout_regularizer=0.3):
    entropy = -p * math.log(p) - (1 - p) * math.log(1 - p)
    return weight_regularizer * squares / (1 - p) - dropout_regularizer * input_dim * entropy


def test_train_drops_what_the_layer_gets_and_eval_is_the_layer():
    module, x = around(temperature=0.5), torch.randn(32, 4)
    dropped = seeded(F.concrete_dropout, x, module.p_logit, True, 0.5)
    assert torch.equal(seeded(module, x), module.layer(dropped))
    with draws_nothing():
        assert torch.equal(module.eval()(x), module.layer(x))


def test_before_a_layer_is_the_same_without_calling_it():
    wrapped, x = around(), torch.randn(32, 4)
    linear = copy.deepcopy(wrapped.layer)
    drop = td.nn.ConcreteDropout(None, 0.02, 0.3, 0.2, 0.2, before=linear)
    model = torch.nn.Sequential(drop, linear)
    assert torch.equal(seeded(model, x), seeded(wrapped, x))
    assert torch.equal(drop.regularisation(), wrapped.regularisation())
    assert sorted(model.state_dict()) == ["0.p_logit", "1.bias", "1.weight"]
    assert len(list(model.parameters())) == 3
    assert drop.eval()(x) is x
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        with torch.no_grad():
            other[1].weight.zero_()  # it is the copy's own layer that the copy regularises
        assert other[0].regularisation() < drop.regularisation()


def test_a_convolution_drops_whole_channels():
    module = td.nn.ConcreteDropout(torch.nn.Conv2d(6, 2, 3), init_min=0.5, init_max=0.5)
    assert (module.broadcast_dims, module.input_dim) == ((-2, -1), 6)
    seen = []
    module.layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    seeded(module, torch.ones(4, 6, 5, 5))
    assert torch.equal(seen[0], seen[0][..., :1, :1].expand(4, 6, 5, 5))
    assert len(seen[0][..., 0, 0].unique()) > 15  # of 24; kept ones may round alike
    module(torch.ones(6, 5, 5))  # without a batch
    each = td.nn.ConcreteDropout(torch.nn.Conv1d(6, 2, 3), broadcast_dims=())
    each.layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    each(torch.ones(4, 6, 5))
    assert len(seen[-1].unique()) > 24
    assert td.nn.ConcreteDropout(torch.nn.Embedding(3, 2), input_dim=1).input_dim == 1
    inner = td.nn.ConcreteDropout(torch.nn.Sequential(torch.nn.Conv3d(6, 2, 3), torch.nn.ReLU()))
    assert inner.broadcast_dims == (-3, -2, -1)


def test_the_gradient_of_the_regulariser():
    module = around().double()
    module.regularisation().backward()

    def at(logit):
        squares = module.layer.weight.square().sum().item()
        return by_the_paper(1 / (1 + math.exp(-logit)), squares, 4)

    logit, step = module.p_logit.item(), 1e-6
    slope = (at(logit + step) - at(logit - step)) / (2 * step)
    assert module.p_logit.grad.item() == pytest.approx(slope, rel=1e-6)
    expected = 2 * 0.02 * module.layer.weight.detach() / 0.8
    torch.testing.assert_close(module.layer.weight.grad, expected)
    assert module.layer.bias.grad is None


@pytest.mark.parametrize("logit", [-200.0, -30.0, 30.0])
def test_the_regulariser_is_finite_where_p_leaves_float32(logit):
    module = around()
    with torch.no_grad():
        module.p_logit.fill_(logit)
    value = module.regularisation()
    value.backward()
    assert math.isfinite(value.item())
    assert torch.isfinite(module.p_logit.grad).all()


def dense():
    return torch.nn.Linear(4, 3)


OF_GRU = ["weight_ih_l0", "weight_hh_l0"]
WEIGHTS = {  # and the names of those that count
    "norm": (torch.nn.Sequential(dense(), torch.nn.LayerNorm(3)), ["0.weight"]),
    "weight norm": (parametrizations.weight_norm(dense()), ["weight"]),
    "spectral norm": (parametrizations.spectral_norm(dense()), ["weight"]),
    "GRU": (torch.nn.GRU(4, 3), OF_GRU),
    "weight norm of a GRU": (parametrizations.weight_norm(torch.nn.GRU(4, 3), OF_GRU[1]), OF_GRU),
    "WeightDrop": (td.nn.WeightDrop(torch.nn.GRU(4, 3), 0.5), [f"module.{n}" for n in OF_GRU]),
    "groups": (torch.nn.Conv2d(4, 6, 3, groups=2), ["weight"]),
    "nested": (torch.nn.Sequential(dense(), td.nn.ConcreteDropout(dense())), ["0.weight"]),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_which_weights_count(name):
    layer, names = WEIGHTS[name]
    module = td.nn.ConcreteDropout(layer.eval(), 1.0, 0.0, 0.5, 0.5)
    expected = 2 * sum(operator.attrgetter(n)(layer).square().sum() for n in names)
    assert module.input_dim == 4
    assert module.regularisation().item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_the_regulariser_of_a_layer_in_half_precision(dtype):
    """Float16 holds neither the square of 256 nor a sum of 10^6 smaller ones."""
    layer = torch.nn.Linear(1024, 1024, bias=False)
    torch.nn.init.constant_(layer.weight, 0.5)
    module = td.nn.ConcreteDropout(layer, 1.0, 0.0, 0.5, 0.5).to(dtype)
    assert module.regularisation().item() == 2 * 2**18
    module.regularisation().backward()
    assert layer.weight.grad.isfinite().all()


def test_regularisation_of_a_model_counts_each_module_once():
    first, second = around(), around()
    shared = torch.nn.ModuleList([first, second, first, torch.nn.Dropout(0.5)])
    total = td.nn.regularisation(shared)
    torch.testing.assert_close(total, first.regularisation() + second.regularisation())
    total.backward()
    assert first.p_logit.grad is not None
    assert td.nn.regularisation(torch.nn.Linear(2, 2)) == 0
    with pytest.raises(ArgumentTypeError, match=r"`model` to be a torch.nn.Module, got model=3"):
        td.nn.regularisation(3)


def test_initial_p():
    ps = [seeded(lambda: td.nn.ConcreteDropout(torch.nn.Linear(2, 2), init_max=0.4)).p]
    ps += [td.nn.ConcreteDropout(torch.nn.Linear(2, 2), init_max=0.4).p for _ in range(50)]
    assert 0.1 <= min(ps) < max(ps) <= 0.4
    layer = torch.nn.Linear(2, 2, dtype=torch.float64)
    with draws_nothing():
        module = td.nn.ConcreteDropout(layer)
    assert module.p == pytest.approx(0.1, rel=1e-12)
    assert module.p_logit.dtype == torch.float64
