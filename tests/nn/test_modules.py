"""The six modules as drop-ins for torch's: what torch's own dropout tests state, and more."""

import functools
import inspect
import itertools
import math
import pickle
import sys

import pytest
import torch

import torchdropout as td
from torchdropout.errors import ArgumentValueError
from torchdropout.nn import _module
from variants import MODULES, first

NAMES = ["Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout"]
PLAIN = NAMES[:4]
SHAPES = {"Dropout1d": (4, 5, 6), "Dropout3d": (4, 5, 6, 2, 2)}


def pair(name, *args, **kwargs):
    return getattr(td.nn, name)(*args, **kwargs), getattr(torch.nn, name)(*args, **kwargs)


def sample(name):
    return torch.randn(SHAPES.get(name, (4, 5, 6, 2)))


def seeded(module, x):
    torch.manual_seed(3)
    return module(x)


@pytest.mark.parametrize("name", NAMES)
class TestDropIn:
    def test_signature_repr_state_and_class(self, name):
        for args in ((), (0.25,), (0.25, True)):
            ours, theirs = pair(name, *args)
            assert repr(ours) == repr(theirs)
            assert (ours.p, ours.inplace) == (theirs.p, theirs.inplace)
            assert ours.state_dict() == {}
            assert isinstance(ours, getattr(torch.nn, name))
        assert repr(getattr(td.nn, name)(inplace=True, p=0.1)) == f"{name}(p=0.1, inplace=True)"

    @pytest.mark.parametrize("p", [0, 0.0, 0.1, 1, 1.0])
    def test_in_place_writes_what_the_other_returns(self, name, p):
        x = sample(name)
        expected = seeded(getattr(td.nn, name)(p), x.clone())
        version = x._version
        assert seeded(getattr(td.nn, name)(p, inplace=True), x) is x
        assert torch.equal(x, expected)
        assert (x._version > version) is (p > 0)


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("inplace", [True, False])
def test_rate_scale_and_gradient(name, dtype, inplace):
    """y and dy/dx are 0 or 1/(1-p); the kept fraction of 20,000 draws within 6 sigma of 1 - p."""
    p = 0.2
    shape = {"Dropout": (20_000,)}.get(name, (200, 100, 2, 2, 2)[: 2 + int(name[7:8] or 0)])
    x = torch.ones(shape, dtype=dtype, requires_grad=True)
    y = seeded(getattr(td.nn, name)(p, inplace), x + 0)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(gradient, y.detach())
    assert set(y.detach().unique().tolist()) == {0.0, torch.tensor(1.25, dtype=dtype).item()}
    draws = y.detach().reshape(20_000, -1)[:, 0]
    assert abs((draws != 0).float().mean().item() - 0.8) < 6 * math.sqrt(0.16 / 20_000)


@pytest.mark.parametrize("name", ["Dropout", "Dropout2d"])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_gapped_input_gives_a_dense_output(name, memory_format):
    x = torch.empty(2, 3, 3, 6, memory_format=memory_format)[..., ::2].fill_(1.0)
    ours, theirs = pair(name, 1e-10)
    y = ours(x)
    assert y.is_contiguous(memory_format=memory_format)
    assert y.stride() == theirs(x).stride()
    assert torch.equal(y, x)


def test_permuted_and_sliced_inputs_keep_their_order_of_dimensions():
    x = torch.randn(2, 3, 4, 5)
    for order in itertools.permutations(range(4)):
        inverse = [order.index(d) for d in range(4)]
        permuted = x.permute(order).contiguous().permute(inverse)
        for part in (permuted, permuted[1:], permuted[:, 1:], permuted[1:, 1:]):
            y = td.nn.Dropout(0.3)(part)
            assert y.permute(order).is_contiguous()
            assert not torch.equal(y, part)


EMBEDDING = torch.nn.Embedding(3, 2)
ALSO_NAMED = {
    "drop_prob": [td.nn.DropPath, td.nn.DropBlock1d, td.nn.DropBlock2d, td.nn.DropBlock3d],
    "prob": [td.nn.TokenDropout],
    "embed_p": [functools.partial(td.nn.EmbeddingDropout, EMBEDDING)],
}


