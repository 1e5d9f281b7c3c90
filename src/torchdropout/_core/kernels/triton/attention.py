"""Attention with dropped probabilities in Triton, forward and backward.

A program goes over tiles of the square of probabilities and keeps none of them: the backward
recomputes them from the scores and from two numbers of each query, the largest score and the
inverse of the sum of exponentials. The keep bits are those of the contract. The sums are in
float32, in the order of the tiles; probabilities and gradients of scores are rounded to the dtype
of the tensors before they are multiplied with these, as a tensor core takes them.
"""

# Triton reads the annotations of a kernel: no `from __future__ import annotations` here.

from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl

from ...contract.keep import PER_BLOCK
from .bernoulli import high_and_low, keep_of, keep_of_blocks
from .walk import (
    INTERPRETED,
    TYPES,
    at,
    bits,
    key_of,
    launching,
    merged,
    number,
    rounded,
    seed_and_stream,
    wide,
)

# How a tile of mask indices is computed: eight keys per Philox call that begins with one of them or
# between them, or one per call.
ALIGNED, SHIFTED, SINGLE = (tl.constexpr(how) for how in range(3))
# The term added to the scores: nothing, -inf where a bool is False, or a number.
NOTHING, SEEN, ADDED = (tl.constexpr(kind) for kind in range(3))

# Numbers that differ from call to call: a kernel is not compiled again for some of their values.
NUMBERS = ["seed", "stream", "tie", "low", "factor", "scale", "base", "step_query", "step_key"]
SIZES = ["heads", "queries", "keys"]


@triton.jit
def product(a, b):
    """The product of two matrices, summed in float32."""
    if INTERPRETED:  # it multiplies the bits of bfloat16
        a, b = a.to(tl.float32), b.to(tl.float32)
    return tl.dot(a, b, input_precision="ieee")


@triton.jit
def narrow(x, TYPE: tl.constexpr):
    """A matrix of float32 rounded to the type of the tensors."""
    return rounded(x, TYPE).to(TYPE, bitcast=True)


@triton.jit
def places(rows, step_row, step_feature, WIDTH: tl.constexpr):
    """The offsets of some rows of features."""
    features = tl.arange(0, WIDTH).to(tl.int64)
    return rows.to(tl.int64)[:, None] * step_row + features[None, :] * step_feature


@triton.jit
def inside(rows, n, FEATURES: tl.constexpr, WIDTH: tl.constexpr):
    """Which of them are inside a tensor of n rows."""
    if FEATURES == WIDTH:
        return rows[:, None] < n
    else:
        return (rows[:, None] < n) & (tl.arange(0, WIDTH)[None, :] < FEATURES)


@triton.jit
def load(X, rows, n, step_row, step_feature, FEATURES: tl.constexpr, WIDTH: tl.constexpr):
    """Some rows of a tensor, zeros outside of it."""
    offsets = places(rows, step_row, step_feature, WIDTH)
    return tl.load(X + offsets, mask=inside(rows, n, FEATURES, WIDTH), other=0.0)


@triton.jit
def store(X, rows, n, x, TYPE: tl.constexpr, FEATURES: tl.constexpr, WIDTH: tl.constexpr):
    """Write some rows of a contiguous tensor."""
    offsets = places(rows, FEATURES, 1, WIDTH)
    tl.store(X + offsets, narrow(x, TYPE), mask=inside(rows, n, FEATURES, WIDTH))


