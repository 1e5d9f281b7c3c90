"""Structure: what defines a kind of dropout beyond independent draws: shared, counted, fused."""

from __future__ import annotations

import itertools
import math
from typing import TypeVar

import numpy as np
import torch
from torch.nn import functional as F

from ..context import Context, Fault, Seen, Skip, check, outcome
from ..rounding import ULPS, ulp
from ..specs import Alpha, Attention, Between, Blocks, Counted, Elementwise, Fused, Noise, expected
from ..stats import STANDARD, smallest_seen
from ..subject import Built, Spec
from ._reading import gradients

_Kind = TypeVar("_Kind", bound=Spec)


def _spec(ctx: Context, kind: type[_Kind]) -> _Kind:
    """The spec, whose class `check(kind=...)` has ensured, for the type checker."""
    assert isinstance(ctx.spec, kind)
    return ctx.spec


def _same(ctx: Context, built: Built, x: torch.Tensor, training: bool) -> torch.Tensor:
    """Call the target itself on x; the output must have the shape of x."""
    return ctx.call(built.target, x, training)


@check(needs=["output-shape"], kind=Elementwise)
def shared_mask(ctx: Context) -> Seen:
    """All elements that share a draw are dropped or kept together.

    Measured: values that all differ, along the axes that share a draw and along those that do not:
    the mask is constant along the shared axes, in y and in the gradient; eval returns x.

    A channel dropped in part is plain dropout under another name: neighbours fill the gap, which
    Dropout2d is meant to prevent. A draw shared by too many elements fails the checks of
    independence.

    To fix: draw the mask with size 1 along the shared axes, and let it broadcast.
    """
    spec = _spec(ctx, Elementwise)
    if not spec.shared:
        raise Skip("applies only to kinds that share draws")
    batch = 256 if "n" in spec.pattern else 1
    x = ctx.normal(*spec.shape(batch * (6 if "c" in spec.pattern else 1), 6))
    for p in ctx.grid:
        built = ctx.build(p)
        if ctx.subject.has_eval:
            y = _same(ctx, built, x.clone(), False)
            if not torch.equal(y.detach(), x):
                raise Fault("eval does not return x")
        for _ in range(4):
            leaf = x.clone().requires_grad_()
            y = _same(ctx, built, leaf.clone(), True)
            kept = spec.effect.decode(x, y.detach(), p) != 0
            _together(spec, kept, "y")
            # A constant zero, from a layer that was not computed, has a zero gradient.
            if ctx.subject.has_gradient and (y.requires_grad or bool(kept.any())):
                (grad,) = torch.autograd.grad(y.sum(), leaf)
                _together(spec, grad != 0, "the gradient")
    return Seen(f"one draw along the axes marked * of {spec.pattern!r}, in y and in the gradient")


def _together(spec: Elementwise, kept: torch.Tensor, where: str) -> None:
    own = [i for i in range(kept.ndim) if i not in spec.shared]
    rows = kept.permute(*own, *spec.shared).reshape(-1, spec.per_draw)
    split = int((rows.any(1) != rows.all(1)).sum())
    if split:
        raise Fault(
            f"{split} of {len(rows)} draws are kept in part, in {where}; the axes marked * of "
            f"{spec.pattern!r} share one{_instead(kept)}",
            split=split,
        )


def _instead(kept: torch.Tensor) -> str:
    """Along which axes draws are shared instead, which shows a reader the actual kind."""
    axes = [
        axis
        for axis, size in enumerate(kept.shape)
        if size > 1 and torch.equal(kept.all(axis), kept.any(axis))
    ]
    return f"; here axis {' and '.join(map(str, axes))} does: another --spec?" if axes else ""


