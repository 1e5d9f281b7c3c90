"""Randomness: which generator a mask comes from, and what a call does to the generators."""

from __future__ import annotations

import random

import numpy as np
import torch

from .. import stats
from ..context import Context, Fault, Seen, check, outcome, seed_torch
from ..stats import repeats_limit
from ._reading import gradients, seeded_mask


@check(needs=["train-stochastic"])
def seed_governs(ctx: Context) -> Seen:
    """The same `torch.manual_seed` gives the same masks.

    Measured: three calls in a row after the same seed, twice, for one object and for a new one.

    Without it no run can be repeated, and checkpointing, which restores torch's generator,
    recomputes with a different mask.

    To fix: draw from torch's default generator, not from NumPy, Python or a private generator.
    """
    x = ctx.normal(ctx.telling_size(ctx.main_p))
    built = ctx.build(ctx.main_p)
    runs = []
    for target in (built, built, ctx.build(ctx.main_p)):
        seed_torch(11)
        runs.append(torch.stack([ctx.kept(target, x.clone()) for _ in range(3)]))
    for run, who in ((runs[1], "the same object"), (runs[2], "a new object")):
        differ = int((run != runs[0]).sum())
        if differ:
            raise Fault(
                f"p={built.p:g}: the same seed gave {who} another mask, at {differ} of "
                f"{run.numel()} places",
                differ=differ,
            )
    return Seen("same seed, same masks")


@check(needs=["train-stochastic", "kept-scale"])
def seeds_differ(ctx: Context) -> Seen:
    """Different seeds give different masks.

    Measured: masks after `torch.manual_seed` of 256 seeds: small ones, and ones that differ in
    one of their 32 low bits, which torch's CPU generator uses; no two masks may be equal.

    A seed cut to 16 bits, or mixed so that neighbours collide, makes ranks and repeated runs
    share masks that should be different.

    To fix: use all bits of the state; draw a key from the generator, do not compute one.
    """
    # torch's CPU generator uses the low 32 bits of a seed: seeds that differ above are the same.
    seeds = [*range(160), *(low + (1 << bit) for bit in range(8, 32) for low in range(4))]
    built = ctx.build(ctx.main_p)
    pairs = len(seeds) ** 2 / 2
    limit = repeats_limit(len(seeds), ctx.coincidence)
    x = torch.ones(ctx.telling_size(built.p, pairs))
    seen: dict[bytes, int] = {}
    repeats = []
    for seed in seeds:
        mask = np.packbits(seeded_mask(ctx, built, x, seed).numpy()).tobytes()
        first = seen.setdefault(mask, seed)
        if first != seed:
            repeats.append((first, seed))
    if len(repeats) >= limit:
        first, second = repeats[0]
        raise Fault(
            f"p={built.p:g}: {len(seeds) - len(repeats)} different masks for {len(seeds)} seeds; "
            f"seeds {first} and {second} give the same",
            first=first,
            second=second,
            distinct=len(seeds) - len(repeats),
        )
    return Seen(f"{len(seeds) - len(repeats)} different masks for {len(seeds)} seeds")


@check(needs=["output-shape"])
def no_reseed(ctx: Context) -> Seen:
    """A call does not seed torch's generator.

    Measured: `torch.initial_seed()` before and after calls in training and eval, and whether the
    generator's state after a call still depends on its state before.

    A call that seeds the generator makes everything after it repeat: shuffling, initialisation, the
    next layer's dropout.

    To fix: for a mask that stays the same, use a separate `torch.Generator`.
    """
    built = ctx.build(ctx.main_p)
    x = ctx.normal(512)
    states = []
    for seed in (101, 202):
        for training in ctx.modes:
            seed_torch(seed)
            ctx.call(built, x.clone(), training)
            if torch.initial_seed() != seed:
                raise Fault(
                    f"a call in {'training' if training else 'eval'} seeded torch's generator with "
                    f"{torch.initial_seed()}",
                    seed=torch.initial_seed(),
                )
            states.append(torch.random.get_rng_state())
    half = len(states) // 2
    if any(torch.equal(a, b) for a, b in zip(states[:half], states[half:], strict=True)):
        raise Fault("a call left torch's generator in the same state, whatever its state before")
    return Seen("torch's generator advances, and is not seeded")


@check(needs=["output-shape"])
def foreign_generators(ctx: Context) -> Seen:
    """A call leaves Python's and NumPy's global generators alone.

    Measured: their states before and after calls in training and eval.

    Data pipelines draw from them; dropout that also does changes the augmentation when a layer is
    added, and is not governed by `torch.manual_seed`. In forked workers, these generators repeat.

    To fix: draw with torch.
    """
    built = ctx.build(ctx.main_p)
    x = ctx.normal(512)
    for training in ctx.modes:
        python, numpy = random.getstate(), _numpy_state()
        ctx.call(built, x.clone(), training)
        mode = "training" if training else "eval"
        if random.getstate() != python:
            raise Fault(f"a call in {mode} changed the state of Python's `random`")
        if _numpy_state() != numpy:
            raise Fault(f"a call in {mode} changed the state of NumPy's global generator")
    return Seen("Python's and NumPy's generators as before")


def _numpy_state() -> tuple[object, ...]:
    name, key, *rest = np.random.get_state()
    return name, np.asarray(key).tobytes(), *rest


