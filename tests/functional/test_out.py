"""out=: the values of a call without it, written into `out`, or nothing written at all."""

import re

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from oracle import COMPLEX, DTYPES, FLOATS, dropout, layouts_of, same_bits
from torchdropout import Key, MaskLayout, backends
from torchdropout import functional as F
from torchdropout.errors import ArgumentTypeError, ArgumentValueError, TorchDropoutError

KEY = Key(2**63 + 5, 2**40 + 1)
BACKENDS = tuple(dict.fromkeys(("reference", backends.available()[-1])))
MASKS = {
    "dropout": (7, 37),
    "dropout1d": (5, 7, 6),
    "dropout2d": (3, 5, 4, 6),
    "dropout3d": (3, 5, 2, 3, 4),
    "alpha_dropout": (7, 37),
    "feature_alpha_dropout": (3, 5, 4, 6),
}
NOISE = {
    "gaussian_dropout": (7, 37),
    "gaussian_noise": (3, 5, 4, 6),
    "uniform_dropout": (3, 1601),
}
SHAPES = MASKS | NOISE
NAMES = tuple(SHAPES)
OF_MASKS = [(n, dtype) for n in MASKS for dtype in (FLOATS if "alpha" in n else DTYPES)]
CASES = OF_MASKS + [(name, dtype) for name in NOISE for dtype in FLOATS]


@pytest.fixture(params=BACKENDS)
def backend(request):
    with backends.use(request.param):
        yield request.param


def sample(name, dtype=torch.float32):
    wide = torch.complex128 if dtype in COMPLEX else torch.float64
    generator = torch.Generator().manual_seed(7)
    return torch.randn(SHAPES[name], dtype=wide, generator=generator).to(dtype)


def call(name, x, p=0.4, training=True, **kwargs):
    return getattr(F, name)(x, p, training, **kwargs)


def buffers(x):
    """Places for x in each layout: its name, memory filled with 7, and the place in it."""
    for layout, like in layouts_of(x).items():
        if layout != "strided":
            yield layout, torch.full_like(like, 7), slice(None)
    wide = torch.full((*x.shape[:-1], 2 * x.shape[-1] + 3), 7.0).to(x.dtype)
    yield "strided", wide.clone(), (..., slice(1, 2 * x.shape[-1], 2))
    yield "columns", wide.clone(), (..., slice(3, 3 + x.shape[-1]))


def advanced_by_one_draw(before):
    """The state of a generator in `before` after a key was drawn from it."""
    generator = torch.Generator()
    generator.set_state(before)
    Key.draw(generator)
    return generator.get_state()


