"""drop_connect: plain dropout of a weight."""

import functools

import pytest
import torch

from oracle import DTYPES, dropout, layouts_of, same_bits
from torchdropout import Key, MaskLayout
from torchdropout import functional as F
from torchdropout.errors import ArgumentTypeError, ArgumentValueError

KEY = Key(5, 2)


def weight(dtype=torch.float32, shape=(6, 5)):
    wide = torch.complex128 if dtype.is_complex else torch.float64
    return torch.randn(shape, dtype=wide, generator=torch.Generator().manual_seed(1)).to(dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("dims", [(), (0,), (1,), (0, -1)])
def test_is_the_definition(dtype, dims):
    w = weight(dtype)
    expected = dropout(w, 0.4, KEY, MaskLayout.of(w.shape, dims))
    for other in layouts_of(w).values():
        assert same_bits(F.drop_connect(other, 0.4, key=KEY, broadcast_dims=dims), expected)


def test_rows_are_dropped_whole():
    """What AWD-LSTM calls variational: all connections into a unit."""
    y = F.drop_connect(torch.ones(64, 8), 0.5, key=KEY, broadcast_dims=(1,))
    assert torch.equal(y, y[:, :1].expand_as(y))
    assert set(y[:, 0].tolist()) == {0.0, 2.0}


@pytest.mark.parametrize(("p", "training"), [(0.0, True), (0.4, False), (1.0, False)])
def test_nothing_to_drop(p, training):
    w, before = weight(), torch.get_rng_state()
    assert F.drop_connect(w, p, training) is w
    assert torch.equal(torch.get_rng_state(), before)


def test_p_one():
    w = torch.full((3, 4), torch.nan, requires_grad=True)
    y = F.drop_connect(w, 1.0)
    (gradient,) = torch.autograd.grad(y.sum(), w)
    assert same_bits(y.detach(), torch.zeros(3, 4))
    assert torch.equal(gradient, torch.zeros(3, 4))


def test_gradients_of_both_orders_and_what_is_kept_for_them():
    w = weight(torch.float64).requires_grad_()
    drop = functools.partial(F.drop_connect, p=0.4, key=KEY)
    assert torch.autograd.gradcheck(drop, w)
    assert torch.autograd.gradgradcheck(lambda w: drop(w) ** 3, w)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(kept.append, lambda t: t):
        drop(w)
    assert sum(t.nbytes for t in kept) <= 16


def test_a_shard_of_a_weight_and_an_output():
    w = weight()
    layout = MaskLayout.of(w.shape).at((2,))
    whole = F.drop_connect(w, 0.4, key=KEY)
    assert torch.equal(F.drop_connect(w[2:], 0.4, key=KEY, layout=layout), whole[2:])
    out = torch.empty_like(w)
    assert F.drop_connect(w, 0.4, key=KEY, out=out) is out
    assert torch.equal(out, whole)


def test_one_weight_for_all_samples_or_one_for_each():
    x = torch.randn(7, 5)

    def layer(x):
        return F.drop_connect(weight(), 0.5) @ x

    same = torch.func.vmap(layer, randomness="same")(x)
    torch.manual_seed(3)
    each = torch.func.vmap(lambda _: F.drop_connect(weight(), 0.5), randomness="different")(x)
    assert same.shape == (7, 6)
    assert len(each.flatten(1).unique(dim=0)) == 7


def test_traced_and_compiled():
    graph = torch.fx.symbolic_trace(lambda w: F.drop_connect(w, 0.4))
    assert F.drop_connect in [n.target for n in graph.graph.nodes]
    compiled = torch.compile(F.drop_connect, fullgraph=True, backend="aot_eager")
    for function in (compiled, graph):
        torch.manual_seed(3)
        expected = F.drop_connect(weight(), 0.4)
        torch.manual_seed(3)
        assert torch.equal(function(weight(), *((0.4,) if function is compiled else ())), expected)


@pytest.mark.parametrize(
    ("w", "kwargs", "error", "words"),
    [
        ([1.0], {}, ArgumentTypeError, r"`input` to be a tensor, got input=\[1.0\] \(list\)"),
        (torch.ones(2).int(), {}, ArgumentTypeError, "torch.int32"),
        (torch.ones(2), {"p": 1.7}, ArgumentValueError, r"`p` .*got p=1.7 \(float\)"),
        (torch.ones(2), {"key": 3}, ArgumentTypeError, r"`key` .*got key=3 \(int\)"),
        (torch.ones(2), {"broadcast_dims": (1,)}, ArgumentValueError, "of a 1-D input"),
    ],
)
def test_refusals_draw_nothing(w, kwargs, error, words):
    before = torch.get_rng_state()
    with pytest.raises(error, match=words):
        F.drop_connect(w, **kwargs)
    assert torch.equal(torch.get_rng_state(), before)


def test_no_nested_tensor():
    nested = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged)
    with pytest.raises(ArgumentTypeError, match="`input` to be a tensor that is not nested"):
        F.drop_connect(nested, 0.5)
