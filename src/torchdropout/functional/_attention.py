"""The mechanism of attention dropout: blocks of probabilities, recomputed for the backward.

The square of probabilities exists one block at a time, in the forward and in the backward: all keys
of some queries, of some heads. Only the inputs are kept for the backward. The mask of a block
follows from its indices, so that no bit depends on how the square is cut.

On a GPU a kernel computes it in tiles, where there is one; it keeps the output too, and three
numbers of each query.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch

from .._core import _torch, ops
from .._core.contract.keep import compute_dtype
from .._core.contract.layout import row_major
from .._core.contract.seed import as_int64
from .._core.kernels.devices import anywhere, require, serve
from ..random import Key
from ._bernoulli import bernoulli, inverted
from ._call import KeyedMap, by_operator, compute

# Probabilities in a block: on a CPU a few blocks stay in the cache of a core; elsewhere a kernel
# needs enough work.
_MOST_IN_BLOCK = 1 << 18
_MOST_ELSEWHERE = 1 << 24
# Queries in a block of causal attention: its keys end at the last of them.
_MOST_CAUSAL_ROWS = 128


class AttentionPlan(NamedTuple):
    """What a call computes, except for its tensors and its key.

    Attributes:
        drop: What happens to a probability.
        scale: Factor of the scores.
        causal: True where a query sees no key after its own place.
        base: Mask index of the first probability, its 64 bits as int64.
        strides: Mask strides of the probabilities: batch dimensions, head, query, key.
    """

    drop: KeyedMap
    scale: float
    causal: bool
    base: int
    strides: tuple[int, ...]


def blocks_possible(*tensors: torch.Tensor | None) -> bool:
    """True where only autograd sees the operations, so that first derivatives are enough.

    Under transforms, the compiler, forward mode and modes, and for subclasses, it is composed.
    """
    return (
        not torch.compiler.is_compiling()
        and _torch.unwatched()
        and all(t is None or type(t) in (torch.Tensor, torch.nn.Parameter) for t in tensors)
    )


def is_small(q: torch.Tensor, k: torch.Tensor) -> bool:
    """True where the square fits one block on a CPU: the composition takes the fewest operations.

    Its probabilities, before and after dropout, are then kept for the backward.
    """
    cpu = q.device.type == "cpu" and not serve(q)
    return cpu and q.shape[:-1].numel() * k.shape[-2] <= _MOST_IN_BLOCK


def plain_plan(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    mask: torch.Tensor | None,
    p: Any,
    causal: bool,
    scale: float | None,
) -> AttentionPlan | None:
    """The plan of a small call on a CPU that needs no check of its shapes and dtypes, and no view.

    Without it such a call would spend as long with checks and views as with its operations.
    """
    if type(p) is not float or not blocks_possible(q, k, v, mask):
        return None
    for t in (q, k, v):
        if t is None or t.is_nested or t.layout is not torch.strided or t.ndim < 3:
            return None
    if mask is not None and (mask.is_nested or mask.layout is not torch.strided):
        return None
    if not (q.device == k.device == v.device and is_small(q, k)) or autocasts(q.device):
        return None
    plain = q.dtype is k.dtype is v.dtype is compute_dtype(q.dtype)
    return _plan_of_shapes(q.shape, k.shape, v.shape, p, causal, scale) if plain else None


@functools.lru_cache(256)
def _plan_of_shapes(
    q: torch.Size, k: torch.Size, v: torch.Size, p: float, causal: bool, scale: float | None
) -> AttentionPlan | None:
    fit = q[:-2] == k[:-2] == v[:-2] and k[-1] == q[-1] and k[-2] == v[-2]
    if not (fit and 0.0 < p <= 1.0):
        return None
    factor = 1.0 / math.sqrt(q[-1] or 1) if scale is None else float(scale)
    strides = tuple(row_major((*q[:-1], k[-2])))
    return AttentionPlan(inverted(p), factor, causal, 0, strides)


def autocasts(device: torch.device) -> bool:
    """True where autocast is on for the device; torch raises for a device without it, like meta."""
    return device.type != "meta" and torch.is_autocast_enabled(device.type)


@contextlib.contextmanager
def as_typed(device: torch.device) -> Iterator[None]:
    """Run every operation in the dtype of its tensors, without autocast."""
    if not autocasts(device):
        yield
        return
    with torch.autocast(device.type, enabled=False):
        yield


def composed(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    mask: torch.Tensor | None,
    plan: AttentionPlan,
    key: Key | torch.Tensor | None,
    generator: torch.Generator | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention in torch's operations, each of which autograd and every transform knows.

    Args:
        q: `(*batch, heads, queries, features)`.
        k: `(*batch, groups, keys, features)`; each of their heads serves `heads / groups` of q.
        v: `(*batch, groups, keys, features of v)`.
        mask: Bool, False where a query does not see a key, or added to the scores; of the
            dimensions of q, each of that size or 1.
        plan: The rest of the call.
        key: Names the mask, or as a tensor, `(passes, 2)`, that of each pass, which are then the
            first dimension of q, k and v; without it, a key is drawn, last.
        generator: Draws the key, instead of torch's default one.

    Returns:
        The output, and the probabilities after dropout, in the compute type; these may have all
        dimensions before the queries in one.
    """
    if autocasts(q.device):
        with torch.autocast(q.device.type, enabled=False):
            return composed(q, k, v, mask, plan, key, generator)
    narrow, wide = q.dtype, compute_dtype(q.dtype)
    if narrow != wide:
        q, k, v = q.to(wide), k.to(wide), v.to(wide)
    shared = q.shape[-3] // max(k.shape[-3], 1)
    if shared > 1:
        k, v = (t.repeat_interleave(shared, -3) for t in (k, v))
    # Three dimensions, as `matmul` would make them by itself around each of the products.
    lead, lengths = q.shape[:-2], (q.shape[-2], k.shape[-2])
    q, k, v = q.flatten(0, -3), k.flatten(0, -3), v.flatten(0, -3)
    scores = (q * plan.scale).bmm(k.transpose(-2, -1))
    if plan.causal:
        ahead = torch.ones(lengths, dtype=torch.bool, device=q.device).triu(1)
        scores = scores.masked_fill(ahead, -torch.inf)
    if mask is None:
        weights = scores.softmax(-1)
    else:
        scores = scores.reshape(*lead, *lengths)
        if mask.dtype == torch.bool:
            scores = scores.masked_fill(~mask, -torch.inf)
        else:
            scores = scores + mask.to(wide)
        # A query that sees no key: its probabilities are 0, and no gradient is NaN.
        weights = _torch.safe_softmax(scores, -1)
    strides = plan.strides
    if isinstance(key, torch.Tensor) or not _join(strides, lead):
        weights = weights.reshape(*lead, *lengths)
    elif weights.ndim == 3:
        strides = strides[-3:]
    if isinstance(key, torch.Tensor):
        weights = by_operator(weights, plan.drop, plan.base, strides, key)
    elif plan.drop.active:
        weights = compute(weights, plan.drop, plan.base, strides, key, generator)
    output = weights.flatten(0, -3).bmm(v).reshape(*lead, lengths[0], v.shape[-1])
    return (output if narrow == wide else output.to(narrow)), weights


