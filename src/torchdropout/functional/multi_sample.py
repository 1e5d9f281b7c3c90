"""Several masks of one input, for a head that is trained on all of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from .._core._validate import (
    check_count,
    check_dense,
    check_input,
    check_word,
    refuse_nested,
)
from .._core.contract.layout import MaskLayout
from ..random import Key
from ._bernoulli import inverted
from ._call import apply
from ._override import overridable
from ._rate import Probability


@overridable
def multi_sample_dropout(
    input: torch.Tensor,
    p: Probability = 0.5,
    samples: int = 8,
    training: bool = True,
    *,
    key: Key | None = None,
    generator: torch.Generator | None = None,
    broadcast_dims: Sequence[int] = (),
    layout: MaskLayout | None = None,
) -> torch.Tensor:
    r"""Dropout of the same input with several masks, stacked: `y[s] = dropout(x)` by mask s.

    This is `dropout` of `input`, repeated along a new first dimension, with one key: sample s has
    the mask indices from `s * input.numel()` on. The gradient of `input` is the sum over the
    samples, and nothing is kept for the backward.

    Args:
        input: Floating-point or complex tensor.
        p: Drop probability in [0, 1].
        samples: How many masks, 1 or more.
        training: False drops nothing.
        key: Names the masks; nothing is drawn.
        generator: Draws the key from this generator instead of torch's default one.
        broadcast_dims: Dimensions of the output along which all elements share one draw; 0 is the
            dimension of the samples.
        layout: Mask indices of the output, for example of a micro-batch within a batch.

    Shape:
        Any; the output is `(samples, *input.shape)`. Where nothing is dropped (in eval or at
        `p=0`) it is a view of the input, expanded: do not write into it.

    Raises:
        ArgumentTypeError: As in `dropout`; samples is not an integer, or the input is a
            nested tensor.
        ArgumentValueError: As in `dropout`; samples is below 1.

    Example:
        >>> import torch, torchdropout as td
        >>> td.functional.multi_sample_dropout(torch.ones(5), 0.5, 3, key=td.Key(0))
        tensor([[2., 0., 2., 2., 2.],
                [2., 2., 2., 2., 2.],
                [0., 0., 0., 2., 2.]])

    Reference:
        H. Inoue, "Multi-sample dropout for accelerated training and better generalization", 2019,
        arXiv:1905.09788.
    """
    x = check_input(input, training=training)
    samples = check_count("samples", samples)
    if x.is_nested:
        refuse_nested("input", x)
    if training is True:
        check_dense("input", x)
    # The operator reads the expanded view and makes a new tensor: the copies are never made.
    repeated = x.expand(samples, *x.shape)
    return apply(inverted(p), repeated, training, False, key, generator, broadcast_dims, layout)


def check_reduce(reduce: Any) -> str:
    """Check how the outputs of the samples are reduced."""
    return check_word("reduce", reduce, "mean", "none")  # type: ignore[no-any-return]
