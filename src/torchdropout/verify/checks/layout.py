"""Layout: transposed, strided, channels_last and expanded inputs are treated like any other."""

from __future__ import annotations

import math
import re

import torch

from ..._core import _torch
from .. import stats
from ..context import Context, Fault, Seen, Skip, check, describe, outcome, seed_torch
from ..specs.elementwise import Elementwise
from ._reading import seeded_mask, split


def _strided(x: torch.Tensor) -> dict[str, torch.Tensor]:
    """A 4-D x in other memory layouts."""
    spread = torch.full((*x.shape[:-1], 2 * x.shape[-1]), float("nan"))
    spread[..., ::2] = x
    return {
        "transposed": x.transpose(1, 3).contiguous().transpose(1, 3),
        "channels_last": x.contiguous(memory_format=torch.channels_last),
        "heads of an attention": x.transpose(1, 2).contiguous().transpose(1, 2),
        "every second element": spread[..., ::2],
        "first axis last": x.permute(1, 2, 3, 0).contiguous().permute(3, 0, 1, 2),
    }


@check(needs=["kept-scale"])
def layout_values(ctx: Context) -> Seen:
    """Values stay in their logical places in every memory layout.

    Measured: transposed, channels_last, sliced, permuted and expanded inputs, and the heads of an
    attention, whose last axis has stride 1; each value is 0 or x / (1 - p) of its own place.

    Kernels that iterate over memory in storage order, or `view` where `reshape` is needed, mix up
    elements or raise for inputs that come straight from attention or a convolution.

    To fix: index by logical place, or call `contiguous()` first.
    """
    built = ctx.build(ctx.main_p)
    x = ctx.normal(6, 5, 16, 12)
    inputs = _strided(x)
    inputs["expanded"] = ctx.normal(6, 1, 16, 1).expand(6, 5, 16, 12)
    for name, given in inputs.items():
        split(given, ctx.call(built, given), built.p, name)
    return Seen(", ".join(inputs))


@check(needs=["layout-values", "drop-rate"], statistical=True)
def layout_rate(ctx: Context) -> Seen:
    """The rate is p in every memory layout.

    Measured: exact binomial tests for transposed, channels_last, sliced and permuted inputs.

    A kernel that reaches only part of a strided tensor drops too little there, and a mask made for
    the memory behind a slice drops at a rate that was not requested.

    To fix: make the mask from the logical shape of x.
    """
    p = ctx.sound_p
    one = torch.ones(1, 24, 20, 28)
    family = ctx.family(len(_strided(one)))
    n = ctx.size(p, ctx.level.rough_rate * math.sqrt(p * (1 - p)), family.each, one.numel())
    built = ctx.build(p)
    for name, given in _strided(one.repeat(n // one.numel(), 1, 1, 1)).items():
        dropped = n - int(torch.count_nonzero(ctx.kept(built, given)))
        family.binomial(name, dropped, n, p)
    return outcome(
        family,
        lambda t: f"p={p:g}, {t.label}: {t.rate:.4g} of {t.n} dropped",
        f"a rate error of {stats.smallest_seen(n, p, family.each):.2g}",
    )


@check(needs=["layout-values", "drop-rate"], statistical=True)
def expanded_independent(ctx: Context) -> Seen:
    """Elements of an expanded input that share memory are dropped independently.

    Measured: how often two elements that share memory are dropped differently, along each of two
    expanded axes; the probability is exactly 2 p (1 - p).

    `empty_like` of an expanded tensor, or a mask with its strides, has one bit for all copies: a
    broadcast bias or position embedding then loses the same places in every sample.

    To fix: make the mask from the shape of x, not from its strides.
    """
    p = ctx.sound_p
    chance = stats.pairs_differ(p)
    family = ctx.family(2)
    width = 512
    pairs = ctx.size(chance, chance * 2 * ctx.level.correlation, family.each, width)
    rows = 2 * (pairs // width)
    built = ctx.build(p)
    for axis, name in enumerate(("first axis", "last axis")):
        ones = torch.ones(1, width).expand(rows, width)
        given = ones if axis == 0 else torch.ones(width, 1).expand(width, rows)
        bits = ctx.kept(built, given).numpy()
        differing, n = stats.count_differing(*stats.disjoint_pairs(bits, 1, axis))
        family.binomial(f"expanded along the {name}", differing, n, chance, 2 * stats.SLACK)
    seen = stats.smallest_seen(pairs, chance, family.each) / chance
    return outcome(
        family,
        lambda t: f"p={p:g}, {t.label}: {t.rate:.4g} of {t.n} neighbours differ",
        f"a correlation of {seen:.2g}",
    )


@check(severity="advice", needs=["layout-values", "seed-governs"])
def layout_mask(ctx: Context) -> Seen:
    """The same seed drops the same logical places in every memory layout.

    Measured: masks after the same `torch.manual_seed`, of one input in five layouts.

    A network then gives the same result with channels_last as without, and a difference between two
    runs is never due to the layout. torch draws in memory order: its mask changes with the layout.

    To fix: make the mask from the logical shape of x, as `torch.rand(x.shape)` does.
    """
    built = ctx.build(ctx.main_p)
    shape = (6, 5, 16, max(12, math.ceil(ctx.telling_size(built.p) / 480)))
    x = ctx.normal(*shape)
    want = seeded_mask(ctx, built, x, 5)
    for name, given in _strided(x).items():
        seed_torch(5)  # and not `seeded_mask`, whose copy has no gaps
        differ = int((ctx.kept(built, given) != want).sum())
        if differ:
            raise Fault(
                f"{name}: a different mask from the contiguous input for the same seed, at "
                f"{differ} of {want.numel()} places",
                layout=name,
                differ=differ,
            )
    return Seen("one mask for all layouts")


@check(needs=["output-shape"])
def device_followed(ctx: Context) -> Seen:
    """The mask is made on the device of x.

    Measured: a call on fake tensors of an accelerator: torch tracks their device and shape through
    every operation without the hardware, and refuses an operation that mixes two devices.

    `torch.rand(x.shape)` is on the CPU wherever x is: tests on a CPU pass, and the first run on an
    accelerator stops, or copies a mask in every step. `JustDropoutModelImpl` in
    examples/notebook_models.py does this.

    To fix: `torch.rand_like(x)`, or `device=x.device`.
    """
    if not ctx.level.compiled:
        raise Skip(f"not run at level {ctx.level.name}: fake tensors take a second to load")
    built, spec = ctx.build(ctx.main_p), ctx.spec
    device = torch.device("cuda")
    if built.module is not None and any(True for _ in built.module.parameters()):
        raise Skip("the target has parameters, which its owner moves to a device")
    with _torch.fake_tensors()(allow_non_fake_inputs=True):
        x = torch.empty(6, 4, device=device)
        try:
            if isinstance(spec, Elementwise) and spec.pattern:
                y = built.target.call(spec.spread(x), True)
            else:
                y = built.call(x, True)
        except Exception as error:
            if _is_mismatch(error):
                raise Fault(f"x on {device}: {describe(error)}") from error
            raise Skip(f"a call on fake tensors raised {describe(error)}") from error
        if isinstance(y, torch.Tensor) and y.device.type != device.type:
            raise Fault(f"x on {device}, y on {y.device}")
    return Seen("the device of x, on fake tensors")


def _is_mismatch(error: Exception) -> bool:
    """Whether an operation got tensors of two devices; the error's class is private to torch."""
    return re.search(r"same device|two (different )?devices", str(error)) is not None
