"""What a model draws for a whole batch, and for its parts; models that draw."""

import functools
import itertools

import pytest
import torch
from torch.nn import functional as torch_F

import family
import torchdropout as td
import variants
from torchdropout import functional as F
from torchdropout import nn
from torchdropout.errors import SiteError

SCOPE = {"seed": 2**64 - 3, "step": 7}


class Calls(torch.nn.Module):
    """A module of a function, and of modules that it calls."""

    def __init__(self, function, *modules):
        super().__init__()
        self.function = function
        self.inner = torch.nn.ModuleList(modules)

    def forward(self, *args, **kwargs):
        return self.function(*self.inner, *args, **kwargs)


def taken(leaf, dim, start, end):
    return leaf.narrow(dim, start, end - start)


def drawn(model, *args, **scope):
    """The result of a call in a scope of its own."""
    with td.keyed(model, **{**SCOPE, **scope}):
        return model(*args)


def assert_refused(message, model, *args, error=SiteError, **scope):
    """A scope of the model refuses the call."""
    with pytest.raises(error, match=message):
        drawn(model, *args, **scope)


def assert_parts(model, *args, dim=0, cuts=(0, 3, 4, 8), exact=True, **scope):
    """Parts of the batch, in scopes of their own or in one, draw what the whole does.

    Torch's generator is not touched, and another step draws something else.
    """
    state = torch.get_rng_state()
    options = {**SCOPE, **scope, **({"batch_dim": dim} if dim else {})}
    total = args[0].shape[dim]
    bounds = itertools.pairwise(cuts)
    pieces = [tuple(taken(a, dim, s, e) for a in args) for s, e in bounds]
    whole = drawn(model, *args, **options)
    starts = zip(cuts[:-1], pieces, strict=True)
    apart = [drawn(model, *piece, batch=(start, total), **options) for start, piece in starts]
    with td.keyed(model, batch=(0, total), **options):
        together = [model(*piece) for piece in pieces]
    for parts in (apart, together):
        found = torch.cat(parts, dim)
        if exact:
            assert torch.equal(found, whole)
        else:  # a product of other rows rounds in another order
            torch.testing.assert_close(found, whole, rtol=1e-5, atol=1e-5)
    assert not torch.equal(drawn(model, *args, **{**options, "step": options["step"] + 1}), whole)
    assert torch.equal(torch.get_rng_state(), state)
    return whole


# --- Every function and module of this library ---------------------------------------------------

X = torch.linspace(0.5, 2.0, 8 * 6 * 12).view(8, 6, 12)


def volumes(x):
    return x.reshape(-1, 2, 2, 3, 6)


# Functions of one tensor that take `X` as it is need no line of their own.
FUNCTIONS = {
    name: functools.partial(v, p=None)
    for name, v in variants.FUNCTIONS.items()
    if v.function.__name__ == name and len(v.shapes) == 1 and len(v.shapes[0]) > 2
} | {
    "concrete_dropout": lambda x: F.concrete_dropout(x, torch.tensor(0.3), temperature=1.0),
    "drop_block2d": lambda x: F.drop_block2d(x[:, None], 0.3, 2, scale="count"),
    "drop_block3d": lambda x: F.drop_block3d(volumes(x), 0.2, 2),
    "drop_connect": lambda x: x * F.drop_connect(torch.ones(12), 0.4),
    "dropout2d": lambda x: F.dropout2d(x[:, None].expand(-1, 3, -1, -1), 0.4),
    "dropout3d": lambda x: F.dropout3d(volumes(x), 0.4),
    "dropout_add": lambda x: F.dropout_add(x, x * 2, 0.4, bias=torch.ones(12)),
    "embedding_dropout": lambda x: F.embedding_dropout(
        torch.arange(6).expand(len(x), 6), torch.ones(6, 4), 0.4
    ),
    "keep_mask": lambda x: F.keep_mask(x.shape, 0.4),
    "multi_sample_dropout": lambda x: F.multi_sample_dropout(x, 0.4, 3).transpose(0, 1),
    "r_drop": lambda x: F.r_drop(F.dropout(x, 0.4), F.dropout(x, 0.4), reduction="none"),
    "scaled_dot_product_attention": lambda x: F.scaled_dot_product_attention(
        x, x, x, dropout_p=0.4
    ),
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
        lambda: torch.nn.Sequential(*(nn.LayerDrop(torch.nn.Tanh(), 0.5) for _ in range(8))),
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


def input_of(name):
    """`X`, in the number of dimensions that the module of this name takes."""
    if name == "Dropout3d":
        return X.view(8, 2, 2, 3, 6)
    return X.view(8, 2, 6, 6) if name.endswith("2d") and name != "VariationalConv2d" else X


# --- A model of which regions are recomputed -----------------------------------------------------


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(12, 12, dtype=torch.float64)
        self.drop = torch.nn.Dropout(0.4)

    def forward(self, x):
        return x + self.drop(torch.tanh(self.linear(x))) + torch_F.dropout(x, 0.3)


class Net(torch.nn.Module):
    """Its two blocks run twice each, and a function draws after them."""

    def __init__(self, run):
        super().__init__()
        torch.manual_seed(0)
        self.blocks = torch.nn.ModuleList([Block(), Block()])
        self.run = run

    def forward(self, x):
        for block in [*self.blocks, *self.blocks]:
            x = self.run(lambda x, block=block: torch_F.dropout(block(x), 0.2), x)
        return x


def plain(function, x):
    return function(x)
