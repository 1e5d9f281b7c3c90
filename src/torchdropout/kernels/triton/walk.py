"""What the kernels share: Philox, the rounding of results, and the walk over a tensor's elements.

A tensor is walked in one of two ways. In *rows*, elements that lie next to each other have mask
indices next to each other, so that a Philox call serves a whole block; a contiguous tensor with
the usual mask is one row. In *places*, any strides: a Philox call for each element.
"""

# Triton reads the annotations of a kernel: no `from __future__ import annotations` here.

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import triton
import triton.language as tl

from ...contract import philox as contract

MULTIPLIER_0 = tl.constexpr(contract.MULTIPLIER_0)
MULTIPLIER_1 = tl.constexpr(contract.MULTIPLIER_1)
WEYL_0 = tl.constexpr(contract.WEYL_0)
WEYL_1 = tl.constexpr(contract.WEYL_1)
ROUNDS = tl.constexpr(contract.ROUNDS)

BLOCKS = 256  # Philox calls of a program that walks a row
PLACES = 256  # elements of a program that walks places
SHORTEST = 64  # a shorter row would leave most of a program without work
AS_BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


@triton.jit
def wide(n):
    """An int64 argument in 64 bits: the interpreter holds one from 2**31 to 2**32 in 32."""
    return tl.program_id(0).to(tl.int64) * 0 + n


@triton.jit
def words(seed, stream, domain: tl.constexpr, block):
    """The Philox calls of some blocks; seed and stream are int64 scalars, the blocks int64."""
    c0, c1 = (block & 0xFFFFFFFF).to(tl.uint32), ((block >> 32) & 0xFFFFFFFF).to(tl.uint32)
    zero = c0 ^ c0
    c2 = zero + (stream & 0xFFFFFFFF).to(tl.uint32)
    c3 = zero + (((stream >> 32) & 0x0FFFFFFF) | (domain << 28)).to(tl.uint32)
    k0, k1 = (seed & 0xFFFFFFFF).to(tl.uint32), ((seed >> 32) & 0xFFFFFFFF).to(tl.uint32)
    for _ in tl.static_range(ROUNDS):
        high0, high1 = tl.umulhi(MULTIPLIER_0, c0), tl.umulhi(MULTIPLIER_1, c2)
        low0 = tl.mul(MULTIPLIER_0, c0, sanitize_overflow=False)
        low1 = tl.mul(MULTIPLIER_1, c2, sanitize_overflow=False)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0 = tl.add(k0, WEYL_0, sanitize_overflow=False)
        k1 = tl.add(k1, WEYL_1, sanitize_overflow=False)
    return c0, c1, c2, c3


@triton.jit
def in_order(w0, w1, w2, w3):
    """The words of each block, block after block."""
    w = tl.join(tl.join(w0, w2), tl.join(w1, w3))
    return w.reshape(4 * w0.shape[0])


@triton.jit
def pick(place, w0, w1, w2, w3):
    """The word of each place, 0 to 3."""
    return tl.where(place < 2, tl.where(place < 1, w0, w1), tl.where(place < 3, w2, w3))


@triton.jit
def number(bits, TYPE: tl.constexpr):
    """A float argument: it comes as its bits, since Triton has none of float64, nor NaNs."""
    if TYPE == tl.float64:
        return bits.to(tl.int64).to(tl.float64, bitcast=True)
    else:
        return bits.to(tl.int32).to(tl.float32, bitcast=True)


@triton.jit
def rounded(y, TYPE: tl.constexpr):
    """The bits of a result in the type of x, rounded to nearest even."""
    if TYPE == tl.bfloat16:
        # In integers: Triton's interpreter cuts where a GPU rounds.
        word = y.to(tl.uint32, bitcast=True)
        cut = (word + (((word >> 16) & 1) + 0x7FFF)) >> 16
        return tl.where(y == y, cut, 0x7FC0).to(tl.int16)
    elif TYPE == tl.float16:
        return y.to(tl.float16).to(tl.int16, bitcast=True)
    elif TYPE == tl.float32:
        return y.to(tl.int32, bitcast=True)
    else:
        return y.to(tl.int64, bitcast=True)


