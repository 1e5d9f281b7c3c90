"""Philox4x32-10, the counter-based generator under every mask.

It is a bijection of 128-bit counters under a 64-bit key, with four 32-bit words in and out. It is
written twice: in plain Python integers, which is the definition, and in torch integer operations,
which run on any device.

Reference:
    J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as 1, 2,
    3", SC 2011; the Random123 library's constants.
"""

from __future__ import annotations

import torch

MULTIPLIER_0 = 0xD2511F53
MULTIPLIER_1 = 0xCD9E8D57
WEYL_0 = 0x9E3779B9  # golden ratio
WEYL_1 = 0xBB67AE85  # sqrt(3) - 1
ROUNDS = 10
WORD = 0xFFFFFFFF

Words = tuple[int, int, int, int]
WordTensors = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def philox4x32(counter: Words, key: tuple[int, int], ones: int = 1) -> Words:
    """Ten rounds of Philox4x32 on Python integers.

    Args:
        counter: Four words in [0, 2**32), the least significant first.
        key: Two words in [0, 2**32), the least significant first.
        ones: The sum of `2**(64 * i)` over i below n computes n counters at a time: word i of each
            integer of the counter is then its bits from `64 * i` on. A product of words fits.

    Returns:
        Four words in [0, 2**32); n of them in each integer if there are n in those of the counter.

    Example:
        >>> [f"{word:08x}" for word in philox4x32((0, 0, 0, 0), (0, 0))]
        ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    words = WORD * ones
    for _ in range(ROUNDS):
        product_0 = MULTIPLIER_0 * c0
        product_1 = MULTIPLIER_1 * c2
        c0, c1, c2, c3 = (
            (product_1 >> 32 & words) ^ c1 ^ k0 * ones,
            product_1 & words,
            (product_0 >> 32 & words) ^ c3 ^ k1 * ones,
            product_0 & words,
        )
        k0 = (k0 + WEYL_0) & WORD
        k1 = (k1 + WEYL_1) & WORD
    return c0, c1, c2, c3


def philox4x32_tensor(counter: WordTensors, key: tuple[torch.Tensor, torch.Tensor]) -> WordTensors:
    """Ten rounds of Philox4x32 on int64 tensors of words in [0, 2**32), with broadcasting.

    Args:
        counter: Four int64 tensors.
        key: Two int64 tensors on the same device.

    Returns:
        Four int64 tensors of the broadcast shape.

    Example:
        >>> zero = torch.zeros(1, dtype=torch.int64)
        >>> words = philox4x32_tensor((zero, zero, zero, zero), (zero, zero))
        >>> [f"{word.item():08x}" for word in words]
        ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    # Two words at a time: a call of an operator takes longer than its work on few numbers.
    even, odd, mask = (
        torch.stack(torch.broadcast_tensors(*pair), -1)
        for pair in (counter[::2], counter[1::2], key)
    )
    steps = [(step * WEYL_0, step * WEYL_1) for step in range(ROUNDS)]
    multipliers = torch.tensor((MULTIPLIER_0, MULTIPLIER_1), device=even.device)
    masks = mask.unsqueeze(-2) + torch.tensor(steps, device=even.device)
    for each in masks.unbind(-2):
        # A product of two words fits into 64 bits, but not into int64, which wraps: the mask cuts
        # off the copies of the sign that the shift of the high word brings. It also cuts off what
        # is above the low words, which are kept as whole products.
        product = (even * multipliers).flip(-1)
        even = (product >> 32 ^ odd ^ each) & WORD
        odd = product
    c0, c2 = even.unbind(-1)
    c1, c3 = (odd & WORD).unbind(-1)
    return c0, c1, c2, c3
