"""Dropout that torch.compile fuses with its neighbours, as on a GPU: here for CPU tensors."""

import pytest
import torch
from torch._dynamo.utils import counters
from torch._functorch import config as gradient_config
from torch._inductor import config as inductor_config
from torch._inductor.utils import fresh_cache, run_and_get_code

import torchdropout as td
from draws import kept
from oracle import layouts_of, same_but_nans
from torchdropout import functional as F
from torchdropout._core.contract.layout import sizes_drawn
from torchdropout._core.kernels import reference
from torchdropout._core.ops import _keep_bits, _masked_affine

KEY = td.Key(2**63 + 5, 2**40 + 1)
REAL = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


@pytest.fixture(autouse=True)
def fresh():
    torch._dynamo.reset()
    counters.clear()
    with gradient_config.patch(enable_autograd_cache=False):  # what another version traced
        yield
    torch._dynamo.reset()


@pytest.fixture
def fusing(monkeypatch):
    monkeypatch.setattr(_masked_affine, "fusing", {"cpu"})


@pytest.fixture
def opaque(monkeypatch):
    monkeypatch.setattr(_masked_affine, "fusing", set())


def compiled(function, **options):
    return torch.compile(function, fullgraph=True, **options)


def step(function, *inputs):
    """Results and gradients, by a seed, and what the generator gives next."""
    torch.manual_seed(7)
    results = function(*inputs)
    results = results if isinstance(results, (list, tuple)) else [results]
    learned = [y for y in results if y.requires_grad]
    weights = [torch.linspace(-2, 3, y.numel()).view(y.shape).to(y.dtype) for y in learned]
    gradients = torch.autograd.grad(learned, [x for x in inputs if x.requires_grad], weights)
    return [*(y.detach() for y in results), *gradients, torch.rand(1)]


def assert_same_step(function, expected, *inputs):
    got, known = step(function, *inputs), step(expected, *inputs)
    gradients = sum(x.requires_grad for x in inputs)
    for number, (a, b) in enumerate(zip(got, known, strict=True)):
        # The compiler decides on the layout of gradients.
        assert number >= len(got) - 1 - gradients or a.stride() == b.stride() or a.numel() == 0
        assert same_but_nans(a, b), number


def code_of(function, *inputs):
    """The code of the forward and of the backward."""
    _, found = run_and_get_code(step, function, *inputs)
    assert len(found) == 2
    return found


def with_specials(x):
    specials = (0.0, -0.0, torch.inf, -torch.inf, torch.nan, 1e-42, 6e4, 3e38)
    flat = x.flatten()
    for place, special in zip(range(2, flat.numel(), 3), specials * 4, strict=False):
        flat[place] = special
    return flat.view(x.shape)


# Shape, layout and what is shared.
CASES = [
    ((6, 5, 4, 3), "contiguous", ()),
    ((6, 5, 4, 3), "transposed", (1,)),
    ((6, 5, 4, 3), "channels_last", (2, 3)),
    ((6, 5, 4, 3), "channels_last", ()),
    ((70, 5), "strided", (0,)),
    ((70, 5), "strided", ()),
    ((9, 8), "transposed", ()),
    ((7, 4), "contiguous", (1,)),
    ((361,), "contiguous", ()),
    ((), "contiguous", ()),
    ((3, 0), "contiguous", ()),
]


