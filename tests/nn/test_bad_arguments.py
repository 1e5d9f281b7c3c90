"""Every module refuses what it does not accept with an error that says so, and draws nothing.

Not tried: what a module passes on to its own layer, and arguments of a constructor of torch that
torch itself refuses clearly.
"""

import inspect

import pytest
import torch

from bad_arguments import faults
from torchdropout import nn

pytestmark = pytest.mark.filterwarnings("ignore")


def ones(*shape):
    return torch.ones(shape)


def attended():
    return {name: ones(4, 2, 4) for name in ("query", "key", "value")}


# How to make each, and arguments of a call.
MODULES = {
    nn.AlphaDropout: (dict, lambda: {"input": ones(4, 4)}),
    nn.ColumnDropout: (dict, lambda: {"input": ones(4, 4)}),
    nn.ConcreteDropout: (lambda: {"layer": torch.nn.Linear(4, 3)}, lambda: {"input": ones(4, 4)}),
    nn.DropBlock1d: (lambda: {"block_size": 3}, lambda: {"input": ones(2, 3, 9)}),
    nn.DropBlock2d: (lambda: {"block_size": 3}, lambda: {"input": ones(2, 3, 9, 9)}),
    nn.DropBlock3d: (lambda: {"block_size": 3}, lambda: {"input": ones(2, 3, 4, 4, 4)}),
    nn.DropPath: (lambda: {"p": 0.5}, lambda: {"input": ones(4, 4)}),
    nn.Dropout: (dict, lambda: {"input": ones(4, 4)}),
    nn.Dropout1d: (dict, lambda: {"input": ones(4, 4, 3)}),
    nn.Dropout2d: (dict, lambda: {"input": ones(4, 4, 3, 3)}),
    nn.Dropout3d: (dict, lambda: {"input": ones(4, 4, 3, 3, 3)}),
    nn.DropoutAdd: (dict, lambda: {"input": ones(4, 4), "residual": ones(4, 4), "bias": ones(4)}),
    nn.EmbeddingDropout: (
        lambda: {"emb": torch.nn.Embedding(5, 4)},
        lambda: {"words": torch.tensor([0, 1])},
    ),
    nn.FeatureAlphaDropout: (dict, lambda: {"input": ones(4, 4, 4)}),
    nn.FeatureGaussianDropout: (dict, lambda: {"input": ones(4, 4, 4)}),
    nn.GRU: (
        lambda: {"input_size": 4, "hidden_size": 3, "recurrent_dropout": 0.5},
        lambda: {"input": ones(5, 4, 4), "hx": ones(1, 4, 3)},
    ),
    nn.GaussianDropout: (dict, lambda: {"input": ones(4, 4)}),
    nn.GaussianNoise: (lambda: {"sigma": 0.5}, lambda: {"input": ones(4, 4)}),
    nn.LSTM: (
        lambda: {"input_size": 4, "hidden_size": 3, "zoneout_cell": 0.5},
        lambda: {"input": ones(5, 4, 4), "hx": (ones(1, 4, 3), ones(1, 4, 3))},
    ),
    nn.LayerDrop: (lambda: {"branch": torch.nn.Identity()}, lambda: {"input": ones(4, 4)}),
    nn.LockedDropout: (dict, lambda: {"input": ones(4, 4, 4)}),
    nn.MultiSampleDropout: (
        lambda: {"p": 0.5, "head": torch.nn.Linear(4, 3)},
        lambda: {"x": ones(4, 4)},
    ),
    nn.MultiheadAttention: (
        lambda: {"embed_dim": 4, "num_heads": 2, "dropout": 0.5},
        lambda: attended() | {"key_padding_mask": None, "attn_mask": None},
    ),
    nn.NMDropout: (dict, lambda: {"input": ones(4, 4)}),
    nn.StochasticDepth: (lambda: {"p": 0.5, "mode": "row"}, lambda: {"input": ones(4, 4)}),
    nn.TokenDropout: (dict, lambda: {"input": ones(4, 4, 4)}),
    nn.UniformDropout: (lambda: {"beta": 0.5}, lambda: {"input": ones(4, 4)}),
    nn.VariationalConv2d: (
        lambda: {"in_channels": 4, "out_channels": 4, "kernel_size": 3},
        lambda: {"input": ones(2, 4, 5, 5)},
    ),
    nn.VariationalDropout: (dict, lambda: {"input": ones(4, 4)}),
    nn.VariationalLinear: (
        lambda: {"in_features": 4, "out_features": 3},
        lambda: {"input": ones(4, 4)},
    ),
    nn.WeightDrop: (
        lambda: {"module": torch.nn.Linear(4, 3), "p": 0.5, "names": "weight"},
        lambda: {"input": ones(4, 4)},
    ),
    nn.Zoneout: (dict, lambda: {"new": ones(4, 4), "old": ones(4, 4)}),
}
OF_TORCH = {"device", "dtype", "bias", "bidirectional", "batch_first", "padding_mode"}
OF_TORCH |= {"add_bias_kv", "add_zero_attn"}
# Sizes that are allocated: the largest accepted ones would not fit.
SIZES = {"input_size", "hidden_size", "num_layers", "embed_dim", "in_features", "out_features"}
SIZES |= {"in_channels", "out_channels", "kernel_size", "kdim", "vdim", "num_features"}
ANOTHER_NAME = {"drop_prob", "embed_p", "prob"}  # of p
FLAGS = {"need_weights", "average_attn_weights", "is_causal"}  # as in torch, whatever is true


