"""What the kernels rely on in the arguments of an operator.

`functional` has checked its own calls, but `torch.ops.torchdropout` is open to all. These checks
read metadata only, so that fake tensors are refused as real ones are; `check_memory` is for real
ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import torch

from ...errors import ArgumentValueError
from .._validate import REAL, wrong_type, wrong_value
from ..contract.keep import compute_dtype

# A function of the arguments of a call; it raises, or returns nothing.
Check = Callable[..., None]

MAPPED = frozenset((*REAL, torch.complex32, torch.complex64, torch.complex128))
_ONE_KEY = (2,)
_KEY = "an int64 tensor of shape (..., 2) or (3,) on the CPU or the device of the input"


def check_key(key: torch.Tensor, device: torch.device) -> None:
    """Check that a tensor has the form of keys."""
    if key is None or key.dtype is not torch.int64 or key.layout is not torch.strided:
        wrong_type("key", _KEY, key)
    if key.shape == _ONE_KEY and key.is_cpu:  # nearly all
        return
    *lead, last = key.shape
    if last != 2 and (last != 3 or lead):
        wrong_value("key", _KEY, key)
    if not key.is_cpu and key.device != device:
        _wrong_device("key", key, device)


def check_map(x: torch.Tensor, key: torch.Tensor, strides: Sequence[int], dtypes: Any) -> None:
    """Check the tensors of an operator that maps x by keys, and the strides of its mask."""
    # This is what nearly all calls have.
    if (
        x is not None
        and key is not None
        and x.dtype in dtypes
        and key.dtype is torch.int64
        and key.shape == _ONE_KEY
        and key.is_cpu
        and x.layout is key.layout is torch.strided
        and x.ndim == len(strides)
    ):
        return
    if x is None or x.dtype not in dtypes or x.layout is not torch.strided:
        kinds = "floating-point" if dtypes is REAL else "floating-point or complex"
        wrong_type("x", f"a dense {kinds} tensor of 16 bits or more", x)
    check_key(key, x.device)
    sizes, lead = x.shape, key.ndim - 1
    if lead + len(strides) != len(sizes):
        raise ArgumentValueError(
            f"Expected a dimension of `key` or one of `strides` for each dimension of `x`, got "
            f"{lead} and {len(strides)} for {len(sizes)}."
        )
    if lead:
        for n, size in zip(key.shape[:-1], sizes, strict=False):
            if n != 1 and n != size:
                wrong_value("key", f"of a size of `x` {tuple(sizes)} in each dimension, or 1", key)


def check_memory(*tensors: torch.Tensor | None) -> None:
    """Check that tensors on the CPU have memory: a storage that was resized to nothing has none."""
    for t in tensors:
        if t is not None and not t.data_ptr() and t.is_cpu and t.numel():
            raise ArgumentValueError(
                f"Expected tensors that have memory, got one of shape {tuple(t.shape)} whose "
                "storage is empty."
            )


def check_like(name: str, tensor: torch.Tensor, x: torch.Tensor, dtypes: Any) -> None:
    """Check a tensor that is read along with x."""
    if tensor is None or tensor.dtype not in dtypes or tensor.layout is not torch.strided:
        wrong_type(name, f"a dense tensor of {' or '.join(map(str, dtypes))}", tensor)
    if tensor.device != x.device:
        _wrong_device(name, tensor, x.device)


def check_constants(constants: torch.Tensor, least: int, x: torch.Tensor) -> None:
    """Check the numbers of an operator in one tensor."""
    expected = f"a float64 tensor of {least} or more numbers on the CPU"
    if (
        constants is None
        or constants.dtype is not torch.float64
        or constants.layout is not torch.strided
    ):
        wrong_type("constants", expected, constants)
    n = constants.numel()
    if n < least or constants.ndim > 1 or (least == 1 and n > 1):
        wrong_value("constants", expected, constants)
    if not constants.is_cpu and not (constants.is_meta and x is not None and x.is_meta):
        wrong_value("constants", expected, constants)


def check_rate(name: str, p: float) -> None:
    """Check a probability."""
    if not 0.0 <= p <= 1.0:
        wrong_value(name, "in [0, 1], the drop probability", p)


def check_form(x: torch.Tensor, key: torch.Tensor, *rest: Any) -> None:
    """`masked_affine` with its numbers in a tensor."""
    check_map(x, key, rest[-1], MAPPED)


def check_masked(x: torch.Tensor, key: torch.Tensor, p: float, *rest: Any) -> None:
    """`masked_affine`, and its fused form."""
    check_map(x, key, rest[-1], MAPPED)
    check_rate("p", p)


def check_noise(x: torch.Tensor, key: torch.Tensor, law: int, *rest: Any) -> None:
    """`noise_affine`."""
    check_map(x, key, rest[-1], REAL)
    if law not in (1, 2, 3):
        wrong_value("law", "1 (uniform), 2 (normal) or 3 (logistic)", law)


def check_rates(
    x: torch.Tensor,
    key: torch.Tensor,
    rates: torch.Tensor,
    _scaled: bool,
    _checked: bool,
    _base: int,
    strides: Sequence[int],
) -> None:
    """`masked_affine.rates`; whether each is in [0, 1] only their values show."""
    check_map(x, key, strides, MAPPED)
    if rates is None or rates.dtype not in REAL or rates.layout is not torch.strided:
        wrong_type("rates", "a dense floating-point tensor of 16 bits or more", rates)
    if not rates.is_cpu and rates.device != x.device:
        _wrong_device("rates", rates, x.device)
    if rates.ndim != x.ndim or any(
        n != 1 and n != size for n, size in zip(rates.shape, x.shape, strict=True)
    ):
        wrong_value("rates", f"of each size of `x` {tuple(x.shape)}, or 1", rates)


def check_blocks(
    x: torch.Tensor,
    key: torch.Tensor,
    dims: int,
    block: int,
    count: bool,
    rate: float,
    *rest: Any,
) -> None:
    """`drop_blocks`."""
    check_form_of_blocks(x, key, dims, block, count, *rest)
    check_rate("rate", rate)


def check_form_of_blocks(
    x: torch.Tensor, key: torch.Tensor, dims: int, block: int, count: bool, *rest: Any
) -> None:
    """`drop_blocks` with its numbers in a tensor."""
    strides = rest[-1]
    check_map(x, key, strides, REAL)
    most = len(strides) - count  # a count is that of a channel too
    if not 1 <= dims <= most:
        wrong_value("dims", f"in [1, {most}], how many dimensions a block extends along", dims)
    sizes = x.shape
    for dim in range(-dims, 0):
        if block < 1 or (block > sizes[dim] and x.numel() > 0):
            wrong_value("block", f"from 1 to the sizes of the last {dims} dimensions of `x`", block)
        if strides[dim] == 0 and block > 1 and x.numel() > 0:
            wrong_value("strides", f"other than 0 along the last {dims} dimensions", strides)


def check_counted(
    x: torch.Tensor,
    key: torch.Tensor,
    kept: int,
    group: int,
    dim: int,
    *rest: Any,
) -> None:
    """`counted_affine`, also with its scale in a tensor."""
    check_map(x, key, rest[-1], REAL)
    check_groups(x, group, dim, rest[-1])
    if not 0 <= kept <= group:
        wrong_value("kept", f"in [0, {group}], how many of a group are kept", kept)


def check_groups(x: torch.Tensor, group: int, dim: int, strides: Sequence[int]) -> None:
    """Check that the places along a dimension form groups, with a draw for each."""
    if not -len(strides) <= dim < 0:
        wrong_value("dim", f"in [{-len(strides)}, -1], counted from the end", dim)
    if not 1 <= group < 2**31 or x.size(dim) % group:
        wrong_value("group", f"1 or more, and to divide {x.shape[dim]}, a size of `x`", group)
    if strides[dim] == 0:
        wrong_value("strides", f"other than 0 along dimension {dim}, of the groups", strides)


def check_shape(key: torch.Tensor, shape: Sequence[int], strides: Sequence[int]) -> None:
    """Check the sizes of the draws of a key."""
    if len(shape) != len(strides):
        wrong_value("strides", f"one for each of the {len(shape)} sizes", strides)
    for size in shape:  # `min` would be a guard of a compiled graph, a generator is slow
        if size < 0:
            wrong_value("shape", "sizes of 0 or more", shape)


def check_bits(
    like: torch.Tensor,
    key: torch.Tensor,
    p: float,
    shape: Sequence[int],
    _base: int,
    strides: Sequence[int],
) -> None:
    """`keep_bits`."""
    check_where(like)
    check_key(key, like.device)
    check_shape(key, shape, strides)
    check_rate("p", p)


def check_where(like: torch.Tensor) -> None:
    """Check a tensor of which only dtype and device are used."""
    if like is None or like.dtype not in REAL or like.layout is not torch.strided:
        wrong_type("like", "a dense floating-point tensor of 16 bits or more", like)


def check_choice(
    key: torch.Tensor, shape: Sequence[int], strides: Sequence[int], device: torch.device
) -> None:
    """`choose`, without the number of places kept."""
    check_key(key, device)
    if not key.is_cpu and key.is_meta and device.type != "meta":
        _wrong_device("key", key, device)
    check_shape(key, shape, strides)
    if not shape or shape[-1] >= 2**31:
        wrong_value("shape", "one or more sizes, the last below 2**31", shape)
    if strides[-1] == 0:
        wrong_value("strides", "other than 0 along the last dimension, of the places", strides)


def check_kept(kept: int, size: int) -> None:
    """How many are chosen."""
    if not 1 <= kept <= size:
        wrong_value("kept", f"in [1, {size}], how many of {size} places are kept", kept)


def check_sum(
    x: torch.Tensor,
    key: torch.Tensor,
    residual: torch.Tensor,
    bias: torch.Tensor | None,
    p: float,
    _scale: float,
    _base: int,
    strides: Sequence[int],
) -> None:
    """`dropout_add`."""
    _check_one_key(x, key, strides, p)
    _check_no_gradient(x, residual, bias)
    check_like("residual", residual, x, (x.dtype, compute_dtype(x.dtype)))
    if residual.shape != x.shape:
        wrong_value("residual", f"of the shape {tuple(x.shape)} of `x`", residual)
    if bias is not None:
        check_like("bias", bias, x, REAL)
        if x.ndim == 0 or bias.shape != x.shape[-1:]:
            wrong_value("bias", f"of the last size of `x` {tuple(x.shape)}", bias)


def check_sum_backward(
    gradient: torch.Tensor,
    key: torch.Tensor,
    dtype: torch.dtype,
    summed: bool,
    p: float,
    _scale: float,
    _base: int,
    strides: Sequence[int],
) -> None:
    """`dropout_add_backward`."""
    _check_one_key(gradient, key, strides, p)
    _check_no_gradient(gradient)
    if dtype not in REAL or gradient.dtype not in (dtype, compute_dtype(dtype)):
        expected = "that of a tensor whose sum has a gradient of"
        wrong_value("dtype", f"{expected} {gradient.dtype}", dtype)
    if summed and gradient.ndim == 0:
        wrong_value("summed", "False for a gradient without dimensions", summed)


def _check_one_key(x: torch.Tensor, key: torch.Tensor, strides: Sequence[int], p: float) -> None:
    check_map(x, key, strides, REAL)
    if key.ndim != 1:
        wrong_value("key", "one key, of shape (2,) or (3,)", key)
    check_rate("p", p)


def _check_no_gradient(*tensors: torch.Tensor | None) -> None:
    """Refuse a call that would have to be differentiated: the caller's function does that."""
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors):
        raise ArgumentValueError(
            "Expected tensors without a gradient, as the operators of a sum have no derivative: "
            "call torchdropout.functional.dropout_add, got one that requires it."
        )


def _wrong_device(name: str, tensor: torch.Tensor, device: torch.device) -> NoReturn:
    raise ArgumentValueError(
        f"Expected `{name}` to be on {device} with the other tensors, got a tensor on "
        f"{tensor.device} ({type(tensor).__name__})."
    )
