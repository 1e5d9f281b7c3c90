"""The call of a variant: check the arguments, lay out the mask, get a key, write the result.

It is the same for masks, continuous noise and blocks, which differ in their `KeyedMap` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from .._core import direct
from .._core._validate import check_bool, check_dense, check_input, refuse_nested, wrong_type
from ._bernoulli import inverted
from ._indices import mask_map
from ._key import check_source, drawn, undrawn_on_error
from ._map import KeyedMap, compute
from ._nested import on_components, refuse_for_nested
from ._writing import check_out, refuse_as_torch_does

# The arguments of a call: training, inplace, key, generator, broadcast_dims, layout, out.
Rest = tuple[Any, Any, Any, Any, Any, Any, Any]


def check_call(
    input: Any,
    training: Any,
    key: Any,
    generator: Any,
    complex_ok: bool = True,
    nested_ok: bool = False,
    name: str = "input",
) -> torch.Tensor:
    """Check the arguments that all variants share, except those of the layout.

    Raises:
        ArgumentTypeError: An argument has a type that is not accepted.
        ArgumentValueError: Arguments exclude one another.
    """
    x = check_input(input, name, complex_ok=complex_ok, training=training)
    if not nested_ok and x.is_nested:
        refuse_nested(name, x)
    check_bool("training", training)
    check_source(key, generator, x)
    return x


def by_default(
    input: Any,
    p: Any,
    shared: tuple[int, ...],
    training: Any,
    inplace: Any,
    key: Any,
    generator: Any,
    broadcast_dims: Any,
    layout: Any,
    out: Any,
) -> torch.Tensor | None:
    """Inverted dropout in training, with a drawn key and no layout.

    None for all other calls, and where the direct path is closed: they take the general path.
    """
    if training is not True or key is not None or generator is not None or layout is not None:
        return None
    if inplace is True and out is None:
        out = input
    elif inplace is not False:
        return None
    if type(broadcast_dims) is not tuple:
        return None
    if broadcast_dims != ():
        if shared != ():
            return None
        shared = broadcast_dims
    return direct.dropout(input, p, shared, out)


def apply_inverted(
    input: Any, p: Any, shared: tuple[int, ...], rest: Rest, nested_ok: bool = False
) -> torch.Tensor:
    """Inverted dropout; the other arguments and the errors are those of `apply`."""
    y = by_default(input, p, shared, *rest)
    return apply(inverted(p), input, *rest, shared, nested_ok=nested_ok) if y is None else y


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
    """Check a call and return the map of x; x itself if there is nothing to do.

    Args:
        keyed_map: What happens to an element.
        input: The input x. It and the next seven are as the caller gave them, not yet checked.
        training: False for the identity.
        inplace: Write into x.
        key: Names the mask.
        generator: Draws the key.
        broadcast_dims: Dimensions that share their draws.
        layout: Mask indices.
        out: Written into.
        shared: Dimensions along which the variant itself shares draws.
        indices: Base and strides, already checked, if they are not those of the elements of x.
        complex_ok: False for a map that is undefined for complex numbers.
        nested_ok: True for a map that is defined for nested tensors.

    Raises:
        ArgumentTypeError: As `check_call` and `mask_map`.
        ArgumentValueError: As `check_call` and `mask_map`.
    """
    x = check_call(input, training, key, generator, complex_ok, nested_ok)
    check_bool("inplace", inplace)
    active = training and keyed_map.active
    if x.is_nested:
        if out is not None:
            check_out(out, x, inplace)
        if shared and active:
            wrong_type("input", "a tensor that is not nested, as elements share a draw", x)
        refuse_for_nested(broadcast_dims=broadcast_dims, layout=layout, inplace=inplace and active)
        if not active:
            return x
        with drawn(key, generator) as of_call:
            return on_components(x, keyed_map, of_call)
    base: int
    strides: Sequence[int] | None
    base, strides = indices or mask_map(x.shape, shared, broadcast_dims, layout)
    if out is not None:
        if active and not inplace and generator is None and keyed_map.write and keyed_map.short:
            # Most are evidently right; the others are checked, and if wrong, explained.
            seed, stream = (None, 0) if key is None else (key.seed, key.stream)
            place = (x, seed, stream, base, strides)
            written = keyed_map.short(*place, *keyed_map.constants, out=out)
            if written is not None:
                return written
        check_out(out, x, inplace)
    into: torch.Tensor | None = x if inplace else out
    if not active:
        return x if into is None or into is x else into.copy_(x)
    if into is None:
        return compute(x, keyed_map, base, strides, key, generator)
    check_dense("input", x)
    refuse_as_torch_does(into)
    if keyed_map.write is not None:
        written = keyed_map.write(into, x, key, generator, base, strides, *keyed_map.constants)
        if written is not None:
            return written
    with undrawn_on_error(key, generator):
        return into.copy_(compute(x, keyed_map, base, strides, key, generator))
