"""Code that the kernels share: Philox, the rounding of results, where a tensor's elements lie."""

# Triton reads the annotations of a kernel: no `from __future__ import annotations` here.

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
import triton
import triton.language as tl

from ...contract import philox as contract
from ...contract.keep import STREAM_BITS
from ...contract.seed import as_int64

MULTIPLIER_0 = tl.constexpr(contract.MULTIPLIER_0)
MULTIPLIER_1 = tl.constexpr(contract.MULTIPLIER_1)
WEYL_0 = tl.constexpr(contract.WEYL_0)
WEYL_1 = tl.constexpr(contract.WEYL_1)
ROUNDS = tl.constexpr(contract.ROUNDS)

INTERPRETED = tl.constexpr(triton.knobs.runtime.interpret)

BLOCKS = 64  # Philox calls of a program that walks a row, a warp
FEWEST = 16  # of them, where rows are short
PLACES = 256  # elements of a program that walks places
SHORTEST = 64  # a shorter row would leave most of a program without work
AS_BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
TYPES = {
    torch.float64: tl.float64,
    torch.float32: tl.float32,
    torch.float16: tl.float16,
    torch.bfloat16: tl.bfloat16,
}

Key = torch.Tensor | Callable[[], tuple[int, int]]


@triton.jit
def wide(n):
    """An int64 argument in 64 bits: the interpreter holds one from 2**31 to 2**32 in 32 bits."""
    return tl.program_id(0).to(tl.int64) * 0 + n


@triton.jit
def key_of(seed, stream):
    """Seed and stream; a negative stream says that the first is the address of both."""
    seed, stream = wide(seed), wide(stream)
    if stream < 0:
        place = seed.to(tl.pointer_type(tl.int64), bitcast=True)
        seed, stream = tl.load(place), tl.load(place + 1)
    return seed, stream


@triton.jit
def words(seed, stream, domain: tl.constexpr, block):
    """The Philox calls of some blocks; seed and stream are int64 scalars, the blocks int64."""
    c0, c1 = (block & 0xFFFFFFFF).to(tl.uint32), ((block >> 32) & 0xFFFFFFFF).to(tl.uint32)
    zero = c0 ^ c0
    c2 = zero + (stream & 0xFFFFFFFF).to(tl.uint32)
    c3 = zero + (((stream >> 32) & 0x0FFFFFFF) | (domain << 28)).to(tl.uint32)
    k0, k1 = (seed & 0xFFFFFFFF).to(tl.uint32), ((seed >> 32) & 0xFFFFFFFF).to(tl.uint32)
    for _ in tl.static_range(ROUNDS):
        product0 = tl.mul(c0.to(tl.uint64), MULTIPLIER_0, sanitize_overflow=False)
        product1 = tl.mul(c2.to(tl.uint64), MULTIPLIER_1, sanitize_overflow=False)
        c0, c1 = (product1 >> 32).to(tl.uint32) ^ (c1 ^ k0), product1.to(tl.uint32)
        c2, c3 = (product0 >> 32).to(tl.uint32) ^ (c3 ^ k1), product0.to(tl.uint32)
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
    """A float argument: it comes as its bits, since Triton has no float64 arguments and no NaNs."""
    if TYPE == tl.float64:
        return bits.to(tl.int64).to(tl.float64, bitcast=True)
    else:
        return bits.to(tl.int32).to(tl.float32, bitcast=True)


@triton.jit
def rounded(y, TYPE: tl.constexpr):
    """The bits of a result in the type of x, rounded to nearest even."""
    if TYPE == tl.bfloat16 and not INTERPRETED:
        return y.to(tl.bfloat16).to(tl.int16, bitcast=True)
    elif TYPE == tl.bfloat16:
        # It is rounded in integers: Triton's interpreter truncates where a GPU rounds.
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
def at(i, sizes, steps):
    """The offset of each number of an element; sizes and strides begin with the innermost."""
    offset = i.to(tl.int64) * 0
    for d in tl.static_range(len(sizes)):
        if d + 1 < len(sizes):
            offset += (i % sizes[d]).to(tl.int64) * steps[d]
            i = i // sizes[d]
        else:
            offset += i.to(tl.int64) * steps[d]
    return offset