class TestValues:
    @pytest.mark.parametrize(("name", "dtype"), CASES, ids=str)
    def test_equal_those_without_out_in_every_layout(self, backend, name, dtype):
        x = sample(name, dtype)
        expected = call(name, x, key=KEY)
        for layout in layouts_of(x).values():
            kept = layout.clone()
            for where, memory, place in buffers(x):
                out = memory[place]
                version = out._version
                assert call(name, layout, key=KEY, out=out) is out
                assert same_bits(out, expected), where
                assert out._version > version
                around = torch.ones(memory.shape, dtype=torch.bool)
                around[place] = False
                assert bool((memory[around] == 7).all())
            assert same_bits(layout, kept)

    def test_equal_the_definition(self, backend):
        x, layout = sample("dropout"), MaskLayout(2**33 - 20, (37, 1))
        out = torch.empty_like(x)
        F.dropout(x, 0.3, key=KEY, layout=layout, out=out)
        assert same_bits(out, dropout(x, 0.3, KEY, layout))
        F.dropout(x, 0.3, key=KEY, broadcast_dims=(1,), out=out)
        assert same_bits(out, dropout(x, 0.3, KEY, MaskLayout.of(x.shape, (1,))))

    @pytest.mark.parametrize(("name", "dtype"), CASES, ids=str)
    def test_in_place(self, backend, name, dtype):
        for x in layouts_of(sample(name, dtype)).values():
            expected, version = call(name, x, key=KEY), x._version
            assert call(name, x, key=KEY, out=x) is x
            assert same_bits(x, expected)
            assert x._version > version

    @pytest.mark.parametrize("name", NAMES)
    def test_another_tensor_on_the_same_memory_is_in_place_too(self, backend, name):
        x = sample(name)
        expected, out = call(name, x, key=KEY), x.view(-1).view(x.shape)
        assert call(name, x, key=KEY, out=out) is out
        assert same_bits(x, expected)

    @pytest.mark.parametrize("name", NAMES)
    def test_what_was_in_out_does_not_enter(self, backend, name):
        x = sample(name)
        out = torch.full_like(x, torch.nan)
        assert same_bits(call(name, x, key=KEY, out=out), call(name, x, key=KEY))

    @pytest.mark.parametrize("size", [(1,), (), (0,), (3, 0), ((1 << 17) + 3,)], ids=str)
    def test_sizes(self, backend, size):
        x, out = torch.randn(size), torch.empty(size)
        assert F.dropout(x, 0.3, key=KEY, out=out) is out
        assert same_bits(out, F.dropout(x, 0.3, key=KEY))

    def test_an_expanded_input_is_read(self, backend):
        x, out = torch.randn(5, 1).expand(5, 40), torch.empty(5, 40)
        F.dropout(x, 0.4, key=KEY, out=out)
        assert same_bits(out, dropout(x.contiguous(), 0.4, KEY))

    @pytest.mark.parametrize("conj", [(True, False), (False, True), (True, True)], ids=str)
    def test_conjugate_views(self, backend, conj):
        values = sample("dropout", torch.complex64)
        x = values.conj().resolve_conj().conj() if conj[0] else values
        expected = F.dropout(values, 0.4, key=KEY)
        memory = torch.empty_like(values)
        out = memory.conj() if conj[1] else memory
        assert F.dropout(x, 0.4, key=KEY, out=out) is out
        assert torch.equal(out.resolve_conj(), expected)
        assert torch.equal(memory, expected.conj() if conj[1] else expected)


class TestIdentity:
    @pytest.mark.parametrize(("p", "training"), [(0.0, True), (0.4, False), (1.0, False)])
    @pytest.mark.parametrize(("name", "dtype"), CASES, ids=str)
    def test_eval_and_p_zero_copy_the_input_and_draw_nothing(self, name, dtype, p, training):
        x, p = sample(name, dtype), min(p, 0.9) if name in NOISE else p
        before = torch.get_rng_state()
        for _, memory, place in buffers(x):
            out = memory[place]
            version = out._version
            assert call(name, x, p, training, out=out) is out
            assert same_bits(out, x)
            assert out._version > version
        kept = x.clone()
        assert call(name, x, p, training, out=x) is x
        assert same_bits(x, kept)
        assert torch.equal(torch.get_rng_state(), before)

    @pytest.mark.parametrize("name", MASKS)
    def test_p_one_writes_zeros(self, backend, name):
        x = torch.full(SHAPES[name], torch.nan)
        before = torch.get_rng_state()
        for _, memory, place in buffers(x):
            torch.set_rng_state(before)
            out = memory[place]
            assert call(name, x, 1.0, out=out) is out
            assert same_bits(out, torch.zeros(x.shape))
            assert torch.equal(torch.get_rng_state(), advanced_by_one_draw(before))


