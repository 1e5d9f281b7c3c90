"""Conditions: what holds in one case holds at every p, shape, layout, dtype, mode and history."""

from __future__ import annotations

import copy
import io
import itertools
import math
import operator
import pickle
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.autograd import forward_ad

from .. import conditions as of
from .. import stats
from ..conditions import Condition, arrange
from ..context import Context, Fault, Seen, Skip, check, outcome
from ..rounding import exact, tolerance, ulp
from ..specs import Attention, Between, Fused, Noise, Weights
from ..specs.effect import Scaled
from ..specs.elementwise import Elementwise
from ..stats import Bits
from ..subject import Built, Spec
from ._reading import gradients, refusal, split

# For kinds whose input the verifier makes, every claim is about draws in a row.
MADE: tuple[tuple[int, ...], ...] = ((131,), (1,), (67, 3))
# The chance that a single place is dropped in all calls of a condition, and a fault in it missed.
MISSED = 0.1
# In an input of fewer elements, neighbours and the last ones are not told apart.
FEW = 24
# Nearer to 0 or 1 a place has the same draw in most calls, and it takes thousands to compare two.
FAR = 0.05


# --- The target in a condition -------------------------------------------------------------------


def _is_own(spec: Spec) -> bool:
    """Whether the target gets x itself, and not an input made of it."""
    return type(spec) is Spec or isinstance(spec, (Elementwise, Fused, Between))


def _factors(ctx: Context, *names: str, draws: bool = False) -> dict[str, Sequence[Any]]:
    """The levels of the factors for this target; p and the shape are always among them."""
    spec, is_own = ctx.spec, _is_own(ctx.spec)
    levels: dict[str, Sequence[Any]] = {
        "p": of.p_of(spec, ctx.subject.fixed_p, draws),
        "shape": of.shapes_of(spec) if is_own else MADE,
        "layout": of.LAYOUTS if is_own else of.LAYOUTS[:1],
        "incoming": of.LAYOUTS if is_own else of.LAYOUTS[:1],
        "dtype": of.DTYPES if not {"dtype-scale", "dtype-gradient"} & spec.exempt.keys() else (),
        # Elsewhere a matrix product, whose dtype autocast changes, is part of the target.
        "mode": tuple(of.MODES) if is_own else tuple(of.MODES)[:3],
        "derivative": of.DERIVATIVES if is_own else of.DERIVATIVES[:1],
        "before": [h for h in of.BEFORE if "eval" not in h or ctx.subject.has_eval],
    }
    levels = _possible(levels)
    levels["dtype"] = levels["dtype"] or of.DTYPES[:1]
    if len(levels["dtype"]) == 1:
        levels["before"] = [h for h in levels["before"] if "float64" not in h]
    return {name: levels[name] for name in ("p", "shape", *names)}


def _fixed(ctx: Context) -> None:
    if ctx.subject.fixed_p is not None and not 0 < ctx.subject.fixed_p < 1:
        raise Skip(f"the instance has p={ctx.subject.fixed_p:g}: nothing is random")


def _call(ctx: Context, built: Built, x: torch.Tensor, training: bool = True) -> torch.Tensor:
    """Call the target on x itself, and read the output as a plain dropout."""
    y = _raw(ctx, built, x, training)
    if isinstance(ctx.spec, Elementwise) and training:
        return ctx.spec.effect.decode(x, y, built.p)
    return y


def _raw(ctx: Context, built: Built, x: torch.Tensor, training: bool = True) -> torch.Tensor:
    own = built.target if isinstance(ctx.spec, Elementwise) else built
    return ctx.call(own, x, training)


def _prepared(ctx: Context, condition: Condition, shapes: Sequence[tuple[int, ...]]) -> Built:
    """The target, after the call that the condition names."""
    built, before = ctx.build(condition.p), condition.before
    if before != "nothing":
        size = min if "smaller" in before else max
        shape = size(shapes, key=lambda s: (math.prod(s), s))
        if "larger" in before:
            shape = (2 * shape[0] + 1, *shape[1:])
        dtype = torch.float64 if "float64" in before else torch.float32
        _call(ctx, built, ctx.normal(*shape).to(dtype), "eval" not in before)
    return built


def _repeats(ctx: Context, p: float) -> int:
    """The calls in which a single place, treated wrongly where it is kept, is kept at least once.

    At p up to 0.9, with a probability of 9 in 10; one call at quick.
    """
    if ctx.level.is_quick or not 0 < p <= 0.9:
        return 1
    return math.ceil(math.log(MISSED) / math.log(p))


def _everywhere(
    ctx: Context,
    factors: Mapping[str, Sequence[Any]],
    claim: Callable[[Condition], object],
    conditions: Sequence[Condition] = (),
) -> tuple[Sequence[Condition], int]:
    """Test a claim in all conditions of a design, and say what those have in common that fail."""
    conditions = conditions or _design(ctx, factors, ctx.level.strength)
    failed: list[tuple[Condition, Fault]] = []
    refused = 0
    for condition in conditions:
        try:
            with ctx.seeded("condition", str(condition)):
                claim(condition)
        except Fault as fault:
            failed.append((condition, fault))
        except Skip:
            refused += 1
    if failed:
        condition, first = failed[0]
        raise Fault(
            f"{condition}: {first.message}; {len(failed)} of {len(conditions)} conditions fail"
            + _in_common(factors, [c for c, _ in failed]),
            **{**first.figures, "failed": [str(c) for c, _ in failed[:8]]},
        )
    return conditions, refused


