"""Triton's kernels against the reference, in Triton's interpreter: run by `kernels/test_triton.py`.

    python tests/triton_cases.py OPERATOR [SHARE]

A process of its own, since Triton reads TRITON_INTERPRET when it is imported. It prints one JSON
object: the number of cases of the operator and those that differ, and for each damage of its kernel
whether a case notices it. With a share of 0.25 a quarter of the cases are drawn.

The sums of attention are rounded in another order than the reference's. Each number of a result is
compared with that in float64, within a few roundings of what is summed. In half of the cases one
probability is summed, so that what is dropped is exactly 0 and nothing else is.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import math
import random
import shutil
import sys
import tempfile
from pathlib import Path

import torch

import torchdropout as td
from torchdropout import backends
from torchdropout._core.contract.keep import uniform
from torchdropout._core.contract.layout import row_major
from torchdropout._core.contract.noise import Law
from torchdropout._core.contract.seed import as_int64
from torchdropout._core.kernels import add, counted, noise, reference, triton
from torchdropout._core.ops import _drop_blocks, seed_sizes
from torchdropout.functional import _attention

# Seeds and streams with and without bit 31, or of more than 32 bits.
KEYS = (
    td.Key(0xFEDCBA9876543210, 0xFEDCBA987654321),
    td.Key(0xFEDCBA98, 0x76543210),
    td.Key(0x76543210FFFFFFFF, 0x87654321),
    td.Key(0, 0),
)
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
BASES = (0, 5, 2**31 - 3, 2**32 - 40, 2**34 - 16, 2**35 - 21, 2**64 - 24, 2**64 - 3)
CONSTANTS = ((1.1111111111111112, 0.0, 0.0), (0.8864, 0.0457, -1.5), (3.3, 0.0, -0.0))

FACTORS = ((0.3333333333333333, 0.0), (0.0, 1.7), (-1.25, 1e-3))


def sample(*shape, dtype=torch.float32):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(len(shape))) * 3
    flat = x.view(-1)
    specials = (0.0, -0.0, float("inf"), -float("inf"), float("nan"), 1e-42, 7e4, 3e38)
    for place, special in zip(range(3, flat.numel(), 5), specials, strict=False):
        flat[place] = special
    return x.to(dtype)


def layouts(dtype):
    """Name, x and mask strides; in the comments how the kernel walks them."""
    grid = sample(6, 40, dtype=dtype)
    image = sample(2, 3, 4, 5, dtype=dtype)
    rows = sample(4, 70, dtype=dtype)
    return {
        "one row": (sample(2500, dtype=dtype), [1]),
        "one row of several dimensions": (image, [60, 20, 5, 1]),
        "one element": (sample(1, dtype=dtype), [1]),
        "no dimension": (sample(dtype=dtype), []),
        "nothing": (sample(3, 0, dtype=dtype), [0, 1]),
        "odd": (sample(13, 7, dtype=dtype), [7, 1]),
        "offset": (sample(100, dtype=dtype)[3:98], [1]),
        "rows of a wider tensor": (rows, [72, 1]),
        "rows of a wider mask": (rows, [1001, 1]),
        "rows far from each other": (rows, [2**32 - 3, 1]),
        "columns of a tensor": (sample(4, 90, dtype=dtype)[:, 5:75], [70, 1]),
        "expanded": (sample(70, dtype=dtype).expand(3, 70), [70, 1]),
        "transposed": (grid.t(), [6, 1]),
        "reversed": (grid, [-40, -1]),
        "channels last": (image.to(memory_format=torch.channels_last), [60, 20, 5, 1]),
        "shared features": (image, [3, 1, 0, 0]),
        "shared by all": (grid, [0, 0]),
        "strided": (sample(80, dtype=dtype)[::3], [2**32 - 5]),
    }


def probabilities(x, key, base, strides):
    """Among them two thresholds at an element's own uniform, where the low half decides."""
    place = base + sum((n - 1) // 2 * s for n, s in zip(x.shape, strides, strict=True))
    own = uniform(key.seed, key.stream, place % 2**64)
    return (0.0, 2.0**-32, 1e-3, 0.1, 0.5, 1 - 2.0**-20, 1.0, own / 2**32, (own + 1) / 2**32)


def bernoulli():
    """x and the other arguments of each case."""
    bases, keys, constants = map(itertools.cycle, (BASES, KEYS, CONSTANTS))
    for dtype in DTYPES:
        for x, strides in layouts(dtype).values():
            base, key = next(bases), next(keys)
            for p in probabilities(x, key, base, strides):
                yield x, key.tensor(), p, *next(constants), as_int64(base), strides


def continuous():
    """The same of `noise_affine`."""
    bases, keys = itertools.cycle(BASES), itertools.cycle(KEYS)
    for dtype in DTYPES:
        for x, strides in layouts(dtype).values():
            base, key = next(bases), next(keys)
            for law, (factor, addend) in itertools.product(Law, FACTORS):
                yield x, key.tensor(), int(law), factor, addend, as_int64(base), strides


def sums():
    """Cases of `dropout_add`: x, residual and bias of all types that fit."""
    bases, keys = itertools.cycle(BASES), itertools.cycle(KEYS)
    halves = torch.float16, torch.bfloat16
    types = [(d, d, b) for d in DTYPES for b in (None, d)]
    types += [(d, torch.float32, b) for d in halves for b in (d, torch.float32)]
    for of_x, of_residual, of_bias in types:
        residuals = layouts(of_residual)
        for name, (x, strides) in layouts(of_x).items():
            base, key = next(bases), next(keys)
            residual = residuals[name][0].flip(0) if x.ndim else residuals[name][0]
            bias = None
            if of_bias is not None and x.ndim:
                bias = sample(x.shape[-1], dtype=of_bias).flip(0)
            for p in probabilities(x, key, base, strides)[3::2]:
                own = p, 1.4285714285714286, as_int64(base), strides
                yield x, key.tensor(), residual, bias, *own


def gradients():
    """Cases of `dropout_add_backward`."""
    bases, keys = itertools.cycle(BASES), itertools.cycle(KEYS)
    types = [(d, d) for d in DTYPES]
    types += [(torch.float32, d) for d in (torch.float16, torch.bfloat16)]
    for (of_gradient, of_x), summed in itertools.product(types, (True, False)):
        for x, strides in layouts(of_gradient).values():
            base, key = next(bases), next(keys)
            if x.ndim > 0:
                # Finite, so that the sums are.
                gradient = x.nan_to_num(0.3, 7.0, -7.0).clamp(-9e3, 9e3)
                for p in probabilities(x, key, base, strides)[3::2][:3]:
                    own = p, 1.4285714285714286, as_int64(base), strides
                    yield gradient, key.tensor(), of_x, summed, *own


def counts():
    """Cases of `counted_affine`: groups in a row, across, backwards, shared, and large ones."""
    keys = itertools.cycle(KEYS)
    own = (
        (6, 40),
        [
            (2, 4, -1, [40, 1]),
            (1, 2, -1, [1001, 1]),
            (3, 5, -1, [-40, -1]),
            (7, 8, -2 + 1, [0, 1]),
            (13, 40, -1, [40, 1]),
            (30, 40, -1, [0, -1]),
            (2, 3, -2, [40, 1]),
            (5, 6, -2, [2**32 - 3, 0]),
        ],
    )
    image = (
        (2, 4, 3, 5),
        [(2, 4, -3, [60, 15, 5, 1]), (1, 5, -1, [0, 0, 5, 1]), (1, 2, -4, [60, 15, 5, 1])],
    )
    # A place times its step is 2**31 or more, and the step is not.
    far = (
        (6, 40),
        [(2, 3, -2, [2**30, 1]), (13, 40, -1, [2**40, 2**26]), (5, 6, -2, [2**29, 2**4])],
    )
    wide = (3, 64), [(20, 32, -1, [64, 1]), (63, 64, -1, [64, 1]), (1, 64, -1, [64, 1])]
    for dtype, base in itertools.product(DTYPES, BASES):
        for shape, each in (own, image, far, wide):
            x = sample(*shape, dtype=dtype)
            for turned in (False, True):
                if turned:
                    x = x.transpose(0, 1).contiguous().transpose(0, 1)
                for kept, group, dim, strides in each if not turned else each[::3]:
                    scale = group / kept
                    key = next(keys).tensor()
                    yield x, key, kept, group, dim, scale, as_int64(base), strides


def blocks():
    """Cases of `drop_blocks`."""
    keys = itertools.cycle(KEYS)
    for dtype, base in itertools.product(DTYPES, BASES):
        for shape, dims, block in (
            ((2, 3, 9), 1, 4),
            ((2, 3, 7, 8), 2, 3),
            ((3, 7, 8), 2, 1),
            ((2, 3, 4, 5, 6), 3, 2),
        ):
            own = sample(*shape, dtype=dtype)
            turned = own.transpose(0, 1).contiguous().transpose(0, 1)
            whole = row_major(seed_sizes(shape, dims, block))
            shared = row_major(seed_sizes(shape, dims, block), (0,))
            for x, strides, rate in (
                (own, whole, 0.1),
                (turned, whole, 0.01),
                (own, shared, 0.1),
                (own, [-s for s in whole], 1.0 if base == 5 else 0.2),
                (own, whole, 0.0 if base == 5 else 0.5),
            ):
                constants = dims, block, False, rate, 1.1111111111111112, 0.0
                yield x, next(keys).tensor(), *constants, as_int64(base), strides


def rates():
    """Cases of `masked_by_rates`: an own p for each element, at its threshold or next to it."""
    bases, keys = itertools.cycle(BASES), itertools.cycle(KEYS)
    for dtype in DTYPES:
        for x, strides in layouts(dtype).values():
            base, key = next(bases), next(keys)
            index = torch.full((), as_int64(base))
            for size, stride in zip(x.shape, strides, strict=True):
                index = index.unsqueeze(-1) + torch.arange(size) * stride
            own = reference._uniform_indices(key.tensor()[None], index.view(1, -1))
            own = own.view(x.shape).double()
            single = own[..., :1] if x.ndim else own
            for scaled, each in itertools.product(
                (True, False),
                (
                    own / 2**32,
                    (own + 1) / 2**32,
                    (own + 0.5) / 2**32,
                    torch.full_like(own, 0.3).flatten().cumsum(0).remainder(1).view(own.shape),
                    single / 2**32,
                ),
            ):
                yield x, key.tensor(), each.clamp(max=1.0), scaled, as_int64(base), strides


SHAPES = (  # and mask strides: bits in order, of fewer than a byte, shared, in another order
    ([6, 40], [40, 1]),
    ([3], [1]),
    ([2, 1000], [1000, 1]),
    ([5, 64], [64, 1]),
    ([4, 5, 3], [5, 1, 0]),
    ([4, 9], [0, 1]),
    ([4, 70], [1, 4]),
    ([4, 70], [71, 1]),
    ([3, 2], [-2, 1]),
    ([2, 2], [0, 0]),
    ([], []),
    ([0, 3], [3, 1]),
)


def packed():
    """The cases of `keep_bits`, whose first tensor is empty: it says on which device."""
    for key, base in itertools.product(KEYS, BASES):
        # At an element's own uniform only the low half decides.
        tie = uniform(key.seed, key.stream, (base + 2) % 2**64)
        for p in (0.3, 0.5, 1.0, tie / 2**32, (tie + 1) / 2**32):
            for shape, strides in SHAPES:
                yield torch.empty(0), key.tensor(), p, shape, as_int64(base), strides


# Batch dimensions, heads of q and of k and v, queries, keys, features of both, and the rest.
SQUARES = {
    "a tile": ((), 1, 1, 16, 32, 16, 16, {}),
    "aligned": ((2,), 1, 1, 19, 48, 16, 32, {}),
    "odd": ((2,), 2, 2, 13, 45, 16, 16, {}),
    "features that fill no tile": ((1,), 1, 1, 20, 33, 24, 40, {}),
    "grouped": ((1,), 4, 2, 15, 33, 32, 16, {}),
    "grouped, causal": ((1,), 2, 1, 33, 40, 16, 16, {"causal": True}),
    "causal, fewer keys": ((1,), 1, 1, 45, 19, 16, 16, {"causal": True}),
    "causal, fewer queries": ((1,), 1, 1, 19, 45, 16, 16, {"causal": True}),
    "mask of padding": ((3,), 1, 1, 11, 37, 16, 16, {"mask": "padding"}),
    "mask of each": ((2,), 2, 2, 12, 35, 16, 16, {"mask": "each"}),
    "added": ((2,), 2, 2, 12, 40, 16, 16, {"mask": "added"}),
    "added, -inf and the least number": ((1,), 2, 1, 18, 35, 16, 16, {"mask": "least"}),
    "heads inside": ((2,), 2, 2, 12, 35, 16, 16, {"strided": True}),
    "a part": ((1,), 2, 2, 18, 37, 16, 16, {"strides": (5003, 2503, 71, 1)}),
    "an aligned part": ((2,), 1, 1, 18, 37, 16, 16, {"strides": (2**34, 2504, 72, 1)}),
    "whole heads": ((2,), 2, 2, 12, 35, 16, 16, {"strides": (2, 1, 0, 0)}),
    "keys outside": ((1,), 2, 1, 14, 35, 16, 16, {"strides": (5000, -2500, 1, 2**32 - 3)}),
    "shared by samples": ((2, 2), 1, 1, 12, 35, 16, 16, {"strides": (0, 700, 0, 35, 1)}),
}


def normal(*shape, dtype):
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape))).to(dtype)


