"""out=: the values of a call without it, written into `out`, or nothing written at all."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from oracle import COMPLEX, same_bits
from torchdropout import Key, backends
from torchdropout import functional as F
from torchdropout.errors import ArgumentValueError

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


class TestValues:
    @pytest.mark.parametrize("name", NAMES)
    def test_another_tensor_on_the_same_memory_is_in_place_too(self, backend, name):
        x = sample(name)
        expected, out = call(name, x, key=KEY), x.view(-1).view(x.shape)
        assert call(name, x, key=KEY, out=out) is out
        assert same_bits(x, expected)

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


class TestAutograd:
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
def test_interleaved_memory_is_taken(backend, case):
    for turned in (False, True):
        memory = torch.randn(8, 8).bfloat16()
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
