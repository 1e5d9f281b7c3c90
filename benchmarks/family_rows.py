"""The family and its peers, as data for `family.py`: which package has which variant, and how.

A `Way` is built for a p and is then a function of tensors, or a module in training. Methods for
which no package has a layer are written by formula, as their authors published them.
"""

from __future__ import annotations

import importlib
import math
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import torch
import torch.nn.functional as F

import torchdropout as td
import torchdropout.functional as tdf

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

OURS = "torchdropout"
FORMULA = "by formula"

Function = Callable[..., Any]


def zeros(y: torch.Tensor) -> float:
    """The share of zeros in the output for a probe without zeros."""
    return (y == 0).double().mean().item()


def spread(y: torch.Tensor) -> float:
    """The standard deviation of the output for a probe of ones."""
    return y.double().std().item()


@dataclass(frozen=True)
class Way:
    """One implementation of a variant.

    Args:
        name: Name of the function or class.
        make: Maps p to the function in training.
        package: The distribution that it is from.
    """

    name: str
    make: Callable[[float], Function]
    package: str = OURS

    @property
    def title(self) -> str:
        """The name with the package's version."""
        if self.package == OURS:
            return f"**`{self.name}`**"
        if self.package == FORMULA:
            return f"{self.name}, by formula"
        return f"{self.package} {version(self.package)} `{self.name}`"


@dataclass(frozen=True)
class Row:
    """A variant, ours first.

    Args:
        variant: Its name.
        shape: Shape of the input that is timed, or of each of several.
        ways: Implementations.
        inputs: How many tensors a call takes.
        p: The drop probability that is timed and counted.
        make_input: Makes the input that is timed; by default normal numbers of the shape.
        probe: Makes the input whose output is counted; by default ones of the shape.
        figure: Maps the probe's output to the dropped share, or to a substitute; its mean should
            be `expected`. None if there is nothing to count.
        expected: Maps p to the figure; by default p itself.
        works: Whether a call does other work besides dropping, which it also does at p = 0.
        edges: Which of p = 0 and p = 1 are possible.
    """

    variant: str
    shape: tuple[int, ...]
    ways: tuple[Way, ...]
    p: float = 0.1
    inputs: int = 1
    make_input: Callable[[], torch.Tensor] | None = None
    probe: Callable[[], tuple[torch.Tensor, ...]] | None = None
    figure: Callable[[torch.Tensor], float] | None = zeros
    expected: Callable[[float], float] = float
    works: bool = False
    edges: tuple[float, ...] = (0.0, 1.0)


def load(path: str) -> Any:
    """`package.module:name`, imported when it is first used."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def ours(name: str, *more: Any) -> Way:
    """A function of ours, which takes p after its tensors."""
    return Way(name, lambda p: lambda *tensors: getattr(tdf, name)(*tensors, p, *more))


def module(name: str, *more: Any, **arguments: Any) -> Way:
    """A module class of ours, whose first argument is p."""
    return Way(name, lambda p: getattr(td.nn, name)(p, *more, **arguments))


def of_torch(name: str, *more: Any) -> Way:
    """As `ours`, of torch."""
    return Way(f"F.{name}", lambda p: lambda x: getattr(F, name)(x, p, *more), "torch")


def of_keras(layer: str, **arguments: Any) -> Way:
    """A layer of Keras on torch, in training."""

    def make(p: float) -> Function:
        made = getattr(importlib.import_module("keras").layers, layer)(p, **arguments)
        return lambda x: made(x, training=True)

    return Way(layer, make, "keras")


def theirs(path: str, *more: Any) -> Way:
    """A module class whose first argument is p, in training; the path begins with its package."""
    package, name = path.partition(".")[0], path.rpartition(":")[2]
    return Way(name, lambda p: load(path)(p, *more).train(), package)


# --- by formula -----------------------------------------------------------------------------------


def awd_locked(p: float) -> Function:
    """salesforce/awd-lstm-lm, locked_dropout.py; there the input is (time, batch, features)."""

    def locked(x: torch.Tensor) -> torch.Tensor:
        mask = x.data.new(x.size(0), 1, x.size(2)).bernoulli_(1 - p)
        return mask.div_(1 - p).expand_as(x) * x

    return locked


class AwdEmbedding(torch.nn.Module):
    """salesforce/awd-lstm-lm, embed_regularize.py."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p, self.emb = p, table()

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        """Rows of the masked table."""
        weight = self.emb.weight
        mask = weight.data.new().resize_((weight.size(0), 1)).bernoulli_(1 - self.p)
        return F.embedding(words, mask.expand_as(weight) / (1 - self.p) * weight)


