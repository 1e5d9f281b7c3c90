"""Every function and module of this library in a scope: the draws of the whole, for its parts."""

import pytest
import torch

import family
import torchdropout as td
from keyed_parts import SCOPE, Calls, assert_parts
from torchdropout import functional as F
from torchdropout import nn

X = torch.linspace(0.5, 2.0, 8 * 6 * 12).view(8, 6, 12)


def volumes(x):
    return x.reshape(-1, 2, 2, 3, 6)


FUNCTIONS = {
    "alpha_dropout": lambda x: F.alpha_dropout(x, 0.4, True),
    "column_dropout": lambda x: F.column_dropout(x, 0.4),
    "concrete_dropout": lambda x: F.concrete_dropout(x, torch.tensor(0.3), temperature=1.0),
    "drop_block1d": lambda x: F.drop_block1d(x, 0.3, 3),
    "drop_block2d": lambda x: F.drop_block2d(x[:, None], 0.3, 2, scale="count"),
    "drop_block3d": lambda x: F.drop_block3d(volumes(x), 0.2, 2),
    "drop_connect": lambda x: x * F.drop_connect(torch.ones(12), 0.4),
    "drop_path": lambda x: F.drop_path(x, 0.4, True),
    "dropout": lambda x: F.dropout(x, 0.4),
    "dropout1d": lambda x: F.dropout1d(x, 0.4),
    "dropout2d": lambda x: F.dropout2d(x[:, None].expand(-1, 3, -1, -1), 0.4),
    "dropout3d": lambda x: F.dropout3d(volumes(x), 0.4),
    "dropout_add": lambda x: F.dropout_add(x, x * 2, 0.4, bias=torch.ones(12)),
    "embedding_dropout": lambda x: F.embedding_dropout(
        torch.arange(6).expand(len(x), 6), torch.ones(6, 4), 0.4
    ),
    "feature_alpha_dropout": lambda x: F.feature_alpha_dropout(x, 0.4, True),
    "feature_gaussian_dropout": lambda x: F.feature_gaussian_dropout(x, 0.4),
    "gaussian_dropout": lambda x: F.gaussian_dropout(x, 0.4),
    "gaussian_noise": lambda x: F.gaussian_noise(x, 0.4),
    "keep_mask": lambda x: F.keep_mask(x.shape, 0.4),
    "locked_dropout": lambda x: F.locked_dropout(x, 0.4),
    "multi_sample_dropout": lambda x: F.multi_sample_dropout(x, 0.4, 3).transpose(0, 1),
    "n_m_dropout": F.n_m_dropout,
    "r_drop": lambda x: F.r_drop(F.dropout(x, 0.4), F.dropout(x, 0.4), reduction="none"),
    "scaled_dot_product_attention": lambda x: F.scaled_dot_product_attention(
        x, x, x, dropout_p=0.4
    ),
    "token_dropout": F.token_dropout,
    "uniform_dropout": lambda x: F.uniform_dropout(x, 0.8),
    "variational_conv2d": lambda x: F.variational_conv2d(
        x[:, None], torch.ones(3, 1, 2, 2), torch.zeros(3, 1, 2, 2)
    ),
    "variational_dropout": lambda x: F.variational_dropout(x, x * 0.1),
    "variational_linear": lambda x: F.variational_linear(x, torch.ones(5, 12), torch.zeros(5, 12)),
    "zoneout": lambda x: F.zoneout(x, x.cos(), 0.4),
}
# What computes more than a mask: a product, torch's exp.
ROUNDED = {"r_drop", "concrete_dropout", "scaled_dot_product_attention"} | {
    name for name in FUNCTIONS if name.startswith("variational")
}
FORMS = {
    "rates": lambda x: F.dropout(x, torch.linspace(0.1, 0.8, 12)),
    "a rate for each sample": lambda x: F.dropout(x, torch.full((len(x), 1, 1), 0.3)),
    "shared by samples": lambda x: F.dropout(x, 0.4, broadcast_dims=(0,)),
    "shared by positions": lambda x: F.dropout(x, 0.4, broadcast_dims=(1,)),
    "out": lambda x: F.dropout(x, 0.4, out=torch.empty_like(x)),
    "in place": lambda x: F.dropout(x * 1, 0.4, inplace=True),
    "time first": lambda x: F.dropout(x.transpose(0, 1), 0.4).transpose(0, 1),
    "windows": lambda x: F.dropout(x.reshape(-1, 3, 12), 0.4).view(-1, 6, 12),
}


def test_all_functions():
    own = {name for name in vars(F) if not name.startswith("_") and callable(getattr(F, name))}
    assert own == set(FUNCTIONS)


