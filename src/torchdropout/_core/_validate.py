"""The wording of all argument errors: what was expected, and what was given, with its type.

A check returns the argument in the form that the library works with, or raises. No check changes
anything or draws from a generator.
"""

from __future__ import annotations

import math
import numbers
import sys
from collections.abc import Sequence
from typing import Any, NoReturn, TypeGuard

import torch
from torch.autograd import forward_ad
from torch.compiler import is_dynamo_compiling

from ..errors import ArgumentTypeError, ArgumentValueError, ShapeError
from . import _torch

_BEYOND_INT64 = 2**63  # torch holds sizes and classes as int64
REAL = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


def got(name: str, value: object) -> str:
    """The second half of every message: `got p=1.7 (float)`.

    Example:
        >>> got("p", "0.1")
        "got p='0.1' (str)"
    """
    if isinstance(value, torch.Tensor):
        if value.is_nested:
            return f"got {name}=<nested tensor, {value.dtype}> ({type(value).__name__})"
        shape = tuple(value.shape)
        return f"got {name}=<tensor of shape {shape}, {value.dtype}> ({type(value).__name__})"
    text = repr(value)
    if len(text) > 80:
        text = text[:77] + "..."
    return f"got {name}={text} ({type(value).__name__})"


def wrong_type(name: str, expected: str, value: object) -> NoReturn:
    """Raise `ArgumentTypeError`: expected this, got that."""
    raise ArgumentTypeError(f"Expected `{name}` to be {expected}, {got(name, value)}.")


def wrong_value(name: str, expected: str, value: object) -> NoReturn:
    """Raise `ArgumentValueError`: expected this, got that."""
    raise ArgumentValueError(f"Expected `{name}` to be {expected}, {got(name, value)}.")


def refuse_nested(name: str, tensor: torch.Tensor) -> NoReturn:
    """Raise `ArgumentTypeError`: a nested tensor is not accepted."""
    wrong_type(name, "a tensor that is not nested", tensor)


def check_dense(name: str, tensor: torch.Tensor) -> None:
    """Raise `ArgumentTypeError` for a tensor without strides, such as a sparse one."""
    if tensor.layout is not torch.strided:
        expected = "a dense tensor where it drops: pass a sparse one's values instead,"
        wrong_type(name, f"{expected} and not one of layout {tensor.layout}", tensor)


def check_device(
    name: str, tensor: torch.Tensor, device: torch.device, expected: str = "on the input's device"
) -> None:
    """Refuse a tensor on another device."""
    if tensor.device != device:
        wrong_value(name, f"{expected}, {device}, and not on {tensor.device}", tensor)


def wrong_shape(name: str, expected: str, value: object) -> NoReturn:
    """Raise `ShapeError`, as torch raises a `RuntimeError`: expected this, got that."""
    raise ShapeError(f"Expected `{name}` to be {expected}, {got(name, value)}.")


def is_integer(value: object) -> TypeGuard[int]:
    """True for an int, also one of NumPy, or a symbolic int, and never for a bool."""
    if type(value) is int:  # nearly all, and the abstract class is slow
        return True
    return isinstance(value, (torch.SymInt, numbers.Integral)) and not isinstance(value, bool)


def plain(value: int) -> int:
    """An integer as Python's, whose arithmetic does not overflow; a symbolic one as it is."""
    return value if isinstance(value, (int, torch.SymInt)) else int(value)


