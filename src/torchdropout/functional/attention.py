"""Attention whose probabilities are dropped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

# It is bound here, not looked up at the call: code that replaces torch's function by the
# one below would make it call itself.
from torch.nn.functional import scaled_dot_product_attention as torch_attention

from .._core._validate import (
    broadcasts,
    check_bool,
    check_device,
    check_generator,
    check_input,
    check_p,
    got,
    refuse_nested,
    wrong_type,
    wrong_value,
)
from .._core.contract.layout import MaskLayout, row_major
from ..errors import ArgumentValueError
from ..random import Key
from ._attention import (
    AttentionPlan,
    autocasts,
    blocks_possible,
    composed,
    in_blocks,
    is_small,
    plain_plan,
)
from ._bernoulli import inverted
from ._indices import mask_map
from ._key import check_key, drawn, undrawn_on_error
from ._override import given, handle, overridden
from ._part import Part
from ._rate import Probability, Rate
from ._shards import by_parts, is_spread, pieces


def scaled_dot_product_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: Probability = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
    dropout_key: Key | None = None,
    generator: torch.Generator | None = None,
    broadcast_dims: Sequence[int] = (),
    layout: MaskLayout | None = None,
) -> torch.Tensor:
    r"""`dropout(softmax(query key^T * scale + attn_mask)) value`: torch's attention, p exact.

    A drop-in for `torch.nn.functional.scaled_dot_product_attention`: with `dropout_p=0` it *is*
    torch's. Otherwise each probability is dropped with probability p, the others scaled by
    1/(1-p), with the mask that `dropout` gives a tensor of their shape, `(..., head, query, key)`.
    There is no `training`, as in torch: pass 0 in eval.

    The probabilities are computed in blocks, and recomputed in the backward, for which only
    query, key, value and mask are kept; on a CPU, 2**18 of them or fewer are computed at once and
    kept. Under `torch.compile`, `torch.func` and in forward mode this function is composed of
    torch's operations, which keep what they need. Half types are computed in float32 and rounded
    once.

    On a GPU a Triton kernel computes it in tiles, with the same mask. It keeps the output too, and
    rounds probabilities of half types before it multiplies them.

    Args:
        query: Floating-point tensor.
        key: The keys, of query's dtype.
        value: The values, of query's dtype.
        attn_mask: Bool, True where a query sees a key; or of query's dtype or float32, added to the
            scores. A query that sees no key gets zeros, and its gradients are 0.
        dropout_p: Drop probability in [0, 1].
        is_causal: True lets query i see the keys 0 to i. Not accepted with a mask.
        scale: Factor of the scores; by default `1 / sqrt(E)`.
        enable_gqa: True divides the heads of query among the fewer heads of key and value.
        dropout_key: Names the mask; nothing is drawn. Elsewhere in this library it is called
            `key`, which in torch's signature are the keys of attention.
        generator: Draws the key of the mask from this generator instead of torch's default one.
        broadcast_dims: Dimensions of the probabilities along which all share one draw; `(-2, -1)`
            drops whole heads.
        layout: Mask indices of the probabilities of a shard or a micro-batch within a larger call.

    Shape:
        query `(..., H, L, E)`, key `(..., H, S, E)`, value `(..., H, S, Ev)`; the output is
        `(..., H, L, Ev)`. Dimensions before the last two broadcast, and there may be none;
        attn_mask broadcasts to `(..., H, L, S)`.

    Raises:
        ArgumentTypeError: An argument has a type that is not accepted, or dtypes differ.
        ArgumentValueError: p is NaN or outside [0, 1], shapes or devices do not fit, a mask is
            given with is_causal, or dropout_key with generator.

    Example:
        >>> import torch, torchdropout as td
        >>> q, k, v = torch.zeros(2, 4), torch.zeros(4, 4), torch.eye(4)
        >>> td.functional.scaled_dot_product_attention(q, k, v, None, 0.5, dropout_key=td.Key(0))
        tensor([[0.5000, 0.0000, 0.5000, 0.5000],
                [0.5000, 0.5000, 0.5000, 0.5000]])

    Reference:
        A. Vaswani et al., "Attention is all you need", NIPS 2017, section 5.4, and its code; the
        signature and what is computed are those of PyTorch's function of that name.
    """
    if overridden(query, key, value, attn_mask):
        other: torch.Tensor = handle(
            scaled_dot_product_attention,
            (query, key, value, attn_mask),
            *(query, key, value, attn_mask, dropout_p, is_causal),
            **given(
                scale=scale,
                enable_gqa=enable_gqa or None,
                dropout_key=dropout_key,
                generator=generator,
                broadcast_dims=broadcast_dims or None,
                layout=layout,
            ),
        )
        return other
    check_bool("is_causal", is_causal)
    check_bool("enable_gqa", enable_gqa)
    check_scale(scale)
    if layout is None and type(broadcast_dims) is tuple and not broadcast_dims:
        plain = plain_plan(query, key, value, attn_mask, dropout_p, is_causal, scale)
        if plain is not None:
            _check_mask(attn_mask, query, (*query.shape[:-1], key.shape[-2]), is_causal)
            _check_source(dropout_key, generator, query)
            with undrawn_on_error(dropout_key, generator):
                return composed(query, key, value, attn_mask, plain, dropout_key, generator)[0]
    drop = inverted(dropout_p if isinstance(dropout_p, Rate) else check_p(dropout_p, "dropout_p"))
    query, key, value, attn_mask = _as_autocast(query, key, value, attn_mask)
    sizes = _check_tensors(query, key, value, enable_gqa)
    _check_mask(attn_mask, query, sizes.scores, is_causal)
    _check_source(dropout_key, generator, query)
    base, strides = mask_map(sizes.scores, (), broadcast_dims, layout)
    if not drop.active:
        return torch_attention(
            query, key, value, attn_mask, 0.0, is_causal, scale=scale, enable_gqa=enable_gqa
        )
    factor = 1.0 / math.sqrt(query.shape[-1] or 1) if scale is None else float(scale)

    def part(
        query: Any, key: Any, value: Any, attn_mask: Any, base: int, strides: Sequence[int] | None
    ) -> torch.Tensor:
        of_part = _sizes(query, key, value, enable_gqa) if spread else sizes
        plan = AttentionPlan(drop, factor, is_causal, base, _mask_strides(strides, sizes))
        q, k, v, mask = _with_heads(query, key, value, attn_mask, of_part)
        # Sizes are asked last: a compiler would make a graph of its own for some of them.
        if (
            blocks_possible(q, k, v, mask)
            and all(t.numel() for t in (q, k, v))
            and not is_small(q, k)
        ):
            with drawn(dropout_key, generator, q.device) as of_call:
                output = in_blocks(q, k, v, mask, plan, of_call)
        else:
            with undrawn_on_error(dropout_key, generator):
                output, _ = composed(q, k, v, mask, plan, dropout_key, generator)
        return output.reshape(*of_part.scores[:-1], value.shape[-1])

    tensors = {"query": query, "key": key, "value": value, "attn_mask": attn_mask}
    spread, whole = is_spread(query), [-2, -1]
    if spread and enable_gqa and not _groups_stay_whole(query, sizes):
        whole.append(-3)
    y: torch.Tensor = by_parts(part, tensors, base, strides, whole, sizes.scores)
    return y


def attention_of_passes(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None,
    dropout_p: float,
    is_causal: bool,
    keys: torch.Tensor,
    layout: Part,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor | None:
    """The attention of several passes, in blocks; None where it is computed in another way."""
    drop = inverted(check_p(dropout_p, "dropout_p"))
    # Fresh memory for a square is what costs most of a composition on a CPU.
    if not (drop.active and query.device.type == "cpu"):
        return None
    if not blocks_possible(query, key, value, attn_mask):
        return None
    query, key, value, attn_mask = _as_autocast(query, key, value, attn_mask)
    sizes = _check_tensors(query[0], key[0], value[0], enable_gqa)
    _check_mask(None if attn_mask is None else attn_mask[0], query[0], sizes.scores, is_causal)
    if math.prod(sizes.scores) * query.shape[-1] * value.shape[-1] == 0:
        return None
    factor = 1.0 / math.sqrt(query.shape[-1]) if scale is None else float(scale)
    base, strides = mask_map(sizes.scores, (), (), layout)
    plan = AttentionPlan(drop, factor, is_causal, base, _mask_strides(strides, sizes))
    q, k, v, mask = _with_heads(query, key, value, attn_mask, sizes, (len(keys),))
    output = in_blocks(q, k, v, mask, plan, keys)
    return output.reshape(len(keys), *sizes.scores[:-1], value.shape[-1])


# What autocast converts.
_NARROW = (torch.float32, torch.float16, torch.bfloat16)


class _Sizes(NamedTuple):
    """Sizes of the scores, `(..., L, S)`, and of the dimensions before the queries."""

    scores: tuple[int, ...]
    batch: tuple[int, ...]
    heads: int
    groups: int  # heads of key and value


def check_scale(scale: Any) -> None:
    """Check the factor of the scores."""
    if scale is None or isinstance(scale, (torch.SymFloat, torch.SymInt)):
        return
    if isinstance(scale, bool) or not isinstance(scale, (int, float)):
        wrong_type("scale", "a number or None", scale)


def _check_tensors(query: Any, key: Any, value: Any, enable_gqa: bool) -> _Sizes:
    named = {"query": query, "key": key, "value": value}
    for name, t in named.items():
        check_input(t, name, complex_ok=False)
        if t.is_nested:
            refuse_nested(name, t)
        if t.ndim < 2:
            wrong_value(name, "of 2 dimensions or more, (..., length, features)", t)
        if t.dtype != query.dtype:
            wrong_type(name, f"of query's dtype, {query.dtype}", t)
        check_device(name, t, query.device, "on query's device")
    return _sizes(query, key, value, enable_gqa)


def _sizes(query: Any, key: Any, value: Any, enable_gqa: bool) -> _Sizes:
    named = {"query": query, "key": key, "value": value}
    if key.shape[-1] != query.shape[-1]:
        wrong_value("key", f"of query's {query.shape[-1]} features", key)
    if value.shape[-2] != key.shape[-2]:
        wrong_value("value", f"of key's length, {key.shape[-2]}", value)
    leads = [tuple(t.shape[:-2]) for t in named.values()]
    length = (query.shape[-2], key.shape[-2])
    if enable_gqa:
        heads, groups = _check_groups(query, key, value)
        batch = _broadcast([lead[:-1] for lead in leads], named)
        return _Sizes((*batch, heads, *length), batch, heads, groups)
    lead = _broadcast(leads, named)
    if not lead:
        return _Sizes(length, (), 1, 1)
    of_key, of_value = (t.shape[-3] if t.ndim > 2 else 1 for t in (key, value))
    # One head of key and value serves all heads of query, without a copy for each.
    groups = of_key if of_key == of_value else lead[-1]
    return _Sizes((*lead, *length), lead[:-1], lead[-1], groups)


def _groups_stay_whole(query: torch.Tensor, sizes: _Sizes) -> bool:
    """Whether each process has all heads of query that its heads of key and value serve."""
    parts = pieces(query, -3)
    return sizes.groups in (1, sizes.heads) or sizes.groups % parts == 0


def _check_groups(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> tuple[int, int]:
    for name, t in (("query", query), ("key", key), ("value", value)):
        if t.ndim < 3:
            wrong_value(name, "of 3 dimensions or more with enable_gqa=True, for its heads", t)
    heads, groups = query.shape[-3], key.shape[-3]
    if value.shape[-3] != groups:
        wrong_value("value", f"of key's {groups} heads with enable_gqa=True", value)
    if groups == 0 or heads % groups != 0:
        expected = f"of a number of heads that divides query's {heads} with enable_gqa=True"
        wrong_value("key", expected, key)
    return heads, groups


def _broadcast(leads: Sequence[tuple[int, ...]], named: dict[str, Any]) -> tuple[int, ...]:
    if leads[0] == leads[1] == leads[2]:  # without torch's function, which imports sympy
        return leads[0]
    try:
        return tuple(torch.broadcast_shapes(*leads))
    except RuntimeError:
        pass
    all_got = ", ".join(f"{name}={tuple(t.shape)}" for name, t in named.items())
    raise ArgumentValueError(
        "Expected `query`, `key` and `value` to have batch dimensions and heads that broadcast, "
        f"got shapes {all_got}."
    )


def _check_mask(mask: Any, query: torch.Tensor, scores: tuple[int, ...], is_causal: bool) -> None:
    if mask is None:
        return
    if not isinstance(mask, torch.Tensor):
        wrong_type("attn_mask", "a tensor or None", mask)
    if mask.is_nested:
        refuse_nested("attn_mask", mask)
    if is_causal:
        raise ArgumentValueError(
            f"Expected `attn_mask` or `is_causal`, not both, {got('attn_mask', mask)} and "
            f"{got('is_causal', is_causal)}."
        )
    if mask.dtype not in (torch.bool, query.dtype, torch.float32):
        wrong_type("attn_mask", f"of dtype bool, {query.dtype} or float32", mask)
    check_device("attn_mask", mask, query.device, "on query's device")
    if not broadcasts(mask.shape, scores):
        wrong_value("attn_mask", f"of a shape that broadcasts to the scores', {scores}", mask)


def _check_source(key: Any, generator: Any, query: torch.Tensor) -> None:
    check_key("dropout_key", key)
    if generator is None:
        return
    check_generator(generator, query.device)
    if key is not None:
        raise ArgumentValueError(
            "Expected `dropout_key` or `generator`, not both: a key is used as it is and draws "
            f"nothing, {got('dropout_key', key)} and {got('generator', generator)}."
        )


def _as_autocast(query: Any, *others: Any) -> Any:
    """The arguments in the dtype that autocast gives them in torch's attention; not yet checked."""
    if not isinstance(query, torch.Tensor) or not autocasts(query.device):
        return query, *others
    dtype = torch.get_autocast_dtype(query.device.type)

    def cast(t: Any) -> Any:
        narrow = isinstance(t, torch.Tensor) and t.dtype in _NARROW and not t.is_nested
        return t.to(dtype) if narrow else t

    return cast(query), *map(cast, others)


def _mask_strides(strides: Sequence[int] | None, sizes: _Sizes) -> tuple[int, ...]:
    """Mask strides of the probabilities that have a dimension of heads, also where q has none."""
    strides = row_major(sizes.scores) if strides is None else strides
    return (*[0] * (3 - len(strides)), *strides)


def _with_heads(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    sizes: _Sizes,
    passes: tuple[int, ...] = (),
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """The tensors with all dimensions, each broadcast, and the mask with each of its size or 1."""
    ndim, first = max(3, len(sizes.scores)), len(passes)

    def lead(t: torch.Tensor) -> torch.Tensor:
        missing = first + ndim - t.ndim
        return t.reshape(*t.shape[:first], *[1] * missing, *t.shape[first:]) if missing else t

    def expand(t: torch.Tensor, heads: int) -> torch.Tensor:
        t = lead(t)
        shape = (*passes, *sizes.batch, heads, *t.shape[-2:])
        return t if t.shape == shape else t.expand(shape)

    q, k, v = (
        expand(t, heads)
        for t, heads in ((query, sizes.heads), (key, sizes.groups), (value, sizes.groups))
    )
    return q, k, v, None if mask is None else lead(mask)
