"""n of m and columns: which are kept, by the definition; the product, its gradient, its edges."""

import copy
import itertools
import math
import pickle

import pytest
import torch
from torch.utils.checkpoint import checkpoint

import torchdropout as td
from oracle import FLOATS, layouts_of, same_bits, same_but_nans
from torchdropout import Key, MaskLayout, backends, ops
from torchdropout import functional as F
from torchdropout._validate import check_p
from torchdropout.contract.noise import DOMAIN_ORDER, word
from torchdropout.errors import ArgumentTypeError, ArgumentValueError
from torchdropout.kernels import counted
from torchdropout.verify import check_dropout

KEY = Key(2**63 + 5, 2**59 + 6)


def defined(shape, dim, group, kept, layout, key=KEY):
    """The keep mask in plain Python: of each group the places of the smallest (word, index)."""
    keep = torch.zeros(shape, dtype=torch.bool)
    dim %= len(shape)
    others = [range(n) for d, n in enumerate(shape) if d != dim]
    for rest in itertools.product(*others):
        for start in range(0, shape[dim], group):
            places = [(*rest[:dim], start + i, *rest[dim:]) for i in range(group)]
            index = [layout.index(at) for at in places]
            rank = [(word(key.seed, key.stream, DOMAIN_ORDER, i), i) for i in index]
            for i in sorted(range(group), key=rank.__getitem__)[:kept]:
                keep[places[i]] = True
    return keep


def columns_layout(shape, dim, mode):
    dim %= len(shape)
    own = (dim,) if mode == "batch" else (0, dim)
    return MaskLayout.of(shape, [d for d in range(len(shape)) if d not in own])


