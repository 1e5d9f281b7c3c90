"""DropBlock, as modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch.compiler import is_dynamo_compiling

from .. import functional as F
from .._core._validate import check_bool, check_p
from ..functional._blocks import block_constants
from ..functional.drop_block import Scale, check_block_size, check_eps, check_scale
from ..random import Key
from ._module import DropoutModule, also_named


@also_named("drop_prob")
class _DropBlock(DropoutModule):
    """The checked p, block_size, inplace and eps of the three, and how the mask is used."""

    drop_prob: float
    _dims: int
    _function: Callable[..., torch.Tensor]
    _given: ClassVar = {
        "p": check_p,
        "block_size": check_block_size,
        "eps": check_eps,
        "scale": check_scale,
    }

    def __init__(
        self,
        p: float = 0.1,
        block_size: int = 7,
        inplace: bool = False,
        eps: float = 1e-6,
        *,
        per_channel: bool = True,
        scale: Scale = "expectation",
        drop_prob: float | None = None,
    ) -> None:
        super().__init__(p, inplace)
        self.block_size = block_size
        self.eps = eps
        self.per_channel = check_bool("per_channel", per_channel)
        self.scale = scale

    def _constants(self) -> tuple[float, ...]:
        return block_constants(self.p, self._dims, self.block_size, self.eps)

    def extra_repr(self) -> str:
        """p, block_size and inplace as torchvision prints them, and other non-default values."""
        text = f"p={self.p}, block_size={self.block_size}, inplace={self.inplace}"
        if not self.per_channel:
            text += ", per_channel=False"
        return text if self.scale == "expectation" else f"{text}, scale={self.scale!r}"

    def forward(self, input: torch.Tensor, *, key: Key | None = None) -> torch.Tensor:
        """The function of this name in `functional`, with this state; `key` names the mask."""
        p = self._traced_rate() if is_dynamo_compiling() else self.p
        return type(self)._function(
            input,
            *(p, self.block_size, self.inplace, self.eps, self.training),
            per_channel=self.per_channel,
            scale=self.scale,
            key=key,
        )


class DropBlock1d(_DropBlock):
    r"""Drop stretches of a sequence with probability p in training; the identity in eval.

    Each place is dropped with probability p exactly, `y = x / (1 - p)` where it is kept. See
    `functional.drop_block1d`.

    Args:
        p: Probability in [0, 1] that a place is dropped.
        block_size: Length of a block, odd or even.
        inplace: Write into the input.
        eps: Added to the number of kept places if `scale="count"`; unused otherwise.
        per_channel: True for a mask for each channel, False for one that the channels of a sample
            share.
        scale: "expectation", or "count": by the number of kept places of the sample.
        drop_prob: timm's name of p; it is an attribute too.

    Shape:
        `(N, C, L)` or `(C, L)`; the output has the shape of the input.

    Raises:
        ArgumentTypeError: An argument has a type that is not accepted.
        ArgumentValueError: p is NaN, outside [0, 1] or given by both names, block_size is below 1,
            eps negative or not finite, or scale an unknown word; at the call in training,
            block_size is greater than the map.
        ShapeError: At the call, the input has the wrong number of dimensions.

    Example:
        >>> import torch, torchdropout as td
        >>> drop = td.nn.DropBlock1d(0.1, block_size=3)
        >>> drop
        DropBlock1d(p=0.1, block_size=3, inplace=False)
        >>> y = drop(torch.ones(64, 64, 128))
        >>> abs((y == 0).float().mean().item() - 0.1) < 0.01
        True

    Reference:
        G. Ghiasi, T.-Y. Lin, Q. V. Le, "DropBlock: A regularization method for convolutional
        networks", NeurIPS 2018.
    """

    _dims = 1
    _function = staticmethod(F.drop_block1d)


class DropBlock2d(_DropBlock):
    r"""Drop squares of a map with probability p in training; the identity in eval.

    `y = x / (1 - p)` where a place is kept: `DropBlock1d` in two dimensions, see
    `functional.drop_block2d`. The order of the arguments is that of
    `torchvision.ops.DropBlock2d`.

    Args:
        p: Probability in [0, 1] that a place is dropped.
        block_size: Side of a block, odd or even.
        inplace: Write into the input.
        eps: Added to the number of kept places if `scale="count"`; unused otherwise.
        per_channel: True for a mask for each channel, False for one that the channels of a sample
            share.
        scale: "expectation", or "count": by the number of kept places of the sample.
        drop_prob: timm's name of p; it is an attribute too.

    Shape:
        `(N, C, H, W)` or `(C, H, W)`; the output has the shape of the input.

    Raises:
        ShapeError: The input has the wrong number of dimensions; otherwise as in `DropBlock1d`.

    Example:
        >>> import torch, torchdropout as td
        >>> y = td.nn.DropBlock2d(0.1, block_size=3)(torch.ones(64, 64, 16, 16))
        >>> abs((y == 0).float().mean().item() - 0.1) < 0.01
        True

    Reference:
        As in `DropBlock1d`.
    """

    _dims = 2
    _function = staticmethod(F.drop_block2d)


class DropBlock3d(_DropBlock):
    r"""Drop cubes of a volume with probability p in training; the identity in eval.

    `y = x / (1 - p)` where a place is kept: `DropBlock1d` in three dimensions, see
    `functional.drop_block3d`. The order of the arguments is that of
    `torchvision.ops.DropBlock3d`.

    Args:
        p: Probability in [0, 1] that a place is dropped.
        block_size: Side of a block, odd or even.
        inplace: Write into the input.
        eps: Added to the number of kept places if `scale="count"`; unused otherwise.
        per_channel: True for a mask for each channel, False for one that the channels of a sample
            share.
        scale: "expectation", or "count": by the number of kept places of the sample.
        drop_prob: timm's name of p; it is an attribute too.

    Shape:
        `(N, C, D, H, W)` or `(C, D, H, W)`; the output has the shape of the input.

    Raises:
        ShapeError: The input has the wrong number of dimensions; otherwise as in `DropBlock1d`.

    Example:
        >>> import torch, torchdropout as td
        >>> y = td.nn.DropBlock3d(0.1, block_size=3)(torch.ones(64, 64, 8, 8, 8))
        >>> abs((y == 0).float().mean().item() - 0.1) < 0.01
        True

    Reference:
        As in `DropBlock1d`.
    """

    _dims = 3
    _function = staticmethod(F.drop_block3d)
