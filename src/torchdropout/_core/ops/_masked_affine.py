"""`masked_affine`: the operator of every Bernoulli variant."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.compiler import is_dynamo_compiling

from ..._version import __version__
from .. import _torch
from .._validate import check_rates, is_captured
from ..kernels import _check, reference, triton
from ..kernels.devices import elsewhere, on_devices, on_gpu, sample
from ._keep_bits import select
from ._library import library
from ._maps import define_form, define_map

_masked_affine = define_map(
    "masked_affine",
    "float p, float scale, float shift, float drop_value",
    reference.masked_affine,
    _check.check_masked,
    _check.check_form,
    # The same mask, without the map's additive constants.
    lambda own: (*own[:2], 0.0, 0.0),
)


def _samples_of_rates(
    x: torch.Tensor, key: torch.Tensor, _rates: torch.Tensor, scaled: bool, *_: Any
) -> Iterator[tuple[Any, ...]]:
    values = sample(x)
    each = torch.linspace(0, 1, 3000, dtype=torch.float64, device=x.device)
    yield values, key, each, scaled, 2**34 - 1000, [1]
    yield values.view(60, 50), key, each.view(60, 50)[:, :1], scaled, 2**35 - 999, [1, 60]


def _checking(kernel: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """Check the rates of a call if that has not been done, since it waits for a GPU."""

    def run(
        x: torch.Tensor,
        key: torch.Tensor,
        rates: torch.Tensor,
        scaled: bool,
        checked: bool,
        *place: Any,
    ) -> torch.Tensor:
        _check.check_rates(x, key, rates, scaled, checked, *place)
        _check.check_memory(x, key, rates)
        # A capture reads nothing. The calls before it, which compiled the kernels, have checked.
        if not (checked or is_captured(rates)):
            check_rates(rates)
        return kernel(x, key, rates, scaled, *place)

    return run


_masked_by_rates = define_form(
    "masked_affine",
    "rates",
    "Tensor rates, bool scaled, bool checked",
    _checking(elsewhere("masked_by_rates", reference.masked_by_rates)),
    _check.check_rates,
    lambda own: (*own[:2], True),  # it is linear, and its rates are those of the forward
    aligned=True,
)
on_devices(
    library,
    "masked_affine.rates",
    _checking(on_gpu("masked_by_rates", reference.masked_by_rates, _samples_of_rates)),
)

# Devices on which a graph has a select that the compiler fuses; a test adds the CPU.
fusing = {*triton.DEVICES}


def _define_fused(
    form: str, arguments: str, check: _check.Check, kernel: Callable[..., torch.Tensor]
) -> Any:
    """Define a form of the operator without shift and drop value, which a graph sees into.

    The caches of torch's compiler identify a program by the operators that it calls, not by their
    decompositions: the version in the name excludes what another version traced.
    """

    def traced(x: torch.Tensor, key: torch.Tensor, *rest: Any) -> torch.Tensor:
        *constants, base, strides = rest
        if key.ndim > 1:  # under vmap
            return kernel(x, key, *rest)
        return select(x, key, constants, base, strides)

    overload = f"{form}_{__version__.replace('.', '_')}"
    how = arguments, kernel, check, lambda own: own
    return define_form("masked_affine", overload, *how, traced=traced)


def _check_fused(x: torch.Tensor, key: torch.Tensor, constants: Any, *rest: Any) -> None:
    _check.check_form(x, key, *rest)
    _check.check_constants(constants, 4, x)


_fused = _define_fused(
    "fused",
    "float p, float scale",
    _check.check_masked,
    lambda x, key, p, scale, *place: _masked_affine(x, key, p, scale, 0.0, 0.0, *place),
)
_fused_of = _define_fused(
    "fused_of",
    "Tensor constants",
    _check_fused,
    lambda x, key, constants, *place: masked_affine_of(x, key, constants, *place),
)


def _fuses(x: torch.Tensor) -> bool:
    """Whether a compiler sees into the operator: for a GPU, if numbers are real."""
    return (
        is_dynamo_compiling()
        and x.device.type in fusing
        and not x.is_complex()
        and not _torch.is_exporting()
    )


def masked_affine(
    x: torch.Tensor,
    key: torch.Tensor,
    p: float,
    scale: float,
    shift: float,
    drop_value: float,
    base: int,
    strides: Sequence[int],
) -> torch.Tensor:
    """`y = keep ? x * scale + shift : drop_value`; see `kernels.reference.masked_affine`."""
    y: torch.Tensor
    if _fuses(x) and shift == drop_value == 0.0:
        y = _fused(x, key, p, scale, base, strides)
    else:
        y = _masked_affine(x, key, p, scale, shift, drop_value, base, strides)
    return y


def masked_affine_of(
    x: torch.Tensor,
    key: torch.Tensor,
    constants: torch.Tensor,
    base: int,
    strides: Sequence[int],
) -> torch.Tensor:
    """`masked_affine` with p, scale, shift and drop value in one float64 tensor on the CPU.

    The tensor is an input of a compiled graph, where numbers would be constants of it.
    """
    operator = torch.ops.torchdropout.masked_affine.tensor
    y: torch.Tensor = operator(x, key, constants, False, base, strides)
    return y


def masked_linear_of(
    x: torch.Tensor,
    key: torch.Tensor,
    constants: torch.Tensor,
    base: int,
    strides: Sequence[int],
) -> torch.Tensor:
    """`masked_affine_of` if shift and drop value are 0, which the tensor does not show."""
    if _fuses(x):
        y: torch.Tensor = _fused_of(x, key, constants, base, strides)
        return y
    return masked_affine_of(x, key, constants, base, strides)


# A drop probability for each element; see `kernels.reference.masked_by_rates`.
masked_by_rates: Callable[..., torch.Tensor] = _masked_by_rates