def score_mask(kind, shape, dtype):
    """Boolean, or added, with queries that see no key."""
    *_, _queries, _keys = shape
    seen = normal(*shape, dtype=torch.float32) > -0.3
    seen[..., 3, :] = False
    added = normal(*shape[-3:], dtype=torch.float32)
    if kind == "padding":
        return seen[..., :1, :1, :]
    if kind == "each":
        return seen
    if kind == "least":
        least = torch.finfo(dtype).min
        added = torch.where(seen[0], added.to(dtype), least).flip(-2)
        added[..., 5, :] = -math.inf
        added[..., :, 1::4] = -math.inf
    return added


def squares():
    """Cases of `attention`: random values, or such that a result is one probability."""
    bases, keys = itertools.cycle(BASES), itertools.cycle(KEYS)
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        for batch, heads, groups, queries, length, features, values, how in SQUARES.values():
            shape = (*batch, heads, queries, length)
            strides = how.get("strides") or row_major(shape)
            base, key = next(bases), next(keys)
            place = base + sum((n - 1) // 2 * s for n, s in zip(shape, strides, strict=True))
            own = uniform(key.seed, key.stream, place % 2**64)
            q, k, v = (
                normal(*batch, *size, dtype=dtype)
                for size in (
                    (heads, queries, features),
                    (groups, length, features),
                    (groups, length, values),
                )
            )
            if "strided" in how:
                q, k, v = (t.transpose(-3, -2).contiguous().transpose(-3, -2) for t in (q, k, v))
                k = k.repeat_interleave(2, -1)[..., ::2]
            unit = torch.eye(length, 64, dtype=dtype).expand(*batch, groups, -1, -1)
            mask = how.get("mask")
            mask = mask and score_mask(mask, shape, dtype)
            for p in (1e-3, 0.1, 0.5, 0.9, own / 2**32, (own + 1) / 2**32):
                for each in (v, unit):
                    numbers = features**-0.5, how.get("causal", False), p, 1.4285714285714286
                    yield q, key.tensor(), k, each, mask, *numbers, as_int64(base), strides


def squares_backward():
    """Cases of `attention_backward`: random, or such that a gradient is that of one score."""
    for q, key, k, v, mask, *numbers in squares():
        alone = v.shape[-1] == 64
        gradient, out = normal(*q.shape[:-1], v.shape[-1], dtype=q.dtype), None
        if alone:
            q, gradient, k = (
                torch.eye(t.shape[-2], 64, dtype=q.dtype).expand(*t.shape[:-1], 64)
                for t in (q, q, k)
            )
            v, out = torch.ones_like(v), torch.zeros_like(gradient)
        scores, weights, keep = probabilities_of(q, key, k, mask, *numbers)
        if out is None:
            out = ((weights * keep * numbers[3]) @ repeated(v, q)).to(q.dtype)
        rows = torch.stack([*rows_of(scores), torch.zeros(weights.shape[:-1].numel())])
        rest = rows.float(), gradient, (True, True, True), mask
        yield q, key, k, v, out, *rest, *numbers


def repeated(t, q):
    """A tensor of groups for each head of q, in float64."""
    return t.double().repeat_interleave(q.shape[-3] // t.shape[-3], -3)


def probabilities_of(q, key, k, mask, factor, causal, p, _scale, base, strides):
    """In float64: the scores, the probabilities before dropout, and the keep bits."""
    scores = q.double() @ repeated(k, q).transpose(-2, -1) * factor
    if causal:
        scores = scores.masked_fill(torch.ones(scores.shape[-2:]).triu(1) > 0, -math.inf)
    if mask is not None and mask.dtype == torch.bool:
        scores = scores.masked_fill(~mask, -math.inf)
    elif mask is not None:
        scores = (scores + mask).float().double()  # a sum with the least number is that
    dead = scores.amax(-1, keepdim=True) == -math.inf
    weights = scores.masked_fill(dead, 0.0).softmax(-1).masked_fill(dead, 0.0)
    keep = reference.keep_bits(key, scores.shape, p, base, strides, q.device)
    return scores, weights, keep.expand(scores.shape)


def rows_of(scores):
    """Return the largest score of each query, and the inverse of the sum of exponentials."""
    largest = scores.amax(-1)
    dead = largest == -math.inf
    largest = largest.masked_fill(dead, 0.0)
    inverse = 1.0 / (scores - largest[..., None]).exp().sum(-1)
    return largest.flatten(), inverse.masked_fill(dead, 0.0).flatten()


def attended(q, key, k, v, mask, *numbers):
    """What `attention` gives, in float64, with the sums of absolute values."""
    scores, weights, keep = probabilities_of(q, key, k, mask, *numbers)
    dropped, v = weights * keep * numbers[3], repeated(v, q)
    rows = torch.stack(rows_of(scores))
    size = torch.stack([rows[0].abs() + (q.abs().amax() * k.abs().amax()), rows[1]])
    return (dropped @ v, dropped @ v.abs()), (rows, size * (rows[1] > 0))


def attended_backward(q, key, k, v, out, _rows, gradient, _wanted, mask, *numbers):
    """What `attention_backward` gives, in float64, with the sums of absolute values."""
    _, weights, keep = probabilities_of(q, key, k, mask, *numbers)
    factor, _, _, scale, *_ = numbers
    dropped, g = weights * keep * scale, gradient.double()
    groups = k.shape[-3]

    def gradients(q, k, v, g, sign):
        of_weights = g @ v.transpose(-2, -1)
        mean = (out.double().abs() if sign > 0 else out.double()) * g
        of_scores = dropped * of_weights + sign * weights * mean.sum(-1, keepdim=True)
        of_keys = of_scores.transpose(-2, -1) @ q * factor, dropped.transpose(-2, -1) @ g
        of_groups = (t.unflatten(-3, (groups, -1)).sum(-3) for t in of_keys)
        return of_scores @ k * factor, *of_groups

    inputs = q.double(), repeated(k, q), repeated(v, q), g
    found = gradients(*inputs, -1)
    return tuple(zip(found, gradients(*(t.abs() for t in inputs), 1), strict=True))


# Roundings of a sum, of terms that are rounded themselves.
ROUNDINGS = {torch.float32: 16, torch.float16: 2, torch.bfloat16: 2}


def near(found, known):
    """Within some roundings of what is summed, and exactly 0 where that is 0."""
    return all(
        bool(
            ((own.reshape(-1)[: value.numel()] - value.reshape(-1)).abs() <= limit(own, size)).all()
        )
        for own, (value, size) in zip(found, known, strict=True)
    )


def limit(own, size):
    """How far a number may be from the exact one: below the normal numbers, as much as there."""
    kind = torch.finfo(own.dtype)
    size = size.reshape(-1)
    return ROUNDINGS[own.dtype] * kind.eps * size.clamp(min=kind.smallest_normal) * (size > 0)


CASES = {
    "masked_affine": (bernoulli, reference.masked_affine),
    "noise_affine": (continuous, noise.noise_affine),
    "dropout_add": (sums, add.dropout_add),
    "dropout_add_backward": (gradients, add.dropout_add_backward),
    "counted_affine": (counts, counted.counted_affine),
    "drop_blocks": (blocks, _drop_blocks._kernel),
    "masked_by_rates": (rates, reference.masked_by_rates),
    "keep_bits": (packed, reference.packed_bits),
    "attention": (squares, attended),
    "attention_backward": (squares_backward, attended_backward),
}
AGREE = {"attention": near, "attention_backward": near}  # others: same bits


def operator_of(name):
    """What the library calls."""
    if name == "attention":
        return _attention._run
    if name == "attention_backward":
        return _attention._run_backward
    if name == "masked_by_rates":
        return by_rates
    return getattr(torch.ops.torchdropout, name).default


def by_rates(x, key, rates, scaled, *place):
    return torch.ops.torchdropout.masked_affine.rates(x, key, rates, scaled, True, *place)


def agree(name, found, known):
    return AGREE.get(name, same)(found, known)


def same(a, b):
    """The same bits, all NaNs being the same, and the same strides."""
    if isinstance(a, tuple):
        return all(map(same, a, b))
    if a.dtype != b.dtype or a.shape != b.shape or a.stride() != b.stride():
        return False
    bits = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[a.element_size()]
    equal = a.contiguous().view(bits) == b.contiguous().view(bits)
    return bool((equal | (a.isnan() & b.isnan())).all())


def compare(name, share):
    cases, expected = CASES[name]
    operator = operator_of(name)
    module = sys.modules[triton.load(name).__module__]
    kernel, called, differ = triton.load(name), set(), []
    small_tiles(name, module)
    drawn = random.Random(0)
    for number, args in enumerate(case for case in cases() if drawn.random() < share):
        setattr(module, name, lambda *a, number=number: called.add(number) or kernel(*a))
        if not agree(name, operator(*args), expected(*args)):
            differ.append(repr((number, args[0].dtype, args[0].shape, args[0].stride(), args[2:])))
    setattr(module, name, kernel)
    return {"cases": number + 1, "calls": len(called), "differ": differ[:20]}


# By operator: what is changed, in which file, from what and to what.
DAMAGES = {
    "masked_affine": {
        "Philox constant": (
            "walk.py",
            "tl.constexpr(contract.MULTIPLIER_1)",
            "tl.constexpr(contract.MULTIPLIER_1 ^ 2)",
        ),
        "tie rule": ("bernoulli.py", ">= low", "> low"),
        "index carry": ("walk.py", "(block >> 32) & 0xFFFFFFFF", "(block >> 32) & 0"),
        "rounding of scale": (
            "bernoulli.py",
            "bits(scale, compute)",
            "bits(float(torch.tensor(scale, dtype=dtype)), compute)",
        ),
        "rounding to bfloat16": ("walk.py", "+ 0x7FFF", "+ 0"),
        "sign of the drop value": (
            "bernoulli.py",
            "bits(drop_value, compute, dtype)",
            "bits(drop_value + 0.0, compute, dtype)",
        ),
        "shift of 0": ("bernoulli.py", "(low != 0, shift != 0.0)", "(low != 0, True)"),
        "a draw for each of a shared row": (
            "elementwise.py",
            "shared = mask == 0 and n > 1",
            "shared = False",
        ),
        "no tie is found": ("bernoulli.py", "& 0x80008000", "& 0"),
    },
    "noise_affine": {
        "order of words": ("walk.py", "tl.join(w0, w2)", "tl.join(w0, w1)"),
        "central region": ("noise.py", "-(x * x) + SQUARE", "-x + SQUARE"),
        "end of the central region": (
            "noise.py",
            "offset < CENTRAL",
            "offset < CENTRAL - 0x01000000",
        ),
        "tail": ("noise.py", "t * D3", "t * D2"),
        "sum in another order": (
            "noise.py",
            "k * LN2_HIGH + (k * LN2_LOW + s * (q * (q * (q * LOG3 + LOG2) + LOG1) + LOG0))",
            "(k * LN2_HIGH + k * LN2_LOW) + s * (q * (q * (q * LOG3 + LOG2) + LOG1) + LOG0)",
        ),
        "sign": ("noise.py", "centred & -0x80000000", "centred & 0"),
        "rounding of the factor": (
            "noise.py",
            "bits(factor, compute)",
            "bits(float(torch.tensor(factor, dtype=torch.bfloat16)), compute)",
        ),
    },
    "dropout_add": {
        "product of what is dropped": (
            "add.py",
            "tl.where(keep, y * number(numbers[2], F), 0.0)",
            "tl.where(keep, 1.0, 0.0) * (y * number(numbers[2], F))",
        ),
        "bias in the type of x": ("add.py", "y + bias.to(F)", "y + bias.to(x.dtype).to(F)"),
        "two roundings": (
            "add.py",
            "number(numbers[2], F), 0.0)",
            "number(numbers[2], F), 0.0).to(tl.float16).to(F)",
        ),
        "residual by the steps of x": (
            "elementwise.py",
            "X1 + at(i, sizes, steps_x1)",
            "X1 + at(i, sizes, steps_x)",
        ),
    },
    "dropout_add_backward": {
        "mask of columns next to each other": (
            "add_backward.py",
            "own + column * step_mask",
            "own + column",
        ),
        "size of a block": ("add_backward.py", "ROWS=ROWS,", "ROWS=2 * ROWS,"),
        "blocks added in float32": (
            "add_backward.py",
            "sums += part.to(tl.float64)",
            "sums = (sums.to(tl.float32) + part.to(tl.float32)).to(tl.float64)",
        ),
        "sums of rounded numbers": (
            "add_backward.py",
            "sums += y",
            "sums += y.to(tl.float16).to(F)",
        ),
    },
    "counted_affine": {
        "one more is kept": ("counted.py", "return before < kept", "return before <= kept"),
        "last bit of the last word": ("counted.py", "range(BITS)", "range(BITS - 1)"),
        "places of a larger group": (
            "counted.py",
            "tl.where(place < GROUP, word",
            "tl.where(place >= 0, word",
        ),
        "mask of places next to each other": (
            "counted.py",
            "[:, None] + far * step_mask",
            "[:, None] + far",
        ),
    },
    "drop_blocks": {
        "side of a block": ("drop_blocks.py", "in range(block):", "in range(block - 1):"),
        "rows of a block": ("drop_blocks.py", "wide(_1) * step_1", "wide(_1) * step_0"),
        "planes of a block": ("drop_blocks.py", "wide(_2) * step_2", "wide(_2) * step_1"),
        "seeds by the steps of x": (
            "drop_blocks.py",
            "at(i, sizes, steps_seeds)",
            "at(i, sizes, steps_x)",
        ),
        "rounding of the scale of blocks": (
            "drop_blocks.py",
            "bits(scale, compute_dtype(x.dtype))",
            "bits(float(torch.tensor(scale, dtype=x.dtype)), compute_dtype(x.dtype))",
        ),
    },
    "masked_by_rates": {
        "threshold cut": (
            "rates.py",
            "((rate * 4294967296.0 + 4503599627370496.0) - 4503599627370496.0)",
            "(rate * 4294967296.0)",
        ),
        "threshold itself is dropped": ("rates.py", ">= limit", "> limit"),
        "words of the low halves": (
            "rates.py",
            "w0, w1, w2, w3 = words(seed, stream, LOW, block)",
            "",
        ),
        "rates by the steps of x": (
            "elementwise.py",
            "X1 + at(i, sizes, steps_x1)",
            "X1 + at(i, sizes, steps_x)",
        ),
        "scale in float32": (
            "rates.py",
            "(1.0 / (1.0 - rate)).to(F)",
            "(1.0 / (1.0 - rate.to(tl.float32))).to(F)",
        ),
    },
    "keep_bits": {
        "tie rule of packed bits": ("keep_bits.py", ">= low", "> low"),
        "order of bits": (
            "keep_bits.py",
            "(second.to(tl.int32) << 1)",
            "(second.to(tl.int32) << 2)",
        ),
        "order of packed words": (
            "keep_bits.py",
            "above(w1, limit, TIES) << 2",
            "above(w2, limit, TIES) << 2",
        ),
        "no tie of packed bits is found": (
            "keep_bits.py",
            "tl.max((ties != 0)",
            "tl.min((ties != 0)",
        ),
        "bits after the last": ("keep_bits.py", "& ((1 << inside) - 1)", "& 255"),
        "bits after the last, in places": ("keep_bits.py", ") & inside", ")"),
        "a base within a block": ("keep_bits.py", "and base % PER_BLOCK == 0", ""),
    },
    "attention": {
        "index of a head": ("attention.py", "head * wide(step_head)", "head * wide(step_query)"),
        "causal off by one": ("attention.py", "key <= query", "key < query"),
        "p not scaled": ("attention.py", "(inverse * number(scale, tl.float32))", "inverse"),
        "sums not rescaled": ("attention.py", "out * before[:, None]", "out"),
        "no mask": ("attention.py", "(mask != 0)", "(mask == mask)"),
        "sum of exponentials": (
            "attention.py",
            "rows_in_all) + start + rows, inverse",
            "rows_in_all) + start + rows, total",
        ),
        "half words of one block": (
            "bernoulli.py",
            "(w3 >> 16) | (n0 << 16)",
            "(w3 >> 16) | (w3 << 16)",
        ),
        "next block": ("bernoulli.py", "(block + 1)", "block"),
        "low halves not shifted": (
            "bernoulli.py",
            "words_from(seed, stream, LOW, block, skip)",
            "words_from(seed, stream, LOW, block, None)",
        ),
    },
    "attention_backward": {
        "mask not applied to v": ("attention.py", "tl.where(keep, weights, 0.0)", "weights"),
        "index of the queries of a tile": (
            "attention.py",
            "first + head * step_head + m * wide(step_query)",
            "first + head * step_head",
        ),
        "first head alone": ("attention.py", "in range(heads)", "in range(1)"),
        "first tile of causal": ("attention.py", "begin = n // M * M", "begin = (n // M + 1) * M"),
        "mean not subtracted": ("attention.py", " - mean[None, :]", ""),
        "mean scaled twice": ("attention.py", "bits(1.0 / scale", "bits(scale"),
    },
}


def small_tiles(name, module):
    """Many tiles in small squares; every seventh call has tiles of the usual size."""
    if triton.OPERATORS[name] == "attention":
        real, calls = module.tiles, itertools.count()
        small = {"M": 16, "N": 32}
        module.tiles = lambda *args: {**real(*args), **(small if next(calls) % 7 else {})}


def damaged(folder, file, old, new):
    """A copy of the kernels in which one place is changed."""
    package = Path(folder) / "damaged"
    shutil.copytree(Path(triton.__file__).parent, package)
    text = (package / file).read_text()
    assert old in text, old
    (package / file).write_text(text.replace(old, new))
    own = f"torchdropout._core.kernels.{Path(folder).name}"
    spec = importlib.util.spec_from_file_location(own, package / "__init__.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[own] = module
    spec.loader.exec_module(module)
    return module


def notice(name, file, old, new):
    """Whether one of every 11th case notices a damage."""
    with tempfile.TemporaryDirectory(prefix="damaged_") as folder:
        kernel = damaged(folder, file, old, new).load(name)
        small_tiles(name, sys.modules[kernel.__module__])
        cases, expected = CASES[name]
        return any(
            not agree(name, kernel(*args), expected(*args))
            for args in itertools.islice(cases(), 0, None, 11)
        )


def of_equal_words():
    """Whether a case of `counted_affine` differs where many words of a group are equal."""
    real = counted._words
    counted._words = lambda *args: real(*args) & 3
    old = "    if PAIRS:\n"
    return notice("counted_affine", "counted.py", old, "    word = word & 3\n" + old)


def main():
    name = sys.argv[1]
    add.ROWS = 4  # of a block: many blocks in few rows
    assert backends.current() == "triton"
    found = compare(name, float(sys.argv[2]) if len(sys.argv) > 2 else 1.0)
    found["noticed"] = {
        damage: notice(name, *place)
        for damage, place in {"none": ("walk.py", "", ""), **DAMAGES[name]}.items()
    }
    if name == "counted_affine":
        found["of equal words"] = of_equal_words()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
