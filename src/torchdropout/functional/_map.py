"""What a call does to each element: a map, given a key and mask indices.

`_bernoulli`, `_noise` and `_blocks` make the maps, `_call` applies them to what a caller gave.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

from .._core._validate import check_dense
from .._core.contract.layout import row_major
from ..random import Key
from ._key import drawn, undrawn_on_error
from ._shards import by_parts, is_spread


class KeyedMap(NamedTuple):
    """A function of x, a key and mask indices: an operator, and the short paths to its result.

    Attributes:
        active: False for the identity: a call returns its input and draws nothing.
        operator: One of `ops`: `(x, key, *constants, base, strides) -> y`.
        constants: Arguments of the operator. In compiled code, the floats form one tensor.
        short: `(x, seed, stream, base, strides, *constants) -> y` by `direct`, or None where that
            path is closed to x. A seed of None is drawn, but only if the path is open.
            A map with `write` takes `out=` there, and returns None unless it sees at once
            that `out` may be written.
        write: `(into, x, key, generator, base, strides, *constants) -> into` by `direct`, or None
            where that path is closed to x or `into`; nothing is drawn then.
        extent: How many trailing dimensions of x an element of the result depends on.
    """

    active: bool
    operator: Callable[..., torch.Tensor]
    constants: tuple[Any, ...]
    short: Callable[..., torch.Tensor | None] | None = None
    write: Callable[..., torch.Tensor | None] | None = None
    extent: int = 0


def compute(
    x: torch.Tensor,
    keyed_map: KeyedMap,
    base: int,
    strides: Sequence[int] | None,
    key: Key | None,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """The map of x by the shortest way there is; without a key, one is drawn last.

    For a DTensor each process computes its part, with the draws of the whole.

    Args:
        x: The input.
        keyed_map: The map.
        base: Mask index of the first element, its 64 bits as int64.
        strides: Mask strides; None for row-major ones.
        key: Names the mask.
        generator: Draws the key, instead of torch's default generator.
    """
    check_dense("input", x)
    if generator is not None:
        with undrawn_on_error(key, generator):
            return compute(x, keyed_map, base, strides, Key.draw(generator))
    if keyed_map.short is not None:
        seed, stream = (None, 0) if key is None else (key.seed, key.stream)
        y = keyed_map.short(x, seed, stream, base, strides, *keyed_map.constants)
        if y is not None:
            return y
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
