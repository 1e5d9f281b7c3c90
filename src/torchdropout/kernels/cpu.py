"""The compiled backend: loads it, says why if it cannot, runs it on tensors.

The extension is built against torch's stable ABI, and knows one kernel for each instruction set.
It also registers itself for the operator on CPU tensors; `select` governs both ways in.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from importlib import import_module, resources
from typing import Any

import torch

from .._version import __version__
from ..errors import BackendError
from ..spec.layout import row_major

REFERENCE = "reference"
AUTO = "auto"
VARIABLE = "TORCHDROPOUT_BACKEND"
NAMES = (REFERENCE, "scalar", "avx2", "avx512")


_extension: Any = None
_types: dict[torch.dtype, int] = {}  # their codes in the extension
_current = REFERENCE
why_missing = ""  # why there is no extension; empty if there is one
chosen_by = AUTO  # that, the environment variable, or what asked for it


def _load() -> str:
    """Loads the extension; returns why it cannot, or an empty string."""
    global _extension
    try:
        extension = import_module("torchdropout._C")
    except ModuleNotFoundError:
        note = resources.files("torchdropout").joinpath("_no_extension.txt")
        noted = note.read_text().strip() if note.is_file() else ""
        return noted or "it was not built"
    except Exception as error:
        return f"its file cannot be loaded: {type(error).__name__}: {error}"
    built_for = getattr(extension, "version", None)
    if built_for != __version__:
        return f"its file was built for version {built_for}, and this is version {__version__}"
    _types.update((getattr(torch, n), i) for i, n in enumerate(extension.element_types()))
    _extension = extension
    return ""


def available() -> tuple[str, ...]:
    """Names of the backends that can run here, the slowest first."""
    return (REFERENCE, *(() if _extension is None else _extension.usable()))


def current() -> str:
    """Name of the backend that runs CPU tensors now."""
    return _current


def select(name: str, source: str) -> None:
    """Make a backend the one that runs CPU tensors, in the whole process.

    Args:
        name: One of `NAMES`, or "auto" for the fastest.
        source: Who asks: for messages.

    Raises:
        BackendError: It cannot run here; nothing changes.
    """
    global _current, chosen_by
    if name == AUTO:
        name = available()[-1]
    elif name not in available():
        raise BackendError(f"Expected {source} to name one of {_known()}, got {_lacking(name)}")
    if _extension is not None:
        _extension.select(None if name == REFERENCE else name)
    _current = name
    chosen_by = source


def _known() -> str:
    return ", ".join(map(repr, (AUTO, *available())))


def _lacking(name: str) -> str:
    if name not in NAMES:
        return f"{name!r}."
    lack = why_missing and f"there are no compiled kernels: {why_missing}"
    return f"{name!r}, which cannot run here: {lack or _extension.lacking(name)}."


def start() -> None:
    """Choose the first backend: the one the environment names, which must load, or the fastest."""
    global why_missing
    wanted = os.environ.get(VARIABLE, AUTO)
    why_missing = _load()
    select(wanted, AUTO if wanted == AUTO else VARIABLE)
    if wanted == AUTO and why_missing and "NO_EXTENSION" not in why_missing:
        warnings.warn(
            f"torchdropout has no compiled kernels: {why_missing}. Masks come from torch operations "
            f"instead: the same bits, slowly. {VARIABLE}={REFERENCE} asks for that and is silent.",
            RuntimeWarning,
            stacklevel=2,
        )


def runs(x: torch.Tensor) -> bool:
    """True where a compiled kernel is selected and knows the type of x."""
    return _current != REFERENCE and x.dtype in _types


def masked_affine(
    x: torch.Tensor,
    y: torch.Tensor,
    seed: int,
    stream: int,
    p: float,
    scale: float,
    shift: float,
    drop_value: float,
    base: int,
    strides: Sequence[int] | None,
) -> None:
    """`y = keep ? x * scale + shift : drop_value`, rounded to the type of y.

    Args:
        x: A strided CPU tensor of real memory (no conjugate or negative view).
        y: Another of its shape, or x itself. Of its type, or 16-bit beside a float32 x.
        seed: 64 bits.
        stream: 60 bits.
        p: Drop probability.
        scale: Factor of a kept element.
        shift: Added to a kept element; see `reference.masked_affine`.
        drop_value: The value of a dropped element.
        base: Mask index of the first element, modulo 2**64.
        strides: Mask strides; row-major without.
    """
    layout: Any
    if strides is None and x.is_contiguous() and y.is_contiguous():
        layout = x.numel()
    else:
        layout = _layout(x, y, None, None, strides)
    at = (_types[x.dtype], _types[y.dtype], x.data_ptr(), y.data_ptr(), 0, 0)
    _extension.run(*at, layout, base, seed, stream, p, scale, shift, drop_value)


def masked_add(
    x: torch.Tensor,
    residual: torch.Tensor,
    bias: torch.Tensor | None,
    y: torch.Tensor,
    seed: int,
    stream: int,
    p: float,
    scale: float,
    base: int,
    strides: Sequence[int] | None,
) -> None:
    """`y = residual + (keep ? (x + bias) * scale : 0)`, rounded to the type of y.

    Args:
        x: As `masked_affine`; no complex tensor.
        residual: Of x's shape; of its type, or float32 beside a 16-bit x.
        bias: Of the last dimension's size and of the compute type.
        y: Of residual's shape and type.
        seed: 64 bits.
        stream: 60 bits.
        p: Drop probability.
        scale: Factor of a kept element.
        base: Mask index of the first element, modulo 2**64.
        strides: Mask strides; row-major without.
    """
    at = (_types[x.dtype], _types[y.dtype], x.data_ptr(), y.data_ptr(), residual.data_ptr())
    bias_at = 0 if bias is None else bias.data_ptr()
    layout = _layout(x, y, residual, bias, strides)
    _extension.run(*at, bias_at, layout, base, seed, stream, p, scale, 0.0, 0.0)


def masked_sums(
    x: torch.Tensor,
    y: torch.Tensor,
    sums: torch.Tensor,
    seed: int,
    stream: int,
    p: float,
    scale: float,
    base: int,
) -> None:
    """`y = keep ? x * scale : 0` and its sums over all dimensions but the last.

    Args:
        x: Contiguous, with a last dimension.
        y: Contiguous and of its shape; types as in `masked_affine`.
        sums: Contiguous, of the last dimension's size and of the compute type.
        seed: 64 bits.
        stream: 60 bits.
        p: Drop probability.
        scale: Factor of a kept element.
        base: Mask index of the first element, modulo 2**64; the others follow row-major.
    """
    columns = x.shape[-1]
    rows = x.numel() // max(columns, 1)
    at = (_types[x.dtype], _types[y.dtype], x.data_ptr(), y.data_ptr(), sums.data_ptr())
    _extension.run_sums(*at, rows, columns, base, seed, stream, p, scale)


def _layout(
    x: torch.Tensor,
    y: torch.Tensor,
    residual: torch.Tensor | None,
    bias: torch.Tensor | None,
    strides: Sequence[int] | None,
) -> tuple[Sequence[int], ...]:
    """Sizes and strides, in elements, as the extension reads them."""
    zero = (0,) * x.ndim
    return (
        tuple(x.shape),
        x.stride(),
        y.stride(),
        zero if residual is None else residual.stride(),
        zero if bias is None else (*zero[1:], bias.stride(0)),
        tuple(row_major(x.shape) if strides is None else strides),
    )