@triton.jit
def keep_of_tile(
    seed,
    stream,
    tie,
    low,
    first,
    step_query,
    step_key,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    HOW: tl.constexpr,
    TIES: tl.constexpr,
):
    """The keep bits of a tile, from the mask index of its first probability."""
    if HOW == SINGLE:
        i = tl.arange(0, ROWS * COLUMNS)
        row, column = (i // COLUMNS).to(tl.int64), (i % COLUMNS).to(tl.int64)
        keep = keep_of(seed, stream, tie, low, first + row * step_query + column * step_key)
    else:
        i = tl.arange(0, ROWS * COLUMNS // 8)
        row, eight = (i // (COLUMNS // 8)).to(tl.int64), (i % (COLUMNS // 8)).to(tl.int64)
        index = first + row * step_query + eight * 8
        if HOW == ALIGNED:
            keep = keep_of_blocks(seed, stream, tie, low, index >> 3, TIES)
        else:
            skip = (index & 7).to(tl.int32)
            keep = keep_of_blocks(seed, stream, tie, low, index >> 3, TIES, skip)
    return keep.reshape(ROWS, COLUMNS)


@triton.jit
def masked(
    scores,
    MASK,
    query,
    key,
    queries,
    keys,
    step_mask_query,
    step_mask_key,
    CAUSAL: tl.constexpr,
    KIND: tl.constexpr,
):
    """The scores of a tile with the mask; -inf where a query does not see a key."""
    sees = key < keys
    if CAUSAL:
        sees = sees & (key <= query)
    if KIND != NOTHING:
        offsets = query.to(tl.int64) * step_mask_query + key.to(tl.int64) * step_mask_key
        mask = tl.load(MASK + offsets, mask=sees & (query < queries), other=0)
        if KIND == SEEN:
            sees = sees & (mask != 0)
        else:
            scores = scores + mask.to(tl.float32)
    return tl.where(sees, scores, -float("inf"))


@triton.jit(do_not_specialize=[*NUMBERS, *SIZES])
def forward(
    Q,
    K,
    V,
    MASK,
    OUT,
    ROWS,
    seed: "i64",
    stream: "i64",
    tie: "i32",
    low: "i32",
    factor: "i64",
    scale: "i64",
    base: "i64",
    step_query: "i64",
    step_key: "i64",
    step_head: "i64",
    heads: "i32",
    queries: "i32",
    keys: "i32",
    rows_in_all: "i64",
    sizes,
    steps_q,
    steps_k,
    steps_v,
    steps_mask,
    steps_index,
    of_q,
    of_k,
    of_v,
    of_mask,
    M: tl.constexpr,
    N: tl.constexpr,
    FEATURES: tl.constexpr,
    VALUES: tl.constexpr,
    WIDTH: tl.constexpr,
    WIDTH_V: tl.constexpr,
    TYPE: tl.constexpr,
    HOW: tl.constexpr,
    TIES: tl.constexpr,
    CAUSAL: tl.constexpr,
    KIND: tl.constexpr,
):
    """A program has M queries of a head, and goes over the keys that they see."""
    base = wide(base)
    step_query, step_key = wide(step_query), wide(step_key)
    tiles = (queries + M - 1) // M
    number_of_head = tl.program_id(0) // tiles
    # The longest rows of causal attention come first.
    m = (tiles - 1 - tl.program_id(0) % tiles) * M
    group, head = number_of_head // heads, (number_of_head % heads).to(tl.int64)
    Q += at(group, sizes, steps_q) + head * of_q[0]
    K += at(group, sizes, steps_k)
    V += at(group, sizes, steps_v)
    MASK += at(group, sizes, steps_mask) + head * of_mask[0]
    first = base + at(group, sizes, steps_index) + head * wide(step_head) + m * wide(step_query)
    rows = m + tl.arange(0, M)
    q = load(Q, rows, queries, of_q[1], of_q[2], FEATURES, WIDTH)
    largest = tl.full((M,), -float("inf"), tl.float32)
    total = tl.zeros((M,), tl.float32)
    out = tl.zeros((M, WIDTH_V), tl.float32)
    end = keys
    if CAUSAL:
        end = tl.minimum(keys, m + M)
    for n in range(0, end, N):
        columns = n + tl.arange(0, N)
        k = load(K, columns, keys, of_k[0], of_k[1], FEATURES, WIDTH)
        v = load(V, columns, keys, of_v[0], of_v[1], VALUES, WIDTH_V)
        scores = product(q, tl.trans(k)) * number(factor, tl.float32)
        scores = masked(
            scores,
            MASK,
            rows[:, None],
            columns[None, :],
            queries,
            keys,
            of_mask[1],
            of_mask[2],
            CAUSAL,
            KIND,
        )
        higher = tl.maximum(largest, tl.max(scores, axis=1))
        # A query that has seen no key yet has no largest score to subtract.
        shift = tl.where(higher == -float("inf"), 0.0, higher)
        weights = tl.exp(scores - shift[:, None])
        before = tl.exp(largest - shift)
        total = total * before + tl.sum(weights, axis=1)
        own_seed, own_stream = key_of(seed, stream)  # here: elsewhere registers would be spilled
        keep = keep_of_tile(
            own_seed,
            own_stream,
            tie,
            low,
            first + n * wide(step_key),
            step_query,
            step_key,
            M,
            N,
            HOW,
            TIES,
        )
        weights = tl.where(keep, weights, 0.0)
        out = out * before[:, None] + product(narrow(weights, TYPE), v)
        largest = higher
    dead = largest == -float("inf")
    largest = tl.where(dead, 0.0, largest)
    inverse = tl.where(dead, 0.0, 1.0 / tl.where(dead, 1.0, total))
    out = out * (inverse * number(scale, tl.float32))[:, None]
    start = number_of_head.to(tl.int64) * queries
    store(OUT + start * VALUES, rows, queries, out, TYPE, VALUES, WIDTH_V)
    tl.store(ROWS + start + rows, largest, mask=rows < queries)
    tl.store(ROWS + wide(rows_in_all) + start + rows, inverse, mask=rows < queries)


@triton.jit(do_not_specialize=[*NUMBERS, "inverse_scale", *SIZES])
def of_queries(
    Q,
    K,
    V,
    MASK,
    OUT,
    G,
    ROWS,
    Q_GRADIENT,
    seed: "i64",
    stream: "i64",
    tie: "i32",
    low: "i32",
    factor: "i64",
    scale: "i64",
    inverse_scale: "i64",
    base: "i64",
    step_query: "i64",
    step_key: "i64",
    step_head: "i64",
    heads: "i32",
    queries: "i32",
    keys: "i32",
    rows_in_all: "i64",
    sizes,
    steps_q,
    steps_k,
    steps_v,
    steps_g,
    steps_mask,
    steps_index,
    of_q,
    of_k,
    of_v,
    of_g,
    of_mask,
    M: tl.constexpr,
    N: tl.constexpr,
    FEATURES: tl.constexpr,
    VALUES: tl.constexpr,
    WIDTH: tl.constexpr,
    WIDTH_V: tl.constexpr,
    TYPE: tl.constexpr,
    HOW: tl.constexpr,
    TIES: tl.constexpr,
    CAUSAL: tl.constexpr,
    KIND: tl.constexpr,
):
    """The gradient of q: a program has M queries of a head. It also writes what `of_keys` needs."""
    seed, stream = key_of(seed, stream)
    base = wide(base)
    step_query, step_key, rows_in_all = wide(step_query), wide(step_key), wide(rows_in_all)
    tiles = (queries + M - 1) // M
    number_of_head = tl.program_id(0) // tiles
    m = (tiles - 1 - tl.program_id(0) % tiles) * M
    group, head = number_of_head // heads, (number_of_head % heads).to(tl.int64)
    Q += at(group, sizes, steps_q) + head * of_q[0]
    K += at(group, sizes, steps_k)
    V += at(group, sizes, steps_v)
    G += at(group, sizes, steps_g) + head * of_g[0]
    MASK += at(group, sizes, steps_mask) + head * of_mask[0]
    first = base + at(group, sizes, steps_index) + head * wide(step_head) + m * wide(step_query)
    start = number_of_head.to(tl.int64) * queries
    rows = m + tl.arange(0, M)
    q = load(Q, rows, queries, of_q[1], of_q[2], FEATURES, WIDTH)
    g = load(G, rows, queries, of_g[1], of_g[2], VALUES, WIDTH_V)
    out = load(OUT + start * VALUES, rows, queries, VALUES, 1, VALUES, WIDTH_V)
    # Gradients of scores are divided by the scale of dropout until they have been summed.
    mean = tl.sum(out.to(tl.float32) * g.to(tl.float32), axis=1)
    mean = mean * number(inverse_scale, tl.float32)
    ROWS += start + rows
    tl.store(ROWS + 2 * rows_in_all, mean, mask=rows < queries)
    largest = tl.load(ROWS, mask=rows < queries, other=0.0)
    inverse = tl.load(ROWS + rows_in_all, mask=rows < queries, other=0.0)
    gradient = tl.zeros((M, WIDTH), tl.float32)
    end = keys
    if CAUSAL:
        end = tl.minimum(keys, m + M)
    for n in range(0, end, N):
        columns = n + tl.arange(0, N)
        k = load(K, columns, keys, of_k[0], of_k[1], FEATURES, WIDTH)
        v = load(V, columns, keys, of_v[0], of_v[1], VALUES, WIDTH_V)
        scores = product(q, tl.trans(k)) * number(factor, tl.float32)
        scores = masked(
            scores,
            MASK,
            rows[:, None],
            columns[None, :],
            queries,
            keys,
            of_mask[1],
            of_mask[2],
            CAUSAL,
            KIND,
        )
        weights = tl.exp(scores - largest[:, None]) * inverse[:, None]
        keep = keep_of_tile(
            seed,
            stream,
            tie,
            low,
            first + n * wide(step_key),
            step_query,
            step_key,
            M,
            N,
            HOW,
            TIES,
        )
        of_weights = tl.where(keep, product(g, tl.trans(v)), 0.0)
        of_scores = weights * (of_weights - mean[:, None])
        gradient += product(narrow(of_scores, TYPE), k)
    gradient = gradient * (number(factor, tl.float32) * number(scale, tl.float32))
    store(Q_GRADIENT + start * FEATURES, rows, queries, gradient, TYPE, FEATURES, WIDTH)


@triton.jit(do_not_specialize=[*NUMBERS, *SIZES])
def of_keys(
    Q,
    K,
    V,
    MASK,
    G,
    ROWS,
    K_GRADIENT,
    V_GRADIENT,
    seed: "i64",
    stream: "i64",
    tie: "i32",
    low: "i32",
    factor: "i64",
    scale: "i64",
    base: "i64",
    step_query: "i64",
    step_key: "i64",
    step_head: "i64",
    heads: "i32",
    queries: "i32",
    keys: "i32",
    rows_in_all: "i64",
    sizes,
    steps_q,
    steps_k,
    steps_v,
    steps_g,
    steps_mask,
    steps_index,
    of_q,
    of_k,
    of_v,
    of_g,
    of_mask,
    M: tl.constexpr,
    N: tl.constexpr,
    FEATURES: tl.constexpr,
    VALUES: tl.constexpr,
    WIDTH: tl.constexpr,
    WIDTH_V: tl.constexpr,
    TYPE: tl.constexpr,
    HOW: tl.constexpr,
    TIES: tl.constexpr,
    CAUSAL: tl.constexpr,
    KIND: tl.constexpr,
):
    """The gradients of k and v: a program has N keys, and goes over all queries that see them.

    Its tiles are transposed, so that no product takes a transposed tile of probabilities.
    """
    seed, stream = key_of(seed, stream)
    base = wide(base)
    step_query, step_key, rows_in_all = wide(step_query), wide(step_key), wide(rows_in_all)
    step_head = wide(step_head)
    tiles = (keys + N - 1) // N
    group = tl.program_id(0) // tiles
    n = (tl.program_id(0) % tiles) * N
    columns = n + tl.arange(0, N)
    Q += at(group, sizes, steps_q)
    G += at(group, sizes, steps_g)
    MASK += at(group, sizes, steps_mask)
    first = base + at(group, sizes, steps_index) + n * wide(step_key)
    k_at, v_at = at(group, sizes, steps_k), at(group, sizes, steps_v)
    k = load(K + k_at, columns, keys, of_k[0], of_k[1], FEATURES, WIDTH)
    v = load(V + v_at, columns, keys, of_v[0], of_v[1], VALUES, WIDTH_V)
    k_gradient = tl.zeros((N, WIDTH), tl.float32)
    v_gradient = tl.zeros((N, WIDTH_V), tl.float32)
    begin = 0
    if CAUSAL:
        begin = n // M * M
    for head in range(heads):
        start = (group.to(tl.int64) * heads + head) * queries
        own_q, own_g = Q + wide(head) * of_q[0], G + wide(head) * of_g[0]
        own_mask = MASK + wide(head) * of_mask[0]
        for m in range(begin, queries, M):
            rows = m + tl.arange(0, M)
            q = load(own_q, rows, queries, of_q[1], of_q[2], FEATURES, WIDTH)
            g = load(own_g, rows, queries, of_g[1], of_g[2], VALUES, WIDTH_V)
            own = ROWS + start + rows
            largest = tl.load(own, mask=rows < queries, other=0.0)
            inverse = tl.load(own + rows_in_all, mask=rows < queries, other=0.0)
            mean = tl.load(own + 2 * rows_in_all, mask=rows < queries, other=0.0)
            scores = product(k, tl.trans(q)) * number(factor, tl.float32)
            scores = masked(
                scores,
                own_mask,
                rows[None, :],
                columns[:, None],
                queries,
                keys,
                of_mask[1],
                of_mask[2],
                CAUSAL,
                KIND,
            )
            weights = tl.exp(scores - largest[None, :]) * inverse[None, :]
            keep = keep_of_tile(
                seed,
                stream,
                tie,
                low,
                first + head * step_head + m * wide(step_query),
                step_query,
                step_key,
                M,
                N,
                HOW,
                TIES,
            )
            keep = tl.trans(keep)
            dropped = tl.where(keep, weights, 0.0)
            v_gradient += product(narrow(dropped, TYPE), g)
            of_weights = tl.where(keep, product(v, tl.trans(g)), 0.0)
            of_scores = weights * (of_weights - mean[None, :])
            k_gradient += product(narrow(of_scores, TYPE), q)
    k_gradient = k_gradient * (number(factor, tl.float32) * number(scale, tl.float32))
    v_gradient = v_gradient * number(scale, tl.float32)
    start = group.to(tl.int64) * keys
    store(K_GRADIENT + start * FEATURES, columns, keys, k_gradient, TYPE, FEATURES, WIDTH)
    store(V_GRADIENT + start * VALUES, columns, keys, v_gradient, TYPE, VALUES, WIDTH_V)


def tiles(kernel: str, width: int, wide: bool, how: int, masked: bool) -> dict[str, int]:
    """Queries and keys of a tile, and the warps that share it, so that no register is spilled.

    Args:
        kernel: Its name.
        width: The larger number of features, rounded up to a power of 2.
        wide: Whether the tensors are of float32.
        how: One of ALIGNED, SHIFTED and SINGLE.
        masked: Whether there is a mask.
    """
    few, even = width <= 64, how == ALIGNED.value and not masked
    m, n, warps, stages = 64, 64, 4 if few else 8, 2
    if masked:
        m, n, stages = 32 if few else 64, 32, 1 if few else 2
    if wide:
        m, n, warps, stages = 16 if kernel == "of_keys" else 32, 32, 8, 1
    elif how == SINGLE.value:
        m, n, stages = 32, 32, 1
    elif kernel == "of_queries":
        m, n, stages = 32, 64 if few and even else 32, 1
        if not masked and not (few and even):
            m = 64
    elif kernel == "of_keys":  # it holds two sums
        m, n, stages = 32, 64 if even and few else 32, 1
        if few and not even and not masked:
            m, n = 16, 64
    if not INTERPRETED and triton.runtime.driver.active.get_current_target().backend == "hip":
        warps, stages = 4, 1  # each has twice the lanes, and may have twice the registers
    return {"M": m, "N": n, "num_warps": warps, "num_stages": stages}


class Call:
    """The data that the launches of a call share: its numbers, and the steps from group to group.

    A group is a head of k and v with all heads of q that it serves; the tensors are those of
    `attention`.
    """

    def __init__(
        self,
        q: torch.Tensor,
        key: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        mask: torch.Tensor | None,
        factor: float,
        causal: bool,
        p: float,
        scale: float,
        base: int,
        strides: Sequence[int],
        gradient: torch.Tensor | None = None,
    ) -> None:
        *lead, self.keys, features = k.shape
        self.heads, self.queries, values = q.shape[-3] // lead[-1], q.shape[-2], v.shape[-1]
        self.groups = torch.Size(lead).numel()
        self.rows = self.groups * self.heads * self.queries
        tie, low = high_and_low(p)
        *_, step_head, step_query, step_key = strides
        self.seeds = (*seed_and_stream(key), tie, low)
        self.factor, self.scale = bits(factor, torch.float32), bits(scale, torch.float32)
        self.inverse_scale = bits(1.0 / scale, torch.float32)
        self.places = base, step_query, step_key, step_head
        self.sizes = self.heads, self.queries, self.keys, self.rows

        kind, of_mask, scores = NOTHING, (0,) * len(strides), (*q.shape[:-1], self.keys)
        self.tensors = q, k, v, q
        if mask is not None:
            mask = mask.expand(scores)
            kind, of_mask = (SEEN if mask.dtype == torch.bool else ADDED), mask.stride()
            self.tensors = q, k, v, mask.view(torch.int8) if kind is SEEN else mask

        def of_groups(own: Sequence[int]) -> tuple[int, ...]:
            """The steps of a tensor that has the heads of q."""
            return (*own[:-3], own[-3] * self.heads)

        steps = [of_groups(q.stride()), k.stride()[:-2], v.stride()[:-2]]
        inner = [q.stride()[-3:], k.stride()[-2:], v.stride()[-2:]]
        if gradient is not None:
            steps.append(of_groups(gradient.stride()))
            inner.append(gradient.stride()[-3:])
        steps += [of_groups(of_mask), of_groups(strides)]
        each = [d for d in zip(lead, *steps, strict=True) if d[0] != 1]
        outer = merged(each[::-1]) or [(1, *(0 for _ in steps))]
        self.steps = (*zip(*outer, strict=True), *map(tuple, inner), tuple(of_mask[-3:]))

        starts = (base, step_query, step_head, *(d[-1] for d in outer))
        how = SHIFTED if any(start % PER_BLOCK for start in starts) else ALIGNED
        how = how if step_key == 1 else SINGLE
        width, width_v = (max(16, triton.next_power_of_2(n)) for n in (features, values))
        self.tiled = max(width, width_v), q.dtype == torch.float32, how.value, mask is not None
        self.constants: dict[str, Any] = {
            "FEATURES": features,
            "VALUES": values,
            "WIDTH": width,
            "WIDTH_V": width_v,
            "TYPE": TYPES[q.dtype],
            "HOW": how,
            "TIES": low != 0,
            "CAUSAL": causal,
            "KIND": kind,
            "enable_fp_fusion": True,
        }

    def launch(self, kernel: Any, *numbers: Any) -> None:
        """Run a kernel with a program for each tile of the queries of all heads, or of all keys.

        Args:
            kernel: A kernel of this file.
            numbers: Its arguments between those of the inputs and those of the mask indices.
        """
        tile = tiles(kernel.__name__, *self.tiled)
        count = self.groups * self.heads * triton.cdiv(self.queries, tile["M"])
        if kernel is of_keys:
            count = self.groups * triton.cdiv(self.keys, tile["N"])
        with launching(self.tensors[0]):
            kernel[(count,)](
                *self.tensors,
                *numbers,
                *self.places,
                *self.sizes,
                *self.steps,
                **tile,
                **self.constants,
            )


def attention(
    q: torch.Tensor,
    key: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    mask: torch.Tensor | None,
    factor: float,
    causal: bool,
    p: float,
    scale: float,
    base: int,
    strides: Sequence[int],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention whose probabilities are dropped.

    Args:
        q: `(*batch, heads, queries, features)` of float32, float16 or bfloat16.
        key: `(2,)` int64 on the CPU: seed and stream.
        k: `(*batch, groups, keys, features)`.
        v: `(*batch, groups, keys, features of v)`.
        mask: Bool, False where a query does not see a key, or numbers for the scores; each of its
            dimensions has the size of the probabilities' or 1.
        factor: The factor of the scores.
        causal: Whether a query sees no key after its own place.
        p: Drop probability, less than 1.
        scale: Factor of a probability that is kept.
        base: Mask index of the first probability, its 64 bits as int64.
        strides: Mask strides of the probabilities.

    Returns:
        The output, and for each query its largest score and the inverse of the sum of exponentials,
        with room for a number of the backward.
    """
    q, k, v = q.resolve_neg(), k.resolve_neg(), v.resolve_neg()
    mask = None if mask is None else mask.resolve_neg()
    call = Call(q, key, k, v, mask, factor, causal, p, scale, base, strides)
    out = q.new_empty((*q.shape[:-1], v.shape[-1]))
    rows = q.new_empty((3, call.rows), dtype=torch.float32)
    call.launch(forward, out, rows, *call.seeds, call.factor, call.scale)
    return out, rows


def attention_backward(
    q: torch.Tensor,
    key: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    out: torch.Tensor,
    rows: torch.Tensor,
    gradient: torch.Tensor,
    wanted: Sequence[bool],
    mask: torch.Tensor | None,
    factor: float,
    causal: bool,
    p: float,
    scale: float,
    base: int,
    strides: Sequence[int],
) -> tuple[torch.Tensor | None, ...]:
    """The gradients of q, k and v.

    Args:
        q: As in `attention`, like all arguments not named here.
        key: As there.
        k: As there.
        v: As there.
        out: Its output.
        rows: Its second result; a part of it is written.
        gradient: The gradient of the output.
        wanted: Which of the three gradients are required. Those of k and v are computed together,
            and that of q always.
        mask: As there.
        factor: As there.
        causal: As there.
        p: As there.
        scale: As there.
        base: As there.
        strides: As there.
    """
    q, k, v, gradient = (t.resolve_neg() for t in (q, k, v, gradient))
    mask = None if mask is None else mask.resolve_neg()
    call = Call(q, key, k, v, mask, factor, causal, p, scale, base, strides, gradient)
    found = q.new_empty(q.shape), k.new_empty(k.shape), v.new_empty(v.shape)
    numbers = *call.seeds, call.factor, call.scale
    of_q, *of_kv = found
    call.launch(of_queries, out.contiguous(), gradient, rows, of_q, *numbers, call.inverse_scale)
    if wanted[1] or wanted[2]:
        call.launch(of_keys, gradient, rows, *of_kv, *numbers)
    return tuple(y if want else None for y, want in zip(found, wanted, strict=True))
