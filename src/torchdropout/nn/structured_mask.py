"""Masks that drop a fixed count of each group, as modules."""

from __future__ import annotations

import torch
from torch.compiler import is_dynamo_compiling

from .. import functional as F
from .._core._validate import check_bool, is_integer, plain, wrong_type
from ..functional.drop_path import Mode, check_mode
from ..functional.structured_mask import check_n_of_m
from ..random import Key
from ._module import DropoutModule, WholeModule


def _check_dim(dim: int) -> int:
    if not is_integer(dim):
        wrong_type("dim", "an integer, a dimension of the input", dim)
    return plain(dim)


class NMDropout(WholeModule):
    r"""Keep n of each m neighbours along a dimension in training; the identity in eval.

    `y = x * m / n` at n of each group of m consecutive places, else 0. n and m fix
    what is dropped: `p`, `1 - n / m`, can be read but not set, and a `DropoutScheduler` does not
    change it.

    Args:
        n: How many of a group are kept, from 1 to m.
        m: Size of a group.
        dim: The dimension along which groups lie.
        scale_by_keep: False leaves kept elements as they are, instead of scaling by m / n.

    Shape:
        Any with a multiple of m elements along dim; the output has the shape of the input.

    Raises:
        ArgumentTypeError: n, m or dim is not an integer, or scale_by_keep not a bool.
        ArgumentValueError: m is below 1, or n outside [1, m].

    Example:
        >>> import torch, torchdropout as td
        >>> y = td.nn.NMDropout(2, 4)(torch.ones(3, 64))
        >>> (y != 0).view(3, 16, 4).sum(-1).unique()
        tensor([2])

    Reference:
        The pattern: A. Mishra et al., "Accelerating sparse deep neural networks",
        [arXiv:2104.08378](https://arxiv.org/abs/2104.08378), 2021.
    """

    def __init__(
        self, n: int = 2, m: int = 4, *, dim: int = -1, scale_by_keep: bool = True
    ) -> None:
        super().__init__()
        self.n, self.m = check_n_of_m(n, m)
        self.dim = _check_dim(dim)
        self.scale_by_keep = check_bool("scale_by_keep", scale_by_keep)

    @property
    def p(self) -> float:
        """The drop probability of an element."""
        return 1.0 - self.n / self.m

    def extra_repr(self) -> str:
        """Show n, m, and other values that are not the default."""
        text = f"n={self.n}, m={self.m}"
        text += f", dim={self.dim}" if self.dim != -1 else ""
        return text + ("" if self.scale_by_keep else ", scale_by_keep=False")

    def forward(self, input: torch.Tensor, *, key: Key | None = None) -> torch.Tensor:
        """`functional.n_m_dropout` with this module's state; `key` names the mask."""
        return F.n_m_dropout(
            input,
            self.n,
            self.m,
            self.training,
            dim=self.dim,
            scale_by_keep=self.scale_by_keep,
            key=key,
        )


class ColumnDropout(DropoutModule):
    r"""Drop a fixed count of columns in training, per call or per sample; identity in eval.

    Of the F columns along dim, `max(1, round(F * (1 - p)))` are kept and scaled by F over that
    count; none at p = 1.

    Args:
        p: Drop probability in [0, 1]: the share of the columns that is dropped.
        dim: The dimension whose indices are the columns.
        mode: `"batch"`, the same columns everywhere in the input, or `"row"`, a choice
            for each index of the first dimension.
        scale_by_keep: False leaves kept elements as they are.

    Shape:
        Any with one dimension or more; the output has the shape of the input.

    Raises:
        ArgumentTypeError: p is not a number, dim not an integer, mode not a string, or
            scale_by_keep not a bool.
        ArgumentValueError: p is NaN or outside [0, 1], or mode an unknown word.

    Example:
        >>> import torch, torchdropout as td
        >>> y = td.nn.ColumnDropout(0.25)(torch.ones(100, 8))
        >>> (y == 0).all(0).sum()
        tensor(2)

    Reference:
        A fixed share of the columns for each tree: T. K. Ho, "The random subspace method for
        constructing decision forests", IEEE TPAMI 20 (1998); XGBoost's `colsample_bytree`.
    """

    def __init__(
        self,
        p: float = 0.5,
        *,
        dim: int = -1,
        mode: Mode = "batch",
        scale_by_keep: bool = True,
    ) -> None:
        super().__init__(p)
        self.dim = _check_dim(dim)
        self.mode: Mode = check_mode(mode)
        self.scale_by_keep = check_bool("scale_by_keep", scale_by_keep)

    def _constants(self) -> tuple[float, ...]:
        return (self.p,)

    def extra_repr(self) -> str:
        """The drop probability, and other values that are not the default."""
        text = f"p={self.p}, mode={self.mode}"
        text += f", dim={self.dim}" if self.dim != -1 else ""
        return text + ("" if self.scale_by_keep else ", scale_by_keep=False")

    def forward(self, input: torch.Tensor, *, key: Key | None = None) -> torch.Tensor:
        """`functional.column_dropout` with this module's state; `key` names the mask."""
        p = self._traced_rate() if is_dynamo_compiling() else self.p
        return F.column_dropout(
            input,
            p,
            self.training,
            dim=self.dim,
            mode=self.mode,
            scale_by_keep=self.scale_by_keep,
            key=key,
        )