def arguments(method, without):
    named = inspect.signature(method).parameters.values()
    return [p.name for p in named if p.kind.name[:3] != "VAR" and p.name not in {"self"} | without]


MADE = [
    (kind, argument)
    for kind in MODULES
    for argument in arguments(kind.__init__, OF_TORCH | SIZES | ANOTHER_NAME)
]
CALLED = [(kind, argument) for kind in MODULES for argument in arguments(kind.forward, FLAGS)]


def test_all_modules_are_tried():
    public = {kind for kind in vars(nn).values() if inspect.isclass(kind)}
    assert set(MODULES) == public


@pytest.mark.parametrize(("kind", "argument"), MADE, ids=lambda of: getattr(of, "__name__", of))
def test_a_constructor_refuses_what_it_does_not_accept(kind, argument):
    assert faults(kind, MODULES[kind][0], argument) == []


@pytest.mark.parametrize(("kind", "argument"), CALLED, ids=lambda of: getattr(of, "__name__", of))
def test_a_call_refuses_what_it_does_not_accept(kind, argument):
    make, good = MODULES[kind]
    # What their own layer, or torch's sum, refuses.
    of_layer = kind in (nn.ConcreteDropout, nn.LayerDrop, nn.MultiSampleDropout)
    assert faults(kind(**make()), good, argument, (RuntimeError,) if of_layer else ()) == []


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (nn.MultiheadAttention, {"num_heads": 3}),
        (nn.MultiheadAttention, {"embed_dim": 0}),
        (nn.MultiheadAttention, {"embed_dim": "4"}),
        (nn.MultiheadAttention, {"kdim": -1}),
        (nn.LSTM, {"num_layers": 0}),
        (nn.LSTM, {"num_layers": "2"}),
        (nn.VariationalLinear, {"in_features": -1}),
        (nn.VariationalConv2d, {"kernel_size": (3, 3, 3)}),
        (nn.VariationalConv2d, {"out_channels": 1.5}),
    ],
    ids=str,
)
def test_sizes_that_do_not_fit(kind, change):
    (name,) = change
    with pytest.raises((TypeError, ValueError), match=f"^Expected `{name}` to be .*, got {name}="):
        kind(**MODULES[kind][0]() | change)


@pytest.mark.parametrize(
    "make",
    [
        lambda dims: nn.ConcreteDropout(torch.nn.Linear(4, 3), broadcast_dims=dims),
        lambda dims: nn.VariationalDropout(broadcast_dims=dims),
    ],
)
def test_dimensions_are_those_of_a_tensor_that_torch_can_have(make):
    """Without an input nothing more is known: torch has tensors of 64 dimensions at most."""
    for dims in ((63,), [-64], (0, 1)):
        assert make(dims).broadcast_dims == tuple(dims)
    for dims in ((64,), (-65,)):
        with pytest.raises(ValueError, match="`broadcast_dims`"):
            make(dims)