@pytest.mark.parametrize(("alias", "make"), [(a, m) for a, all in ALSO_NAMED.items() for m in all])
def test_the_name_that_another_library_gives_p(alias, make):
    module = make(**{alias: 0.25})
    assert repr(module) == repr(make(p=0.25)) == repr(make(0.25))
    assert getattr(module, alias) == module.p == 0.25
    setattr(module, alias, torch.tensor(0.5))
    assert module.p == 0.5
    assert torch.equal(module._rate.constants, make(0.5)._rate.constants)
    copied = pickle.loads(pickle.dumps(module))
    assert getattr(copied, alias) == 0.5
    assert make(**{alias: None}).p == make().p
    assert inspect.signature(make).parameters[alias].kind is inspect.Parameter.KEYWORD_ONLY
    for args, kwargs in (((0.0,), {}), ((), {"p": 0.0})):
        with pytest.raises(ArgumentValueError, match=f"`p` or `{alias}`.* p=0.0 .*{alias}=0.25"):
            make(*args, **kwargs, **{alias: 0.25})
    with pytest.raises(ArgumentValueError, match=rf"`{alias}` to be in \[0, 1\].* {alias}=1.5"):
        make(**{alias: 1.5})
    with pytest.raises(ArgumentValueError, match=rf"`{alias}` to be in \[0, 1\].* {alias}=1.5"):
        setattr(module, alias, 1.5)
    assert module.p == 0.5


@pytest.mark.parametrize("name", ["Dropout1d", "Dropout3d"])
def test_no_batch_dimension(name):
    x = torch.rand({"Dropout1d": (50, 2), "Dropout3d": (50, 2, 2, 2)}[name])
    for inplace in (True, False):
        module = getattr(td.nn, name)(0.5, inplace)
        batched = seeded(module, x.clone().unsqueeze(0)).squeeze(0)
        assert torch.equal(seeded(module, x.clone()), batched)


KEY = td.Key(3)
OF_A_GRAPH = [
    name
    for name, m in MODULES.items()
    if isinstance(m.built(), _module.RateModule)
    and not name.startswith(("TokenDropout", "DropoutAdd"))  # read it otherwise
]


def call(module, tensors):
    word = "key" if "key" in inspect.signature(module.forward).parameters else "dropout_key"
    if isinstance(module, torch.nn.MultiheadAttention):
        word = "dropout_key"
    return first(module(*tensors, **{word: KEY}))


@pytest.mark.parametrize("exporting", [False, True])
@pytest.mark.parametrize("compiling", [False, True])
@pytest.mark.parametrize("name", OF_A_GRAPH)
def test_a_graph_reads_the_rate_from_a_tensor(monkeypatch, name, compiling, exporting):
    """But an exported program has the number. The calls are made without a compiler."""
    module, tensors = MODULES[name].built(), MODULES[name].tensors()
    expected = call(module, tensors)
    rate = module._rate
    read = []
    traced = _module.RateModule._traced_rate
    monkeypatch.setattr(
        _module.RateModule, "_traced_rate", lambda self: read.append(traced(self)) or read[-1]
    )
    monkeypatch.setattr(
        sys.modules[type(module).__module__], "is_dynamo_compiling", lambda: compiling
    )
    monkeypatch.setattr(_module._torch, "is_exporting", lambda: exporting)
    assert torch.equal(call(module, tensors), expected)
    if not compiling:
        assert read == []
    elif exporting:
        assert read == [0.4]
    else:
        assert len(read) == 1
        assert read[0] is rate
    vars(module)["_rate"] = None  # as under a mode that makes no real tensors
    read.clear()
    assert torch.equal(call(module, tensors), expected)
    assert read == [0.4] * compiling


def test_a_graph_of_a_token_dropout_reads_a_rate_that_changes(monkeypatch):
    """While it has not changed, a graph for one length is faster."""
    module, x = td.nn.TokenDropout(0.3), torch.randn(2, 9, 3)
    own = sys.modules[type(module).__module__]
    seen = []
    function = own.F.token_dropout
    monkeypatch.setattr(
        own.F, "token_dropout", lambda x, p, *a, **k: seen.append(p) or function(x, p, *a, **k)
    )

    def passed():
        module(x, key=KEY)
        return seen.pop()

    monkeypatch.setattr(own, "is_dynamo_compiling", lambda: True)
    assert passed() == 0.3
    module.p = 0.3
    assert passed() == 0.3
    module.p = 0.5
    assert passed() is module._rate
    monkeypatch.setattr(own._torch, "is_batched", lambda x: True)
    assert passed() == 0.5
    monkeypatch.setattr(own._torch, "is_batched", lambda x: False)
    assert passed() is module._rate
    monkeypatch.setattr(own, "is_dynamo_compiling", lambda: False)
    assert passed() == 0.5


def test_a_rate_module_must_say_its_constants():
    with pytest.raises(NotImplementedError):
        _module.RateModule()._constants()
