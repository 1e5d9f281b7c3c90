"""nn.GaussianDropout, nn.GaussianNoise and nn.UniformDropout."""

import copy
import math
import pickle

import pytest
import torch

import torchdropout as td
from torchdropout import functional as F
from torchdropout.errors import ArgumentTypeError, ArgumentValueError

KINDS = {
    "GaussianDropout": (td.nn.GaussianDropout, F.gaussian_dropout, "p"),
    "GaussianNoise": (td.nn.GaussianNoise, F.gaussian_noise, "sigma"),
    "UniformDropout": (td.nn.UniformDropout, F.uniform_dropout, "beta"),
}


def seeded(function, *args, **kwargs):
    torch.manual_seed(3)
    return function(*args, **kwargs)


@pytest.mark.parametrize("name", KINDS)
class TestModules:
    @pytest.mark.parametrize("size", [0, 0.3, 0.99])
    @pytest.mark.parametrize("inplace", [False, True])
    def test_train_is_the_function_and_eval_the_identity(self, name, size, inplace):
        make, function, _ = KINDS[name]
        module, x = make(size, inplace), torch.randn(32, 3)
        expected = seeded(function, x.clone(), size)
        y = seeded(module, x)
        assert (y is x) is (inplace or size == 0)
        assert torch.equal(y, expected)
        before = torch.get_rng_state()
        assert module.eval()(x) is x
        assert torch.equal(torch.get_rng_state(), before)

    def test_pickles_copies_and_has_no_state(self, name):
        make, _, attribute = KINDS[name]
        module, x = make(0.3), torch.randn(32, 3)
        assert module.state_dict() == {}
        assert repr(module) == f"{name}({attribute}=0.3, inplace=False)"
        for other in (pickle.loads(pickle.dumps(module)), copy.deepcopy(module)):
            assert repr(other) == repr(module)
            assert torch.equal(seeded(other, x), seeded(module, x))

    @pytest.mark.parametrize("size", [-0.1, math.nan, math.inf])
    def test_the_size_is_checked_when_made_and_when_changed(self, name, size):
        make, _, attribute = KINDS[name]
        with pytest.raises(ArgumentValueError, match=f"Expected `{attribute}` .*={size}"):
            make(size)
        module = make(0.1).eval()

        def change_and_call():  # a p is refused by its setter, the others by the call
            setattr(module, attribute, size)
            module(torch.ones(2))

        with pytest.raises(ArgumentValueError, match=f"Expected `{attribute}`"):
            change_and_call()

    @pytest.mark.parametrize("size", ["0.1", None, True, torch.ones(1)])
    def test_what_is_no_number_is_refused(self, name, size):
        make, _, attribute = KINDS[name]
        with pytest.raises(ArgumentTypeError, match=f"Expected `{attribute}` to be a number"):
            make(size)
        with pytest.raises(ArgumentTypeError, match="`inplace` to be a bool, got inplace='no'"):
            make(0.1, "no")

    def test_is_traced_and_compiled_as_one_call(self, name):
        make, function, _ = KINDS[name]
        module, x = make(0.3), torch.randn(32, 3)
        graph = torch.fx.symbolic_trace(module)
        calls = [n.target for n in graph.graph.nodes if n.op == "call_function"]
        assert calls == [function]
        assert torch.equal(seeded(graph, x), seeded(module, x))
        torch._dynamo.reset()
        compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
        assert torch.equal(seeded(compiled, x), seeded(module, x))


@pytest.mark.parametrize(("name", "size"), [("GaussianDropout", 1.0), ("UniformDropout", 1.0)])
def test_one_is_too_much(name, size):
    with pytest.raises(ArgumentValueError, match=r"in \[0, 1\)"):
        KINDS[name][0](size)


def test_defaults():
    assert td.nn.GaussianDropout().p == 0.5
    for make in (td.nn.GaussianNoise, td.nn.UniformDropout):
        with pytest.raises(TypeError, match="required positional argument"):
            make()