@check(needs=["output-shape"], kind=Blocks)
def block_shape(ctx: Context) -> Seen:
    """Dropped places form whole blocks.

    Measured: planes at a low p: every dropped place lies in a dropped block (which only the border
    may cut off), and the smallest dropped area away from the border is one block.

    A block of another size, or single places dropped in addition to the blocks, leaves the
    neighbourhood from which the network reads the dropped value.

    To fix: enlarge each seed by max-pooling with a kernel of the block's size, stride 1.
    """
    spec = _spec(ctx, Blocks)
    p = min(ctx.grid)
    built = ctx.build(p)
    ones = torch.ones(2048, 1, *[spec.size] * spec.dims)
    dropped = (_same(ctx, built, ones, True).detach() == 0).float()
    reach = spec.block - 1
    # A morphological opening: what survives erosion and dilation is a union of blocks.
    around = (reach,) * (2 * spec.dims)
    padded = F.pad(dropped, around, value=1.0)
    eroded = 1 - _most_in_blocks(1 - padded, spec)
    opened = _most_in_blocks(F.pad(eroded, around), spec)
    opened = F.pad(opened, tuple(-side for side in around))
    loose = int(((dropped > 0) & (opened == 0)).sum())
    if loose:
        raise Fault(
            f"p={p:g}: {loose} dropped places are not in a block of {_sides(spec)}",
            loose=loose,
        )
    if _single(spec, p, len(ones)) < ENOUGH:
        return Seen(f"blocks of {_sides(spec)} or more at p={p:g}, where hardly one is alone")
    within = F.pad(torch.ones([spec.size - 2] * spec.dims), (1,) * (2 * spec.dims))
    border = (dropped * (1 - within)).flatten(1).sum(1)
    whole = dropped[(border == 0) & (dropped.flatten(1).sum(1) > 0)]
    if not len(whole):
        raise Skip("no plane has a block away from its border")
    smallest = int(whole.flatten(1).sum(1).min())
    if smallest != spec.block**spec.dims:
        raise Fault(
            f"p={p:g}: the smallest of {len(whole)} dropped areas away from the border has "
            f"{smallest} places, expected {spec.block**spec.dims}",
            smallest=smallest,
        )
    return Seen(f"whole blocks of {_sides(spec)}, {len(ones)} planes")


def _most_in_blocks(x: torch.Tensor, spec: Blocks) -> torch.Tensor:
    """The maximum of each block, one axis at a time: as many steps as a block has sides."""
    pool = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[spec.dims]
    for axis in range(spec.dims):
        sides = [1] * spec.dims
        sides[axis] = spec.block
        x = pool(x, sides, stride=1)
    return x


ENOUGH = 30  # single blocks expected: the probability of none is 1e-13


def _single(spec: Blocks, p: float, planes: int) -> float:
    """How many planes with one block alone, away from the border, are expected."""
    seeds = -math.log1p(-p) * spec.places / spec.block**spec.dims
    inner = max(0, spec.size - 1 - spec.block) / max(1, spec.size + 1 - spec.block)
    return float(planes * seeds * math.exp(-seeds) * inner**spec.dims)


def _sides(spec: Blocks) -> str:
    return " x ".join([str(spec.block)] * spec.dims)


@check(needs=["output-shape"], kind=Blocks)
def scale_common(ctx: Context) -> Seen:
    """Kept values have one common scale, which compensates for what was dropped.

    Measured: y / x where kept, at every p: one value per call or per sample, either 1 / (1 - p) or
    one over the fraction that was kept.

    Nothing else preserves the expectation. A scale computed from the blocks' seeds instead of the
    places they cover is far off, and eval then sees activations of a different size from training.

    To fix: divide by the fraction kept, or by 1 - p, and use one of them for all elements.
    """
    spec = _spec(ctx, Blocks)
    for p in ctx.grid:
        x = ctx.normal(64, 1, *[spec.size] * spec.dims)
        y = _same(ctx, ctx.build(p), x.clone(), True).detach().double()
        ratio = torch.where(y == 0, torch.nan, y / x.double()).flatten(1)
        kept = ~torch.isnan(ratio)
        low = torch.where(kept, ratio, math.inf).amin(1)
        high = torch.where(kept, ratio, -math.inf).amax(1)
        there = kept.any(1)
        if bool((high - low > 1e-5 * high)[there].any()):
            raise Fault(f"p={p:g}: the kept values of a sample have different scales")
        share = kept.double().mean(1)
        choices = {
            "1 / (1 - p)": torch.full_like(low, 1 / (1 - p)),
            "one over the fraction kept in the call": (1 / share.mean()).expand_as(low),
            "one over the fraction kept in the sample": 1 / share,
        }
        if not any(
            bool(((low / scale - 1).abs() < 1e-4)[there].all()) for scale in choices.values()
        ):
            raise Fault(
                f"p={p:g}: the scale of the first sample is {float(low[there][0]):.6g}, expected "
                f"{1 / (1 - p):.6g} or one over the fraction kept, {float(1 / share.mean()):.6g}"
            )
    return Seen("one scale per call or sample, which compensates for what was dropped")