def _design(ctx: Context, factors: Mapping[str, Sequence[Any]], strength: int) -> list[Condition]:
    """Conditions in which nothing hides a fault, and others for each level that would.

    In an input of one element neighbours are not seen, at p near 0 the scale is not, and near 1
    hardly anything is kept. Such a level would use up the combinations of those that it is with, so
    that each has a design of its own.
    """
    seed = ctx.derive("conditions", *factors)
    telling: dict[str, Callable[[Any], bool]] = {
        "p": lambda p: FAR <= p <= 1 - FAR,
        "shape": lambda shape: math.prod(shape) >= FEW,
    }
    ordinary = dict(factors)
    for name, tells in telling.items():
        ordinary[name] = [level for level in factors[name] if tells(level)] or factors[name]
    found = of.design(ordinary, strength, seed)
    for name in telling:
        for level in factors[name]:
            if level not in ordinary[name]:
                given = _possible({**ordinary, name: [level]})
                found += of.design(given, max(1, strength - 1), seed)
    return found


def _possible(factors: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """Without the layouts that none of the shapes can have."""
    left = dict(factors)
    for name in {"layout", "incoming"} & left.keys():
        left[name] = [at for at in left[name] if any(of.fits(at, s) for s in left["shape"])]
    return left


def _in_common(factors: Mapping[str, Sequence[Any]], failed: Sequence[Condition]) -> str:
    if len(failed) < 2:
        return ""
    common = [
        of.say(name, failed[0].levels[name])
        for name, levels in factors.items()
        if len(levels) > 1 and len({str(c.levels[name]) for c in failed}) == 1
    ]
    return f", all with {' and '.join(common)}" if common else ""


def _said(conditions: Sequence[Condition], refused: int, factors: Mapping[str, Any]) -> str:
    named = ", ".join(name for name, levels in factors.items() if len(levels) > 1)
    left = f"; {refused} refused by the target" if refused else ""
    return f"{len(conditions)} conditions of {named}{left}"


# --- Values, gradients, eval ---------------------------------------------------------------------


@check(needs=["kept-scale", "layout-values", "dtype-kept", "dtype-scale", "state-own"])
def values_everywhere(ctx: Context) -> Seen:
    """Every value is 0 or x / (1 - p) in every condition, and nothing is written to.

    Measured: a call in each condition of a covering design of p, shape, memory layout, dtype, mode
    and what was called before; the memory around x holds NaN.

    A kernel has a path for contiguous inputs, for the last elements, for half precision, for rows
    that are wide. Each can be wrong while the others are right, and a test on a contiguous float32
    matrix of 1024 columns takes one of them.

    To fix: test the case that the message names; most such faults are in the code that selects a
    path, or in its last iteration.
    """
    _fixed(ctx)
    factors = _factors(ctx, "layout", "dtype", "mode", "before")

    def claim(condition: Condition) -> None:
        for _ in range(_repeats(ctx, condition.p)):
            once(condition)

    def once(condition: Condition) -> None:
        built = _prepared(ctx, condition, factors["shape"])
        x = ctx.normal(*condition.shape).to(condition.dtype)
        with of.MODES[condition.mode]():
            whole, given = arrange(x, condition.layout)
            before = whole.clone()
            y = _call(ctx, built, given)
        if y.dtype != given.dtype and condition.mode != "autocast":
            raise Fault(f"{given.dtype} in, {y.dtype} out".replace("torch.", ""))
        split(given, y.to(given.dtype), built.p)
        if not torch.equal(_bits(whole), _bits(before)):
            raise Fault("the call wrote into x, or into the memory around it")

    conditions, refused = _everywhere(ctx, factors, claim)
    return Seen(_said(conditions, refused, factors))


@check(needs=["grad-scale", "values-everywhere", "dtype-gradient"])
def gradient_everywhere(ctx: Context) -> Seen:
    """The gradient has the mask and the scale of y in every condition.

    Measured: the gradient, its derivative and the tangent of forward mode in each condition of a
    covering design of p, shape, dtype, the layout of x and the layout of the incoming gradient,
    which need not be the same.

    The incoming gradient of a sum is expanded, that of a transposed product transposed, that of a
    slice has gaps. A backward kernel that reads it as contiguous memory, that leaves the last
    elements out, or that computes float64 in float32 gives wrong gradients and no error.

    To fix: in backward, treat the incoming gradient as forward treats x: by logical place.
    """
    _fixed(ctx)
    ctx.need_gradient()
    if "grad-scale" in ctx.spec.exempt:
        raise Skip(ctx.spec.exempt["grad-scale"])
    first = {
        **_factors(ctx, "layout", "incoming", "dtype", "derivative"),
        "derivative": ["gradient"],
    }
    # Each has a design of its own: the target may refuse forward mode, and with it what it meets.
    others = _factors(ctx, "layout", "dtype", "derivative")
    # To load forward mode takes a second.
    others["derivative"] = [
        d for d in others["derivative"][1:] if d != "forward mode" or ctx.level.compiled
    ]

    def claim(condition: Condition) -> None:
        x = ctx.normal(*condition.shape).to(condition.dtype)
        upstream = ctx.normal(x.numel() + 1)[1:].reshape(x.shape).to(x.dtype)
        if of.is_expanded(condition.layout):
            upstream = upstream.abs()  # in a sum of both signs, an error is small next to rounding
        for _ in range(_repeats(ctx, condition.p)):
            built = ctx.build(condition.p)
            if condition.derivative == "forward mode":
                _demand_tangent(ctx, built, x, upstream, condition)
            else:
                _demand_gradient(ctx, built, x.detach(), upstream.detach(), condition)

    conditions, refused = _everywhere(ctx, first, claim)
    said = _said(conditions, refused, first)
    if others["derivative"]:
        conditions, refused = _everywhere(ctx, others, claim)
        said += "; " + _said(conditions, refused, others)
    return Seen(said)


def _demand_gradient(
    ctx: Context, built: Built, x: torch.Tensor, upstream: torch.Tensor, condition: Condition
) -> None:
    is_second = condition.derivative == "second derivative"
    leaf = x.requires_grad_()
    leaf_upstream = upstream.requires_grad_(is_second)
    _, given = arrange(leaf, condition.layout)
    under_autocast = condition.derivative == "gradient under autocast"
    with of.MODES["autocast" if under_autocast else "grad mode"]():
        y = _call(ctx, built, given)
    if under_autocast and y.dtype != x.dtype:
        raise Skip("autocast chose another dtype")
    if not y.requires_grad:
        raise Fault("y does not require a gradient where x does")
    _, incoming = arrange(leaf_upstream, condition.incoming)
    with ctx.blame("the gradient"):
        (grad,) = gradients(y, [leaf], incoming, create_graph=is_second)
    kept = y.detach() != 0
    _compare(grad, kept, incoming, built.p, condition, "gradient")
    if not is_second:
        return
    if not grad.requires_grad:
        raise Fault("the gradient is a constant to autograd: second derivatives are zero")
    vector = ctx.normal(x.numel() + 2)[2:].reshape(x.shape).to(x.dtype)
    with refusal():
        given_back = gradients(grad, [leaf_upstream], vector, allow_unused=True)[0]
    if given_back is None:
        with refusal():  # `torch.autograd.grad` skips a node on which no requested input depends
            grad.sum().backward()
        raise Fault("the gradient does not depend on the incoming gradient")
    _compare(given_back, kept, vector, built.p, condition, "second derivative")


def _demand_tangent(
    ctx: Context, built: Built, x: torch.Tensor, tangent: torch.Tensor, condition: Condition
) -> None:
    if isinstance(ctx.spec, Elementwise) and ctx.spec.effect != Scaled():
        raise Skip("its effect is read by a function without forward mode")
    _, given = arrange(x, condition.layout)
    _, direction = arrange(tangent, condition.layout)
    with forward_ad.dual_level():
        try:
            y = _call(ctx, built, forward_ad.make_dual(given, direction))
        except Fault as fault:
            if "forward AD" in fault.message or "jvp" in fault.message:
                raise Skip("no forward mode") from fault
            raise
        value, found = forward_ad.unpack_dual(y)
        if found is None:
            raise Fault("y has no tangent: forward mode takes it for a constant")
        _compare(found, value != 0, direction, built.p, condition, "tangent")


def _compare(
    grad: torch.Tensor,
    kept: torch.Tensor,
    incoming: torch.Tensor,
    p: float,
    condition: Condition,
    name: str,
) -> None:
    """Raise unless a gradient is the incoming one / (1 - p) where kept, and 0 elsewhere."""
    want = torch.where(kept, exact(incoming, p), 0.0)
    allowed = tolerance(want, p, grad.dtype)
    axis = of.expanded_axis(condition.layout)
    if axis is not None and name == "gradient":
        # What is one number in memory gets the sum, added in float32 or better, and rounded once.
        terms = want.abs().sum(axis, keepdim=True)
        wide = torch.promote_types(grad.dtype, torch.float32)
        allowed = allowed.sum(axis, keepdim=True) + ulp(terms, grad.dtype)
        allowed += want.shape[axis] * ulp(terms, wide)
        want, grad = want.sum(axis, keepdim=True), grad.narrow(axis, 0, 1)
    if grad.shape != want.shape:
        raise Fault(f"expected a {name} of shape {tuple(want.shape)}, got {tuple(grad.shape)}")
    got = grad.detach().double()
    wrong = ~((got - want).abs() <= allowed)
    if bool(wrong.any()):
        at = int(torch.nonzero(wrong.reshape(-1))[0])
        raise Fault(
            f"{int(wrong.sum())} of {wrong.numel()} values of the {name} are wrong, such as "
            f"{got.reshape(-1)[at].item():.9g}, expected {want.reshape(-1)[at].item():.9g}",
            wrong=int(wrong.sum()),
        )


@check(needs=["eval-identity", "dtype-kept"])
def eval_everywhere(ctx: Context) -> Seen:
    """Eval returns x, bit for bit, in every condition.

    Measured: a call in eval in each condition of a covering design of p, shape, memory layout,
    dtype, mode and what was called before, on values that include -0.0, infinities and NaN.

    Eval runs in other conditions than training: under `inference_mode`, in half precision, with one
    sample. `x * 1.0 + 0.0` loses the sign of -0.0, and a cast to float32 and back is right for
    float16 only.

    To fix: in eval, return x.
    """
    ctx.need_eval()
    factors = _factors(ctx, "layout", "dtype", "mode", "before")
    if ctx.subject.fixed_p is None:
        factors["p"] = [p for p in factors["p"] if p in (factors["p"][0], 0.5)] or factors["p"]
    # A sum with a residual of 0.0 has no sign of zero.
    has_special = _is_own(ctx.spec) and not isinstance(ctx.spec, (Between, Fused))
    has_special = has_special and not ctx.spec.finite

    def claim(condition: Condition) -> None:
        built = _prepared(ctx, condition, factors["shape"])
        x = ctx.normal(*condition.shape).to(condition.dtype)
        flat = x.view(-1)
        if has_special:
            # The first is left out: it may be the only one in memory, and these hide a wrong scale.
            for place, value in enumerate((-0.0, math.inf, math.nan, 0.0), 1):
                flat[place::11] = value
        with of.MODES[condition.mode]():
            _, given = arrange(x, condition.layout)
            want = given.clone()
            y = _call(ctx, built, given, training=False)
        if y.dtype != want.dtype:
            raise Fault(f"{want.dtype} in, {y.dtype} out".replace("torch.", ""))
        # A NaN stays a NaN, of whatever bits: converting one may change them.
        same = (_bits(y) == _bits(want)) | (torch.isnan(y) & torch.isnan(want))
        if not bool(same.all()):
            at = int(torch.nonzero(~same.reshape(-1))[0])
            raise Fault(
                f"{int((~same).sum())} of {same.numel()} values changed in eval, such as "
                f"{want.reshape(-1)[at].item():g} to {y.reshape(-1)[at].item():g}"
            )

    conditions, refused = _everywhere(ctx, factors, claim)
    return Seen(_said(conditions, refused, factors))


def _bits(x: torch.Tensor) -> torch.Tensor:
    """The bits of a tensor, for comparing NaN and -0.0."""
    as_integer = {8: torch.int64, 4: torch.int32, 2: torch.int16}[x.element_size()]
    return x.detach().clone(memory_format=torch.contiguous_format).view(as_integer)


# --- Draws ---------------------------------------------------------------------------------------


@check(needs=["values-everywhere", "few-masks", "lag-independence"], statistical=True)
def draws_everywhere(ctx: Context) -> Seen:
    """In every condition each place is dropped with probability p, by a draw of its own.

    Measured: the masks of 60 to 400 calls in each condition of a covering design of p, shape,
    memory layout, dtype and mode. The drops of each place and of all pass exact binomial tests, and
    no two places have the same draws in all calls, or opposite ones, or those that the other has
    one call later.

    Neighbours, rows, heads or samples share draws where a kernel takes a random word for two
    elements, or an offset leaves a dimension out: often for one dtype, one layout, or only where a
    size is not a multiple of the vector's. The last elements are kept or dropped where the last
    iteration is wrong. Two calls overlap where a generator advances by less than was used.

    To fix: derive the random number from the whole index of an element, in every path.
    """
    _fixed(ctx)
    if ctx.spec.is_drawn_by_call:
        raise Skip("a call makes one draw")
    if isinstance(ctx.spec, Attention):
        raise Skip("see attention-everywhere")
    if "lag-independence" in ctx.spec.exempt:
        raise Skip(ctx.spec.exempt["lag-independence"])
    factors = _factors(ctx, "layout", "dtype", "mode", draws=True)
    if not _is_own(ctx.spec):
        factors = {**factors, "shape": MADE[:1], "mode": tuple(of.MODES)[:1]}
    if ctx.level.is_quick and ctx.main_p in factors["p"]:
        factors["p"] = [ctx.main_p]  # at 1/2 the fewest calls tell two places apart
    held = [p for p in factors["p"] if len(set(ctx.spec.rates(p))) == 1 and p not in ctx.bad_rates]
    if not held:
        raise Skip("no p is held exactly: the exact distribution is not known")
    held = [p for p in held if FAR <= p <= 1 - FAR]
    if not held:
        raise Skip("p is too near 0 or 1 for the draws of two places to be told apart in this time")
    factors["p"] = held
    # To read what was dropped from other outputs than x / (1 - p) takes longer than to draw it.
    is_plain = type(ctx.spec) is Spec or getattr(ctx.spec, "effect", Scaled()) == Scaled()
    design = _design(ctx, factors, ctx.level.strength - (not is_plain))
    family = ctx.family((RATES + NEIGHBOURS) * len(design))

    def claim(condition: Condition) -> None:
        p = condition.p
        size = max(2, math.prod(condition.shape))
        calls = _calls_to_tell(p, size, family.each)
        built = ctx.build(p)
        with of.MODES[condition.mode]():
            _, given = arrange(torch.ones(condition.shape, dtype=condition.dtype), condition.layout)
            outputs = [_raw(ctx, built, given) for _ in range(calls)]
        _tell_apart(ctx, _own_masks(ctx, outputs, p), condition.shape, str(condition), p, family)

    conditions, refused = _everywhere(ctx, factors, claim, design)
    return outcome(
        family,
        lambda t: f"{t.label}: {t.rate:.4g} of {t.n} dropped",
        f"any two places that share their draws, in {_said(conditions, refused, factors)}",
    )


def _calls_to_tell(p: float, size: int, chance: float) -> int:
    """How many calls tell all places apart, and a place that is always kept or always dropped."""
    apart = stats.bits_to_tell(p, 4.0 * size * size, chance)
    always = math.log(2 * size / chance) / -math.log(max(p, 1 - p))
    return math.ceil(1.1 * max(apart, always)) + 1


def _own_masks(ctx: Context, outputs: Sequence[torch.Tensor], p: float) -> Bits:
    """The masks of calls on ones, a bit for each draw; places that share a draw must agree."""
    spec, y = ctx.spec, torch.stack(list(outputs)).detach()
    if isinstance(spec, Elementwise):  # of all calls at once, which takes less time
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


# The tests of `_tell_apart`: the rate of all, the least, the most; and a coincidence of two places.
RATES = 4
NEIGHBOURS = 8  # distances at which pairs of places are counted


def _tell_apart(
    ctx: Context,
    bits: Bits,
    shape: Sequence[int],
    label: str,
    p: float,
    family: stats.Family,
) -> None:
    """Test the rate of each place, and look for places that are not independent of one another."""
    calls, size = bits.shape
    dropped = calls - np.count_nonzero(bits, axis=0)
    middle, slack = ctx.null_rate(p)
    family.binomial(f"{label}, all places", int(dropped.sum()), calls * size, middle, slack)
    for name, at in (("least", int(dropped.argmin())), ("most", int(dropped.argmax()))):
        text = f"{label}, place {at} of {size}, dropped the {name}"
        family.extreme(text, int(dropped[at]), calls, middle, slack, among=size)
    chance = stats.pairs_differ(p)
    for lag in _distances(shape, size):
        differing, n = stats.count_differing(*stats.disjoint_pairs(bits, lag))
        text = f"{label}, pairs {lag} places apart, which differ"
        family.binomial(text, differing, n, chance, 2 * slack)
    if next(iter(family.rejected()), None) is not None:
        return  # places that are always kept would also share their draws
    found = _sharing(bits)
    if found:
        how, pairs = found
        distance, times = Counter(second - first for first, second in pairs).most_common(1)[0]
        first, second = pairs[0]
        raise Fault(
            f"{len(pairs)} pairs of {size} places have {how} in all of {calls} calls, such as "
            f"{first} and {second}; {times} of them are {abs(distance)} places apart",
            pairs=len(pairs),
            calls=calls,
        )


def _distances(shape: Sequence[int], size: int) -> list[int]:
    """The distances of neighbours, rows and planes, the halves, and the lanes of vectors."""
    steps = itertools.accumulate(reversed(shape), operator.mul, initial=1)
    wanted = (1, 2, *steps, size // 2, 4, 8, 16)
    fitting = dict.fromkeys(lag for lag in wanted if 0 < lag <= size // 2)
    return list(fitting)[:NEIGHBOURS]


def _sharing(bits: Bits) -> tuple[str, list[tuple[int, int]]] | None:
    """Pairs of places with equal, opposite or delayed draws, by hashes of each place's bits."""
    # Equal and opposite draws alike change at the same calls: mostly, one sort finds no pair.
    steps = bits[1:] ^ bits[:-1]
    changes = np.sort(np.concatenate([_codes(steps[:-1]), _codes(steps[1:])]))
    if not np.any(changes[1:] == changes[:-1]):
        return None
    now, later = bits[:-1], bits[1:]
    code = _codes(now)
    order = np.argsort(code, kind="stable")
    same = np.flatnonzero(code[order[1:]] == code[order[:-1]])
    if same.size:
        return "the same draws", [
            (int(a), int(b)) for a, b in zip(order[same], order[same + 1], strict=True)
        ]
    for how, other in (
        ("opposite draws", ~now),
        ("draws that return one call later", later),
        ("draws whose opposites return one call later", ~later),
    ):
        _, first, second = np.intersect1d(code, _codes(other), return_indices=True)
        if first.size:
            return how, [(int(a), int(b)) for a, b in zip(first, second, strict=True)]
    return None


def _codes(bits: Bits) -> np.ndarray:
    """A hash of 64 bits of each column: equal columns have equal ones."""
    packed = np.packbits(np.ascontiguousarray(bits.T), axis=1)
    room = np.zeros((len(packed), -(-packed.shape[1] // 8) * 8), dtype=np.uint8)
    room[:, : packed.shape[1]] = packed
    code = np.zeros(len(room), dtype=np.uint64)
    with np.errstate(over="ignore"):
        for word in room.view(np.uint64).T:  # the mixing of SplitMix64
            code = (code ^ word) * np.uint64(0xBF58476D1CE4E5B9)
            code ^= code >> np.uint64(31)
    return code


LARGE = (1 << 22) + 13
PARTS = 8
PIECE = 1 << 17  # compared at a time: the temporaries stay in the cache
LAGS = (1, 2, 3, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)


@check(needs=["draws-everywhere", "mask-repeats", "grad-scale"], statistical=True)
def large_call(ctx: Context) -> Seen:
    """A call on millions of elements is as right at its end as at its beginning.

    Measured: one call on 2^22 + 13 elements (at quick 2^20 + 13): values and gradient; in each of
    eight parts, and in the last 64 elements, the rate and how often two mask bits at thirteen lags
    differ; and whether any 64 or more mask bits repeat.

    Large tensors take other paths: several threads, streaming stores, 32-bit offsets, a second
    block of random numbers. Test inputs are small, and these paths are first taken in training.

    To fix: test a size above each limit in the code, and not only below.
    """
    p = ctx.sound_p
    if not _is_own(ctx.spec) or "lag-independence" in ctx.spec.exempt:
        raise Skip("its input is made by the verifier, in calls of a limited size")
    if ctx.spec.is_drawn_by_call:
        raise Skip("a call makes one draw")
    n = (1 << 20) + 13 if ctx.level.is_quick else LARGE
    n = max(1 << 14, n // ctx.spec.cost) | 1
    if isinstance(ctx.spec, Elementwise) and ctx.spec.pattern:
        n = n // 3 * 3
    x = ctx.normal(n)
    built = ctx.build(p)
    leaf = x.clone().requires_grad_(ctx.subject.has_gradient)
    y = ctx.call(built, leaf.clone())
    pieces = [slice(start, start + PIECE) for start in range(0, n, PIECE)]
    bits = torch.cat([split(x[piece], y.detach()[piece], p)[0] for piece in pieces]).numpy()
    if leaf.requires_grad and "grad-scale" not in ctx.spec.exempt:
        upstream = ctx.normal(n + 1)[1:]
        with ctx.blame("the gradient"):
            (grad,) = gradients(y, [leaf], upstream)
        condition = Condition({"p": p, "shape": x.shape})
        for piece in pieces:
            kept = torch.from_numpy(bits[piece])
            _compare(grad[piece], kept, upstream[piece], p, condition, "gradient")
    edges = [n * part // PARTS for part in range(PARTS + 1)]
    parts = [bits[a:b] for a, b in itertools.pairwise(edges)]
    lags = [lag for lag in LAGS if 4 * lag < len(parts[0])]
    half = ctx.share / 2  # the other half is that of a repeat
    family = stats.Family(half, (PARTS + 1) * (1 + len(lags)))
    chance = stats.pairs_differ(p)
    for at, part in enumerate([*parts, bits[-64:]]):
        name = f"part {at + 1} of {PARTS}" if at < PARTS else "the last 64 elements"
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
    seen = stats.smallest_seen(n // PARTS, p, family.each)
    return outcome(
        family,
        lambda t: f"a call on {n} elements, {t.label}: {t.rate:.5g} of {t.n}",
        f"a rate error of {seen:.2g} in an eighth of a call on {n} elements",
    )


# --- The module's state --------------------------------------------------------------------------

STATE_P = 0.23  # a number that no other attribute holds by chance
OTHER_P = 0.61
SIZE = 1 << 12


def _pickled(module: torch.nn.Module) -> torch.nn.Module:
    try:
        stored = pickle.dumps(module)
    except Exception as error:
        raise Skip("it cannot be pickled") from error
    copied: torch.nn.Module = pickle.loads(stored)
    return copied


def _saved(module: torch.nn.Module) -> torch.nn.Module:
    try:
        stored = io.BytesIO()
        torch.save(module, stored)
    except Exception as error:
        raise Skip("it cannot be saved") from error
    stored.seek(0)
    copied: torch.nn.Module = torch.load(stored, weights_only=False)
    return copied


def _loaded(module: torch.nn.Module) -> torch.nn.Module:
    copied = copy.deepcopy(module)
    copied.load_state_dict(module.state_dict())
    return copied


COPIES: Mapping[str, Callable[[torch.nn.Module], torch.nn.Module]] = {
    "copy.deepcopy": copy.deepcopy,
    "pickle": _pickled,
    "torch.save": _saved,
    "load_state_dict": _loaded,
    "double": lambda module: copy.deepcopy(module).double().float(),
}


@check(needs=["drop-rate", "eval-identity"], statistical=True)
def module_state(ctx: Context) -> Seen:
    """A module is the same dropout after it was copied, stored, loaded, converted or set.

    Measured: a module after `copy.deepcopy`, `pickle`, `torch.save`, `load_state_dict` and
    `double`, and after its p was set to another: values, rate and eval; a copy's masks are its own;
    `train()`, `eval()` and a parent's `train()` set the mode, and return the module.

    Layers are deep-copied to build a stack, pickled to reach a worker, and given another p by a
    schedule. A layer that keeps its generator or its scale from construction then repeats the masks
    of its copies, or scales by the old 1 / (1 - p).

    To fix: keep p as an attribute, and nothing else; compute the scale in each call.
    """
    # A kind that keeps a fixed count holds some p exactly and not others.
    exact = (p for p in (STATE_P, *ctx.spec.grid) if len(set(ctx.spec.rates(p))) == 1)
    fixed = ctx.subject.fixed_p
    built = ctx.build(fixed if fixed is not None else next(exact, STATE_P))
    module = built.module
    if module is None or built.again is None:
        raise Skip("the target is not a module")
    _fixed(ctx)
    family = ctx.family(len(COPIES) + 1)
    _demand_modes(module)
    for name, copied in COPIES.items():
        try:
            with ctx.blame(name):
                other = copied(module)
        except Skip:
            continue
        _demand_same(ctx, built, built.again(other, built.p), name, family)
    if ctx.subject.fixed_p is None and not len(list(module.children())):
        _demand_other_p(ctx, built, family)
    if not family.tests:
        raise Skip("its rate is not held exactly")
    return outcome(
        family,
        lambda t: f"after {t.label}: {t.rate:.4g} of {t.n} dropped",
        f"a rate error of {stats.smallest_seen(family.tests[0].n, built.p, family.each):.2g}",
    )


def _demand_modes(module: torch.nn.Module) -> None:
    for training in (True, False, True):
        if module.train(training) is not module:
            raise Fault(f"train({training}) does not return the module")
        if module.training is not training:
            raise Fault(f"train({training}) does not set `training`")
    if module.eval() is not module:
        raise Fault("eval() does not return the module")
    parent = torch.nn.Sequential(module)
    for training in (True, False):
        parent.train(training)
        if any(part.training is not training for part in module.modules()):
            raise Fault(f"train({training}) of a parent does not reach it")


def _demand_same(ctx: Context, built: Built, other: Built, name: str, family: stats.Family) -> None:
    x = ctx.normal(ctx.draws(SIZE))
    with ctx.seeded("module-state", name):
        masks = []
        for one in (other, built, other):
            y = ctx.call(one, x.clone())
            try:
                masks.append(split(x, y, one.p)[0])
            except Fault as fault:
                raise Fault(f"after {name}: {fault.message}") from fault
        if ctx.subject.has_eval and not torch.equal(ctx.call(other, x.clone(), False), x):
            raise Fault(f"after {name}: eval does not return x")
    is_same_p = other.p == built.p and x.numel() >= ctx.telling_size(other.p)
    if is_same_p and torch.equal(masks[0], masks[1]):
        raise Fault(f"after {name}: the module and its copy have the same masks")
    low, high = ctx.spec.rates(other.p)
    if low == high:
        dropped = int(torch.count_nonzero(~masks[0]) + torch.count_nonzero(~masks[2]))
        family.binomial(name, dropped, 2 * x.numel(), low)


def _demand_other_p(ctx: Context, built: Built, family: stats.Family) -> None:
    """After every attribute that holds p, or 1 - p, was set to another p's."""
    assert built.module is not None
    assert built.again is not None
    module = copy.deepcopy(built.module)
    held = [
        (name, value)
        for name, value in vars(module).items()
        if isinstance(value, (int, float)) and value in (built.p, 1 - built.p)
    ]
    public = [(name, value) for name, value in held if not name.startswith("_")]
    if not public or len(public) < len(held):
        return
    for name, value in public:
        try:
            setattr(module, name, OTHER_P if value == built.p else 1 - OTHER_P)
        except (AttributeError, TypeError, ValueError):
            return  # a p that cannot be set is not set wrongly
    named = " and ".join(f"`{name}`" for name, _ in public)
    _demand_same(ctx, built, built.again(module, OTHER_P), f"{named} was set", family)


# --- Kinds ---------------------------------------------------------------------------------------

# Samples, heads, queries, keys: single ones, odd ones, more than a tile of any kernel.
ATTENTION = (
    (1, 1, 1, 3),
    (2, 3, 5, 7),
    (2, 2, 16, 16),
    (1, 5, 33, 17),
    (1, 2, 130, 65),
    (1, 1, 3, 1025),
)


@check(needs=["drop-rate", "kept-scale"], statistical=True, kind=Attention)
def attention_everywhere(ctx: Context) -> Seen:
    """Every attention weight is dropped by its own draw, whatever the numbers of heads and keys.

    Measured: with equal scores and the identity as values the output is the masked weights: all of
    them, for six shapes from one to 1025 keys, one to five heads, and lengths that no tile divides;
    values, the gradient of the values, the rate of each place, and that no two share their draws.

    Kernels compute attention tile by tile. An offset that leaves out the head, the sample or the
    tile gives them the masks of others, and the last tile, which is not full, has code of its own.

    To fix: number the weights by (sample, head, query, key), and draw by that number.
    """
    p = ctx.sound_p
    family = ctx.family((RATES + NEIGHBOURS) * len(ATTENTION))
    built = ctx.build(p).target
    for shape in ATTENTION:
        label = "{} samples, {} heads, {} queries, {} keys".format(*shape)
        size = math.prod(shape)
        calls = _calls_to_tell(p, size, family.each)
        with ctx.seeded("attention", shape):
            value = _identity(shape).requires_grad_(ctx.subject.has_gradient)
            weights = _weights(ctx, built, shape, value)
            kept = _demand_weights(weights.detach(), label, p)
            if weights.requires_grad:
                _demand_value_gradient(ctx, weights, value, kept, label, p)
            masks = [kept.reshape(-1)]
            for _ in range(calls - 1):
                y = _weights(ctx, built, shape, value.detach()).detach()
                masks.append((y != 0).reshape(-1))
            _tell_apart(ctx, torch.stack(masks).numpy(), shape, label, p, family)
    return outcome(
        family,
        lambda t: f"p={p:g}, {t.label}: {t.rate:.4g} of {t.n} dropped",
        f"any two weights that share their draws, in {len(ATTENTION)} shapes",
    )


def _identity(shape: tuple[int, int, int, int]) -> torch.Tensor:
    samples, heads, _, keys = shape
    return torch.eye(keys).expand(samples, heads, keys, keys).contiguous()


def _weights(
    ctx: Context, built: Built, shape: tuple[int, int, int, int], value: torch.Tensor
) -> torch.Tensor:
    samples, heads, queries, keys = shape
    query, key = torch.zeros(samples, heads, queries, 8), torch.zeros(samples, heads, keys, 8)
    with ctx.blame(f"attention of {heads} heads, {queries} queries and {keys} keys"):
        y = built.call(query, True, key=key, value=value)
    y = y[0] if isinstance(y, (tuple, list)) and y else y
    if not isinstance(y, torch.Tensor) or tuple(y.shape) != shape:
        got = tuple(y.shape) if isinstance(y, torch.Tensor) else type(y).__name__
        raise Fault(f"expected an output of shape {shape}, got {got}")
    return y * keys


def _demand_weights(weights: torch.Tensor, label: str, p: float) -> torch.Tensor:
    kept = weights != 0
    wrong = kept & ~((weights * (1 - p) - 1).abs() < 1e-3)
    if bool(wrong.any()):
        raise Fault(
            f"{label}: {int(wrong.sum())} of {wrong.numel()} weights are neither 0 nor scaled by "
            f"1 / (1 - p), such as {float(weights[wrong][0]):.6g}, expected {1 / (1 - p):.6g}"
        )
    return kept


def _demand_value_gradient(
    ctx: Context,
    weights: torch.Tensor,
    value: torch.Tensor,
    kept: torch.Tensor,
    label: str,
    p: float,
) -> None:
    upstream = ctx.normal(*weights.shape)
    with ctx.blame("the gradient of the values"):
        (grad,) = gradients(weights, [value], upstream)
    want = (kept.double() / (1 - p)).mT @ upstream.double()
    terms = (kept.double() / (1 - p)).mT @ upstream.double().abs()
    wrong = (grad.double() - want).abs() > 1e-4 * terms + 1e-6
    if bool(wrong.any()):
        raise Fault(
            f"{label}: {int(wrong.sum())} of {wrong.numel()} gradients of the values are not those "
            "of the mask of y"
        )


@check(needs=["eval-identity"], kind=Weights)
def embedding_repeats(ctx: Context) -> Seen:
    """An embedding row that occurs more than once in a call is dropped in all its places, or none.

    Measured: calls with indices that repeat: the rows of the output for one index are equal.

    Embedding dropout drops word types, not words: the row of the weight. A mask on the output drops
    the same word in one place and keeps it in another (Gal and Ghahramani, 2016, section 4.2).

    To fix: mask the rows of the weight, and look the masked weight up.
    """
    built = ctx.build(ctx.main_p).target
    module = built.module
    if module is None or not any(isinstance(m, torch.nn.Embedding) for m in module.modules()):
        raise Skip("the target is not an embedding")
    rows = next(m for m in module.modules() if isinstance(m, torch.nn.Embedding)).num_embeddings
    some = torch.arange(rows)[: min(rows, 64)]
    indices = torch.cat([some, some.flip(0), some])
    module.train()
    for _ in range(8):
        with ctx.blame("a call with indices that repeat"):
            y = module(indices).detach()
        thirds = (y[: len(some)], y[len(some) : 2 * len(some)].flip(0), y[2 * len(some) :])
        differ = sum(int((part != thirds[0]).any(-1).sum()) for part in thirds[1:])
        if differ:
            raise Fault(f"{differ} of {2 * len(some)} repeated rows differ from the first")
    return Seen(f"{len(some)} rows, three times each in a call")


@check(needs=["output-shape"])
def arguments_unmodified(ctx: Context) -> Seen:
    """A call does not write into its other arguments: a residual, a bias, a state, keys, values.

    Measured: these arguments before and after calls in training and eval.

    A fused kernel that adds into the residual saves an allocation, and destroys an activation that
    another branch of the network, or its backward, still reads.

    To fix: write into a new tensor.
    """
    spec = ctx.spec
    if isinstance(spec, Fused):
        given = {"residual": ctx.normal(24, 20), "bias": ctx.normal(20)}
    elif isinstance(spec, Between):
        given = {"old": ctx.normal(24, 20)}
    elif isinstance(spec, Attention):
        given = {"key": ctx.normal(2, 2, 9, 8), "value": ctx.normal(2, 2, 10, 8)[:, :, 1:]}
    else:
        raise Skip("it has no other argument")
    for training in ctx.modes:
        built = ctx.build(ctx.main_p).target
        x = ctx.normal(2, 2, 5, 8) if isinstance(spec, Attention) else ctx.normal(20, 24).T
        before = {name: value.clone() for name, value in given.items()}
        with ctx.blame("a call"):
            built.call(x, training, **given)
        for name, value in given.items():
            if not torch.equal(value, before[name]):
                mode = "training" if training else "eval"
                changed = int((value != before[name]).sum())
                raise Fault(f"{changed} of {value.numel()} values of `{name}` changed in {mode}")
    return Seen(f"{', '.join(given)} as before")


@check(needs=["noise-law"], statistical=True, kind=Elementwise)
def noise_pairs(ctx: Context) -> Seen:
    """Noise numbers are independent in sign and in size.

    Measured: how often the numbers of two places are on different sides of the median, and how
    often only one of them is in the middle half of the distribution, at ten lags.

    The Box-Muller transform makes two normal numbers of one radius and one angle. A kernel that
    reuses the radius, or squares a number that it has, gives noise of the right distribution whose
    sizes depend on each other: large errors come in pairs, which no test of the sign sees.

    To fix: take a new pair of uniform numbers for each pair of normal ones.
    """
    effect = ctx.spec.effect if isinstance(ctx.spec, Elementwise) else None
    if not isinstance(effect, Noise) or ctx.spec.cost > 4:
        raise Skip("applies only to continuous noise of one number for each element")
    p = ctx.main_p
    quarters = (0.25, 0.5, 0.75)
    if len(effect.resolved(p, quarters)) < len(quarters):
        raise Skip(f"p={p:g}: rounding decides where a number is in the distribution")
    low, median, high = effect.of(p).ppf(np.array(quarters))
    lags = (1, 2, 3, 4, 8, 16, 32, 64, 128, 256)
    family = ctx.family(2 * (len(lags) + 1))
    pairs = ctx.size(0.5, 0.5 * 4 * ctx.level.correlation, family.each, 512)
    x = ctx.normal(2 * pairs)
    y = ctx.call(ctx.build(p).target, x.clone())
    noise = effect.noise(x, y).numpy()
    for name, bits in (
        ("on different sides of the median", noise > median),
        ("of which one is in the middle half", (noise > low) & (noise < high)),
    ):
        for lag in lags:
            differing, n = stats.count_differing(*stats.disjoint_pairs(bits, lag))
            family.binomial(f"lag {lag}, pairs {name}", differing, n, 0.5)
        half = len(bits) // 2
        differing, n = stats.count_differing(bits[:half], bits[half:])
        family.binomial(f"halves of a call, pairs {name}", differing, n, 0.5)
    return outcome(
        family,
        lambda t: f"p={p:g}, {t.label}: {t.rate:.5g} of {t.n}",
        f"a correlation of {2 * stats.smallest_seen(n, 0.5, family.each):.2g} of signs or sizes",
    )
