"""The conditions in which a claim must hold: p, shape, memory layout, dtype, mode and history.

A claim (values, gradient, eval, draws) is one axis, the conditions are the other. A check of the
group `conditions` tests its claim in a covering design: every pair of levels of two factors occurs
together at the levels quick and standard, every triple at thorough (Cohen et al., "The AETG
system", 1997). So a fault in all cases of one level, or of a pair of levels, is found.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch

from .specs.elementwise import Elementwise
from .subject import GRID, Spec

# --- The factors and their levels ---------------------------------------------------------------

P = (0.001, 0.1, 1 / 3, 0.5, 0.9, 0.99)
# For draws: at a p nearer to 0 or 1 the calls that a run can make tell too little.
P_OF_DRAWS = (0.1, 1 / 3, 0.5, 0.9)

# Ranks 0 to 6; odd and prime sizes, powers of two and their neighbours, single rows, columns and
# samples, wide rows; sizes with nine remainders modulo 16, and others modulo 128.
SHAPES: tuple[tuple[int, ...], ...] = (
    (),
    (1,),
    (1031,),
    (2048,),
    (1, 1027),
    (1021, 1),
    (2, 4099),
    (64, 32),
    (31, 63),
    (17, 129),
    (1, 3, 17, 19),
    (4, 8, 6, 10),
    (5, 37, 12),
    (2, 3, 5, 7, 9),
    (2, 3, 2, 5, 3, 7),
)
# For kinds that share draws along some axes: samples, channels, and the sizes of the other axes.
PROFILES: tuple[tuple[int, int, tuple[int, int, int]], ...] = (
    (1, 1, (1, 1, 1)),
    (1, 3, (17, 5, 3)),
    (2, 6, (16, 16, 2)),
    (5, 37, (7, 3, 5)),
    (33, 1, (3, 3, 1)),
    (3, 1025, (1, 2, 1)),
    (64, 32, (2, 2, 2)),
    (7, 64, (1, 9, 3)),
)

# Above the limits of a kernel: CUDA has 65,535 rows of blocks, and a call of 2^16 elements may take
# another path. 70,001 is 1 modulo 16, 17 modulo 32, 49 modulo 64 and 369 modulo 1024: whatever the
# vector or the block is, the last element is a remainder.
LONG: tuple[tuple[int, ...], ...] = ((70_001,), (65_601, 1))
LONG_PROFILE = (9_373, 7, (2, 1, 1))  # 65,611 rows of samples and channels

LAYOUTS = (
    "contiguous",
    "offset",
    "every second row",
    "columns cut",
    "transposed",
    "channels_last",
    "channels_last, channels cut",
    "expanded first axis",
    "expanded last axis",
)

DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)

MODES: Mapping[str, Callable[[], AbstractContextManager[object]]] = MappingProxyType(
    {
        "grad mode": nullcontext,
        "no_grad": torch.no_grad,
        "inference_mode": torch.inference_mode,
        "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    }
)

DERIVATIVES = ("gradient", "second derivative", "forward mode", "gradient under autocast")

BEFORE = (
    "nothing",
    "a larger call",
    "a smaller call",
    "a call in eval",
    "a call in float64",
    "calls with wrong inputs",
)

PLAIN: Mapping[str, Any] = MappingProxyType(
    {
        "layout": LAYOUTS[0],
        "dtype": torch.float32,
        "incoming": LAYOUTS[0],
        "mode": "grad mode",
        "derivative": "gradient",
        "before": "nothing",
    }
)

# --- A condition ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Condition:
    """One level of each factor of a check; the others are as in `PLAIN`."""

    levels: Mapping[str, Any]

    def __getattr__(self, factor: str) -> Any:
        levels: Mapping[str, Any] = object.__getattribute__(self, "levels")
        return levels[factor] if factor in levels else PLAIN[factor]

    def __str__(self) -> str:
        told = [f"p={self.p:.4g}"] if "p" in self.levels else []
        told += [f"shape {tuple(self.shape)}"]
        told += [
            say(factor, level)
            for factor, level in self.levels.items()
            if factor in PLAIN and level != PLAIN[factor]
        ]
        return ", ".join(told)


def say(factor: str, level: Any) -> str:
    """A level as a report names it."""
    if factor == "p":
        return f"p={level:.4g}"
    if factor == "dtype":
        return str(level).removeprefix("torch.")
    words = {"shape": "shape {}", "incoming": "incoming gradient {}", "before": "after {}"}
    return words.get(factor, "{}").format(level)


def shapes_of(spec: Spec) -> tuple[tuple[int, ...], ...]:
    """The shapes of inputs of the target itself."""
    return _shapes(spec, SHAPES, PROFILES)


def long_shapes_of(spec: Spec) -> tuple[tuple[int, ...], ...]:
    """Shapes with more rows or elements than a kernel may treat in one way."""
    return _shapes(spec, LONG, (LONG_PROFILE,))


def _shapes(
    spec: Spec,
    shapes: tuple[tuple[int, ...], ...],
    profiles: Sequence[tuple[int, int, tuple[int, int, int]]],
) -> tuple[tuple[int, ...], ...]:
    if not isinstance(spec, Elementwise) or not spec.pattern:
        return shapes
    found = []
    for n, c, shared in profiles:
        sizes = iter(shared)
        axes = spec.pattern.split()
        own = {"n": n if "c" in axes else n * c, "c": c}
        found.append(tuple(next(sizes) if axis == "*" else own[axis] for axis in axes))
    return tuple(dict.fromkeys(found))


def p_of(spec: Spec, fixed: float | None, draws: bool) -> tuple[float, ...]:
    """The p to test."""
    if fixed is not None:
        return (fixed,)
    if spec.grid is not GRID:
        return tuple(p for p in spec.grid if not draws or 0.1 <= p <= 0.9) or spec.grid
    return P_OF_DRAWS if draws else P


def design(factors: Mapping[str, Sequence[Any]], strength: int, seed: int) -> list[Condition]:
    """Conditions in which all levels of any `strength` factors occur together, if they can.

    Each condition begins with a combination that has not occurred, and gets of each further factor
    the level that adds the most. (Of the packages that do this, `allpairspy` leaves combinations
    out if some are impossible, and `covertable` takes seconds for triples.)

    Args:
        factors: The levels of each factor.
        strength: 2 for pairs, 3 for triples; with 1 each level occurs.
        seed: Two seeds give two designs.
    """
    shuffled = random.Random(seed)
    levels = {name: shuffled.sample(list(of), len(of)) for name, of in factors.items()}
    # The shape comes first: the possible layouts depend on it.
    names = sorted(levels, key=lambda name: name != "shape")
    together = list(itertools.combinations(names, min(strength, len(names))))
    missing = dict.fromkeys(
        frozenset(zip(chosen, row, strict=True))
        for chosen in together
        for row in itertools.product(*(levels[name] for name in chosen))
        if _is_possible(dict(zip(chosen, row, strict=True)))
    )
    found = []
    while missing:
        row = dict(next(iter(missing)))
        for name in names:
            if name in row:
                continue
            rest = [set(c) - {name} for c in together if name in c]
            rest = [others for others in rest if others.issubset(row)]

            def adds(
                level: Any,
                name: str = name,
                rest: list[set[str]] = rest,
                row: dict[str, Any] = row,
            ) -> int:
                pairs = (frozenset([(name, level), *((n, row[n]) for n in c)]) for c in rest)
                return sum(pair in missing for pair in pairs)

            possible = [level for level in levels[name] if _is_possible({**row, name: level})]
            row[name] = max(possible, key=adds)
        for chosen in together:
            missing.pop(frozenset((name, row[name]) for name in chosen), None)
        found.append(Condition({name: row[name] for name in factors}))
    return found


def _is_possible(row: Mapping[str, Any]) -> bool:
    given = [row[factor] for factor in ("layout", "incoming") if factor in row]
    if row.get("derivative") == "second derivative" and any(map(is_expanded, given)):
        return False  # the derivative of a sum, which says nothing about each term
    return "shape" not in row or all(fits(layout, row["shape"]) for layout in given)


# --- Layouts -------------------------------------------------------------------------------------


def fits(layout: str, shape: Sequence[int]) -> bool:
    """Whether a tensor of a shape can have a layout, other than as a contiguous one."""
    rank = len(shape)
    if layout.startswith("expanded"):
        return rank > 0 and shape[0 if "first" in layout else -1] > 1
    needs = {"transposed": 2, "every second row": 1, "columns cut": 1}
    return rank in (4, 5) if "channels" in layout else rank >= needs.get(layout, 0)


def is_expanded(layout: str) -> bool:
    """Whether elements share memory."""
    return expanded_axis(layout) is not None


def expanded_axis(layout: str) -> int | None:
    """The axis whose elements share memory, if there is one."""
    return {"expanded first axis": 0, "expanded last axis": -1}.get(layout)


def arrange(x: torch.Tensor, layout: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Lay x out in another way; differentiable.

    Returns:
        All of the memory, with NaN around x, and the tensor in it. For an expanded axis, which
        has one value in memory, x gives the first.
    """
    axis = expanded_axis(layout)
    if axis is not None:
        one = x.narrow(axis, 0, 1).clone(memory_format=torch.contiguous_format)
        return one, one.expand(x.shape)
    whole, place = _room(tuple(x.shape), layout, x.dtype)
    place(whole).copy_(x)
    return whole, place(whole)


def _room(
    shape: tuple[int, ...], layout: str, dtype: torch.dtype
) -> tuple[torch.Tensor, Callable[[torch.Tensor], torch.Tensor]]:
    def full(*sizes: int, **how: Any) -> torch.Tensor:
        room = torch.empty(sizes, dtype=dtype, **how)
        return room.fill_(math.nan)

    last = {4: torch.channels_last, 5: torch.channels_last_3d}.get(len(shape))
    if layout == "offset":
        n = math.prod(shape)
        return full(n + 8), lambda whole: whole[3 : 3 + n].view(shape)
    if layout == "every second row":
        return full(2 * shape[0], *shape[1:]), lambda whole: whole[::2]
    if layout == "columns cut":
        return full(*shape[:-1], shape[-1] + 5), lambda whole: whole[..., 2:-3]
    if layout == "transposed":
        return full(shape[-1], *shape[1:-1], shape[0]), lambda whole: whole.transpose(0, -1)
    if layout == "channels_last":
        return full(*shape, memory_format=last), lambda whole: whole
    if layout == "channels_last, channels cut":
        more = full(shape[0], shape[1] + 3, *shape[2:], memory_format=last)
        return more, lambda whole: whole[:, 1:-2]
    return full(*shape), lambda whole: whole