def _join(strides: Sequence[int], lead: Sequence[int]) -> bool:
    """Whether dimensions of these sizes are one for the mask."""
    steps = zip(strides, strides[1:], lead[1:], strict=False)
    return all(outer == inner * size for outer, inner, size in steps)


def in_blocks(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    mask: torch.Tensor | None,
    plan: AttentionPlan,
    key: torch.Tensor,
) -> torch.Tensor:
    """The output of `composed` for a key in a tensor, where `blocks_possible`."""
    return _Attention.apply(q, k, v, mask, plan, key)  # type: ignore[no-any-return]


class _Attention(torch.autograd.Function):
    """Keeps its inputs and numbers, and recomputes the probabilities, also after dropout."""

    @staticmethod
    def forward(
        ctx: Any,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        mask: torch.Tensor | None,
        plan: AttentionPlan,
        key: torch.Tensor,
    ) -> torch.Tensor:
        ctx.plan, ctx.key = plan, key
        output: torch.Tensor
        rows = None
        with as_typed(q.device):
            if plan.drop.operator is ops.masked_affine and not ctx.needs_input_grad[3]:
                output, rows = _run(q, key, k, v, mask, *_numbers(plan))
            else:
                output = _Square(q, k, v, mask, plan, key).output()
        ctx.save_for_backward(q, k, v, mask, *(() if rows is None else (output, rows)))
        return output

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[Any, ...]:
        q, k, v, mask, *found = ctx.saved_tensors
        wanted = ctx.needs_input_grad[:4]
        if torch.is_grad_enabled():
            # Gradients of this gradient go through the composition. The views distinguish q, k
            # and v where they are one tensor.
            q, k, v = (t.view_as(t) for t in (q, k, v))
            mask = None if mask is None else mask.view_as(mask)
            output, _ = composed(q, k, v, mask, ctx.plan, ctx.key)
            inputs = [t for t, want in zip((q, k, v, mask), wanted, strict=True) if want]
            gradients = iter(torch.autograd.grad(output, inputs, gradient, create_graph=True))
            return *(next(gradients) if want else None for want in wanted), None, None
        with as_typed(q.device):
            if not found:
                each = _Square(q, k, v, mask, ctx.plan, ctx.key).gradients(gradient, wanted)
                return *each, None, None
            rest = *found, gradient, wanted[:3], mask, *_numbers(ctx.plan)
            return *_run_backward(q, ctx.key, k, v, *rest), None, None, None


