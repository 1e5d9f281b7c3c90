"""Rate: each element is dropped with probability p, at every p and in every place."""

from __future__ import annotations

import math

import numpy as np

from ..context import CHUNK, Context, Seen, check, outcome
from ..stats import smallest_seen
from ._samples import SMALL, small_calls, stream

RESIDUES = 256
PARTS = 64


@check(needs=["output-shape", "train-stochastic", "kept-scale"], statistical=True)
def drop_rate(ctx: Context) -> Seen:
    """The share of dropped elements is p.

    Measured: an exact binomial test of the number of dropped elements at every p of a grid that
    reaches from 0.001 to 0.999 and holds a p off all multiples of 1/256.

    Thresholds held in 8 bits (flash attention, TransformerEngine) move p by up to 1/256 while the
    scale stays nominal; a comparison in bfloat16 drops everything at p=0.999; p taken for the keep
    probability drops 1-p (apex#816). The mean of y then is not x, and the test with p=0.5 and a
    tolerance of 0.05 that most libraries use passes.

    To mend: compare uniform numbers of at least 24 bits with p, in float32 or in integers.
    """
    family = ctx.family(len(ctx.grid))
    sees = []
    for p in ctx.grid:
        n = ctx.size(p, ctx.level.rate * math.sqrt(p * (1 - p)), family.each)
        test = family.binomial(f"p={p:.3g}", ctx.count_dropped(ctx.build(p), n), n, p)
        if test.p_value < family.each:
            ctx.bad_rates.add(p)
        sees.append(f"{smallest_seen(n, p, family.each):.2g} at p={p:.3g}")
    return outcome(
        family,
        lambda t: f"{t.label}: {t.rate:.6g} of {t.n} dropped",
        "a rate error of " + ", ".join(sees),
    )


@check(needs=["drop-rate"], statistical=True)
def position_rate(ctx: Context) -> Seen:
    """The rate is p in every place: first and last element, vector lane, part of the tensor.

    Measured: exact binomial tests of each of the 131 places of many small calls, of the places with
    the same index modulo 256, and of 64 parts of large calls.

    A vectorised kernel that handles the last elements on their own, a lane whose random word is
    used twice, or a chunk that a thread leaves out gives the right rate on the whole and none, or
    too much, dropout in some places, always the same.

    To mend: take the random number from the index of the element, and test sizes that are no
    multiple of the vector width.
    """
    p = ctx.sound_p
    family = ctx.family(SMALL + RESIDUES + PARTS)
    small = small_calls(ctx)
    large = stream(ctx)
    family.binomials(
        [f"place {i} of {SMALL}" for i in range(SMALL)],
        np.count_nonzero(~small[:, :SMALL], axis=0),
        len(small),
        p,
    )
    per_residue = _dropped(large.reshape(-1, RESIDUES), axis=0)
    family.binomials(
        [f"places {i} modulo {RESIDUES}" for i in range(RESIDUES)],
        per_residue,
        large.size // RESIDUES,
        p,
    )
    parts = large.reshape(len(large), PARTS, CHUNK // PARTS)
    family.binomials(
        [f"part {i + 1} of {PARTS}" for i in range(PARTS)],
        sum(_dropped(call, axis=1) for call in parts),
        large.size // PARTS,
        p,
    )
    figures = (
        f"{smallest_seen(len(small), p, family.each):.2g} in one place of {SMALL}",
        f"{smallest_seen(large.size // RESIDUES, p, family.each):.2g} in one place of {RESIDUES}",
        f"{smallest_seen(large.size // PARTS, p, family.each):.2g} in one {PARTS}th",
    )
    return outcome(
        family,
        lambda t: f"p={p:g}, {t.label}: {t.rate:.4g} of {t.n} dropped",
        "a rate error of " + ", ".join(figures),
    )


def _dropped(kept: np.ndarray, axis: int) -> np.ndarray:
    return np.asarray(kept.shape[axis] - np.count_nonzero(kept, axis=axis))
