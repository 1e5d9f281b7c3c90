"""Rate: each element is dropped with probability p, at every p and in every place."""

from __future__ import annotations

import math

import numpy as np
import torch

from ..context import Context, Seen, Skip, check, outcome
from ..stats import SLACK, interval, smallest_seen
from ._samples import SMALL, repeated, small_calls

RESIDUES = 256
PARTS = 64
# How many times larger a rate error must be to be found in one class of places than in all.
POSITION = 5


@check(needs=["output-shape", "train-stochastic", "kept-scale"], statistical=True)
def drop_rate(ctx: Context) -> Seen:
    """The fraction of dropped elements is p.

    Measured: an exact binomial test of the number of dropped elements at every p of a grid from
    0.001 to 0.999, which includes a p that is not a multiple of 1/256.

    Thresholds held in 8 bits (flash attention, TransformerEngine) move p by up to 1/256 while the
    scale stays nominal; a comparison in bfloat16 drops everything at p=0.999; p mistaken for the
    keep probability drops 1-p (apex#816). A test with p=0.5 and a tolerance of 0.05 still passes.

    To fix: compare uniform numbers of at least 24 bits with p, in float32 or in integers.
    """
    family = ctx.family(len(ctx.grid))
    sees, figures = [], []
    for p in ctx.grid:
        n = ctx.size(p, ctx.level.rate * math.sqrt(p * (1 - p)), family.each)
        middle, slack = ctx.null_rate(p)
        count = ctx.count_dropped(ctx.build(p), n)
        test = family.binomial(f"p={p:.3g}", count, n, middle, slack)
        if test.p_value < family.each:
            ctx.known.bad_rates.add(p)
        seen = smallest_seen(n, p, family.each) + 2 * (slack - SLACK)
        sees.append(f"{seen:.2g} at p={p:.3g}")
        low, high = interval(count, n)
        figures.append(
            {"p": p, "expected": middle, "rate": count / n, "n": n, "low": low, "high": high}
        )
    return outcome(
        family,
        lambda t: f"{t.label}: {t.share} of {t.n} dropped",
        "a rate error of " + ", ".join(sees),
        rates=figures,
    )


@check(needs=["drop-rate"], statistical=True)
def position_rate(ctx: Context) -> Seen:
    """The rate is p in every place: first and last element, vector lane, part of the tensor.

    Measured: exact binomial tests of each of the 131 places of many small calls, of the places of
    large calls with the same index modulo 2, 4, 8, ... 256, and of 64 parts of them.

    Code for the last elements, a lane whose random word is used twice, or a chunk that a thread
    leaves out gives the right rate overall, and another in some places, always the same ones.

    To fix: derive the random number from the index of the element, and test sizes that are not a
    multiple of the vector width.
    """
    p = ctx.sound_p
    small = small_calls(ctx)
    # If there are only a few masks, the rate of each place is whatever those masks happen to have.
    if len(repeated(small)) > len(small) / 100:
        raise Skip("not checked: masks repeat, see few-masks")
    small = small[:, :SMALL]
    places = small.shape[1]  # fewer if a draw is costly
    family = ctx.family(places + 2 * RESIDUES - 2 + PARTS)
    family.binomials(
        [f"place {i} of {places}" for i in range(places)],
        np.count_nonzero(~small, axis=0),
        len(small),
        p,
    )
    change = POSITION * ctx.level.rate * math.sqrt(p * (1 - p))
    n = ctx.size(p, change, family.each)  # in one of the 256 classes
    calls = max(1, min(RESIDUES * n, ctx.most // 2) // ctx.chunk)
    classes, parts = np.zeros(RESIDUES, dtype=np.int64), np.zeros(PARTS, dtype=np.int64)
    built = ctx.build(p)
    for _ in range(calls):
        kept = ctx.kept(built, torch.ones(ctx.chunk)).numpy().reshape(PARTS, -1)
        parts += np.count_nonzero(~kept, axis=1)
        classes += np.count_nonzero(~kept.reshape(-1, RESIDUES), axis=0)
    total = calls * ctx.chunk
    seen = {}
    modulus = RESIDUES
    while modulus > 1:
        counts = classes.reshape(-1, modulus).sum(0)
        labels = [f"places {i} modulo {modulus}" for i in range(modulus)]
        family.binomials(labels, counts, total // modulus, p)
        seen[modulus] = smallest_seen(total // modulus, p, family.each)
        modulus //= 2
    family.binomials([f"part {i + 1} of {PARTS}" for i in range(PARTS)], parts, total // PARTS, p)
    figures = (
        f"{smallest_seen(len(small), p, family.each):.2g} in one place of {places}",
        *(f"{seen[m]:.2g} in one class modulo {m}" for m in (RESIDUES, 8)),
        f"{smallest_seen(total // PARTS, p, family.each):.2g} in one {PARTS}th",
    )
    each = total // RESIDUES
    return outcome(
        family,
        lambda t: f"p={p:g}, {t.label}: {t.rate:.4g} of {t.n} dropped",
        "a rate error of " + ", ".join(figures),
        places=[count / each for count in classes.tolist()],
        expected=p,
        limit=smallest_seen(each, p, family.each, power=0.5),
    )
