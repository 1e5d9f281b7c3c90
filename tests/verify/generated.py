"""Broken dropouts made by going through the conditions: total faults, each where two levels meet.

A fault is a claim that does not hold (of values, of the gradient, of eval, of the draws), a way in
which it does not, and a level of each of two factors: everywhere else the dropout is right.
"""

import itertools
import random
from dataclasses import dataclass

import torch

from torchdropout.verify import conditions
from torchdropout.verify.conditions import arrange, fits, say

BOUND = 24  # elements; a smaller input hides a fault in its last ones, or in its neighbours


# --- Where: one level of a factor, as the target sees it ------------------------------------------


def _is_laid_out(x, layout):
    if not fits(layout, x.shape):
        return False
    like = arrange(torch.zeros(x.shape, dtype=x.dtype), layout)[1]
    return (x.stride(), x.storage_offset()) == (like.stride(), like.storage_offset())


def _mode():
    if torch.is_inference_mode_enabled():
        return "inference_mode"
    if torch.is_autocast_enabled("cpu"):
        return "autocast"
    return "grad mode" if torch.is_grad_enabled() else "no_grad"


def _is_after(before, x, last):
    """Whether the call before this one, (elements, dtype, training), is the one that is named."""
    if last is None:
        return False
    elements, dtype, training = last
    return {
        "a larger call": training and dtype != torch.float64 and elements > x.numel(),
        "a smaller call": training and elements < x.numel() and elements <= 1,
        "a call in eval": not training,
        "a call in float64": dtype == torch.float64,
    }[before]


def _is_met(factor, level, x, p, last):
    return {
        "p": lambda: p == level,
        "shape": lambda: tuple(x.shape) == level,
        "layout": lambda: _is_laid_out(x, level),
        "dtype": lambda: x.dtype == level,
        "mode": lambda: _mode() == level,
        "before": lambda: _is_after(level, x, last),
    }.get(factor, lambda: True)()


# --- What: the ways in which a claim fails --------------------------------------------------------


def _flat(change):
    """Apply to all elements in a row."""

    def changed(y):
        z = y.clone(memory_format=torch.contiguous_format).reshape(-1)
        return change(z).reshape(y.shape)

    return changed


def _put(y, at, value):
    y[at] = value
    return y


