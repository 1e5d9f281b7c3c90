"""Gradients where torch's compiler recomputes: under a memory budget, aggressively, in regions.

A backward that draws another key raises nothing, and its gradient is wrong. So gradients are
compared with finite differences of the compiled function, its generator seeded alike each time.
"""

import functools
import itertools

import pytest
import torch
from torch._functorch import config
from torch._higher_order_ops.map import map as map_rows
from torch._higher_order_ops.scan import scan
from torch.utils.checkpoint import CheckpointPolicy as Policy
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts

import torchdropout as td
from draws import kept
from torchdropout import functional as F
from variants import FUNCTIONS


@pytest.fixture(autouse=True)
def fresh():
    torch._dynamo.reset()
    with config.patch(enable_autograd_cache=False):  # what another version partitioned
        yield
    torch._dynamo.reset()


def numbers(*shape):
    return torch.linspace(-1.7, 2.3, torch.Size(shape).numel(), dtype=torch.float64).view(shape)


W = numbers(12, 12).sin()


def around(name):
    """A function of the registry between operators that are recomputed, and its input."""
    x, *rest = FUNCTIONS[name].tensors(torch.float64)

    def function(x):
        y = FUNCTIONS[name]((x * 1.1).tanh(), *rest)
        return (y.sin() * 1.5).cos().square().sum()

    return function, x


def deep(x):
    y = F.dropout((x @ W).tanh(), 0.4)
    y = F.dropout((y.sin() @ W).cos(), 0.3)
    return (y @ W).sin().square().sum()


def assert_gradient(function, x=None):
    """The derivative along one direction is that of finite differences."""
    x = numbers(4, 6, 12) if x is None else x
    direction, step = numbers(x.numel()).cos().view(x.shape), 1e-6

    def value(x):
        torch.manual_seed(7)
        return function(x.requires_grad_())

    x_of_graph = x.clone().requires_grad_()
    torch.manual_seed(7)
    y = function(x_of_graph)
    torch.manual_seed(99)  # the backward must not need the generator
    (gradient,) = torch.autograd.grad(y, x_of_graph)
    change = value(x + step * direction) - value(x - step * direction)
    torch.testing.assert_close((gradient * direction).sum(), change.detach() / (2 * step))


def compiled(function, backend="aot_eager"):
    return torch.compile(function, backend=backend, fullgraph=True)


def select(policy, _context, _operator, *_args, **_kwargs):
    return policy


def save_draws(_context, operator, *_args, **_kwargs):
    drawn = operator is torch.ops.torchdropout.draw_keys.default
    return Policy.MUST_SAVE if drawn else Policy.PREFER_RECOMPUTE


POLICIES = {p.name: functools.partial(select, p) for p in list(Policy)[:4]}
POLICIES["save draws"] = save_draws


def in_region(kind, function):
    """The function in a checkpointed region: of that kind, or under a policy."""
    if kind is None:
        return function
    if kind in POLICIES:
        contexts = functools.partial(create_selective_checkpoint_contexts, POLICIES[kind])
        return lambda x: checkpoint(function, x, use_reentrant=False, context_fn=contexts)
    return lambda x: checkpoint(function, x, use_reentrant=kind == "reentrant")


@pytest.mark.parametrize(
    ("budget", "aggressive", "kind"),
    [
        (0.5, False, None),
        pytest.param(0.0, False, None, marks=pytest.mark.integration),
        pytest.param(1.0, True, None, marks=pytest.mark.integration),
        pytest.param(0.0, False, "MUST_SAVE", marks=pytest.mark.integration),
        pytest.param(0.5, False, "PREFER_SAVE", marks=pytest.mark.integration),
    ],
)
def test_gradient_of_a_model(budget, aggressive, kind):
    with config.patch(activation_memory_budget=budget, aggressive_recomputation=aggressive):
        assert_gradient(compiled(in_region(kind, deep)))


@pytest.mark.integration
@pytest.mark.skipif(
    not hasattr(torch.autograd.graph, "region_activation_memory_budget"), reason="of a later torch"
)
@pytest.mark.parametrize("budget", [0.0, 0.5])
def test_gradient_under_a_budget_of_a_region(budget):
    def function(x):
        with torch.autograd.graph.region_activation_memory_budget(budget):
            return deep(x)

    assert_gradient(compiled(function))


