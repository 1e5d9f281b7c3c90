"""Dropout of whole tokens, as a module."""

from __future__ import annotations

from typing import Any

import torch
from torch.compiler import is_dynamo_compiling

from .. import functional as F
from .._core import _torch
from .._core._validate import check_bool
from ..functional.token_dropout import check_prefix
from ..random import Key
from ._module import DropoutModule, also_named


@also_named("prob")
class TokenDropout(DropoutModule):
    r"""Remove a fixed count of tokens from each sequence in training; the identity in eval.

    Of the L tokens after the prefix, `max(1, round(L * (1 - p)))` are kept, unscaled, and the
    output is shorter. The arguments are those of timm's `PatchDropout`, in its order and
    with its defaults: the first token is kept. timm's `prob` is another name of `p`, as an
    argument and as an attribute.

    Under `torch.compile` the length of the output is a constant of the graph until p is set to
    another value. From then on it is a symbolic size, and one graph serves all p above 0; without
    `fullgraph` the graph breaks where later code needs the number.

    Args:
        p: Drop probability in [0, 1]. At 1 one token is kept.
        num_prefix_tokens: How many tokens at the start are kept and not counted.
        ordered: True keeps the tokens in the order of the sequence, False returns them in random
            order.
        return_indices: True returns the places of the kept tokens too, counted after the prefix,
            or None where nothing was drawn.
        prob: Another name of p.

    Shape:
        `(N, num_prefix_tokens + L, ...)`; the output `(N, num_prefix_tokens + kept, ...)`.

    Raises:
        ArgumentTypeError: p is not a number, num_prefix_tokens not an integer, or a flag not a
            bool.
        ArgumentValueError: p is NaN, outside [0, 1] or given by both names, or num_prefix_tokens
            negative.

    Example:
        >>> import torch, torchdropout as td
        >>> td.nn.TokenDropout(0.5)(torch.ones(2, 197, 8)).shape
        torch.Size([2, 99, 8])

    Reference:
        Y. Liu et al., "PatchDropout: Economizing vision transformers using patch dropout", WACV
        2023.
    """

    prob: float
    _changes = False

    def __init__(
        self,
        p: float = 0.5,
        num_prefix_tokens: int = 1,
        ordered: bool = False,
        return_indices: bool = False,
        *,
        prob: float | None = None,
    ) -> None:
        super().__init__(p)
        self.num_prefix_tokens = check_prefix(num_prefix_tokens)
        self.ordered = check_bool("ordered", ordered)
        self.return_indices = check_bool("return_indices", return_indices)

    def _keep_in_step(self) -> None:
        before = self._rate
        super()._keep_in_step()
        if before is not None and before.constants[0] != self.p:
            vars(self)["_changes"] = True

    def _constants(self) -> tuple[float, ...]:
        return (self.p,)

    def extra_repr(self) -> str:
        """The drop probability, and other values that are not the default."""
        text = f"p={self.p}, num_prefix_tokens={self.num_prefix_tokens}"
        for name in ("ordered", "return_indices"):
            text += f", {name}=True" if getattr(self, name) else ""
        return text

    def forward(self, input: torch.Tensor, *, key: Key | None = None) -> Any:
        """`functional.token_dropout` with this module's state; `key` names the mask."""
        # A graph for one length is faster, and vmap has no rules for a symbolic size.
        traced = (
            is_dynamo_compiling()
            and self._changes
            and isinstance(input, torch.Tensor)
            and not _torch.is_batched(input)
        )
        return F.token_dropout(
            input,
            self._traced_rate() if traced else self.p,
            self.training,
            num_prefix_tokens=self.num_prefix_tokens,
            ordered=self.ordered,
            return_indices=self.return_indices,
            key=key,
        )
