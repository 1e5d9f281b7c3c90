"""Locked dropout: one mask for all time steps, by the contract."""

import functools

import pytest
import torch

from oracle import DTYPES, dropout, layouts_of, same_bits
from torchdropout import Key, MaskLayout
from torchdropout import functional as F
from torchdropout.errors import ArgumentTypeError, ArgumentValueError
from torchdropout.verify import check_dropout

KEY = Key(8, 9)


def seeded(function, *args, **kwargs):
    torch.manual_seed(3)
    return function(*args, **kwargs)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_equals_the_definition(dtype):
    cases = [((7,), 0), ((6, 5), -1), ((4, 5, 3), 1), ((4, 5, 3), 0), ((2, 3, 4, 5), -3)]
    for shape, time_dim in [*cases, ((0, 3), 1), ((3, 0, 2), 1)]:
        wide = torch.complex128 if dtype.is_complex else torch.float64
        x = torch.randn(shape, dtype=wide, generator=torch.Generator().manual_seed(1)).to(dtype)
        expected = dropout(x, 0.4, KEY, MaskLayout.of(shape, (time_dim,)))
        for laid_out in layouts_of(x).values():
            y = F.locked_dropout(laid_out, 0.4, time_dim=time_dim, key=KEY)
            assert same_bits(y, expected)
            assert y.stride() == torch.empty_like(laid_out).stride()


def test_the_mask_does_not_depend_on_the_number_of_steps():
    x = torch.randn(4, 9, 5)
    whole = F.locked_dropout(x, key=KEY)
    assert torch.equal(F.locked_dropout(x[:, :4], key=KEY), whole[:, :4])
    first = F.locked_dropout(x.movedim(1, 0), time_dim=0, key=KEY)
    assert torch.equal(first.movedim(0, 1), whole)


@pytest.mark.parametrize(("p", "training"), [(0.0, True), (0, True), (0.4, False), (1.0, False)])
def test_identity_draws_nothing(p, training):
    x, before = torch.randn(4, 3), torch.get_rng_state()
    assert F.locked_dropout(x, p, training) is x
    assert torch.equal(torch.get_rng_state(), before)


def test_p_one_is_zeros_with_a_finite_gradient():
    """NaN in fastai's RNNDropout and AWD-LSTM's LockedDropout: they multiply by 0 / 0."""
    x = torch.full((4, 3, 2), torch.inf, requires_grad=True)
    y = F.locked_dropout(x, 1.0)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(y.detach(), torch.zeros(4, 3, 2))
    assert torch.equal(gradient, torch.zeros(4, 3, 2))


def test_randomness():
    run = functools.partial(F.locked_dropout, torch.randn(8, 3, 5), 0.4)
    assert torch.equal(seeded(run), seeded(run))
    drawn = seeded(Key.draw)
    assert torch.equal(seeded(run), run(key=drawn))
    generators = [torch.Generator().manual_seed(1) for _ in range(2)]
    before = torch.get_rng_state()
    y = run(generator=generators[0])
    assert torch.equal(y, run(key=Key.draw(generators[1])))
    assert torch.equal(torch.get_rng_state(), before)


def test_further_sharing_a_micro_batch_and_a_given_output():
    x = torch.randn(6, 4, 3)
    shared = F.locked_dropout(x, key=KEY, broadcast_dims=(0,))
    assert torch.equal(shared, F.dropout(x, key=KEY, broadcast_dims=(0, 1)))
    whole, layout = F.locked_dropout(x, key=KEY), MaskLayout.of((6, 4, 3), (1,))
    assert torch.equal(F.locked_dropout(x[2:], key=KEY, layout=layout.at((2,))), whole[2:])
    out = torch.empty_like(x)
    assert F.locked_dropout(x, key=KEY, out=out) is out
    assert torch.equal(out, whole)


def test_gradients_of_both_orders():
    x = torch.randn(3, 2, 4, dtype=torch.float64, requires_grad=True)
    function = functools.partial(F.locked_dropout, p=0.4, key=KEY)
    assert torch.autograd.gradcheck(function, x)
    assert torch.autograd.gradgradcheck(lambda x: function(x) ** 3, x)


def test_vmap_over_the_batch():
    """In a sample the time dimension comes first; one key gives each sample the same mask."""
    x = torch.ones(64, 5, 3)

    def one(x, **kwargs):
        return F.locked_dropout(x, 0.5, time_dim=0, **kwargs)

    same = torch.func.vmap(functools.partial(one, key=KEY))(x)
    assert torch.equal(same, torch.stack([one(row, key=KEY) for row in x]))
    y = seeded(torch.func.vmap(one, randomness="different"), x)
    assert torch.equal(y, y[:, :1].expand_as(y))
    assert len(y[:, 0].unique(dim=0)) == 8


@pytest.mark.integration
def test_compiles_in_one_graph():
    torch._dynamo.reset()
    x = torch.randn(6, 5, 4)
    function = functools.partial(F.locked_dropout, p=0.4, time_dim=-2)
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager", dynamic=True)
    assert torch.equal(seeded(compiled, x), seeded(function, x))
    assert torch.equal(seeded(compiled, x[:5, :3]), seeded(function, x[:5, :3]))


@pytest.mark.parametrize(
    ("shape", "kwargs", "error", "words"),
    [
        ((), {}, ArgumentValueError, r"`time_dim` .* in \[0, 0\) of a 0-D input, got time_dim=1"),
        ((3,), {}, ArgumentValueError, r"`time_dim` .* in \[-1, 1\) of a 1-D input"),
        ((3, 2), {"time_dim": -3}, ArgumentValueError, r"got time_dim=-3 \(int\)"),
        ((3, 2), {"time_dim": 1.0}, ArgumentTypeError, r"an integer, .* got time_dim=1.0 \(float"),
        ((3, 2), {"time_dim": True}, ArgumentTypeError, r"got time_dim=True \(bool\)"),
        ((3, 2), {"p": -0.1}, ArgumentValueError, r"got p=-0.1 \(float\)"),
        ((3, 2), {"p": "0.1"}, ArgumentTypeError, r"got p='0.1' \(str\)"),
        ((3, 2), {"generator": 3}, ArgumentTypeError, "`generator`"),
        ((3, 2), {"broadcast_dims": (5,)}, ArgumentValueError, "`broadcast_dims`"),
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_refusals_draw_nothing(training, shape, kwargs, error, words):
    before = torch.get_rng_state()
    with pytest.raises(error, match=words):
        F.locked_dropout(torch.ones(shape), training=training, **kwargs)
    assert torch.equal(torch.get_rng_state(), before)


def test_nested_is_refused():
    x = torch.nested.nested_tensor([torch.ones(2, 3), torch.ones(1, 3)], layout=torch.jagged)
    with pytest.raises(ArgumentTypeError, match="`input` to be a tensor that is not nested"):
        F.locked_dropout(x)


@pytest.mark.slow
def test_verified_quick():
    assert not check_dropout(F.locked_dropout, level="quick").findings


@pytest.mark.slow
def test_verified_standard():
    assert not check_dropout(F.locked_dropout, level="standard").findings
