"""The call of a variant: check the arguments, lay out the mask, get a key, write the result.

It is the same for masks, continuous noise and blocks, which differ in their `KeyedMap` alone:
`_bernoulli`, `_noise` and `_blocks` make the maps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

from .._core import _torch, direct
from .._core._validate import check_bool, check_dense, check_input, refuse_nested, wrong_type
from .._core.contract.layout import row_major
from ..errors import ArgumentValueError
from ..random import Key
from ._indices import mask_map
from ._key import check_source, drawn, undrawn_on_error
from ._shards import by_parts, is_spread
from ._writing import check_out, refuse_as_torch_does

# The arguments of a call: training, inplace, key, generator, broadcast_dims, layout, out.
Rest = tuple[Any, Any, Any, Any, Any, Any, Any]


class KeyedMap(NamedTuple):
    """A function of x, a key and mask indices: what a call does to each element.

    Attributes:
        active: False for the identity: a call returns its input and draws nothing.
        operator: One of `ops`: `(x, key, *constants, base, strides) -> y`.
        constants: Arguments of the operator. In compiled code, the floats form one tensor.
        is_noise: Which of its kernels `direct` runs with these constants; None where it has none.
        extent: How many trailing dimensions of x an element of the result depends on.
    """

    active: bool
    operator: Callable[..., torch.Tensor]
    constants: tuple[Any, ...]
    is_noise: bool | None = None
    extent: int = 0


def check_call(
    input: Any,
    training: Any,
    key: Any,
    generator: Any,
    complex_ok: bool = True,
    nested_ok: bool = False,
    name: str = "input",
) -> torch.Tensor:
    """Check the arguments that all variants share, except those of the layout."""
    x = check_input(input, name, complex_ok=complex_ok, training=training)
    if not nested_ok and x.is_nested:
        refuse_nested(name, x)
    check_bool("training", training)
    check_source(key, generator, x)
    return x


def apply(
    keyed_map: KeyedMap,
    input: Any,
    training: Any,
    inplace: Any,
    key: Any,
    generator: Any,
    broadcast_dims: Any,
    layout: Any,
    out: Any = None,
    shared: Sequence[int] = (),
    indices: tuple[int, Sequence[int]] | None = None,
    complex_ok: bool = True,
    nested_ok: bool = False,
) -> torch.Tensor:
    """Check a call and return the map of x; x itself if there is nothing to do."""
    x = check_call(input, training, key, generator, complex_ok, nested_ok)
    check_bool("inplace", inplace)
    active = training and keyed_map.active
    if x.is_nested:
        if out is not None:
            check_out(out, x, inplace)
        if shared and active:
            wrong_type("input", "a tensor that is not nested, as elements share a draw", x)
        _refuse_for_nested(broadcast_dims=broadcast_dims, layout=layout, inplace=inplace and active)
        if not active:
            return x
        with drawn(key, generator) as of_call:
            return _on_components(x, keyed_map, of_call)
    base: int
    strides: Sequence[int] | None
    base, strides = indices or mask_map(x.shape, shared, broadcast_dims, layout)
    into = x if inplace and out is None else out
    if into is not None:
        if active and generator is None and not (inplace and out is not None):
            # Most are evidently right; the others are checked, and if wrong, explained.
            written = _by_kernel(x, keyed_map, base, strides, key, into)
            if written is not None:
                return written
        if out is not None:
            check_out(out, x, inplace)
    if not active:
        return x if into is None or into is x else into.copy_(x)
    if into is not None:
        check_dense("input", x)
        refuse_as_torch_does(into)
    return compute(x, keyed_map, base, strides, key, generator, into)


def compute(
    x: torch.Tensor,
    keyed_map: KeyedMap,
    base: int,
    strides: Sequence[int] | None,
    key: Key | None,
    generator: torch.Generator | None = None,
    into: torch.Tensor | None = None,
) -> torch.Tensor:
    """The map of x by the shortest way there is; without a key, one is drawn last.

    For a DTensor each process computes its part, with the draws of the whole.
    """
    check_dense("input", x)
    if generator is not None:
        with undrawn_on_error(key, generator):
            return compute(x, keyed_map, base, strides, Key.draw(generator), into=into)
    y = _by_kernel(x, keyed_map, base, strides, key, into, checked=True)
    if y is not None:
        return y
    if into is not None:
        with undrawn_on_error(key, generator):
            return into.copy_(compute(x, keyed_map, base, strides, key))
    if is_spread(x):
        first, *others = keyed_map.constants

        def part(x: torch.Tensor, p: Any, base: int, strides: Sequence[int]) -> torch.Tensor:
            own = keyed_map if p is None else keyed_map._replace(constants=(p, *others))
            return compute(x, own, base, strides, key)

        # A p for each element is divided as x is.
        tensors = {"input": x, "p": first if is_spread(first) else None}
        whole = range(x.ndim - keyed_map.extent, x.ndim)
        return by_parts(part, tensors, base, strides, whole)  # type: ignore[no-any-return]
    with drawn(key, None, x.device) as of_call:
        return by_operator(x, keyed_map, base, strides, of_call)


def _by_kernel(
    x: torch.Tensor,
    keyed_map: KeyedMap,
    base: int,
    strides: Sequence[int] | None,
    key: Key | None,
    into: torch.Tensor | None,
    checked: bool = False,
) -> torch.Tensor | None:
    """The map of x by the direct path, or None if it is closed; then nothing is drawn."""
    if keyed_map.is_noise is None:
        return None
    seed, stream = (None, 0) if key is None else (key.seed, key.stream)
    call = (keyed_map.is_noise, seed, stream, base, strides, keyed_map.constants)
    return direct.by_kernel(x, call, into, checked)


def by_operator(
    x: torch.Tensor,
    keyed_map: KeyedMap,
    base: int,
    strides: Sequence[int] | None,
    key: torch.Tensor,
) -> torch.Tensor:
    """The map of x by its operator, for a key that is a tensor."""
    if strides is None:
        strides = row_major(x.shape)
    return keyed_map.operator(x, key, *keyed_map.constants, base, strides)


def _refuse_for_nested(**arguments: Any) -> None:
    """Refuse arguments that have no meaning for components of different shapes."""
    for name, value in arguments.items():
        if value:
            raise ArgumentValueError(
                f"Expected no `{name}` with a nested tensor, whose components differ in shape, "
                f"got {name}={value!r} ({type(value).__name__})."
            )


def _on_components(x: torch.Tensor, keyed_map: KeyedMap, key: torch.Tensor) -> torch.Tensor:
    """The map of a nested tensor: mask indices count the values, component after component."""
    if x.layout == torch.jagged:
        jagged: Any = x
        values = by_operator(jagged.values(), keyed_map, 0, None, key)
        return torch.nested.nested_tensor_from_jagged(
            values, jagged.offsets(), jagged.lengths(), jagged_dim=_torch.ragged_dim(jagged)
        )
    parts, base = [], 0
    for part in x.unbind():
        parts.append(by_operator(part, keyed_map, base, None, key))
        base += part.numel()
    return torch.nested.as_nested_tensor(parts)
