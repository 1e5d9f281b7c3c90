"""Every dropout of `torchdropout.functional` and `torchdropout.nn` as the verifier is given it.

`CASES` has a case for each public name that drops, and says of which names it is. `NOT_VERIFIED`
has the others, each with the reason.
"""

import functools
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from torchdropout import functional as F
from torchdropout import nn as td
from torchdropout.verify.specs import names


@dataclass(frozen=True)
class Case:
    """A target, and the kind it claims to be where its name does not tell."""

    target: Any
    spec: str | None = None


def _active(x, p, training):
    return training and p != 0  # a wrong p is for the function to refuse


def _check_p(p):
    if not isinstance(p, float) or not 0 <= p <= 1:
        raise ValueError(f"Expected p to be a probability, got p={p!r}")


def kept_by_mask(x, p, training):
    """`keep_mask` as a dropout."""
    if not training:
        return x
    keep = F.keep_mask(x.shape, p, device=x.device)
    return x.masked_fill(~keep, 0) * (1 / (1 - p) if p < 1 else 0)


def rows_of_a_table(x, p, training):
    """All words of a table, in order."""
    return F.embedding_dropout(torch.arange(len(x), device=x.device), x, p, training)


def _by_sample(x, p, draw):
    """A quarter of the places in four samples each: the factors of all of them are asked for."""
    ones = x.new_ones(-(-x.numel() // 4))
    factors = draw(ones).reshape(-1)[: x.numel()].reshape(x.shape)
    return x.masked_fill(factors == 0, 0) * factors


def samples(x, p, training):
    """Four samples of one input, looked at together: their masks are independent, too."""
    if not _active(x, p, training):
        return x
    return _by_sample(x, p, lambda ones: F.multi_sample_dropout(ones, p, 4, training))


class Samples(nn.Module):
    """The same of the module, around a head that changes nothing."""

    def __init__(self, p=0.5):
        super().__init__()
        self.inner = td.MultiSampleDropout(p, nn.Identity(), samples=4, reduce="none")

    def forward(self, x):
        p = self.inner.p
        return _by_sample(x, p, self.inner) if _active(x, p, self.training) else x


class _Given(nn.Module):
    """A branch that returns what it is given besides the input."""

    def forward(self, input, x):
        return x


class Layer(nn.Module):
    """`LayerDrop` on an input of zeros: what is left is the branch.

    The zeros have the sign of those of x, so that -0.0 stays, and x as their source of gradients.
    """

    def __init__(self, p=0.5):
        super().__init__()
        self.inner = td.LayerDrop(_Given(), p, scale_by_keep=True)

    def forward(self, x):
        zeros = torch.where(x.detach() == 0, x.detach(), 0)
        zeros = torch.where(torch.zeros_like(x, dtype=torch.bool), x, zeros)
        return self.inner(zeros, x)


def concrete(x, p, training):
    """p is given as its logit."""
    _check_p(p)
    return F.concrete_dropout(x, torch.logit(torch.tensor(p)), training)


def concrete_module(p):
    return td.ConcreteDropout(before=nn.Linear(4, 4), init_min=p, init_max=p)


def variational(x, p, training):
    """p is given as log alpha, alpha = p / (1 - p)."""
    _check_p(p)
    return F.variational_dropout(x, torch.tensor(math.log(p) - math.log1p(-p)), training)


def variational_module(p):
    return td.VariationalDropout(p)


def n_of_four(x, p, training):
    _check_p(p)
    return F.n_m_dropout(x, max(1, round(4 * (1 - p))), 4, training)


def n_of_four_module(p):
    _check_p(p)
    return td.NMDropout(max(1, round(4 * (1 - p))), 4)


def weight_drop(p):
    return td.WeightDrop(nn.Linear(32, 16), p, "weight")


def embedding_module(p):
    return td.EmbeddingDropout(nn.Embedding(64, 8), p)


# A fixed count of each group needs more than p: see below.
_BY_NAME = {"dropout", "Dropout", "drop_connect"}.union(
    *(known for kind, known in names._KNOWN.items() if kind != "n-of-m")
)


def known_by_name(home):
    """Those whose kind the verifier knows by their name; what needs more is listed below."""
    prefix = home.__name__.rpartition(".")[2]
    return {
        f"{prefix}.{name}": Case(each)
        for name, each in vars(home).items()
        if name in _BY_NAME and callable(each)
    }


CASES: dict[str, Case] = {
    **known_by_name(F),
    **known_by_name(td),
    "functional.drop_path, batch": Case(functools.partial(F.drop_path, mode="batch")),
    "nn.StochasticDepth, batch": Case(functools.partial(td.StochasticDepth, mode="batch")),
    "functional.keep_mask": Case(kept_by_mask),
    "functional.embedding_dropout": Case(rows_of_a_table, "embedding"),
    "nn.EmbeddingDropout": Case(embedding_module, "weights"),
    "nn.WeightDrop": Case(weight_drop, "weights"),
    "nn.LayerDrop": Case(Layer, "drop-path-batch"),
    "functional.multi_sample_dropout": Case(samples),
    "nn.MultiSampleDropout": Case(Samples),
    "functional.concrete_dropout": Case(concrete, "concrete"),
    "nn.ConcreteDropout": Case(concrete_module, "concrete"),
    "functional.variational_dropout": Case(variational, "variational"),
    "nn.VariationalDropout": Case(variational_module, "variational"),
    "functional.n_m_dropout": Case(n_of_four, "n-of-m"),
    "nn.NMDropout": Case(n_of_four_module, "n-of-m"),
    "functional.column_dropout": Case(functools.partial(F.column_dropout, mode="row"), "n-of-m"),
    "nn.ColumnDropout": Case(functools.partial(td.ColumnDropout, mode="row"), "n-of-m"),
    "functional.drop_block2d, count": Case(functools.partial(F.drop_block2d, scale="count")),
}

PLAIN = {
    *("functional.dropout", "nn.Dropout", "functional.drop_connect", "functional.keep_mask"),
    *("functional.multi_sample_dropout", "nn.MultiSampleDropout"),
}

NOT_VERIFIED: dict[str, str] = {
    "functional.r_drop": "a loss, which draws nothing",
    "functional.variational_conv2d": "noise of a learned size for each output",
    "functional.variational_linear": "noise of a learned size for each output",
    "nn.GRU": "a layer: no call shows one of its draws alone",
    "nn.LSTM": "a layer: no call shows one of its draws alone",
    "nn.MultiheadAttention": "a layer around functional.scaled_dot_product_attention",
    "nn.VariationalConv2d": "noise of a learned size for each output",
    "nn.VariationalLinear": "noise of a learned size for each output",
    "nn.kl": "a divergence, which draws nothing",
    "nn.regularisation": "a loss, which draws nothing",
    "nn.sparsity": "a count, which draws nothing",
}


def public():
    """The names of the two packages, as `functional.dropout` and `nn.Dropout`."""
    return {
        f"{home.__name__.rpartition('.')[2]}.{name}"
        for home in (F, td)
        for name, value in vars(home).items()
        if not name.startswith("_") and callable(value)
    }
