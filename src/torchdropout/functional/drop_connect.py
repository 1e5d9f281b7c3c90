"""Dropout of a weight."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .._core.contract.layout import MaskLayout
from ..random import Key
from ._bernoulli import inverted
from ._call import apply
from ._override import overridable
from ._rate import Probabilities


@overridable
def drop_connect(
    input: torch.Tensor,
    p: Probabilities = 0.5,
    training: bool = True,
    *,
    key: Key | None = None,
    generator: torch.Generator | None = None,
    broadcast_dims: Sequence[int] = (),
    layout: MaskLayout | None = None,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""Drop each connection, an element of a weight, with probability p; identity in eval.

    `v[i, j] = w[i, j] / (1 - p)` where kept, else 0: plain dropout of a weight, and so the same for
    all samples of a batch and for all steps that read the result. The weight is not written to.

    Args:
        input: The weight, floating-point or complex.
        p: Drop probability in [0, 1], or a tensor of them, as in `dropout`.
        training: False returns `input` itself.
        key: Names the mask; nothing is drawn.
        generator: Draws the key from this generator instead of torch's default one.
        broadcast_dims: Dimensions along which all elements share one draw. `(1,)` drops whole rows
            of a matrix, all connections into a unit: AWD-LSTM's `variational=True`. `(0,)` drops
            whole columns.
        layout: Mask indices of a shard within a larger weight.
        out: Written into and returned; as in `dropout`.

    Shape:
        Any; the output has the shape of the input.

    Raises:
        ArgumentTypeError: As in `dropout`; the input is a nested tensor.
        ArgumentValueError: As in `dropout`.

    Example:
        >>> import torch, torchdropout as td
        >>> td.functional.drop_connect(torch.ones(2, 4), 0.5, key=td.Key(0))
        tensor([[2., 0., 2., 2.],
                [2., 2., 2., 2.]])

    Reference:
        L. Wan et al., "Regularization of neural networks using DropConnect", ICML 2013; scaled and
        drawn once a forward pass as in S. Merity et al., "Regularizing and optimizing LSTM language
        models", ICLR 2018.
    """
    drop = inverted(p, input)
    return apply(drop, input, training, False, key, generator, broadcast_dims, layout, out)
