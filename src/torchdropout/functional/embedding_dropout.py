"""Dropout of whole rows of an embedding: a word is kept everywhere in a batch, or nowhere."""

from __future__ import annotations

import math
from typing import Any

import torch

from .._core._validate import (
    check_bool,
    check_count,
    check_dense,
    check_number,
    wrong_type,
    wrong_value,
)
from .._core.contract.keep import scale as scale_of
from .._core.contract.layout import MaskLayout
from ..random import Key
from ._bernoulli import inverted
from ._call import check_call, compute
from ._indices import mask_map
from ._key import undrawn_on_error
from ._override import overridable
from ._rate import Probability, Rate, check_probability
from ._shards import are_spread, by_parts


@overridable
def embedding_dropout(
    input: torch.Tensor,
    weight: torch.Tensor,
    p: Probability = 0.1,
    training: bool = True,
    *,
    scale: float | None = None,
    padding_idx: int | None = None,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
    key: Key | None = None,
    generator: torch.Generator | None = None,
    layout: MaskLayout | None = None,
) -> torch.Tensor:
    r"""Look up words in a table whose rows are dropped with probability p; a look-up in eval.

    `y[i] = weight[input[i]] / (1 - p)` where that row is kept, else 0: one draw per table row,
    so that a word is kept or dropped wherever it occurs in the batch. The mask index is the number
    of the row: the draw of a word does not depend on which other words are looked up. Only rows
    that are looked up are read and scaled, and `weight` is never written to.

    Args:
        input: Words: an int64 or int32 tensor of row numbers.
        weight: The table, floating-point or complex.
        p: Drop probability in [0, 1].
        training: False looks up without dropping.
        scale: Multiplies the output too, in training and in eval.
        padding_idx: A row that gets no gradient; as in `torch.nn.functional.embedding`.
        scale_grad_by_freq: Divide gradients by the frequency of the words; as there.
        sparse: Make the gradient of `weight` a sparse tensor of the rows looked up; as there.
        key: Names the mask; nothing is drawn.
        generator: Draws the key from this generator instead of torch's default one.
        layout: Mask indices of the rows, of one dimension, for example of a shard of a larger
            table.

    Shape:
        input any, weight `(V, E)`; the output is `(*input.shape, E)`.

    Raises:
        ArgumentTypeError: An argument has a type that is not accepted.
        ArgumentValueError: As in `dropout`; weight does not have two dimensions, scale is
            infinite or NaN, or torch cannot compute the requested gradient of a DTensor.
        IndexError: A word is outside the table.

    Example:
        >>> import torch, torchdropout as td
        >>> words, table = torch.tensor([0, 1, 2, 1]), torch.ones(3, 2)
        >>> td.functional.embedding_dropout(words, table, 0.5, key=td.Key(0))
        tensor([[2., 2.],
                [0., 0.],
                [2., 2.],
                [0., 0.]])

    Reference:
        Y. Gal and Z. Ghahramani, "A theoretically grounded application of dropout in recurrent
        neural networks", NIPS 2016, section 4.2; `embedded_dropout` of AWD-LSTM.
    """
    check_words(input)
    p = check_probability(p)
    check_call(weight, training, key, generator, nested_ok=True, name="weight")
    if weight.is_nested or weight.ndim != 2:
        wrong_value("weight", "a table of 2 dimensions, (rows, features)", weight)
    check_dense("weight", weight)
    padding_idx = _check_padding(padding_idx, weight.shape[0])
    check_bool("scale_grad_by_freq", scale_grad_by_freq)
    check_bool("sparse", sparse)
    if are_spread({"input": input, "weight": weight}):
        _check_gradient(input, scale_grad_by_freq, sparse)
    # Look up before anything is drawn: torch refuses a word outside the table.
    found = torch.nn.functional.embedding(
        input, weight, padding_idx, scale_grad_by_freq=scale_grad_by_freq, sparse=sparse
    )
    return drop_rows(
        found,
        input,
        weight.shape[0],
        p,
        training,
        scale,
        key=key,
        generator=generator,
        layout=layout,
    )


def _check_gradient(words: Any, scale_grad_by_freq: bool, sparse: bool) -> None:
    """Check that torch computes the gradient of a table that is a DTensor."""
    if sparse:
        wrong_value("sparse", "False where the table is a DTensor", sparse)
    if scale_grad_by_freq and not all(p.is_replicate() for p in words.placements):
        expected = "False where the words are sharded, as torch counts only those of each process"
        wrong_value("scale_grad_by_freq", expected, scale_grad_by_freq)


def _check_padding(padding_idx: Any, rows: int) -> int | None:
    if padding_idx is None:
        return None
    row = check_count("padding_idx", padding_idx, -rows)
    if row >= rows:
        wrong_value("padding_idx", f"in [{-rows}, {rows}), a row of the table", padding_idx)
    return row


def check_words(words: Any, name: str = "input") -> None:
    """Check row numbers."""
    if not isinstance(words, torch.Tensor) or words.dtype not in (torch.int64, torch.int32):
        wrong_type(name, "a tensor of int64 or int32, the words", words)


@overridable
def drop_rows(
    found: torch.Tensor,
    words: torch.Tensor,
    rows: int,
    p: Probability,
    training: bool,
    scale: float | None = None,
    *,
    key: Key | None = None,
    generator: torch.Generator | None = None,
    layout: MaskLayout | None = None,
) -> torch.Tensor:
    """Drop rows of a table from the result of a look-up of words, which are checked before it.

    The mask has a bit for each row of the table, not for each word: that costs less than Philox on
    indices.
    """
    factor = _check_scale(scale)
    mask = mask_map((rows,), (), (), layout)
    keyed_map = inverted(p)
    if not (training and keyed_map.active):
        return found if scale is None else found * factor

    def part(found: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        # One element for each row; half precision is enough to tell which are dropped.
        ones = torch.ones((rows,), dtype=torch.bfloat16, device=found.device)
        scaled = found * ((p.constants[1] if isinstance(p, Rate) else scale_of(p)) * factor)
        with undrawn_on_error(key, generator):
            keep = compute(ones, keyed_map, *mask, key, generator).to(torch.bool)
            # A select, so that a value that is not finite in a dropped row gives 0, and a gradient
            # of 0.
            return torch.where(keep[words].unsqueeze(-1), scaled, 0.0)

    if not are_spread({"emb(words)": found, "words": words}):
        return part(found, words)
    # Every process draws for the whole table, so its part needs no base.
    tensors = {"emb(words)": found, "words": words.unsqueeze(-1)}
    y: torch.Tensor = by_parts(lambda x, w, *_: part(x, w.squeeze(-1)), tensors)
    return y


def _check_scale(scale: Any) -> float:
    if scale is None:
        return 1.0
    value = check_number("scale", "a number that multiplies the output, or None", scale)
    if not -math.inf < value < math.inf:
        wrong_value("scale", "finite", scale)
    return value