@pytest.mark.parametrize("name", [*FUNCTIONS, *FORMS])
def test_functions(name):
    assert_parts(Calls({**FUNCTIONS, **FORMS}[name]), X, exact=name not in ROUNDED)


MODULES = {
    **{name: (make, lambda m, x: m(x * 1)) for name, make in family.IDENTITIES.items()},
    "MultiheadAttention": (
        lambda: nn.MultiheadAttention(12, 2, dropout=0.4, batch_first=True),
        lambda m, x: m(x, x, x)[0],
    ),
    "MultiheadAttention, no weights": (
        lambda: nn.MultiheadAttention(12, 2, dropout=0.4, batch_first=True),
        lambda m, x: m(x, x, x, need_weights=False)[0],
    ),
    "LSTM": (
        lambda: nn.LSTM(
            12, 5, 2, batch_first=True, dropout=0.4, input_dropout=0.2, zoneout_cell=0.2
        ),
        lambda m, x: m(x)[0],
    ),
    "GRU": (
        lambda: nn.GRU(12, 5, 2, batch_first=True, dropout=0.4, recurrent_dropout=0.3),
        lambda m, x: m(x)[0],
    ),
    "LayerDrop": (
        lambda: torch.nn.Sequential(
            *(nn.LayerDrop(torch.nn.Tanh(), 0.5) for _ in range(8)),
        ),
        lambda m, x: m(x),
    ),
    "WeightDrop": (
        lambda: nn.WeightDrop(torch.nn.LSTM(12, 5, batch_first=True), 0.5),
        lambda m, x: m(x)[0],
    ),
    "EmbeddingDropout": (
        lambda: nn.EmbeddingDropout(torch.nn.Embedding(9, 4), 0.4),
        lambda m, x: m(torch.arange(9).expand(len(x), 9)),
    ),
    "ConcreteDropout": (lambda: nn.ConcreteDropout(torch.nn.Linear(12, 3)), lambda m, x: m(x)),
    "DropoutAdd": (lambda: nn.DropoutAdd(0.4), lambda m, x: m(x, x)),
    "Zoneout": (lambda: nn.Zoneout(0.4), lambda m, x: m(x, 0 * x)),
    "MultiSampleDropout": (
        lambda: nn.MultiSampleDropout(0.4, torch.nn.Linear(12, 3)),
        lambda m, x: m(x),
    ),
    "VariationalLinear": (lambda: nn.VariationalLinear(12, 3), lambda m, x: m(x)),
    "VariationalConv2d": (lambda: nn.VariationalConv2d(1, 3, 2), lambda m, x: m(x[:, None])),
    "DropBlock3d": (lambda: nn.DropBlock3d(0.2, 2), lambda m, x: m(volumes(x))),
}


def test_all_modules():
    own = {n for n, v in vars(nn).items() if isinstance(v, type)}
    tried = {type(module).__name__ for make, _ in MODULES.values() for module in make().modules()}
    assert own <= tried


@pytest.mark.parametrize("name", MODULES)
def test_modules(name):
    torch.manual_seed(0)
    make, call = MODULES[name]
    x = X
    if name == "Dropout3d":
        x = X.view(8, 2, 2, 3, 6)
    elif name.endswith("2d") and name != "VariationalConv2d":
        x = X.view(8, 2, 6, 6)
    assert_parts(Calls(call, make()), x, exact=False)


def test_a_key_of_the_call_takes_precedence():
    """A mask that is named stays that mask."""
    key = td.Key(3)
    for call in (
        lambda x: F.dropout(x, 0.4, key=key),
        lambda x: F.zoneout(x, 0 * x, 0.4, key=key),
        lambda x: F.scaled_dot_product_attention(x, x, x, dropout_p=0.4, dropout_key=key),
        lambda x: x * F.keep_mask(x.shape, 0.4, key=key),
        lambda x: F.dropout(x, 0.4, key=key, layout=td.MaskLayout.of((16, 6, 12)).at((8, 0, 0))),
    ):
        with td.keyed(Calls(call), **SCOPE) as scope:
            assert torch.equal(scope.model(X), call(X))


def test_a_mask_is_made_on_the_default_device():
    with torch.device("meta"):
        assert F.keep_mask((2, 3), 0.5).device.type == "meta"
    assert F.keep_mask((2, 3), 0.5).device.type == "cpu"


def test_eval_draws_nothing():
    model = torch.nn.Sequential(nn.Dropout(0.5), torch.nn.Dropout(0.5), nn.DropPath(0.5)).eval()
    with td.keyed(model, **SCOPE):
        assert torch.equal(model(X), X)