class TestSource:
    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("inplace", [True, False])
    def test_one_draw_a_call_as_without_out(self, backend, name, inplace):
        x = sample(name)
        before = torch.get_rng_state()
        expected = call(name, x)
        torch.set_rng_state(before)
        out = x if inplace else torch.empty_like(x)
        assert same_bits(call(name, x, out=out), expected)
        assert torch.equal(torch.get_rng_state(), advanced_by_one_draw(before))

    @pytest.mark.parametrize("name", NAMES)
    def test_a_generator_is_drawn_from_once_and_a_key_draws_nothing(self, backend, name):
        x, out = sample(name), torch.empty(SHAPES[name])
        before = torch.get_rng_state()
        generator = torch.Generator().manual_seed(3)
        state = generator.get_state()
        call(name, x, generator=generator, out=out)
        assert torch.equal(generator.get_state(), advanced_by_one_draw(state))
        key = Key.draw(torch.Generator().manual_seed(3))
        assert same_bits(out, call(name, x, key=key))
        call(name, x, key=KEY, out=out)
        assert torch.equal(torch.get_rng_state(), before)


class TestAutograd:
    @pytest.mark.parametrize("name", NAMES)
    def test_tensors_that_require_grad_are_fine_without_grad(self, backend, name):
        x, expected = sample(name).requires_grad_(), call(name, sample(name), key=KEY)
        for mode in (torch.no_grad, torch.inference_mode):
            out = torch.empty(SHAPES[name]).requires_grad_()
            with mode():
                assert call(name, x, key=KEY, out=out) is out
                assert call(name, x, key=KEY, out=out[:]).data_ptr() == out.data_ptr()
            assert out.is_leaf
            assert out.requires_grad
            assert same_bits(out.detach(), expected)
        with torch.no_grad():
            assert call(name, x, key=KEY, out=x) is x
        assert same_bits(x.detach(), expected)

    def test_a_value_needed_for_backward_may_not_be_overwritten(self, backend):
        """The version counter of out: autograd notices that a saved value is gone."""
        w = torch.randn(50, requires_grad=True)
        saved = torch.randn(50)
        y = (w * saved).sum()
        F.dropout(torch.randn(50), 0.4, out=saved)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.backward()

    def test_views_share_the_counter(self, backend):
        memory = torch.randn(6, 8)
        version = memory._version
        F.dropout(torch.randn(6, 4), 0.4, out=memory[:, 4:])
        assert memory._version > version

    def test_out_of_an_inference_mode_is_refused_and_nothing_drawn(self, backend):
        with torch.inference_mode():
            out = torch.full((5,), 7.0)
        before = torch.get_rng_state()
        with pytest.raises(RuntimeError, match="Inplace update to inference tensor"):
            F.dropout(torch.randn(5, generator=torch.Generator()), 0.5, out=out)
        assert torch.equal(torch.get_rng_state(), before)
        assert torch.equal(out, torch.full((5,), 7.0))
        with torch.inference_mode():
            assert F.dropout(torch.ones(5), 0.5, out=out) is out


INTERLEAVED = {
    "column halves": lambda m: (m[:, :4], m[:, 4:]),
    "even and odd columns": lambda m: (m[:, ::2], m[:, 1::2]),
    "even and odd rows": lambda m: (m[::2], m[1::2]),
    "upper and lower half": lambda m: (m[:4], m[4:]),
    "transposed quarters": lambda m: (m[:4, 4:], m[4:, :4].t()),
}


@pytest.mark.parametrize("case", INTERLEAVED)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.complex64])
def test_interleaved_memory_is_taken(backend, case, dtype):
    for turned in (False, True):
        memory = torch.randn(8, 8).to(dtype)
        x, out = INTERLEAVED[case](memory)
        if turned:
            x, out = out, x
        kept, rest = x.clone(), memory.clone()
        assert F.dropout(x, 0.4, key=KEY, out=out) is out
        assert same_bits(out, F.dropout(kept, 0.4, key=KEY))
        out.copy_(torch.zeros(()))
        INTERLEAVED[case](rest)[0 if turned else 1].zero_()
        assert same_bits(memory, rest)


def test_strides_of_dimensions_of_size_one_do_not_matter(backend):
    """Once wrong: x and out are the same elements, but were reported to overlap."""
    x = torch.randn(1, 8)
    expected, out = F.dropout(x, 0.4, key=KEY), x.as_strided((1, 8), (1, 1))
    assert F.dropout(x, 0.4, key=KEY, out=out) is out
    assert same_bits(x, expected)


