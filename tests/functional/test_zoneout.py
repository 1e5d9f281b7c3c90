"""zoneout: a select between two states by the contract's mask; their expectation in eval."""

import functools
import importlib
import math

import pytest
import torch

from oracle import DTYPES, layouts_of, mask, same_bits
from torchdropout import Key, MaskLayout
from torchdropout import functional as F
from torchdropout.errors import ArgumentTypeError, ArgumentValueError

KEY = Key(5, 2)
zoneout = importlib.import_module("torchdropout.functional.zoneout")  # not the function


def states(dtype=torch.float32, shape=(6, 5), **kwargs):
    wide = torch.complex128 if dtype.is_complex else torch.float64
    pair = torch.randn(2, *shape, dtype=wide, generator=torch.Generator().manual_seed(1))
    return [s.to(dtype).requires_grad_(kwargs.get("requires_grad", False)) for s in pair]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("dims", [(), (0,), (-1,)])
def test_selects_by_the_mask_bit_for_bit(dtype, dims):
    new, old = states(dtype)
    keep = mask(KEY, 0.4, new.shape, MaskLayout.of(new.shape, dims))
    expected = torch.where(keep, new, old)
    for name, other in layouts_of(new).items():
        y = F.zoneout(other, layouts_of(old)[name], 0.4, key=KEY, broadcast_dims=dims)
        assert same_bits(y, expected)
    mixed = F.zoneout(new, layouts_of(old)["transposed"], 0.4, key=KEY, broadcast_dims=dims)
    assert same_bits(mixed, expected)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, -0.0])
def test_what_is_not_chosen_leaves_no_trace(value):
    new, old = states()
    strange = torch.full_like(new, value)
    keep = F.keep_mask(new.shape, 0.4, key=KEY)
    assert same_bits(F.zoneout(strange, old, 0.4, key=KEY)[~keep], old[~keep])
    assert same_bits(F.zoneout(new, strange, 0.4, key=KEY)[keep], new[keep])
    assert same_bits(F.zoneout(strange, old, 0.4, key=KEY)[keep], strange[keep])


def test_p_zero_and_p_one():
    new, old = states(requires_grad=True)
    before = torch.get_rng_state()
    assert F.zoneout(new, old, 0.0) is new
    assert F.zoneout(new, old, 0.0, training=False) is new
    assert F.zoneout(new, old, 1.0, training=False) is old
    assert torch.equal(torch.get_rng_state(), before)
    y = F.zoneout(new, old, 1.0)
    assert torch.equal(y, old)
    of_new, of_old = torch.autograd.grad(y.sum(), (new, old))
    assert torch.equal(of_new, torch.zeros_like(new))
    assert torch.equal(of_old, torch.ones_like(old))