VALUES = {
    "too large": lambda y: y * 1.05,
    "the last element is zero plus one": _flat(lambda y: _put(y, slice(-1, None), 1.0)),
    "neighbours are swapped": _flat(lambda y: torch.cat([y[1:], y[:1]])),
    "float64 is computed in float32": lambda y: (y.float() * (1 + 1e-6)).to(y.dtype),
}
EVAL = {
    "too large": lambda y: y * 1.05,
    "the last elements are dropped": _flat(lambda y: _put(y, slice(-3, None), 0.0)),
    "-0.0 becomes 0.0": lambda y: y + 0.0,
}
DRAWS = {
    "neighbours share": _flat(lambda u: u[torch.arange(len(u)) // 2]),
    "halves share": _flat(lambda u: u[torch.arange(len(u)) % max(1, len(u) // 2)]),
    "neighbours are opposite": _flat(
        lambda u: (u[torch.arange(len(u)) // 2 * 2] - torch.arange(len(u)) % 2).abs()
    ),
    "the last elements are kept": _flat(lambda u: _put(u, slice(-5, None), 2.0)),
    "the last element is dropped": _flat(lambda u: _put(u, slice(-1, None), -1.0)),
    "half the rate": lambda u: u * 2,
}
GRADIENT = {
    "too large": lambda g: g * 1.05,
    "the last elements get none": _flat(lambda g: _put(g, slice(-3, None), 0.0)),
    "read in another order": _flat(lambda g: g.flip(0)),
    "not scaled": lambda g: g * 0.5,
}


@dataclass(frozen=True)
class Claim:
    """A claim, the check that must find where it fails, its factors, and the ways to fail."""

    name: str
    check: str
    factors: tuple[str, ...]
    faults: dict


CLAIMS = tuple(
    Claim(name, f"{name}-everywhere", tuple(factors.split()), faults)
    for name, factors, faults in (
        ("values", "p shape layout dtype mode before", VALUES),
        ("eval", "shape layout dtype mode before", EVAL),
        ("draws", "p shape layout dtype mode", DRAWS),
        ("gradient", "p shape layout incoming dtype", GRADIENT),
    )
)

LEVELS = {
    "shape": conditions.SHAPES,
    "layout": conditions.LAYOUTS,
    "incoming": conditions.LAYOUTS,
    "dtype": conditions.DTYPES,
    "mode": tuple(conditions.MODES),
    # A function's first call was long ago; those with wrong inputs leave no trace in it.
    "before": [before for before in conditions.BEFORE[1:] if "wrong" not in before],
}


@dataclass(frozen=True)
class Broken:
    """A broken dropout, `target`, and what to expect of the verifier."""

    claim: Claim
    fault: str
    where: tuple

    def __str__(self):
        places = " and ".join(say(factor, level) for factor, level in self.where)
        return f"{self.claim.name}: {self.fault}, {places}"

    @property
    def target(self):
        last = [None]

        def dropout(x, p, training):
            hit = all(_is_met(factor, level, x, p, last[0]) for factor, level in self.where)
            last[0] = (x.numel(), x.dtype, training)
            return _run(self, x, p, training, hit)

        return dropout


class _Backward(torch.autograd.Function):
    """The identity, whose backward changes the gradient where its layout is the one that is met."""

    @staticmethod
    def forward(ctx, y, change, layout):
        ctx.change, ctx.layout = change, layout
        return y.view_as(y)

    @staticmethod
    def backward(ctx, grad):
        if ctx.layout is None or _is_laid_out(grad, ctx.layout):
            grad = ctx.change(grad)
        return grad, None, None


def _run(broken, x, p, training, hit):
    change = broken.claim.faults[broken.fault]
    name = broken.claim.name
    if not training:
        return change(x) if hit and name == "eval" else x
    noise = torch.rand(x.shape)
    if hit and name == "draws":
        noise = change(noise)
    y = torch.where(noise >= p, x, torch.zeros_like(x))
    y = (y.to(torch.float64 if x.dtype == torch.float64 else torch.float32) / (1 - p)).to(x.dtype)
    if hit and name == "values":
        kept = y != 0
        y = torch.where(kept, change(y), y) if "last" not in broken.fault else change(y)
    if hit and name == "gradient":
        y = _Backward.apply(y, change, dict(broken.where).get("incoming"))
    return y


def _can_be_seen(claim, fault, where):
    """Whether the two levels can meet, and whether the fault then changes anything."""
    levels = dict(where)
    shape = levels.get("shape")
    layouts = [levels[factor] for factor in ("layout", "incoming") if factor in levels]
    if shape is not None and not all(fits(layout, shape) for layout in layouts):
        return False
    if shape is not None and torch.Size(shape).numel() < BOUND:
        # Nothing lies before the last element, and at most p nothing is kept.
        return fault == "too large" and claim.name == "eval"
    if "last" in fault and claim.name != "draws" and levels.get("p", 0.5) > 0.9:
        return False  # the last elements are hardly ever kept: docs/power.md
    if "float32" in fault and levels.get("dtype") != torch.float64:
        return False
    # With one value in memory, neighbours are equal.
    return not ("swapped" in fault or "order" in fault) or "expanded" not in str(layouts)


def zoo(number, seed):
    """Broken dropouts, drawn at random; every claim and every way to fail has its turn."""
    draw = random.Random(seed)
    kinds = [(claim, fault) for claim in CLAIMS for fault in claim.faults]
    found = []
    for claim, fault in itertools.islice(itertools.cycle(kinds), number):
        while True:
            factors = draw.sample(claim.factors, 2)
            p = conditions.P_OF_DRAWS if claim.name == "draws" else conditions.P
            where = tuple((f, draw.choice(p if f == "p" else LEVELS[f])) for f in factors)
            if _can_be_seen(claim, fault, where):
                break
        found.append(Broken(claim, fault, where))
    return found
