"""The argument `key` in the call of each module: the mask of the function, and no draw."""

import pytest
import torch
from torch import nn

import torchdropout as td
from torchdropout import functional as F
from torchdropout.errors import ArgumentTypeError

KEY = td.Key(5, 7)
X = torch.randn(4, 6, 8, generator=torch.Generator().manual_seed(0))
IMAGE = X[None].repeat(3, 1, 1, 1)

# For each: how it is made, the arguments of its call, and the function that it is, if there is one.
CASES = {
    "AlphaDropout": (
        lambda: td.nn.AlphaDropout(0.4),
        (X,),
        lambda k: F.alpha_dropout(X, 0.4, True, key=k),
    ),
    "ColumnDropout": (
        lambda: td.nn.ColumnDropout(0.4),
        (X,),
        lambda k: F.column_dropout(X, 0.4, key=k),
    ),
    "ConcreteDropout": (lambda: td.nn.ConcreteDropout(nn.Linear(8, 3)), (X,), None),
    "DropBlock1d": (
        lambda: td.nn.DropBlock1d(0.4, 3),
        (X,),
        lambda k: F.drop_block1d(X, 0.4, 3, key=k),
    ),
    "DropBlock2d": (
        lambda: td.nn.DropBlock2d(0.4, 3),
        (IMAGE,),
        lambda k: F.drop_block2d(IMAGE, 0.4, 3, key=k),
    ),
    "DropBlock3d": (
        lambda: td.nn.DropBlock3d(0.4, 2),
        (IMAGE,),
        lambda k: F.drop_block3d(IMAGE, 0.4, 2, key=k),
    ),
    "DropPath": (lambda: td.nn.DropPath(0.4), (X,), lambda k: F.drop_path(X, 0.4, True, key=k)),
    "Dropout": (lambda: td.nn.Dropout(0.4), (X,), lambda k: F.dropout(X, 0.4, key=k)),
    "Dropout1d": (lambda: td.nn.Dropout1d(0.4), (X,), lambda k: F.dropout1d(X, 0.4, key=k)),
    "Dropout2d": (lambda: td.nn.Dropout2d(0.4), (IMAGE,), lambda k: F.dropout2d(IMAGE, 0.4, key=k)),
    "Dropout3d": (lambda: td.nn.Dropout3d(0.4), (IMAGE,), lambda k: F.dropout3d(IMAGE, 0.4, key=k)),
    "DropoutAdd": (
        lambda: td.nn.DropoutAdd(0.4),
        (X, -X),
        lambda k: F.dropout_add(X, -X, 0.4, key=k),
    ),
    "EmbeddingDropout": (
        lambda: td.nn.EmbeddingDropout(nn.Embedding(9, 4), 0.4),
        (torch.arange(9),),
        None,
    ),
    "FeatureAlphaDropout": (
        lambda: td.nn.FeatureAlphaDropout(0.4),
        (X,),
        lambda k: F.feature_alpha_dropout(X, 0.4, True, key=k),
    ),
    "FeatureGaussianDropout": (
        lambda: td.nn.FeatureGaussianDropout(0.4),
        (X,),
        lambda k: F.feature_gaussian_dropout(X, 0.4, key=k),
    ),
    "GRU": (lambda: td.nn.GRU(8, 3, recurrent_dropout=0.4), (X,), None),
    "GaussianDropout": (
        lambda: td.nn.GaussianDropout(0.4),
        (X,),
        lambda k: F.gaussian_dropout(X, 0.4, key=k),
    ),
    "GaussianNoise": (
        lambda: td.nn.GaussianNoise(0.4),
        (X,),
        lambda k: F.gaussian_noise(X, 0.4, key=k),
    ),
    "LSTM": (lambda: td.nn.LSTM(8, 3, recurrent_dropout=0.4), (X,), None),
    "LayerDrop": (lambda: td.nn.LayerDrop(nn.Linear(8, 8), 0.5), (X,), None),
    "LockedDropout": (
        lambda: td.nn.LockedDropout(0.4),
        (X,),
        lambda k: F.locked_dropout(X, 0.4, key=k),
    ),
    "MultiSampleDropout": (lambda: td.nn.MultiSampleDropout(0.4, nn.Linear(8, 3)), (X,), None),
    "MultiheadAttention": (lambda: td.nn.MultiheadAttention(8, 2, 0.4), (X, X, X), None),
    "NMDropout": (lambda: td.nn.NMDropout(), (X,), lambda k: F.n_m_dropout(X, 2, 4, key=k)),
    "StochasticDepth": (
        lambda: td.nn.StochasticDepth(0.4, "row"),
        (X,),
        lambda k: F.drop_path(X, 0.4, True, key=k),
    ),
    "TokenDropout": (
        lambda: td.nn.TokenDropout(0.4, 0),
        (X,),
        lambda k: F.token_dropout(X, 0.4, key=k),
    ),
    "UniformDropout": (
        lambda: td.nn.UniformDropout(0.4),
        (X,),
        lambda k: F.uniform_dropout(X, 0.4, key=k),
    ),
    "VariationalConv2d": (
        lambda: td.nn.VariationalConv2d(4, 3, 3, init_log_sigma2=0.0),
        (IMAGE,),
        None,
    ),
    "VariationalDropout": (lambda: td.nn.VariationalDropout(0.4), (X,), None),
    "VariationalLinear": (lambda: td.nn.VariationalLinear(8, 3, init_log_sigma2=0.0), (X,), None),
    "WeightDrop": (lambda: td.nn.WeightDrop(nn.LSTM(8, 3), 0.4), (X,), None),
    "Zoneout": (lambda: td.nn.Zoneout(0.4), (X, -X), lambda k: F.zoneout(X, -X, 0.4, key=k)),
}
# Where `key` is another argument of the call, or of a module that gets the call's arguments.
OTHERWISE = ("LayerDrop", "MultiheadAttention", "WeightDrop")


