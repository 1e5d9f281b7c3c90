"""Whether a result may be written into a tensor: its type, its gradient, and shared memory."""

from __future__ import annotations

from typing import Any

import torch

from .._core import _torch
from .._core._validate import check_device, got, wrong_type, wrong_value
from ..errors import ArgumentValueError


def check_out(out: Any, x: torch.Tensor, inplace: bool) -> None:
    """Accept a tensor that the output can be written into."""
    if not isinstance(out, torch.Tensor):
        wrong_type("out", "a tensor", out)
    if inplace:
        raise ArgumentValueError(
            f"Expected `out` or `inplace`, not both, {got('out', out)} and {got('inplace', True)}."
        )
    if out.dtype != x.dtype:
        wrong_type("out", f"of the input's dtype, {x.dtype}", out)
    if out.is_nested or x.is_nested:
        raise ArgumentValueError(f"Expected no `out` with a nested tensor, {got('out', out)}.")
    if out.shape != x.shape:
        wrong_value("out", f"of the input's shape, {tuple(x.shape)}", out)
    check_device("out", out, x.device)
    for name, tensor in (("input", x), ("out", out)):
        if tensor.requires_grad and torch.is_grad_enabled():
            raise ArgumentValueError(
                f"Expected no `out` where a gradient is required, and `{name}` requires one: call "
                f"under torch.no_grad(), or without `out`, {got(name, tensor)}."
            )
    if out.layout is not x.layout:
        wrong_value("out", f"of the input's layout, {x.layout}, and not {out.layout}", out)
    if torch.compiler.is_compiling() or not (has_address(x) and has_address(out)):
        return  # there are no addresses yet; the compiled code copies the result into place
    if overlaps_itself(out):
        wrong_value("out", "a tensor whose elements each have their own place in memory", out)
    if overlaps_partially(out, x):
        wrong_value("out", "the input itself or memory separate from the input's", out)


def refuse_as_torch_does(x: torch.Tensor) -> None:
    """Let torch raise what it raises for writing into x, before anything is drawn.

    Multiplying by one changes no value, and torch makes all its checks before it writes.
    """
    if torch.compiler.is_compiling():
        return
    watched = torch.is_grad_enabled() and x.requires_grad
    leaf = watched and any(t is not None and t.is_leaf for t in (x, _torch.base_of(x)))
    frozen = x.is_inference() and not torch.is_inference_mode_enabled()
    overlaps = overlaps_itself(x)
    if leaf or frozen or overlaps:
        x.mul_(1)
    if overlaps:  # torch finds this in expanded tensors only
        expected = "a tensor whose elements each have their own place in memory, for inplace=True"
        wrong_value("input", expected, x)


def has_address(x: torch.Tensor) -> bool:
    """True where x has memory to inspect, and is not a fake, wrapped or meta tensor."""
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
    """True if two elements of x share a place in memory, as in an expanded tensor."""
    if x.is_contiguous():
        return False
    dims = sorted((stride, size) for stride, size in zip(x.stride(), x.shape, strict=True))
    reach, nested = 0, True
    for stride, size in dims:
        if size == 0:
            return False
        if size > 1:
            if stride == 0:
                return True
            nested &= stride > reach
            reach += stride * (size - 1)
    if nested:
        return False
    # Each of two dimensions may reach beyond a step of the other although no places coincide.
    places = torch.zeros(1, dtype=torch.int64, device="cpu")
    for stride, size in dims:
        steps = torch.arange(size, device="cpu") * stride
        places = (places.unsqueeze(-1) + steps).flatten()
    return len(places.unique()) < len(places)


def overlaps_partially(a: torch.Tensor, b: torch.Tensor) -> bool:
    """True if tensors of one shape and dtype share memory without being the same elements."""
    if a.numel() == 0 or (a.data_ptr() == b.data_ptr() and _steps(a) == _steps(b)):
        return False
    (a_first, a_end), (b_first, b_end) = _range(a), _range(b)
    if a_end <= b_first or b_end <= a_first:
        return False
    # They may be interleaved, as two column halves of a matrix are: compare every byte.
    start = min(a_first, b_first)
    places = torch.zeros(max(a_end, b_end) - start, dtype=torch.bool, device="cpu")
    _bytes_of(a, places, start).fill_(True)
    return bool(_bytes_of(b, places, start).any())


def _steps(x: torch.Tensor) -> list[int]:
    """The strides of dimensions with more than one element."""
    return [stride for stride, size in zip(x.stride(), x.shape, strict=True) if size > 1]


def _range(x: torch.Tensor) -> tuple[int, int]:
    """Address of the first byte, and of the byte after the last."""
    reach = sum((size - 1) * stride for size, stride in zip(x.shape, x.stride(), strict=True))
    return x.data_ptr(), x.data_ptr() + (reach + 1) * x.element_size()


def _bytes_of(x: torch.Tensor, places: torch.Tensor, start: int) -> torch.Tensor:
    """The bytes of x in `places`, whose first element represents the address `start`."""
    item = x.element_size()
    strides = [stride * item for stride in x.stride()]
    return places.as_strided((*x.shape, item), (*strides, 1), x.data_ptr() - start)
