"""A compiled model has the draws of eager, in one graph for all steps, however it recomputes."""

import functools
import gc

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch._functorch import config
from torch.nn import functional as torch_F
from torch.utils.checkpoint import checkpoint

import torchdropout as td
from keyed_parts import (
    FUNCTIONS,
    MODULES,
    ROUNDED,
    SCOPE,
    Block,
    Calls,
    Net,
    X,
    drawn,
    input_of,
    plain,
)
from torchdropout._core import _torch

# The compiler looks at the attribute of activations.
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")


@pytest.fixture(autouse=True)
def fresh():
    torch._dynamo.reset()
    with config.patch(enable_autograd_cache=False):
        yield
    torch._dynamo.reset()


def compare(model, x, exact=True, steps=(0, 1, 2**63), backend="aot_eager", fullgraph=True):
    """Eager and compiled; returns how many graphs there are for all steps."""
    count = CompileCounterWithBackend(backend)
    graph = torch.compile(model, backend=count, fullgraph=fullgraph)
    sites = td.find_sites(model, x)
    for step in steps:
        for start in (0, 40):
            options = {"seed": 3, "step": step, "batch": (start, 64), "sites": sites}
            with td.keyed(model, **options):
                expected = model(x)
            with td.keyed(graph, **options):
                found = graph(x)
            if exact:
                assert torch.equal(found, expected)
            else:
                torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    return count.frame_count


TORCHS = {
    "dropout": lambda x: torch_F.dropout(x, 0.4),
    "in place": lambda x: torch_F.dropout(x * 1, 0.4, inplace=True),
    "dropout1d": lambda x: torch_F.dropout1d(x, 0.4),
    "alpha_dropout": lambda x: torch_F.alpha_dropout(x, 0.4, True),
    "attention": lambda x: torch_F.scaled_dot_product_attention(x, x, x, dropout_p=0.4),
    "bernoulli_": lambda x: torch.empty_like(x).bernoulli_(0.3),
    "rand": lambda x: torch.rand(x.shape),
    "drop path of user code": lambda x: (
        x.new_empty((x.shape[0], 1, 1)).bernoulli_(0.5).div_(0.5) * x
    ),
}


@pytest.mark.integration
@pytest.mark.parametrize("name", TORCHS)
def test_what_draws_in_torchs_way(name):
    if name == "rand" and not _torch.asks_about_factories:
        with pytest.raises(td.errors.SiteError, match="rand, which the compiler hides"):
            compare(Calls(TORCHS[name]), X)
        return
    assert compare(Calls(TORCHS[name]), X, exact=name != "attention") == 1


@pytest.mark.integration
@pytest.mark.skipif(not _torch.asks_about_factories, reason="the compiler hides torch.rand")
def test_random_numbers_do_not_end_a_graph():
    """Without `fullgraph` the compiler leaves to Python what it cannot follow."""
    counters = torch._dynamo.utils.counters
    counters.clear()
    model = Calls(lambda x: torch.floor(0.5 + torch.rand(x.shape)) * x)
    expected = drawn(model, X)
    assert torch.equal(drawn(torch.compile(model, backend="aot_eager"), X), expected)
    assert not counters["graph_break"]


@pytest.mark.integration
@pytest.mark.parametrize(
    ("name", "wraps", "is_given"), [("randn_like", False, True), ("nested", True, False)]
)
def test_it_is_refused_whatever_the_scope_is_given(name, wraps, is_given):
    """The scope of a model meets a graph around it only when that runs."""
    region = torch.compiler.nested_compile_region(lambda x: torch.nn.functional.dropout(x, 0.5))
    model = Calls(torch.randn_like if name == "randn_like" else region)
    graph = torch.compile(model, backend="eager")
    sites = td.find_sites(model, X) if is_given else None
    said = "randn_like" if name == "randn_like" else "draws in torch.compiler.nested_compile_region"
    scope = td.keyed(graph if wraps else model, **SCOPE, sites=sites)
    with pytest.raises(td.errors.SiteError, match=f"{said}, which the compiler hides"), scope:
        graph(X)
    assert torch.equal(drawn(model, X), drawn(model, X, sites=sites))  # eager