@triton.jit
def places(n, PLACES: tl.constexpr, WIDE: tl.constexpr):
    """The numbers of the elements that a program of `in_places` has, and which are inside x."""
    i = tl.program_id(0).to(tl.int64) * PLACES + tl.arange(0, PLACES)
    inside = i < n
    if not WIDE:
        i = i.to(tl.int32)
    return i, inside


@triton.jit
def row_and_chunk(chunks, ONE: tl.constexpr):
    """Which row a program of `in_rows` has, and which chunk of it."""
    number = tl.program_id(0)
    if ONE:
        return number * 0, number.to(tl.int64)
    else:
        chunks = wide(chunks).to(tl.int32)
        return number // chunks, (number % chunks).to(tl.int64)


@triton.jit
def in_row(i, start, n):
    """Which elements of a program lie in its row; start is the place of its first."""
    return (i >= tl.maximum(-start, 0).to(tl.int32)) & (
        i < tl.minimum(n - start, 0x7FFFFFFF).to(tl.int32)
    )


def seed_and_stream(key: Key) -> tuple[int, int]:
    """The arguments of a kernel for a key, which `key_of` takes; no kernel waits for the key.

    Args:
        key: A tensor, or a function that draws a seed and a stream, which is called last.
    """
    if callable(key):
        seed, stream = key()
    elif lies_on_device(key):
        return as_int64(key.data_ptr()), -1
    else:
        seed, stream = key.tolist()
    return seed, stream & 2**STREAM_BITS - 1  # a negative one would say that it is an address


def lies_on_device(key: torch.Tensor) -> bool:
    """Whether a key was drawn on the device, while a CUDA graph was captured."""
    return key.device.type != "cpu"


def dimensions(shape: Sequence[int], *strides: Sequence[int]) -> list[tuple[int, ...]]:
    """Size and strides of each dimension, merged where they can be, the innermost of y first.

    The strides are those of each tensor, the last of them y, and of the mask. Where all are
    row-major there is one dimension.
    """
    each = [d for d in zip(shape, *strides, strict=True) if d[0] != 1]
    return merged(sorted(each, key=lambda d: d[-2])) or [(1, *(1 for _ in strides))]


def merged(each: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Dimensions, the innermost first, each joined to the one before if it continues that."""
    found: list[tuple[int, ...]] = []
    for size, *steps in each:
        if found and all(
            step == found[-1][0] * inner for step, inner in zip(steps, found[-1][1:], strict=True)
        ):
            found[-1] = (found[-1][0] * size, *found[-1][1:])
        else:
            found.append((size, *steps))
    return found


def are_rows(dims: Sequence[tuple[int, ...]]) -> bool:
    """Whether a tensor of these dimensions can be walked in rows."""
    n, *steps, mask = dims[0]
    long = len(dims) == 1 or n >= SHORTEST
    return long and mask in (0, 1) and all(step == 1 for step in steps)


def bits(value: float, compute: torch.dtype, dtype: torch.dtype | None = None) -> int:
    """A number rounded to the compute type, then to another, as the bits of that."""
    tensor = torch.tensor(value, dtype=compute, device="cpu").to(dtype or compute)
    return int(tensor.view(AS_BITS[tensor.element_size()]))


def is_current(device: torch.device) -> bool:
    """Whether a launch needs no context: to enter one takes longer than the launch."""
    return device.type == "cuda" and torch.cuda.current_device() == device.index


@contextmanager
def launching(x: torch.Tensor) -> Iterator[None]:
    """The context of a launch: Triton launches on the current device, whatever the tensors'."""
    if is_current(x.device):
        yield
    elif x.device.type == "cpu":  # in the interpreter
        with warnings.catch_warnings():
            # NumPy warns where a number overflows to inf, or is a NaN.
            warnings.simplefilter("ignore", RuntimeWarning)
            yield
    else:
        with torch.get_device_module(x.device).device(x.device):
            yield
