"""What draws in torch's way is given keys: functions, attention, recurrent layers, numbers."""

import inspect
import math
import random
import types

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn
from torch.nn import functional as torch_F
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence, pad_packed_sequence
from torch.overrides import get_overridable_functions

import torchdropout as td
from keyed_parts import SCOPE, Calls, assert_parts
from torchdropout import functional as F
from torchdropout.errors import SiteError
from torchdropout.functional._part import Axis, Part
from torchdropout.models.scope import _keyed
from torchdropout.models.scope._handlers import (
    _DROPOUTS,
    HANDLERS,
    _bound,
    _digits,
    _with_parts,
    injected,
    new_watcher,
)

X = torch.ones(8, 6, 10)
MAPS = torch.ones(8, 3, 6, 5)
VOLUMES = torch.ones(8, 3, 4, 3, 2)

DROPOUTS = {
    "F.dropout": lambda x: torch_F.dropout(x, 0.4),
    "F.dropout by name": lambda x: torch_F.dropout(input=x, p=0.4, training=True),
    "F.dropout in place": lambda x: torch_F.dropout(x * 1, 0.4, True, True),
    "F.dropout1d": lambda x: torch_F.dropout1d(x, 0.4),
    "F.dropout by default": lambda x: torch_F.dropout(x),
    "F.dropout1d by default": lambda x: torch_F.dropout1d(x),
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


def test_a_copy_of_a_function_has_all_of_its_defaults():
    def function(x, y=2, *, z=3):
        return x, y, z

    assert _with_parts(function, new_watcher())(1) == (1, 2, 3)


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


def test_attention_without_dropout_is_torchs():
    x = rows(2, 3, 4)
    model = Calls(lambda x: torch_F.scaled_dot_product_attention(x, x, x))
    with td.keyed(model, **SCOPE):
        assert torch.equal(model(x), torch_F.scaled_dot_product_attention(x, x, x))


@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_multi_head_attention(need_weights, batch_first):
    layer = nn.MultiheadAttention(12, 3, 0.4, batch_first=batch_first)
    model = Calls(lambda m, x: m(x, x, x, need_weights=need_weights)[0], layer)
    x = rows(8, 6, 12) if batch_first else rows(6, 8, 12)
    assert_parts(model, x, dim=0 if batch_first else 1, exact=False)


def test_dropped_weights_of_multi_head_attention():
    """They are zero at the same places for the whole and for a part."""
    layer = nn.MultiheadAttention(12, 3, 0.4, batch_first=True)
    model = Calls(lambda m, x: m(x, x, x, average_attn_weights=False)[1], layer)
    found = assert_parts(model, rows(8, 6, 12), exact=False)
    assert 0.3 < (found == 0).double().mean() < 0.5


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
    with td.keyed(layer, **SCOPE):
        found = layer(rows(8, 7, 4))
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
        with td.keyed(layer, **SCOPE, **scope):
            return pad_packed_sequence(layer(packed)[0], total_length=7)[0]

    parts = [run(s, e, batch=(s, 8)) for s, e in ((0, 3), (3, 4), (4, 8))]
    torch.testing.assert_close(torch.cat(parts, 1), run(0, 8), rtol=1e-5, atol=1e-5)


def test_a_packed_sequence_has_2_to_the_40_indices_for_each_sample():
    """As section 8 of the contract says: within them row-major over step and feature."""
    layer = nn.LSTM(10, 4, 2, dropout=0.4)
    packed = pack_padded_sequence(X.transpose(0, 1), torch.tensor([6, 5, 5, 3, 2, 2, 1, 1]))
    (draw,) = noted(lambda: layer(packed))[0].draws
    y = draw.compute(ones(25, 4), key=td.Key(5), layout=Part(Axis(1, 1), 3))
    layout = td.MaskLayout(3 << 40, (4, 1 << 40, 1))
    mask = td.keep_mask((6, 8, 4), 0.4, key=td.Key(5), layout=layout)
    expected = pack_padded_sequence(mask.float(), pad_packed_sequence(packed)[1]).data
    assert torch.equal(y != 0, expected != 0)


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
        size = (n,)
        return (
            torch.rand(size, dtype=dtype),
            torch.randn(size, dtype=dtype),
            torch.empty(size, dtype=dtype).bernoulli_(0.3),
            torch.empty(size, dtype=dtype).uniform_(-2, 6),
            torch.empty(size, dtype=dtype).normal_(3, 0.5),
        )

    model = Calls(draw)
    with td.keyed(model, **SCOPE):
        found = model(torch.ones(2))
    assert {y.dtype for y in found} == {dtype}
    u, e, kept, wide, moved = (y.double() for y in found)
    assert u.min() >= 0
    assert u.max() < 1
    assert abs(kept.mean() - 0.3) < 6 * math.sqrt(0.3 * 0.7 / n)
    assert set(kept.tolist()) == {0.0, 1.0}
    # A dtype of few digits has steps, which the test would see: half a step is added.
    step = torch.finfo(dtype).eps / 2 if dtype in (torch.float16, torch.bfloat16) else 0.0
    noise = torch.rand(n, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert stats.kstest((u + noise * step).numpy(), "uniform").pvalue > 1e-4
    if step == 0:
        assert stats.kstest(e.numpy(), "norm").pvalue > 1e-4
        assert stats.kstest(((wide + 2) / 8).numpy(), "uniform").pvalue > 1e-4
        assert stats.kstest(((moved - 3) * 2).numpy(), "norm").pvalue > 1e-4
    for y in (e, (moved - 3) * 2):
        assert abs(y.mean()) < 6 / math.sqrt(n) + 0.01 * (step > 0)
        assert abs(y.std() - 1) < 6 / math.sqrt(2 * n) + 0.01 * (step > 0)


def test_what_has_a_generator_is_left_alone():
    def draw(x):
        generator = torch.Generator().manual_seed(3)
        return torch.stack(
            (
                torch.rand(4, generator=generator),
                torch.empty(4).bernoulli_(0.5, generator=generator),
                torch.bernoulli(torch.full((4,), 0.5), generator=generator),
                torch.empty(4).uniform_(generator=generator),
                torch.empty(4).normal_(generator=generator),
                torch.randint(9, (4,), generator=generator).float(),
                td.functional.dropout(torch.ones(4), 0.5, generator=generator),
            )
        )

    model = Calls(draw)
    with td.keyed(model, **SCOPE):
        assert torch.equal(model(torch.ones(2)), draw(None))


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
    with td.keyed(model, **SCOPE), pytest.raises(SiteError, match=f"got _?{name.split()[0]}"):
        model(X)
    with td.keyed(model, on_unreached="ignore", **SCOPE):
        model(X)
    with td.keyed(model, on_unreached="warn", **SCOPE) as scope:
        with pytest.warns(RuntimeWarning, match="can be given a key") as caught:
            model(X)
        assert [each.filename for each in caught] == [_keyed.__file__]  # filters name the package
        model(X)  # once a scope
    assert scope is not None


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_what_no_function_shows_is_noticed():
    """Scripted code calls no function that a mode sees."""
    model = nn.Sequential(nn.Linear(4, 4), torch.jit.script(nn.Dropout(0.5)))
    with td.keyed(model, **SCOPE), pytest.raises(SiteError, match="in a way that no function"):
        model(torch.ones(6, 4))
    with td.keyed(model, on_unreached="ignore", **SCOPE):
        model(torch.ones(6, 4))


@pytest.mark.parametrize("draw", [random.random, np.random.rand], ids=["Python", "NumPy"])
def test_a_generator_that_is_not_torchs_is_noticed_and_put_back(draw):
    """Models of speech in transformers use one for a spectrogram's masks."""
    model = Calls(lambda x: x * (draw() > 0.5))
    before = random.getstate(), np.random.get_state()[2]
    with td.keyed(model, **SCOPE), pytest.raises(SiteError, match="generator of torch, Python or"):
        model(torch.ones(6, 4))
    assert (random.getstate(), np.random.get_state()[2]) == before
    with td.keyed(model, on_unreached="ignore", **SCOPE):
        model(torch.ones(6, 4))


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
    with (
        td.keyed(Calls(lambda x: F.drop_path(x, 0.5)), seed=0) as scope,
        pytest.raises(TypeError, match="training"),
    ):
        scope.model(torch.ones(4, 3))


# --- How each call is described -------------------------------------------------------------------


class Notes:
    """A scope that notes the draws, and gives each the same key."""

    resumed = None

    def __init__(self, forced):
        self.forced = forced
        self.draws, self.missed, self.hidden = [], [], []

    def answer(self, site, draw):
        self.draws.append(draw)
        return draw.finished(draw.compute(*draw.tensors, key=td.Key(5), layout=Part(None, 0)))

    def unreached(self, site, name):
        self.missed.append(name)

    def unseen(self, name):
        self.hidden.append(name)

    def owned(self, site, name, generator):
        pass


def noted(call, forced=False):
    """What a scope notes of a call, how many draws were counted, and the result."""
    watcher = new_watcher()
    watcher.scope = scope = Notes(forced)
    watcher.frames[:] = ["m"]
    watcher.observe()
    try:
        y = call()
    finally:
        watcher.stop()
    return scope, watcher.counts.get("m", 0), y


def ones(*shape, dtype=torch.float32):
    return torch.ones(shape, dtype=dtype)


HALVES, GENERATOR = torch.full((2, 3, 4), 0.5), torch.Generator()
LAYERS = nn.LSTM(4, 4, 2, dropout=0.3)
ALIGNED, RATED, INPLACE, PLAIN = "aligned", "rated", "inplace", "plain"
PASSES, MEAN, FINISH = "passes", "mean", "finish"
DROPOUT = {ALIGNED, RATED, MEAN}
FILLED = {ALIGNED, FINISH}

DESCRIBED = {
    "dropout": (lambda: torch_F.dropout(HALVES, 0.3), "dropout", 0.3, DROPOUT | {PLAIN}, 0),
    "dropout, defaults": (lambda: torch_F.dropout(HALVES), "dropout", 0.5, DROPOUT | {PLAIN}, 0),
    "dropout, by name": (
        lambda: torch_F.dropout(input=HALVES, p=0.3, training=True, inplace=False),
        *("dropout", 0.3, DROPOUT | {PLAIN}, 0),
    ),
    "dropout in place": (
        lambda: torch_F.dropout(HALVES.clone(), 0.3, True, True),
        *("dropout", 0.3, DROPOUT | {INPLACE}, 0),
    ),
    "dropout1d": (lambda: torch_F.dropout1d(HALVES, 0.3), "dropout1d", 0.3, DROPOUT, None),
    "alpha": (
        lambda: torch_F.alpha_dropout(HALVES, 0.3, True),
        *("alpha_dropout", 0.3, DROPOUT, 0),
    ),
    "feature alpha": (
        lambda: torch_F.feature_alpha_dropout(HALVES, training=True),
        *("feature_alpha_dropout", 0.5, DROPOUT, None),
    ),
    "torch.dropout": (
        lambda: torch.dropout(HALVES, p=0.3, train=True),
        *("dropout", 0.3, DROPOUT | {PLAIN}, 0),
    ),
    "torch.dropout_": (
        lambda: torch.dropout_(HALVES.clone(), 0.3, True),
        *("dropout", 0.3, DROPOUT | {INPLACE}, 0),
    ),
    "attention": (
        lambda: torch_F.scaled_dot_product_attention(HALVES, HALVES, HALVES, dropout_p=0.3),
        *("scaled_dot_product_attention", 0.3, {ALIGNED, RATED, MEAN, PASSES}, 2),
    ),
    "bernoulli of a number": (
        lambda: torch.bernoulli(HALVES, 0.25),
        *("bernoulli", 0.75, {ALIGNED, MEAN}, 0),
    ),
    "bernoulli by name": (
        lambda: HALVES.bernoulli(p=0.25),
        *("bernoulli", 0.75, {ALIGNED, MEAN}, 0),
    ),
    "bernoulli of a tensor": (
        lambda: torch.bernoulli(HALVES),
        *("bernoulli", HALVES, {ALIGNED, MEAN}, None),
    ),
    "bernoulli_": (
        lambda: HALVES.clone().bernoulli_(),
        *("bernoulli", 0.5, {ALIGNED, MEAN, FINISH}, 0),
    ),
    "bernoulli into": (
        lambda: torch.bernoulli(HALVES, out=ones(2, 3, 4)),
        *("bernoulli", HALVES, {ALIGNED, MEAN, FINISH}, None),
    ),
    "rand": (lambda: torch.rand(2, 3), "rand", None, FILLED, 0),
    "randn": (lambda: torch.randn(2, 3), "randn", None, FILLED | {MEAN}, 0),
    "rand_like": (lambda: torch.rand_like(HALVES), "rand", None, FILLED, 0),
    "uniform_": (lambda: HALVES.clone().uniform_(), "rand", None, FILLED, 0),
    "normal_": (lambda: HALVES.clone().normal_(), "randn", None, FILLED | {MEAN}, 0),
    "our dropout": (lambda: F.dropout(HALVES, 0.3), "dropout", 0.3, DROPOUT | {PLAIN}, 0),
    "our dropout in place": (
        lambda: F.dropout(HALVES.clone(), 0.3, inplace=True),
        *("dropout", 0.3, DROPOUT | {INPLACE}, 0),
    ),
    "our dropout, shared": (
        lambda: F.dropout(HALVES, 0.3, broadcast_dims=(1,)),
        *("dropout", 0.3, DROPOUT, None),
    ),
    "our dropout, rates": (
        lambda: F.dropout(HALVES, HALVES),
        *("dropout", HALVES, DROPOUT | {PLAIN}, None),
    ),
    "our dropout into": (
        lambda: F.dropout(HALVES, 0.3, out=ones(2, 3, 4)),
        *("dropout", 0.3, {RATED, MEAN}, 0),
    ),
    "our noise": (
        lambda: F.gaussian_noise(HALVES, 0.3),
        *("gaussian_noise", None, {ALIGNED, MEAN}, 0),
    ),
    "our alpha": (
        lambda: F.alpha_dropout(HALVES, 0.3, True),
        *("alpha_dropout", 0.3, DROPOUT, 0),
    ),
    "a mask": (lambda: F.keep_mask((2, 3), 0.3), "keep_mask", 0.3, set(), None),
    "between layers": (lambda: LAYERS(HALVES)[0], "dropout", 0.3, DROPOUT | {PLAIN}, 0),
    "between layers of a packed sequence": (
        lambda: LAYERS(pack_sequence(list(HALVES)))[0].data,
        *("dropout", 0.3, {RATED, MEAN}, None),
    ),
}


@pytest.mark.parametrize("name", DESCRIBED)
def test_how_a_draw_is_described(name):
    call, kind, p, how, inner = DESCRIBED[name]
    scope, count, y = noted(call)
    (draw,) = scope.draws
    assert (draw.kind, count, scope.missed) == (kind, 1, [])
    assert torch.equal(draw.p, p) if isinstance(p, torch.Tensor) else draw.p == p
    properties = DROPOUT | FILLED | {INPLACE, PLAIN, PASSES}
    assert {name for name in properties if getattr(draw, name)} == how
    assert draw.inner == inner
    assert torch.equal(noted(call)[2], y)


SKIPPED = {
    "p=0": lambda: torch_F.dropout(HALVES, 0.0),
    "p=0, an integer": lambda: torch_F.dropout(HALVES, 0),
    "attention without dropout": lambda: torch_F.scaled_dot_product_attention(
        HALVES, HALVES, HALVES
    ),
    "our dropout at 0": lambda: F.dropout(HALVES, 0),
    "our drop path at 0": lambda: F.drop_path(HALVES, 0.0, True),
}
OF_MODE = {
    "not training": lambda: torch_F.dropout(HALVES, 0.3, False),
    "not training by default": lambda: torch_F.alpha_dropout(HALVES, 0.3),
    "torch.dropout": lambda: torch.dropout(HALVES, 0.3, False),
    "ours": lambda: F.dropout(HALVES, 0.3, False),
    "our alpha": lambda: F.alpha_dropout(HALVES, 0.3),
}


@pytest.mark.parametrize("name", [*SKIPPED, *OF_MODE])
@pytest.mark.parametrize("forced", [False, True])
def test_a_call_that_drops_nothing_has_a_number(name, forced):
    """So that the draws after it have the same, whatever its p and the mode."""
    scope, count, y = noted({**SKIPPED, **OF_MODE}[name], forced)
    assert count == 1
    assert len(scope.draws) == (forced and name in OF_MODE)
    assert scope.draws or torch.equal(y, HALVES)


LEFT_ALONE = {
    "bernoulli": lambda: torch.bernoulli(HALVES, generator=GENERATOR),
    "bernoulli_": lambda: HALVES.clone().bernoulli_(generator=GENERATOR),
    "rand": lambda: torch.rand(2, generator=GENERATOR),
    "uniform_": lambda: HALVES.clone().uniform_(generator=GENERATOR),
    "normal_": lambda: HALVES.clone().normal_(generator=GENERATOR),
    "randint": lambda: torch.randint(3, (2,), generator=GENERATOR),
    "ours with a key": lambda: F.dropout(HALVES, 0.3, key=td.Key(3)),
    "ours with a generator": lambda: F.dropout(HALVES, 0.3, generator=GENERATOR),
    "ours with a layout": lambda: F.dropout(HALVES, 0.3, layout=td.MaskLayout.of((2, 3, 4))),
    "a mask with a key": lambda: F.keep_mask((2,), 0.3, key=td.Key(3)),
    "a mask with a generator": lambda: F.keep_mask((2,), 0.3, generator=GENERATOR),
    "attention with a key": lambda: F.scaled_dot_product_attention(
        HALVES, HALVES, HALVES, dropout_p=0.3, dropout_key=td.Key(3)
    ),
    "rrelu in eval": lambda: torch_F.rrelu(HALVES),
    "rrelu in eval, said": lambda: torch_F.rrelu(HALVES, 0.1, 0.3, False),
    "pooling with its samples": lambda: torch_F.fractional_max_pool2d(
        ones(1, 1, 4, 4), 2, 2, _random_samples=torch.full((1, 1, 2), 0.5)
    ),
}


@pytest.mark.parametrize("name", LEFT_ALONE)
def test_what_does_not_draw_from_the_scope(name):
    scope, count, _ = noted(LEFT_ALONE[name])
    assert (scope.draws, scope.missed, count) == ([], [], 0)


REPORTED = {
    "randint": lambda: torch.randint(3, (2,)),
    "multinomial": lambda: ones(3).multinomial(1),
    "poisson": lambda: torch.poisson(HALVES),
    "exponential_": lambda: HALVES.clone().exponential_(),
    "rrelu": lambda: torch_F.rrelu(HALVES, training=True),
    "rrelu ": lambda: torch_F.rrelu(HALVES, 0.1, 0.3, True),
    "rand": lambda: torch.rand(2, dtype=torch.complex64),
}


@pytest.mark.parametrize("name", REPORTED)
def test_what_draws_and_gets_no_key(name):
    scope, count, _ = noted(REPORTED[name])
    assert (scope.draws, scope.missed, count) == ([], [name.strip()], 1)


@pytest.mark.parametrize(
    ("dtype", "digits"),
    [(torch.float32, 24), (torch.float64, 53), (torch.float16, 11), (torch.bfloat16, 8)],
)
def test_uniform_numbers_have_the_digits_of_their_dtype(dtype, digits):
    assert _digits(dtype) == digits
    u = noted(lambda: torch.rand(4096, dtype=dtype))[2]
    assert u.dtype == dtype
    steps = u.double() * 2.0 ** min(24, digits)
    assert torch.equal(steps, steps.round())
    assert 0 <= u.min() < 0.01
    assert 0.99 < u.double().max() < 1
    assert abs(u.double().mean() - 0.5) < 0.03
    assert len(u.unique()) > (4000 if digits > 20 else 100)


@pytest.mark.parametrize(
    ("fill", "mean", "spread"),
    [
        (lambda x: x.uniform_(2, 4), 3.0, 1 / 3**0.5),
        (lambda x: x.uniform_(**{"from": 2, "to": 4}), 3.0, 1 / 3**0.5),
        (lambda x: nn.init.uniform_(x, -1, 1), 0.0, 1 / 3**0.5),
        (lambda x: x.normal_(3, 0.5), 3.0, 0.5),
        (lambda x: nn.init.normal_(x, std=2.0), 0.0, 2.0),
        (lambda x: x.copy_(torch.randn(4096)), 0.0, 1.0),
        (lambda x: x.bernoulli_(0.25), 0.25, 0.1875**0.5),
    ],
)
def test_the_range_of_numbers(fill, mean, spread):
    x = torch.zeros(4096)
    y = noted(lambda: fill(x))[2]
    assert y is x
    assert abs(float(x.mean()) - mean) < 0.1 * spread
    assert abs(float(x.std()) / spread - 1) < 0.1


def test_numbers_written_into_a_tensor_or_with_a_gradient():
    out = torch.zeros(3)
    y = noted(lambda: torch.rand(3, out=out))[2]
    assert y is out
    assert out.any()
    assert noted(lambda: torch.randn(3, requires_grad=True))[2].requires_grad
    assert not noted(lambda: torch.randn(3))[2].requires_grad


@pytest.mark.parametrize("function", [f for f in _DROPOUTS if f.__module__ == torch_F.__name__])
def test_the_defaults_are_torchs(function):
    _, *parameters = inspect.signature(function).parameters.values()
    assert _DROPOUTS[function][1] == tuple(p.default for p in parameters)


@pytest.mark.parametrize(
    ("args", "kwargs", "expected"),
    [
        ((1,), {}, (1, 0.5, True, False)),
        ((1, 0.3), {}, (1, 0.3, True, False)),
        ((1, 0.3, False, True), {}, (1, 0.3, False, True)),
        ((), {"input": 1, "inplace": True}, (1, 0.5, True, True)),
        ((1,), {"p": 0.3, "train": False}, (1, 0.3, False, False)),
    ],
)
def test_arguments_of_torchs_dropouts(args, kwargs, expected):
    assert _bound((0.5, True, False), args, kwargs) == expected


@pytest.mark.parametrize(
    ("module", "names"),
    [
        (td.nn.MultiheadAttention(4, 2, dropout=0.5), ("dropout_key", "layout")),
        (td.nn.LayerDrop(nn.ReLU(), 0.5), ("dropout_key", None)),
        (td.nn.WeightDrop(nn.Linear(2, 2), 0.5, "weight"), ("dropout_key", None)),
        (td.nn.LSTM(2, 2, recurrent_dropout=0.5), ("key", "batch_start")),
        (td.nn.GRU(2, 2, recurrent_dropout=0.5), ("key", "batch_start")),
        (td.nn.EmbeddingDropout(nn.Embedding(2, 2), 0.5), ("key", None)),
        (nn.LSTM(2, 2), "_note_order"),
        (nn.Dropout(0.5), None),
        (td.nn.Dropout(0.5), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_modules_that_get_a_key(module, names):
    hook = injected(module)
    if names is None:
        assert hook is None
    elif isinstance(names, str):
        assert hook.__name__ == names
    else:
        assert hook.args == names


MEANS = {
    "dropout": lambda: HALVES,
    "alpha": lambda: HALVES,
    "attention": lambda: torch_F.scaled_dot_product_attention(HALVES, HALVES, HALVES),
    "bernoulli of a number": lambda: HALVES / 2,
    "bernoulli of a tensor": lambda: HALVES,
    "bernoulli_": lambda: HALVES,
    "randn": lambda: torch.zeros(2, 3),
    "our dropout": lambda: HALVES,
    "our noise": lambda: HALVES,
}


@pytest.mark.parametrize("name", MEANS)
def test_the_mean_of_a_draw(name):
    (draw,) = noted(DESCRIBED[name][0])[0].draws
    assert torch.equal(draw.mean(*draw.tensors), MEANS[name]())


@pytest.mark.parametrize(
    ("name", "hidden"),
    [("torch.dropout_", ["dropout_"]), ("rand_like", ["rand_like"]), ("torch.dropout", [])],
)
def test_what_a_compiler_hides_is_noted(name, hidden):
    assert noted(DESCRIBED[name][0])[0].hidden == hidden


@pytest.mark.parametrize(
    ("args", "kwargs", "draws"),
    [
        ((), {}, False),
        ((0.1, 0.3), {}, False),
        ((0.1, 0.3, True), {}, True),
        ((0.1, 0.3, False), {}, False),
        ((), {"training": True}, True),
        ((), {"training": False}, False),
    ],
)
def test_rrelu_by_its_arguments(args, kwargs, draws):
    """As in compiled code, where a call has the arguments that it was written with."""
    watcher = new_watcher()
    watcher.scope = scope = Notes(False)
    watcher.frames[:] = ["m"]
    HANDLERS[torch_F.rrelu](watcher, torch_F.rrelu, HALVES, *args, **kwargs)
    assert scope.missed == ["rrelu"] * draws


@pytest.mark.filterwarnings("ignore:dropout option adds dropout")
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize(
    ("layers", "p", "training", "forced", "draws"),
    [
        (1, 0.5, True, False, 0),
        (2, 0.5, True, False, 1),
        (3, 0.5, True, False, 2),
        (3, 0.0, True, True, 0),
        (2, 0.5, False, False, 0),
        (2, 0.5, False, True, 1),
    ],
)
def test_draws_between_recurrent_layers(kind, layers, p, training, forced, draws):
    layer = getattr(nn, kind)(4, 4, layers, dropout=p).train(training)
    scope, count, (y, _) = noted(lambda: layer(HALVES), forced)
    assert [(draw.kind, draw.p) for draw in scope.draws] == [("dropout", p)] * draws
    assert count == max(draws, 1)
    assert y.shape == (2, 3, 4)
    if not draws:
        assert torch.equal(y, layer.eval()(HALVES)[0])
