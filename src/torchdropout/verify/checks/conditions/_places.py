"""Tells places apart by their draws in many calls."""

from __future__ import annotations

import itertools
import math
import operator
from collections import Counter
from collections.abc import Sequence

import numpy as np

from ... import stats
from ...context import Context, Fault
from ...stats import Bits


def calls_to_tell(p: float, size: int, chance: float) -> int:
    """How many calls tell all places apart, and find one that is always kept or always dropped."""
    apart = stats.bits_to_tell(p, 4.0 * size * size, chance)
    always = math.log(2 * size / chance) / -math.log(max(p, 1 - p))
    return math.ceil(1.1 * max(apart, always)) + 1


# The tests of `tell_apart`: the rate of all, the lowest, the highest; and two places that coincide.
RATES = 4
NEIGHBOURS = 8  # distances at which pairs of places are counted


def tell_apart(
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
    found = sharing(bits)
    if found:
        how, pairs = found
        distance, times = Counter(second - first for first, second in pairs).most_common()[0]
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


def sharing(bits: Bits) -> tuple[str, list[tuple[int, int]]] | None:
    """Pairs of places with equal, opposite or delayed draws, by hashes of each place's bits."""
    # Equal draws and opposite draws change at the same calls: mostly, one sort finds no pair.
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
