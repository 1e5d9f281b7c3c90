"""What every module promises, asked of each entry of `variants.MODULES`."""

import copy
import inspect
import math
import pickle

import pytest
import torch

import torchdropout as td
from bad_arguments import faults
from draws import draws_nothing
from torchdropout import nn
from torchdropout.errors import ArgumentTypeError, ArgumentValueError
from variants import FUNCTIONS, KEY, MODULES, first, keyed, seeded


def each(condition=lambda m: True):
    return pytest.mark.parametrize("name", [name for name, m in MODULES.items() if condition(m)])


def unchanged(function, *args, **kwargs):
    """A call that draws nothing, whether it succeeds or not."""
    with draws_nothing():
        return function(*args, **kwargs)


def test_every_module_has_an_entry():
    public = {kind for kind in vars(nn).values() if inspect.isclass(kind)}
    assert {type(m.built()) for m in MODULES.values()} == public


class TestCalls:
    @each(lambda m: m.of is not None)
    def test_in_training_it_is_the_function(self, name):
        m = MODULES[name]
        module, function, tensors = m.built(), FUNCTIONS[m.of], m.tensors()
        given = {"p": None if function.p is None else 0.4}
        assert torch.equal(seeded(module, *tensors), seeded(function, *tensors, **given))
        assert torch.equal(keyed(module, tensors), function(*tensors, key=KEY, **given))
        rest = unchanged(module.eval(), *tensors)
        if function.rest is None:
            assert rest is tensors[0]
        else:
            torch.testing.assert_close(rest, function.rest(*tensors))

    @each(lambda m: m.of is not None and FUNCTIONS[m.of].takes("inplace"))
    def test_in_place(self, name):
        m = MODULES[name]
        (x,) = m.tensors()
        module = m.built()
        expected = keyed(module, [x])
        module.inplace = True
        assert unchanged(module.eval(), x) is x
        assert x._version == 0
        assert keyed(module.train(), [x]) is x
        assert torch.equal(x, expected)
        assert x._version > 0

    @each()
    def test_draws(self, name):
        """By torch's generator, once a call; a key names the mask; in eval nothing is drawn."""
        m = MODULES[name]
        module, tensors = m.built(), m.tensors()
        y = first(seeded(module, *tensors))
        after = torch.get_rng_state()
        key = seeded(td.Key.draw)
        assert torch.equal(torch.get_rng_state(), after)
        assert torch.equal(unchanged(keyed, module, tensors, key), y)
        assert torch.equal(first(seeded(module, *tensors)), y)
        others = [unchanged(keyed, module, tensors, td.Key(n)) for n in range(8)]
        assert any(not torch.equal(other, y) for other in others)
        outer = torch.nn.ModuleList([module]).eval()
        at_rest = first(unchanged(outer[0], *tensors))
        assert torch.equal(unchanged(keyed, module, tensors), at_rest)
        for mode in (True, False):
            outer.train(mode)
            with pytest.raises(ArgumentTypeError, match=r"key` to be a torchdropout.Key, .*, got"):
                unchanged(keyed, module, tensors, 7)
        if m.p is not None:
            setattr(module, m.p, 0.0)
            if name not in ("LSTM", "Zoneout"):  # what else zones out, and the expectation
                torch.testing.assert_close(first(unchanged(module, *tensors)), at_rest)

    @each()
    def test_gradients_reach_every_parameter(self, name):
        m = MODULES[name]
        module = m.built(1e-9).double()
        tensors = [t.double() if t.is_floating_point() else t for t in m.tensors()]
        tensors = [t.requires_grad_(t.is_floating_point()) for t in tensors]
        first(module(*tensors)).square().sum().backward()
        for t in [*module.parameters(), *(t for t in tensors if t.requires_grad)]:
            assert t.grad is not None
            assert t.grad.isfinite().all()

    @each()
    def test_on_meta(self, name):
        m = MODULES[name]
        module, tensors = m.built(1e-9), m.tensors()
        expected = first(module(*tensors))
        if name == "LayerDrop":
            pytest.skip("whether its branch is computed depends on a value")
        y = first(module.to("meta")(*(t.to("meta") for t in tensors)))
        assert (y.is_meta, y.shape, y.dtype) == (True, expected.shape, expected.dtype)


