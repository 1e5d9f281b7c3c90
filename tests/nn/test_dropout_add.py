"""nn.DropoutAdd: a dropout module like torch's, and its use in transformer blocks."""

import copy
import math
import pickle

import pytest
import torch
from torch.nn.modules.dropout import _DropoutNd

import torchdropout as td
from torchdropout import backends
from torchdropout import functional as F
from torchdropout.errors import ArgumentTypeError, ArgumentValueError

BACKENDS = tuple(dict.fromkeys(("reference", backends.available()[-1])))


@pytest.fixture(params=BACKENDS)
def backend(request):
    with backends.use(request.param):
        yield request.param


def seeded(function, *args, **kwargs):
    torch.manual_seed(3)
    return function(*args, **kwargs)


def inputs():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator) for shape in ((4, 6, 8), (4, 6, 8), (8,))]


class TestModule:
    def test_repr_state_and_class(self):
        assert repr(td.nn.DropoutAdd()) == "DropoutAdd(p=0.5)"
        assert repr(td.nn.DropoutAdd(p=0.1)) == "DropoutAdd(p=0.1)"
        module = td.nn.DropoutAdd(0.1)
        assert module.state_dict() == {}
        assert list(module.parameters()) == list(module.buffers()) == []
        assert isinstance(module, _DropoutNd)
        assert module.training

    @pytest.mark.parametrize("biased", [True, False])
    @pytest.mark.parametrize("p", [0, 0.0, 0.3, 1, 1.0])
    def test_train_is_the_function(self, backend, p, biased):
        x, residual, bias = inputs()
        bias = bias if biased else None
        y = seeded(td.nn.DropoutAdd(p), x, residual, bias)
        assert torch.equal(y, seeded(F.dropout_add, x, residual, p, bias=bias))
        assert torch.equal(y, seeded(td.nn.DropoutAdd(p), x, residual=residual, bias=bias))

    @pytest.mark.parametrize("p", [0.3, 1.0])
    def test_eval_is_the_sum_and_draws_nothing(self, backend, p):
        x, residual, bias = inputs()
        module = td.nn.DropoutAdd(p).eval()
        before = torch.get_rng_state()
        assert torch.equal(module(x, residual), residual + x)
        assert torch.equal(module(x, residual, bias), residual + (x + bias))
        assert torch.equal(torch.get_rng_state(), before)

    def test_mode_follows_train_and_eval(self):
        x, residual, _ = inputs()
        outer = torch.nn.ModuleList([td.nn.DropoutAdd(0.5)])
        for mode in (True, False, True):
            outer.train(mode)
            assert torch.equal(outer[0](x, residual), residual + x) is not mode

    def test_manual_seed_governs_it(self, backend):
        x, residual, bias = inputs()
        module = td.nn.DropoutAdd(0.5)
        first = seeded(module, x, residual, bias)
        second = module(x, residual, bias)
        assert torch.equal(seeded(module, x, residual, bias), first)
        assert not torch.equal(second, first)

    def test_pickles_and_copies(self):
        module = td.nn.DropoutAdd(0.3).eval()
        x, residual, _ = inputs()
        for other in (pickle.loads(pickle.dumps(module)), copy.deepcopy(module), copy.copy(module)):
            assert type(other) is td.nn.DropoutAdd
            assert repr(other) == repr(module)
            assert not other.training
            assert torch.equal(
                seeded(other.train(), x, residual), seeded(F.dropout_add, x, residual, 0.3)
            )

    def test_p_may_be_changed_and_is_checked_then_and_at_the_call(self):
        module = td.nn.DropoutAdd(0.3)
        x, residual, _ = inputs()
        module.p = 1.0
        assert torch.equal(module(x, residual), residual)
        with pytest.raises(ArgumentValueError, match="got p=nan"):
            module.p = math.nan
        vars(module)["p"] = math.nan
        before = torch.get_rng_state()
        for training in (True, False):
            with pytest.raises(ArgumentValueError, match="got p=nan"):
                module.train(training)(x, residual)
        assert torch.equal(torch.get_rng_state(), before)

    @pytest.mark.parametrize("p", [-0.1, 1.1, math.nan, math.inf, -math.inf, 2, -1])
    def test_refuses_a_p_outside_its_range(self, p):
        with pytest.raises(ArgumentValueError, match=r"Expected `p` to be in \[0, 1\]") as raised:
            td.nn.DropoutAdd(p)
        assert f"got p={p!r} ({type(p).__name__})" in str(raised.value)

    @pytest.mark.parametrize("p", ["0.1", None, True, torch.ones(1), [0.1]])
    def test_refuses_what_is_no_number(self, p):
        with pytest.raises(ArgumentTypeError, match="Expected `p` to be a number") as raised:
            td.nn.DropoutAdd(p)
        assert f"({type(p).__name__})" in str(raised.value)

    def test_there_is_no_inplace(self):
        with pytest.raises(TypeError, match="unexpected keyword argument 'inplace'"):
            td.nn.DropoutAdd(0.1, inplace=True)

    @pytest.mark.parametrize("training", [True, False])
    def test_wrong_inputs_are_named(self, training):
        x, residual, bias = inputs()
        module = td.nn.DropoutAdd(0.1).train(training)
        with pytest.raises(ArgumentValueError, match="Expected `residual` to be of the input's sh"):
            module(x, residual[0])
        with pytest.raises(ArgumentValueError, match=r"Expected `bias` to be of shape \(8,\)"):
            module(x, residual, bias[:1])
        with pytest.raises(TypeError, match="residual"):
            module(x)

    @pytest.mark.parametrize("training", [True, False])
    @pytest.mark.parametrize("biased", [True, False])
    def test_fx_symbolic_trace_records_the_call(self, training, biased):
        module = td.nn.DropoutAdd(0.3).train(training)
        args = inputs()[: 2 + biased]
        concrete = {} if biased else {"bias": None}
        graph = torch.fx.symbolic_trace(module, concrete_args=concrete)
        calls = [n for n in graph.graph.nodes if n.op == "call_function"]
        # The tracer also records that it assumed bias to be None.
        ours = [n.target for n in calls if not n.target.__name__.startswith("_assert")]
        assert ours == [F.dropout_add]
        got = seeded(graph, *args, *([] if biased else [None]))
        assert torch.equal(got, seeded(module, *args))

    def test_replaces_what_it_fuses_in_a_traced_model(self):
        """In a traced model it is one call, as those of torch's modules are."""

        class Model(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.linear = torch.nn.Linear(8, 8)
                self.drop = td.nn.DropoutAdd(0.4)

            def forward(self, x):
                return self.drop(self.linear(x), x)

        model, x = Model(), inputs()[0]
        graph = torch.fx.symbolic_trace(model)
        targets = [n.target for n in graph.graph.nodes if n.op.startswith("call")]
        assert targets == ["linear", "drop"]
        assert torch.equal(seeded(graph, x), seeded(model, x))


class Block(torch.nn.Module):
    """A pre-norm transformer block; `fused` adds a branch, its bias and the residual in one."""

    def __init__(self, fused, width=16, p=0.2):
        super().__init__()
        self.fused = fused
        self.norm1, self.norm2 = torch.nn.LayerNorm(width), torch.nn.LayerNorm(width)
        self.attention = torch.nn.MultiheadAttention(width, 2, batch_first=True)
        self.up = torch.nn.Linear(width, 2 * width)
        self.down = torch.nn.Linear(2 * width, width, bias=False)
        self.bias = torch.nn.Parameter(torch.zeros(width))
        self.drop1 = td.nn.DropoutAdd(p) if fused else td.nn.Dropout(p)
        self.drop2 = td.nn.DropoutAdd(p) if fused else td.nn.Dropout(p)

    def forward(self, x):
        normal = self.norm1(x)
        branch, _ = self.attention(normal, normal, normal, need_weights=False)
        x = self.drop1(branch, x) if self.fused else x + self.drop1(branch)
        branch = self.down(torch.nn.functional.gelu(self.up(self.norm2(x))))
        if self.fused:
            return self.drop2(branch, x, self.bias)
        return x + self.drop2(branch + self.bias)


def trained(fused, steps=4, seed=0):
    """Losses, and parameters at the end."""
    torch.manual_seed(seed)
    model = torch.nn.Sequential(Block(fused), Block(fused), torch.nn.Linear(16, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x, target = torch.randn(4, 6, 16), torch.randint(3, (4, 6))
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x).flatten(0, 1), target.flatten())
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses), [p.detach() for p in model.parameters()], torch.rand(1)


