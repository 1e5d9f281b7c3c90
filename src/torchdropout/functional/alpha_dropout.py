"""Dropout that keeps mean and variance for SELU networks: alpha_dropout, feature_alpha_dropout."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch.compiler import is_dynamo_compiling

from .._core import direct
from .._core._validate import check_input
from .._core.contract.layout import MaskLayout
from ..random import Key
from ._bernoulli import bernoulli, traced
from ._call import KeyedMap, apply
from ._override import overridden, overriding
from ._rate import Probability, Rate, check_probability
from .feature_dropout import refuse_rank, spatial_dims

# The dimensions that share a draw in `feature_alpha_dropout`, by the rank of the input.
_CHANNELS = (None, None, (), (2,), (2, 3), (2, 3, 4))


def alpha(p: Probability) -> KeyedMap:
    """Dropped elements become alpha', and an affine map restores mean 0 and variance 1."""
    p = check_probability(p)
    if isinstance(p, Rate):
        return traced(p)
    if is_dynamo_compiling():
        # p may be a symbol of the compiler, which rounds the root differently from Python and
        # then finds that its own guard does not hold. This makes it a number.
        p = float.fromhex(p.hex())
    if p == 1.0:
        # As in torch: with nothing kept there is no variance to restore.
        return bernoulli(p, 0.0, 0.0, 0.0)
    # -scale * alpha of SELU: its value at minus infinity. Not a global, which would be a symbol.
    alpha_prime = -1.7580993408473766
    a = 1.0 / math.sqrt((1.0 - p) * (1.0 + p * alpha_prime**2))
    b = -a * p * alpha_prime
    return bernoulli(p, a, b, a * alpha_prime + b)


def alpha_dropout(
    input: torch.Tensor,
    p: Probability = 0.5,
    training: bool = False,
    inplace: bool = False,
    *,
    key: Key | None = None,
    generator: torch.Generator | None = None,
    broadcast_dims: Sequence[int] = (),
    layout: MaskLayout | None = None,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""Dropout that keeps mean 0 and variance 1 of its input, for SELU networks.

    `y = a * x + b` where kept and `a * alpha' + b` where dropped, with `alpha' = -1.7580993...`,
    `a = ((1 - p)(1 + p * alpha'**2)) ** -1/2` and `b = -a * p * alpha'`. A drop-in for
    `torch.nn.functional.alpha_dropout`, with its default: `training` is **False unless given**,
    unlike in every other dropout.

    Args:
        input: Floating-point tensor.
        p: Drop probability in [0, 1]. At 1 the output and the gradient are 0.
        training: False returns `input` itself.
        inplace: Write into `input` and return it.
        key: Names the mask; nothing is drawn.
        generator: Draws the key from this generator instead of torch's default one.
        broadcast_dims: Dimensions along which all elements share one draw.
        layout: Mask indices of a shard or a micro-batch within a larger tensor.
        out: Written into and returned; as in `dropout`.

    Shape:
        Any; the output has the shape of the input.

    Raises:
        ArgumentTypeError: As in `dropout`; a complex input is refused too.
        ArgumentValueError: As in `dropout`.

    Example:
        >>> import torch, torchdropout as td
        >>> td.functional.alpha_dropout(torch.zeros(4), 0.5, True, key=td.Key(0))
        tensor([ 0.7792, -0.7792,  0.7792,  0.7792])

    Reference:
        G. Klambauer et al., "Self-normalizing neural networks", NeurIPS 2017.
    """
    rest = training, inplace, key, generator, broadcast_dims, layout, out
    y = direct.dropout(input, p, (), *rest, is_alpha=True)
    if y is not None:
        return y
    if overridden(input):
        return overriding(alpha_dropout, input, p, rest)
    return apply(alpha(p), input, *rest, complex_ok=False, nested_ok=True)


def feature_alpha_dropout(
    input: torch.Tensor,
    p: Probability = 0.5,
    training: bool = False,
    inplace: bool = False,
    *,
    key: Key | None = None,
    generator: torch.Generator | None = None,
    broadcast_dims: Sequence[int] = (),
    layout: MaskLayout | None = None,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""Alpha dropout of whole channels: one draw for each (sample, channel).

    The formula of `alpha_dropout`, with the draw shared along all dimensions but the first two. A
    drop-in for `torch.nn.functional.feature_alpha_dropout`, with its default: `training` is
    **False**.

    Args:
        input: Floating-point tensor.
        p: Drop probability in [0, 1]. At 1 the output and the gradient are 0.
        training: False returns `input` itself.
        inplace: Write into `input` and return it.
        key: Names the mask; nothing is drawn.
        generator: Draws the key from this generator instead of torch's default one.
        broadcast_dims: Further dimensions that share their draws, for example the batch.
        layout: Mask indices instead of those of the variant.
        out: Written into and returned; as in `dropout`.

    Shape:
        `(N, C, ...)`; the output has the shape of the input.

    Raises:
        ShapeError: In training, the input has fewer than two dimensions; also a `RuntimeError`.
        ArgumentTypeError: As in `dropout`; a complex input is refused too.
        ArgumentValueError: As in `dropout`.

    Example:
        >>> import torch, torchdropout as td
        >>> td.functional.feature_alpha_dropout(torch.zeros(1, 3, 2), 0.5, True, key=td.Key(0))
        tensor([[[ 0.7792,  0.7792],
                 [-0.7792, -0.7792],
                 [ 0.7792,  0.7792]]])

    Reference:
        G. Klambauer et al., "Self-normalizing neural networks", NeurIPS 2017; the channel-wise form
        is torch's.
    """
    rest = training, inplace, key, generator, broadcast_dims, layout, out
    y = direct.dropout(input, p, _CHANNELS, *rest, is_alpha=True)
    if y is not None:
        return y
    if overridden(input):
        return overriding(feature_alpha_dropout, input, p, rest)
    x = check_input(input, complex_ok=False, training=training)
    keyed_map = alpha(p)
    if x.ndim < 2 and training and keyed_map.active:
        refuse_rank("feature_alpha_dropout", x, "at least 2 dimensions", "(N, C, ...)")
    return apply(keyed_map, x, *rest, spatial_dims(x, channel=1), nested_ok=True)
