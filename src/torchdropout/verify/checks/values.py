"""Values: the mask does not depend on x, and x is not modified."""

from __future__ import annotations

import math

import torch

from ..context import Context, Fault, Seen, Skip, check, outcome, seed_torch
from ..rounding import exact, tolerance
from ..specs.elementwise import Elementwise
from ..stats import smallest_seen
from ..subject import Built
from ._reading import gradients, is_scaled, seeded_mask, split

ROWS = 1 << 14  # values of each class in a call
CLASSES = {
    "negative": -1.0,
    "positive": 1.0,
    "tiny": 1e-30,
    "small and negative": -1e-3,
    "large": 1e4,
    "large and negative": -1e4,
    "huge": 1e30,
}


@check(needs=["output-shape"])
def input_unmodified(ctx: Context) -> Seen:
    """A call does not write into x.

    Measured: x before and after calls in training and eval.

    The caller's tensor may be a residual, a parameter or a saved activation. fastai's
    EmbeddingDropout scaled its weight in place in eval.

    To fix: write into x only where `inplace=True` was requested.
    """
    built = ctx.build(ctx.main_p)
    for training in ctx.modes:
        x = ctx.normal(1024)
        before = x.clone()
        ctx.call(built, x, training)
        if not torch.equal(x, before):
            changed = int((x != before).sum())
            raise Fault(
                f"{changed} of {x.numel()} values of x changed in a call in "
                f"{'training' if training else 'eval'}",
                changed=changed,
            )
    return Seen("x as before")


@check(needs=["seed-governs"])
def value_mask(ctx: Context) -> Seen:
    """The same seed gives the same mask for any values.

    Measured: masks after one `torch.manual_seed` for ones, for values of both signs, for very
    small, very large and sorted ones, and for ones among zeros.

    A mask that is a function of x is not dropout: it carries information, and recomputing it from
    changed activations gives another mask.

    To fix: draw the mask from the generator and the shape only.
    """
    built = ctx.build(ctx.main_p)
    size = ctx.telling_size(built.p)
    ones, normal = torch.ones(size), ctx.normal(size)
    inputs = {
        "values of both signs": normal,
        "sorted values": normal.sort().values,
        "values near 1e-30": normal * 1e-30,
        "values near 1e30": normal * 1e30,
        "negative ones": -ones,
    }
    want = seeded_mask(ctx, built, ones, 7)
    for name, given in inputs.items():
        differ = int((seeded_mask(ctx, built, given, 7) != want).sum())
        if differ:
            raise Fault(
                f"{name}: a different mask from that for ones after the same seed, at "
                f"{differ} of {size} places",
                differ=differ,
            )
    # Zeros hide their own bits, and must not change the bits of other elements.
    sparse = ones.clone()
    sparse[1::3] = 0
    y = _seeded(ctx, built, sparse, 7)
    differ = int(((y != 0) != want)[sparse != 0].sum())
    if differ:
        raise Fault(
            f"an input with zeros: a different mask from that for ones after the same seed, at "
            f"{differ} of {int((sparse != 0).sum())} places that are not zero",
            differ=differ,
        )
    return Seen("one mask for all values")


def _seeded(ctx: Context, built: Built, x: torch.Tensor, seed: int) -> torch.Tensor:
    seed_torch(seed)
    return ctx.call(built, x).detach()


