"""`dropout_add` and `dropout_add_backward`: the operators of a residual sum on a GPU.

They have no derivative: `direct` calls them, below an autograd function with one. If a transform
or a compiler observes, `functional` composes the sum from `masked_affine` and torch's operators.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from ..contract.keep import compute_dtype
from ..kernels import _check, add
from ..kernels.devices import register, sample
from ._library import TAGS, library

_MASK = "float p, float scale, SymInt base, SymInt[] strides"
library.define(
    f"dropout_add(Tensor x, Tensor key, Tensor residual, Tensor? bias, {_MASK}) -> Tensor",
    tags=TAGS,
)
library.define(
    f"dropout_add_backward(Tensor gradient, Tensor key, ScalarType dtype, bool summed, {_MASK}) "
    "-> (Tensor, Tensor)",
    tags=TAGS,
)


# `residual + (keep ? (x + bias) * scale : 0)`; see `kernels.add.dropout_add`.
dropout_add: Callable[..., torch.Tensor] = torch.ops.torchdropout.dropout_add.default


# The gradients of x and of the bias; see `kernels.add.dropout_add_backward`.
dropout_add_backward: Callable[..., tuple[torch.Tensor, torch.Tensor]] = (
    torch.ops.torchdropout.dropout_add_backward.default
)


def _fake_backward(
    gradient: torch.Tensor, key: torch.Tensor, dtype: torch.dtype, summed: bool, *rest: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    _check.check_sum_backward(gradient, key, dtype, summed, *rest)
    sums = gradient.new_empty(gradient.shape[-1] if summed else 0, dtype=compute_dtype(dtype))
    return torch.empty_like(gradient, dtype=dtype), sums


def _samples(
    x: torch.Tensor, key: torch.Tensor, residual: torch.Tensor, bias: Any, *rest: Any
) -> Iterator[tuple[Any, ...]]:
    p, scale, _base, _strides = rest
    rows = sample(x).view(30, 100)
    other, biases = sample(residual).flip(0).view(30, 100), bias
    if bias is not None:
        biases = sample(bias)[:100]
    yield rows, key, other, biases, p, scale, 2**34 - 1000, [100, 1]
    yield rows.t(), key, other.t(), None, p, scale, 2**35 - 999, [1, 100]


def _samples_backward(
    gradient: torch.Tensor, key: torch.Tensor, dtype: torch.dtype, summed: bool, *rest: Any
) -> Iterator[tuple[Any, ...]]:
    p, scale, _base, _strides = rest
    rows = sample(gradient).view(600, 5)
    yield rows, key, dtype, summed, p, scale, 2**34 - 1000, [5, 1]
    yield rows, key, dtype, summed, p, scale, 2**35 - 999, [1, 600]
    yield rows.view(30, 100), key, dtype, summed, p, scale, 2**35 - 960, [104, 1]


def _fake(x: torch.Tensor, key: torch.Tensor, residual: torch.Tensor, *rest: Any) -> torch.Tensor:
    _check.check_sum(x, key, residual, *rest)
    return torch.empty_like(residual)


register(library, "dropout_add", add.dropout_add, _check.check_sum, _samples)
register(
    library,
    "dropout_add_backward",
    add.dropout_add_backward,
    _check.check_sum_backward,
    _samples_backward,
)
torch.library.register_fake("torchdropout::dropout_add", _fake, lib=library)
torch.library.register_fake("torchdropout::dropout_add_backward", _fake_backward, lib=library)
