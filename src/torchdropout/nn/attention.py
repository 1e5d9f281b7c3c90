"""Multi-head attention whose probabilities are dropped by our masks."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, ClassVar

import torch
from torch.compiler import is_dynamo_compiling
from torch.nn import functional as torch_F

from .. import functional as F
from .._core import _torch
from .._core._validate import (
    REAL,
    check_count,
    check_dense,
    check_device,
    check_input,
    check_p,
    wrong_shape,
    wrong_type,
    wrong_value,
)
from .._core.contract.layout import MaskLayout, row_major
from ..errors import ArgumentValueError
from ..functional._attention import AttentionPlan, composed
from ..functional._autocast import autocast_dtype
from ..functional._bernoulli import inverted
from ..functional._indices import mask_map
from ..functional._key import check_key, undrawn_on_error
from ..functional._rate import drops
from ..random import Key
from ._module import RateModule


class MultiheadAttention(RateModule, torch.nn.MultiheadAttention):
    r"""`torch.nn.MultiheadAttention` whose `dropout` is exact, checked, and ours.

    In training with `dropout > 0` the attention probabilities are dropped as in
    `functional.scaled_dot_product_attention`. In eval, and with `dropout=0`, the forward *is*
    torch's, bit for bit. The arguments, parameters and keys of the `state_dict` are torch's.

    With `need_weights=True` the weights returned in training are those after dropout, scaled by
    1/(1-p), as torch's are; the masks do not depend on `need_weights`, but with it
    all probabilities are kept for the backward, and without it they are recomputed.

    Dropout that is on in a model in eval (Monte Carlo dropout) stays on: a
    `torch.nn.TransformerEncoderLayer` in eval has a fast path that skips this module, and does
    not use it if the module is in training, because `_qkv_same_embed_dim` then reads False. Make a
    `torch.nn.TransformerEncoder` with `enable_nested_tensor=False`: nested tensors are
    for that fast path only, and are refused in training.

    Args:
        embed_dim: Features of the model.
        num_heads: Heads; each has `embed_dim / num_heads` features.
        dropout: Drop probability of the attention probabilities, in [0, 1].
        bias: True for biases in the projections.
        add_bias_kv: True adds a learned key and value.
        add_zero_attn: True adds a key and value of zeros.
        kdim: Features of the keys; by default `embed_dim`.
        vdim: Features of the values; by default `embed_dim`.
        batch_first: True for `(N, L, E)` instead of `(L, N, E)`.
        device: Device of the parameters.
        dtype: Dtype of the parameters.

    Shape:
        As torch's: query `(L, N, E)`, key and value `(S, N, E)`, or with `batch_first=True`
        `(N, L, E)`, or without the batch; the output has query's shape, the weights are `(N, L, S)`
        or, with `average_attn_weights=False`, `(N, heads, L, S)`.

    Raises:
        ArgumentTypeError: dropout is not a number or a size not an integer; at a call in training,
            an argument has a type that is not accepted, or a dtype that is not that of the weights.
        ArgumentValueError: dropout is NaN or outside [0, 1], or embed_dim not a multiple of
            num_heads; at a call in training, sizes or devices do not fit.
        ShapeError: At a call in training, an input has the wrong number of features.

    Example:
        >>> import torch, torchdropout as td
        >>> layer = td.nn.MultiheadAttention(8, 2, dropout=0.1, batch_first=True)
        >>> x = torch.randn(3, 5, 8)
        >>> y, weights = layer(x, x, x)
        >>> y.shape, weights.shape
        (torch.Size([3, 5, 8]), torch.Size([3, 5, 5]))

    Reference:
        A. Vaswani et al., "Attention is all you need", NIPS 2017; PyTorch's module of that name.
    """

    _rate_name = "dropout"
    _given: ClassVar = {"dropout": partial(check_p, name="dropout")}

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        p = check_p(dropout, "dropout")
        for name, size in (("embed_dim", embed_dim), ("num_heads", num_heads)):
            check_count(name, size)
        if embed_dim % num_heads != 0:
            wrong_value("num_heads", f"a divisor of embed_dim, {embed_dim}", num_heads)
        for name, features in (("kdim", kdim), ("vdim", vdim)):
            if features is not None:
                check_count(name, features)
        super().__init__(
            *(embed_dim, num_heads, 0.0, bias, add_bias_kv, add_zero_attn, kdim, vdim, batch_first),
            device,
            dtype,
        )
        self.dropout = p  # only now: torch's constructor reads `_qkv_same_embed_dim`

    @property
    def _qkv_same_embed_dim(self) -> bool:
        # torch's encoder layers read this before they take their fast path around this module.
        return self._same_embed_dim and not (self.training and self.dropout > 0.0)

    @_qkv_same_embed_dim.setter
    def _qkv_same_embed_dim(self, value: bool) -> None:
        self._same_embed_dim = value

    def _constants(self) -> tuple[float, ...]:
        return inverted(self.dropout).constants

    def extra_repr(self) -> str:
        """The sizes, the drop probability and the order of dimensions."""
        return (
            f"embed_dim={self.embed_dim}, num_heads={self.num_heads}, dropout={self.dropout}, "
            f"batch_first={self.batch_first}"
        )

    def forward(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        key_padding_mask: torch.Tensor | None = None,
        need_weights: bool = True,
        attn_mask: torch.Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
        *,
        dropout_key: Key | None = None,
        layout: MaskLayout | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Like torch's forward, which describes the masks: True means *not* to attend.

        `dropout_key` names the mask of the dropout, so that nothing is drawn; `layout` holds its
        indices, of shape `(N, heads, L, S)`, for example those of a micro-batch.
        """
        check_key("dropout_key", dropout_key)
        p = self._traced_rate() if is_dynamo_compiling() else check_p(self.dropout, "dropout")
        if not (self.training and drops(p)):
            return super().forward(
                *(query, key, value, key_padding_mask, need_weights, attn_mask),
                average_attn_weights=average_attn_weights,
                is_causal=is_causal,
            )
        _check_shapes(query, key, value, self.batch_first)
        self._check_features(query, key, value)
        for name, given in (("key_padding_mask", key_padding_mask), ("attn_mask", attn_mask)):
            _check_mask(name, given, query)
        q, k, v = map(self._heads_apart, self._projected(query, key, value))
        lengths = q.shape[-2], k.shape[-2]
        mask, causal = self._mask(
            query, len(q), lengths, key_padding_mask, attn_mask, is_causal, need_weights
        )
        k, v, mask = self._further_keys(k, v, mask)
        with undrawn_on_error(dropout_key, None):
            weights: torch.Tensor | None = None
            if need_weights:
                scores = (*q.shape[:-1], k.shape[-2])
                base, strides = mask_map(scores, (), (), layout)
                strides = row_major(scores) if strides is None else strides
                factor = 1.0 / math.sqrt(self.head_dim)
                plan = AttentionPlan(inverted(p), factor, causal, base, tuple(strides))
                output, weights = composed(q, k, v, mask, plan, dropout_key)
                weights = weights.view(scores)
                weights = (weights.mean(1) if average_attn_weights else weights).to(q.dtype)
            else:
                output = F.scaled_dot_product_attention(
                    q, k, v, mask, p, causal, dropout_key=dropout_key, layout=layout
                )
            if query.ndim == 2:
                output = output.squeeze(0).transpose(0, 1)
                weights = None if weights is None else weights.squeeze(0)
            else:
                output = output.transpose(1, 2) if self.batch_first else output.permute(2, 0, 1, 3)
            return self.out_proj(output.flatten(-2)), weights

    def _check_features(self, query: Any, key: Any, value: Any) -> None:
        """Check what torch would refuse less clearly, when it multiplies by the weights."""
        if torch.jit.is_tracing():  # type: ignore[attr-defined]
            return  # sizes are tensors there
        weight = self.in_proj_weight if self._same_embed_dim else self.q_proj_weight
        typed = autocast_dtype(query) is None
        named = [("query", query, self.embed_dim)]
        if not (query is key is value):
            named += [("key", key, self.kdim), ("value", value, self.vdim)]
        for name, x, features in named:
            if x.shape[-1] != features:
                wrong_shape(name, f"of {features} features in its last dimension", x)
            if typed and x.dtype != weight.dtype:
                wrong_type(name, f"of the dtype of the weights, {weight.dtype}", x)
            check_device(name, x, weight.device, "on the device of the weights")

    def _projected(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
    ) -> list[torch.Tensor]:
        bias: Any = self.in_proj_bias
        if not self._same_embed_dim:
            biases = (None, None, None) if bias is None else bias.chunk(3)
            weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
            return [
                torch_F.linear(x, w, b)
                for x, w, b in zip((query, key, value), weights, biases, strict=True)
            ]
        weight = self.in_proj_weight
        # The projections of one tensor are one product.
        if key is value and query is key:
            return list(torch_F.linear(query, weight, bias).chunk(3, -1))
        parts: list[torch.Tensor] = []
        first = 0
        sources = ((query, 1), (key, 2)) if key is value else ((query, 1), (key, 1), (value, 1))
        for x, number in sources:
            rows = slice(first * self.embed_dim, (first + number) * self.embed_dim)
            y = torch_F.linear(x, weight[rows], None if bias is None else bias[rows])
            parts += y.chunk(number, -1)
            first += number
        return parts

    def _heads_apart(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, heads, length, features of a head)`."""
        if x.ndim == 2:
            x = x.unsqueeze(0)
        elif not self.batch_first:
            x = x.transpose(0, 1)
        return x.reshape(*x.shape[:2], self.num_heads, self.head_dim).transpose(1, 2)

    def _mask(
        self,
        query: torch.Tensor,
        batch: int,
        lengths: tuple[int, int],
        padding: torch.Tensor | None,
        mask: torch.Tensor | None,
        is_causal: bool,
        need_weights: bool,
    ) -> tuple[torch.Tensor | None, bool]:
        """Both masks as one that is added, and whether the causal flag replaces them."""
        if is_causal and mask is None:
            raise ArgumentValueError(
                "Expected `attn_mask` with `is_causal`, which only marks it as the causal one, "
                "got attn_mask=None (NoneType) and is_causal=True (bool)."
            )
        other = None if mask is None else mask.dtype
        padding = _torch.canonical_mask(
            padding, "key_padding_mask", other, "attn_mask", query.dtype
        )
        if is_causal and padding is None and not need_weights:
            return None, True
        mask = _torch.canonical_mask(mask, "attn_mask", None, "", query.dtype, False)
        if mask is not None:
            squares = (lengths, (batch * self.num_heads, *lengths))
            if not any(mask.shape == square for square in squares):  # `in` does not find a symbol
                wrong_value("attn_mask", f"of shape {squares[0]} or {squares[1]}", mask)
            lead = (1, 1) if mask.ndim == 2 else (batch, self.num_heads)
            mask = mask.reshape(*lead, *lengths)
        if padding is None:
            return mask, False
        if padding.ndim == 1:
            padding = padding.unsqueeze(0)
        if padding.shape != (batch, lengths[1]):
            expected = f"of shape {(batch, lengths[1])}, a value for each key"
            wrong_value("key_padding_mask", expected, padding)
        padding = padding[:, None, None]
        return padding if mask is None else mask + padding, False

    def _further_keys(
        self, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Append a learned key and one of zeros, as configured; no mask hides them."""
        shape = (len(k), self.num_heads, 1, self.head_dim)
        further: list[tuple[Any, Any]] = []
        if self.bias_k is not None and self.bias_v is not None:
            learned = (t.view(1, *shape[1:]).expand(shape) for t in (self.bias_k, self.bias_v))
            further.append(tuple(learned))  # type: ignore[arg-type]
        if self.add_zero_attn:
            further.append((k.new_zeros(shape), v.new_zeros(shape)))
        if further:
            more_k, more_v = zip(*further, strict=True)
            k, v = torch.cat([k, *more_k], 2), torch.cat([v, *more_v], 2)
            mask = None if mask is None else torch_F.pad(mask, (0, len(further)))
        return k, v, mask


def _check_mask(name: str, mask: Any, query: torch.Tensor) -> None:
    if mask is None:
        return
    if not isinstance(mask, torch.Tensor) or mask.dtype not in (torch.bool, *REAL):
        wrong_type(name, "a tensor of dtype bool or floating-point, or None", mask)
    check_dense(name, mask)
    check_device(name, mask, query.device, "on query's device")


def _check_shapes(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, batch_first: bool
) -> None:
    # Self-attention is checked once: under a mode, each attribute read is a call.
    named = {"query": query}
    if not (query is key is value):
        named |= {"key": key, "value": value}
    for name, x in named.items():
        check_input(x, name, complex_ok=False)
        if x.is_nested:
            wrong_type(
                name,
                "a tensor that is not nested, in training (make a torch.nn.TransformerEncoder "
                "with enable_nested_tensor=False)",
                x,
            )
        check_dense(name, x)
        if x.ndim not in (2, 3) or x.ndim != query.ndim:
            expected = "of 3 dimensions, or of 2 without a batch, as many as query"
            wrong_value(name, expected, x)
    if len(named) == 1:
        return
    if value.shape[:-1] != key.shape[:-1]:
        wrong_value("value", f"of key's length and batch, {tuple(key.shape[:-1])}", value)
    place = 0 if batch_first else 1
    if query.ndim == 3 and key.shape[place] != query.shape[place]:
        wrong_value("key", f"of query's batch, {query.shape[place]}", key)
