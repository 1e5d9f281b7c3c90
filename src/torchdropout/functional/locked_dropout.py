"""Dropout with one mask for all time steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from .._core._validate import check_dims, check_input, is_integer, plain, wrong_type, wrong_value
from .._core.contract.layout import MaskLayout
from ..random import Key
from ._bernoulli import apply_inverted
from ._override import overridable
from ._rate import Probability


@overridable
def locked_dropout(
    input: torch.Tensor,
    p: Probability = 0.5,
    training: bool = True,
    *,
    time_dim: int = 1,
    key: Key | None = None,
    generator: torch.Generator | None = None,
    broadcast_dims: Sequence[int] = (),
    layout: MaskLayout | None = None,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""Drop features of a sequence with one mask for all its time steps; identity in eval.

    `y[b, t, f] = x[b, t, f] / (1 - p)` where (b, f) is kept, else 0: a feature dropped at one step
    is dropped at every step, so that a recurrent network does not see a new mask at every step.

    Args:
        input: Floating-point or complex tensor.
        p: Drop probability in [0, 1].
        training: False returns `input` itself.
        time_dim: The time dimension: 1 for a batch-first sequence, 0 for a time-first one.
        key: Names the mask; nothing is drawn.
        generator: Draws the key from this generator instead of torch's default one.
        broadcast_dims: Further dimensions that share their draws, for example the batch.
        layout: Mask indices instead of those of the variant.
        out: Written into and returned; as in `dropout`.

    Shape:
        `(B, T, F)`, or any shape with the time dimension; the output has the shape of the input.

    Raises:
        ArgumentTypeError: As in `dropout`; time_dim is not an integer, or the input is a
            nested tensor.
        ArgumentValueError: As in `dropout`; the input has no such dimension.

    Example:
        >>> import torch, torchdropout as td
        >>> td.functional.locked_dropout(torch.ones(1, 2, 4), 0.5, key=td.Key(0))
        tensor([[[2., 0., 2., 2.],
                 [2., 0., 2., 2.]]])

    Reference:
        Y. Gal and Z. Ghahramani, "A theoretically grounded application of dropout in recurrent
        neural networks", NIPS 2016; "locked" in S. Merity et al., "Regularizing and optimizing LSTM
        language models", ICLR 2018.
    """
    x = check_input(input, training=training)
    check_time_dim(time_dim)
    if not -x.ndim <= time_dim < x.ndim:
        expected = f"a dimension in [{-x.ndim}, {x.ndim}) of a {x.ndim}-D input"
        wrong_value("time_dim", expected, time_dim)
    rest = training, False, key, generator, broadcast_dims, layout, out
    return apply_inverted(x, p, check_dims("time_dim", (time_dim,), x.ndim), rest)


def check_time_dim(time_dim: Any) -> int:
    """Check the time dimension before there is an input."""
    if not is_integer(time_dim):
        wrong_type("time_dim", "an integer, the dimension of time", time_dim)
    return plain(time_dim)
