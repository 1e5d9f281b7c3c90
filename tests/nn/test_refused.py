"""What a module refuses of its own, when it is made, set or called: nothing is drawn or changed."""

import math

import pytest
import torch
from torch.nn.utils import parametrize

from draws import refused
from torchdropout import Key, nn
from torchdropout.errors import ArgumentTypeError, ArgumentValueError, TorchDropoutError

TYPE, VALUE = ArgumentTypeError, ArgumentValueError
LINEAR = torch.nn.Linear(2, 2)
EMBEDDING = torch.nn.Embedding(3, 2)
LSTM = {"input_size": 4, "hidden_size": 3}
GRU = LSTM
ATTENTION = {"embed_dim": 4, "num_heads": 2}
DENSE = {"in_features": 4, "out_features": 3}
CONVOLUTION = {"in_channels": 4, "out_channels": 4, "kernel_size": 3}

MADE = [
    (nn.ConcreteDropout, {}, VALUE, "`layer`, which is called .* and not both, got layer=None"),
    (nn.ConcreteDropout, {"layer": LINEAR, "before": LINEAR}, VALUE, r"got before=Linear\("),
    (nn.ConcreteDropout, {"layer": torch.nn.ReLU()}, VALUE, "`layer` to be a layer with weights"),
    (nn.ConcreteDropout, {"layer": EMBEDDING}, VALUE, r"`input_dim`, .*, got layer=Embedding\(3"),
    (nn.ConcreteDropout, {"layer": LINEAR, "init_min": 0.0}, VALUE, r"`init_min` to be in \(0, 1"),
    (
        nn.ConcreteDropout,
        {"layer": LINEAR, "init_min": 0.3, "init_max": 0.2},
        VALUE,
        r"`init_min` to be at most `init_max`, got init_min=0.3 \(float\) and got init_max=0.2",
    ),
    # Without an input nothing more is known: torch has tensors of 64 dimensions at most.
    (nn.ConcreteDropout, {"layer": LINEAR, "broadcast_dims": (64,)}, VALUE, "`broadcast_dims`"),
    (nn.VariationalDropout, {"broadcast_dims": (-65,)}, VALUE, "`broadcast_dims`"),
    (nn.VariationalDropout, {"p": 0.0}, VALUE, r"in \(0, 1\).* got p=0.0"),
    (nn.VariationalLinear, DENSE | {"threshold": math.nan}, VALUE, "`threshold` to be a number, "),
    (nn.VariationalLinear, DENSE | {"init_log_sigma2": math.inf}, VALUE, "_sigma2` to be finite, "),
    (nn.VariationalLinear, DENSE | {"in_features": -1}, ValueError, "`in_features` to be "),
    (nn.VariationalConv2d, CONVOLUTION | {"kernel_size": (3, 3, 3)}, TypeError, "`kernel_size`"),
    (nn.VariationalConv2d, CONVOLUTION | {"out_channels": 1.5}, TypeError, "`out_channels` to be"),
    (nn.EmbeddingDropout, {"emb": 3}, TYPE, "`emb` to be a torch.nn.Embedding.*got emb=3"),
    (nn.EmbeddingDropout, {"emb": torch.nn.ReLU()}, TYPE, "`emb`"),
    (nn.EmbeddingDropout, {"emb": torch.nn.EmbeddingBag(4, 3)}, TYPE, "and not for each bag"),
    (nn.MultiheadAttention, ATTENTION | {"num_heads": 3}, ValueError, "`num_heads` .* got num_h"),
    (nn.MultiheadAttention, ATTENTION | {"num_heads": 0}, ValueError, "`num_heads` to be "),
    (nn.MultiheadAttention, ATTENTION | {"vdim": 0}, ValueError, "`vdim` to be "),
    (nn.MultiheadAttention, ATTENTION | {"kdim": -1}, ValueError, "`kdim` to be "),
    (nn.MultiheadAttention, ATTENTION | {"embed_dim": 0}, ValueError, "`embed_dim` to be "),
    (nn.MultiheadAttention, ATTENTION | {"embed_dim": "4"}, TypeError, "`embed_dim` to be "),
    (nn.LSTM, LSTM | {"num_layers": 0}, ValueError, "`num_layers` to be "),
    (nn.LSTM, LSTM | {"num_layers": "2"}, TypeError, "`num_layers` to be "),
    (nn.GRU, GRU | {"zoneout_cell": 0.1}, TypeError, "zoneout_cell"),
]


@pytest.mark.parametrize(("kind", "given", "error", "words"), MADE)
def test_made(kind, given, error, words):
    with refused(error, words):
        kind(**given)


def test_dimensions_are_those_of_a_tensor_that_torch_can_have():
    for dims in ((63,), [-64], (0, 1)):
        assert nn.VariationalDropout(broadcast_dims=dims).broadcast_dims == tuple(dims)


SEQUENTIAL = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU())
OF_LSTM = "which are weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, got names='weight_hh'"
CODES = torch.nn.Linear(2, 3)
CODES.codes = torch.nn.Parameter(torch.ones(3, dtype=torch.int8), requires_grad=False)