@pytest.mark.slow
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_the_family(name):
    assert compare(Calls(FUNCTIONS[name]), X, exact=name not in ROUNDED) == 1


# A draw decides what is computed, or weights change between two calls, or the compiler does not
# enter recurrent layers: the graph breaks there.
BREAK = {"LayerDrop", "WeightDrop", "LSTM", "GRU"}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(MODULES) - BREAK))
def test_modules_of_the_family(name):
    torch.manual_seed(0)
    make, call = MODULES[name]
    assert compare(Calls(call, make()), input_of(name), exact=False) == 1


@pytest.mark.integration
def test_attention_after_another_function_of_torch():
    """By that function the compiler knows the watcher before attention refers to it."""
    attention = nn.MultiheadAttention(12, 2, dropout=0.25, batch_first=True)
    model = Calls(lambda attention, x: attention(torch.ones_like(x), x, x)[0], attention)
    # Samples of X differ by a constant, which softmax removes when all queries are equal.
    assert compare(model, X.square(), exact=False, steps=(0,), backend="eager") == 1


@pytest.mark.integration
def test_a_model_whose_compile_was_called():
    """Its sites are given, as it cannot be run to find them."""
    model = nn.Sequential(nn.Linear(12, 12), nn.Dropout(0.4), td.nn.Dropout(0.4), nn.Dropout(0.4))
    sites = td.find_sites(model, X)
    expected = drawn(model, X)
    model.compile(backend="eager", fullgraph=True)
    assert torch.equal(drawn(model, X, sites=sites) == 0, expected == 0)
    with pytest.raises(td.errors.ArgumentValueError, match="Expected `sites`, what find_sites"):
        td.keyed(model, **SCOPE).__enter__()


@pytest.mark.integration
@pytest.mark.parametrize("fullgraph", [False, True])
def test_a_scope_within_a_compiled_function(fullgraph):
    model = nn.Sequential(nn.Linear(4, 64), nn.Dropout(0.5))
    x = torch.randn(8, 4)

    def work(x, step):
        with td.keyed(model, seed=0, step=step):
            return model(x)

    compiled = torch.compile(work, backend="aot_eager", fullgraph=fullgraph)
    for step in range(3):
        expected = work(x, step)
        try:
            found = compiled(x, step)
        except torch._dynamo.exc.Unsupported:
            assert fullgraph
        else:
            assert torch.equal(found, expected)


@pytest.mark.integration
def test_a_scope_within_a_compiled_function_is_indifferent_to_other_models():
    other, model = nn.Dropout(0.5), nn.Sequential(nn.Linear(4, 64), nn.Dropout(0.5))
    for each in (other, model):
        td.keyed(each, seed=0)

    def work(x):
        with td.keyed(model, seed=0):
            return model(x)

    compiled, x = torch.compile(work, backend="aot_eager"), torch.randn(8, 4)
    for _ in range(2):  # what the first scope of a model makes is there the second time
        expected = compiled(x)
    del other
    gc.collect()
    with torch._dynamo.config.patch(error_on_recompile=True):
        assert torch.equal(compiled(x), expected)


@pytest.mark.integration
def test_blocks_that_are_compiled_one_by_one():
    """As large models are; the scope is that of the whole."""
    model = nn.Sequential(*(nn.Sequential(nn.Linear(12, 12), nn.Dropout(0.4)) for _ in range(3)))
    expected, sites = drawn(model, X), td.find_sites(model, X)
    count = CompileCounterWithBackend("aot_eager")
    for place, block in enumerate(model):
        model[place] = torch.compile(block, backend=count, fullgraph=True)
    for _ in range(2):
        torch.testing.assert_close(drawn(model, X, sites=sites), expected)
    assert 1 <= count.frame_count <= 3