@pytest.mark.integration
@pytest.mark.parametrize("name", ["token_dropout", "drop_block1d", "gaussian_dropout"])
def test_gradient_of_other_operators(name):
    with config.patch(activation_memory_budget=0.0):
        function, x = around(name)
        assert_gradient(compiled(function), x)


SETTINGS = list(itertools.product([0.0, 0.25, 0.5, 0.75, 1.0], [False, True]))


@pytest.mark.slow
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(("budget", "aggressive"), SETTINGS)
def test_gradient_of_the_family(name, budget, aggressive):
    with config.patch(activation_memory_budget=budget, aggressive_recomputation=aggressive):
        for kind in (None, "reentrant", "not reentrant", "MUST_SAVE", "PREFER_SAVE"):
            torch._dynamo.reset()
            function, x = around(name)
            assert_gradient(compiled(in_region(kind, function)), x)


@pytest.mark.slow
@pytest.mark.parametrize(("budget", "aggressive"), SETTINGS)
def test_gradient_under_every_policy(budget, aggressive):
    with config.patch(activation_memory_budget=budget, aggressive_recomputation=aggressive):
        for kind in POLICIES:
            torch._dynamo.reset()
            assert_gradient(compiled(in_region(kind, deep)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", [None, "reentrant", "not reentrant", "PREFER_SAVE"])
@pytest.mark.parametrize(("budget", "aggressive"), SETTINGS)
def test_gradient_by_inductor(budget, aggressive, kind):
    with config.patch(activation_memory_budget=budget, aggressive_recomputation=aggressive):
        assert_gradient(compiled(in_region(kind, deep), "inductor"))


@pytest.mark.slow
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(("budget", "aggressive"), [(0.0, False), (0.5, False), (1.0, True)])
def test_gradient_of_the_family_by_inductor(name, budget, aggressive):
    with config.patch(activation_memory_budget=budget, aggressive_recomputation=aggressive):
        function, x = around(name)
        assert_gradient(compiled(function, "inductor"), x)


@pytest.mark.integration
@pytest.mark.parametrize(("budget", "kind"), [(0.5, None), (1.0, "not reentrant")])
def test_a_key_is_saved_and_no_state_of_a_generator(budget, kind):
    with config.patch(activation_memory_budget=budget), kept() as saved:
        compiled(in_region(kind, deep))(numbers(4, 6, 12).requires_grad_())
    assert [t.nbytes for t in saved if t.dtype == torch.int64] == [16, 16]
    assert not any(t.dtype == torch.uint8 for t in saved)


KEY = td.Key(3)


def branch(key, x):
    return torch.cond(x.sum() > 1e9, torch.cos, lambda x: F.dropout(x.sin(), 0.4, key=key), (x,))


def rows(key, x):
    return map_rows(lambda row: F.dropout(row.sin(), 0.4, key=key), x)


def steps(key, x):
    return scan(lambda c, row: ((c.sin() + row), F.dropout(c, 0.4, key=key)), x[0].clone(), x)[1]


@torch.compiler.nested_compile_region
def nested_drawn(x):
    return F.dropout(x.sin(), 0.4)


@torch.compiler.nested_compile_region
def nested_keyed(x):
    return F.dropout(x.sin(), 0.4, key=KEY)


def nested(key, x):
    region = nested_drawn if key is None else nested_keyed
    return region(region(x))  # a region that is used once is not kept as one


def total(function, key, x):
    return function(key, x.sin()).square().sum()


@pytest.mark.integration
@pytest.mark.parametrize(
    ("function", "budget"),
    [
        (branch, 1.0),
        pytest.param(rows, 1.0, marks=pytest.mark.slow),
        pytest.param(steps, 0.5, marks=pytest.mark.slow),
        (nested, 0.5),
    ],
)
def test_a_body_that_the_backward_runs_again_needs_a_key(function, budget):
    with config.patch(activation_memory_budget=budget):
        drawn, x = functools.partial(total, function, None), numbers(4, 6, 12).requires_grad_()
        with pytest.raises(Exception, match=r"Expected `key` to be a torchdropout\.Key"):
            compiled(drawn)(x).backward()
        torch._dynamo.reset()
        with torch.no_grad():
            compiled(drawn)(x)
        torch._dynamo.reset()
        assert_gradient(compiled(functools.partial(total, function, KEY)))


@pytest.mark.slow
@pytest.mark.parametrize("function", [steps, nested])
def test_a_body_that_the_backward_does_not_run_again(function):
    assert_gradient(compiled(functools.partial(total, function, None)))
