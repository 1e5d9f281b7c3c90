"""torch.compile and torch.export: the bits of eager, for a key and for a seed."""

import warnings

import pytest
import torch
from hypothesis import given, settings
from torch._dynamo.utils import counters
from torch.utils.checkpoint import checkpoint

import torchdropout as td
from draws import identical, kept, refused
from oracle import DTYPES, dropout, layouts_of, same_bits
from strategies import keys
from torchdropout import functional as F
from torchdropout.errors import ArgumentTypeError
from variants import MODULES, first


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
    identical(seeded(compiled_function, *args), seeded(function, *args))


# Shape, layout and what is shared, for the 10**5 elements of the property below.
CASES = [
    ((6, 5, 4, 3), "contiguous", ()),
    ((6, 5, 4, 3), "transposed", (1,)),
    ((6, 5, 4, 3), "channels_last", (2, 3)),
    ((70, 5), "strided", (0,)),
    ((361,), "contiguous", ()),
    ((), "contiguous", ()),
]


@pytest.mark.integration
def test_equals_the_definition():
    """Every layout and kind of sharing with float32, half of them in turn with each other dtype.

    All in one program: the compiler takes longer than the results.
    16 x (1792 + 3 x 1081 + 3 x 711) > 10**5 results.
    """
    inputs, shapes = [], []
    for dtype in DTYPES:
        wide = torch.complex128 if dtype.is_complex else torch.float64
        some = CASES if dtype == torch.float32 else CASES[DTYPES.index(dtype) % 2 :: 2]
        for shape, layout, shared in some:
            x = torch.randn(shape, dtype=wide, generator=torch.Generator().manual_seed(1)).to(dtype)
            inputs.append(layouts_of(x)[layout])
            shapes.append((shape, shared))

    def function(inputs, key):
        given = zip(inputs, shapes, strict=True)
        return [F.dropout(x, 0.3, key=key, broadcast_dims=dims) for x, (_, dims) in given]

    in_one_program = compiled(function)

    @settings(max_examples=16)
    @given(keys)
    def every_key(key):
        results = in_one_program(inputs, key)
        for y, x, (shape, shared) in zip(results, inputs, shapes, strict=True):
            expected = dropout(x, 0.3, key, td.MaskLayout.of(shape, shared))
            assert same_bits(y, expected), (x.dtype, shape, shared)

    every_key()
    assert graphs() == 1


@pytest.mark.integration
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


@pytest.mark.integration
def test_each_dropout_of_a_graph_draws_its_own_key():
    """Draws look alike to a compiler; merged, all dropouts of a model would share a mask."""

    def function(x):
        return torch.stack([F.dropout(x) for _ in range(4)])

    x, compiled_function = torch.ones(64), compiled(function)
    assert len(compiled_function(x).unique(dim=0)) == 4
    assert_same(compiled_function, function, x)


def among_random_operators(x, key):
    """Draws of ours before, between and after those of torch, and one mask by a key."""
    first, _ = F.dropout(x, 0.3), torch.rand(5)
    second, uniform, by_key = F.dropout(x, 0.3), torch.randn(3), F.dropout(x, 0.3, key=key)
    return first, by_key, second, F.dropout(x, 0.3), _, uniform


class TestRandomOperatorsOfTorchInTheGraph:
    """Inductor computes them from one seed each, all drawn where the first of them is."""

    x, key = torch.ones(64), td.Key(3)

    def assert_eager(self, backend):
        assert_same_list(
            seeded(compiled(among_random_operators, backend=backend), self.x, self.key),
            seeded(among_random_operators, self.x, self.key),
        )

    def test_the_compiler_without_inductor_gives_the_bits_of_eager(self):
        self.assert_eager("aot_eager")

    @pytest.mark.slow
    def test_inductor_with_fallback_random_gives_the_bits_of_eager(self):
        with torch._inductor.config.patch(fallback_random=True):
            self.assert_eager("inductor")

    @pytest.mark.slow
    def test_inductor_draws_a_seed_for_each(self):
        got, after = seeded(compiled(among_random_operators), self.x, self.key)
        expected, after_eager = seeded(among_random_operators, self.x, self.key)
        same = [torch.equal(a, b) for a, b in zip(got, expected, strict=True)]
        assert same == [True, True, False, False, False, False]
        assert not torch.equal(after, after_eager)

        def as_documented(x):
            first, int64 = F.dropout(x, 0.3), torch.iinfo(torch.int64)
            torch.randint(int64.min, int64.max, (2,))
            return first, F.dropout(x, 0.3), F.dropout(x, 0.3)

        (first, second, third), state = seeded(as_documented, self.x)
        assert_same_list(((got[0], *got[2:4]), after), ((first, second, third), state))


