"""What draws in torch's way is given keys: functions, attention, recurrent layers, numbers."""

import math
import random
import types

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn
from torch.nn import functional as torch_F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.overrides import get_overridable_functions

import torchdropout as td
from keyed_parts import SCOPE, Calls, assert_parts, assert_refused, drawn
from torchdropout import functional as F
from torchdropout.models.scope import _keyed
from torchdropout.models.scope._handlers import HANDLERS

X = torch.ones(8, 6, 10)
MAPS = torch.ones(8, 3, 6, 5)
VOLUMES = torch.ones(8, 3, 4, 3, 2)

DROPOUTS = {
    "F.dropout": lambda x: torch_F.dropout(x, 0.4),
    "F.dropout by name": lambda x: torch_F.dropout(input=x, p=0.4, training=True),
    "F.dropout in place": lambda x: torch_F.dropout(x * 1, 0.4, True, True),
    "F.dropout1d": lambda x: torch_F.dropout1d(x, 0.4),
    "F.dropout by default": torch_F.dropout,
    "F.dropout1d by default": torch_F.dropout1d,
    "F.alpha_dropout by default": lambda x: torch_F.alpha_dropout(x, training=True),
    "F.feature_alpha_dropout by default": lambda x: torch_F.feature_alpha_dropout(x, training=True),
    "F.alpha_dropout": lambda x: torch_F.alpha_dropout(x, 0.4, True),
    "F.alpha_dropout in place": lambda x: torch_F.alpha_dropout(x * 1, 0.4, True, True),
    "F.feature_alpha_dropout": lambda x: torch_F.feature_alpha_dropout(x, 0.4, True),
    "torch.dropout": lambda x: torch.dropout(x, 0.4, True),
    "torch.dropout by name": lambda x: torch.dropout(x, p=0.4, train=True),
    "torch.dropout all by name": lambda x: torch.dropout(p=0.4, train=True, input=x),
    "torch.dropout_": lambda x: torch.dropout_(x * 1, 0.4, True),
    "torch.alpha_dropout": lambda x: torch.alpha_dropout(x, 0.4, True),
    "torch.alpha_dropout_": lambda x: torch.alpha_dropout_(x * 1, 0.4, True),
    "torch.feature_alpha_dropout": lambda x: torch.feature_alpha_dropout(x, 0.4, True),
    "torch.feature_alpha_dropout_": lambda x: torch.feature_alpha_dropout_(x * 1, 0.4, True),
    "nn.Dropout in place": lambda x: nn.Dropout(0.4, inplace=True)(x * 1),
}


@pytest.mark.parametrize("name", DROPOUTS)
def test_dropout_functions(name):
    found = assert_parts(Calls(DROPOUTS[name]), X)
    ours = getattr(td.functional, name.split()[0].split(".")[1].rstrip("_").lower(), None)
    options = {} if ours is td.functional.dropout or ours is None else {"training": True}
    if ours is not None:
        site = td.models.scope.SiteId("", 0)
        key = td.keyed(nn.Identity(), **SCOPE).key_of(site)
        p = 0.5 if "by default" in name else 0.4
        assert torch.equal(found, ours(X, p, **options, key=key))


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (nn.Dropout, X),
        (nn.Dropout1d, X),
        (nn.Dropout2d, MAPS),
        (nn.Dropout3d, VOLUMES),
        (nn.AlphaDropout, X),
        (nn.FeatureAlphaDropout, MAPS),
    ],
)
def test_dropout_modules(layer, x):
    assert_parts(nn.Sequential(nn.Identity(), layer(0.4)), x)