def _numbers(plan: AttentionPlan) -> tuple[Any, ...]:
    """A plan with a mask of `bernoulli` as the kernels take it."""
    p, scale, _, _ = plan.drop.constants
    return plan.scale, plan.causal, p, scale, plan.base, plan.strides


def _square(
    q: torch.Tensor,
    key: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    mask: torch.Tensor | None,
    *numbers: Any,
) -> _Square:
    """The blocks of a kernel's arguments."""
    factor, causal, p, scale, base, strides = numbers
    plan = AttentionPlan(bernoulli(p, scale, 0.0, 0.0), factor, causal, base, tuple(strides))
    return _Square(q, k, v, mask, plan, key)


def _forward(*args: Any) -> tuple[torch.Tensor, None]:
    """The output in blocks; the backward needs nothing from the forward."""
    return _square(*args).output(), None


def _backward(
    q: torch.Tensor,
    key: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    _output: torch.Tensor,
    _rows: torch.Tensor,
    gradient: torch.Tensor,
    wanted: Sequence[bool],
    *rest: Any,
) -> tuple[torch.Tensor | None, ...]:
    """The gradients of q, k and v in blocks, where required."""
    return tuple(_square(q, key, k, v, *rest).gradients(gradient, (*wanted, False))[:3])


def _samples(q: torch.Tensor, key: torch.Tensor, *rest: Any) -> Iterator[tuple[Any, ...]]:
    """Small calls whose results each keep bit changes by a number that is not small.

    Rows of the mask begin with a Philox call or within one, and the counter has a carry.
    """
    _factor, _causal, p, scale, _base, _strides = rest[-6:]
    each = torch.eye(64, dtype=q.dtype, device=q.device)
    for queries, keys, base, causal in ((64, 56, 2**34 - 1000, False), (45, 59, 2**35 - 999, True)):
        mask = p, scale, base, row_major((1, 4, queries, keys))
        k = each[:keys].expand(1, 2, -1, -1)
        yield each[:queries].expand(1, 4, -1, -1), key, k, k, None, 0.5, causal, *mask


def _samples_backward(q: torch.Tensor, key: torch.Tensor, *rest: Any) -> Iterator[tuple[Any, ...]]:
    for own, _, k, _, _, factor, _, *mask in _samples(q, key, *rest):
        v = torch.arange(k[0].numel(), device=q.device).remainder(5).div(4).add(1.0)
        v = v.to(q.dtype).view(k.shape)
        scores = (own @ k.repeat_interleave(2, 1).transpose(-2, -1)).float() * factor
        largest = scores.amax(-1, keepdim=True)
        rows = largest.new_empty((3, largest.numel()))
        rows[0], rows[1] = largest.flatten(), 1.0 / (scores - largest).exp().sum(-1).flatten()
        numbers = None, factor, False, *mask
        output, _ = _forward(own, key, k, v, *numbers)
        yield own, key, k, v, output, rows, own, (True, True, True), *numbers