def test_eval_is_the_expectation():
    new, old = states(torch.float64)
    before = torch.get_rng_state()
    y = F.zoneout(new, old, 0.3, training=False)
    torch.testing.assert_close(y, 0.3 * old + 0.7 * new, rtol=1e-15, atol=0)
    assert F.zoneout(torch.tensor(math.inf), torch.tensor(1.0), 0.3, False) == math.inf
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("p", [0.05, 0.3, 0.9])
def test_the_law(p):
    """Of 2^20 units: a rate off by 6 standard errors is found, and a false alarm is below 1e-8."""
    count = 1 << 20
    kept_old = F.zoneout(torch.zeros(count), torch.ones(count), p, key=Key(77)).mean().item()
    assert abs(kept_old - p) < 6 * math.sqrt(p * (1 - p) / count)
    in_eval = F.zoneout(torch.zeros(1), torch.ones(1), p, training=False).item()
    assert math.isclose(in_eval, p, rel_tol=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_derivatives(training):
    new, old = states(torch.float64, requires_grad=True)
    run = functools.partial(F.zoneout, p=0.4, training=training, key=KEY)
    both = {"check_forward_ad": True, "check_batched_grad": True}
    assert torch.autograd.gradcheck(run, (new, old), **both)
    assert torch.autograd.gradgradcheck(lambda n, o: run(n, o) ** 3, (new, old))
    for wanted in (0, 1):
        pair = [s.detach().requires_grad_(i == wanted) for i, s in enumerate((new, old))]
        assert torch.autograd.gradcheck(run, pair, check_forward_ad=True)


def test_each_gradient_goes_where_the_value_came_from():
    new, old = states(requires_grad=True)
    y = F.zoneout(new, old, 0.4, key=KEY)
    keep = F.keep_mask(new.shape, 0.4, key=KEY)
    incoming = torch.full_like(y, math.inf)
    of_new, of_old = torch.autograd.grad(y, (new, old), incoming)
    assert torch.equal(of_new, torch.where(keep, incoming, 0.0))
    assert torch.equal(of_old, torch.where(keep, 0.0, incoming))


@pytest.mark.parametrize("fast", [True, False])
def test_only_the_key_is_kept_for_the_backward(fast, monkeypatch):
    if not fast:
        monkeypatch.setattr("torchdropout.direct.takes", lambda x: False)
    new, old = states(requires_grad=True, shape=(64, 65))
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        y = F.zoneout(new, old, 0.4)
        (gradient,) = torch.autograd.grad(y.sum(), new, create_graph=True)
        gradient.sum()
    assert {t.nbytes for t in kept} == (set() if fast else {16})


def test_a_key_in_a_tensor_is_held_by_autograd_alone(monkeypatch):
    """Which frees it after the backward, and whose hooks may store it elsewhere."""
    monkeypatch.setattr("torchdropout.direct.takes", lambda x: False)
    new, old = states(requires_grad=True)
    y = F.zoneout(new, old, 0.4)
    first = torch.autograd.grad(y.sum(), (new, old), retain_graph=True)
    second = torch.autograd.grad(y.sum(), (new, old))
    assert all(map(torch.equal, first, second))
    with pytest.raises(RuntimeError, match="a second time"):
        torch.autograd.grad(y.sum(), (new, old))


def test_sources_of_randomness():
    new, old = states()
    torch.manual_seed(3)
    y = F.zoneout(new, old, 0.4)
    torch.manual_seed(3)
    assert torch.equal(y, F.zoneout(new, old, 0.4, key=Key.draw()))
    generator, before = torch.Generator().manual_seed(1), torch.get_rng_state()
    y = F.zoneout(new, old, 0.4, generator=generator)
    assert torch.equal(y, F.zoneout(new, old, 0.4, key=Key.draw(torch.Generator().manual_seed(1))))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_micro_batch_and_a_time_step_of_something_larger():
    new, old = states(shape=(6, 4, 5))
    whole = F.zoneout(new, old, 0.4, key=KEY)
    layout = MaskLayout.of((6, 4, 5))
    for part in (slice(0, 2), slice(2, 6)):
        given = {"key": KEY, "layout": layout.at((part.start,))}
        assert torch.equal(F.zoneout(new[part], old[part], 0.4, **given), whole[part])
    for t in range(4):
        step = MaskLayout(layout.index((0, t)), (20, 1))
        y = F.zoneout(new[:, t], old[:, t], 0.4, key=KEY, layout=step)
        assert torch.equal(y, whole[:, t])


class TestVmap:
    new, old = states(shape=(7, 4, 3))

    @pytest.mark.parametrize("dims", [(0, 0), (1, 0), (0, None), (None, 1)])
    def test_with_a_key_all_samples_share_the_mask(self, dims):
        new = self.new if dims[0] is not None else self.new[0]
        old = self.old if dims[1] is not None else self.old[0]
        given = [s.movedim(0, d) if d else s for s, d in zip((new, old), dims, strict=True)]
        run = functools.partial(F.zoneout, p=0.4, key=KEY)
        y = torch.func.vmap(run, in_dims=dims)(*given)
        new, old = new.expand(7, 4, 3), old.expand(7, 4, 3)
        assert torch.equal(y, torch.stack([run(n, o) for n, o in zip(new, old, strict=True)]))

    def test_a_draw_for_each_sample_or_one_for_all(self):
        for randomness, masks in (("different", 7), ("same", 1)):
            run = torch.func.vmap(lambda n, o: F.zoneout(n, o, 0.4), randomness=randomness)
            y = run(torch.zeros(7, 40), torch.ones(7, 40))
            assert len(y.unique(dim=0)) == masks

    def test_gradient_for_each_sample(self):
        def loss(new, old):
            return (F.zoneout(new, old, 0.4, key=KEY) * new).sum()

        gradients = torch.func.vmap(torch.func.grad(loss, argnums=(0, 1)))(self.new, self.old)
        each = torch.func.grad(loss, argnums=(0, 1))(self.new[2], self.old[2])
        assert all(torch.equal(g[2], e) for g, e in zip(gradients, each, strict=True))


def test_compiled_is_eager():
    def step(new, old):
        y = F.zoneout(new, old, 0.4)
        return F.zoneout(y * y, old, 0.2)

    new, old = states(requires_grad=True)
    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
    found = []
    for function in (step, compiled):
        torch.manual_seed(3)
        y = function(new, old)
        found.append((y, *torch.autograd.grad(y.sum(), (new, old))))
    assert all(map(torch.equal, *found))


def test_checkpointed_has_the_same_mask():
    new, old = states(requires_grad=True)

    def step(new, old):
        return F.zoneout(torch.tanh(new), old, 0.4) ** 2

    gradients = []
    for run in (step, functools.partial(torch.utils.checkpoint.checkpoint, step)):
        torch.manual_seed(3)
        kwargs = {"use_reentrant": False} if run is not step else {}
        gradients.append(torch.autograd.grad(run(new, old, **kwargs).sum(), (new, old)))
    assert all(map(torch.equal, *gradients))


def test_is_traced_as_one_call():
    graph = torch.fx.symbolic_trace(lambda new, old: F.zoneout(new, old, 0.4))
    assert F.zoneout in [n.target for n in graph.graph.nodes]
    new, old = states()
    torch.manual_seed(3)
    y = graph(new, old)
    torch.manual_seed(3)
    assert torch.equal(y, F.zoneout(new, old, 0.4))


@pytest.mark.parametrize(
    ("kwargs", "error", "words"),
    [
        ({"new": 1.0}, ArgumentTypeError, r"`new` to be a tensor, got new=1.0 \(float\)"),
        ({"old": None}, ArgumentTypeError, r"`old` to be a tensor, got old=None"),
        ({"old": torch.ones(6, 5).int()}, ArgumentTypeError, "Expected `old` .*torch.int32"),
        ({"old": torch.ones(6, 5).double()}, ArgumentTypeError, "of the dtype of `new`, torch.fl"),
        ({"old": torch.ones(6, 4)}, ArgumentValueError, r"shape of `new`, \(6, 5\), got old=<te"),
        ({"old": torch.ones(5)}, ArgumentValueError, r"of the shape of `new`"),
        ({"old": torch.ones(6, 5, device="meta")}, ArgumentValueError, "device of `new`, cpu, and"),
        ({"p": 1.7}, ArgumentValueError, r"got p=1.7 \(float\)"),
        ({"p": math.nan}, ArgumentValueError, "got p=nan"),
        ({"training": 1}, ArgumentTypeError, r"`training` to be a bool, got training=1"),
        ({"key": KEY, "generator": torch.Generator()}, ArgumentValueError, "not both"),
        ({"layout": MaskLayout(0, (1,))}, ArgumentValueError, "`layout`"),
        ({"broadcast_dims": (2,)}, ArgumentValueError, "`broadcast_dims`"),
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_refusals_draw_nothing(training, kwargs, error, words):
    new, old = states()
    before = torch.get_rng_state()
    with pytest.raises(error, match=words):
        F.zoneout(**{"new": new, "old": old, "p": 0.4, "training": training, **kwargs})
    assert torch.equal(torch.get_rng_state(), before)


def test_no_nested_tensor():
    nested = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged)
    with pytest.raises(ArgumentTypeError, match="`new` to be a tensor that is not nested"):
        F.zoneout(nested, nested, 0.4)


def test_who_draws(monkeypatch):
    """A key is used as it is, or as its tensor in a graph; without one, an operator may draw."""
    x = torch.ones(3)
    key = Key(5, 6)
    assert zoneout.draw(x, key, None) is key
    assert zoneout.draw(x, None, torch.Generator().manual_seed(3)) == Key.draw(
        torch.Generator().manual_seed(3)
    )
    for takes in (True, False):
        monkeypatch.setattr(zoneout.direct, "takes", lambda x, takes=takes: takes)
        torch.manual_seed(3)
        drawn = zoneout.draw(x, None, None)
        assert isinstance(drawn, Key if takes else torch.Tensor)
        torch.manual_seed(3)
        expected = Key.draw()
        assert drawn == expected if takes else torch.equal(drawn, expected.tensor())
        assert isinstance(zoneout.draw(x, None, torch.Generator()), Key)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert torch.equal(zoneout.draw(x, key, None), torch.tensor([5, 6]))


@pytest.mark.parametrize("p", [0.3, 1.0])
def test_the_expectation_at_one_is_the_old_value(p):
    new, old = torch.tensor([1.0, math.inf]), torch.tensor([3.0, 2.0])
    y = zoneout.expectation(new, old, p)
    if p == 1.0:
        assert y is old
    else:
        torch.testing.assert_close(y, torch.tensor([0.7 + 0.9, math.inf]))


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("key", [KEY, None])
def test_one_gradient_alone(create_graph, key):
    """With a key of the caller, and with one that an operator draws."""
    gradient = torch.randn(6, 5, dtype=torch.float64)
    both = states(torch.float64, requires_grad=True)

    def gradients(new, old, wanted):
        torch.manual_seed(3)
        y = F.zoneout(new, old, 0.4, key=key)
        return torch.autograd.grad(y, wanted, gradient, create_graph=create_graph)

    expected = gradients(*both, both)
    assert torch.equal(expected[0] + expected[1], gradient)
    for number, wanted in enumerate(both):
        given = [t if t is wanted else t.detach() for t in both]
        (alone,) = gradients(*given, [wanted])
        assert torch.equal(alone, expected[number])


def test_a_drawn_key_gives_the_forward_derivative_its_mask():
    new, old = states(torch.float64)
    tangents = states(torch.float64)
    torch.manual_seed(3)
    expected = F.zoneout(*tangents, 0.4)
    for chosen in ((0,), (1,), (0, 1)):

        def call(*changed, chosen=chosen):
            both = [new, old]
            for n, t in zip(chosen, changed, strict=True):
                both[n] = t
            torch.manual_seed(3)
            return F.zoneout(*both, 0.4)

        primals = tuple((new, old)[n] for n in chosen)
        _, tangent = torch.func.jvp(call, primals, tuple(tangents[n] for n in chosen))
        if len(chosen) == 2:
            assert torch.equal(tangent, expected)
        else:
            assert torch.equal(tangent != 0, expected == tangents[chosen[0]])


def test_where_a_graph_takes_no_function_it_takes_a_select(monkeypatch):
    new, old = states(torch.float64, requires_grad=True)
    expected = F.zoneout(new, old, 0.4, key=KEY)
    monkeypatch.setattr(zoneout.direct, "takes", lambda x: False)
    monkeypatch.setattr(zoneout._torch, "refuses_functions", lambda: True)
    y = F.zoneout(new, old, 0.4, key=KEY)
    assert torch.equal(y, expected)
    assert "Where" in type(y.grad_fn).__name__
    found, wanted = (torch.autograd.grad(t.sum(), (new, old)) for t in (y, expected))
    assert all(map(torch.equal, found, wanted))
