"""A target's behaviour that no check covers, observed exactly, in words that can be compared.

An answer never contains a random figure: two targets with one distribution give the same answer.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from ...reporting.findings import Severity
from ..checks._reading import seeded_mask
from ..checks.construction import WRONG
from ..context import Context, Skip, seed_torch
from .observe import builtin_type

DTYPES = (
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
    torch.complex64,
    torch.int64,
)
SIZE = 4096
SEED = 20_26

Probe = Callable[[Context], str]


@dataclass(frozen=True)
class Policy:
    """An aspect, what a difference in it means (see `Row.severity`), and how it is observed."""

    aspect: str
    severity: Severity
    probe: Probe


def _any_p(ctx: Context) -> float:
    return 0.5 if ctx.subject.fixed_p is None else ctx.subject.fixed_p


def _how_p_is_given(ctx: Context) -> str:
    fixed = ctx.subject.fixed_p
    return "any" if fixed is None else f"p={fixed:g}"


def _claim(ctx: Context) -> str:
    return ctx.spec.title


def _modes(ctx: Context) -> str:
    return "training and eval" if ctx.subject.has_eval else "training only"


def _has_gradient(ctx: Context) -> str:
    return "has one" if ctx.subject.has_gradient else "has none"


def _wrong_p(ctx: Context, p: Any) -> str:
    """Where a p that is not a probability is refused, and with which exception."""
    if ctx.subject.fixed_p is not None:
        raise Skip("the target's p is given")
    try:
        built = ctx.subject.build(p)
    except Exception as error:
        return f"refused when built, {builtin_type(error)}"
    try:
        built.call(torch.ones(8), True)
    except Exception as error:
        return f"refused at the call, {builtin_type(error)}"
    return "accepted"


def _eval_object(ctx: Context) -> str:
    ctx.need_eval()
    x = ctx.normal(SIZE)
    y = ctx.call(ctx.build(_any_p(ctx)), x, training=False)
    if y is x:
        return "x itself"
    return "a view of x" if y.data_ptr() == x.data_ptr() else "a new tensor"


def _dtype_out(ctx: Context, dtype: torch.dtype) -> str:
    x = torch.ones(SIZE, dtype=dtype)
    return str(ctx.call(ctx.build(_any_p(ctx)), x).dtype).removeprefix("torch.")


def _dropped(ctx: Context, value: float) -> str:
    """The output at the dropped places of an input filled with one value."""
    built = ctx.build(ctx.main_p)
    y = ctx.call(built, torch.full((ctx.telling_size(built.p),), value)).detach()
    zero = bool((y == 0).any())
    nan = bool(torch.isnan(y).any())
    if math.isnan(value):
        return "0" if zero else "NaN"
    return {(True, False): "0", (False, True): "NaN", (True, True): "0 or NaN"}.get(
        (zero, nan), "neither 0 nor NaN"
    )


# The search for a call's end in the stream stops at this many words per element.
_MOST_WORDS = 8


def _words(ctx: Context) -> str:
    """How far a call advances torch's generator, in 32-bit words."""
    sizes = (SIZE, 2 * SIZE, 3 * SIZE)
    moved = [_advance(ctx, size) for size in sizes]
    first, second, third = moved
    if first is None or second is None or third is None:
        return "seeds it, or moves it otherwise"
    if third - second != second - first:
        return ", ".join(f"{n} for {size}" for n, size in zip(moved, sizes, strict=True))
    once = 2 * first - second
    each = (second - first) / SIZE
    parts = [f"{n:g} {of}" for n, of in ((once, "a call"), (each, "an element")) if n]
    return " and ".join(parts) or "none"


def _advance(ctx: Context, size: int) -> int | None:
    """The position in the generator's stream after a call that began at its start."""
    built = ctx.build(ctx.main_p)
    x = ctx.normal(size)
    stream = _stream(torch.Generator().manual_seed(SEED), _MOST_WORDS * size + 64)
    seed_torch(SEED)
    ctx.call(built, x)
    ahead = _stream(torch.default_generator, 8)
    first = np.flatnonzero(stream[:-7] == ahead[0])
    found = [int(i) for i in first if np.array_equal(stream[i : i + 8], ahead)]
    return found[0] if found else None


def _stream(generator: torch.Generator, words: int) -> np.ndarray:
    # A range below 2^28 takes one word per number.
    return torch.randint(1 << 24, (words,), generator=generator).numpy()


def _mask(ctx: Context, p: float) -> str:
    """A digest of the masks of two calls after a seed."""
    built = ctx.build(p)
    x = ctx.normal(max(SIZE, ctx.telling_size(p)))

    def digest() -> str:
        first = seeded_mask(ctx, built, x, SEED)
        second = ctx.kept(built, x.clone())
        bits = np.packbits(torch.stack([first, second]).numpy())
        return hashlib.blake2b(bits.tobytes(), digest_size=4).hexdigest()

    name = digest()
    return f"mask {name}" if digest() == name else "not governed by torch's seed"


def _mask_at_main(ctx: Context) -> str:
    return _mask(ctx, ctx.main_p)


def _layouts(ctx: Context) -> str:
    """The memory layouts in which a seed drops other logical places than in a contiguous one."""
    built = ctx.build(ctx.main_p)
    x = ctx.normal(6, 5, 16, math.ceil(ctx.telling_size(built.p) / 480))
    spread = torch.empty(*x.shape[:-1], 2 * x.shape[-1])
    spread[..., ::2] = x
    layouts = {
        "transposed": x.transpose(1, 3).contiguous().transpose(1, 3),
        "channels_last": x.contiguous(memory_format=torch.channels_last),
        "sliced": spread[..., ::2],
    }
    want = seeded_mask(ctx, built, x, SEED)
    if not torch.equal(seeded_mask(ctx, built, x, SEED), want):
        return "not governed by torch's seed"
    moved = [
        name
        for name, given in layouts.items()
        if not torch.equal(seeded_mask(ctx, built, given, SEED), want)
    ]
    return f"other masks: {', '.join(moved)}" if moved else "one mask for all"


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


POLICIES: tuple[Policy, ...] = (
    Policy("what it claims to be", "error", _claim),
    Policy("p it can be verified at", "error", _how_p_is_given),
    Policy("modes", "error", _modes),
    Policy("gradient", "error", _has_gradient),
    *(Policy(f"wrong p, {p!r}", "advice", partial(_wrong_p, p=p)) for p in WRONG),
    Policy("object in eval", "advice", _eval_object),
    *(Policy(f"dtype out, {_name(d)} in", "error", partial(_dtype_out, dtype=d)) for d in DTYPES),
    *(
        Policy(f"{v:g} where dropped", "error", partial(_dropped, value=v))
        for v in (math.inf, -math.inf, math.nan)
    ),
    Policy("words of torch's generator", "advice", _words),
    Policy("mask for a seed", "advice", _mask_at_main),
    Policy("mask in other layouts", "advice", _layouts),
)