def check_number(name: str, expected: str, value: Any) -> float:
    """A real number as a float; infinite for an integer that no float can hold.

    Raises:
        ArgumentTypeError: It is not a real number; a bool, a string or a tensor is not accepted.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, numbers.Real)):
        if is_dynamo_compiling() and _is_array(value):
            # The compiler treats a NumPy number as an array, whose value it does not know. An
            # error breaks the graph, and eager finds the number.
            raise ArgumentTypeError(
                f"Expected `{name}` to be a number that the compiler knows, not a NumPy number: "
                f"pass a Python float, `float({name})`."
            )
        wrong_type(name, expected, value)
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf  # type: ignore[operator]


def _is_array(value: object) -> bool:
    return "numpy" in sys.modules and isinstance(value, sys.modules["numpy"].ndarray)


def check_p(p: Any, name: str = "p") -> float:
    """The drop probability as a float in [0, 1]; that of a tensor without dimensions, as in torch.

    Raises:
        ArgumentTypeError: p is not a real number; a bool, a string, or a tensor that has dimensions
            or a gradient is not accepted.
        ArgumentValueError: p is NaN or outside [0, 1].
    """
    expected = "a number in [0, 1], the drop probability"
    # p is almost always a float. Testing for a tensor first takes ten times as long.
    is_other = isinstance(p, float) or not isinstance(p, torch.Tensor)
    number = p if is_other else _number_in(p, name)
    # A subclass, such as that of NumPy, becomes a float.
    value = number if type(number) is float else check_number(name, expected, number)
    # Written so that NaN, which compares false with everything, is refused too.
    if not 0.0 <= value <= 1.0:
        wrong_value(name, "in [0, 1], the drop probability", number)
    return value


def has_gradient(tensor: torch.Tensor) -> bool:
    """Whether a derivative with respect to the tensor may be required, backward or forward."""
    return tensor.requires_grad or forward_ad.unpack_dual(tensor).tangent is not None


def _number_in(tensor: torch.Tensor, name: str) -> Any:
    """The number that a tensor holds; the tensor itself if it is not one real number."""
    if tensor.is_nested or tensor.ndim > 0 or tensor.dtype.is_complex:
        return tensor
    if has_gradient(tensor):
        expected = "a number, or a tensor without a gradient (concrete_dropout learns p)"
        wrong_type(name, expected, tensor)
    if _torch.is_batched(tensor):
        wrong_type(name, "one number for all samples of a vmap", tensor)
    if tensor.is_meta:
        wrong_type(name, "a number, or a tensor that has data", tensor)
    if is_captured(tensor):
        expected = "a number while a CUDA graph is captured, where no tensor on a GPU can be read"
        wrong_type(name, expected, tensor)
    return tensor.item()


def is_captured(tensor: torch.Tensor) -> bool:
    """Whether a tensor belongs to a CUDA graph under capture, and cannot be read."""
    if not tensor.is_cuda or torch.compiler.is_compiling():
        return False
    return torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing()


def check_rates(rates: torch.Tensor) -> None:
    """Check drop probabilities, one for each element.

    Raises:
        ArgumentValueError: One is NaN or outside [0, 1].
    """
    whole: Any = rates
    fits: Any = (rates >= 0.0) & (rates <= 1.0)
    if hasattr(rates, "full_tensor"):  # a DTensor: all processes raise, or none
        if int((~fits).sum().full_tensor()) == 0:
            return
        whole, fits = rates.full_tensor(), fits.full_tensor()
    if not bool(fits.all()):
        raise ArgumentValueError(
            "Expected `p` to be in [0, 1] everywhere, drop probabilities, "
            f"got {float(whole[~fits][0])!r} in it ({got('p', rates).removeprefix('got ')})."
        )


def check_bool(name: str, value: Any) -> bool:
    """Check a flag; torch accepts only a bool as well.

    Raises:
        ArgumentTypeError: It is not a bool.
    """
    if not isinstance(value, bool):
        wrong_type(name, "a bool", value)
    return value


def check_word(name: str, value: Any, *words: str) -> Any:
    """Check that a value is one of these words."""
    if isinstance(value, str) and value in words:
        return value
    expected = f"{', '.join(map(repr, words[:-1]))} or {words[-1]!r}"
    if not isinstance(value, str):
        wrong_type(name, expected, value)
    wrong_value(name, expected, value)


def check_count(name: str, value: Any, least: int = 1) -> int:
    """Check an integer from `least` to the largest that torch holds; also one of NumPy.

    Raises:
        ArgumentTypeError: It is not an integer.
        ArgumentValueError: It is below `least`, or 2**63 or more.
    """
    if not is_integer(value):
        wrong_type(name, f"an integer, {least} or more", value)
    number = plain(value)
    if number < least:
        wrong_value(name, f"{least} or more", value)
    if number >= _BEYOND_INT64:
        wrong_value(name, "less than 2**63", value)
    return number


def check_unsigned(name: str, value: Any, bits: int) -> int:
    """Check an integer that fits in `bits` unsigned bits.

    Raises:
        ArgumentTypeError: It is not an integer.
        ArgumentValueError: It is negative or too large.
    """
    if not is_integer(value):
        wrong_type(name, f"an integer in [0, 2**{bits})", value)
    if not 0 <= value < 2**bits:
        wrong_value(name, f"in [0, 2**{bits})", value)
    return plain(value)


def check_input(
    x: Any, name: str = "input", *, complex_ok: bool = True, training: Any = True
) -> torch.Tensor:
    """Check a tensor that dropout is defined on; in eval it may be quantised too.

    Raises:
        ArgumentTypeError: It is not a tensor, or its dtype is integer, bool, 8-bit float, or
            complex if complex numbers have no meaning there.
    """
    if not isinstance(x, torch.Tensor):
        wrong_type(name, "a tensor", x)
    dtype = x.dtype
    if dtype in REAL or (complex_ok and dtype.is_complex):
        return x
    if training is False and x.is_quantized:
        return x
    kinds = "a floating-point or complex tensor" if complex_ok else "a floating-point tensor"
    raise ArgumentTypeError(
        f"Expected `{name}` to be {kinds} of 16 bits or more, got a tensor of {dtype}: convert it "
        f"first, for example {name}.{'dequantize()' if x.is_quantized else 'to(torch.float32)'}."
    )


def check_generator(generator: Any, device: torch.device) -> None:
    """Check a generator for the seed of a call: on the CPU or on the input's device.

    Raises:
        ArgumentTypeError: It is not a `torch.Generator`.
        ArgumentValueError: It is on another device.
    """
    if not isinstance(generator, torch.Generator):
        wrong_type("generator", "a torch.Generator", generator)
    if generator.device.type not in ("cpu", device.type):
        raise ArgumentValueError(
            f"Expected `generator` to be on the CPU or on the input's device ({device}), "
            f"got a generator on {generator.device} ({type(generator).__name__})."
        )


def _is_sequence(value: object) -> bool:
    if isinstance(value, (tuple, list)):  # nearly all, and the abstract class is slow
        return True
    return isinstance(value, Sequence) and not isinstance(value, (str, torch.Tensor))


def check_dims(name: str, dims: Any, ndim: int) -> tuple[int, ...]:
    """Distinct dimensions of a tensor with `ndim` of them, as non-negative numbers.

    Raises:
        ArgumentTypeError: It is not a sequence of integers.
        ArgumentValueError: One is out of range or named twice.
    """
    if not _is_sequence(dims):
        wrong_type(name, "a sequence of dimensions (integers)", dims)
    found: list[int] = []
    for dim in dims:
        if not is_integer(dim):
            wrong_type(name, "a sequence of dimensions (integers)", dims)
        if not -ndim <= dim < ndim:
            wrong_value(name, f"dimensions in [{-ndim}, {ndim}) of a {ndim}-D input", dims)
        # Found by comparison, not computed: under torch.compile `dim` may be symbolic, and only a
        # comparison makes a plain int of it, which `in` and `set` treat as one.
        place = next(d for d in range(ndim) if dim in (d, d - ndim))
        if place in found:
            wrong_value(name, "dimensions that are each named once", dims)
        found.append(place)
    return tuple(found)


def broadcasts(shape: Sequence[int], to: Sequence[int]) -> bool:
    """Whether a tensor of `shape` can be expanded to the shape `to`.

    Each size is compared: under torch.compile it may be symbolic, and then `in` does not find it.
    """
    ends = zip(reversed(shape), reversed(to), strict=False)
    return len(shape) <= len(to) and all(n == 1 or n == size for n, size in ends)


def check_shape(name: str, shape: Any) -> tuple[int, ...]:
    """Check the sizes of a tensor.

    Raises:
        ArgumentTypeError: It is not a sequence of integers.
        ArgumentValueError: A size is negative.
    """
    if not _is_sequence(shape):
        wrong_type(name, "a sequence of sizes (integers)", shape)
    sizes = []
    for size in shape:
        if type(size) is not int:  # nearly all are
            if not is_integer(size):
                wrong_type(name, "a sequence of sizes (integers)", shape)
            size = plain(size)
        if size < 0:
            wrong_value(name, "sizes of 0 or more", shape)
        if size >= _BEYOND_INT64:
            wrong_value(name, "sizes below 2**63", shape)
        sizes.append(size)
    return tuple(sizes)