@check(needs=["output-shape"], kind=Counted)
def fixed_count(ctx: Context) -> Seen:
    """Each group keeps exactly the requested number.

    Measured: how many of each group are kept, at every p at which the number is whole, and at one p
    where it is not: then one of the two nearest whole numbers, the same in all groups.

    Sequences in a batch must have one length; hardware for 2:4 sparsity relies on the number.

    To fix: take the first round(L * (1 - p)) of a random order.
    """
    spec = _spec(ctx, Counted)
    groups = 256
    for p in (*ctx.grid, *((0.3,) if ctx.subject.fixed_p is None else ())):
        built = ctx.build(p).target
        given = spec.groups(built, groups, torch.float32, torch.device("cpu"))
        given = given if spec.removes else given[..., 0].contiguous()
        with ctx.blame(f"a call at p={p:g} in training"):
            y = built.call(given, True)
        kept = spec.seen(y, given, True)[1].sum(1)
        allowed = set(spec.kept_of(p))
        seen = set(kept.tolist())
        if len(seen) > 1 or not seen <= allowed:
            raise Fault(
                f"p={p:g}: groups of {spec.group} keep {', '.join(map(str, sorted(seen)))}, "
                f"expected {' or '.join(map(str, sorted(allowed)))}",
                p=p,
                seen=sorted(seen),
            )
    return Seen(f"the requested number in each of {groups} groups, at every p")


_MOST_GROUPS = 1 << 20


