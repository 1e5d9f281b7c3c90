"""Dropout of a residual branch, as modules."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import torch
from torch.compiler import is_dynamo_compiling

from .. import functional as F
from .._core._validate import check_bool, check_p
from ..functional._bernoulli import inverted, unscaled
from ..functional.drop_path import Mode, check_mode
from ..random import Key
from ._module import DropoutModule, also_named


@also_named("drop_prob")
class DropPath(DropoutModule):
    r"""Drop the branch of whole samples with probability p in training; the identity in eval.

    `y[n] = x[n] / (1 - p)` where sample n is kept, else 0. The arguments are those of timm's
    `DropPath`, in its order; timm's `drop_prob` is another name of `p`, as an argument and as an
    attribute.

    Args:
        p: Drop probability in [0, 1].
        scale_by_keep: False leaves kept elements as they are, instead of scaling by 1 / (1 - p).
        drop_prob: Another name of p.

    Shape:
        `(N, ...)`; the output has the shape of the input.

    Raises:
        ArgumentTypeError: p is not a number, or scale_by_keep not a bool.
        ArgumentValueError: p is NaN or outside [0, 1], or given by both names.

    Example:
        >>> import torch, torchdropout as td
        >>> y = td.nn.DropPath(0.5)(torch.ones(4, 8, 16))
        >>> bool((y == y[:, :1, :1]).all())
        True

    Reference:
        G. Huang et al., "Deep networks with stochastic depth", ECCV 2016; by sample as in timm.
    """

    _given: ClassVar = {"p": check_p, "scale_by_keep": partial(check_bool, "scale_by_keep")}

    drop_prob: float

    def __init__(
        self, p: float = 0.0, scale_by_keep: bool = True, *, drop_prob: float | None = None
    ) -> None:
        super().__init__(p)
        self.scale_by_keep = scale_by_keep

    def _constants(self) -> tuple[float, ...]:
        keyed_map = inverted(self.p) if self.scale_by_keep else unscaled(self.p)
        return keyed_map.constants

    def extra_repr(self) -> str:
        """The drop probability, and whether kept samples are scaled."""
        return f"p={self.p}, scale_by_keep={self.scale_by_keep}"

    def forward(self, input: torch.Tensor, *, key: Key | None = None) -> torch.Tensor:
        """`functional.drop_path` with this module's p and mode; `key` names the mask."""
        p = self._traced_rate() if is_dynamo_compiling() else self.p
        return F.drop_path(input, p, self.training, self.scale_by_keep, key=key)


class StochasticDepth(DropoutModule):
    r"""Drop a branch with probability p in training, by sample or for the whole batch.

    `y[n] = x[n] / (1 - p)` where kept, else 0. The arguments are those of
    `torchvision.ops.StochasticDepth`; both must be given.

    Args:
        p: Drop probability in [0, 1].
        mode: `"row"`, a draw for each sample, or `"batch"`, one draw for each call.

    Shape:
        `(N, ...)`; the output has the shape of the input.

    Raises:
        ArgumentTypeError: p is not a number, or mode not a string.
        ArgumentValueError: p is NaN or outside [0, 1], or mode an unknown word.

    Example:
        >>> import torch, torchdropout as td
        >>> y = td.nn.StochasticDepth(0.5, "batch")(torch.ones(4, 8))
        >>> bool((y == y[0, 0]).all())
        True

    Reference:
        G. Huang et al., "Deep networks with stochastic depth", ECCV 2016.
    """

    def __init__(self, p: float, mode: Mode) -> None:
        super().__init__(p)
        self.mode: Mode = check_mode(mode)

    def extra_repr(self) -> str:
        """The drop probability and the mode."""
        return f"p={self.p}, mode={self.mode}"

    def forward(self, input: torch.Tensor, *, key: Key | None = None) -> torch.Tensor:
        """`functional.drop_path` with this module's p and mode; `key` names the mask."""
        p = self._traced_rate() if is_dynamo_compiling() else self.p
        return F.drop_path(input, p, self.training, mode=self.mode, key=key)