class TestBits:
    @pytest.mark.integration
    @pytest.mark.parametrize("dtype", REAL, ids=str)
    def test_are_those_of_eager_between_neighbours(self, fusing, dtype):
        """In 16 bits the neighbours' results are rounded too where a dropout takes or gives them.

        All in one program: the compiler takes longer than the results.
        """
        cases = CASES if dtype == torch.float32 else CASES[REAL.index(dtype) % 2 :: 2]
        inputs = []
        for shape, layout, _ in cases:
            x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
            inputs.append(layouts_of(with_specials(x).to(dtype))[layout].requires_grad_())

        def function(*inputs):
            found = []
            for n, (x, (_, _, shared)) in enumerate(zip(inputs, cases, strict=True)):
                p = (0.3, 0.5 + 2**-20, 1.0, 0.9)[n % 4]
                options = {"key": KEY, "broadcast_dims": shared}
                y = F.dropout(x.detach() * 1.1, p, **options) + x.detach()
                z = F.dropout(x * 2, p, **options)  # in the gradient an exact product
                found += [y, z, z + x]
            return found

        assert_same_step(compiled(function), function, *inputs)
        assert counters["stats"]["unique_graphs"] == 1

    @pytest.mark.integration
    def test_of_the_functions(self, fusing):
        """Masks have a layout or an index beyond 2**32; those with a shift are not fused."""
        layout = td.MaskLayout(2**35 - 21, (2**33, 30, -2))
        x = torch.randn(4, 6, 5).requires_grad_()

        def function(x):
            return (
                F.dropout(x, 0.4),
                F.dropout1d(x, 0.4),
                F.drop_path(x, 0.4, True),
                F.drop_path(x, 0.4, True, scale_by_keep=False),
                F.alpha_dropout(x, 0.4, True),
                F.alpha_dropout(x, 1.0, True),
                F.dropout_add(x, x * 2, 0.4, bias=x[0, 0].detach()),
                F.dropout(x * 2, 0.4, inplace=True),
                F.dropout(x, 0.3, layout=layout),
                x * td.keep_mask(x.shape, 0.3, key=KEY),
            )

        assert_same_step(compiled(function), function, x)

    @pytest.mark.integration
    def test_of_modules_at_any_p(self, fusing):
        """p and scale are an input of the graph."""
        kinds = td.nn.Dropout, td.nn.DropPath, td.nn.AlphaDropout
        model = torch.nn.Sequential(*(kind(0.1) for kind in kinds))
        function = compiled(model)
        for dtype in (torch.float32, torch.bfloat16, torch.float64):
            torch._dynamo.reset()
            counters.clear()
            x = torch.randn(16, 5, 3).to(dtype).requires_grad_()
            for p in (0.1, 1 / 3, 1e-9, 1.0):
                for module in model:
                    module.p = p
                assert_same_step(function, model, x)
            assert counters["stats"]["unique_graphs"] == 1

    @pytest.mark.integration
    def test_where_it_stays_opaque(self, fusing):
        """Complex numbers, and a program that is exported."""
        z = torch.randn(40, dtype=torch.complex64)
        function = compiled(lambda z: F.dropout(z, key=KEY), backend="aot_eager")
        assert torch.equal(function(z), F.dropout(z, key=KEY))
        program = torch.export.export(td.nn.Dropout(0.3), (torch.randn(4),), strict=True)
        called = [str(n.target) for n in program.graph.nodes if "torchdropout" in str(n.target)]
        assert called == ["torchdropout.draw_keys.default", "torchdropout.masked_affine.default"]


def chain(x, residual):
    return F.dropout(torch.relu(x), 0.3, key=KEY) * 2 + residual


class TestFusion:
    x, residual = torch.randn(64, 48).requires_grad_(), torch.randn(64, 48)

    def counts(self):
        forward, backward = code_of(compiled(chain), self.x, self.residual)
        calls = [code[code.index("def call(") :] for code in (forward, backward)]
        ours = [f"= torch.ops.torchdropout.{name}." for name in ("keep_bits", "masked_affine")]
        return [tuple(call.count(word) for word in ("cpp_fused_", *ours)) for call in calls]

    @pytest.mark.integration
    def test_one_kernel_has_dropout_and_its_neighbours(self, fusing):
        assert self.counts() == [(1, 1, 0), (1, 1, 0)]

    @pytest.mark.integration
    def test_an_opaque_operator_divides_them(self, opaque):
        forward, backward = self.counts()
        assert forward == (2, 0, 1)
        assert backward[1:] == (0, 1)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
    def test_a_product_and_a_sum_do_not_share_a_rounding(self, fusing, dtype):
        """What a select of bits takes is rounded: no product of floats goes into a sum."""
        x, residual = self.x.detach().to(dtype).requires_grad_(), self.residual.to(dtype)
        for code in code_of(compiled(chain), x, residual):
            assert "bit_cast<int" in code

    def test_nothing_of_the_size_of_x_is_kept(self, fusing):
        """Neither a mask nor its bits: the key, and what an operator of torch needs."""
        model = td.nn.Dropout(0.3)
        function = compiled(lambda x: model(x * 2) + 1)
        with kept() as tensors:
            function(torch.randn(4096).requires_grad_())
        assert 16 <= sum(x.nbytes for x in tensors) <= 16 + 32 + 4


