"""Multi-sample dropout: one key, and a mask for each sample."""

import functools

import pytest
import torch

from oracle import DTYPES, dropout, layouts_of, same_bits
from torchdropout import Key, MaskLayout
from torchdropout import functional as F
from torchdropout.errors import ArgumentTypeError, ArgumentValueError

KEY = Key(8, 9)


def seeded(function, *args, **kwargs):
    torch.manual_seed(3)
    return function(*args, **kwargs)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_equals_the_definition(dtype):
    for shape in ((), (7,), (4, 5), (2, 3, 4, 2), (0, 3)):
        wide = torch.complex128 if dtype.is_complex else torch.float64
        x = torch.randn(shape, dtype=wide, generator=torch.Generator().manual_seed(1)).to(dtype)
        expected = dropout(x.expand(3, *shape).contiguous(), 0.4, KEY)
        for laid_out in layouts_of(x).values():
            assert same_bits(F.multi_sample_dropout(laid_out, 0.4, 3, key=KEY), expected)


def test_sample_s_is_dropout_with_its_indices():
    x = torch.randn(6, 4)
    y = F.multi_sample_dropout(x, 0.4, 3, key=KEY)
    for s, sample in enumerate(y):
        layout = MaskLayout.of((3, 6, 4)).at((s,))
        part = MaskLayout(layout.base, layout.strides[1:])
        assert torch.equal(sample, F.dropout(x, 0.4, key=KEY, layout=part))
    assert not torch.equal(y[0], y[1])


def test_a_micro_batch_and_shared_draws():
    x = torch.randn(6, 4)
    whole = F.multi_sample_dropout(x, 0.4, 3, key=KEY)
    layout = MaskLayout.of((3, 6, 4)).at((0, 2))
    assert torch.equal(F.multi_sample_dropout(x[2:], 0.4, 3, key=KEY, layout=layout), whole[:, 2:])
    rows = F.multi_sample_dropout(torch.ones(50, 4), 0.4, 3, key=KEY, broadcast_dims=(2,))
    assert torch.equal(rows, rows[..., :1].expand_as(rows))
    assert len(rows[..., 0].unique(dim=0)) == 3
    one = F.multi_sample_dropout(x, 0.4, 3, key=KEY, broadcast_dims=(0,))
    assert torch.equal(one, F.dropout(x, 0.4, key=KEY).expand(3, 6, 4))


@pytest.mark.parametrize(("p", "training"), [(0.0, True), (0.4, False), (1.0, False)])
def test_nothing_dropped_is_a_view_and_draws_nothing(p, training):
    x, before = torch.randn(4, 3), torch.get_rng_state()
    y = F.multi_sample_dropout(x, p, 5, training)
    assert y.shape == (5, 4, 3)
    assert torch.equal(y, x.expand(5, 4, 3))
    assert y.data_ptr() == x.data_ptr()
    assert torch.equal(torch.get_rng_state(), before)


def test_p_one_is_zeros_with_a_gradient_of_zero():
    x = torch.full((4, 3), torch.inf, requires_grad=True)
    y = F.multi_sample_dropout(x, 1.0, 2)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(y.detach(), torch.zeros(2, 4, 3))
    assert torch.equal(gradient, torch.zeros(4, 3))


def test_gradients_and_what_is_kept():
    x = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    function = functools.partial(F.multi_sample_dropout, p=0.4, samples=3, key=KEY)
    assert torch.autograd.gradcheck(function, x)
    assert torch.autograd.gradgradcheck(lambda x: function(x) ** 3, x)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        y = function(x)
    assert sum(t.nbytes for t in kept) <= 16
    (gradient,) = torch.autograd.grad(y.sum(), x)
    keep = F.keep_mask((3, 5, 3), 0.4, key=KEY)
    torch.testing.assert_close(gradient, (keep / 0.6).sum(0).double())


def test_randomness_and_transforms():
    x = torch.randn(8, 3)
    run = functools.partial(F.multi_sample_dropout, x, 0.4, 3)
    assert torch.equal(seeded(run), seeded(run))
    assert torch.equal(seeded(run), run(key=seeded(Key.draw)))
    generators = [torch.Generator().manual_seed(1) for _ in range(2)]
    assert torch.equal(run(generator=generators[0]), run(key=Key.draw(generators[1])))
    same = torch.func.vmap(lambda x: F.multi_sample_dropout(x, 0.4, 3, key=KEY))(x)
    assert torch.equal(same, torch.stack([F.multi_sample_dropout(r, 0.4, 3, key=KEY) for r in x]))
    compiled = torch.compile(F.multi_sample_dropout, fullgraph=True, backend="aot_eager")
    assert torch.equal(seeded(compiled, x, 0.4, 3), seeded(run))
    graph = torch.fx.symbolic_trace(lambda x: F.multi_sample_dropout(x, 0.4, 3))
    assert torch.equal(seeded(graph, x), seeded(run))


@pytest.mark.parametrize(
    ("args", "given", "error", "words"),
    [
        ((1.5,), {}, ArgumentValueError, r"`p` to be in \[0, 1\], .* got p=1.5 \(float\)"),
        ((0.1, 0), {}, ArgumentValueError, r"`samples` to be 1 or more, got samples=0 \(int\)"),
        ((0.1, 2.0), {}, ArgumentTypeError, r"`samples` .* got samples=2.0 \(float\)"),
        ((0.1, True), {}, ArgumentTypeError, r"got samples=True \(bool\)"),
        ((0.1, 2, 1), {}, ArgumentTypeError, r"`training` to be a bool"),
        ((0.1, 2), {"key": 3}, ArgumentTypeError, "`key`"),
        ((0.1, 2), {"layout": MaskLayout.of((2, 3))}, ArgumentValueError, r"shape \(2, 2, 3\)"),
    ],
)
def test_refusals_draw_nothing(args, given, error, words):
    before = torch.get_rng_state()
    with pytest.raises(error, match=words):
        F.multi_sample_dropout(torch.ones(2, 3), *args, **given)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
def test_nested_is_refused():
    x = torch.nested.nested_tensor([torch.ones(2, 3), torch.ones(1, 3)])
    with pytest.raises(ArgumentTypeError, match="`input` to be a tensor that is not nested"):
        F.multi_sample_dropout(x, 0.1)