def _memory():
    return torch.full((4, 4), 7.0)


# What makes (x, out), further arguments, the error, what was expected, what came.
OF_SHAPE = "got out=<tensor of shape"
NO_GRADIENT = "Expected no `out` where a gradient is required, and `{}` requires one"
OVERLAP = "Expected `out` to be the input itself or memory separate from the input's"
ITSELF = "Expected `out` to be a tensor whose elements each have their own place in memory"
BAD = {
    "list": (
        lambda x: (x, [1.0]),
        {},
        ArgumentTypeError,
        "Expected `out` to be a tensor",
        "got out=[1.0] (list)",
    ),
    "bool": (lambda x: (x, True), {}, ArgumentTypeError, "`out` to be a tensor", "out=True (bool)"),
    "half": (
        lambda x: (x, torch.full_like(x, 7, dtype=torch.float16)),
        {},
        ArgumentTypeError,
        "Expected `out` to be of the input's dtype, torch.float32",
        "torch.float16> (Tensor)",
    ),
    "double": (
        lambda x: (x, torch.full_like(x, 7, dtype=torch.float64)),
        {},
        ArgumentTypeError,
        "Expected `out` to be of the input's dtype, torch.float32",
        "torch.float64> (Tensor)",
    ),
    "integers": (
        lambda x: (x, torch.full_like(x, 7, dtype=torch.int32)),
        {},
        ArgumentTypeError,
        "Expected `out` to be of the input's dtype, torch.float32",
        "torch.int32> (Tensor)",
    ),
    "longer": (
        lambda x: (x, torch.full((*x.shape[:-1], x.shape[-1] + 1), 7.0)),
        {},
        ArgumentValueError,
        "Expected `out` to be of the input's shape, ",
        OF_SHAPE,
    ),
    "one more dimension": (
        lambda x: (x, torch.full((1, *x.shape), 7.0)),
        {},
        ArgumentValueError,
        "Expected `out` to be of the input's shape, ",
        OF_SHAPE + " (1, ",
    ),
    "empty": (
        lambda x: (x, torch.empty(0)),
        {},
        ArgumentValueError,
        "Expected `out` to be of the input's shape, ",
        OF_SHAPE + " (0,)",
    ),
    "meta": (
        lambda x: (x, torch.empty_like(x, device="meta")),
        {},
        ArgumentValueError,
        "Expected `out` to be on the input's device, cpu, and not on meta",
        OF_SHAPE,
    ),
    "input on meta": (
        lambda x: (x.to("meta"), torch.full_like(x, 7)),
        {},
        ArgumentValueError,
        "Expected `out` to be on the input's device, meta, and not on cpu",
        OF_SHAPE,
    ),
    "expanded": (
        lambda x: (x, torch.full((1,), 7.0).expand(x.shape)),
        {},
        ArgumentValueError,
        ITSELF,
        OF_SHAPE,
    ),
    "windows": (
        lambda x: (x, torch.full((99,), 7.0).as_strided(x.shape, (2,) * (x.ndim - 1) + (1,))),
        {},
        ArgumentValueError,
        ITSELF,
        OF_SHAPE,
    ),
    "moved by one": (
        lambda x: _moved(x, 1),
        {},
        ArgumentValueError,
        OVERLAP,
        OF_SHAPE,
    ),
    "moved back by one": (
        lambda x: _moved(x, -1),
        {},
        ArgumentValueError,
        OVERLAP,
        OF_SHAPE,
    ),
    "last element is first": (
        lambda x: _moved(x, x.numel() - 1),
        {},
        ArgumentValueError,
        OVERLAP,
        OF_SHAPE,
    ),
    "same memory, other order": (
        lambda x: (x, x.view(-1).view(x.shape[::-1]).permute(*reversed(range(x.ndim)))),
        {},
        ArgumentValueError,
        OVERLAP,
        OF_SHAPE,
    ),
    "expanded input": (
        lambda x: (lambda m: (m.view(-1)[:1].expand(m.shape), m))(torch.full_like(x, 7)),
        {},
        ArgumentValueError,
        OVERLAP,
        OF_SHAPE,
    ),
    "out requires grad": (
        lambda x: (x, torch.full_like(x, 7).requires_grad_()),
        {},
        ArgumentValueError,
        NO_GRADIENT.format("out"),
        OF_SHAPE,
    ),
    "input requires grad": (
        lambda x: (x.requires_grad_(), torch.full_like(x.detach(), 7)),
        {},
        ArgumentValueError,
        NO_GRADIENT.format("input"),
        "got input=<tensor of shape",
    ),
    "input requires grad, in place": (
        lambda x: (x.requires_grad_(), x),
        {},
        ArgumentValueError,
        NO_GRADIENT.format("input"),
        "got input=<tensor of shape",
    ),
    "inplace": (
        lambda x: (x, torch.full_like(x, 7)),
        {"inplace": True},
        ArgumentValueError,
        "Expected `out` or `inplace",
        OF_SHAPE,
    ),
    "inplace, out is input": (
        lambda x: (x, x),
        {"inplace": True},
        ArgumentValueError,
        "Expected `out` or `inplace",
        "inplace=True (bool)",
    ),
    "key and generator": (
        lambda x: (x, torch.full_like(x, 7)),
        {"key": KEY, "generator": torch.Generator()},
        ArgumentValueError,
        "Expected `key` or `generator`, not both",
        "got key=Key(",
    ),
    "p": (
        lambda x: (x, torch.full_like(x, 7)),
        {"p": 1.5},
        ArgumentValueError,
        "Expected `p` to be in [0, 1]",
        "got p=1.5 (float)",
    ),
    "dims": (
        lambda x: (x, torch.full_like(x, 7)),
        {"broadcast_dims": (9,)},
        ArgumentValueError,
        "Expected `broadcast_dims` to be dimensions in",
        "got broadcast_dims=(9,)",
    ),
}


