"""Philox4x32-10 in few operators: six for each round, on any device and for any blocks.

For consecutive blocks on the CPU it is four, and the first two rounds are folded. A call of an
operator takes longer than its work on few words, so those are Python integers.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from ..contract.keep import DOMAIN_HIGH, DOMAIN_LOW, halves
from ..contract.noise import MIDDLE
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

# Where an int64 that is read as two int32 has its low and its high half.
_LOW, _HIGH = (0, 1) if sys.byteorder == "little" else (1, 0)
FEW = 512  # blocks that are computed faster in Python integers than by operators
_MULTIPLIERS = torch.tensor(((MULTIPLIER_0,), (MULTIPLIER_1,)), device="cpu").unsqueeze(-1)
_STEPS_OF_KEY = torch.tensor(
    [[[step * WEYL_0], [step * WEYL_1]] for step in range(ROUNDS)], device="cpu"
)


def four_words(
    keys: torch.Tensor, domains: Sequence[int], blocks: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """The words of Philox calls, as `words_tensor` makes them.

    Args:
        keys: `(k, 2)` int64 on the CPU.
        domains: d numbers of 4 bits.
        blocks: `(m,)` int64, at least 0, on the device where the words are computed.

    Returns:
        Four int64 tensors of shape `(d, k, m)`.
    """
    device = blocks.device
    seed, stream = keys.unbind(-1)
    masks = (torch.stack((seed & WORD, seed >> 32 & WORD)) + _STEPS_OF_KEY) & WORD
    of_domain = torch.tensor(domains, device="cpu").unsqueeze(-1) << 28
    shape = (2, len(domains), len(keys), len(blocks))
    even, odd, products = (torch.empty(shape, dtype=torch.int64, device=device) for _ in range(3))
    c0, c2 = even.unbind()
    c1, c3 = odd.unbind()
    c0.copy_(blocks & WORD)
    c1.copy_(blocks >> 32)
    c2.copy_((stream & WORD).to(device).unsqueeze(-1))
    c3.copy_((stream >> 32 & WORD | of_domain).to(device).unsqueeze(-1))
    before, now = [odd, c1, c3], [products, *products.unbind()]
    for mask in masks.to(device)[:, :, None, :, None].unbind():
        # The low halves of the products will be c1 and c3. What is above them is masked off later.
        (odd, *_), (products, product_1, product_0) = before, now
        torch.mul(c2, MULTIPLIER_1, out=product_1)
        torch.mul(c0, MULTIPLIER_0, out=product_0)
        # From here on an operator has both words: new c0 and c2.
        torch.bitwise_right_shift(products, 32, out=even)
        even.bitwise_xor_(odd).bitwise_xor_(mask).bitwise_and_(WORD)
        before, now = now, before
    odd, c1, c3 = before
    odd.bitwise_and_(WORD)
    return c0, c1, c2, c3


def half_words(keys: torch.Tensor, blocks: torch.Tensor) -> torch.Tensor:
    """High and low halves of uniforms: `(2, k, 8 * m)` int16, each less by `HALF_LOWER`."""
    return halves(four_words(keys, (DOMAIN_HIGH, DOMAIN_LOW), blocks)).flatten(-2)


def centred_words(keys: torch.Tensor, blocks: torch.Tensor, domain: int) -> torch.Tensor:
    """The words of a domain: `(k, 4 * m)` int32, each less by `contract.noise.MIDDLE`."""
    (words,) = torch.stack(four_words(keys, (domain,), blocks), dim=-1).flatten(-2)
    centred: torch.Tensor = words.sub_(MIDDLE).to(torch.int32)
    return centred


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
    # The words c0 and c2, their products, and the products of the round before, of which the low
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
    ones = int.from_bytes((1).to_bytes(8, "little") * n, "little")
    first = block & WORD
    counter = (
        int.from_bytes(_swapped_if_big(array("Q", range(first, first + n))).tobytes(), "little"),
        (block >> 32) * ones,
        (stream & WORD) * ones,
        (domain << 28 | stream >> 32) * ones,
    )
    c0, c1, c2, c3 = philox4x32(counter, (seed & WORD, seed >> 32), ones)
    top_bits = 0x8000_8000_8000_8000 * ones  # what `halves` subtracts
    pairs = ((c0 | c1 << 32) ^ top_bits, (c2 | c3 << 32) ^ top_bits)
    memory = array("h", b"".join(pair.to_bytes(8 * n, "little") for pair in pairs))
    found = torch.frombuffer(_swapped_if_big(memory), dtype=torch.int16)
    return found.view(2, n, 4).transpose(0, 1).reshape(1, -1)


def _swapped_if_big(numbers: array[int]) -> array[int]:
    """Convert between the byte order of the machine and that of the low byte first."""
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _constants(keys: torch.Tensor, domain: int, c1: int) -> tuple[Any, ...]:
    """What c0 and c2 are XORed with in rounds 2 to 10; then c2 in round 1, and c3 in round 3."""
    # One key is two numbers, many are two tensors: the formulas are the same.
    seed, stream = keys[0].tolist() if len(keys) == 1 else keys.unbind(-1)
    key_0, key_1 = seed & WORD, seed >> 32 & WORD
    c2, c3 = stream & WORD, (stream >> 32 & WORD) | domain << 28
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
