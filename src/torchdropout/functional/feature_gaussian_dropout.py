"""Gaussian dropout of whole channels."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .._core._validate import check_input
from .._core.contract.layout import MaskLayout
from ..random import Key
from ._call import apply
from ._override import overridable
from ._rate import Probability
from .feature_dropout import refuse_rank, spatial_dims
from .gaussian_dropout import noise_of


@overridable
def feature_gaussian_dropout(
    input: torch.Tensor,
    p: Probability = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    key: Key | None = None,
    generator: torch.Generator | None = None,
    broadcast_dims: Sequence[int] = (),
    layout: MaskLayout | None = None,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""Multiply whole channels by normal noise of dropout's variance, p/(1-p); identity in eval.

    `y[n, c, ...] = x[n, c, ...] * (1 + sqrt(p / (1 - p)) * e[n, c])` with `e ~ N(0, 1)`: the
    formula of `gaussian_dropout`, with one draw for each (sample, channel).

    Args:
        input: Floating-point tensor of 16 bits or more.
        p: Dropout's p, in [0, 1). At 1 the variance would be infinite.
        training: False returns `input` itself.
        inplace: Write into `input` and return it.
        key: Names the noise; nothing is drawn.
        generator: Draws the key from this generator instead of torch's default one.
        broadcast_dims: Further dimensions that share their noise, for example the batch.
        layout: Mask indices instead of those of the variant.
        out: Written into and returned; as in `dropout`.

    Shape:
        `(N, C, ...)`; the output has the shape, dtype and device of the input.

    Raises:
        ShapeError: In training, the input has fewer than two dimensions; also a `RuntimeError`.
        ArgumentTypeError: As in `gaussian_dropout`.
        ArgumentValueError: As in `gaussian_dropout`.

    Example:
        >>> import torch, torchdropout as td
        >>> td.functional.feature_gaussian_dropout(torch.ones(1, 3, 2), 0.2, key=td.Key(0))
        tensor([[[2.0086, 2.0086],
                 [1.5561, 1.5561],
                 [1.5186, 1.5186]]])

    Reference:
        N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting",
        JMLR 15 (2014), section 10; whole channels as in J. Tompson et al., "Efficient object
        localization using convolutional networks", CVPR 2015.
    """
    x = check_input(input, complex_ok=False, training=training)
    keyed_map = noise_of(p)
    if x.ndim < 2 and training and keyed_map.active:
        refuse_rank("feature_gaussian_dropout", x, "at least 2 dimensions", "(N, C, ...)")
    return apply(
        keyed_map,
        *(x, training, inplace, key, generator, broadcast_dims, layout, out),
        spatial_dims(x, channel=1),
    )
