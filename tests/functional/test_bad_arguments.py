"""Every function refuses what it does not accept with an error that says so, and draws nothing."""

import inspect

import pytest
import torch

from bad_arguments import faults
from torchdropout import functional as F

pytestmark = pytest.mark.filterwarnings("ignore")


def ones(*shape):
    return torch.ones(shape)


GOOD = {
    F.alpha_dropout: lambda: {"input": ones(4, 4), "training": True},
    F.column_dropout: lambda: {"input": ones(4, 4)},
    F.concrete_dropout: lambda: {"input": ones(4, 4), "p_logit": ones(1)},
    F.drop_block1d: lambda: {"input": ones(2, 3, 9), "block_size": 3},
    F.drop_block2d: lambda: {"input": ones(2, 3, 9, 9), "block_size": 3},
    F.drop_block3d: lambda: {"input": ones(2, 3, 4, 4, 4), "block_size": 3},
    F.drop_connect: lambda: {"input": ones(4, 4)},
    F.drop_path: lambda: {"input": ones(4, 4), "p": 0.5, "training": True},
    F.dropout: lambda: {"input": ones(4, 4)},
    F.dropout1d: lambda: {"input": ones(4, 4, 3)},
    F.dropout2d: lambda: {"input": ones(4, 4, 3, 3)},
    F.dropout3d: lambda: {"input": ones(4, 4, 3, 3, 3)},
    F.dropout_add: lambda: {"input": ones(4, 4), "residual": ones(4, 4), "bias": ones(4)},
    F.embedding_dropout: lambda: {"input": torch.tensor([0, 1]), "weight": ones(3, 4)},
    F.feature_alpha_dropout: lambda: {"input": ones(4, 4, 4), "training": True},
    F.feature_gaussian_dropout: lambda: {"input": ones(4, 4, 4)},
    F.gaussian_dropout: lambda: {"input": ones(4, 4)},
    F.gaussian_noise: lambda: {"input": ones(4, 4), "sigma": 0.5},
    F.keep_mask: lambda: {"shape": (4, 4), "p": 0.5},
    F.locked_dropout: lambda: {"input": ones(4, 4, 4)},
    F.multi_sample_dropout: lambda: {"input": ones(4, 4)},
    F.n_m_dropout: lambda: {"input": ones(4, 4)},
    F.r_drop: lambda: {
        "logits_a": ones(4, 3),
        "logits_b": ones(4, 3),
        "target": torch.zeros(4, dtype=torch.int64),
        "weight": ones(3),
        "padding_mask": torch.zeros(4, dtype=torch.bool),
    },
    F.scaled_dot_product_attention: lambda: {
        "query": ones(2, 4, 4),
        "key": ones(2, 4, 4),
        "value": ones(2, 4, 4),
        "attn_mask": torch.ones(4, 4, dtype=torch.bool),
        "dropout_p": 0.5,
    },
    F.token_dropout: lambda: {"input": ones(4, 4, 4)},
    F.uniform_dropout: lambda: {"input": ones(4, 4), "beta": 0.5},
    F.variational_conv2d: lambda: {
        "input": ones(2, 4, 5, 5),
        "weight": ones(4, 4, 3, 3),
        "log_sigma2": ones(4, 4, 3, 3),
        "bias": ones(4),
    },
    F.variational_dropout: lambda: {"input": ones(4, 4), "log_alpha": ones(1)},
    F.variational_linear: lambda: {
        "input": ones(4, 4),
        "weight": ones(3, 4),
        "log_sigma2": ones(3, 4),
        "bias": ones(3),
    },
    F.zoneout: lambda: {"new": ones(4, 4), "old": ones(4, 4)},
}
ARGUMENTS = [(f, argument) for f in GOOD for argument in inspect.signature(f).parameters]


def test_all_functions_are_tried():
    assert {f.__name__ for f in GOOD} == {n for n, f in vars(F).items() if inspect.isfunction(f)}


@pytest.mark.parametrize(
    ("function", "argument"), ARGUMENTS, ids=lambda of: getattr(of, "__name__", of)
)
def test_what_is_not_accepted_is_refused_clearly(function, argument):
    # A word outside the table is torch's IndexError; a table may have too few rows, or none.
    table = function is F.embedding_dropout and argument == "weight"
    allowed = (IndexError, RuntimeError) if table else ()
    assert faults(function, GOOD[function], argument, allowed) == []
