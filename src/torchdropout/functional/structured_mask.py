"""Masks that drop a fixed count of each group: n of m neighbours are kept, or n columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from .._core import ops
from .._core._validate import check_bool, is_integer, plain, wrong_type, wrong_value
from .._core.contract.layout import MaskLayout
from ..random import Key
from ._call import check_call
from ._fixed_count import check_dim, choice_map, count_kept, drop_to_count
from ._key import drawn
from ._override import overridable
from ._rate import Probability, Rate, check_probability, drops
from ._shards import by_parts
from .drop_path import Mode, check_mode


@overridable
def n_m_dropout(
    input: torch.Tensor,
    n: int = 2,
    m: int = 4,
    training: bool = True,
    *,
    dim: int = -1,
    scale_by_keep: bool = True,
    key: Key | None = None,
    generator: torch.Generator | None = None,
    broadcast_dims: Sequence[int] = (),
    layout: MaskLayout | None = None,
) -> torch.Tensor:
    r"""Keep n of each m neighbours along a dimension, drop the others; identity in eval.

    `y = x * m / n` at n of each group of m consecutive places, else 0; each choice of n
    of m is equally likely. 2 of 4, the default, is the pattern of structured sparsity that
    hardware multiplies at twice the speed. n is the number *kept*: an element is dropped with
    probability `p = 1 - n / m`.

    Args:
        input: Floating-point tensor.
        n: How many of a group are kept, from 1 to m.
        m: Size of a group.
        training: False returns `input` itself.
        dim: The dimension along which groups lie.
        scale_by_keep: False leaves kept elements as they are, instead of scaling by m / n.
        key: Names the mask; nothing is drawn.
        generator: Draws the key from this generator instead of torch's default one.
        broadcast_dims: Other dimensions, along which all elements share one choice.
        layout: Mask indices of a shard or a micro-batch within a larger tensor.

    Shape:
        Any with a multiple of m elements along dim; the output has the shape of the input.

    Raises:
        ArgumentTypeError: As in `dropout`; n, m or dim is not an integer, or the input is nested.
        ArgumentValueError: As in `dropout`; n is outside [1, m], the input has no such dimension or
            not a multiple of m along it, or broadcast_dims or layout share a choice along it.

    Example:
        >>> import torch, torchdropout as td
        >>> td.functional.n_m_dropout(torch.ones(2, 8), 2, 4, key=td.Key(0))
        tensor([[0., 2., 0., 2., 2., 0., 2., 0.],
                [2., 2., 0., 0., 2., 2., 0., 0.]])

    Reference:
        The pattern: A. Mishra et al., "Accelerating sparse deep neural networks",
        [arXiv:2104.08378](https://arxiv.org/abs/2104.08378), 2021.
    """
    n, m = check_n_of_m(n, m)
    x = check_call(input, training, key, generator, complex_ok=False)
    check_bool("scale_by_keep", scale_by_keep)
    at = check_dim(dim, x)
    if x.shape[at] % m != 0:
        wrong_value("input", f"of a multiple of m={m} elements along dimension {at}", x)
    base, strides = choice_map(x.shape, (), at, broadcast_dims, layout)
    if not training or n == m:
        return x

    def part(x: torch.Tensor, base: int, strides: Sequence[int]) -> torch.Tensor:
        with drawn(key, generator, x.device) as of_call:
            return drop_to_count(x, of_call, n, m, at, scale_by_keep, base, strides)

    y: torch.Tensor = by_parts(part, {"input": x}, base, strides, whole=(at,))
    return y


@overridable
def column_dropout(
    input: torch.Tensor,
    p: Probability = 0.5,
    training: bool = True,
    *,
    dim: int = -1,
    mode: Mode = "batch",
    scale_by_keep: bool = True,
    key: Key | None = None,
    generator: torch.Generator | None = None,
    layout: MaskLayout | None = None,
) -> torch.Tensor:
    r"""Drop a fixed count of columns, per call or per sample; identity in eval.

    Of the F columns along dim, `max(1, round(F * (1 - p)))` are kept, halves rounded to the even
    number, with all choices equally likely; they are scaled by F over that count, so that
    E[y] = x exactly also where `F * p` is not an integer. At p = 1 none is kept.

    Args:
        input: Floating-point tensor.
        p: Drop probability in [0, 1]: the share of the columns that is dropped.
        training: False returns `input` itself.
        dim: The dimension whose indices are the columns.
        mode: `"batch"`, the same columns everywhere in the input, or `"row"`, a choice
            for each index of the first dimension.
        scale_by_keep: False leaves kept elements as they are.
        key: Names the mask; nothing is drawn.
        generator: Draws the key from this generator instead of torch's default one.
        layout: Mask indices instead of those of the mode, for example of a shard.

    Shape:
        Any with one dimension or more; the output has the shape of the input.

    Raises:
        ArgumentTypeError: As in `dropout`; dim is not an integer, mode not a string, or the input
            is nested.
        ArgumentValueError: As in `dropout`; the input has no such dimension, mode is an unknown
            word or `"row"` where dim is the first dimension, or in training there are no columns.

    Example:
        >>> import torch, torchdropout as td
        >>> td.functional.column_dropout(torch.ones(2, 6), 0.5, key=td.Key(0))
        tensor([[0., 2., 0., 2., 2., 0.],
                [0., 2., 0., 2., 2., 0.]])

    Reference:
        A fixed share of the columns for each tree: T. K. Ho, "The random subspace method for
        constructing decision forests", IEEE TPAMI 20 (1998); XGBoost's `colsample_bytree`.
    """
    p = check_probability(p)
    x = check_call(input, training, key, generator, complex_ok=False)
    check_bool("scale_by_keep", scale_by_keep)
    at = check_dim(dim, x)
    if check_mode(mode) == "row" and at == 0:
        wrong_value("mode", "'batch' where the columns are those of the first dimension", mode)
    samples = (0,) if mode == "row" else ()
    shared = [d for d in range(x.ndim) if d != at and d not in samples]
    base, strides = choice_map(x.shape, shared, at, (), layout)
    size = x.shape[at]
    if training and size == 0:
        wrong_value("input", f"of one or more columns along dimension {at}, to keep one", x)
    if not (training and drops(p)):
        return x

    def part(x: torch.Tensor, base: int, strides: Sequence[int]) -> torch.Tensor:
        with drawn(key, generator, x.device) as of_call:
            if isinstance(p, Rate):
                return ops.counted_affine_of(
                    *(x, of_call, p.constants, size, at - x.ndim, scale_by_keep, base), strides
                )
            kept = count_kept(size, p) if p < 1.0 else 0
            return drop_to_count(x, of_call, kept, size, at, scale_by_keep, base, strides)

    y: torch.Tensor = by_parts(part, {"input": x}, base, strides, whole=(at,))
    return y


def check_n_of_m(n: Any, m: Any) -> tuple[int, int]:
    """Check how many of a group are kept, and its size."""
    for name, value in (("n", n), ("m", m)):
        if not is_integer(value):
            wrong_type(name, "an integer: n of each m neighbours are kept", value)
    if m < 1:
        wrong_value("m", "1 or more, the size of a group", m)
    if not 1 <= n <= m:
        wrong_value("n", f"in [1, {m}], how many of {m} are kept", n)
    return plain(n), plain(m)