def _moved(x, distance):
    """x, and a tensor of its layout `distance` elements further in the same memory."""
    memory = torch.full((3 * x.numel(),), 7.0)
    here = memory.narrow(0, x.numel(), x.numel()).view(x.shape).copy_(x)
    return here, memory.narrow(0, x.numel() + distance, x.numel()).view(x.shape)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("name", MASKS)
def test_refusals_say_what_was_expected_and_what_came_and_write_nothing(name, case, training):
    make, extra, error, expected, got = BAD[case]
    x, out = make(sample(name))
    watched = [t for t in (x, out) if isinstance(t, torch.Tensor) and t.device.type == "cpu"]
    values = [(t, t.detach().clone(), t._version) for t in watched]
    before = torch.get_rng_state()
    with pytest.raises(error) as raised:
        call(name, x, **{"p": 0.5, "training": training, "out": out, **extra})
    assert expected in str(raised.value)
    assert got in str(raised.value)
    assert re.search(r"\((Tensor|list|bool|Generator|float|tuple)\)", str(raised.value))
    assert isinstance(raised.value, TorchDropoutError)
    assert torch.equal(torch.get_rng_state(), before)
    for tensor, value, version in values:
        assert same_bits(tensor.detach(), value)
        assert tensor._version == version


@pytest.mark.parametrize("layout", [torch.jagged, torch.strided])
@pytest.mark.parametrize("nested", ["both", "input", "out"])
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
def test_nested_tensors_are_refused(layout, nested):
    parts = [torch.randn(2, 3), torch.randn(4, 3)]
    one = torch.nested.nested_tensor(parts, layout=layout)
    other = torch.nested.nested_tensor(parts, layout=layout)
    x = torch.randn(6, 3) if nested == "out" else one
    out = torch.zeros(6, 3) if nested == "input" else other
    before = torch.get_rng_state()
    with pytest.raises(ArgumentValueError, match="Expected no `out` with a nested tensor, got "):
        F.dropout(x, 0.5, out=out)
    assert torch.equal(torch.get_rng_state(), before)
    if nested != "input":
        assert torch.equal(torch.cat(list(out.unbind())), torch.cat(parts))


