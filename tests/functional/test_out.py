"""out=: the values of a call without it, written into `out`, or nothing written at all."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from draws import refused
from oracle import dropout, same_bits
from torchdropout import backends
from torchdropout import functional as F
from variants import FUNCTIONS, KEY, seeded

BACKENDS = tuple(dict.fromkeys(("reference", backends.available()[-1])))


@pytest.fixture(params=BACKENDS)
def backend(request):
    with backends.use(request.param):
        yield request.param


@pytest.mark.parametrize("name", [name for name, v in FUNCTIONS.items() if v.takes("out")])
def test_another_tensor_on_the_same_memory_is_in_place_too(backend, name):
    v = FUNCTIONS[name]
    (x,) = v.tensors()
    expected, out = v(x, key=KEY), x.view(-1).view(x.shape)
    assert v(x, key=KEY, out=out) is out
    assert same_bits(x, expected)


def test_inference_tensors(backend):
    with torch.inference_mode():
        x, out = torch.ones(300), torch.empty(300)
        expected = dropout(x, 0.3, KEY)
        assert F.dropout(x, 0.3, key=KEY).is_inference()
        assert F.dropout(x, 0.3, key=KEY, out=out) is out
        assert torch.equal(out, expected)
        assert F.dropout(x, 0.3, True, True, key=KEY) is x
        assert torch.equal(x, expected)
    for given in ({"inplace": True}, {"out": out}):
        with refused(RuntimeError, "Inplace update to inference tensor"):
            F.dropout(x, 0.3, **given)
    assert torch.equal(x, expected)
    assert torch.equal(out, expected)
    # Read, they are tensors like others.
    assert torch.equal(F.dropout(x, 0.3, key=KEY), dropout(x, 0.3, KEY))


INTERLEAVED = {
    "even and odd columns": lambda m: (m[:, ::2], m[:, 1::2]),
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


# Once wrong: two meta tensors both have the address 0, and were reported to overlap; and a warning
# of torch, soon an error, about the address of a fake tensor.
@pytest.mark.parametrize("mode", [FakeTensorMode, lambda: torch.device("meta")])
def test_tensors_whose_addresses_mean_nothing(mode):
    with mode():
        x = torch.empty(4, 6)
        for out in (torch.empty_like(x), torch.empty(6, 4).t()):
            assert F.dropout(x, 0.5, key=KEY, out=out) is out


# Once wrong: RuntimeError, "Cannot access data pointer of Tensor (e.g. FakeTensor ...)", where
# inplace=True is traced.
@pytest.mark.parametrize("mode", ["real", "fake", "symbolic"])
def test_make_fx(mode):
    def function(x, out):
        return F.dropout(x, 0.4, key=KEY, out=out)

    x = torch.randn(4, 6)
    graph = make_fx(function, tracing_mode=mode)(x, torch.zeros(4, 6))
    out = torch.zeros(4, 6)
    graph(x, out)
    assert same_bits(out, F.dropout(x, 0.4, key=KEY))


@pytest.mark.integration
@pytest.mark.parametrize("compiler", ["inductor", "aot_eager"])
def test_compiled_in_one_graph(compiler):
    """A drawn key; out is an input of the graph, made inside it, or the input itself."""
    torch._dynamo.reset()

    def function(x, out):
        made = torch.empty_like(x)
        F.alpha_dropout(x, 0.3, True, out=made)
        return F.dropout(x, 0.4, out=out), made, F.dropout(out, 0.2, out=out)

    x, results = torch.randn(8, 33), []
    compiled = torch.compile(function, fullgraph=True, backend=compiler)
    with torch.no_grad():
        for run in (compiled, function):
            out = torch.full_like(x, 7)
            y, made, again = seeded(run, x, out)
            assert torch.equal(y, out)
            assert torch.equal(again, out)
            results.append((out, made, torch.rand(1)))
    assert all(map(same_bits, *results))