def assert_same_list(got, expected):
    for a, b in zip([*got[0], got[1]], [*expected[0], expected[1]], strict=True):
        assert torch.equal(a, b)


def block(x, w):
    hidden = F.dropout(torch.relu(F.dropout(x, 0.3) @ w), 0.2)
    hidden = F.dropout_add(hidden, x, 0.3, bias=w[0])
    return F.alpha_dropout(hidden, 0.1, True) + F.dropout(x * 3, 0.5)


def checkpointed(x, w):
    return checkpoint(block, x, w, use_reentrant=False)


def step(function, x, w):
    torch.manual_seed(1)
    y = function(x, w)
    return y, *torch.autograd.grad(y.square().sum(), (x, w)), torch.rand(1)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("function", "backend"),
    [
        (block, "inductor"),
        (block, "aot_eager"),
        pytest.param(checkpointed, "inductor", marks=pytest.mark.slow),
        (checkpointed, "aot_eager"),
    ],
)
def test_training_step_has_the_masks_of_eager(function, backend):
    x, w = torch.randn(16, 16, requires_grad=True), torch.randn(16, 16, requires_grad=True)
    got = step(compiled(function, backend=backend), x, w)
    expected = step(block, x, w)
    torch.testing.assert_close(got, expected)
    assert all(torch.equal(a == 0, b == 0) for a, b in zip(got, expected, strict=True))


@pytest.mark.integration
@pytest.mark.parametrize("training", [True, False])
def test_an_exported_program_has_the_masks_of_eager(training):
    layers = torch.nn.Linear(6, 8), td.nn.Dropout(0.4), td.nn.AlphaDropout(0.2)
    net, batch = torch.nn.Sequential(*layers).train(training), torch.export.Dim("batch")
    program = torch.export.export(net, (torch.randn(5, 6),), dynamic_shapes=({0: batch},))
    for n in (5, 3):
        x = torch.randn(n, 6)
        assert_same(program.module(), net, x)
        assert_same(program.run_decompositions().module(), net, x)


# One graph has several modules, which compiles faster than one each. Tokens have a graph of the
# first p, and the others break theirs.
APART = ("LSTM", "GRU", "LayerDrop", "TokenDropout", "TokenDropout, ordered")
NAMES = [name for name, m in MODULES.items() if m.p is not None and name not in APART]
BELOW_ONE = ("GaussianDropout", "FeatureGaussianDropout", "UniformDropout")
# Rising, falling, the ends: 1 has the graph of the others, 0 another.
POSITIVE = [0.1, 0.2, 1 / 3, 0.5, 0.999, 1.0, 1e-9, 0.25]


class Each(torch.nn.Module):
    """Call modules of the registry on tensors of their own, and join the results."""

    def __init__(self, names):
        super().__init__()
        self.names = names
        self.models = torch.nn.ModuleList(MODULES[name].built(0.1) for name in names)

    def forward(self, *tensors):
        parts = zip(self.models, tensors, strict=True)
        return torch.cat([first(model(*own)).flatten() for model, own in parts])


def set_p(model, p):
    if isinstance(model, Each):
        for name, module in zip(model.names, model.models, strict=True):
            setattr(module, MODULES[name].p, min(p, 0.999) if name in BELOW_ONE else p)
        return
    for module in model.modules():
        if isinstance(module, torch.nn.modules.dropout._DropoutNd):
            module.p = p