@check(needs=["fixed-count"], statistical=True, kind=Counted)
def subset_uniform(ctx: Context) -> Seen:
    """All subsets of a group are equally likely, as far as places and pairs show.

    Measured: how often each place of a group is kept, and each pair of places together; for a
    uniform choice of k of n the probabilities are k / n and k (k - 1) / (n (n - 1)).

    Keeping tokens in runs, or one of every two neighbours, gives the right number but the
    wrong distribution: the model learns to fill gaps that it will not meet.

    To fix: order the places by independent random numbers, and take the first k.
    """
    spec = _spec(ctx, Counted)
    p = ctx.main_p
    n = spec.group
    pairs = list(itertools.combinations(range(n), 2))
    family = ctx.family(n + len(pairs))
    groups = min(ctx.size(0.25, 5 * ctx.level.rate, family.each), _MOST_GROUPS)
    built = ctx.build(p).target
    marked = np.zeros((n, n), dtype=np.int64)
    part = 1 << 14
    rounds = max(1, groups // part)
    given = spec.groups(built, part, torch.float32, torch.device("cpu"))
    given = given if spec.removes else given[..., 0].contiguous()
    for _ in range(rounds):
        with ctx.blame(f"a call at p={p:g} in training"):
            y = built.call(given.clone(), True)
        kept = spec.seen(y, given, True)[1].double()
        marked += (kept.T @ kept).long().numpy()
    total = rounds * part
    k = round(int(np.trace(marked)) / total)  # the same of every group: see fixed-count
    together = k * (k - 1) / (n * (n - 1))
    family.binomials(
        [f"place {i + 1} of {n} kept" for i in range(n)], np.diag(marked), total, k / n
    )
    family.binomials(
        [f"places {i + 1} and {j + 1} of {n} kept" for i, j in pairs],
        [int(marked[i, j]) for i, j in pairs],
        total,
        together,
    )
    seen = smallest_seen(total, k / n, family.each)
    return outcome(
        family,
        lambda t: f"p={p:g}, {t.label}: {t.rate:.4g} of {t.n}",
        f"a rate error of {seen:.2g} of a place",
    )


@check(needs=["output-shape"], kind=Fused)
def fused_composition(ctx: Context) -> Seen:
    """The fused operation is `residual + dropout(x + bias)`, with its gradients.

    Measured: with a residual and a bias that are not zero, in training and eval: each value is
    residual or residual + (x + bias) / (1 - p); the gradient of the residual is the incoming one,
    that of x is masked and scaled, that of the bias is x's summed over all axes except the last.

    A fused kernel can add the bias after the mask, drop the residual with the rest or forget to
    reduce a gradient; each part alone looks right.

    To fix: write out the three lines, and compare.
    """
    for p in ctx.grid:
        built = ctx.build(p).target
        x, residual, bias = ctx.normal(64, 48), ctx.normal(48, 64).T.contiguous(), ctx.normal(48)
        if "bias" not in built.inputs:  # a target without a bias is checked without it
            bias = torch.zeros(48)
        for training in ctx.modes:
            leaves = [t.clone().requires_grad_() for t in (x, residual, bias)]
            with ctx.blame(f"a call at p={p:g}"):
                y = built.call(
                    leaves[0].clone(), training, residual=leaves[1].clone(), bias=leaves[2].clone()
                )
            _fused(ctx, p if training else 0.0, y, leaves, "bias" in built.inputs)
    return Seen("residual + dropout(x + bias), and its three gradients")


def _fused(
    ctx: Context, p: float, y: torch.Tensor, leaves: list[torch.Tensor], has_bias: bool
) -> None:
    x, residual, bias = (leaf.detach().double() for leaf in leaves)
    got = y.detach().double()
    inner = (x + bias) / (1 - p)
    terms = inner.abs() + residual.abs() + (x.abs() + bias.abs()) / (1 - p)
    allowed = ULPS * ulp(terms, y.dtype)
    plain = x / (1 - p)
    kept = (got - residual - inner).abs() <= allowed
    dropped = got == residual
    if not bool((kept | dropped).all()):
        without = bool((((got - residual - plain).abs() <= allowed) | dropped).all())
        raise Fault(
            f"p={p:g}: {int((~(kept | dropped)).sum())} of {got.numel()} values are neither the "
            "residual nor residual + (x + bias) / (1 - p)"
            + ("; the bias is not added" if without else ""),
            p=p,
        )
    upstream = ctx.normal(*got.shape)
    of_x, of_residual, of_bias = gradients(y, leaves, upstream, allow_unused=True)
    want = torch.where(kept & ~(dropped & (p > 0)), upstream.double() / (1 - p), 0.0)
    wrong = []
    if of_residual is None or not torch.equal(of_residual, upstream):
        wrong.append("residual")
    if of_x is None or bool(((of_x.double() - want).abs() > ULPS * ulp(want, y.dtype)).any()):
        wrong.append("x")
    total = want.sum(0)
    if has_bias and (
        of_bias is None or bool(((of_bias.double() - total).abs() > 1e-4 * len(want)).any())
    ):
        wrong.append("bias")
    if wrong:
        raise Fault(f"p={p:g}: the gradient of {' and '.join(wrong)} is wrong", p=p, wrong=wrong)


@check(needs=["output-shape"], kind=Between)
def states_mixed(ctx: Context) -> Seen:
    """Zoneout takes each unit from the new or the old state, and in eval their expectation.

    Measured: two states that are not zero: in training each value is that of one of them, bit for
    bit, and the gradient goes to that one only, unscaled; in eval the values are
    p * old + (1 - p) * new, and the gradients p and 1 - p times the incoming one.

    A scale of 1 / (1 - p), as in dropout, makes a state grow with every step it is kept; leaving
    out the expectation in eval gives a network that was never trained.

    To fix: `torch.where(dropped, old, new)` in training, `p * old + (1 - p) * new` in eval.
    """
    for p in ctx.grid:
        built = ctx.build(p).target
        for training in ctx.modes:
            new, old = ctx.normal(64, 48), ctx.normal(48, 64).T.contiguous()
            leaves = [t.clone().requires_grad_() for t in (new, old)]
            with ctx.blame(f"a call at p={p:g}"):
                y = built.call(leaves[0].clone(), training, old=leaves[1].clone())
            _mixed(ctx, p, y, leaves, training)
    return Seen("new or old in training, their expectation in eval, and the gradients of both")


def _mixed(
    ctx: Context, p: float, y: torch.Tensor, leaves: list[torch.Tensor], training: bool
) -> None:
    new, old = (leaf.detach() for leaf in leaves)
    got, upstream = y.detach(), ctx.normal(*y.shape)
    if training:
        right = (got == new) | (got == old)
        shares = [(got == new).double(), (got == old).double()]
        what = "neither the new nor the old state"
    else:
        right = expected(new, old, got, p)
        shares = [torch.full(y.shape, 1 - p).double(), torch.full(y.shape, p).double()]
        what = "not p * old + (1 - p) * new"
    mode = "training" if training else "eval"
    if not bool(right.all()):
        wrong = int((~right).sum())
        raise Fault(f"p={p:g}, {mode}: {wrong} of {got.numel()} values are {what}", p=p)
    if not ctx.subject.has_gradient:
        return
    grads = gradients(y, leaves, upstream, allow_unused=True)
    for name, grad, share in zip(("new", "old"), grads, shares, strict=True):
        want = share * upstream.double()
        allowed = ULPS * ulp(upstream.double(), y.dtype) * (0 if training else 1)
        if grad is None or bool(((grad.double() - want).abs() > allowed).any()):
            raise Fault(f"p={p:g}, {mode}: the gradient of the {name} state is wrong", p=p)


BINS = 32
TAIL = 1e-3


@check(needs=["output-shape", "train-stochastic"], statistical=True, kind=Elementwise)
def noise_law(ctx: Context) -> Seen:
    """The noise that x is multiplied by, or that is added to it, has the requested distribution.

    Measured: at every p, how often the noise lies below each of the 31 quantiles at multiples of
    1/32, how often between two neighbouring ones, and how often in its outer thousandths; and the
    gradient, which has the same noise. Gaussian dropout: normal, mean 1, variance p / (1 - p).
    Uniform dropout: uniform from 1 - p to 1 + p. Gaussian noise: normal, mean 0, standard deviation
    p, added. Concrete dropout: the relaxed mask at temperature 0.1.

    Using p as the variance, or uniform noise, leaves the mean right and regularises by an amount
    that was not requested. Tests of mean and variance alone pass noise of any shape.

    To fix: `x * (1 + sqrt(p / (1 - p)) * torch.randn_like(x))`.
    """
    spec = _spec(ctx, Elementwise)
    effect = spec.effect
    if not isinstance(effect, Noise):
        raise Skip("applies only to continuous noise")
    cuts = {p: _cuts(effect, p) for p in ctx.grid}
    family = ctx.family(sum(2 * len(inner) + 1 + len(outer) for inner, outer in cuts.values()))
    n = ctx.size(1 / BINS, ctx.level.rate / 2, family.each)
    x = ctx.normal(min(1 << 14, n))
    rounds = -(-n // x.numel())
    n = rounds * x.numel()
    what = "y - x" if effect.added else "y / x"
    for p, (inner, outer) in cuts.items():
        built = ctx.build(p)
        at, ends = effect.of(p).ppf(np.array(inner)), effect.of(p).ppf(np.array(outer))
        counts, tails = np.zeros(len(inner) + 1, dtype=np.int64), [0] * len(outer)
        for _ in range(rounds):
            leaf = x.clone().requires_grad_()
            # A channel that shares a draw stands for one value of x; it is read at one place.
            y = _same(ctx, built, spec.spread(leaf) if spec.pattern else leaf.clone(), True)
            y = spec.gather(y, x) if spec.pattern else y
            noise = effect.noise(x, y)
            seen = noise.numpy()
            counts += np.bincount(np.searchsorted(at, seen), minlength=len(counts))[: len(counts)]
            for i, (chance, end) in enumerate(zip(outer, ends, strict=True)):
                tails[i] += int(((seen < end) if chance == TAIL else (seen > end)).sum())
        if ctx.subject.has_gradient:
            upstream = ctx.normal(x.numel() + 1)[1:]
            (grad,) = gradients(y, [leaf], upstream)
            want = upstream.double() * (1.0 if effect.added else noise)
            size = want.abs() + upstream.double().abs() * effect.size(p)
            if bool(((grad.double() - want).abs() > 4 * ULPS * ulp(size, y.dtype)).any()):
                raise Fault(f"p={p:g}: the gradient has other noise than y")
        family.binomials(
            [f"p={p:.3g}, {what} below its {chance:g}-quantile" for chance in inner],
            np.cumsum(counts)[:-1],
            n,
            inner,
            1e-6,
        )
        family.binomials(
            [f"p={p:.3g}, {what} in interval {i + 1} of {len(counts)}" for i in range(len(counts))],
            counts,
            n,
            np.diff([0.0, *inner, 1.0]),
            1e-6,
        )
        sides = ["below" if chance == TAIL else "above" for chance in outer]
        labels = [f"p={p:.3g}, {what} in the outer thousandth {side}" for side in sides]
        family.binomials(labels, tails, n, TAIL, 1e-6)
    return outcome(
        family,
        lambda t: f"{t.label}: {t.rate:.4g} of {t.n}",
        f"a distribution function off by {smallest_seen(n, 0.5, family.each):.2g}, an interval hit "
        f"{100 * BINS * smallest_seen(n, 1 / BINS, family.each):.2g} % too often",
    )


def _cuts(effect: Noise, p: float) -> tuple[list[float], list[float]]:
    """The probabilities at whose quantiles the noise is tested, and those of its tails."""
    inner = effect.resolved(p, [k / BINS for k in range(1, BINS)])
    return inner, effect.resolved(p, [TAIL, 1 - TAIL])


THRESHOLDS = 16


@check(needs=["output-shape", "train-stochastic"], statistical=True, kind=Elementwise)
def alpha_moments(ctx: Context) -> Seen:
    """Standard normal input gives an output with mean 0 and variance 1.

    Measured: at every p, standard normal input: the fraction of y below each of 16 thresholds,
    which is known exactly; mean and variance are reported.

    Self-normalising networks depend on it. Keras' test feeds ones, whose true standard deviation
    is 1.088, and passes because of a tolerance of 0.1.

    To fix: a = ((1 - p) (1 + p alpha'^2))^(-1/2), b = -a p alpha', alpha' = -1.7580993.
    """
    spec = _spec(ctx, Elementwise)
    if not isinstance(spec.effect, Alpha):
        raise Skip("applies only to alpha dropout")
    if spec.pattern:
        raise Skip("applies only where each element has its own draw; kept-scale checks the values")
    grid = [p for p in ctx.grid if 0.01 <= p <= 0.99]
    if not grid:
        raise Skip("applies only at p from .01 to .99")
    family = ctx.family(len(grid) * THRESHOLDS)
    moments = {}
    for p in grid:
        a, b, dropped = spec.effect.constants(p)
        n = ctx.size(0.25, 3 * ctx.level.rate, family.each, 64)
        x = torch.randn(n, generator=ctx.generator("normal", p))
        values = _same(ctx, ctx.build(p), x.clone(), True).detach().double()
        moments[f"{p:.3g}"] = {"mean": float(values.mean()), "variance": float(values.var())}
        at = [t for t in np.linspace(-2.5, 2.5, THRESHOLDS + 1) if abs(t - dropped) > 1e-3]
        at = at[:THRESHOLDS]
        chances = [p * (dropped < t) + (1 - p) * float(STANDARD.cdf((t - b) / a)) for t in at]
        counts = [int((values < t).sum()) for t in at]
        labels = [f"p={p:.3g}, y below {t:.3g}" for t in at]
        family.binomials(labels, counts, n, chances, 1e-6)
    worst = max(moments.values(), key=lambda m: abs(m["variance"] - 1))
    return outcome(
        family,
        lambda t: (
            f"mean {worst['mean']:.2g}, variance {worst['variance']:.4g}; {t.label}: "
            f"{t.rate:.4g} of {t.n}"
        ),
        f"a fraction off by {smallest_seen(n, 0.5, family.each):.2g}",
        moments=moments,
    )


@check(needs=["output-shape"], kind=Attention)
def probabilities_dropped(ctx: Context) -> Seen:
    """Attention drops probabilities, not elements of its output.

    Measured: two equal columns of v give two equal columns of the output, in training, since both
    are sums with the same weights.

    Dropout on the output has the same rate and scale, and removes single features instead of the
    connections between positions.

    To fix: drop between the softmax and the product with v.
    """
    spec = _spec(ctx, Attention)
    built = ctx.build(ctx.main_p).target
    query = torch.zeros(2, spec.heads, spec.queries, 8)
    key = torch.zeros(2, spec.heads, spec.keys, 8)
    column = ctx.normal(2, spec.heads, spec.keys, 1)
    with ctx.blame("a call in training"):
        y = built.call(query, True, key=key, value=column.repeat(1, 1, 1, 8))
    y = y[0] if isinstance(y, (tuple, list)) and y else y
    unlike = int((y != y[..., :1]).any(-1).sum())
    if unlike:
        raise Fault(f"{unlike} of {y[..., 0].numel()} rows differ between equal columns of v")
    return Seen("equal columns of v give equal outputs")