@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (3, 4), (1, 2), (4, 8), (5, 18), (1, 36)])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_n_of_m_is_the_definition(n, m, dim):
    shape = [2, 3, 5]
    shape[dim] = m * max(1, 8 // m)
    x = torch.randn(shape, dtype=torch.float64)
    keep = defined(shape, dim, m, n, MaskLayout.of(shape))
    y = F.n_m_dropout(x, n, m, dim=dim, key=KEY)
    assert torch.equal(y, torch.where(keep, x * (m / n), 0.0))
    unscaled = F.n_m_dropout(x, n, m, dim=dim, scale_by_keep=False, key=KEY)
    assert torch.equal(unscaled, torch.where(keep, x, 0.0))


# Groups of 64 under KEY in which two words are equal, the places of the two, and how many of the
# group are smaller: one pair of places in 2**32 is such.
TIES = [(1473980, 21, 51, 6), (1582656, 61, 62, 11), (5130038, 23, 29, 41)]


@pytest.mark.parametrize("backend", backends.available())
@pytest.mark.parametrize(("group", "first", "second", "before"), TIES)
def test_of_equal_words_the_first_place_is_kept(group, first, second, before, backend):
    layout = MaskLayout(64 * group, MaskLayout.of((64,)).strides)
    words = [word(KEY.seed, KEY.stream, DOMAIN_ORDER, 64 * group + i) for i in range(64)]
    assert words[first] == words[second]
    with backends.use(backend):
        y = F.n_m_dropout(torch.ones(64), before + 1, 64, layout=layout, key=KEY)
    assert (y != 0).tolist() == defined((64,), 0, 64, before + 1, layout).tolist()
    assert (bool(y[first]), bool(y[second])) == (True, False)


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("mode", ["batch", "row"])
@pytest.mark.parametrize("dim", [1, 2, -1])
def test_columns_are_the_definition(p, mode, dim):
    x = torch.randn(4, 7, 20, dtype=torch.float64)
    size = x.shape[dim]
    kept = max(1, round(size * (1 - p)))
    keep = defined(x.shape, dim, size, kept, columns_layout(x.shape, dim, mode))
    y = F.column_dropout(x, p, dim=dim, mode=mode, key=KEY)
    assert torch.equal(y, torch.where(keep, x * (size / kept), 0.0))
    unscaled = F.column_dropout(x, p, dim=dim, mode=mode, scale_by_keep=False, key=KEY)
    assert torch.equal(unscaled, torch.where(keep, x, 0.0))


def test_columns_of_one_dimension():
    x = torch.randn(20)
    keep = defined((20,), 0, 20, 10, MaskLayout.of((20,)))
    assert torch.equal(F.column_dropout(x, 0.5, key=KEY), torch.where(keep, x * 2, 0.0))


# A call of each kind at one p: its function of x, the scale of what is kept, whose x it takes.
CALLS = {
    "n-of-m": (lambda x, **given: F.n_m_dropout(x, 3, 4, **{"key": KEY, **given}), 4 / 3),
    "n-of-m-first": (
        lambda x, **given: F.n_m_dropout(x, 3, 4, dim=0, **{"key": KEY, **given}),
        4 / 3,
    ),
    "columns": (lambda x, **given: F.column_dropout(x, 0.4, **{"key": KEY, **given}), 12 / 7),
    "columns-row": (
        lambda x, **given: F.column_dropout(x, 0.4, mode="row", **{"key": KEY, **given}),
        12 / 7,
    ),
}
each_call = pytest.mark.parametrize("name", CALLS)


def image():
    torch.manual_seed(0)
    return torch.randn(4, 3, 5, 12)


@each_call
@pytest.mark.parametrize("dtype", FLOATS)
def test_product_in_the_compute_type_rounded_once(name, dtype):
    drop, scale = CALLS[name]
    x = image().to(dtype)
    keep = drop(torch.ones(x.shape)) != 0
    compute = torch.float64 if dtype == torch.float64 else torch.float32
    wide = (x.to(compute) * torch.tensor(scale, dtype=compute)).to(dtype)
    assert same_bits(drop(x), torch.where(keep, wide, torch.zeros((), dtype=dtype)))


@each_call
def test_any_memory_layout_has_the_mask_of_contiguous(name):
    drop, x = CALLS[name][0], image()
    for other in layouts_of(x).values():
        leaf = other.detach().requires_grad_()
        y = drop(leaf)
        assert torch.equal(y, drop(x))
        assert y.stride() == torch.empty_like(leaf).stride()
        (gradient,) = torch.autograd.grad(y, leaf, x)
        assert torch.equal(gradient, drop(x))


@pytest.mark.parametrize("chunk", [1, 7, 64, 2**18])
def test_chunks_do_not_matter(chunk, monkeypatch):
    """The mask of a large tensor is made in parts, of whole groups."""
    expected = [drop(image()) for drop, _ in CALLS.values()]
    monkeypatch.setattr(counted, "most", lambda device: chunk)
    for (drop, _), y in zip(CALLS.values(), expected, strict=True):
        assert torch.equal(drop(image()), y)


def test_a_micro_batch_has_the_mask_of_its_part_of_the_batch():
    x = image()
    layout = MaskLayout.of(x.shape).at((1,))
    part = F.n_m_dropout(x[1:3], 3, 4, key=KEY, layout=layout)
    assert torch.equal(part, F.n_m_dropout(x, 3, 4, key=KEY)[1:3])
    for mode in ("batch", "row"):
        layout = columns_layout(x.shape, -1, mode).at((1,))
        part = F.column_dropout(x[1:3], 0.4, mode=mode, key=KEY, layout=layout)
        assert torch.equal(part, F.column_dropout(x, 0.4, mode=mode, key=KEY)[1:3])


def test_a_choice_shared_along_other_dimensions():
    x = torch.ones(6, 5, 8)
    y = F.n_m_dropout(x, 2, 4, broadcast_dims=(0,), key=KEY)
    assert torch.equal(y, y[:1].expand_as(y))
    assert torch.equal(y != 0, defined(x.shape, -1, 4, 2, MaskLayout.of(x.shape, (0,))))


@each_call
def test_what_is_dropped_is_zero_whatever_it_was(name):
    drop = CALLS[name][0]
    keep = drop(torch.ones(image().shape)) != 0
    for value in (math.inf, -math.inf, math.nan, -1.0):
        dropped = drop(torch.full(image().shape, value))[~keep]
        assert torch.equal(dropped, torch.zeros_like(dropped))
        assert not dropped.signbit().any()


def test_p_one_is_zeros_with_a_gradient_of_zeros():
    for mode in ("batch", "row"):
        x = torch.full((3, 8), math.inf, requires_grad=True)
        y = F.column_dropout(x, 1.0, mode=mode)
        (gradient,) = torch.autograd.grad(y.sum(), x)
        assert not y.any()
        assert not gradient.any()


@pytest.mark.parametrize("scale_by_keep", [True, False])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.875, 1.0])
def test_a_compiled_graph_counts_the_columns_of_any_p(p, scale_by_keep):
    """Its operator reads p from a tensor."""
    x = torch.randn(3, 8)
    constants = torch.tensor([p], dtype=torch.float64)
    y = ops.counted_affine_of(x, KEY.tensor(), constants, 8, -1, scale_by_keep, 0, [8, 1])
    kept = [8 - round(8 * p)] * 3
    assert (y != 0).sum(-1).tolist() == kept
    expected = F.column_dropout(x, p, mode="row", scale_by_keep=scale_by_keep, key=KEY)
    assert same_bits(y, expected)


