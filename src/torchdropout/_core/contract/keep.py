"""Compute keep bits from (key, p, mask index), and the scale from p: contract, sections 1 and 2.

The functions on Python integers are the definition; the tests check every backend against them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import torch

from .._validate import check_p, check_unsigned
from .philox import WORD, WordTensors, philox4x32, philox4x32_tensor

DOMAIN_HIGH = 0  # high halves of the uniforms
DOMAIN_LOW = 8  # low halves
DOMAIN_FOLD = 15  # Key.fold_in

PER_BLOCK = 8  # uniforms per Philox call: eight 16-bit halves
HALF = 0xFFFF
HALF_LOWER = 2**15  # the number that `halves` subtracts
_TOP_BITS = -0x7FFF7FFF7FFF8000  # 0x8000800080008000: the top bit of each half word

STREAM_BITS = 60
STREAM_HIGH = 2 ** (STREAM_BITS - 32) - 1  # of the high half of a stream, under the domain


def threshold(p: float) -> int:
    """`T = round_half_even(p * 2**32)`: an element is dropped iff its uniform is below T.

    Args:
        p: Drop probability in [0, 1].

    Returns:
        An integer in [0, 2**32].

    Example:
        >>> threshold(0.1), threshold(1.0)
        (429496730, 4294967296)
    """
    # p * 2**32 is exact in float64, and Python's round is half to even.
    return round(check_p(p) * 2**32)


def words(seed: int, stream: int, domain: int, block: int) -> tuple[int, int, int, int]:
    """The Philox call that serves mask indices `8 * block` to `8 * block + 7` in one domain."""
    counter = (block & WORD, block >> 32, stream & WORD, domain << 28 | stream >> 32)
    return philox4x32(counter, (seed & WORD, seed >> 32))


def uniform(seed: int, stream: int, index: int) -> int:
    """The uniform 32-bit integer of a mask index.

    Args:
        seed: In [0, 2**64).
        stream: In [0, 2**60).
        index: Mask index in [0, 2**64).

    Returns:
        `H << 16 | L`: H is the index's half word of domain 0, L that of domain 8.

    Example:
        >>> hex(uniform(0, 0, 0))
        '0xe8d5d022'
    """
    seed = check_unsigned("seed", seed, 64)
    stream = check_unsigned("stream", stream, STREAM_BITS)
    index = check_unsigned("index", index, 64)
    return half(seed, stream, DOMAIN_HIGH, index) << 16 | half(seed, stream, DOMAIN_LOW, index)


def half(seed: int, stream: int, domain: int, index: int) -> int:
    """The half word of a mask index in one domain; the arguments are not checked."""
    block, place = divmod(index, PER_BLOCK)
    return words(seed, stream, domain, block)[place // 2] >> 16 * (place % 2) & HALF


def keep_bit(seed: int, stream: int, p: float, index: int) -> bool:
    """True where the element is kept: `uniform >= threshold`.

    Example:
        >>> [keep_bit(0, 0, 0.5, i) for i in range(4)]
        [True, False, True, True]
    """
    return uniform(seed, stream, index) >= threshold(p)


def scale(p: float) -> float:
    """`1 / (1 - p)` in float64, and 0 at p = 1, where nothing is kept.

    Example:
        >>> scale(0.5), scale(1.0)
        (2.0, 0.0)
    """
    p = check_p(p)
    return 1.0 / (1.0 - p) if p < 1.0 else 0.0


def compute_dtype(dtype: torch.dtype) -> torch.dtype:
    """The real type in which the product is computed: float64 for 64-bit reals, else float32.

    Example:
        >>> compute_dtype(torch.bfloat16), compute_dtype(torch.complex128)
        (torch.float32, torch.float64)
    """
    return torch.float64 if dtype in (torch.float64, torch.complex128) else torch.float32


def words_tensor(key: torch.Tensor, domain: int | torch.Tensor, block: torch.Tensor) -> WordTensors:
    """`words` on tensors.

    Args:
        key: `(..., 2)` int64: seed, as its 64 bits, and stream, whose lowest 60 bits count.
        domain: 4 bits; an int64 tensor of them broadcasts with `key[..., 0]`.
        block: int64 tensor on the key's device that broadcasts with `key[..., 0]`; its 64 bits are
            read as unsigned.
    """
    k0, c2 = (key & WORD).unbind(-1)
    k1, c3 = (key >> 32 & WORD).unbind(-1)
    counter = block & WORD, block >> 32 & WORD, c2, c3 & STREAM_HIGH | domain << 28
    return philox4x32_tensor(counter, (k0, k1))


def halves(four: Sequence[torch.Tensor], memory: torch.Tensor | None = None) -> torch.Tensor:
    """The eight half words of each block in mask-index order, in a new last dimension.

    Each is less by 2**15, so that an int16 holds it and the order is that of the half words.

    Args:
        four: The words of the blocks: int64, or int32 of the same low bits.
        memory: int32 with a last dimension of 4, to be written and perhaps returned a view of.
    """
    return halves_of_words(torch.stack([word.to(torch.int32) for word in four], -1, out=memory))


def halves_of_words(words: torch.Tensor) -> torch.Tensor:
    """`halves` of words one after the other in the last dimension, int32; they are overwritten."""
    words.view(torch.int64).bitwise_xor_(_TOP_BITS)
    if sys.byteorder == "little":
        return words.view(torch.int16)  # fast: nothing is computed
    return torch.stack((words, words >> 16), dim=-1).to(torch.int16).flatten(-2)


def count_kept(size: int, p: float) -> int:
    """How many of `size` places are kept: `round(size * (1 - p))`, and at least one.

    Python's `round`: halves go to the even number.

    Example:
        >>> count_kept(196, 0.5), count_kept(10, 0.8), count_kept(5, 0.5), count_kept(8, 1.0)
        (98, 2, 2, 1)
    """
    if isinstance(size, torch.Tensor):  # under torch.jit.trace
        size = int(size)
    return max(1, round(size * (1.0 - p)))