def uout(b: float) -> Function:
    """Li et al. 2019: x + x r, r uniform on [-b, b]."""
    return lambda x: x + x * torch.empty_like(x).uniform_(-b, b)


def gaussian(p: float) -> Function:
    """Srivastava et al. 2014."""
    size = math.sqrt(p / (1 - p))
    return lambda x: x * (1 + size * torch.randn_like(x))


def added(p: float) -> Function:
    """The composition in transformer blocks."""
    return lambda x, residual: residual + F.dropout(x, p)


class Concrete(torch.nn.Module):
    """A concrete dropout with a learned p."""

    def __init__(self, p: float, drop: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.p_logit, self.drop = torch.nn.Parameter(torch.tensor(math.log(p / (1 - p)))), drop

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Drop, with a gradient for p."""
        return self.drop(x, self.p_logit)


def relaxed(x: torch.Tensor, p_logit: torch.Tensor) -> torch.Tensor:
    """The code of Gal et al. 2017: noise in the dtype of x, an epsilon in each logarithm."""
    eps, temperature, p = 1e-7, 0.1, torch.sigmoid(p_logit)
    u = torch.rand_like(x)
    z = (p + eps).log() - (1 - p + eps).log() + (u + eps).log() - (1 - u + eps).log()
    return x * (1 - torch.sigmoid(z / temperature)) / (1 - p)


class Sparse(torch.nn.Linear):
    """Molchanov et al. 2017: a linear layer with a variance for each weight."""

    def __init__(self) -> None:
        super().__init__(1024, 1024)
        self.log_sigma2 = torch.nn.Parameter(torch.full_like(self.weight, -10.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute by the local reparametrisation."""
        mean = F.linear(x, self.weight, self.bias)
        variance = F.linear(x * x, self.log_sigma2.exp())
        return mean + (variance + 1e-8).sqrt() * torch.randn_like(mean)


def n_of_m(x: torch.Tensor) -> torch.Tensor:
    """Keep two of each four elements: those with the greatest random numbers."""
    groups = x.unflatten(-1, (-1, 4))
    kept = torch.rand_like(groups).topk(2, -1).indices
    mask = torch.zeros_like(groups).scatter_(-1, kept, 2.0)
    return (groups * mask).flatten(-2)


class Samples(torch.nn.Module):
    """Inoue 2019, as it is usually written: a loop over dropouts before one head."""

    def __init__(self, p: float, dropout: Callable[[float], torch.nn.Module]) -> None:
        super().__init__()
        self.head, self.dropouts = head(), torch.nn.ModuleList(dropout(p) for _ in range(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The mean of the logits."""
        return torch.stack([self.head(drop(x)) for drop in self.dropouts]).mean(0)


class KerasLSTM(torch.nn.Module):
    """The LSTM of Keras on torch, with a mask on the state."""

    def __init__(self, p: float) -> None:
        super().__init__()
        layers = importlib.import_module("keras").layers
        self.lstm = layers.LSTM(256, recurrent_dropout=p, return_sequences=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Call the layer in training."""
        return self.lstm(x, training=True)  # type: ignore[no-any-return]


def attention(drop: Callable[..., torch.Tensor]) -> Callable[[float], Function]:
    """Random queries, keys and values."""
    return lambda p: lambda *qkv: drop(*qkv, dropout_p=p)


def uniform_attention() -> tuple[torch.Tensor, ...]:
    """Equal scores, and values that put each probability into a place of the output."""
    eye = torch.eye(64).expand(8, 8, 64, 64)
    return torch.zeros_like(eye), torch.zeros_like(eye), eye


def missing_tokens(y: torch.Tensor) -> float:
    """The share missing of the 196 tokens after the first."""
    return 1 - (y.shape[1] - 1) / (SEQUENCE[1] - 1)


def identity() -> tuple[torch.Tensor]:
    """An input whose product with the weights is the weights."""
    return (torch.eye(1024),)


class Connected(torch.nn.Module):
    """A linear layer without zeros, with masked weights."""

    def __init__(self, p: float, drop: Callable[[torch.Tensor, float], torch.Tensor]) -> None:
        super().__init__()
        self.p, self.drop = p, drop
        self.weight = torch.nn.Parameter(torch.full((1024, 1024), 0.03))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The product."""
        return F.linear(x, self.drop(self.weight, self.p))


class Coin(torch.nn.Module):
    """x-transformers: a random number of Python decides if the branch is computed; no scale."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p, self.branch = p, mlp()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The residual branch, or x."""
        return x if random.random() < self.p else x + self.branch(x)


def stack(layer: Callable[[float], torch.nn.Module]) -> Callable[[float], Function]:
    """A stack with enough layers that a share of about p is skipped in each call."""
    return lambda p: torch.nn.Sequential(*(layer(p) for _ in range(32)))


# --- shared by several rows -----------------------------------------------------------------------

VOCABULARY, WIDTH = 30000, 400


def table() -> torch.nn.Embedding:
    """An embedding without zeros."""
    torch.manual_seed(0)
    made = torch.nn.Embedding(VOCABULARY, WIDTH)
    with torch.no_grad():
        made.weight.add_(100)
    return made


def mlp() -> torch.nn.Module:
    """A residual branch."""
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(384, 1536), torch.nn.GELU(), torch.nn.Linear(1536, 384)
    )


def head() -> torch.nn.Module:
    """The head of a classifier."""
    torch.manual_seed(0)
    return torch.nn.Linear(768, 1000)


def lstm() -> torch.nn.LSTM:
    """The first layer of an AWD-LSTM, with fewer units."""
    torch.manual_seed(0)
    return torch.nn.LSTM(400, 512, batch_first=True)


def words() -> torch.Tensor:
    """Token ids of a batch."""
    torch.manual_seed(0)
    return torch.randint(VOCABULARY, (64, 70))


MAP = (32, 256, 28, 28)
SEQUENCE = (128, 197, 384)
HIDDEN = (4096, 1024)

ROWS = (
    Row("dropout", HIDDEN, (ours("dropout"), of_torch("dropout"), of_keras("Dropout"))),
    Row(
        "dropout_add",
        HIDDEN,
        (ours("dropout_add"), Way("x + F.dropout(y)", added, "torch")),
        inputs=2,
        figure=lambda y: (y == 1).double().mean().item(),
        works=True,
    ),
    Row(
        "dropout2d",
        MAP,
        (
            ours("dropout2d"),
            of_torch("dropout2d"),
            of_keras("SpatialDropout2D", data_format="channels_first"),
        ),
    ),
    Row(
        "a shared mask",
        (64, 128, 1024),
        (
            Way(
                "dropout(broadcast_dims=(1,))",
                lambda p: lambda x: tdf.dropout(x, p, broadcast_dims=(1,)),
            ),
            replace(of_keras("Dropout", noise_shape=(None, 1, None)), name="Dropout(noise_shape)"),
        ),
    ),
    Row(
        "alpha_dropout",
        HIDDEN,
        (ours("alpha_dropout", True), of_torch("alpha_dropout", True), of_keras("AlphaDropout")),
        figure=lambda y: (y < 0).double().mean().item(),
    ),
    Row(
        "feature_alpha_dropout",
        MAP,
        (ours("feature_alpha_dropout", True), of_torch("feature_alpha_dropout", True)),
        figure=lambda y: (y < 0).double().mean().item(),
    ),
    Row(
        "gaussian_dropout",
        HIDDEN,
        (
            ours("gaussian_dropout"),
            of_keras("GaussianDropout"),
            Way("x * (1 + s * randn)", gaussian, FORMULA),
        ),
        figure=spread,
        expected=lambda p: math.sqrt(p / (1 - p)),
        edges=(0.0,),
    ),
    Row(
        "gaussian_noise",
        HIDDEN,
        (ours("gaussian_noise"), of_keras("GaussianNoise")),
        figure=spread,
        edges=(0.0,),
    ),
    Row(
        "uniform_dropout",
        HIDDEN,
        (ours("uniform_dropout"), Way("x + x * uniform", uout, FORMULA)),
        figure=spread,
        expected=lambda p: p / math.sqrt(3),
        edges=(0.0,),
    ),
    Row(
        "drop_path, row",
        SEQUENCE,
        (
            module("DropPath"),
            theirs("timm.layers:DropPath"),
            theirs("torchvision.ops:StochasticDepth", "row"),
            theirs("transformers.models.swin.modeling_swin:SwinDropPath"),
        ),
    ),
    Row(
        "stochastic depth, batch",
        SEQUENCE,
        (module("StochasticDepth", "batch"), theirs("torchvision.ops:StochasticDepth", "batch")),
    ),
    Row(
        "layer_drop, 32 layers",
        (2, 197, 384),
        (
            Way("LayerDrop", stack(lambda p: td.nn.LayerDrop(mlp(), p))),
            Way("layer_dropout of x-transformers", stack(Coin), FORMULA),
        ),
        p=0.5,
        figure=None,
    ),
    Row(
        "drop_block2d, a mask a channel",
        MAP,
        (module("DropBlock2d", block_size=7), theirs("torchvision.ops:DropBlock2d", 7)),
    ),
    Row(
        "drop_block2d, a mask a sample",
        MAP,
        (
            Way(
                "DropBlock2d(per_channel=False)",
                lambda p: td.nn.DropBlock2d(p, block_size=7, per_channel=False),
            ),
            theirs("timm.layers:DropBlock2d", 7),
        ),
    ),
    Row(
        "drop_block3d",
        (8, 64, 16, 28, 28),
        (module("DropBlock3d", block_size=3), theirs("torchvision.ops:DropBlock3d", 3)),
    ),
    Row(
        "locked_dropout",
        (64, 70, 1150),
        (
            module("LockedDropout"),
            theirs("fastai.text.models.awdlstm:RNNDropout"),
            Way("LockedDropout of awd-lstm", awd_locked, FORMULA),
        ),
    ),
    Row(
        "embedding_dropout",
        (64, 70),
        (
            Way("EmbeddingDropout", lambda p: td.nn.EmbeddingDropout(table(), p)),
            Way(
                "EmbeddingDropout",
                lambda p: load("fastai.text.models.awdlstm:EmbeddingDropout")(table(), p).train(),
                "fastai",
            ),
            Way("embedded_dropout of awd-lstm", AwdEmbedding, FORMULA),
        ),
        make_input=words,
        probe=lambda: (torch.arange(VOCABULARY),),
    ),
    Row(
        "drop_connect",
        (64, 1024),
        (
            Way("drop_connect", lambda p: Connected(p, tdf.drop_connect)),
            Way("F.dropout of the weight", lambda p: Connected(p, F.dropout), "torch"),
        ),
        probe=identity,
        works=True,
    ),
    Row(
        "weight drop of an LSTM",
        (16, 35, 400),
        (
            Way("WeightDrop", lambda p: td.nn.WeightDrop(lstm(), p, "weight_hh_l0")),
            Way(
                "WeightDropout",
                lambda p: load("fastai.text.models.awdlstm:WeightDropout")(lstm(), p).train(),
                "fastai",
            ),
        ),
        p=0.5,
        figure=None,
        works=True,
    ),
    Row(
        "an LSTM with recurrent dropout",
        (16, 35, 256),
        (
            Way(
                "LSTM(recurrent_dropout)",
                lambda p: td.nn.LSTM(256, 256, batch_first=True, recurrent_dropout=p),
            ),
            Way("LSTM(recurrent_dropout)", KerasLSTM, "keras"),
        ),
        figure=None,
        edges=(0.0,),
        works=True,
    ),
    Row(
        "token_dropout",
        SEQUENCE,
        (module("TokenDropout", num_prefix_tokens=1), theirs("timm.layers:PatchDropout", 1)),
        p=0.5,
        figure=missing_tokens,
    ),
    Row(
        "n_m_dropout",
        HIDDEN,
        (
            Way("n_m_dropout(2, 4)", lambda p: lambda x: tdf.n_m_dropout(x, 2, 4)),
            Way("two of four by topk", lambda p: n_of_m, FORMULA),
        ),
        p=0.5,
        edges=(),
    ),
    Row(
        "attention",
        (8, 8, 512, 64),
        (
            Way("scaled_dot_product_attention", attention(tdf.scaled_dot_product_attention)),
            Way(
                "F.scaled_dot_product_attention", attention(F.scaled_dot_product_attention), "torch"
            ),
        ),
        inputs=3,
        probe=uniform_attention,
        works=True,
    ),
    Row(
        "concrete_dropout",
        (1024, 1024),
        (
            Way("concrete_dropout", lambda p: Concrete(p, tdf.concrete_dropout)),
            Way("the code of Gal et al.", lambda p: Concrete(p, relaxed), FORMULA),
        ),
        figure=lambda y: (y < 0.5).double().mean().item(),
        edges=(),
    ),
    Row(
        "a variational linear layer",
        HIDDEN,
        (
            Way("VariationalLinear", lambda p: td.nn.VariationalLinear(1024, 1024)),
            Way("the layer of Molchanov et al.", lambda p: Sparse(), FORMULA),
        ),
        figure=None,
        edges=(),
    ),
    Row(
        "multi-sample dropout",
        (256, 768),
        (
            Way("MultiSampleDropout", lambda p: td.nn.MultiSampleDropout(p, head(), samples=8)),
            Way("a loop over nn.Dropout", lambda p: Samples(p, torch.nn.Dropout), "torch"),
        ),
        p=0.5,
        figure=None,
    ),
)