@pytest.mark.integration
def test_no_cache_serves_what_another_setting_compiled(monkeypatch):
    """The caches of torch's compiler know a program by the operators that it calls.

    They are off the first time that it is fused, and on all the time after that.
    """
    fused, hits = [], []
    with fresh_cache():
        for devices, on in zip([set(), {"cpu"}] * 3, (True, False, *[True] * 4), strict=True):
            torch._dynamo.reset()
            counters.clear()
            monkeypatch.setattr(_masked_affine, "fusing", devices)
            function = compiled(chain)
            with (
                gradient_config.patch(enable_autograd_cache=on),
                inductor_config.patch(fx_graph_cache=on),
                torch.autograd.profiler.profile() as profile,
            ):
                step(function, torch.ones(64, 48).requires_grad_(), torch.ones(64, 48))
            fused.append(any(e.name == "torchdropout::keep_bits" for e in profile.function_events))
            found = counters["aot_autograd"], counters["inductor"]
            hits.append(any(n for each in found for name, n in each.items() if "cache_hit" in name))
    assert fused == [False, True] * 3
    # The fourth is fused and finds only what is not; from then on both are there.
    assert hits == [False, False, True, False, True, True]


@pytest.mark.integration
def test_draws_are_in_the_order_of_eager(fusing):
    """Inductor computes together what it can, and would draw in that order."""

    def function(x):
        y = F.dropout(x, 0.4), F.dropout1d(x, 0.4), F.drop_path(x, 0.4, True)
        return *y, F.alpha_dropout(x, 0.4, True), F.dropout(x, 0.2)

    assert_same_step(compiled(function), function, torch.randn(4, 6, 5).requires_grad_())


@pytest.mark.parametrize("devices", [set(), {"cpu"}], ids=["opaque", "fused"])
def test_a_draw_stays_although_its_result_is_never_used(monkeypatch, devices):
    """If another follows, which would draw its key."""
    monkeypatch.setattr(_masked_affine, "fusing", devices)

    def function(x):
        F.dropout(x * 2, 0.3)
        return F.dropout(x, 0.4)

    function_in_graph = compiled(function, backend="aot_eager")
    assert_same_step(function_in_graph, function, torch.randn(40).requires_grad_())


class TestBitsInBytes:
    """The reference of the operator, by the keep bits that it packs."""

    @pytest.mark.parametrize("base", [0, 5, 2**35 - 21, -3])
    def test_are_the_keep_bits(self, base):
        for shape, strides in (
            ([6, 40], [40, 1]),
            ([5, 7], [1, 5]),
            ([5, 7], [0, 1]),
            ([3, 5, 2], [5, 1, 0]),
            ([], []),
            ([0, 3], [3, 1]),
            ([2, 3], [0, 0]),
            ([3, 3], [3, 1]),
        ):
            for key in (KEY.tensor(), torch.stack([KEY.tensor(), td.Key(1).tensor()])):
                for p in (0.3, 1.0):
                    keep = reference.keep_bits(key, shape, p, base, strides, torch.device("cpu"))
                    args = torch.empty(0), key, p, shape, base, strides
                    bits, fake = torch.ops.torchdropout.keep_bits(*args), _keep_bits._fake(*args)
                    assert bits.dtype == torch.uint8
                    assert (fake.shape, fake.dtype) == (bits.shape, bits.dtype)
                    flat = keep.reshape(*key.shape[:-1], -1) if keep.numel() else keep.view(0)
                    each = (bits.unsqueeze(-1) >> torch.arange(8)) & 1
                    each = each.flatten(-2) if keep.numel() else each.view(0)
                    count = keep[0].numel() if key.ndim > 1 else keep.numel()
                    assert sizes_drawn(shape, strides) == list(keep.shape[key.ndim - 1 :])
                    assert torch.equal(each[..., :count], flat.long())
                    assert not each[..., count:].any()

    def test_a_third_number_of_a_key_is_added_to_the_base(self):
        operator, like = torch.ops.torchdropout.keep_bits, torch.empty(0)
        placed = torch.cat([KEY.tensor(), torch.tensor([11])])
        bits = operator(like, placed, 0.3, [9, 9], 2**34, [9, 1])
        assert torch.equal(bits, operator(like, KEY.tensor(), 0.3, [9, 9], 2**34 + 11, [9, 1]))

    def test_opcheck(self):
        args = torch.empty(0), KEY.tensor(), 0.3, [6, 5], 3, [5, 1]
        torch.library.opcheck(torch.ops.torchdropout.keep_bits.default, args)
        constants = torch.tensor([0.3, 1 / 0.7, 0.0, 0.0], dtype=torch.float64)
        of_tensor = (*args[:2], constants, *args[3:])
        torch.library.opcheck(torch.ops.torchdropout.keep_bits.tensor, of_tensor)
        torch.library.opcheck(torch.ops.torchdropout.scale_of.default, (args[0], constants))
