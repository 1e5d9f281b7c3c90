"""The draws of each place, in every condition and in calls on many elements."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch

from ... import conditions as of
from ... import stats
from ...conditions import Condition, arrange
from ...context import Context, Fault, Seen, Skip, check, outcome
from ...specs import Attention
from ...specs.elementwise import Elementwise
from ...stats import Bits
from ...subject import Built
from .._reading import gradients, is_scaled, split
from ._everywhere import (
    FAR,
    MADE,
    call_own,
    call_raw,
    designed,
    everywhere,
    factors_of,
    is_own,
    need_random,
    repeats,
    summed,
)
from ._gradient import compare
from ._places import NEIGHBOURS, RATES, calls_to_tell, tell_apart


@check(needs=["values-everywhere", "few-masks", "lag-independence"], statistical=True)
def draws_everywhere(ctx: Context) -> Seen:
    """In every condition each place is dropped with probability p, by a draw of its own.

    Measured: the masks of 60 to 400 calls in each condition of a covering design of p, shape,
    memory layout, dtype and mode. The drops of each place and of all pass exact binomial tests, and
    no two places have the same draws in all calls, or opposite ones, or the draws that the other
    has one call later.

    Places share draws if a kernel uses one random word for two elements, or an offset omits a
    dimension: often for one dtype, one layout, or sizes that are not a multiple of the vector's.
    Two calls overlap if a generator advances by less than a call used.

    To fix: derive the random number from the whole index of an element, in every path.
    """
    need_random(ctx)
    if ctx.spec.is_drawn_by_call:
        raise Skip("a call makes one draw")
    if isinstance(ctx.spec, Attention):
        raise Skip("see attention-everywhere")
    if "lag-independence" in ctx.spec.exempt:
        raise Skip(ctx.spec.exempt["lag-independence"])
    factors = factors_of(ctx, "layout", "dtype", "mode", draws=True)
    if not is_own(ctx.spec):
        factors = {**factors, "shape": MADE[:1], "mode": tuple(of.MODES)[:1]}
    if ctx.level.is_quick and ctx.main_p in factors["p"]:
        factors["p"] = [ctx.main_p]  # at 1/2 the fewest calls tell two places apart
    wrong = ctx.known.bad_rates
    held = [p for p in factors["p"] if len(set(ctx.spec.rates(p))) == 1 and p not in wrong]
    if not held:
        raise Skip("no p is held exactly: the exact distribution is not known")
    held = [p for p in held if FAR <= p <= 1 - FAR]
    if not held:
        raise Skip("p is too near 0 or 1 for the draws of two places to be told apart in this time")
    factors["p"] = held
    # For outputs other than x / (1 - p), decoding the drops takes longer than drawing them.
    design = designed(ctx, factors, ctx.level.strength - (not is_scaled(ctx.spec)))
    family = ctx.family((RATES + NEIGHBOURS) * len(design))

    def claim(condition: Condition) -> None:
        p = condition.p
        size = max(2, math.prod(condition.shape))
        calls = calls_to_tell(p, size, family.each)
        built = ctx.build(p)
        with of.MODES[condition.mode]():
            _, given = arrange(torch.ones(condition.shape, dtype=condition.dtype), condition.layout)
            outputs = [call_raw(ctx, built, given) for _ in range(calls)]
        tell_apart(ctx, _own_masks(ctx, outputs, p), condition.shape, str(condition), p, family)

    conditions, refused = everywhere(ctx, factors, claim, design)
    return outcome(
        family,
        lambda t: f"{t.label}: {t.rate:.4g} of {t.n} dropped",
        f"any two places that share their draws, in {summed(conditions, refused, factors)}",
    )


def _own_masks(ctx: Context, outputs: Sequence[torch.Tensor], p: float) -> Bits:
    """The masks of calls on ones, a bit for each draw; places that share a draw must agree."""
    spec, y = ctx.spec, torch.stack(list(outputs)).detach()
    if isinstance(spec, Elementwise):  # decodes all calls at once, which is faster
        y = spec.effect.decode(torch.ones_like(y), y, p)
    if bool(torch.isnan(y).any()):
        raise Fault(f"{int(torch.isnan(y).sum())} of {y.numel()} values are NaN")
    kept = y != 0
    if isinstance(spec, Elementwise) and spec.shared:
        every = some = kept
        for axis in spec.shared:
            every = every.all(axis + 1, keepdim=True)
            some = some.any(axis + 1, keepdim=True)
        if not torch.equal(every, some):
            raise Fault(f"a draw is kept in part along the axes marked * of {spec.pattern!r}")
        kept = every
    return kept.reshape(len(kept), -1).numpy()


LARGE = (1 << 22) + 13
PARTS = 8
_MOST_COMPARED = 1 << 17  # elements at a time: the temporaries stay in the cache
LAGS = (1, 2, 3, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)


@check(needs=["draws-everywhere", "mask-repeats", "grad-scale"], statistical=True)
def large_call(ctx: Context) -> Seen:
    """A call on millions of elements is as correct at its end as at its beginning.

    Measured: one call on 2^22 + 13 elements (at quick 2^20 + 13): values and gradient; in each of
    eight parts, and in the last 64 elements, the rate and how often two mask bits at thirteen lags
    differ; and whether any 64 or more mask bits repeat. Calls on 70,001 elements and on 65,601
    rows: values and gradient; and, in about 80 calls on each at p=1/2 (none at quick), the drops of
    each place, and whether two places share their draws.

    Large tensors take other paths: threads, streaming stores, 32-bit offsets, at most 65,535 rows
    of blocks in a grid of CUDA. Test inputs are small, and these paths are first taken in training.

    To fix: test a size above each limit in the code, and not only below.
    """
    p = ctx.sound_p
    if not is_own(ctx.spec) or "lag-independence" in ctx.spec.exempt:
        raise Skip("its input is made by the verifier, in calls of a limited size")
    if ctx.spec.is_drawn_by_call:
        raise Skip("a call makes one draw")
    n = (1 << 20) + 13 if ctx.level.is_quick else LARGE
    n = n // ctx.spec.cost | 1
    if isinstance(ctx.spec, Elementwise) and ctx.spec.pattern:
        n = n // 3 * 3
    bits = _one_call(ctx, ctx.build(p), (n,), ctx.call).numpy()
    edges = [n * part // PARTS for part in range(PARTS + 1)]
    parts = [bits[a:b] for a, b in itertools.pairwise(edges)]
    lags = [lag for lag in LAGS if 4 * lag < len(parts[0])]
    shapes = of.long_shapes_of(ctx.spec)
    half = ctx.share / 2  # the other half is for a repeat
    tests = (PARTS + 1) * (1 + len(lags)) + len(shapes) * (RATES + NEIGHBOURS)
    family = stats.Family(half, tests)
    chance = stats.pairs_differ(p)
    for at, part in enumerate([*parts, bits[-64:]]):
        name = f"part {at + 1} of {PARTS}" if at < PARTS else "the last 64 elements"
        name = f"a call on {n} elements, {name}"
        family.binomial(f"{name}, dropped", int(np.count_nonzero(~part)), part.size, p)
        for lag in lags:
            if 2 * lag <= part.size:
                differing, count = stats.count_differing(*stats.disjoint_pairs(part, lag))
                text = f"{name}, pairs at a lag of {lag} that differ"
                family.binomial(text, differing, count, chance, 2 * stats.SLACK)
    width = max(64, stats.bits_to_tell(p, n**2 / 2, half))
    found = stats.find_repeat(bits, width) if p == 0.5 else None
    if found is not None:
        first, second = found
        raise Fault(
            f"a call on {n} elements: the {width} mask bits from element {first} on repeat "
            f"{second - first} elements later",
            first=first,
            second=second,
        )
    for shape in shapes:
        _long_calls(ctx, p, shape, family)
    seen = stats.smallest_seen(n // PARTS, p, family.each)
    return outcome(
        family,
        lambda t: f"{t.label}: {t.share} of {t.n}",
        f"a rate error of {seen:.2g} in an eighth of a call on {n} elements",
    )


def _one_call(
    ctx: Context,
    built: Built,
    shape: tuple[int, ...],
    call: Callable[[Built, torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """The mask of a call, after its values and its gradient were compared to the end."""
    x = ctx.normal(*shape)
    leaf = x.clone().requires_grad_(ctx.subject.has_gradient)
    y = call(built, leaf.clone())
    p, given, got = built.p, x.reshape(-1), y.detach().reshape(-1)
    pieces = [slice(start, start + _MOST_COMPARED) for start in range(0, x.numel(), _MOST_COMPARED)]
    where = f"a call on shape {shape}" if len(shape) > 1 else f"a call on {x.numel()} elements"
    kept = torch.cat([split(given[piece], got[piece], p, where)[0] for piece in pieces])
    if leaf.requires_grad and "grad-scale" not in ctx.spec.exempt:
        upstream = ctx.normal(x.numel() + 1)[1:]
        with ctx.blame(f"the gradient of {where}"):
            (grad,) = gradients(y, [leaf], upstream.reshape(shape))
        condition = Condition({"p": p, "shape": shape})
        for piece in pieces:
            part = grad.reshape(-1)[piece]
            compare(part, kept[piece], upstream[piece], p, condition, "gradient")
    return kept


def _long_calls(ctx: Context, p: float, shape: tuple[int, ...], family: stats.Family) -> None:
    """Calls that go beyond the rows of a grid, or leave a remainder for every vector width."""
    built, size = ctx.build(p), math.prod(shape)
    with ctx.seeded("long", shape):
        for _ in range(repeats(ctx, p)):
            _one_call(ctx, built, shape, partial(call_own, ctx))
        if ctx.level.is_quick or not is_scaled(ctx.spec) or not FAR <= p <= 1 - FAR:
            return
        calls = calls_to_tell(p, size, family.each)
        ones = torch.ones(shape)
        masks = [_own_masks(ctx, [call_raw(ctx, built, ones)], p) for _ in range(calls)]
        label = f"{calls} calls on shape {shape}"
        tell_apart(ctx, np.concatenate(masks), shape, label, p, family)
