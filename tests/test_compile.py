"""torch.compile and torch.export: the bits of eager, for a key and for a seed."""

import pytest
import torch
from hypothesis import given, settings
from torch._dynamo.utils import counters
from torch.utils.checkpoint import checkpoint

import torchdropout as td
from oracle import DTYPES, dropout, layouts_of, same_bits
from strategies import keys
from torchdropout import functional as F


@pytest.fixture(autouse=True)
def fresh():
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def compiled(function, **options):
    return torch.compile(function, fullgraph=True, **options)


def seeded(function, *args):
    torch.manual_seed(5)
    return function(*args), torch.rand(1)


def assert_same(compiled_function, function, *args):
    """The same output, and the generator left in the same state."""
    for got, expected in zip(
        seeded(compiled_function, *args), seeded(function, *args), strict=True
    ):
        assert torch.equal(got, expected)


# Shape, layout and what is shared, for the 10**5 elements of the property below.
CASES = [
    ((6, 5, 4, 3), "contiguous", ()),
    ((6, 5, 4, 3), "transposed", (1,)),
    ((6, 5, 4, 3), "channels_last", (2, 3)),
    ((70, 5), "strided", (0,)),
    ((361,), "contiguous", ()),
    ((), "contiguous", ()),
]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_equals_the_definition(dtype):
    """Every dtype, layout and kind of sharing: 7 x 12 x (4 x 360 + 361 + 1) > 1.5 * 10**5."""
    runs = {}
    for shape, layout, shared in CASES:
        function = _with_shared(shared)
        wide = torch.complex128 if dtype.is_complex else torch.float64
        x = torch.randn(shape, dtype=wide, generator=torch.Generator().manual_seed(1)).to(dtype)
        runs[shape, layout, shared] = (compiled(function), layouts_of(x)[layout])

    @settings(max_examples=12)
    @given(keys)
    def every_key(key):
        for (shape, _, shared), (function, x) in runs.items():
            expected = dropout(x, 0.3, key, td.MaskLayout.of(shape, shared))
            assert same_bits(function(x, key), expected)

    every_key()


def _with_shared(shared):
    def function(x, key):
        return F.dropout(x, 0.3, key=key, broadcast_dims=shared)

    return function


def test_a_new_key_does_not_recompile():
    function = compiled(lambda x, key: F.dropout(x, 0.3, key=key))
    x = torch.randn(5)
    for n in range(6):
        key = td.Key(n * 2**61, n)
        assert torch.equal(function(x, key), F.dropout(x, 0.3, key=key))
    assert counters["stats"]["unique_graphs"] == 1


def test_other_broadcast_dims_are_other_masks():
    """A compiler makes symbols of numbers that change, and a symbol is not `in` a list."""
    x, key = torch.ones(4, 5, 6), td.Key(1)
    function = compiled(lambda x, dims: F.dropout(x, key=key, broadcast_dims=dims))
    for dims in ((0,), (1,), (2,), (-1,), (0, 2)):
        assert torch.equal(function(x, dims), F.dropout(x, key=key, broadcast_dims=dims))


def test_dynamic_shapes_compile_once():
    function = compiled(F.dropout, dynamic=True)
    for n in (3, 5, 8, 13):
        assert_same(function, F.dropout, torch.randn(n, 17 - n))
    assert counters["stats"]["unique_graphs"] == 1


def test_each_dropout_of_a_graph_draws_its_own_key():
    """Draws look alike to a compiler; merged, all dropouts of a model would share a mask."""

    def function(x):
        return torch.stack([F.dropout(x) for _ in range(4)])

    x = torch.ones(64)
    y = compiled(function)(x)
    assert len(y.unique(dim=0)) == 4
    assert_same(compiled(function), function, x)


@pytest.mark.parametrize("name", ["dropout1d", "alpha_dropout", "feature_alpha_dropout"])
def test_functions(name):
    def function(x):
        return getattr(F, name)(x, 0.4, True)

    assert_same(compiled(function), function, torch.randn(4, 6, 5))


