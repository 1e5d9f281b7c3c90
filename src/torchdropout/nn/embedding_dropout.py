"""Dropout of whole rows of an embedding, as a module around it."""

from __future__ import annotations

from typing import cast

import torch
from torch.compiler import is_dynamo_compiling
from torch.overrides import has_torch_function_unary

from .._core._validate import wrong_type
from ..functional._key import check_key
from ..functional._shards import are_spread, is_spread
from ..functional.embedding_dropout import check_words, drop_rows
from ..random import Key
from ._module import DropoutModule, also_named


@also_named("embed_p")
class EmbeddingDropout(DropoutModule):
    r"""An embedding whose rows are dropped with probability p in training; the embedding in eval.

    `y[i] = weight[words[i]] / (1 - p)` where that row is kept, else 0: a word is kept or dropped
    wherever it occurs in the batch. The embedding itself is called, with its hooks, its
    `padding_idx` and its other settings, and its weight is never written to (except by torch, if
    the embedding has a `max_norm`). A drop-in for fastai's `EmbeddingDropout`: the embedding is
    `emb`, the key of the `state_dict` is the same, `emb.weight`, and `embed_p` is another name of
    `p`, as an argument and as an attribute.

    Args:
        emb: The embedding, or a similar module whose `weight` has a row for each word.
        p: Drop probability in [0, 1].
        embed_p: Another name of p.

    Shape:
        words any; the output has one more dimension, that of the features.

    Raises:
        ArgumentTypeError: p is not a number, or emb is not such a module.
        ArgumentValueError: p is NaN or outside [0, 1], or given by both names.

    Example:
        >>> import torch, torchdropout as td
        >>> layer = td.nn.EmbeddingDropout(torch.nn.Embedding(100, 8), 0.5)
        >>> y = layer(torch.tensor([3, 4, 3]))
        >>> torch.equal(y[0], y[2])
        True

    Reference:
        Y. Gal and Z. Ghahramani, "A theoretically grounded application of dropout in recurrent
        neural networks", NIPS 2016, section 4.2.
    """

    embed_p: float

    def __init__(
        self, emb: torch.nn.Module, p: float = 0.1, *, embed_p: float | None = None
    ) -> None:
        super().__init__(p)
        if not isinstance(emb, torch.nn.Module) or not hasattr(emb, "weight"):
            wrong_type("emb", "a torch.nn.Embedding, or a module with its `weight`", emb)
        if isinstance(emb, torch.nn.EmbeddingBag):
            wrong_type("emb", "a module that gives a row for each word, and not for each bag", emb)
        self.emb = emb

    def extra_repr(self) -> str:
        """The drop probability."""
        return f"p={self.p}"

    def forward(
        self, words: torch.Tensor, scale: float | None = None, *, key: Key | None = None
    ) -> torch.Tensor:
        """The embedding of words, with rows dropped as in `functional.embedding_dropout`.

        Args:
            words: Row numbers.
            scale: Multiplies the output too, in training and in eval.
            key: Names the mask; nothing is drawn.
        """
        p = self._traced_rate() if is_dynamo_compiling() else self.p
        check_key("key", key)
        if isinstance(words, torch.Tensor) or not has_torch_function_unary(words):  # not a proxy
            check_words(words, "words")
        weight = cast("torch.Tensor", self.emb.weight)
        if is_spread(words):  # if they are not, a hook of the embedding may spread them
            are_spread({"words": words, "emb.weight": weight})
        found = self.emb(words)
        return drop_rows(found, words, weight.shape[0], p, self.training, scale, key=key)
