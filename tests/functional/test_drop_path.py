"""Drop path: one draw a sample or one a call, by the contract, with timm's order of arguments."""

import functools

import pytest
import torch

from oracle import DTYPES, dropout, layouts_of, mask, same_bits
from torchdropout import Key, MaskLayout
from torchdropout import functional as F
from torchdropout.errors import ArgumentTypeError, ArgumentValueError
from torchdropout.verify import check_dropout

KEY = Key(8, 9)
SHARED = {"row": slice(1, None), "batch": slice(None)}


def seeded(function, *args, **kwargs):
    torch.manual_seed(3)
    return function(*args, **kwargs)


def layout_of(x, mode):
    return MaskLayout.of(tuple(x.shape), tuple(range(x.ndim))[SHARED[mode]])


@pytest.mark.parametrize("mode", ["row", "batch"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_equals_the_definition(dtype, mode):
    for shape in ((), (7,), (6, 5), (5, 4, 3, 2), (0, 3), (3, 0)):
        wide = torch.complex128 if dtype.is_complex else torch.float64
        x = torch.randn(shape, dtype=wide, generator=torch.Generator().manual_seed(1)).to(dtype)
        expected = dropout(x, 0.4, KEY, layout_of(x, mode))
        for laid_out in layouts_of(x).values():
            y = F.drop_path(laid_out, 0.4, True, mode=mode, key=KEY)
            assert same_bits(y, expected)
            assert y.stride() == torch.empty_like(laid_out).stride()


@pytest.mark.parametrize("mode", ["row", "batch"])
def test_unscaled_keeps_the_values_themselves(mode):
    x = torch.randn(50, 3, 2, requires_grad=True)
    keep = mask(KEY, 0.4, x.shape, layout_of(x, mode))
    y = F.drop_path(x, 0.4, True, False, mode=mode, key=KEY)
    assert same_bits(y.detach(), torch.where(keep, x.detach(), 0.0))
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(gradient, keep.float())


def test_one_draw_a_call_at_the_rate():
    """Of 2,000 calls a share of p is dropped, within 6 sigma, and each as a whole."""
    torch.manual_seed(0)
    x = torch.ones(3, 2)
    calls = torch.stack([F.drop_path(x, 0.3, True, False, mode="batch") for _ in range(2000)])
    assert torch.equal(calls, calls[:, :1, :1].expand_as(calls))
    assert abs(calls[:, 0, 0].mean().item() - 0.7) < 6 * (0.21 / 2000) ** 0.5


@pytest.mark.parametrize(("p", "training"), [(0.0, True), (0, True), (0.4, False), (1.0, False)])
def test_identity_draws_nothing(p, training):
    x, before = torch.randn(4, 3), torch.get_rng_state()
    assert F.drop_path(x, p, training) is x
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("mode", ["row", "batch"])
def test_p_one_is_zeros_with_a_finite_gradient(mode, scaled):
    x = torch.full((4, 3), torch.inf, requires_grad=True)
    y = F.drop_path(x, 1.0, True, scaled, mode=mode)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(y.detach(), torch.zeros(4, 3))
    assert torch.equal(gradient, torch.zeros(4, 3))


@pytest.mark.parametrize("mode", ["row", "batch"])
def test_randomness(mode):
    x = torch.randn(64, 3)
    run = functools.partial(F.drop_path, x, 0.4, True, mode=mode)
    assert torch.equal(seeded(run), seeded(run))
    drawn = seeded(Key.draw)
    assert torch.equal(seeded(run), run(key=drawn))
    generators = [torch.Generator().manual_seed(1) for _ in range(2)]
    before = torch.get_rng_state()
    y = run(generator=generators[0])
    assert torch.equal(y, run(key=Key.draw(generators[1])))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_micro_batch_and_a_given_output():
    x = torch.randn(6, 4)
    whole, layout = F.drop_path(x, 0.4, True, key=KEY), MaskLayout.of((6, 4), (1,))
    part = F.drop_path(x[2:], 0.4, True, key=KEY, layout=layout.at((2,)))
    assert torch.equal(part, whole[2:])
    out = torch.empty_like(x)
    assert F.drop_path(x, 0.4, True, key=KEY, out=out) is out
    assert torch.equal(out, whole)
    assert F.drop_path(x, 0.4, True, key=KEY, out=x) is x
    assert torch.equal(x, whole)


@pytest.mark.parametrize("mode", ["row", "batch"])
def test_gradients_of_both_orders(mode):
    x = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    function = functools.partial(F.drop_path, p=0.4, training=True, mode=mode, key=KEY)
    assert torch.autograd.gradcheck(function, x)
    assert torch.autograd.gradgradcheck(lambda x: function(x) ** 3, x)


def test_transforms():
    x = torch.randn(4, 5, 3)
    same = torch.func.vmap(lambda x: F.drop_path(x, 0.4, True, key=KEY))(x)
    assert torch.equal(same, torch.stack([F.drop_path(row, 0.4, True, key=KEY) for row in x]))
    run = torch.func.vmap(lambda x: F.drop_path(x, 0.5, True, mode="batch"), randomness="different")
    dropped = seeded(run, torch.ones(64, 5)).amax(1)
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    grads = torch.func.vmap(torch.func.grad(lambda x: F.drop_path(x, 0.4, True, key=KEY).sum()))(x)
    assert torch.equal(grads, torch.stack([F.drop_path(torch.ones(5, 3), 0.4, True, key=KEY)] * 4))


@pytest.mark.parametrize("mode", ["row", "batch"])
def test_compiles_in_one_graph(mode):
    torch._dynamo.reset()

    def function(x):
        return F.drop_path(x, 0.4, True, mode=mode)

    def step(function, x):
        y = function(x)
        return y, torch.autograd.grad((y * y).sum(), x)[0]

    x = torch.randn(6, 5, requires_grad=True)
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    got, expected = seeded(step, compiled, x), seeded(step, function, x)
    assert all(map(torch.equal, got, expected))


@pytest.mark.parametrize(
    ("args", "kwargs", "error", "words"),
    [
        ((0.1,), {}, TypeError, "training"),
        ((1.5, True), {}, ArgumentValueError, r"`p` to be in \[0, 1\], .* got p=1.5 \(float\)"),
        ((float("nan"), False), {}, ArgumentValueError, "got p=nan"),
        ((0.1, 1), {}, ArgumentTypeError, r"`training` to be a bool, got training=1 \(int\)"),
        (
            (0.1, True, "no"),
            {},
            ArgumentTypeError,
            r"`scale_by_keep` to be a bool, got .*'no' \(str\)",
        ),
        ((0.1, True), {"mode": "rows"}, ArgumentValueError, "`mode` to be 'row' or 'batch', got"),
        ((0.1, False), {"mode": 0}, ArgumentTypeError, r"`mode` .* got mode=0 \(int\)"),
        ((0.1, True), {"key": 3}, ArgumentTypeError, "`key`"),
        ((0.1, True), {"layout": MaskLayout(0, (1,))}, ArgumentValueError, "`layout`"),
        ((0.1, True), {"out": torch.empty(3)}, ArgumentValueError, "`out`"),
    ],
)
def test_refusals_draw_nothing(args, kwargs, error, words):
    before = torch.get_rng_state()
    with pytest.raises(error, match=words):
        F.drop_path(torch.ones(2, 3), *args, **kwargs)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
@pytest.mark.parametrize("layout", [torch.jagged, torch.strided])
def test_nested_is_refused(layout):
    x = torch.nested.nested_tensor([torch.ones(2, 3), torch.ones(1, 3)], layout=layout)
    with pytest.raises(ArgumentTypeError, match="`input` to be a tensor that is not nested"):
        F.drop_path(x, 0.1, True)
    with pytest.raises(ArgumentTypeError, match="to be a floating-point or complex tensor"):
        F.drop_path(torch.ones(2, dtype=torch.int64), 0.1, True)


@pytest.mark.slow
def test_verified_quick():
    assert not check_dropout(F.drop_path, level="quick").findings


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "level"), [("row", "standard"), ("batch", "quick")])
def test_verified_longer(mode, level):
    """In batch mode a call is one draw, so a level of the check needs as many calls."""
    target = functools.partial(F.drop_path, mode=mode)
    assert not check_dropout(target, level=level).findings