def whole_step(function, model, x):
    """Output, all gradients, and what the generator gives next."""
    x = x.clone().requires_grad_()
    torch.manual_seed(5)
    y = function(x)
    with torch.no_grad():
        weight = torch.linspace(-1, 2, y.numel()).reshape(y.shape)
    learned = [p for p in model.parameters() if p.requires_grad]
    gradients = torch.autograd.grad((y * weight).sum(), (x, *learned))
    return y.detach(), *gradients, torch.rand(1)


def assert_same_step(function, model, x):
    identical(whole_step(function, model, x), whole_step(model, model, x))


def graphs():
    return counters["stats"]["unique_graphs"]


@pytest.mark.filterwarnings("ignore:dropout3d.*Received a 4-D")
class TestPIsAnInputOfTheGraph:
    """docs/decisions/0009: one graph for every p above 0, with the bits of eager at each."""

    # A module that needs another graph is one too many among several. At 0 a module in the graph of
    # the others would draw a key.
    @pytest.mark.integration
    @pytest.mark.parametrize("names", [NAMES[at::4] for at in range(4)], ids=", ".join)
    def test_one_graph_for_all_p_above_zero_and_one_for_zero(self, names):
        model, tensors = Each(names), [MODULES[name].tensors() for name in names]
        function = compiled(model, backend="aot_eager")
        for p in [*POSITIVE, 0.0, 0.7]:
            set_p(model, p)
            results = []
            for run in (function, model):
                torch.manual_seed(5)
                y = run(*tensors)
                weights = torch.linspace(-1, 2, len(y))
                learned = [p for p in model.parameters() if p.requires_grad]
                gradients = torch.autograd.grad((y * weights).sum(), learned) if learned else ()
                results.append(([y.detach(), torch.rand(1)], gradients))
            (got, slopes), (expected, known) = results
            assert all(map(torch.equal, got, expected))
            torch.testing.assert_close(slopes, known)
            assert graphs() == (1 if p in POSITIVE else 2)

    @pytest.mark.integration
    @pytest.mark.parametrize(
        ("options", "dynamic"),
        [({}, None), ({"num_prefix_tokens": 0, "ordered": True, "return_indices": True}, True)],
        ids=str,
    )
    def test_tokens_have_one_graph_of_the_first_p_and_one_of_all_later_ones(self, options, dynamic):
        drop = td.nn.TokenDropout(0.1, **options)

        def function(x):
            y = drop(x * 2)
            y = y[0] if isinstance(y, tuple) else y
            return torch.softmax(y @ y.transpose(1, 2), -1) @ y, *drop(x)[1:]

        compiled_function = compiled(function, backend="aot_eager", dynamic=dynamic)
        x = torch.randn(3, 10, 4)
        seen = []
        for p in [0.1, *POSITIVE, 0.95, 0.0, 0.7]:
            drop.p = p
            got, expected = (seeded(f, x) for f in (compiled_function, function))
            for a, b in zip([*got[0], got[1]], [*expected[0], expected[1]], strict=True):
                assert (a is b is None) or torch.equal(a, b)
            seen.append(graphs())
        # The first POSITIVE is the 0.1 that it was.
        assert seen == [1, 1, *[2] * len(POSITIVE), 3, 3]

    # Each pair of values of two of the three.
    @pytest.mark.integration
    @pytest.mark.parametrize(
        ("kind", "training", "whole"),
        [("LSTM", True, True), ("GRU", False, True), ("GRU", True, False), ("LSTM", False, False)],
    )
    # torch's, of an input of a graph that is a result of another.
    @pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
    def test_each_rate_of_a_recurrent_layer(self, kind, training, whole):
        """Dynamo does not enter the layer, but the functions that it calls: without `allow_rnn`."""
        names = ["input_dropout", "dropout", "recurrent_dropout", "zoneout_hidden"]
        if kind == "LSTM":
            names.append("zoneout_cell")
        # Two steps and two layers have all there is to trace between steps, layers and directions;
        # in parts, which the directions share, there is nothing between them.
        both = whole and kind == "LSTM"
        layer = getattr(td.nn, kind)(3, 4, 2, bidirectional=both).train(training)
        x = torch.randn(2, 2, 3)

        def loss(function):
            torch.manual_seed(5)
            y, _ = function(x)
            if not y.requires_grad:  # at 1 in eval, the first state
                return (y,)
            return y.detach(), *torch.autograd.grad(y.square().sum(), [*layer.parameters()])

        with torch._dynamo.config.patch(allow_rnn=whole):
            function = torch.compile(layer, backend="aot_eager", fullgraph=whole)
            first = None
            for n, p in enumerate([*POSITIVE[:4], 0.9, 0.01, 0.3, 0.6, 0.7, 0.8, 0.05]):
                for k, name in enumerate(names):
                    setattr(layer, name, p / (k + 1))
                torch.testing.assert_close(loss(function), loss(layer))
                first = graphs() if n == 0 else first
            assert graphs() == first
            if whole:
                assert first == 1
            for name in names:
                setattr(layer, name, 1.0)
            torch.testing.assert_close(loss(function), loss(layer))

    @pytest.mark.integration
    def test_alpha_of_a_p_that_is_an_argument(self):
        """To the compiler a symbol, whose root it would round in another way than Python."""

        def alpha(x, p):
            return F.alpha_dropout(x, p, True)

        x = torch.randn(4, 8, dtype=torch.float64)
        for dynamic in (None, True):
            torch._dynamo.reset()
            function = compiled(alpha, backend="eager", dynamic=dynamic)
            for p in (0.1, 0.2, 0.3, 0.4, 1.0):
                assert_same(function, alpha, x, p)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
    def test_the_expectation_that_zoneout_takes_in_eval(self, dtype):
        """One graph for all p between 0 and 1, and one for each end, where a state is returned."""
        zoneout = td.nn.Zoneout(0.1).eval()
        function = compiled(zoneout, backend="aot_eager")
        old = torch.randn(40).to(dtype)
        new = torch.where(torch.arange(40) < 3, torch.inf, torch.randn(40)).to(dtype)
        for p in POSITIVE:
            zoneout.p = p
            assert same_bits(function(new, old), zoneout(new, old))
        assert graphs() == 2
        zoneout.p = 0.0
        assert same_bits(function(new, old), new)
        assert graphs() == 3

    def test_p_set_between_forward_and_backward(self):
        drop, x = td.nn.Dropout(0.2), torch.ones(64, requires_grad=True)
        y = compiled(drop, backend="aot_eager")(x)
        drop.p = 0.9
        assert torch.equal(torch.autograd.grad(y.sum(), x)[0], y)

    @pytest.mark.integration
    def test_other_attributes_that_the_constants_come_from(self):
        path, block = td.nn.DropPath(0.3), td.nn.DropBlock1d(0.3, 2)
        x = torch.randn(16, 3, 9)
        for module, name, values in (
            (path, "scale_by_keep", (False, True)),
            (block, "block_size", (3, 1)),
            (block, "scale", ("count",)),
            (block, "eps", (0.5,)),
        ):
            for value in values:
                setattr(module, name, value)
                assert_same_step(compiled(module, backend="aot_eager"), module, x)
        for name, bad in (("block_size", 0), ("scale", "some"), ("eps", -1.0)):
            before = getattr(block, name)
            with pytest.raises(ValueError, match=f"Expected `{name}`"):
                setattr(block, name, bad)
            assert getattr(block, name) == before


