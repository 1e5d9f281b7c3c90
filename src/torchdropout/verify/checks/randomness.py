"""Randomness: where a mask comes from, and what a call does to the generators."""

from __future__ import annotations

import random

import numpy as np
import torch

from ..context import Context, Fault, Seen, check, seed_torch
from ..stats import repeats_limit
from ._reading import seeded_mask


@check(needs=["train-stochastic"])
def seed_governs(ctx: Context) -> Seen:
    """The same `torch.manual_seed` gives the same masks.

    Measured: three calls in a row after the same seed, twice, for one object and for a new one.

    Without it no run can be repeated, and checkpointing, which restores torch's generator,
    recomputes with another mask than it had.

    To mend: draw from torch's default generator, not from NumPy, Python or a private one.
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

    Measured: masks after `torch.manual_seed` of 256 seeds, small ones, and such as differ in
    one of their 32 low bits, the ones torch's CPU generator uses; no two may be equal.

    A seed cut to 16 bits, or mixed so that neighbours collide, makes ranks and repeated runs
    share masks they were meant to draw apart.

    To mend: use all bits of the state; draw a key from the generator, do not compute one.
    """
    # torch's CPU generator looks at the low 32 bits of a seed: seeds apart above them are the same.
    seeds = [*range(160), *(low + (1 << bit) for bit in range(8, 32) for low in range(4))]
    built = ctx.build(ctx.main_p)
    pairs = len(seeds) * (len(seeds) - 1) / 2
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

    A call that seeds makes everything after it repeat: shuffling, initialisation, the next layer's
    dropout.

    To mend: to fix a mask, use a `torch.Generator` of its own.
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
        raise Fault("a call left torch's generator in the same state, whatever it was before")
    return Seen("torch's generator moves on, and is not seeded")


@check(needs=["output-shape"])
def foreign_generators(ctx: Context) -> Seen:
    """A call leaves Python's and NumPy's global generators alone.

    Measured: their states before and after calls in training and eval.

    Data pipelines draw from them; dropout that does too changes the augmentation when a layer is
    added, and escapes `torch.manual_seed`. In workers that were forked, they repeat.

    To mend: draw with torch.
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
    results depend on how often one looks.

    To mend: return x before anything is drawn.
    """
    ctx.need_eval()
    built = ctx.build(ctx.main_p)
    before = torch.random.get_rng_state()
    ctx.call(built, ctx.normal(512), training=False)
    if not torch.equal(torch.random.get_rng_state(), before):
        raise Fault("a call in eval drew from torch's generator")
    return Seen("nothing is drawn in eval")
