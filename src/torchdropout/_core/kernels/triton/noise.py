"""`noise_affine` in Triton: `y = x * (1 + factor * e) + addend * e`.

Each operation is rounded by itself: no fused multiply-add, and the quotients and square roots are
those of IEEE 754, which Triton's `/` and `sqrt` are not on a GPU.
"""

# Triton reads the annotations of a kernel: no `from __future__ import annotations` here. Without
# "i64" the type of an integer would be that of its value: a kernel for small ones, one for large.

from collections.abc import Sequence

import torch
import triton
import triton.language as tl

from ...contract import noise as contract
from ...contract.keep import compute_dtype
from .walk import (
    at,
    bits,
    in_order,
    in_row,
    key_of,
    number,
    pick,
    places,
    rounded,
    row_and_chunk,
    seed_and_stream,
    walk,
    wide,
    words,
)

UNIFORM = tl.constexpr(int(contract.Law.UNIFORM))
NORMAL = tl.constexpr(int(contract.Law.NORMAL))

CENTRAL = tl.constexpr(contract._CENTRAL)
SQUARE = tl.constexpr(contract._SQUARE)
A0, A1, A2, A3 = map(tl.constexpr, contract._A)
B0, B1, B2, B3 = map(tl.constexpr, contract._B)
C0, C1, C2 = map(tl.constexpr, contract._C)
D0, D1, D2, D3 = map(tl.constexpr, contract._D)
LOG0, LOG1, LOG2, LOG3 = map(tl.constexpr, contract._LOG)
LN2_HIGH = tl.constexpr(contract._LN2_HIGH)
LN2_LOW = tl.constexpr(contract._LN2_LOW)
ROOT_HALF = tl.constexpr(contract._ROOT_HALF)

# Numbers that differ from call to call: a kernel is not compiled again for some of their values.
NUMBERS = ["seed", "stream", "factor", "addend", "base"]


@triton.jit
def logarithm(x):
    """The logarithm of a positive number that is not subnormal."""
    own = x.to(tl.int32, bitcast=True)
    exponent = (own - ROOT_HALF) >> 23
    k = exponent.to(tl.float32)
    f = (own - (exponent << 23)).to(tl.float32, bitcast=True) - 1.0
    s = tl.div_rn(f, f + 2.0)
    q = s * s
    return k * LN2_HIGH + (k * LN2_LOW + s * (q * (q * (q * LOG3 + LOG2) + LOG1) + LOG0))


@triton.jit
def rarer(offset):
    """`min(u, 1 - u)`."""
    return ((offset ^ 0x7FFFFFFF).to(tl.float32) + 0.5) * 2.3283064365386963e-10  # 2**-32


@triton.jit
def normal(offset):
    """The magnitude under the normal distribution, by the offset of a word from the middle."""
    x = (offset.to(tl.float32) + 0.5) * 4.656612873077393e-10  # 2**-31
    r = -(x * x) + SQUARE  # the constant stands last: a rule of the interpreter
    above = x * (r * (r * (r * A3 + A2) + A1) + A0)
    central = tl.div_rn(above, r * (r * (r * B3 + B2) + B1) + B0)
    t = tl.sqrt_rn(logarithm(rarer(offset)) * -2.0)
    tail = t - tl.div_rn(t * (t * C2 + C1) + C0, t * (t * (t * D3 + D2) + D1) + D0)
    return tl.where(offset < CENTRAL, central, tail)


@triton.jit
def logistic(offset):
    """The same under the logistic distribution."""
    v = rarer(offset)
    return logarithm(tl.div_rn(1.0 - v, v))


@triton.jit
def noise(word, LAW: tl.constexpr):
    """The number of each word: contract, section 7."""
    centred = (word ^ 0x80000000).to(tl.int32, bitcast=True)
    if LAW == UNIFORM:
        return (2 * (centred >> 8) + 1).to(tl.float32) * 5.960464477539063e-08  # 2**-24
    else:
        offset = centred ^ (centred >> 31)
        magnitude = normal(offset) if LAW == NORMAL else logistic(offset)
        own = magnitude.to(tl.int32, bitcast=True) & 0x7FFFFFFF
        return (own | (centred & -0x80000000)).to(tl.float32, bitcast=True)