def test_a_module_that_is_made_or_set_in_inference_mode():
    with torch.inference_mode():
        drop = td.nn.Dropout(0.3)
        drop.p = 0.4
    assert_same_step(compiled(drop, backend="aot_eager"), drop, torch.randn(64))


@pytest.mark.parametrize("backend", ["inductor", "aot_eager"])
@pytest.mark.parametrize(
    ("module", "most"), [(td.nn.Dropout(0.3), 16 + 32), (td.nn.DropBlock2d(0.3, 3), 16 + 24)]
)
def test_a_compiled_module_saves_its_key_and_its_constants(backend, module, most):
    """DropBlock as well, whose mask of a byte an element the compiler would keep."""
    with kept() as tensors:
        compiled(module, backend=backend)(torch.randn(2, 3, 16, 16, requires_grad=True))
    assert sum(t.nbytes for t in tensors) == most


CAPTURED = {
    "dropout": lambda x: F.dropout(x, 0.3),
    "two": lambda x: F.dropout(F.dropout(x, 0.2).tanh(), 0.3),
    "with a key": lambda x: F.dropout(x, 0.3, key=td.Key(2**63 + 1, 7)),
    "alpha_dropout": lambda x: F.alpha_dropout(x, 0.3, True),
    "dropout_add": lambda x: F.dropout_add(x, x * 2, 0.3, bias=x[0, 0]),
    "gaussian_dropout": lambda x: F.gaussian_dropout(x, 0.3),
    "zoneout": lambda x: F.zoneout(x, x * 2, 0.3),
    "drop_block1d": lambda x: F.drop_block1d(x, 0.2, 3),
    "n_m_dropout": F.n_m_dropout,
    "token_dropout": F.token_dropout,
    "attention": lambda x: F.scaled_dot_product_attention(x, x, x, dropout_p=0.3),
    "concrete_dropout": lambda x: F.concrete_dropout(x, x.mean()),
}


