"""Philox4x32-10 in few operators: four for each round, on any device and for any blocks.

For consecutive blocks on the CPU the first two rounds are folded. A call of an operator takes
longer than its work on few words, so those are Python integers.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch

from ..contract.keep import HALF, STREAM_HIGH, halves
from ..contract.philox import (
    MULTIPLIER_0,
    MULTIPLIER_1,
    ROUNDS,
    WEYL_0,
    WEYL_1,
    WORD,
    philox4x32,
)
from ..contract.seed import as_int64

# The places of the low and high halves of an int64 that is read as two int32.
_LOW, _HIGH = (0, 1) if sys.byteorder == "little" else (1, 0)
FEW = 512  # blocks that are computed faster in Python integers than by operators
_MULTIPLIERS = torch.tensor(((MULTIPLIER_0,), (MULTIPLIER_1,)), device="cpu").unsqueeze(-1)
_HALVES = torch.tensor((((0,),), ((32,),)), device="cpu")
_KEY_BITS = torch.tensor((((WORD,), (WORD,)), ((WORD,), (STREAM_HIGH,))), device="cpu")
# For `Philox`, in each round: which of c0 and c2 is in each half of the state, and, at the words
# that it makes, which half of the seed they get.
_WORDS = [((1, 0), (0, 1), (0, 1), (1, 0))[number % 4] for number in range(ROUNDS)]
_MADE = [*_WORDS[1:], (0, 1)]
_FACTORS = _MULTIPLIERS.flatten()[torch.tensor(_WORDS, device="cpu")].view(ROUNDS, 2, 1, 1)
# Which halves of seed and stream, the low ones first, are in the keys of the rounds, and then in c2
# and c3; and the numbers added to them, by the domain.
_OF_KEY = torch.tensor([*((2 * half, 2 * other) for half, other in _MADE), (1, 3)], device="cpu")
_STEPS_OF_KEY = [
    [step * (WEYL_0, WEYL_1)[half] for half in made] for step, made in enumerate(_MADE)
]
_ADDED = torch.tensor(
    [[*_STEPS_OF_KEY, [0, domain << 28]] for domain in range(16)], device="cpu"
).unsqueeze(-1)


class Philox:
    """Philox calls of some keys in a domain, for any blocks, in few operators of any size."""

    def __init__(self, keys: torch.Tensor, domain: int, device: torch.device) -> None:
        """Compute the parts that do not depend on the blocks.

        Args:
            keys: `(k, 2)` int64 on the CPU.
            domain: 4 bits.
            device: Where the words are computed.
        """
        self.count, self.device = len(keys), device
        halves = (keys.t() >> _HALVES & _KEY_BITS).flatten(0, 1)
        words = (halves[_OF_KEY] + _ADDED[domain]) & WORD
        *self.masks, stream = words.unsqueeze(-1).to(device).unbind()
        self.c2, self.c3 = stream.unbind()
        self.factors = _FACTORS.to(device).unbind()

    def words(self, even: torch.Tensor) -> torch.Tensor:
        """The words of the calls, in their order.

        A word is half of an int64. It is read where a product leaves it, instead of being shifted
        and masked. A new word overwrites an old one, which lets the state have 32 bytes a call, but
        makes words change places: multipliers and keys follow them.

        Args:
            even: `(2, k, m)` int64, contiguous: the last half has the numbers of m blocks, at
                least 0. It is overwritten.

        Returns:
            `(k, m, 4)` int32.
        """
        odd = torch.empty_like(even)
        (c2, c0), (c1, c3) = even.unbind(), odd.unbind()
        torch.bitwise_right_shift(c0, 32, out=c1)
        c0.bitwise_and_(WORD)
        c2.copy_(self.c2)
        c3.copy_(self.c3)
        now, other = _Words(even), _Words(odd)
        for number, (factor, mask) in enumerate(zip(self.factors, self.masks, strict=True)):
            now.all.mul_(factor)
            if number % 2 == 0:
                other.low.bitwise_xor_(now.high)
            else:
                other.lows[0].bitwise_xor_(now.highs[1])
                other.lows[1].bitwise_xor_(now.highs[0])
            other.all.bitwise_xor_(mask)
            if 0 < number < ROUNDS - 1:
                other.all.bitwise_and_(WORD)  # above it are high halves of products
            now, other = other, now
        # c0 and c2 are in the low halves of `even`, c3 and c1 in those of `odd`.
        second = now.highs
        if _LOW == 1:
            now.high.copy_(now.low)
            second = now.lows
        second[0].copy_(other.lows[1])
        second[1].copy_(other.lows[0])
        return odd.view(*c0.shape, 2).copy_(even.movedim(0, -1)).view(torch.int32)


class _Words:
    """Two int64 numbers of each call, and the halves of both."""

    def __init__(self, both: torch.Tensor) -> None:
        self.all = both
        halves = both.view(torch.int32)
        self.low, self.high = halves[..., _LOW::2], halves[..., _HIGH::2]
        self.lows, self.highs = self.low.unbind(), self.high.unbind()


def halves_of_run(
    keys: torch.Tensor, domain: int, block: int, n: int, step: int
) -> Iterator[torch.Tensor]:
    """Yield `halves` of the calls that `words_tensor` makes for consecutive blocks.

    Args:
        keys: `(k, 2)` int64 on the CPU.
        domain: 4 bits.
        block: The first of the blocks, which share the high halves of their numbers.
        n: How many blocks to yield, in all; the last tensor may hold some more.
        step: The most blocks in a tensor.

    Yields:
        `(k, 8 * m)` int16 of m blocks, the same m each time, which the next overwrites.
    """
    if len(keys) == 1 and n <= FEW:
        seed, stream = keys[0].tolist()
        yield _halves_of_few(seed % 2**64, stream, domain, block, n)
        return
    pieces = -(-n // step)
    step = -(-n // pieces)
    masks, (mask_of_c2, c3) = _constants(keys, domain, block >> 32)
    memory = torch.empty((6, len(keys), step), dtype=torch.int64, device="cpu")
    # The words c0 and c2, their products, and the products of the round before, whose low
    # halves are the words c3 and c1. A high half is read where it lies, instead of shifted and
    # masked, and written next to zeros: an operator on every second int32 is as fast as on int64.
    even, *products = memory.view(3, 2, len(keys), step).unbind()
    c0, c2, product_0, product_1, _, _ = memory.unbind()
    pairs = memory.view(torch.int32).view(6, len(keys), step, 2).unbind(-1)
    low, high = pairs[_LOW].unbind(), pairs[_HIGH].unbind()
    words = torch.empty((len(keys), step, 4), dtype=torch.int32, device="cpu")
    # Only c0 of the inputs differs between blocks, by 1 from one to the next. So its product is a
    # sum, and one product of each of the first two rounds is among the constants.
    products_of_c0 = (torch.arange(step, device="cpu") * MULTIPLIER_0).expand_as(c0)
    c0.zero_()  # its high half stays 0

    for first in range(block & WORD, (block & WORD) + pieces * step, step):
        torch.add(products_of_c0, as_int64(first * MULTIPLIER_0 % 2**64), out=product_0)
        torch.bitwise_right_shift(product_0, 32, out=c2).bitwise_and_(WORD).bitwise_xor_(mask_of_c2)
        torch.mul(c2, MULTIPLIER_1, out=product_1)
        low[0].copy_(high[3])
        low[1].copy_(low[2])
        low[2].copy_(c3)
        even.bitwise_xor_(masks[0])
        before, now = 2, 4
        for mask in masks[1:]:
            torch.mul(even, _MULTIPLIERS, out=products[now // 4])
            torch.bitwise_xor(high[now + 1], low[before + 1], out=low[0])
            torch.bitwise_xor(high[now], low[before], out=low[1])
            even.bitwise_xor_(mask)
            before, now = now, before
        yield halves((low[0], low[before + 1], low[1], low[before]), words).flatten(-2)


def _halves_of_few(seed: int, stream: int, domain: int, block: int, n: int) -> torch.Tensor:
    """The same of one key, `(1, 8 * n)`, by Philox on integers that hold n words each."""
    ones, first = _packed([1] * n), block & WORD
    counter = _packed(range(first, first + n)), (block >> 32) * ones
    c0, c1, c2, c3 = _words_in_integers(seed, stream, domain, counter, ones)
    top_bits = 0x8000_8000_8000_8000 * ones  # what `halves` subtracts
    pairs = ((c0 | c1 << 32) ^ top_bits, (c2 | c3 << 32) ^ top_bits)
    memory = array("h", b"".join(pair.to_bytes(8 * n, "little") for pair in pairs))
    found = torch.frombuffer(_swapped_if_big(memory), dtype=torch.int16)
    return found.view(2, n, 4).transpose(0, 1).reshape(1, -1)


def halves_in_integers(seed: int, stream: int, domain: int, indices: Sequence[int]) -> list[int]:
    """The half words of any mask indices, without operators."""
    counter = _packed([i >> 3 & WORD for i in indices]), _packed([i >> 35 for i in indices])
    ones = _packed([1] * len(indices))
    four = _words_in_integers(seed, stream, domain, counter, ones)
    words = [array("Q", word.to_bytes(8 * len(indices), "little")) for word in four]
    each = zip(indices, zip(*map(_swapped_if_big, words), strict=True), strict=True)
    return [word[i % 8 // 2] >> 16 * (i % 2) & HALF for i, word in each]


def _words_in_integers(
    seed: int, stream: int, domain: int, counter: tuple[int, int], ones: int
) -> tuple[int, int, int, int]:
    """The words of n calls: each integer holds n numbers of 64 bits."""
    of_stream = (stream & WORD) * ones, (domain << 28 | stream >> 32 & STREAM_HIGH) * ones
    return philox4x32((*counter, *of_stream), (seed & WORD, seed >> 32), ones)


def _packed(numbers: Iterable[int]) -> int:
    return int.from_bytes(_swapped_if_big(array("Q", numbers)).tobytes(), "little")


def _swapped_if_big(numbers: array[int]) -> array[int]:
    """Convert between the machine's byte order and little-endian."""
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _constants(keys: torch.Tensor, domain: int, c1: int) -> tuple[Any, ...]:
    """The numbers XORed into c0 and c2 in rounds 2 to 10; then c2 in round 1, and c3 in round 3."""
    # One key is two numbers, many are two tensors: the formulas are the same.
    seed, stream = keys[0].tolist() if len(keys) == 1 else keys.unbind(-1)
    key_0, key_1 = seed & WORD, seed >> 32 & WORD
    c2, c3 = stream & WORD, (stream >> 32 & STREAM_HIGH) | domain << 28
    product_1 = c2 * MULTIPLIER_1
    c0 = (product_1 >> 32 & WORD) ^ c1 ^ key_0
    product_0 = c0 * MULTIPLIER_0
    rows = [c3 ^ key_1, product_0 & WORD]
    for step in range(1, ROUNDS):
        rows += [key_0 + step * WEYL_0 & WORD, key_1 + step * WEYL_1 & WORD]
    rows[2] = rows[2] ^ (product_1 & WORD)
    rows[3] = rows[3] ^ (product_0 >> 32 & WORD)
    together = torch.tensor(rows, device="cpu") if len(keys) == 1 else torch.stack(rows)
    others, *masks = together.view(ROUNDS, 2, len(keys), 1).unbind()
    return masks, others.unbind()