def test_a_share_that_rounds_to_no_column_drops_none():
    x = torch.randn(3, 4)
    assert torch.equal(F.column_dropout(x, 0.1), x)


def test_eval_p_zero_and_n_equal_m_return_the_input_and_draw_nothing():
    x, before = torch.randn(3, 8), torch.get_rng_state()
    assert F.n_m_dropout(x, 2, 4, False) is x
    assert F.n_m_dropout(x, 4, 4) is x
    assert F.column_dropout(x, 0.5, False) is x
    assert F.column_dropout(x, 0) is x
    assert torch.equal(torch.get_rng_state(), before)


def test_empty():
    for shape in ((0, 8), (3, 0, 8)):
        x = torch.ones(shape, requires_grad=True)
        for y in (F.n_m_dropout(x), F.column_dropout(x, 0.5), F.column_dropout(x, 0.5, mode="row")):
            (gradient,) = torch.autograd.grad(y.sum(), x)
            assert y.shape == gradient.shape == shape
    assert F.n_m_dropout(torch.ones(3, 0)).shape == (3, 0)


class TestGradient:
    @each_call
    def test_of_both_orders_and_modes(self, name):
        drop = CALLS[name][0]
        x = torch.randn(4, 4, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(drop, (x,), check_forward_ad=True, check_batched_grad=True)
        assert torch.autograd.gradgradcheck(drop, (x,))

    @pytest.mark.parametrize(
        "drop", [F.n_m_dropout, lambda x: F.column_dropout(x, 0.5, mode="row")]
    )
    def test_only_the_key_is_kept(self, drop):
        kept = []
        x = torch.randn(16, 64, requires_grad=True)
        with torch.autograd.graph.saved_tensors_hooks(kept.append, lambda t: t):
            drop(x)
        assert [(t.dtype, t.numel()) for t in kept] == [(torch.int64, 2)]

    @each_call
    def test_checkpointed(self, name):
        gradients = []
        for run in (lambda f, x: f(x), lambda f, x: checkpoint(f, x, use_reentrant=False)):
            x = image().requires_grad_()
            torch.manual_seed(4)
            run(lambda x: CALLS[name][0](x, key=None).square(), x).sum().backward()
            gradients.append(x.grad)
        assert torch.equal(*gradients)
        assert gradients[0].any()


class TestTransforms:
    @each_call
    def test_vmap(self, name):
        drop, x = CALLS[name][0], torch.randn(5, 4, 12)
        y = torch.func.vmap(drop)(x)
        assert torch.equal(y, torch.stack([drop(part) for part in x]))

        def drawn(x):
            return drop(x, key=None) != 0

        inner = torch.func.vmap(drawn, randomness="same")
        both = torch.func.vmap(inner, randomness="different")(torch.ones(3, 5, 4, 12))
        assert torch.equal(both, both[:, :1].expand_as(both))
        assert len({tuple(row.flatten().tolist()) for row in both}) == 3

    @each_call
    def test_gradient_for_each_sample(self, name):
        drop, x = CALLS[name][0], torch.randn(5, 4, 12)
        gradient = torch.func.vmap(torch.func.grad(lambda x: drop(x).sum()))(x)
        assert torch.equal(gradient[2], drop(torch.ones(4, 12)))

    def test_compiled_is_eager(self):
        torch._dynamo.reset()

        def drop(x):
            return sum(call(x, key=None) for call, _ in CALLS.values())

        compiled, results = torch.compile(drop, fullgraph=True, backend="aot_eager"), []
        for function in (drop, compiled):
            x = image().requires_grad_()
            torch.manual_seed(3)
            y = function(x)
            results.append((y, *torch.autograd.grad(y.square().sum(), x)))
        assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))

    @pytest.mark.slow
    def test_compiled_for_any_size(self):
        torch._dynamo.reset()

        def drop(x):
            return F.n_m_dropout(x, key=KEY) + F.column_dropout(x, 0.4, mode="row", key=KEY)

        compiled = torch.compile(drop, fullgraph=True, dynamic=True)
        for shape in ((3, 8), (5, 16), (7, 40)):
            x = torch.randn(shape)
            torch.testing.assert_close(compiled(x), drop(x))

    @pytest.mark.parametrize("dim", [-1, -2])
    def test_the_operator_passes_torchs_checks(self, dim):
        x = torch.randn(4, 8, requires_grad=True)
        args = (x, KEY.tensor(), 2, 4, dim, 2.0, 3, [8, 1])
        torch.library.opcheck(torch.ops.torchdropout.counted_affine.default, args)

    def test_without_values(self):
        y = F.n_m_dropout(torch.ones(2, 8, device="meta"))
        assert y.is_meta
        assert y.shape == (2, 8)

    def test_a_tracer_records_one_call(self):
        for call, function in (
            (lambda x: F.n_m_dropout(x), F.n_m_dropout),
            (lambda x: F.column_dropout(x), F.column_dropout),
        ):
            graph = torch.fx.symbolic_trace(call)
            targets = [n.target for n in graph.graph.nodes if n.op == "call_function"]
            assert targets == [function]