def test_keep_mask_and_layout():
    def function(x, key):
        layout = td.MaskLayout.of((8, 6)).at((4,))
        return F.dropout(x, 0.3, key=key, layout=layout), td.keep_mask(x.shape, 0.3, key=key)

    x, key = torch.randn(4, 6), td.Key(3, 4)
    for got, expected in zip(compiled(function)(x, key), function(x, key), strict=True):
        assert torch.equal(got, expected)


def block(x, w):
    hidden = F.dropout(torch.relu(F.dropout(x, 0.3) @ w), 0.2)
    return F.alpha_dropout(hidden, 0.1, True) + F.dropout(x * 3, 0.5)


def checkpointed(x, w):
    return checkpoint(block, x, w, use_reentrant=False)


def step(function, x, w):
    torch.manual_seed(1)
    y = function(x, w)
    return y, *torch.autograd.grad(y.square().sum(), (x, w)), torch.rand(1)


@pytest.mark.parametrize("backend", ["inductor", "aot_eager"])
@pytest.mark.parametrize("function", [block, checkpointed])
def test_training_step_has_the_masks_of_eager(function, backend):
    x, w = torch.randn(16, 16, requires_grad=True), torch.randn(16, 16, requires_grad=True)
    got = step(compiled(function, backend=backend), x, w)
    expected = step(block, x, w)
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b)
        assert torch.equal(a == 0, b == 0)


def test_in_place():
    def function(x):
        return F.dropout(x * 2, 0.4, inplace=True)

    assert_same(compiled(function), function, torch.randn(32))


def test_in_place_on_an_input():
    function = compiled(lambda x: F.dropout(x, 0.4, inplace=True))
    x = torch.ones(32)
    y, _ = seeded(function, x)
    assert torch.equal(x, y)
    assert torch.equal(y, seeded(F.dropout, torch.ones(32), 0.4)[0])


@pytest.mark.parametrize("randomness", ["same", "different"])
def test_compiled_vmap(randomness):
    function = torch.func.vmap(F.dropout, randomness=randomness)
    assert_same(compiled(function), function, torch.ones(3, 32))


def test_compiled_grad():
    function = torch.func.grad(lambda x: (F.dropout(x) * x).sum())
    assert_same(compiled(function), function, torch.randn(32))


def test_compiled_per_sample_grad():
    function = torch.func.vmap(
        torch.func.grad(lambda x: F.dropout(x).sum()), randomness="different"
    )
    assert_same(compiled(function), function, torch.randn(3, 32))


def test_eval_and_p_zero_draw_nothing():
    for p, training in ((0.5, False), (0.0, True)):
        torch.manual_seed(2)
        before = torch.get_rng_state()
        x = torch.randn(4, generator=torch.Generator().manual_seed(0))
        assert torch.equal(compiled(F.dropout)(x, p, training), x)
        assert torch.equal(torch.get_rng_state(), before)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(6, 8)
        self.drop = td.nn.Dropout(0.4)
        self.alpha = td.nn.AlphaDropout(0.2)

    def forward(self, x):
        return self.alpha(self.drop(self.linear(x)))


class TestExport:
    @pytest.mark.parametrize("training", [True, False])
    def test_has_the_masks_of_eager(self, training):
        net = Net().train(training)
        x = torch.randn(5, 6)
        batch = torch.export.Dim("batch")
        program = torch.export.export(net, (x,), dynamic_shapes=({0: batch},))
        for n in (5, 3):
            x = torch.randn(n, 6)
            assert_same(program.module(), net, x)
            assert_same(program.run_decompositions().module(), net, x)

    def test_survives_saving(self, tmp_path):
        net = Net().train()
        x = torch.randn(5, 6)
        torch.export.save(torch.export.export(net, (x,)), tmp_path / "net.pt2")
        assert_same(torch.export.load(tmp_path / "net.pt2").module(), net, x)


@pytest.mark.parametrize("layout", [torch.jagged])
def test_nested(layout):
    x = torch.nested.nested_tensor([torch.randn(2, 3), torch.randn(4, 3)], layout=layout)
    got, expected = seeded(compiled(F.dropout), x)[0], seeded(F.dropout, x)[0]
    assert torch.equal(got.values(), expected.values())


def test_wrong_arguments_raise_the_same_error():
    with pytest.raises(Exception, match=r"Expected `p` to be in \[0, 1\]"):
        compiled(F.dropout)(torch.ones(3), 1.5)