@check(needs=["drop-rate"], statistical=True)
def value_rate(ctx: Context) -> Seen:
    """Values of every sign and size are dropped at the rate p.

    Measured: exact binomial tests of the drops among negative, positive, tiny, small, large and
    huge values, mixed in one input.

    Random bits taken from the mantissa of x, a threshold on x * noise, or a rank by size drop some
    values more often than others; the overall rate stays right.

    To fix: compare random numbers with p; do not compare x with anything.
    """
    p = ctx.sound_p
    family = ctx.family(len(CLASSES))
    n = ctx.size(p, ctx.level.rough_rate * math.sqrt(p * (1 - p)), family.each)
    built = ctx.build(p)
    factors = torch.tensor(list(CLASSES.values()))
    rows = min(n, ROWS)
    x = ctx.normal(rows, len(CLASSES)).abs() * factors
    # They are shuffled, so that a fault that depends on position does not look like one of values.
    order = torch.randperm(x.numel(), generator=ctx.generator("order"))
    x, places = x.reshape(-1)[order], order.argsort()
    dropped = torch.zeros(len(CLASSES), dtype=torch.int64)
    n = -(-n // rows) * rows
    for _ in range(n // rows):  # the same values every time: the draws are new
        kept = ctx.kept(built, x.clone())[places].reshape(-1, len(CLASSES))
        dropped += rows - torch.count_nonzero(kept, dim=0)
    family.binomials(list(CLASSES), dropped.numpy(), n, p)
    return outcome(
        family,
        lambda t: f"p={p:g}, {t.label} values: {t.rate:.4g} of {t.n} dropped",
        f"a rate error of {smallest_seen(n, p, family.each):.2g} in one kind of value",
    )


@check(needs=["kept-scale"])
def nonfinite_kept(ctx: Context) -> Seen:
    """An infinity or NaN that is kept is unchanged.

    Measured: inputs that are all inf, all -inf and all NaN: at kept places, the same.

    Dropout that cleans up values hides the overflow that the loss scaler, or a person, is looking
    for.

    To fix: leave out `nan_to_num` and `clamp`.
    """
    built = ctx.build(ctx.main_p)
    size = ctx.telling_size(built.p)
    for value in (math.inf, -math.inf, math.nan):
        x = torch.full((size,), value)
        y = ctx.call(built, x.clone()).detach().float()
        # A dropped infinity may be 0 (select) or NaN (0 * inf); see nonfinite-dropped.
        kept = torch.isnan(y) if math.isnan(value) else y == value
        other = ~kept & (y != 0) & ~torch.isnan(y)
        if bool(other.any()) or not bool(kept.any()):
            got = float(y[~kept][0]) if not bool(other.any()) else float(y[other][0])
            raise Fault(f"p={built.p:g}: kept places of an input full of {value} hold {got:g}")
    return Seen("inf, -inf and NaN stay at kept places")


@check(severity="advice", needs=["kept-scale"])
def nonfinite_dropped(ctx: Context) -> Seen:
    """A dropped infinity or NaN becomes 0.

    Measured: inputs that are all inf, all -inf and all NaN: some places must be 0, and an infinity
    must not become NaN.

    torch multiplies by the mask, and inf * 0 is NaN; Keras and Flax select. With a product, a
    masked -inf becomes NaN at exactly the places that dropout should remove.

    To fix: `torch.where(dropped, 0, x * scale)` instead of `x * mask`.
    """
    built = ctx.build(ctx.main_p)
    size = ctx.telling_size(built.p)
    for value in (math.inf, -math.inf, math.nan):
        y = ctx.call(built, torch.full((size,), value)).detach()
        nan = int(torch.isnan(y).sum())
        if not bool((y == 0).any()) or (nan and not math.isnan(value)):
            raise Fault(
                f"p={built.p:g}: {nan} of {size} values are NaN for an input full of {value}, "
                "expected 0 where dropped",
                nan=nan,
                value=value,
            )
    return Seen("0 where inf, -inf or NaN is dropped")


@check(needs=["kept-scale"])
def inplace_claim(ctx: Context) -> Seen:
    """With `inplace=True` the target writes into x, and returns what it wrote.

    Measured: calls in training with `inplace=True`: x afterwards against y, its memory against that
    of y, and y against 0 and x / (1 - p); a second call; a call in eval; gradients through y and
    through x; and after an operation that needs its output for its own backward, an error of
    autograd or the right gradient.

    A target that accepts `inplace` and returns a new tensor costs the memory that the caller meant
    to save. One that writes past autograd (`x.data`, NumPy, a kernel that marks nothing) gives
    wrong gradients and no error.

    To fix: write into x with in-place operations of torch, or `ctx.mark_dirty`, and return x; or
    remove the argument.
    """
    if not ctx.subject.takes_inplace:
        raise Skip("it has no argument `inplace`, or does not get the caller's own x")
    if ctx.is_rescaled:
        raise Skip("not checked: kept-scale failed")
    spec, built = ctx.spec, ctx.build(ctx.main_p, inplace=True)
    x = ctx.normal(ctx.telling_size(built.p))
    split(x, ctx.call(built, x.clone()), built.p, "inplace=True")
    # The target wrote its own output, not the view of it.
    x = spec.spread(x) if isinstance(spec, Elementwise) and spec.pattern else x
    given = x.clone()
    returned = ctx.call(built.target, given).detach()
    y = returned.clone()
    if not torch.equal(given, y):
        unlike = int((given != y).sum())
        raise Fault(
            "inplace=True: x is unchanged after the call"
            if torch.equal(given, x)
            else f"inplace=True: x differs from y at {unlike} of {x.numel()} places",
            differ=unlike,
        )
    if returned.data_ptr() != given.data_ptr():
        raise Fault("inplace=True: y is a copy, in memory other than x's")
    _demand_calls_after(ctx, ctx.build(ctx.main_p, inplace=True), x)
    # The gradient is compared without the view, which would write into x itself.
    if ctx.subject.has_gradient and is_scaled(spec):
        for through in ("y", "x"):
            _demand_inplace_gradient(ctx, built, x, through)
        _demand_output_kept(ctx, built, x)
    return Seen("inplace=True writes y into x")


def _demand_calls_after(ctx: Context, built: Built, x: torch.Tensor) -> None:
    """A second call on another tensor, one on the result of the first, and one in eval."""
    first = x.clone()
    y = ctx.call(built.target, first).detach().clone()
    ctx.call(built.target, x.clone())
    if not torch.equal(first, y):
        raise Fault(
            "inplace=True: a second call, on another tensor, changed the result of the first"
        )
    if is_scaled(ctx.spec):
        split(y, ctx.call(built.target, first), built.p, "inplace=True, a second call on y")
    if ctx.subject.has_eval:
        given = x.clone()
        returned = ctx.call(built.target, given, False)
        for name, value in (("x", given), ("y", returned)):
            if not torch.equal(value, x):
                differ = int((value != x).sum())
                raise Fault(f"inplace=True, in eval: {name} is not x at {differ} places")


def _demand_inplace_gradient(ctx: Context, built: Built, x: torch.Tensor, through: str) -> None:
    leaf = x.clone().requires_grad_()
    given = leaf.clone()
    y = ctx.call(built.target, given)
    kept, upstream = y.detach() != 0, ctx.normal(x.numel() + 1)[1:].reshape(x.shape)
    where = f"inplace=True, the gradient through {through}"
    with ctx.blame(where):
        (grad,) = gradients(y if through == "y" else given, [leaf], upstream)
    of_grad, _ = split(upstream, grad, built.p, where)
    differ = int((of_grad != kept).sum())
    if differ:
        raise Fault(f"{where}: a different mask from y at {differ} of {x.numel()} places")


def _demand_output_kept(ctx: Context, built: Built, x: torch.Tensor) -> None:
    """After `exp`, whose backward needs its output: an error, or the right gradient."""
    leaf = x.clone().requires_grad_()
    given = leaf.exp()
    factor, upstream = given.detach().clone(), ctx.normal(x.numel() + 1)[1:].reshape(x.shape)
    y = ctx.call(built.target, given)
    try:
        (grad,) = gradients(y, [leaf], upstream)
    except RuntimeError:
        return  # autograd has noticed the write
    want = torch.where(y.detach() != 0, exact(upstream, built.p) * factor.double(), 0.0)
    wrong = (grad.double() - want).abs() > 2 * tolerance(want, built.p, x.dtype)
    if bool(wrong.any()):
        raise Fault(
            "inplace=True after an operation that needs its output for its backward (exp): no "
            f"error, and {int(wrong.sum())} of {x.numel()} gradients are wrong: autograd does not "
            "know of the write"
        )