def rows(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def attended(x, **options):
    """Weights after dropout: before it they are all alike."""
    unit = torch.eye(x.shape[-2]).expand(*x.shape[:-2], -1, -1)
    return torch_F.scaled_dot_product_attention(0 * x, 0 * x, unit, dropout_p=0.4, **options)


@pytest.mark.parametrize("x", [torch.ones(8, 6, 4), torch.ones(8, 3, 6, 4)])
@pytest.mark.parametrize("causal", [False, True])
def test_attention(x, causal):
    assert_parts(Calls(lambda x: attended(x, is_causal=causal)), x)


@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_multi_head_attention(need_weights, batch_first):
    layer = nn.MultiheadAttention(12, 3, 0.4, batch_first=batch_first)
    model = Calls(lambda m, x: m(x, x, x, need_weights=need_weights)[0], layer)
    x = rows(8, 6, 12) if batch_first else rows(6, 8, 12)
    assert_parts(model, x, dim=0 if batch_first else 1, exact=False)


RECURRENT = {
    "LSTM": nn.LSTM,
    "GRU": nn.GRU,
    "RNN": nn.RNN,
    "RNN relu": lambda *a, **k: nn.RNN(*a, nonlinearity="relu", **k),
    "projected": lambda *a, **k: nn.LSTM(*a, proj_size=2, bidirectional=True, **k),
}


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("kind", RECURRENT)
def test_recurrent_layers(kind):
    torch.manual_seed(0)
    layer = RECURRENT[kind](4, 5, 3, dropout=0.4, batch_first=True)
    assert_parts(Calls(lambda m, x: m(x)[0], layer), rows(8, 7, 4), exact=False)
    states = Calls(lambda m, x: torch.cat(_states(m(x)[1]), -1).transpose(0, 1), layer)
    assert_parts(states, rows(8, 7, 4), exact=False)
    found = drawn(layer, rows(8, 7, 4))
    layer.dropout = 0.0
    expected = layer(rows(8, 7, 4))
    assert found[0].shape == expected[0].shape
    # The first layer has no dropout before it.
    for one, other in zip(_states(found[1]), _states(expected[1]), strict=True):
        assert one.shape == other.shape
        torch.testing.assert_close(one[0], other[0])


def _states(states):
    return states if isinstance(states, tuple) else (states,)


LENGTHS = torch.tensor([3, 7, 2, 5, 5, 1, 6, 4])


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("kind", RECURRENT)
def test_packed_sequences(kind):
    """A sequence has its draws whatever its place among the sorted, and however long the others."""
    torch.manual_seed(0)
    layer = RECURRENT[kind](4, 5, 3, dropout=0.4)

    def call(layer, x, lengths):
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(layer(packed)[0], batch_first=True, total_length=7)[0]

    assert_parts(Calls(call, layer), rows(8, 7, 4), LENGTHS, exact=False)


def test_a_packed_sequence_as_the_input_of_the_model():
    torch.manual_seed(0)
    layer = nn.LSTM(4, 5, 2, dropout=0.4)

    def run(start, end, **scope):
        x = rows(8, 7, 4)[start:end].transpose(0, 1)
        packed = pack_padded_sequence(x, LENGTHS[start:end], enforce_sorted=False)
        return pad_packed_sequence(drawn(layer, packed, **scope)[0], total_length=7)[0]

    parts = [run(s, e, batch=(s, 8)) for s, e in ((0, 3), (3, 4), (4, 8))]
    torch.testing.assert_close(torch.cat(parts, 1), run(0, 8), rtol=1e-5, atol=1e-5)


def test_a_packed_sequence_has_2_to_the_40_indices_for_each_sample():
    """As section 8 of the contract says: within them row-major over step and feature."""
    torch.manual_seed(0)
    layer, first, second = nn.LSTM(4, 5, 2, dropout=0.4), nn.LSTM(4, 5), nn.LSTM(5, 5)
    for name, p in layer.named_parameters():
        part = first if name.endswith("l0") else second
        part.get_parameter(name.replace("l1", "l0")).data = p.data
    packed = pack_padded_sequence(rows(7, 8, 4), LENGTHS, enforce_sorted=False)
    with td.keyed(layer, **SCOPE) as scope:
        found = layer(packed)[0].data
    key = scope.key_of(td.models.scope.SiteId("", 0))
    mask = td.keep_mask((7, 8, 5), 0.4, key=key, layout=td.MaskLayout(0, (5, 1 << 40, 1)))
    between, _ = pad_packed_sequence(first(packed)[0])
    dropped = pack_padded_sequence(between * mask / 0.6, LENGTHS, enforce_sorted=False)
    torch.testing.assert_close(found, second(dropped)[0].data)


NUMBERS = {
    "bernoulli_": lambda x: torch.empty_like(x).bernoulli_(0.3),
    "bernoulli_ of a tensor": lambda x: torch.empty_like(x).bernoulli_(x * 0.3),
    "bernoulli": lambda x: torch.bernoulli(x * 0.3),
    "bernoulli, p": lambda x: torch.bernoulli(x, 0.3),
    "bernoulli, p by name": lambda x: torch.bernoulli(x, p=0.3),
    "bernoulli, out": lambda x: torch.bernoulli(x * 0.3, out=torch.empty_like(x)),
    "bernoulli, integers": lambda x: torch.zeros(x.shape, dtype=torch.int64).bernoulli_(0.3),
    "Tensor.bernoulli": lambda x: (x * 0.3).bernoulli(),
    "rand": lambda x: torch.rand(x.shape),
    "rand, sizes": lambda x: torch.rand(*x.shape),
    "rand, size": lambda x: torch.rand(size=x.shape, requires_grad=True),
    "rand, generator None": lambda x: torch.rand(x.shape, generator=None),
    "rand, out": lambda x: torch.rand(x.shape, out=torch.empty(x.shape)),
    "rand, bfloat16": lambda x: torch.rand(x.shape, dtype=torch.bfloat16),
    "rand_like": torch.rand_like,
    "rand_like, float64": lambda x: torch.rand_like(x, dtype=torch.float64),
    "randn": lambda x: torch.randn(x.shape, dtype=torch.float16),
    "randn, out": lambda x: torch.randn(x.shape, out=torch.empty(x.shape)),
    "randn_like": torch.randn_like,
    "uniform_": lambda x: torch.empty_like(x).uniform_(),
    "uniform_, ends": lambda x: torch.empty_like(x).uniform_(-1, 3),
    "uniform_, ends by name": lambda x: torch.empty_like(x).uniform_(to=0.5),
    "normal_": lambda x: torch.empty_like(x).normal_(1, 2),
    "normal_, by name": lambda x: torch.empty_like(x).normal_(mean=1, std=2),
    "init.normal_": lambda x: nn.init.normal_(torch.empty_like(x), 1, 2),
    "init.uniform_": lambda x: nn.init.uniform_(torch.empty_like(x), b=0.5),
    "a row for each sample": lambda x: x.new_empty((len(x), 1, 1)).bernoulli_(0.5).div_(0.5) * x,
}


@pytest.mark.parametrize("name", NUMBERS)
def test_random_numbers(name):
    assert_parts(Calls(NUMBERS[name]), X)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_laws_of_random_numbers(dtype):
    """P-values of a fixed draw: no run of this test differs from another."""
    n = 2**18

    def draw(x):
        return (
            torch.rand(n, dtype=dtype),
            torch.randn(n, dtype=dtype),
            torch.empty(n, dtype=dtype).bernoulli_(0.3),
            torch.empty(n, dtype=dtype).uniform_(-2, 6),
            torch.empty(n, dtype=dtype).normal_(3, 0.5),
        )

    found = drawn(Calls(draw), torch.ones(2))
    assert {y.dtype for y in found} == {dtype}
    u, e, kept, wide, moved = (y.double() for y in found)
    assert 0 <= u.min() <= u.max() < 1
    assert abs(kept.mean() - 0.3) < 6 * math.sqrt(0.3 * 0.7 / n)
    assert set(kept.tolist()) == {0.0, 1.0}
    # A dtype of few digits has steps, which the test would see: half a step is added.
    step = torch.finfo(dtype).eps / 2 if dtype in (torch.float16, torch.bfloat16) else 0.0
    noise = torch.rand(n, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    laws = [(u + noise * step, "uniform")]
    if step == 0:
        laws += [(e, "norm"), ((wide + 2) / 8, "uniform"), ((moved - 3) * 2, "norm")]
    for y, law in laws:
        assert stats.kstest(y.numpy(), law).pvalue > 1e-4
    for y in (e, (moved - 3) * 2):
        assert abs(y.mean()) < 6 / math.sqrt(n) + 0.01 * (step > 0)
        assert abs(y.std() - 1) < 6 / math.sqrt(2 * n) + 0.01 * (step > 0)


def test_what_has_a_generator_is_left_alone():
    def draw(x):
        given = {"generator": torch.Generator().manual_seed(3)}
        return torch.stack(
            (
                torch.rand(4, **given),
                torch.empty(4).bernoulli_(0.5, **given),
                torch.bernoulli(torch.full((4,), 0.5), **given),
                torch.empty(4).uniform_(**given),
                torch.empty(4).normal_(**given),
                torch.randint(9, (4,), **given).float(),
                F.dropout(torch.ones(4), 0.5, **given),
            )
        )

    assert torch.equal(drawn(Calls(draw), torch.ones(2)), draw(None))


UNREACHED = {
    "randint": lambda x: torch.randint(4, x.shape),
    "randint_like": lambda x: torch.randint_like(x, 4),
    "randperm": lambda x: torch.randperm(len(x)),
    "multinomial": lambda x: torch.multinomial(x[:, 0], 2),
    "poisson": torch.poisson,
    "normal": lambda x: torch.normal(x, 1.0),
    "randn of complex numbers": lambda x: torch.randn(3, dtype=torch.complex64),
    "exponential_": lambda x: torch.empty_like(x).exponential_(),
    "geometric_": lambda x: torch.empty_like(x).geometric_(0.5),
    "random_": lambda x: torch.empty_like(x).random_(),
    "rrelu": lambda x: torch_F.rrelu(-x, training=True),
    "gumbel_softmax": torch_F.gumbel_softmax,
    "fractional_max_pool2d": lambda x: torch_F.fractional_max_pool2d(
        MAPS, 2, output_ratio=(0.5, 0.5)
    ),
    "kaiming_uniform_": lambda x: nn.init.kaiming_uniform_(torch.empty(3, 3)),
    "standard_gamma": lambda x: torch.distributions.Gamma(x, x).sample(),
}


@pytest.mark.parametrize("name", UNREACHED)
def test_what_cannot_be_given_a_key_is_named(name):
    model = Calls(UNREACHED[name])
    assert_refused(f"got _?{name.split()[0]}", model, X)
    drawn(model, X, on_unreached="ignore")
    with td.keyed(model, on_unreached="warn", **SCOPE):
        with pytest.warns(RuntimeWarning, match="can be given a key") as caught:
            model(X)
        assert [each.filename for each in caught] == [_keyed.__file__]  # filters name the package
        model(X)  # once a scope


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_what_no_function_shows_is_noticed():
    """Scripted code calls no function that a mode sees."""
    model = nn.Sequential(nn.Linear(4, 4), torch.jit.script(nn.Dropout(0.5)))
    assert_refused("in a way that no function", model, torch.ones(6, 4))
    drawn(model, torch.ones(6, 4), on_unreached="ignore")


@pytest.mark.parametrize("draw", [random.random, np.random.rand], ids=["Python", "NumPy"])
def test_a_generator_that_is_not_torchs_is_noticed_and_put_back(draw):
    """Models of speech in transformers use one for a spectrogram's masks."""
    model = Calls(lambda x: x * (draw() > 0.5))
    before = random.getstate(), np.random.get_state()[2]
    assert_refused("generator of torch, Python or", model, torch.ones(6, 4))
    assert (random.getstate(), np.random.get_state()[2]) == before
    drawn(model, torch.ones(6, 4), on_unreached="ignore")


def seeded_operators():
    """The names of torch's operators that draw."""
    names = set()
    for name in dir(torch.ops.aten):
        packet = getattr(torch.ops.aten, name)
        for overload in getattr(packet, "overloads", list)():
            if torch.Tag.nondeterministic_seeded in getattr(packet, overload).tags:
                names.add(name)
    return names


def test_every_function_of_torch_that_draws_is_known():
    """By torch's own tags; only a GPU's own recurrent layer is called by none of torch's code."""
    names = seeded_operators()
    assert len(names) > 30
    missing = {
        name
        for functions in get_overridable_functions().values()
        for function in functions
        if (name := getattr(function, "__name__", "")) in names and function not in HANDLERS
    }
    assert missing <= {"miopen_rnn"}


def test_torchs_functions_are_as_they_were():
    """Attention runs as a copy with other globals."""
    code = torch_F.multi_head_attention_forward
    assert isinstance(code, types.FunctionType)
    assert code.__globals__["dropout"] is torch_F.dropout
    assert code.__globals__["scaled_dot_product_attention"] is torch_F.scaled_dot_product_attention


def test_a_call_that_lacks_an_argument_has_the_error_of_the_function():
    assert_refused("training", Calls(lambda x: F.drop_path(x, 0.5)), X, error=TypeError)


# --- What a call counts and gives ----------------------------------------------------------------

DROPS_NOTHING = {
    "p=0": lambda x: torch_F.dropout(x, 0.0),
    "p=0, an integer": lambda x: torch_F.dropout(x, 0),
    "attention without dropout": lambda x: torch_F.scaled_dot_product_attention(x, x, x),
    "ours at 0": lambda x: F.dropout(x, 0),
    "our drop path at 0": lambda x: F.drop_path(x, 0.0, True),
    "not training": lambda x: torch_F.dropout(x, 0.3, False),
    "not training by default": lambda x: torch_F.alpha_dropout(x, 0.3),
    "torch.dropout": lambda x: torch.dropout(x, 0.3, False),
    "ours, not training": lambda x: F.dropout(x, 0.3, False),
    "our alpha, not training": lambda x: F.alpha_dropout(x, 0.3),
}


@pytest.mark.parametrize("name", DROPS_NOTHING)
def test_a_call_that_drops_nothing_counts(name):
    """So that the draws after it have the same key, whatever its p and the mode."""
    call = DROPS_NOTHING[name]
    with td.keyed(Calls(lambda x: (call(x), torch_F.dropout(x, 0.5))), **SCOPE) as scope:
        _, found = scope.model(X)
    key = scope.key_of(td.models.scope.SiteId("", 1))
    assert torch.equal(found, F.dropout(X, 0.5, key=key))


SHOWN = {
    "rrelu in eval": torch_F.rrelu,
    "rrelu in eval, said": lambda x: torch_F.rrelu(x, 0.1, 0.3, False),
    "pooling with its samples": lambda x: torch_F.fractional_max_pool2d(
        MAPS, 2, 2, _random_samples=torch.full((8, 3, 2), 0.5)
    ),
}


@pytest.mark.parametrize("name", SHOWN)
def test_a_function_that_does_not_draw_by_its_arguments(name):
    assert torch.equal(drawn(Calls(SHOWN[name]), X), SHOWN[name](X))


def in_scope(call):
    return drawn(Calls(lambda x: call()), X)


@pytest.mark.parametrize(
    ("dtype", "digits"), [(torch.float64, 24), (torch.float16, 11), (torch.bfloat16, 8)]
)
def test_uniform_numbers_have_the_digits_of_their_dtype(dtype, digits):
    u = in_scope(lambda: torch.rand(4096, dtype=dtype))
    assert u.dtype == dtype
    steps = u.double() * 2.0**digits
    assert torch.equal(steps, steps.round())
    assert u.double().max() < 1
    assert len(u.unique()) > (4000 if digits > 20 else 100)


def test_numbers_written_into_a_tensor_or_with_a_gradient():
    out = torch.zeros(3)
    assert in_scope(lambda: torch.rand(3, out=out)) is out
    assert out.any()
    assert in_scope(lambda: torch.randn(3, requires_grad=True)).requires_grad
    assert not in_scope(lambda: torch.randn(3)).requires_grad