@pytest.mark.parametrize(
    ("module", "names", "error", "words"),
    [
        (torch.nn.LSTM(2, 3), "weight_hh", VALUE, f"`names` to be among .* LSTM, {OF_LSTM}"),
        (SEQUENTIAL, ("0.weight", "1.weight"), VALUE, "0.weight, 0.bias, got"),
        (SEQUENTIAL, (), VALUE, r"got names=\(\) \(tuple\)"),
        (SEQUENTIAL, ("0.weight",) * 2, VALUE, "each given once"),
        (SEQUENTIAL, ("0.weight", "0.bias"), VALUE, "of a 1-D input"),
        (torch.nn.ReLU(), "weight", VALUE, "of the ReLU, which has none"),
        (torch.nn.BatchNorm1d(3), "running_mean", VALUE, "weight, bias, got"),
        (torch.nn.LazyLinear(3), "weight", VALUE, "'weight' gets one later"),
        (CODES, ("weight", "codes"), TYPE, r"`codes` to be a floating-point .* torch.int8"),
    ],
)
def test_names_of_weights(module, names, error, words):
    given = {"broadcast_dims": (1,)} if "0.bias" in names else {}
    with refused(error, words):
        nn.WeightDrop(module, 0.5, names, **given)
    assert not any(map(parametrize.is_parametrized, module.modules()))


RATES = ("dropout", "input_dropout", "recurrent_dropout", "zoneout_hidden")
SET = [
    *((nn.LSTM, name, bad) for name in (*RATES, "zoneout_cell") for bad in (1.7, True)),
    *((nn.GRU, name, bad) for name in RATES for bad in (1.7, True)),
    *(
        (kind, name, bad)
        for kind in (nn.DropBlock1d, nn.DropBlock2d, nn.DropBlock3d)
        for name, bad in (("block_size", 0), ("eps", -1.0), ("scale", "mean"))
    ),
]


@pytest.mark.parametrize(("kind", "name", "bad"), SET)
def test_set(kind, name, bad):
    recurrent = LSTM | {"num_layers": 2, name: 0.25}
    module = kind(**recurrent) if kind in (nn.LSTM, nn.GRU) else kind(0.3)
    before = getattr(module, name)
    with refused((TYPE, VALUE), f"`{name}` to be .* got {name}={bad}" if name != "scale" else name):
        setattr(module, name, bad)
    assert getattr(module, name) == before


def test_a_gru_has_no_cell():
    with pytest.raises(AttributeError, match="GRU has no `zoneout_cell`"):
        nn.GRU(**GRU).zoneout_cell = 0.1


KEY = Key(11, 3)
Q, K = torch.ones(5, 3, 4), torch.ones(7, 3, 4)
X, STATE = torch.ones(5, 4, 3), torch.ones(1, 4, 6)
LAYERS = {
    "attention": nn.MultiheadAttention(4, 2, 0.1),
    "LSTM": nn.LSTM(3, 6, recurrent_dropout=0.4),
    "features": nn.VariationalDropout(0.5, 5, dim=5),
    "embedding": nn.EmbeddingDropout(torch.nn.Embedding(3, 4), 0.4),
}
CALLED = [
    ("attention", (Q[None], K, K), {}, "`query` to be of 3 dimensions, or of 2 without a batch"),
    ("attention", (Q, K[:, 0], K), {}, "`key` to be of 3 dimensions"),
    ("attention", (Q, K, K[:6]), {}, r"`value` to be of key's length and batch, \(7, 3\)"),
    ("attention", (Q, K[:, :1], K[:, :1]), {}, "`key` to be of query's batch, 3"),
    ("attention", (Q, K, K), {"attn_mask": torch.zeros(5, 5)}, r"\(5, 7\) or \(6, 5, 7\)"),
    ("attention", (Q, K, K), {"key_padding_mask": torch.zeros(3, 5)}, r"\(3, 7\), a value for"),
    ("attention", (Q, K, K), {"is_causal": True}, "`attn_mask` with `is_causal`"),
    ("attention", (Q[..., :3], K, K), {}, "`query` to be of 4 features in its last dimension, got"),
    ("attention", (Q, K, K.double()), {}, "`value` to be of the dtype of the weights, torch.floa"),
    ("LSTM", (torch.ones(2, 3, 4, 3),), {}, "or of 3, with a batch, got input"),
    ("LSTM", (X.int(),), {}, "torch.int32"),
    ("LSTM", (X, STATE), {}, r"two tensors, \(h, c\), got hx=<"),
    ("LSTM", (X, (STATE[0], STATE[0])), {}, "3 dimensions, as the input"),
    ("LSTM", (X,), {"key": KEY, "generator": torch.Generator()}, "not both"),
    ("LSTM", (X[:0],), {}, "`input` to be of one or more steps"),
    ("LSTM", (X,), {"batch_start": -1}, "got batch_start=-1"),
    ("LSTM", (X,), {"batch_start": 2**24}, "got batch_start=16777216"),
    # In the words of torch 2.13, or of 2.10.
    ("LSTM", (X.double(),), {}, "does not match weight dtype|must have the type"),
    ("LSTM", (X[..., :2],), {}, r"input.size\(-1\) must be equal"),
    ("LSTM", (X, (STATE[:, :3], STATE[:, :3])), {}, r"Expected hidden\[0\] size"),
    ("features", (torch.ones(5, 5),), {}, "a tensor with a dimension 5, that of the features"),
    ("embedding", (torch.tensor([0]), "2"), {}, "`scale`"),
    ("embedding", (torch.tensor([3]),), {}, "out of range"),
]
OF_TORCH = ("does not match", "input.size", "Expected hidden", "out of range")


@pytest.mark.parametrize(("layer", "args", "given", "words"), CALLED)
def test_called(layer, args, given, words):
    errors = (RuntimeError, ValueError, IndexError)
    with refused(errors if words.startswith(OF_TORCH) else TorchDropoutError, words):
        LAYERS[layer](*args, **given)
