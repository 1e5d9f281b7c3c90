"""Dropout of single elements."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .._core import direct
from .._core.contract.layout import MaskLayout
from ..random import Key
from ._bernoulli import inverted
from ._call import apply
from ._override import overridden, overriding
from ._rate import Probabilities


def dropout(
    input: torch.Tensor,
    p: Probabilities = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    key: Key | None = None,
    generator: torch.Generator | None = None,
    broadcast_dims: Sequence[int] = (),
    layout: MaskLayout | None = None,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""Drop each element with probability p and scale the others by 1/(1-p); identity in eval.

    `y[i] = x[i] / (1 - p)` where kept, exactly 0 where dropped, so that `E[y] = x`. A drop-in for
    `torch.nn.functional.dropout`. The mask is a pure function of (key, p, logical index): it does
    not depend on dtype, memory layout, device, threads or the values. The backward regenerates it
    from the key, so that nothing of the size of the input is stored.

    Args:
        input: Floating-point or complex tensor of 16 bits or more.
        p: Drop probability in [0, 1]. At 1 the output and the gradient are 0. A tensor that
            broadcasts to the input is a probability for each element or feature, without a
            gradient; each has the bit that its own p gives it as a number. There is no compiled
            kernel for it, so it takes longer than the reference does with one number.
        training: False returns `input` itself.
        inplace: Write into `input` and return it.
        key: Names the mask; nothing is drawn. By default a call draws one 64-bit seed from torch's
            default CPU generator, so that `torch.manual_seed` governs it.
        generator: Draws the key from this generator instead.
        broadcast_dims: Dimensions along which all elements share one draw.
        layout: Mask indices of a shard or a micro-batch within a larger tensor.
        out: Written into and returned: a tensor of the input's shape, dtype and device, or the
            input itself. Refused where a gradient is required.

    Shape:
        Any; the output has the shape, dtype and device of the input.

    Raises:
        ArgumentTypeError: An argument has a type that is not accepted; also a `TypeError`.
        ArgumentValueError: p is NaN, outside [0, 1] or does not broadcast, both key and generator
            are given, or broadcast_dims or layout do not fit the input; also a `ValueError`.

    Example:
        >>> import torch, torchdropout as td
        >>> td.functional.dropout(torch.ones(8), 0.5, key=td.Key(0))
        tensor([2., 0., 2., 2., 2., 2., 2., 2.])

    Reference:
        N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting",
        JMLR 15 (2014); the inverted form, which scales in training.
    """
    # They are passed one by one: a tuple, made and unpacked, takes a twentieth of a small call.
    y = direct.dropout(input, p, (), training, inplace, key, generator, broadcast_dims, layout, out)
    if y is not None:
        return y
    rest = training, inplace, key, generator, broadcast_dims, layout, out
    if overridden(input):
        return overriding(dropout, input, p, rest)
    return apply(inverted(p, input), input, *rest, nested_ok=True)