def gradients(model, x, outside, **scope):
    x = x.clone().requires_grad_()
    with td.keyed(model, **scope):
        y = model(x).square().sum()
        if not outside:
            y.backward()
    if outside:
        torch.manual_seed(99)
        y.backward()
    return y.detach(), x.grad


recomputed = functools.partial(checkpoint, use_reentrant=False)


REGIONS = "skip_fwd_side_effects_in_bwd_under_checkpoint"


@pytest.mark.integration
def test_a_region_that_is_checkpointed_within_a_graph_needs_a_setting_of_the_compiler():
    """It says so: it does not follow the count of the draws into it otherwise."""
    x = torch.ones(6, 12, dtype=torch.float64)
    model = Net(recomputed)
    graph = torch.compile(model, backend="aot_eager", fullgraph=True)
    with (
        td.keyed(graph, seed=5, sites=td.find_sites(model, x)),
        pytest.raises(torch._dynamo.exc.Unsupported, match=r"(?i)side ?effect"),
    ):
        graph(x)


@pytest.mark.integration
@pytest.mark.skipif(not hasattr(torch._dynamo.config, REGIONS), reason="torch has no such setting")
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_region_that_is_checkpointed_within_a_graph(backend):
    x = torch.ones(6, 12, dtype=torch.float64)
    model = Net(recomputed)
    sites = td.find_sites(model, x)
    count = CompileCounterWithBackend(backend)
    with torch._dynamo.config.patch({REGIONS: True}):
        graph = torch.compile(model, backend=count, fullgraph=True)
        for step, start in ((0, 0), (1, 0), (1, 6)):
            scope = {"seed": 5, "step": step, "batch": (start, 12), "sites": sites}
            expected = gradients(Net(plain), x, False, **scope)
            for outside in (False, True):
                for a, b in zip(gradients(graph, x, outside, **scope), expected, strict=True):
                    torch.testing.assert_close(a, b)
                    assert torch.equal(a == 0, b == 0)
    assert count.frame_count == 1


class Regions(nn.Module):
    """Compiled blocks, each in a region that begins with it; how many graphs ran is counted."""

    def __init__(self, way, reentrant):
        super().__init__()
        torch.manual_seed(0)
        blocks = [Block(), Block()]
        self.compiled = []
        if way == "torch.compile":
            blocks = [torch.compile(b, backend="aot_eager", fullgraph=True) for b in blocks]
        elif way == "function":
            self.compiled = [
                torch.compile(lambda x, block=block: block(x), backend="aot_eager")
                for block in blocks
            ]
        elif way == "Module.compile":
            for block in blocks:
                block.compile(backend="aot_eager", fullgraph=True)
        self.blocks = nn.ModuleList(blocks)
        self.region = plain
        if way != "eager":
            self.region = functools.partial(checkpoint, use_reentrant=reentrant)

    def forward(self, x):
        for block in self.compiled or self.blocks:
            x = self.region(block, x)
        return x


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")  # in `find_sites`
@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("way", ["torch.compile", "Module.compile", "function"])
def test_compiled_blocks_in_checkpointed_regions(way, reentrant):
    """No code of the region but theirs could note where its draws began."""
    x = torch.linspace(-1, 2, 72, dtype=torch.float64).view(6, 12)
    model = Regions(way, reentrant)
    calls = [block._compiled_call_impl for block in model.blocks]
    for step in (0, 1):
        expected = gradients(Regions("eager", False), x, False, seed=5, step=step)
        for outside in (False, True):
            found = gradients(model, x, outside, seed=5, step=step)
            torch.testing.assert_close(found, expected)
    assert all(not block._forward_pre_hooks for block in model.blocks)
    assert [block._compiled_call_impl for block in model.blocks] == calls