@triton.jit
def places(n, base, sizes, steps_x, steps_y, steps_mask, PLACES: tl.constexpr, WIDE: tl.constexpr):
    """Which elements a program of `in_places` has: inside x or not, offsets, mask indices."""
    i = tl.program_id(0).to(tl.int64) * PLACES + tl.arange(0, PLACES)
    inside = i < n
    if not WIDE:
        i = i.to(tl.int32)
    index = tl.zeros((PLACES,), tl.int64) + base
    at_x, at_y = tl.zeros((PLACES,), tl.int64), tl.zeros((PLACES,), tl.int64)
    for d in tl.static_range(len(sizes)):  # the innermost first
        c = (i % sizes[d]).to(tl.int64)
        i = i // sizes[d]
        index += c * steps_mask[d]
        at_x += c * steps_x[d]
        at_y += c * steps_y[d]
    return inside, at_x, at_y, index


def dimensions(shape: Sequence[int], *strides: Sequence[int]) -> list[tuple[int, ...]]:
    """Size and strides of each dimension, merged where they can be, the innermost of y first.

    The strides are those of x, y and the mask. Where all are row-major there is one dimension.
    """
    found: list[tuple[int, ...]] = []
    each = [d for d in zip(shape, *strides, strict=True) if d[0] != 1]
    for size, *steps in sorted(each, key=lambda d: d[2]):
        if found and all(
            step == found[-1][0] * inner for step, inner in zip(steps, found[-1][1:], strict=True)
        ):
            found[-1] = (found[-1][0] * size, *found[-1][1:])
        else:
            found.append((size, *steps))
    return found or [(1, *(1 for _ in strides))]


def rows_of(dims: Sequence[tuple[int, ...]]) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """The row and the dimension of rows, if the tensor can be walked in rows."""
    row, *outer = dims
    if any(step != 1 for step in row[1:]) or len(outer) > 1:
        return None
    if outer and row[0] < SHORTEST:
        return None
    return row, (outer[0] if outer else (1, 0, 0, 0))


def walk(
    x: torch.Tensor,
    strides: Sequence[int],
    numbers: Sequence[int],
    per_block: int,
    in_rows: Any,
    in_places: Any,
    of_rows: dict[str, bool],
    **constants: int,
) -> torch.Tensor:
    """Launch one of an operator's two kernels.

    Args:
        x: The input, of any strides.
        strides: Mask strides of its dimensions.
        numbers: The kernels' arguments from the seed to the base.
        per_block: Elements of a Philox call.
        in_rows: The kernel that walks rows.
        in_places: The kernel that walks places.
        of_rows: Further constants of `in_rows`.
        constants: Constants of both kernels.

    Returns:
        A new tensor laid out as `torch.empty_like(x)`.
    """
    y = torch.empty_like(x)
    if x.numel() == 0:
        return y
    into = y.view(AS_BITS[y.element_size()])
    dims = dimensions(x.shape, x.stride(), y.stride(), strides)
    in_a_row = rows_of(dims)
    with launching(x):
        if in_a_row is None:
            in_places[(triton.cdiv(x.numel(), PLACES),)](
                x,
                into,
                *numbers,
                x.numel(),
                *zip(*dims, strict=True),
                PLACES=PLACES,
                WIDE=x.numel() >= 2**31,
                enable_fp_fusion=False,
                **constants,
            )
        else:
            (n, *_), (rows, *steps) = in_a_row
            aligned = numbers[-1] % per_block == 0 and steps[2] % per_block == 0
            chunks = triton.cdiv(n if aligned else n + per_block - 1, per_block * BLOCKS)
            in_rows[(rows * chunks,)](
                x,
                into,
                *numbers,
                chunks,
                n,
                *steps,
                BLOCKS=BLOCKS,
                ONE=rows == 1,
                ALIGNED=aligned,
                enable_fp_fusion=False,
                **of_rows,
                **constants,
            )
    return y


def bits(value: float, compute: torch.dtype, dtype: torch.dtype | None = None) -> int:
    """A number rounded to the compute type, then to another, as the bits of that."""
    tensor = torch.tensor(value, dtype=compute, device="cpu").to(dtype or compute)
    return int(tensor.view(AS_BITS[tensor.element_size()]))


@contextmanager
def launching(x: torch.Tensor) -> Iterator[None]:
    """What a launch needs: Triton launches on the current device, whatever the tensors'."""
    if x.device.type == "cpu":  # in the interpreter
        with warnings.catch_warnings():
            # NumPy warns where a number overflows to inf, or is a NaN.
            warnings.simplefilter("ignore", RuntimeWarning)
            yield
    else:
        with torch.get_device_module(x.device).device(x.device):
            yield
