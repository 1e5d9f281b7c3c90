"""Which mask index an element has, by the arguments of a call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._core._validate import check_dims, wrong_type
from .._core.contract.layout import MaskLayout, row_major
from .._core.contract.seed import as_int64
from ..errors import ArgumentValueError
from ._part import Part


def mask_map(
    shape: Sequence[int], shared: Sequence[int], broadcast_dims: Any, layout: Any
) -> tuple[int, list[int] | None]:
    """Base (its bits as int64) and strides of the mask of a call; None for row-major strides.

    Args:
        shape: The shape of the input.
        shared: Dimensions along which the variant itself shares draws.
        broadcast_dims: Further ones, from the caller.
        layout: The caller's `MaskLayout`, or the `Part` that `scope` gives, or None.
    """
    # Compared as a tuple only: an array of NumPy has no truth value.
    given = not isinstance(broadcast_dims, tuple) or broadcast_dims != ()
    if layout is None and not shared and not given:
        return 0, None
    further = check_dims("broadcast_dims", broadcast_dims, len(shape)) if given else ()
    if layout is None:
        return 0, row_major(shape, [*shared, *further])
    if isinstance(layout, Part):
        return layout.indices(shape, [*shared, *further])
    if not isinstance(layout, MaskLayout):
        wrong_type("layout", "a torchdropout.MaskLayout", layout)
    if further:
        raise ArgumentValueError(
            "Expected `layout` or `broadcast_dims`, not both: the strides of a layout say what is "
            f"shared, got layout={layout!r} and broadcast_dims={broadcast_dims!r}."
        )
    layout.check_for(shape)
    return as_int64(layout.base), list(layout.strides)