class TestState:
    @each()
    def test_repr_and_names(self, name):
        m = MODULES[name]
        module = m.built()
        shown = repr(module).partition("(")
        assert shown[0] == type(module).__name__
        assert shown[2].strip().startswith(m.text)
        assert set(module.state_dict()) == set(m.state)
        assert module.training
        assert type(module).__module__.startswith("torchdropout.nn.")
        if isinstance(module, torch.nn.modules.dropout._DropoutNd):
            base = getattr(torch.nn, type(module).__name__, None)
            assert base is None or isinstance(module, base)
            assert base is None or repr(base(0.4)) == repr(module)

    @each()
    def test_copies(self, name):
        """Each drops as the module does, has its state, and keeps it apart."""
        m = MODULES[name]
        module, tensors = m.built(), m.tensors()
        expected = first(seeded(module, *tensors))
        copies = [copy.deepcopy(module), m.built()]
        copies[1].load_state_dict(module.state_dict())
        if m.pickles:
            copies.append(pickle.loads(pickle.dumps(module.eval())).train())
            module.train()
            copies += [] if m.state else [module._replicate_for_data_parallel()]
        else:
            with pytest.raises(RuntimeError, match="state_dict"):
                pickle.dumps(module)
        for other in copies:
            assert type(other) is type(module)
            assert repr(other) == repr(module)
            assert torch.equal(first(seeded(other, *tensors)), expected)
            if m.p is not None:
                setattr(other, m.p, 0.7)
        assert torch.equal(first(seeded(module, *tensors)), expected)
        assert not any(isinstance(v, td.nn._module.Rate) for v in module.__getstate__().values())

    @each(lambda m: m.p is not None)
    def test_p_is_checked_when_made_when_set_and_when_called(self, name):
        m = MODULES[name]
        module, tensors = m.built().eval(), m.tensors()
        refused = [(p, ArgumentValueError) for p in (-0.1, math.nan, math.inf)]
        refused += [(p, ArgumentTypeError) for p in ("0.1", None, True, torch.ones(1), [0.1])]
        refused += [(1.5, ArgumentValueError)] * (m.p != "sigma")
        for p, error in refused:
            words = rf"Expected `{m.p}` to be .*got {m.p}=.*\({type(p).__name__}\)"
            with pytest.raises(error, match=words):
                unchanged(m.built, p)
            with pytest.raises(error, match=words):
                setattr(module, m.p, p)
            assert getattr(module, m.p) == 0.4
        for p in (torch.tensor(0.25), 1) if m.p not in ("sigma", "beta") else ():
            if name.startswith(("GaussianDropout", "FeatureGaussian")) and p == 1:
                continue
            setattr(module, m.p, p)
            assert type(getattr(module, m.p)) is float
        vars(module)[m.p] = math.nan  # past what looks at it
        if m.p in vars(m.built()) and not isinstance(module, torch.nn.RNNBase):
            for mode in (True, False):
                with pytest.raises(ArgumentValueError, match=f"got {m.p}=nan"):
                    unchanged(module.train(mode), *tensors)


