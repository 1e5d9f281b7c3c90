"""Dropout of a residual branch, by sample or for the whole batch."""

from __future__ import annotations

from typing import Any, Literal

import torch

from .._core._validate import check_bool, check_input, check_word
from .._core.contract.layout import MaskLayout
from ..random import Key
from ._bernoulli import apply_inverted, unscaled
from ._call import apply
from ._override import overridable
from ._rate import Probability

Mode = Literal["row", "batch"]


@overridable
def drop_path(
    input: torch.Tensor,
    p: Probability,
    training: bool,
    scale_by_keep: bool = True,
    *,
    mode: Mode = "row",
    key: Key | None = None,
    generator: torch.Generator | None = None,
    layout: MaskLayout | None = None,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""Drop the branch of whole samples with probability p (stochastic depth); identity in eval.

    `y[n] = x[n] / (1 - p)` where sample n is kept, else 0: one draw for each sample, or with
    `mode="batch"` one for all. The order of the arguments is timm's. `p` and `training` must be
    given, since defaults differ: timm has a rate of 0 and eval, torchvision training and no rate.

    Args:
        input: Floating-point or complex tensor: the branch, before it is added to the residual.
        p: Drop probability in [0, 1].
        training: False returns `input` itself.
        scale_by_keep: False leaves kept elements as they are, instead of scaling by 1 / (1 - p).
        mode: `"row"`, a draw for each index of the first dimension, or `"batch"`, one draw.
        key: Names the mask; nothing is drawn.
        generator: Draws the key from this generator instead of torch's default one.
        layout: Mask indices instead of those of the mode, for example of a shard.
        out: Written into and returned; as in `dropout`.

    Shape:
        `(N, ...)`, or without dimensions for one sample; the output has the shape of the input.

    Raises:
        ArgumentTypeError: As in `dropout`; scale_by_keep is not a bool, mode not a string, or the
            input is a nested tensor.
        ArgumentValueError: As in `dropout`; mode is an unknown word.

    Example:
        >>> import torch, torchdropout as td
        >>> td.functional.drop_path(torch.ones(3, 2), 0.5, True, key=td.Key(0))
        tensor([[2., 2.],
                [0., 0.],
                [2., 2.]])

    Reference:
        G. Huang et al., "Deep networks with stochastic depth", ECCV 2016 (one draw per batch); one
        draw per sample: G. Larsson et al., "FractalNet", ICLR 2017, and timm's `drop_path`.
    """
    x = check_input(input, training=training)
    check_bool("scale_by_keep", scale_by_keep)
    check_mode(mode)
    rest = training, False, key, generator, (), layout, out
    shared = tuple(range(1 if mode == "row" else 0, x.ndim))
    if scale_by_keep:
        return apply_inverted(x, p, shared, rest)
    return apply(unscaled(p), x, *rest, shared)


def check_mode(mode: Any) -> Mode:
    """Check what shares a draw: a sample, or the batch."""
    return check_word("mode", mode, "row", "batch")  # type: ignore[no-any-return]
