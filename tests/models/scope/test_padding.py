"""A declared length: the masks of a sample do not depend on how far its batch is padded."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as torch_F

import torchdropout as td
from keyed_parts import SCOPE, Calls, assert_refused, drawn
from torchdropout.errors import SiteError

LENGTHS, L = torch.tensor([5, 3, 7, 4]), 12
X = torch.randn(4, L, 8, generator=torch.Generator().manual_seed(0)).double()
Y = torch.randn(4, L, 8, generator=torch.Generator().manual_seed(1)).double()


class Encoder(nn.Module):
    """Torch's layers, whose weights of attention are dropped as a matrix or within a kernel."""

    def __init__(self, needs_weights):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, 0.3, batch_first=True)
        self.drop = nn.Dropout(0.3)
        self.needs_weights = needs_weights

    def forward(self, x, padding):
        y, _ = self.attention(x, x, x, padding, need_weights=self.needs_weights)
        return self.drop(y) + x


class Decoder(nn.Module):
    """Attention of a target to a source, which have lengths of their own."""

    def __init__(self):
        super().__init__()
        self.own = nn.MultiheadAttention(8, 2, 0.3, batch_first=True)
        self.cross = nn.MultiheadAttention(8, 2, 0.3, batch_first=True)
        self.drop = nn.Dropout(0.3)

    def forward(self, target, source, target_padding, source_padding):
        y, _ = self.own(target, target, target, target_padding)
        z, _ = self.cross(y, source, source, source_padding, need_weights=False)
        return self.drop(y + z)


def folded(drop, x, padding):
    """Positions become rows of their own."""
    return drop(x.reshape(-1, 8)).view(x.shape)


def padding(which, width, less=0):
    return torch.arange(width) >= (LENGTHS[which] - less)[:, None]


def called(model, which, width, more=None, **scope):
    """The results of some samples, padded to a width, without their padding."""
    args = X[which, :width], padding(which, width)
    if more is not None:
        target = Y[which, : width + more], padding(which, width + more, -more)
        args = target[0], args[0], target[1], args[1]
    with torch.no_grad():
        y = drawn(model, *args, sequence=(0, L), **scope)
    return {n: y[row, : int(LENGTHS[n]) + (more or 0)] for row, n in enumerate(which)}


MODELS = {
    "a matrix of weights": (lambda: Encoder(True), None),
    "a kernel": (lambda: Encoder(False), None),
    "rows": (lambda: Calls(folded, nn.Dropout(0.3)), None),
    "two lengths, the target shorter": (Decoder, -1),
    "two lengths, the target longer": (Decoder, 2),
    "two equal lengths": (Decoder, 0),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_sample_has_its_own_draws(name):
    make, more = MODELS[name]
    torch.manual_seed(0)
    model = make().double()
    whole = called(model, [0, 1, 2, 3], 7, more)
    for which, width, scope in (
        ([0, 1, 2, 3], 9, {}),
        ([0, 1], 5, {"batch": (0, 4)}),
        ([2, 3], 8, {"batch": (2, 4)}),
        ([1], 3, {"batch": (1, 4)}),
        ([3, 1], 6, {"samples": [3, 1]}),
    ):
        for n, y in called(model, which, width, more, **scope).items():
            torch.testing.assert_close(y, whole[n])


def test_the_index_counts_positions_in_the_length():
    """`sample * size + place`, where `size` and `place` have the queries and keys of it."""

    def weights(x):
        n, length, _ = x.shape
        zeros = torch.zeros(n, 2, length, 4, dtype=x.dtype)
        unit = torch.eye(length, dtype=x.dtype).expand(n, 2, -1, -1)
        return torch_F.scaled_dot_product_attention(zeros, zeros, unit, dropout_p=0.5)

    model = Calls(weights)
    with td.keyed(model, sequence=(0, L), batch=(3, 9), **SCOPE) as scope:
        kept = model(X[:, :5]) != 0
        key = scope.key_of(td.models.scope.SiteId("", 0))
    whole = td.keep_mask((9, 2, L, L), 0.5, key=key)
    assert torch.equal(kept, whole[3:7, :, :5, :5])


def test_other_lengths_without_one():
    """One warning of the model, where draws depend on it."""
    model = Encoder(True).double()
    drawn(model, X[:, :7], padding(range(4), 7))
    with pytest.warns(RuntimeWarning, match=r"of 7 and of 9 positions: .* sequence=\(0, L\)"):
        drawn(model, X[:, :9], padding(range(4), 9))
    quiet = nn.Sequential(Calls(lambda x: x.mean(1)), nn.Dropout())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for length in (7, 9, 11):
            drawn(model, X[:, :length], padding(range(4), length))
            drawn(quiet, X[:, :length])


def test_rows_of_another_length():
    """Windows of a longer sequence are no other number of rows."""
    model = Calls(lambda drop, x: drop(x.reshape(-1, 8)).view(x.shape), nn.Dropout(0.5))
    with td.keyed(model, batch=(0, 8), **SCOPE), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model(X[:, :6])
        model(X[:, :9])
    whole = drawn(model, X[:, :9])
    assert torch.equal(drawn(model, X[2:, :9], batch=(2, 4)), whole[2:])


def test_a_length_that_is_too_small():
    message = "lies within the sequence"
    model, args = Encoder(True).double(), (X[:, :7], padding(range(4), 7))
    assert_refused(message, model, *args, sequence=(0, 6), error=ValueError)
    message = "`sequence` to have a length of 6 or more"
    args = Y[:, :4], X[:, :6], padding(range(4), 4), padding(range(4), 6)
    assert_refused(message, Decoder().double(), *args, sequence=(0, 5), error=ValueError)
    # Two sequences, of which this is a part.
    assert_refused("which positions it has", Decoder().double(), *args, sequence=(4, L))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: torch.cat([x[:, :1], x], 1), "1 of its draws is not a multiple of the seq"),
        (lambda x: torch.cat([x, x], 1), "the positions alternate along dimension 1"),
    ],
)
def test_lengths_that_are_not_counted_in_positions(function, message):
    assert_refused(message, Calls(lambda x: torch_F.dropout(function(x))), X, sequence=(0, L))


def test_another_size_than_before():
    some = Calls(lambda drop, x, count: drop(x[..., :count]), nn.Dropout(0.5))
    with td.keyed(some, sequence=(0, L), **SCOPE):
        some(X, 6)
        with pytest.raises(SiteError, match="dimension 2 of it has 8 places, and had 6 in the for"):
            some(X, 8)