@each_call
def test_sources_of_randomness(name):
    drop, x = CALLS[name][0], image()
    torch.manual_seed(3)
    first, second = (drop(x, key=None) for _ in range(2))
    assert not torch.equal(first, second)
    before = torch.get_rng_state()
    generator = torch.Generator().manual_seed(3)
    assert torch.equal(drop(x, key=None, generator=generator), first)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("group", [4, 18])
def test_every_choice_is_equally_likely(group):
    """Chi-square over the choices of 2 of 4, and over the pairs of 2 of 18: 200,000 groups.

    The limits are the 1 - 1e-6 quantiles for 5 and for 152 degrees of freedom. A choice whose rate
    is off by a tenth adds 333 to the first, and by a half 327 to the second.
    """
    n = 200_000
    keep = F.n_m_dropout(torch.ones(n, group), 2, group, key=Key(11)) != 0
    first, last = keep.int().argmax(1), group - 1 - keep.flip(1).int().argmax(1)
    pairs = [a * group + b for a, b in itertools.combinations(range(group), 2)]
    counts = torch.bincount(first * group + last, minlength=group**2)[pairs].double()
    assert counts.sum() == n
    expected = n / len(pairs)
    limit = {4: 35.89, 18: 246.0}[group]
    assert ((counts - expected) ** 2 / expected).sum() < limit


