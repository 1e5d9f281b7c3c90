"""Properties of some kinds only: attention weights, embeddings, further arguments, noise."""

from __future__ import annotations

import math

import numpy as np
import torch

from ... import stats
from ...context import Context, Fault, Seen, Skip, check, outcome
from ...specs import Attention, Between, Fused, Noise, Weights
from ...specs.elementwise import Elementwise
from ...subject import Built
from .._reading import gradients
from ._places import NEIGHBOURS, RATES, calls_to_tell, tell_apart

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
    them, for six shapes from one to 1025 keys and one to five heads; values, the gradient of the
    values, the rate of each place, and whether two share their draws. With other scores, the
    gradients of the queries and the keys, against the mask of y.

    Kernels compute attention tile by tile. An offset that leaves out the head, the sample or the
    tile gives them the masks of others, the last tile has code of its own, and the backward needs
    the mask in two places.

    To fix: number the weights by (sample, head, query, key), and draw by that number.
    """
    p = ctx.sound_p
    family = ctx.family((RATES + NEIGHBOURS) * len(ATTENTION))
    built = ctx.build(p).target
    for shape in ATTENTION:
        label = "{} samples, {} heads, {} queries, {} keys".format(*shape)
        size = math.prod(shape)
        calls = calls_to_tell(p, size, family.each)
        with ctx.seeded("attention", shape):
            value = _identity(shape).requires_grad_(ctx.subject.has_gradient)
            weights = _weights(ctx, built, shape, value)
            kept = _demand_weights(weights.detach(), label, p)
            if weights.requires_grad:
                _demand_value_gradient(ctx, weights, value, kept, label, p)
                _demand_score_gradients(ctx, built, shape, label, p)
            masks = [kept.reshape(-1)]
            for _ in range(calls - 1):
                y = _weights(ctx, built, shape, value.detach()).detach()
                masks.append((y != 0).reshape(-1))
            tell_apart(ctx, torch.stack(masks).numpy(), shape, label, p, family)
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
    return _attend(ctx, built, query, key, value) * keys


def _attend(
    ctx: Context, built: Built, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
) -> torch.Tensor:
    shape = (*query.shape[:-1], key.shape[-2])
    with ctx.blame("attention of {1} heads, {2} queries and {3} keys".format(*shape)):
        y = built.call(query, True, key=key, value=value)
    y = y[0] if isinstance(y, (tuple, list)) and y else y
    if not isinstance(y, torch.Tensor) or tuple(y.shape) != shape:
        got = tuple(y.shape) if isinstance(y, torch.Tensor) else type(y).__name__
        raise Fault(f"expected an output of shape {shape}, got {got}")
    return y


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
    wrong = ~((grad.double() - want).abs() <= 1e-4 * terms + 1e-6)
    if bool(wrong.any()):
        raise Fault(
            f"{label}: {int(wrong.sum())} of {wrong.numel()} gradients of the values are not those "
            "of the mask of y"
        )


def _demand_score_gradients(
    ctx: Context, built: Built, shape: tuple[int, int, int, int], label: str, p: float
) -> None:
    """The gradients of queries and keys, checked against the mask that the output shows."""
    samples, heads, queries, keys = shape
    query = (ctx.normal(samples, heads, queries, 8) / 4).requires_grad_()
    key = ctx.normal(samples, heads, keys, 8).requires_grad_()
    weights = _attend(ctx, built, query, key, _identity(shape))
    kept = weights.detach() != 0
    q, k, seen = query.detach().double(), key.detach().double(), weights.detach().double()
    products = q @ k.mT
    scale = _scale_of_scores(products, seen, kept)
    probabilities = torch.softmax(scale * products, -1)
    off = (seen * (1 - p) - probabilities).abs()[kept]
    if not math.isfinite(scale) or bool((off > 1e-3 * probabilities[kept] + 1e-6).any()):
        return  # too few are kept, or it is not a softmax of scaled products
    upstream = ctx.normal(*weights.shape)
    with ctx.blame("the gradient of the queries and keys"):
        grads = gradients(weights, [query, key], upstream, allow_unused=True)
    of_weights = upstream.double() * kept / (1 - p)
    mean = (probabilities * of_weights).sum(-1, keepdim=True)
    of_scores = scale * probabilities * (of_weights - mean)
    size = (probabilities * of_weights.abs()).sum(-1, keepdim=True)
    sizes = abs(scale) * probabilities * (of_weights.abs() + size)
    for name, grad, want, terms in (
        ("queries", grads[0], of_scores @ k, sizes @ k.abs()),
        ("keys", grads[1], of_scores.mT @ q, sizes.mT @ q.abs()),
    ):
        if grad is None:
            raise Fault(f"{label}: the {name} have no gradient")
        wrong = ~((grad.double() - want).abs() <= 1e-4 * terms + 1e-6)
        if bool(wrong.any()):
            raise Fault(
                f"{label}: {int(wrong.sum())} of {wrong.numel()} gradients of the {name} are not "
                "those of the mask of y"
            )


def _scale_of_scores(products: torch.Tensor, weights: torch.Tensor, kept: torch.Tensor) -> float:
    """The factor of the products in the softmax, from a row's two kept weights that differ most.

    NaN where rounding would decide: no two kept products of a row differ by a tenth.
    """
    high = products.masked_fill(~kept, -math.inf).max(-1, keepdim=True)
    low = products.masked_fill(~kept, math.inf).min(-1, keepdim=True)
    apart = high.values - low.values
    logs = weights.log()
    factors = (logs.gather(-1, high.indices) - logs.gather(-1, low.indices)) / apart
    most = int(apart.argmax())
    return float(factors.reshape(-1)[most]) if apart.reshape(-1)[most] > 0.1 else math.nan


@check(needs=["eval-identity"], kind=Weights)
def embedding_repeats(ctx: Context) -> Seen:
    """An embedding row that occurs more than once in a call is dropped in all its places, or none.

    Measured: calls with indices that repeat: the rows of the output for one index are equal.

    Embedding dropout drops word types (rows of the weight), not words. A mask on the output drops
    the same word in one place and keeps it in another (Gal and Ghahramani, 2016, section 4.2).

    To fix: mask the rows of the weight, and look up in the masked weight.
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
        raise Skip("it takes no tensor except x")
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

    The Box-Muller transform makes two normal numbers from one radius and one angle. A kernel that
    reuses the radius, or squares an existing number, gives noise of the right distribution whose
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