@check(severity="advice", needs=["eval-identity"])
def eval_draws_nothing(ctx: Context) -> Seen:
    """A call in eval leaves torch's generator as it was.

    Measured: its state before and after a call in eval.

    Otherwise a validation pass between two epochs changes the masks and the shuffling of the next:
    results depend on how often the model is evaluated.

    To fix: return x before drawing anything.
    """
    ctx.need_eval()
    built = ctx.build(ctx.main_p)
    before = torch.random.get_rng_state()
    ctx.call(built, ctx.normal(512), training=False)
    if not torch.equal(torch.random.get_rng_state(), before):
        raise Fault("a call in eval drew from torch's generator")
    return Seen("nothing is drawn in eval")


THREADS = (1, 2, 3)
# Larger than the size from which torch divides an elementwise operation among threads.
PARALLEL = 1 << 18


@check(severity="advice", needs=["seed-governs"])
def thread_mask(ctx: Context) -> Seen:
    """The same seed gives the same mask with any number of threads.

    Measured: masks of one large input after the same seed with 1, 2 and 3 threads.

    A result that cannot be reproduced on a machine with more or fewer cores cannot be debugged
    there. Most generators that give each thread its own stream change all masks when a thread is
    added.

    To fix: number the elements, not the threads: a counter-based generator, keyed once per call.
    """
    built = ctx.build(ctx.main_p)
    size = max(PARALLEL // ctx.spec.cost, ctx.telling_size(built.p))
    masks = {}
    for threads in THREADS:
        with ctx.using_threads(threads):
            masks[threads] = seeded_mask(ctx, built, torch.ones(size), 11)
        differ = int((masks[threads] != masks[1]).sum())
        if differ:
            raise Fault(
                f"{threads} threads: a different mask from that with 1 after the same seed, at "
                f"{differ} of {size} places",
                threads=threads,
                differ=differ,
            )
    return Seen("one mask with " + ", ".join(map(str, THREADS)) + " threads")


@check(needs=["drop-rate", "lag-independence", "mask-repeats"], statistical=True)
def thread_law(ctx: Context) -> Seen:
    """With several threads the mask has the same distribution: no part repeats another.

    Measured: with 2, 3 and 4 threads on a large input, the number of drops, and how often bits
    half, a third and a quarter of the input apart differ; exact binomial tests.

    Threads that each seed a generator with the same number draw the same mask for each part. With
    one thread, as in most tests, the fault does not appear.

    To fix: give each thread the part of a common stream that belongs to its elements.
    """
    p = ctx.sound_p
    built = ctx.build(p)
    chance = stats.pairs_differ(p)
    counts = (2, 3, 4)
    family = ctx.family(4 * len(counts))
    size = 12 * (min(PARALLEL, ctx.chunk) // 12)
    rounds = 4
    for threads in counts:
        with ctx.using_threads(threads):
            bits = torch.stack([ctx.kept(built, torch.ones(size)) for _ in range(rounds)]).numpy()
        name = f"{threads} threads"
        family.binomial(f"{name}, dropped", int((~bits).sum()), bits.size, p)
        for parts in counts:
            pair = stats.disjoint_pairs(bits, size // parts)
            differing, n = stats.count_differing(*pair)
            label = f"{name}, bits a part of {parts} apart differ"
            family.binomial(label, differing, n, chance, 2 * stats.SLACK)
    seen = stats.smallest_seen(n, chance, family.each) / chance
    return outcome(
        family,
        lambda t: f"p={p:g}, {t.label}: {t.rate:.4g} of {t.n}",
        f"a correlation of {seen:.2g} between the parts of threads",
    )


@check(needs=["grad-mask", "seed-governs"])
def grad_checkpoint(ctx: Context) -> Seen:
    """A mask recomputed for the backward pass, as in a checkpoint, is that of the forward pass.

    Measured: a call without gradients and one with them, each followed by a call with gradients
    after torch's generator was restored: zeros of the first y against zeros of the gradient.
    `torch.utils.checkpoint` does the same, with either value of `use_reentrant`; `--checkpoint`
    runs all checks inside it.

    Dropout that draws from other generators than torch's, or draws more when gradients are
    recorded, gets another mask in the second pass (pytorch#190717, OLMo-core#828,
    guided-diffusion#167).

    To fix: draw from torch's generator, the same amount in every mode of autograd.
    """
    ctx.need_gradient()
    built = ctx.build(ctx.main_p)
    x = ctx.normal(ctx.telling_size(built.p))
    upstream = ctx.normal(x.numel() + 1)[1:]
    for reentrant in (False, True):
        state = torch.random.get_rng_state()
        with torch.set_grad_enabled(not reentrant):
            y = ctx.call(built, x.clone().requires_grad_() * 1)
        torch.random.set_rng_state(state)
        leaf = x.clone().requires_grad_()
        (grad,) = gradients(ctx.call(built, leaf * 1), [leaf], upstream)
        differ = int(((y.detach() == 0) != (grad == 0)).sum())
        if differ:
            first = "without" if reentrant else "with"
            raise Fault(
                f"recomputed after a call {first} gradients, the gradient has a different mask "
                f"from y at {differ} of {x.numel()} places",
                reentrant=reentrant,
                differ=differ,
            )
    return Seen("the mask of y, after calls with and without gradients")
