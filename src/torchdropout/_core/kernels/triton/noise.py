"""`noise_affine` in Triton: `y = x * (1 + factor * e) + addend * e`.

Each operation is rounded by itself: no fused multiply-add, and the quotients and square roots are
those of IEEE 754, which Triton's `/` and `sqrt` are not on a GPU.
"""

# Triton reads the annotations of a kernel: no `from __future__ import annotations` here.

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
import triton
import triton.language as tl

from ...contract import noise as contract
from ...contract.keep import compute_dtype
from .elementwise import Map, walk
from .walk import Key, bits, in_order, number, pick, rounded, words

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
def value(x, _1, _2, word, numbers, TYPE: tl.constexpr, KIND: tl.constexpr):
    """The bits of the result; KIND is the law, and whether factor and addend are other than 0."""
    F: tl.constexpr = tl.float64 if TYPE == tl.float64 else tl.float32
    e = noise(word, KIND[0]).to(F)
    y = x.to(F)
    if KIND[1]:
        y = y * (1.0 + number(numbers[0], F) * e)
    if KIND[2]:
        y = y + number(numbers[1], F) * e
    return rounded(y, TYPE)


@triton.jit
def word_of(seed, stream, domain: tl.constexpr, index):
    """The word of each of any indices."""
    w0, w1, w2, w3 = words(seed, stream, domain, (index >> 2) & 0x3FFFFFFFFFFFFFFF)
    return pick((index & 3).to(tl.int32), w0, w1, w2, w3)


@triton.jit
def word_in_places(seed, stream, index, numbers, KIND: tl.constexpr):
    """The same, as `walk` wants it."""
    return word_of(seed, stream, KIND[0], index)


@triton.jit
def words_in_row(
    seed,
    stream,
    base,
    chunk,
    numbers,
    BLOCKS: tl.constexpr,
    SHARED: tl.constexpr,
    KIND: tl.constexpr,
):
    """The words of a chunk of a row; one, if the row shares it."""
    if SHARED:
        return word_of(seed, stream, KIND[0], tl.zeros((1,), tl.int64) + base)
    else:
        block = (base >> 2) + chunk * BLOCKS + tl.arange(0, BLOCKS)
        w0, w1, w2, w3 = words(seed, stream, KIND[0], block & 0x3FFFFFFFFFFFFFFF)
        return in_order(w0, w1, w2, w3)


NOISE = Map(words_in_row, word_in_places, value, contract.PER_BLOCK)


@lru_cache
def _numbers(law: int, constants: bytes, compute: torch.dtype) -> tuple[Any, tuple[Any, ...]]:
    """The numbers and the kind of a map, by the bytes of its constants."""
    factor, addend = struct.unpack("2d", constants)
    numbers = bits(factor, compute), bits(addend, compute)
    return numbers, (int(law), factor != 0.0, addend != 0.0)


def noise_affine(
    x: torch.Tensor,
    key: Key,
    law: int,
    factor: float,
    addend: float,
    base: int,
    strides: Sequence[int] | None,
) -> torch.Tensor:
    """As `kernels.noise.noise_affine`, of real numbers and one key."""
    numbers, kind = _numbers(law, struct.pack("2d", factor, addend), compute_dtype(x.dtype))
    return walk(NOISE, torch.empty_like(x), (x,), key, numbers, kind, base, strides)
