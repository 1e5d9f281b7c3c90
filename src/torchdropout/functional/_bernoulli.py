"""What the Bernoulli variants share: validate, lay the mask out, get a key, call the operator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from .. import ops
from .._validate import (
    check_bool,
    check_dims,
    check_generator,
    check_input,
    check_p,
    wrong_type,
)
from ..errors import ArgumentValueError
from ..random import Key
from ..spec.keep import scale
from ..spec.layout import MaskLayout, row_major
from ..spec.seed import as_int64


class Affine(NamedTuple):
    """What happens to an element: `keep ? x * scale + shift : drop_value`."""

    scale: float
    shift: float
    drop_value: float


class Call(NamedTuple):
    """The checked arguments of a call."""

    x: torch.Tensor
    p: float
    training: bool
    inplace: bool
    key: Key | None
    generator: torch.Generator | None
    broadcast_dims: Any
    layout: MaskLayout | None

    @property
    def active(self) -> bool:
        """False where the call returns its input and draws nothing."""
        return self.training and self.p > 0.0


def plain(p: float) -> Affine:
    """Inverted dropout: kept elements are scaled, dropped ones 0."""
    return Affine(scale(p), 0.0, 0.0)


def check_call(
    x: Any,
    p: Any,
    training: Any,
    inplace: Any,
    key: Any,
    generator: Any,
    broadcast_dims: Any,
    layout: Any,
    *,
    complex_ok: bool = True,
) -> Call:
    """The arguments every Bernoulli variant takes, checked.

    Raises:
        ArgumentTypeError: An argument has a type that cannot be taken.
        ArgumentValueError: p is outside [0, 1], or arguments exclude one another.
    """
    x = check_input(x, complex_ok=complex_ok)
    p = check_p(p)
    check_bool("training", training)
    check_bool("inplace", inplace)
    check_source(key, generator, x.device)
    return Call(x, p, training, inplace, key, generator, broadcast_dims, layout)


def check_source(key: Any, generator: Any, device: torch.device) -> None:
    """A call takes a key, or a generator to draw one from, or neither.

    Raises:
        ArgumentTypeError: Key or generator has another type.
        ArgumentValueError: Both were given, or the generator is on another device.
    """
    if key is not None and generator is not None:
        raise ArgumentValueError(
            "Expected `key` or `generator`, not both: a key is used as it is and draws nothing, "
            f"got key={key!r} ({type(key).__name__}) and generator={generator!r} "
            f"({type(generator).__name__})."
        )
    if key is not None and not isinstance(key, Key):
        wrong_type("key", "a torchdropout.Key", key)
    if generator is not None:
        check_generator(generator, device)


def key_tensor(key: Key | None, generator: torch.Generator | None) -> torch.Tensor:
    """The call's key as the operator takes it; drawn unless it was given."""
    if key is not None:
        return key.tensor()
    return ops.draw_key() if generator is None else Key.draw(generator).tensor()


def mask_map(
    shape: Sequence[int], shared: Sequence[int], broadcast_dims: Any, layout: Any
) -> tuple[int, list[int]]:
    """Base (its bits as int64) and strides of a call's mask.

    Args:
        shape: Of the input.
        shared: Dimensions that the variant itself shares draws along.
        broadcast_dims: The caller's further ones.
        layout: The caller's `MaskLayout`, or None.

    Raises:
        ArgumentTypeError: An argument has a type that cannot be taken.
        ArgumentValueError: An argument does not fit the shape, or says twice what is shared.
    """
    further = check_dims("broadcast_dims", broadcast_dims, len(shape))
    if layout is None:
        return 0, row_major(shape, [*shared, *further])
    if not isinstance(layout, MaskLayout):
        wrong_type("layout", "a torchdropout.MaskLayout", layout)
    if further:
        raise ArgumentValueError(
            "Expected `layout` or `broadcast_dims`, not both: the strides of a layout say what is "
            f"shared, got layout={layout!r} and broadcast_dims={broadcast_dims!r}."
        )
    layout.check_for(shape)
    return as_int64(layout.base), list(layout.strides)


def bernoulli(call: Call, affine: Affine, shared: Sequence[int] = ()) -> torch.Tensor:
    """`keep ? x * scale + shift : drop_value`; the input itself where the call is not active.

    Args:
        call: From `check_call`.
        affine: What happens to an element.
        shared: Dimensions along which the variant shares draws.
    """
    x = call.x
    if x.is_nested:
        return _nested(call, affine)
    base, strides = mask_map(x.shape, shared, call.broadcast_dims, call.layout)
    if not call.active:
        return x
    if call.inplace:
        _refuse_as_torch_does(x)
    key = key_tensor(call.key, call.generator)
    y = ops.masked_affine(x, key, call.p, *affine, base, strides)
    return x.copy_(y) if call.inplace else y


def _refuse_as_torch_does(x: torch.Tensor) -> None:
    """Let torch raise what it raises for writing into x, before anything is drawn.

    Multiplying by one changes no value, and torch makes all its checks before it writes.
    """
    if torch.compiler.is_compiling():
        return
    watched = torch.is_grad_enabled() and x.requires_grad
    leaf = watched and (x.is_leaf or (x._base is not None and x._base.is_leaf))
    overlaps = any(stride == 0 and n > 1 for n, stride in zip(x.shape, x.stride(), strict=True))
    if leaf or overlaps:
        x.mul_(1)


def _nested(call: Call, affine: Affine) -> torch.Tensor:
    """A nested tensor: mask indices count its values in order, component after component."""
    for name in ("broadcast_dims", "layout", "inplace"):
        value = getattr(call, name)
        if value:
            raise ArgumentValueError(
                f"Expected no `{name}` with a nested tensor, whose components differ in shape, "
                f"got {name}={value!r} ({type(value).__name__})."
            )
    x = call.x
    if not call.active:
        return x
    key = key_tensor(call.key, call.generator)
    if x.layout == torch.jagged:
        jagged: Any = x
        values = jagged.values()
        dropped = ops.masked_affine(values, key, call.p, *affine, 0, row_major(values.shape))
        return torch.nested.nested_tensor_from_jagged(
            dropped, jagged.offsets(), jagged.lengths(), jagged_dim=jagged._ragged_idx
        )
    parts, base = [], 0
    for part in x.unbind():
        parts.append(ops.masked_affine(part, key, call.p, *affine, base, row_major(part.shape)))
        base += part.numel()
    return torch.nested.as_nested_tensor(parts)