# The others have the autograd node of one of these.
NODES = ["two", "with a key", "alpha_dropout", "dropout_add", "gaussian_dropout", "zoneout"]
NODES += ["drop_block1d", "n_m_dropout", "token_dropout", "attention", "concrete_dropout"]


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in NODES else pytest.mark.slow) for n in CAPTURED]
)
def test_compiled_autograd_takes_the_backward_of_eager_calls(name):
    """What a model does in eager, between its graphs, is in the backward that is compiled whole."""
    function = CAPTURED[name]
    x = torch.randn(4, 6, 12, requires_grad=True)

    def gradient(seed):
        x.grad = None
        torch.manual_seed(seed)
        function(x).square().sum().backward()
        return x.grad

    seen = []
    with torch._dynamo.config.patch(compiled_autograd=True):
        for seed in range(6):
            expected = gradient(seed)
            with torch._dynamo.compiled_autograd._enable(torch.compile(backend="aot_eager")):
                torch.testing.assert_close(gradient(seed), expected)
            seen.append(graphs())
    assert counters["compiled_autograd"]["captures"] == 1
    assert seen[0] > 0
    assert seen[4] == seen[5]  # a further seed does not need a further graph


@pytest.mark.filterwarnings("ignore:`torch.jit.trace")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_torch_jit_does_not_trace_what_removes_tokens():
    model, x = td.nn.TokenDropout(0.5), torch.ones(2, 9, 3)
    with refused(ArgumentTypeError, r"with torch\.export, got a tensor of"):
        torch.jit.trace(model, (x,), check_trace=False)
    traced = torch.jit.trace(model.eval(), (x,), check_trace=False)
    assert torch.equal(traced(x), x)


@pytest.mark.filterwarnings("ignore:`torch.jit.trace")
@pytest.mark.parametrize(("shape", "warns"), [((2, 8), True), ((1, 1, 8), True), ((8,), False)])
def test_a_trace_warns_that_it_keeps_the_mask_indices_of_its_example(shape, warns):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", torch.jit.TracerWarning)
        traced = torch.jit.trace(td.nn.Dropout(0.5), (torch.ones(shape),), check_trace=False)
    found = [str(w.message) for w in caught if w.category is torch.jit.TracerWarning]
    assert ["records the mask indices of its example" in each for each in found] == [True] * warns
    # A larger batch is right.
    x = torch.ones(2 * shape[0], *shape[1:])
    assert torch.equal(seeded(traced, x)[0], seeded(td.nn.Dropout(0.5), x)[0])
