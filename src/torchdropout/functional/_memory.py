"""Whether tensors share memory in a way that a result must not be written into."""

from __future__ import annotations

import torch


def has_address(x: torch.Tensor) -> bool:
    """True where x is memory that can be looked at, and not a fake, wrapped or meta tensor."""
    return (
        type(x) in (torch.Tensor, torch.nn.Parameter)
        and x.layout is torch.strided
        and x.device.type != "meta"
        and _is_readable(x)
    )


def _is_readable(x: torch.Tensor) -> bool:
    try:
        x.data_ptr()
    except RuntimeError:  # a transform of torch.func has wrapped it
        return False
    return True


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
    if a.numel() == 0 or (a.data_ptr() == b.data_ptr() and _steps(a) == _steps(b)):
        return False
    (a_first, a_end), (b_first, b_end) = _range(a), _range(b)
    if a_end <= b_first or b_end <= a_first:
        return False
    # Interleaved, as two column halves of a matrix are: look at every byte.
    start = min(a_first, b_first)
    places = torch.zeros(max(a_end, b_end) - start, dtype=torch.bool, device="cpu")
    _bytes_of(a, places, start).fill_(True)
    return bool(_bytes_of(b, places, start).any())


def _steps(x: torch.Tensor) -> list[int]:
    """The strides that lead anywhere."""
    return [stride for stride, size in zip(x.stride(), x.shape, strict=True) if size > 1]


def _range(x: torch.Tensor) -> tuple[int, int]:
    """Address of the first byte and of that after the last."""
    reach = sum((size - 1) * stride for size, stride in zip(x.shape, x.stride(), strict=True))
    return x.data_ptr(), x.data_ptr() + (reach + 1) * x.element_size()


def _bytes_of(x: torch.Tensor, places: torch.Tensor, start: int) -> torch.Tensor:
    """Where the bytes of x lie in `places`, whose first one stands for the address `start`."""
    item = x.element_size()
    strides = [stride * item for stride in x.stride()]
    return places.as_strided((*x.shape, item), (*strides, 1), x.data_ptr() - start)
