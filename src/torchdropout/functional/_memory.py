"""Whether tensors share memory in a way that a result must not be written into."""

from __future__ import annotations

import torch


def overlaps_itself(x: torch.Tensor) -> bool:
    """True if two elements of x may have one place in memory, as in an expanded tensor."""
    if x.is_contiguous():
        return False
    reach = 0
    for stride, size in sorted(zip(x.stride(), x.shape, strict=True)):
        if size == 0:
            return False
        if size > 1:
            if stride <= reach:
                return True
            reach += stride * (size - 1)
    return False


def overlaps_partially(a: torch.Tensor, b: torch.Tensor) -> bool:
    """True if tensors of one shape and dtype share memory, and are not the same elements of it."""
    if a.numel() == 0 or (a.data_ptr() == b.data_ptr() and a.stride() == b.stride()):
        return False
    (a_first, a_last), (b_first, b_last) = _range(a), _range(b)
    if a_last < b_first or b_last < a_first:
        return False
    # Interleaved, as two column halves of a matrix are: look at every element's place.
    start = min(a_first, b_first)
    places = torch.zeros(max(a_last, b_last) - start + 1, dtype=torch.bool, device="cpu")
    b_places = places.as_strided(b.shape, b.stride(), b_first - start)
    places.as_strided(a.shape, a.stride(), a_first - start).fill_(True)
    return bool(b_places.any()) or (a.data_ptr() - b.data_ptr()) % a.element_size() != 0


def _range(x: torch.Tensor) -> tuple[int, int]:
    """The first and the last element's place, counted in elements."""
    first = x.data_ptr() // x.element_size()
    return first, first + sum(
        (size - 1) * stride for size, stride in zip(x.shape, x.stride(), strict=True)
    )