def _compare(own: tuple[Any, ...], known: tuple[Any, ...], x: torch.Tensor) -> None:
    """Compare results of `_samples`: sums are rounded differently, and no keep bit may differ."""
    for a, b in zip(own, known, strict=True):
        if b is not None:
            require((a - b).abs() <= b.abs().amax(-1, keepdim=True) / 8, x)


_run = anywhere("attention", _forward, _samples, _compare)
_run_backward = anywhere("attention_backward", _backward, _samples_backward, _compare)


class _Block(NamedTuple):
    """Groups `g` to `g_end` of the queries `row` to `row_end`, and the first `keys` keys."""

    g: int
    g_end: int
    row: int
    row_end: int
    keys: int


class _Square:
    """The probabilities of a call, by blocks.

    A group is a head of k and v, with all heads of q that it serves. If there is a key for each
    of several passes, these are the first dimension, and a block may have the groups of several.
    """

    def __init__(
        self,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        mask: torch.Tensor | None,
        plan: AttentionPlan,
        key: torch.Tensor,
    ) -> None:
        *self.lead, self.keys, _ = k.shape
        self.pass_lead = self.lead[key.ndim - 1 :]
        self.groups = math.prod(self.lead)
        self.heads = q.shape[-3] // k.shape[-3]
        self.queries = q.shape[-2]
        self.shape = (*q.shape[:-1], v.shape[-1])
        self.given = q
        self.q = q.reshape(self.groups, self.heads, *q.shape[-2:])
        self.k = k.reshape(self.groups, *k.shape[-2:])
        self.v = v.reshape(self.groups, *v.shape[-2:])
        self.compute = compute_dtype(q.dtype)
        self.plan = plan
        # Plain numbers are fastest, and a loop over passes makes many small calls.
        self.pass_keys = [Key(seed % 2**64, stream) for seed, stream in key.view(-1, 2).tolist()]
        self.pass_groups = self.groups // len(self.pass_keys)
        *outer, head, query, place = plan.strides
        self.inner = (head, query, place)
        self.outer = (*outer, head * self.heads)
        self.step = _step(self.pass_lead, self.outer)
        self.mask = None if mask is None else _ScoreMask(mask, self.lead, self.heads)
        self.memory: dict[str, torch.Tensor] = {}

    def blocks(self) -> Iterator[tuple[int, int, list[_Block]]]:
        """Runs of groups, each with the blocks of its queries."""
        size = _MOST_IN_BLOCK if self.q.device.type == "cpu" else _MOST_ELSEWHERE
        rows = max(1, min(self.queries, size // (self.heads * self.keys)))
        if self.plan.causal:
            rows = min(rows, _MOST_CAUSAL_ROWS)
        groups = 1
        if self.step is not None:
            groups = max(1, min(self.groups, size // (self.heads * rows * self.keys)))
        for g in range(0, self.groups, groups):
            g_end = min(g + groups, self.groups)
            run = []
            for row in range(0, self.queries, rows):
                row_end = min(row + rows, self.queries)
                keys = min(row_end, self.keys) if self.plan.causal else self.keys
                run.append(_Block(g, g_end, row, row_end, keys))
            yield g, g_end, run

    def scratch(self, name: str, b: _Block) -> torch.Tensor:
        """Memory that all blocks share: new pages would cost as much as the arithmetic."""
        shape = (b.g_end - b.g, self.heads * (b.row_end - b.row), b.keys)
        size = math.prod(shape)
        if name not in self.memory or self.memory[name].numel() < size:
            self.memory[name] = self.q.new_empty(size, dtype=self.compute)
        return self.memory[name][:size].view(shape)

    def rows(self, t: torch.Tensor, b: _Block) -> torch.Tensor:
        """The rows of a block, a matrix for each group, in the compute type."""
        part = t[b.g : b.g_end, :, b.row : b.row_end].to(self.compute)
        return part.reshape(b.g_end - b.g, -1, t.shape[-1])

    def scaled(self, b: _Block) -> torch.Tensor:
        """The queries of a block, scaled; in place where they are a copy, of this block alone."""
        rows = self.rows(self.q, b)
        if _torch.storage_id(rows) == _torch.storage_id(self.given):
            return rows * self.plan.scale
        return rows.mul_(self.plan.scale)

    def wide(self, t: torch.Tensor, g: int, g_end: int) -> torch.Tensor:
        return t[g:g_end].to(self.compute)

    def square(self, t: torch.Tensor, b: _Block) -> torch.Tensor:
        """A block with a dimension for each mask stride."""
        return t.view(b.g_end - b.g, self.heads, b.row_end - b.row, b.keys)

    def probabilities(self, q: torch.Tensor, k: torch.Tensor, b: _Block) -> torch.Tensor:
        """The probabilities before dropout."""
        scores, weights = self.scratch("scores", b), self.scratch("weights", b)
        torch.bmm(q, k[:, : b.keys].transpose(1, 2), out=scores)
        square = self.square(scores, b)
        if self.plan.causal:
            ahead = square[..., b.row + 1 :]
            size = ahead.shape[-2:]
            never = torch.ones(size, dtype=torch.bool, device=q.device).triu()
            ahead.masked_fill_(never, -torch.inf)
        if self.mask is None:
            return torch.softmax(scores, -1, out=weights)
        part = self.mask.of(b)
        if part.dtype == torch.bool:
            square.masked_fill_(~part, -torch.inf)
        else:
            square.add_(part)
        dead = scores.amax(-1, keepdim=True) == -torch.inf
        return torch.softmax(scores, -1, out=weights).masked_fill_(dead, 0.0)

    def dropped(self, weights: torch.Tensor, b: _Block, *, inplace: bool) -> torch.Tensor:
        """The probabilities after dropout."""
        square = self.square(weights, b)
        into = square if inplace else self.square(self.scratch("dropped", b), b)
        for number in range(b.g // self.pass_groups, -(-b.g_end // self.pass_groups)):
            first = number * self.pass_groups
            g, g_end = max(b.g, first), min(b.g_end, first + self.pass_groups)
            of_pass = slice(g - b.g, g_end - b.g)
            self._drop(into[of_pass], square[of_pass], self.pass_keys[number], g - first, b.row)
        return into.view(weights.shape)

    def _drop(
        self, into: torch.Tensor, square: torch.Tensor, key: Key, group: int, row: int
    ) -> None:
        """Write the dropped probabilities of one pass, from a group and a query on."""
        drop, step = self.plan.drop, self.step
        offset = _offset(group, self.pass_lead, self.outer) if step is None else group * step
        base = as_int64((self.plan.base + offset + row * self.inner[1]) % 2**64)
        strides = (step or 0, *self.inner)
        compute(square, drop, base, strides, key, into=into)

    def output(self) -> torch.Tensor:
        out = self.q.new_empty((*self.q.shape[:-1], self.v.shape[-1]))
        for g, g_end, run in self.blocks():
            k, v = self.wide(self.k, g, g_end), self.wide(self.v, g, g_end)
            for b in run:
                weights = self.probabilities(self.scaled(b), k, b)
                weights = self.dropped(weights, b, inplace=True)
                place = out[g:g_end, :, b.row : b.row_end]
                values = v[:, : b.keys]
                if place.dtype == self.compute and place.is_contiguous():
                    torch.bmm(weights, values, out=place.view(len(weights), -1, place.shape[-1]))
                else:
                    place.copy_(torch.bmm(weights, values).view(place.shape))
        return out.view(self.shape)

    def gradients(self, gradient: torch.Tensor, wanted: Sequence[bool]) -> list[Any]:
        """The gradients of q, k, v and the mask, where required.

        With w the probabilities and d the dropped ones, `o = d v`: the gradient of the scores is
        `d * (g v^T) - w * rowsum(d * (g v^T))`, since dropout multiplies by the same number forward
        and backward; it is 0 wherever w is.
        """
        for_q, for_k, for_v, for_mask = wanted
        g_out = gradient.reshape(*self.q.shape[:-1], self.v.shape[-1])
        q_grad = torch.empty_like(self.q) if for_q else None
        k_grad = torch.empty_like(self.k) if for_k else None
        v_grad = torch.empty_like(self.v) if for_v else None
        mask = self.mask if for_mask else None
        m_grad: Any = None if mask is None else mask.zeros(self.compute)
        for g, g_end, run in self.blocks():
            k, v = self.wide(self.k, g, g_end), self.wide(self.v, g, g_end)
            k_sum, v_sum = torch.zeros_like(k), torch.zeros_like(v)
            for b in run:
                q, g_rows = self.rows(self.q, b) * self.plan.scale, self.rows(g_out, b)
                weights = self.probabilities(q, k, b)
                dropped = self.dropped(weights, b, inplace=False)
                if for_v:
                    v_sum[:, : b.keys].baddbmm_(dropped.transpose(1, 2), g_rows)
                if not (for_q or for_k or for_mask):
                    continue
                scores = self.scratch("scores", b)
                torch.bmm(g_rows, v[:, : b.keys].transpose(1, 2), out=scores)
                scores.mul_(dropped)
                scores.addcmul_(weights, scores.sum(-1, keepdim=True), value=-1.0)
                if mask is not None:
                    mask.add(m_grad, self.square(scores, b), b)
                if q_grad is not None:
                    place = q_grad[g:g_end, :, b.row : b.row_end]
                    part = torch.bmm(scores, k[:, : b.keys]).mul_(self.plan.scale)
                    place.copy_(part.view(place.shape))
                if for_k:
                    k_sum[:, : b.keys].baddbmm_(scores.transpose(1, 2), q)
            if k_grad is not None:
                k_grad[g:g_end] = k_sum
            if v_grad is not None:
                v_grad[g:g_end] = v_sum
        heads = (*self.lead[:-1], self.lead[-1] * self.heads)
        return [
            None if q_grad is None else q_grad.view(*heads, *q_grad.shape[-2:]),
            None if k_grad is None else k_grad.view(*self.lead, *k_grad.shape[-2:]),
            None if v_grad is None else v_grad.view(*self.lead, *v_grad.shape[-2:]),
            None if mask is None else mask.like_given(m_grad),
        ]


class _ScoreMask:
    """A mask that broadcasts, and the part that a block needs; only that part is copied."""

    def __init__(self, mask: torch.Tensor, lead: Sequence[int], heads: int) -> None:
        self.given = mask
        *outer, head = mask.shape[:-2]
        # The heads of a group are neighbours in the mask, if it distinguishes heads at all.
        inner = heads if head > 1 else 1
        outer.append(head // inner)
        self.values = mask.reshape(math.prod(outer), inner, *mask.shape[-2:])
        numbers = torch.arange(self.values.shape[0], device=mask.device)
        self.which = numbers.view(outer).expand(tuple(lead)).reshape(-1)

    def of(self, b: _Block) -> torch.Tensor:
        """Broadcasts with the block."""
        part = self._rows(self.values, b)
        return part if len(part) == 1 else part.index_select(0, self.which[b.g : b.g_end])

    def zeros(self, dtype: torch.dtype) -> torch.Tensor:
        return torch.zeros(self.values.shape, dtype=dtype, device=self.given.device)

    def add(self, total: torch.Tensor, scores: torch.Tensor, b: _Block) -> None:
        """Add the gradient of the scores of a block, summed where they share a mask value."""
        place = self._rows(total, b)
        scores = scores.sum_to_size(len(scores), *place.shape[1:])
        place.index_add_(0, self.which[b.g : b.g_end], scores)

    def like_given(self, total: torch.Tensor) -> torch.Tensor:
        return total.view(self.given.shape).to(self.given.dtype)

    @staticmethod
    def _rows(t: torch.Tensor, b: _Block) -> torch.Tensor:
        # A block with a mask has all keys: only causal attention leaves some out.
        return t[:, :, b.row : b.row_end] if t.shape[-2] > 1 else t


def _step(sizes: Sequence[int], strides: Sequence[int]) -> int | None:
    """The stride of all dimensions read as one, row-major; None where no such stride exists."""
    step: int | None = None
    span = 0
    for size, stride in zip(reversed(sizes), reversed(strides), strict=True):
        if size == 1:
            continue
        if step is None:
            step = stride
        elif stride != span:
            return None
        span = stride * size
    return 0 if step is None else step


def _offset(place: int, sizes: Sequence[int], strides: Sequence[int]) -> int:
    """The offset of the element at a row-major place."""
    offset = 0
    for size, stride in zip(reversed(sizes), reversed(strides), strict=True):
        place, coordinate = divmod(place, size)
        offset += coordinate * stride
    return offset