@triton.jit
def value(
    x,
    word,
    factor,
    addend,
    TYPE: tl.constexpr,
    LAW: tl.constexpr,
    FACTOR: tl.constexpr,
    ADDEND: tl.constexpr,
):
    """The bits of the result."""
    F: tl.constexpr = tl.float64 if TYPE == tl.float64 else tl.float32
    e = noise(word, LAW).to(F)
    y = x.to(F)
    if FACTOR:
        y = y * (1.0 + number(factor, F) * e)
    if ADDEND:
        y = y + number(addend, F) * e
    return rounded(y, TYPE)


@triton.jit
def word_of(seed, stream, LAW: tl.constexpr, index):
    """The word of each of any indices."""
    w0, w1, w2, w3 = words(seed, stream, LAW, (index >> 2) & 0x3FFFFFFFFFFFFFFF)
    return pick((index & 3).to(tl.int32), w0, w1, w2, w3)


@triton.jit(do_not_specialize=[*NUMBERS, "chunks", "n"])
def in_rows(
    X,
    Y,
    seed: "i64",
    stream: "i64",
    factor: "i64",
    addend: "i64",
    base: "i64",
    chunks: "i64",
    n: "i64",
    sizes,
    steps_x,
    steps_y,
    steps_mask,
    LAW: tl.constexpr,
    BLOCKS: tl.constexpr,
    ONE: tl.constexpr,
    ALIGNED: tl.constexpr,
    SHARED: tl.constexpr,
    FACTOR: tl.constexpr,
    ADDEND: tl.constexpr,
):
    """A program has up to 4 * BLOCKS elements of a row, from one whose index is divisible by 4."""
    seed, stream = key_of(seed, stream)
    base, n = wide(base), wide(n)
    row, chunk = row_and_chunk(chunks, ONE)
    if not ONE:
        X += at(row, sizes, steps_x)
        Y += at(row, sizes, steps_y)
        base += at(row, sizes, steps_mask)
    start = chunk * (4 * BLOCKS)
    if not ALIGNED:
        start -= base & 3
    i = tl.arange(0, 4 * BLOCKS)
    whole = (start >= 0) & (start + 4 * BLOCKS <= n)
    if whole:
        x = tl.load(X + start + i)
    else:
        x = tl.load(X + start + i, mask=in_row(i, start, n))
    if SHARED:
        word = word_of(seed, stream, LAW, tl.zeros((1,), tl.int64) + base)
    else:
        block = (base >> 2) + chunk * BLOCKS + tl.arange(0, BLOCKS)
        w0, w1, w2, w3 = words(seed, stream, LAW, block & 0x3FFFFFFFFFFFFFFF)
        word = in_order(w0, w1, w2, w3)
    y = value(x, word, factor, addend, X.dtype.element_ty, LAW, FACTOR, ADDEND)
    if whole:
        tl.store(Y + start + i, y)
    else:
        tl.store(Y + start + i, y, mask=in_row(i, start, n))


@triton.jit(do_not_specialize=[*NUMBERS, "n"])
def in_places(
    X,
    Y,
    seed: "i64",
    stream: "i64",
    factor: "i64",
    addend: "i64",
    base: "i64",
    n: "i64",
    sizes,
    steps_x,
    steps_y,
    steps_mask,
    LAW: tl.constexpr,
    PLACES: tl.constexpr,
    WIDE: tl.constexpr,
    FACTOR: tl.constexpr,
    ADDEND: tl.constexpr,
):
    """A program has PLACES elements of a tensor of any strides."""
    seed, stream = key_of(seed, stream)
    base, n = wide(base), wide(n)
    i, inside = places(n, PLACES, WIDE)
    x = tl.load(X + at(i, sizes, steps_x), mask=inside)
    word = word_of(seed, stream, LAW, base + at(i, sizes, steps_mask))
    y = value(x, word, factor, addend, X.dtype.element_ty, LAW, FACTOR, ADDEND)
    tl.store(Y + at(i, sizes, steps_y), y, mask=inside)


def noise_affine(
    x: torch.Tensor,
    key: torch.Tensor,
    law: int,
    factor: float,
    addend: float,
    base: int,
    strides: Sequence[int],
) -> torch.Tensor:
    """As `kernels.noise.noise_affine`, of real numbers and one key."""
    compute = compute_dtype(x.dtype)
    numbers = (*seed_and_stream(key), bits(factor, compute), bits(addend, compute), base)
    return walk(
        torch.empty_like(x),
        (x,),
        strides,
        numbers,
        contract.PER_BLOCK,
        in_rows,
        in_places,
        {},
        LAW=int(law),
        FACTOR=factor != 0.0,
        ADDEND=addend != 0.0,
    )