class TestTransformer:
    def test_training_is_governed_by_manual_seed(self, backend):
        losses, parameters, drawn = trained(True)
        again = trained(True)
        assert torch.equal(again[0], losses)
        assert all(map(torch.equal, again[1], parameters))
        assert torch.equal(again[2], drawn)
        assert losses[-1] < losses[0]
        assert not torch.equal(trained(True, seed=1)[0], losses)

    def test_training_is_that_of_the_composition(self, backend):
        """The first loss to the bit; then the bias' gradient, summed in another order, differs by a
        rounding, and what follows from it."""
        losses, parameters, drawn = trained(True)
        expected = trained(False)
        assert torch.equal(losses[0], expected[0][0])
        torch.testing.assert_close(losses, expected[0], rtol=1e-5, atol=1e-6)
        for got, other in zip(parameters, expected[1], strict=True):
            torch.testing.assert_close(got, other, rtol=1e-5, atol=1e-6)
        assert torch.equal(drawn, expected[2])

    def test_eval_is_the_composition(self, backend):
        torch.manual_seed(0)
        fused, composed = Block(True).eval(), Block(False).eval()
        composed.load_state_dict(fused.state_dict())
        x = torch.randn(2, 5, 16)
        assert torch.equal(fused(x), composed(x))
        assert torch.equal(fused(x), fused(x))

    def test_a_checkpoint_of_the_composition_loads(self):
        assert Block(True).state_dict().keys() == Block(False).state_dict().keys()

    @pytest.mark.skipif(len(BACKENDS) < 2, reason="no compiled kernels")
    def test_backends_train_alike(self):
        results = []
        for name in BACKENDS:
            with backends.use(name):
                results.append(trained(True, steps=3))
        assert torch.equal(results[0][0][0], results[1][0][0])
        torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-5, atol=1e-6)
