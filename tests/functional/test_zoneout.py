"""zoneout: a select between two states by the contract's mask; their expectation in eval."""

import importlib
import math

import pytest
import torch

from oracle import same_bits
from torchdropout import Key, MaskLayout
from torchdropout import functional as F
from torchdropout.errors import ArgumentTypeError, ArgumentValueError

KEY = Key(5, 2)
zoneout = importlib.import_module("torchdropout.functional.zoneout")  # not the function


def states(dtype=torch.float32, shape=(6, 5), **kwargs):
    wide = torch.complex128 if dtype.is_complex else torch.float64
    pair = torch.randn(2, *shape, dtype=wide, generator=torch.Generator().manual_seed(1))
    return [s.to(dtype).requires_grad_(kwargs.get("requires_grad", False)) for s in pair]


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


@pytest.mark.parametrize("p", [0.05, 0.3, 0.9])
def test_the_law(p):
    """Of 2^20 units: a rate off by 6 standard errors is found, and a false alarm is below 1e-8."""
    count = 1 << 20
    kept_old = F.zoneout(torch.zeros(count), torch.ones(count), p, key=Key(77)).mean().item()
    assert abs(kept_old - p) < 6 * math.sqrt(p * (1 - p) / count)
    in_eval = F.zoneout(torch.zeros(1), torch.ones(1), p, training=False).item()
    assert math.isclose(in_eval, p, rel_tol=1e-6)


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
        monkeypatch.setattr("torchdropout._core.direct.takes", lambda x: False)
    new, old = states(requires_grad=True, shape=(64, 65))
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        y = F.zoneout(new, old, 0.4)
        (gradient,) = torch.autograd.grad(y.sum(), new, create_graph=True)
        gradient.sum()
    assert {t.nbytes for t in kept} == (set() if fast else {16})


def test_a_key_in_a_tensor_is_held_by_autograd_alone(monkeypatch):
    """Which frees it after the backward, and whose hooks may store it elsewhere."""
    monkeypatch.setattr("torchdropout._core.direct.takes", lambda x: False)
    new, old = states(requires_grad=True)
    y = F.zoneout(new, old, 0.4)
    first = torch.autograd.grad(y.sum(), (new, old), retain_graph=True)
    second = torch.autograd.grad(y.sum(), (new, old))
    assert all(map(torch.equal, first, second))
    with pytest.raises(RuntimeError, match="a second time"):
        torch.autograd.grad(y.sum(), (new, old))


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
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_refusals_draw_nothing(training, kwargs, error, words):
    new, old = states()
    before = torch.get_rng_state()
    with pytest.raises(error, match=words):
        F.zoneout(**{"new": new, "old": old, "p": 0.4, "training": training, **kwargs})
    assert torch.equal(torch.get_rng_state(), before)


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