def test_every_module_is_here():
    kinds = {name for name, kind in vars(td.nn).items() if isinstance(kind, type)}
    assert set(CASES) == kinds


def first(output):
    return output[0] if isinstance(output, tuple) else output


@pytest.mark.parametrize("name", CASES)
def test_a_key_names_the_mask_and_nothing_is_drawn(name):
    make, args, function = CASES[name]
    torch.manual_seed(0)
    module = make()
    word = "dropout_key" if name in OTHERWISE else "key"
    before = torch.get_rng_state()
    y = first(module(*args, **{word: KEY}))
    assert torch.equal(y, first(module(*args, **{word: KEY})))
    if function is not None:
        assert torch.equal(y, function(KEY))
    others = [first(module(*args, **{word: td.Key(seed)})) for seed in range(8)]
    assert any(not torch.equal(y, other) for other in others)
    assert torch.equal(torch.get_rng_state(), before)
    for mode in (True, False):
        with pytest.raises(ArgumentTypeError, match=f"`{word}` to be a torchdropout.Key, got"):
            module.train(mode)(*args, **{word: 7})
    at_rest = first(module(*args))
    assert torch.equal(first(module(*args, **{word: KEY})), at_rest)
    assert torch.equal(torch.get_rng_state(), before)


def test_need_weights_does_not_change_the_mask_of_a_key():
    attention = td.nn.MultiheadAttention(8, 2, 0.4)
    y, weights = attention(X, X, X, dropout_key=KEY)
    other, none = attention(X, X, X, need_weights=False, dropout_key=KEY)
    assert torch.allclose(y, other, atol=1e-6)
    assert (weights == 0).any()
    assert none is None


@pytest.mark.parametrize("name", ["Dropout", "Zoneout"])
def test_compiled_a_key_is_an_input_of_the_graph(name):
    make, args, _ = CASES[name]
    module = make()
    torch._dynamo.reset()
    compiled = torch.compile(lambda *a, key: module(*a, key=key), backend="eager", fullgraph=True)
    with torch._dynamo.config.patch(error_on_recompile=True):
        for key in (KEY, td.Key(8), td.Key(2**64 - 1, 3)):
            assert torch.equal(compiled(*args, key=key), module(*args, key=key))


@pytest.mark.parametrize("name", ["Dropout", "DropPath", "EmbeddingDropout"])
def test_traced_itself_a_module_has_the_key_among_its_arguments(name):
    """As the root of a trace `torch.fx` looks inside, and puts a proxy in place of the key."""
    make, args, _ = CASES[name]
    module = make()
    traced = torch.fx.symbolic_trace(module)
    assert torch.equal(traced(*args, key=KEY), module(*args, key=KEY))
    torch.manual_seed(3)
    drawn = module(*args)
    torch.manual_seed(3)
    assert torch.equal(traced(*args), drawn)


def test_traced_itself_in_eval():
    module = CASES["MultiSampleDropout"][0]().eval()
    assert torch.equal(torch.fx.symbolic_trace(module)(X), module(X))
