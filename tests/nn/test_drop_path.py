"""nn.DropPath and nn.StochasticDepth: timm's and torchvision's arguments, our draws."""

import copy
import pickle

import pytest
import torch

import torchdropout as td
from torchdropout import functional as F
from torchdropout.errors import ArgumentTypeError, ArgumentValueError

MODULES = [
    (lambda p: td.nn.DropPath(p), {}),
    (lambda p: td.nn.DropPath(p, False), {"scale_by_keep": False}),
    (lambda p: td.nn.StochasticDepth(p, "row"), {}),
    (lambda p: td.nn.StochasticDepth(p, "batch"), {"mode": "batch"}),
]
IDS = ["path", "unscaled", "row", "batch"]


def seeded(function, *args, **kwargs):
    torch.manual_seed(3)
    return function(*args, **kwargs)


@pytest.mark.parametrize(("make", "given"), MODULES, ids=IDS)
class TestModules:
    @pytest.mark.parametrize("p", [0, 0.3, 1.0])
    def test_train_is_the_function_and_eval_the_identity(self, make, given, p):
        module, x = make(p), torch.randn(32, 3)
        y = seeded(module, x)
        assert torch.equal(y, seeded(F.drop_path, x, p, True, **given))
        before = torch.get_rng_state()
        assert module.eval()(x) is x
        assert torch.equal(torch.get_rng_state(), before)

    def test_pickles_and_copies(self, make, given):
        module, x = make(0.3), torch.randn(32, 3)
        assert module.state_dict() == {}
        for other in (pickle.loads(pickle.dumps(module)), copy.deepcopy(module)):
            assert repr(other) == repr(module)
            assert torch.equal(seeded(other, x), seeded(module, x))

    def test_p_is_checked_when_made_when_set_and_when_called(self, make, given):
        for p, error in ((1.5, ArgumentValueError), ("0.1", ArgumentTypeError)):
            with pytest.raises(error, match="Expected `p`"):
                make(p)
            module = make(0.1).eval()
            with pytest.raises(error, match="Expected `p`"):
                module.p = p
            vars(module)["p"] = p
            with pytest.raises(error, match="Expected `p`"):
                module(torch.ones(2))

    def test_is_traced_and_compiled_as_one_call(self, make, given):
        module, x = make(0.3), torch.randn(32, 3)
        graph = torch.fx.symbolic_trace(module)
        calls = [n.target for n in graph.graph.nodes if n.op == "call_function"]
        assert calls == [F.drop_path]
        assert torch.equal(seeded(graph, x), seeded(module, x))
        compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
        assert torch.equal(seeded(compiled, x), seeded(module, x))


def test_repr_and_arguments():
    assert repr(td.nn.DropPath()) == "DropPath(p=0.0, scale_by_keep=True)"
    assert repr(td.nn.StochasticDepth(p=0.2, mode="row")) == "StochasticDepth(p=0.2, mode=row)"
    with pytest.raises(TypeError, match="mode"):
        td.nn.StochasticDepth(0.2)
    with pytest.raises(ArgumentValueError, match="`mode` to be 'row' or 'batch', got mode='all'"):
        td.nn.StochasticDepth(0.2, "all")
    with pytest.raises(ArgumentTypeError, match="`scale_by_keep` to be a bool"):
        td.nn.DropPath(0.2, 1)


def test_drop_prob_is_another_name_of_p():
    module = td.nn.DropPath(0.2)
    assert module.drop_prob == 0.2
    module.drop_prob = 1.0
    assert module.p == 1.0
    assert torch.equal(module(torch.ones(2)), torch.zeros(2))