class TestWithoutMemory:
    """Tensors whose addresses mean nothing."""

    # Once wrong: two meta tensors both have the address 0, and were reported to overlap.
    def test_meta_tensors(self):
        x = torch.empty(4, 6, device="meta")
        for out in (torch.empty_like(x), torch.empty(6, 4, device="meta").t()):
            assert F.dropout(x, 0.5, out=out) is out

    # Once wrong: a warning of torch, soon an error, about the address of a fake tensor.
    def test_fake_tensors(self):
        with FakeTensorMode():
            x, out = torch.empty(4, 6), torch.empty(4, 6)
            assert F.dropout(x, 0.5, key=KEY, out=out) is out

    # Once wrong: RuntimeError, "Cannot access data pointer of Tensor (e.g. FakeTensor ...)", where
    # inplace=True is traced.
    @pytest.mark.parametrize("mode", ["real", "fake", "symbolic"])
    def test_make_fx(self, mode):
        def function(x, out):
            return F.dropout(x, 0.4, key=KEY, out=out)

        x = torch.randn(4, 6)
        graph = make_fx(function, tracing_mode=mode)(x, torch.zeros(4, 6))
        out = torch.zeros(4, 6)
        graph(x, out)
        assert same_bits(out, F.dropout(x, 0.4, key=KEY))


class TestCompile:
    @pytest.fixture(autouse=True)
    def fresh(self):
        torch._dynamo.reset()
        yield
        torch._dynamo.reset()

    @pytest.mark.integration
    @pytest.mark.parametrize("compiler", ["inductor", "aot_eager"])
    def test_fullgraph(self, compiler):
        """A drawn key; out is an input of the graph, made inside it, or the input itself."""

        def function(x, out):
            made = torch.empty_like(x)
            F.alpha_dropout(x, 0.3, True, out=made)
            return F.dropout(x, 0.4, out=out), made, F.dropout(out, 0.2, out=out)

        x, results = torch.randn(8, 33), []
        compiled = torch.compile(function, fullgraph=True, backend=compiler)
        with torch.no_grad():
            for run in (compiled, function):
                torch.manual_seed(5)
                out = torch.full_like(x, 7)
                y, made, again = run(x, out)
                assert torch.equal(y, out)
                assert torch.equal(again, out)
                results.append((out, made, torch.rand(1)))
        for got, expected in zip(*results, strict=True):
            assert same_bits(got, expected)

    @pytest.mark.integration
    def test_every_function_eval_and_in_place(self):
        def function(values, training):
            for name, (x, out) in values.items():
                call(name, x, 0.4, training, key=KEY, out=out)
                call(name, x, 0.4, training, key=KEY, out=x)

        compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
        for training in (True, False):
            values = {name: (sample(name), torch.empty(SHAPES[name])) for name in NAMES}
            compiled(values, training)
            for name, pair in values.items():
                expected = call(name, sample(name), 0.4, training, key=KEY)
                assert all(same_bits(t, expected) for t in pair)

    @pytest.mark.parametrize("case", ["half", "longer", "input requires grad", "inplace"])
    def test_wrong_arguments_raise_the_same_error(self, case):
        make, extra, _, expected, _ = BAD[case]
        x, out = make(sample("dropout"))
        compiled = torch.compile(F.dropout, fullgraph=True, backend="eager")
        before = torch.get_rng_state()
        with pytest.raises(Exception, match=re.escape(expected)):
            compiled(x, 0.5, **{"out": out, **extra})
        assert torch.equal(torch.get_rng_state(), before)
        assert bool((out == 7).all())