class TestRefuses:
    @pytest.fixture(autouse=True)
    def _draws_nothing(self):
        before = torch.get_rng_state()
        yield
        assert torch.equal(torch.get_rng_state(), before)

    x = torch.ones(2, 8)

    @pytest.mark.parametrize(
        ("error", "message", "given"),
        [
            (
                ArgumentValueError,
                "Expected `n` to be in [1, 4], how many of 4 are kept, got n=5 (int).",
                {"n": 5},
            ),
            (
                ArgumentValueError,
                "Expected `n` to be in [1, 4], how many of 4 are kept, got n=0 (int).",
                {"n": 0},
            ),
            (
                ArgumentTypeError,
                "Expected `n` to be an integer: n of each m neighbours are kept, got n=0.5 "
                "(float).",
                {"n": 0.5},
            ),
            (
                ArgumentValueError,
                "Expected `m` to be 1 or more, the size of a group, got m=0 (int).",
                {"m": 0},
            ),
            (
                ArgumentValueError,
                "Expected `input` to be of a multiple of m=3 elements along dimension 1, got "
                "input=<tensor of shape (2, 8), torch.float32> (Tensor).",
                {"m": 3},
            ),
            (
                ArgumentValueError,
                "Expected `dim` to be in [-2, 2), a dimension of a 2-D input, got dim=2 (int).",
                {"dim": 2},
            ),
            (
                ArgumentTypeError,
                "Expected `dim` to be an integer, a dimension of the input, got dim=None "
                "(NoneType).",
                {"dim": None},
            ),
            (
                ArgumentTypeError,
                "Expected `scale_by_keep` to be a bool, got scale_by_keep=0 (int).",
                {"scale_by_keep": 0},
            ),
            (
                ArgumentTypeError,
                "Expected `training` to be a bool, got training=0 (int).",
                {"training": 0},
            ),
            (
                ArgumentValueError,
                "Expected `broadcast_dims` to be one that gives each place along dimension 1 its "
                "own index, as the places kept are chosen from them, got broadcast_dims=(-1,) "
                "(tuple).",
                {"broadcast_dims": (-1,)},
            ),
        ],
    )
    def test_arguments_of_n_of_m(self, error, message, given):
        with pytest.raises(error) as caught:
            F.n_m_dropout(self.x, **given)
        assert str(caught.value) == message

    @pytest.mark.parametrize(
        ("error", "message", "given"),
        [
            (
                ArgumentValueError,
                "Expected `p` to be in [0, 1], the drop probability, got p=1.7 (float).",
                {"p": 1.7},
            ),
            (
                ArgumentValueError,
                "Expected `mode` to be 'batch' where the columns are those of the first dimension, "
                "got mode='row' (str).",
                {"mode": "row", "dim": 0},
            ),
            (
                ArgumentValueError,
                "Expected `mode` to be 'row' or 'batch', got mode='column' (str).",
                {"mode": "column"},
            ),
            (
                ArgumentValueError,
                "Expected `layout` to be one that gives each place along dimension 1 its own "
                "index, as the places kept are chosen from them, got layout=MaskLayout(base=0, "
                "strides=(1, 0)) (MaskLayout).",
                {"layout": MaskLayout(0, (1, 0))},
            ),
        ],
    )
    def test_arguments_of_columns(self, error, message, given):
        with pytest.raises(error) as caught:
            F.column_dropout(self.x, **given)
        assert str(caught.value) == message

    @pytest.mark.parametrize("function", [F.n_m_dropout, F.column_dropout])
    def test_inputs(self, function):
        for dtype in (torch.int64, torch.complex64):
            with pytest.raises(ArgumentTypeError, match="floating-point tensor"):
                function(self.x.to(dtype))
        with pytest.raises(ArgumentValueError, match=r"a dimension of a 0-D input"):
            function(torch.ones(()))
        with pytest.raises(ArgumentValueError, match="not both"):
            function(self.x, key=KEY, generator=torch.Generator())

    def test_a_fixed_count_of_nothing(self):
        for p in (0.0, 0.5):
            with pytest.raises(ArgumentValueError, match="one or more columns along dimension 1"):
                F.column_dropout(torch.ones(3, 0), p)