class Model(torch.nn.Module):
    """A model around a module."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        several = isinstance(self.module, (torch.nn.RNNBase, torch.nn.MultiheadAttention))
        given = [x] * (3 if isinstance(self.module, torch.nn.MultiheadAttention) else 1)
        y = self.module(*given)
        return y[0] if several else y


def of_one_tensor(m):
    return len({t.data_ptr() for t in m.tensors()}) == 1


class TestTracers:
    @each(of_one_tensor)
    def test_a_model_traced_in_training_does_not_drop_in_eval(self, name):
        m = MODULES[name]
        model, x = Model(m.built()), m.tensors()[0]
        traced = torch.fx.symbolic_trace(model)
        calls = [node.target for node in traced.graph.nodes if node.op == "call_module"]
        assert calls == ["module"]
        assert not any("torchdropout" in str(node.target) for node in traced.graph.nodes)
        assert torch.equal(seeded(traced, x), seeded(model, x))
        assert torch.equal(unchanged(traced.eval(), x), model.eval()(x))

    @each(lambda m: m.of is not None)
    def test_looked_into_it_is_one_call(self, name):
        m = MODULES[name]
        module, tensors = m.built(), m.tensors()
        given = {"bias": None} if len(tensors) == 2 and "bias" in _arguments(module) else {}
        graph = torch.fx.symbolic_trace(module, concrete_args=given)
        calls = [n.target for n in graph.graph.nodes if n.op == "call_function"]
        assert [c for c in calls if "_assert" not in c.__name__] == [FUNCTIONS[m.of].function]
        assert torch.equal(seeded(graph, *tensors), seeded(module, *tensors))
        assert torch.equal(graph(*tensors, key=KEY), module(*tensors, key=KEY))

    @pytest.mark.filterwarnings("ignore:`torch.jit.script")
    @each()
    def test_scripting_is_refused_and_changes_nothing(self, name):
        module = MODULES[name].built()
        model = torch.nn.Sequential(torch.nn.Dropout(0.5), module)
        before = dict(model.named_modules())
        for part in (model, module):
            with pytest.raises(ArgumentTypeError, match=rf"got {type(module).__name__} \(.*`undo`"):
                torch.jit.script(part)
        assert dict(model.named_modules()) == before

    @pytest.mark.filterwarnings("ignore:`torch.jit.trace")
    @pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
    @each(lambda m: of_one_tensor(m) and "ordered" not in m.text and "prefix" not in m.text)
    def test_what_torch_jit_traces_or_functionalizes_draws_anew(self, name):
        m = MODULES[name]
        if name == "LayerDrop":
            pytest.skip("a draw decides what is computed")
        model, x = Model(m.built()), m.tensors()[0]
        by_jit = torch.jit.trace(model, (x,), check_trace=False)
        for traced in (by_jit, torch.func.functionalize(model)):
            torch.testing.assert_close(seeded(traced, x), seeded(model, x))
            found = traced(x)
            assert not all(torch.equal(traced(x), found) for _ in range(30))


def _arguments(module):
    return inspect.signature(module.forward).parameters


@pytest.mark.integration
@pytest.mark.parametrize("group", range(4))
def test_compiled_in_one_graph_is_eager(group):
    """Several in a program, which compiles faster than one each."""
    torch._dynamo.reset()
    left_out = ("LSTM", "GRU", "LayerDrop")  # which break a graph
    names = [name for name in MODULES if name not in left_out][group::4]
    models = torch.nn.ModuleList([MODULES[name].built() for name in names])
    tensors = [MODULES[name].tensors() for name in names]

    def function(tensors):
        return [first(model(*own)) for model, own in zip(models, tensors, strict=True)]

    compiled = torch.compile(function, backend="aot_eager", fullgraph=True)
    for mode in (True, False):
        models.train(mode)
        for a, b in zip(seeded(compiled, tensors), seeded(function, tensors), strict=True):
            torch.testing.assert_close(a, b)


OF_TORCH = {"device", "dtype", "bias", "bidirectional", "batch_first", "padding_mode"}
OF_TORCH |= {"add_bias_kv", "add_zero_attn"}
# Sizes that are allocated: the largest accepted ones would not fit.
OF_TORCH |= {"input_size", "hidden_size", "num_layers", "embed_dim", "in_features", "out_features"}
OF_TORCH |= {"in_channels", "out_channels", "kernel_size", "kdim", "vdim", "num_features"}
OF_TORCH |= {"drop_prob", "embed_p", "prob"}  # other names of p
FLAGS = {"need_weights", "average_attn_weights", "is_causal"}  # as in torch, whatever is true
# What a constructor needs beside p.
MADE = {
    nn.ConcreteDropout: {"layer": torch.nn.Linear(4, 3)},
    nn.EmbeddingDropout: {"emb": torch.nn.Embedding(6, 4)},
    nn.GRU: {"input_size": 4, "hidden_size": 3},
    nn.GaussianNoise: {"sigma": 0.5},
    nn.LSTM: {"input_size": 4, "hidden_size": 3},
    nn.LayerDrop: {"branch": torch.nn.Identity()},
    nn.MultiSampleDropout: {"p": 0.5, "head": torch.nn.Linear(4, 3)},
    nn.MultiheadAttention: {"embed_dim": 4, "num_heads": 2},
    nn.StochasticDepth: {"p": 0.5, "mode": "row"},
    nn.UniformDropout: {"beta": 0.5},
    nn.VariationalConv2d: {"in_channels": 4, "out_channels": 4, "kernel_size": 3},
    nn.VariationalLinear: {"in_features": 4, "out_features": 3},
    nn.WeightDrop: {"module": torch.nn.Linear(4, 3), "p": 0.5, "names": "weight"},
}
KINDS = {type(m.built()): m for m in MODULES.values() if "," not in m.text or m.of is None}
KINDS |= {type(m.built()): m for m in reversed(MODULES.values())}


def arguments(method, without):
    named = inspect.signature(method).parameters.values()
    return [p.name for p in named if p.kind.name[:3] != "VAR" and p.name not in {"self"} | without]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_no_value_of_any_argument_is_a_crash_or_a_draw(kind):
    """Each argument of constructor and call in turn gets the values of `bad_arguments.py`."""
    for argument in arguments(kind.__init__, OF_TORCH):
        given = MADE.get(kind, {})
        assert faults(kind, lambda given=given: copy.deepcopy(given), argument) == [], argument
    m = KINDS[kind]
    module = m.built(0.5)
    good = dict(zip(inspect.signature(kind.forward).parameters, [0, *m.tensors()], strict=False))
    good.pop("self")
    good = {"input": good["args"]} if "args" in good else good
    # What their own layer, or torch's sum, refuses.
    of_layer = kind in (nn.ConcreteDropout, nn.LayerDrop, nn.MultiSampleDropout, nn.LSTM, nn.GRU)
    for argument in arguments(kind.forward, FLAGS):
        allowed = (RuntimeError,) if of_layer else ()
        assert faults(module, lambda: dict(good), argument, allowed) == [], argument


@pytest.mark.integration
@pytest.mark.parametrize("name", ["Dropout", "Zoneout"])
def test_compiled_a_key_is_an_input_of_the_graph(name):
    module, tensors = MODULES[name].built(), MODULES[name].tensors()
    torch._dynamo.reset()
    compiled = torch.compile(lambda *a, key: module(*a, key=key), backend="eager", fullgraph=True)
    with torch._dynamo.config.patch(error_on_recompile=True):
        for key in (KEY, td.Key(8), td.Key(2**64 - 1, 3)):
            assert torch.equal(compiled(*tensors, key=key), module(*tensors, key=key))