@pytest.mark.integration
@pytest.mark.parametrize("reentrant", [False, True])
def test_a_compiled_model_in_a_checkpointed_region(reentrant):
    x = torch.linspace(-1, 2, 72, dtype=torch.float64).view(6, 12)
    expected = gradients(Net(plain), x, False, seed=5)
    graph = torch.compile(Net(plain), backend="aot_eager", fullgraph=True)
    region = functools.partial(checkpoint, graph, use_reentrant=reentrant)
    for outside in (False, True):
        given = x.clone().requires_grad_()
        with td.keyed(graph, seed=5):
            y = region(given).square().sum()
            if not outside:
                y.backward()
        if outside:
            y.backward()
        torch.testing.assert_close((y.detach(), given.grad), expected)


BUDGETS = [(backend, budget) for backend in ("aot_eager", "inductor") for budget in (0.5, 0.0, 1.0)]


@pytest.mark.integration
@pytest.mark.parametrize(
    ("backend", "budget"),
    [BUDGETS[0], *(pytest.param(*setting, marks=pytest.mark.slow) for setting in BUDGETS[1:])],
)
def test_gradients_under_budgets(backend, budget):
    """They are those of eager, and of finite differences."""
    x = torch.linspace(-1, 2, 72, dtype=torch.float64).view(6, 12)
    count = CompileCounterWithBackend(backend)
    direction, h = x.cos(), 1e-6
    with config.patch(activation_memory_budget=budget):
        graph = torch.compile(Net(plain), backend=count, fullgraph=True)
        for step in (0, 1):
            expected = gradients(Net(plain), x, False, seed=5, step=step)
            for outside in (False, True):
                found = gradients(graph, x, outside, seed=5, step=step)
                torch.testing.assert_close(found, expected)
        values = [
            gradients(graph, x + sign * h * direction, False, seed=5, step=1)[0] for sign in (1, -1)
        ]
    torch.testing.assert_close((found[1] * direction).sum(), (values[0] - values[1]) / (2 * h))
    assert count.frame_count == 1


@pytest.mark.integration
@pytest.mark.skipif(
    not _torch.asks_about_factories,
    reason="the compiler of torch 2.10 raises on the hooks of a model within a function",
)
def test_a_function_that_is_compiled_around_a_model():
    """Also after a forward in eager, where the mode has been left; draws are the same."""
    model = nn.Sequential(nn.Linear(X.shape[-1], 4), nn.Dropout(0.5))
    double = torch.cat((X, X))
    whole = drawn(model, double)
    step = torch.compile(lambda x: model(x) * 2, backend="eager")
    sites = td.find_sites(model, X)
    with td.keyed(model, batch=(0, 16), sites=sites, **SCOPE):
        assert torch.equal(model(X), whole[:8])
        assert torch.equal(step(X), whole[8:] * 2)
    with td.keyed(model, batch=(0, 16), sites=sites, **SCOPE):
        assert torch.equal(step(X), whole[:8] * 2)
        assert torch.equal(step(X), whole[8:] * 2)
    assert not torch.overrides._get_current_function_mode_stack()


def by_default(x):
    """Every dropout of `torch.nn.functional`, by its defaults."""
    return (
        torch_F.dropout(x),
        torch_F.dropout1d(x[..., 0]),
        torch_F.dropout2d(x),
        torch_F.dropout3d(x[..., None]),
        torch_F.alpha_dropout(x, training=True),
        torch_F.feature_alpha_dropout(x, training=True),
        torch_F.alpha_dropout(x),
        torch_F.feature_alpha_dropout(x),
    )


@pytest.mark.integration
def test_the_defaults_of_functions():
    """The compiler gives only the arguments that are written."""
    model, x = Calls(by_default), torch.ones(8, 3, 6, 5)
    graph = torch.compile(model, backend="eager", fullgraph=True)
    found = drawn(graph, x, sites=td.find_sites(model, x))
    assert all(map(torch.equal, found, drawn(model, x)))
    assert torch.equal(x, torch.ones(8, 3, 6, 5))