class TestModules:
    MODULES = (
        (
            td.nn.NMDropout(2, 4, dim=1, scale_by_keep=False),
            "NMDropout(n=2, m=4, dim=1, scale_by_keep=False)",
        ),
        (td.nn.NMDropout(), "NMDropout(n=2, m=4)"),
        (td.nn.ColumnDropout(0.25), "ColumnDropout(p=0.25, mode=batch)"),
        (
            td.nn.ColumnDropout(0.25, dim=1, mode="row", scale_by_keep=False),
            "ColumnDropout(p=0.25, mode=row, dim=1, scale_by_keep=False)",
        ),
    )

    @pytest.mark.parametrize(("module", "text"), MODULES, ids=[text for _, text in MODULES])
    def test_it_is_the_function_with_its_state(self, module, text):
        x = torch.randn(3, 8, 12)
        for other in (module, copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
            assert repr(other) == text
            assert not other.state_dict()
            torch.manual_seed(1)
            y = other(x)
            torch.manual_seed(1)
            given = {"dim": module.dim, "scale_by_keep": module.scale_by_keep}
            if isinstance(module, td.nn.NMDropout):
                expected = F.n_m_dropout(x, module.n, module.m, **given)
            else:
                expected = F.column_dropout(x, module.p, mode=module.mode, **given)
            assert torch.equal(y, expected)
            assert not torch.equal(y, x)
            before = torch.get_rng_state()
            assert other.eval()(x) is x
            assert torch.equal(torch.get_rng_state(), before)

    def test_the_rate_of_n_of_m_is_read_only(self):
        module = td.nn.NMDropout(1, 4)
        assert module.p == 0.75
        with pytest.raises(AttributeError):
            module.p = 0.5

    @pytest.mark.parametrize(
        ("kind", "error", "words", "given"),
        [
            (td.nn.NMDropout, ArgumentValueError, r"got n=5 \(int\)", {"n": 5}),
            (td.nn.NMDropout, ArgumentTypeError, r"got m=4.0 \(float\)", {"m": 4.0}),
            (td.nn.NMDropout, ArgumentTypeError, r"got dim='1' \(str\)", {"dim": "1"}),
            (td.nn.ColumnDropout, ArgumentValueError, r"got p=-0.1 \(float\)", {"p": -0.1}),
            (td.nn.ColumnDropout, ArgumentTypeError, r"got dim=None", {"dim": None}),
            (td.nn.ColumnDropout, ArgumentTypeError, r"got mode=0 \(int\)", {"mode": 0}),
            (td.nn.ColumnDropout, ArgumentTypeError, "`scale_by_keep`", {"scale_by_keep": 1}),
        ],
    )
    def test_refused_at_construction(self, kind, error, words, given):
        with pytest.raises(error, match=words):
            kind(**given)


def two_of_four(x, p, training):
    return F.n_m_dropout(x, round(4 * (1 - check_p(p))), 4, training)


def two_of_four_unscaled(x, p, training):
    return F.n_m_dropout(x, round(4 * (1 - check_p(p))), 4, training, scale_by_keep=False)


def columns_of_each_row(x, p, training):
    return F.column_dropout(x, p, training, mode="row")


@pytest.mark.slow
@pytest.mark.parametrize("level", ["quick", "standard"])
@pytest.mark.parametrize("target", [two_of_four, two_of_four_unscaled, columns_of_each_row])
def test_the_verifier_finds_nothing(target, level):
    report = check_dropout(target, level=level, spec="n-of-m")
    assert not report.findings, report.findings


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("base", [0, 2**34 - 7, 2**64 - 20000])
@pytest.mark.parametrize(
    ("shape", "n", "m"), [((6, 8), 2, 4), ((5, 3, 12), 1, 3), ((3, 640), 17, 64), ((7, 130), 9, 65)]
)
def test_backends_keep_the_same(shape, n, m, base, dtype):
    x = torch.randn(shape, dtype=dtype)
    x.view(-1)[::5] = float("nan")
    layout = MaskLayout(base, MaskLayout.of(shape).strides)
    found = []
    for name in backends.available():
        with backends.use(name):
            found.append(F.n_m_dropout(x, n, m, layout=layout, key=Key(2**63 + 5, 2**59 + 1)))
    assert all(same_but_nans(found[0], y) for y in found[1:])
