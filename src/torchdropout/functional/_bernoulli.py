"""What the Bernoulli variants share: validate, lay the mask out, get a key, call the operator."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch

from .. import _torch, direct, ops
from .._validate import (
    check_bool,
    check_dims,
    check_generator,
    check_input,
    check_p,
    got,
    wrong_type,
    wrong_value,
)
from ..contract.keep import scale
from ..contract.layout import MaskLayout, row_major
from ..contract.seed import as_int64
from ..errors import ArgumentValueError
from ..random import Key
from ._memory import has_address, overlaps_itself, overlaps_partially
from ._rate import Rate, drops
from ._shards import is_spread, on_shards

# What happens to an element, `keep ? x * scale + shift : drop_value`: those three numbers. In code
# that is compiled a `Rate`, which has them and p, may stand for both on the way from module to
# operator. The types below do not say so: nothing between the two looks at it.
Affine = tuple[float, float, float]


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
    out: torch.Tensor | None


# Not a property of the tuple: the compiler of torch 2.10 does not read it.
def is_active(call: Call) -> bool:
    """False where the call returns its input and draws nothing."""
    return call.training and drops(call.p)


def plain(p: float) -> Affine:
    """Inverted dropout: kept elements are scaled, dropped ones 0."""
    return p if isinstance(p, Rate) else (scale(p), 0.0, 0.0)


def check_call(
    x: Any,
    p: Any,
    training: Any,
    inplace: Any,
    key: Any,
    generator: Any,
    broadcast_dims: Any,
    layout: Any,
    out: Any = None,
    *,
    complex_ok: bool = True,
) -> Call:
    """The arguments every Bernoulli variant takes, checked.

    Raises:
        ArgumentTypeError: An argument has a type that cannot be taken.
        ArgumentValueError: p is outside [0, 1], or arguments exclude one another.
    """
    x = check_input(x, complex_ok=complex_ok)
    if type(p) is not float or not 0.0 <= p <= 1.0:  # the shortest test of what almost every p is
        p = p if isinstance(p, Rate) else check_p(p)
    check_bool("training", training)
    check_bool("inplace", inplace)
    if key is not None or generator is not None:
        check_source(key, generator, x)
    if out is not None:
        check_out(out, x, inplace)
    return Call(x, p, training, inplace, key, generator, broadcast_dims, layout, out)


def check_source(key: Any, generator: Any, x: torch.Tensor) -> None:
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
        check_generator(generator, x.device)


def check_out(out: Any, x: torch.Tensor, inplace: bool) -> None:
    """A tensor that the output can be written into.

    Raises:
        ArgumentTypeError: It is no tensor, or of another dtype than x.
        ArgumentValueError: It has another shape or device, would need a gradient, overlaps itself
            or a part of x, or inplace is True as well.
    """
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
    if out.device != x.device:
        wrong_value("out", f"on the input's device, {x.device}, and not on {out.device}", out)
    for name, tensor in (("input", x), ("out", out)):
        if tensor.requires_grad and torch.is_grad_enabled():
            raise ArgumentValueError(
                f"Expected no `out` where a gradient is wanted, and `{name}` requires one: call "
                f"under torch.no_grad(), or without `out`, {got(name, tensor)}."
            )
    if out.layout is not x.layout:
        wrong_value("out", f"of the input's layout, {x.layout}, and not {out.layout}", out)
    if torch.compiler.is_compiling() or not (has_address(x) and has_address(out)):
        return  # there are no addresses yet; whoever runs it copies the result into place
    if overlaps_itself(out):
        wrong_value("out", "a tensor whose elements have each a place of their own in memory", out)
    if overlaps_partially(out, x):
        wrong_value("out", "the input itself or memory apart from the input's", out)


def key_of(key: Key | None, generator: torch.Generator | None) -> Key | None:
    """The key given, or one drawn from the generator given; None for torch's default generator."""
    return key if generator is None else Key.draw(generator)


def key_tensor(key: Key | None) -> torch.Tensor:
    """A key as the operator takes it; drawn from torch's default generator without one."""
    return ops.draw_key() if key is None else key.tensor()


def key_numbers(key: Key | None) -> tuple[int | None, int]:
    """A key as `direct` takes it: seed and stream; a seed of None is still to be drawn."""
    return (None, 0) if key is None else (key.seed, key.stream)


def drawn_map(call: Call, affine: Affine, base: int, strides: Sequence[int] | None) -> direct.Map:
    """What `direct` needs to know of a call; its seed drawn unless a key was given."""
    seed, stream = key_numbers(key_of(call.key, call.generator))
    if seed is None:
        seed = direct.draw_seed()
    return direct.Map(seed, stream, call.p, base, *affine, strides)


def mask_map(
    shape: Sequence[int], shared: Sequence[int], broadcast_dims: Any, layout: Any
) -> tuple[int, list[int] | None]:
    """Base (its bits as int64) and strides of a call's mask; None for row-major ones.

    Args:
        shape: Of the input.
        shared: Dimensions that the variant itself shares draws along.
        broadcast_dims: The caller's further ones.
        layout: The caller's `MaskLayout`, or None.

    Raises:
        ArgumentTypeError: An argument has a type that cannot be taken.
        ArgumentValueError: An argument does not fit the shape, or says twice what is shared.
    """
    if layout is None and not shared and broadcast_dims == ():
        return 0, None
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
        if shared and is_active(call):
            wrong_type("input", "no nested tensor where elements share a draw", x)
        return _nested(call, affine)
    base, strides = mask_map(x.shape, shared, call.broadcast_dims, call.layout)
    into = x if call.inplace else call.out
    if not is_active(call):
        return x if into is None or into is x else into.copy_(x)
    if into is not None:
        refuse_as_torch_does(into)
    if is_spread(x):
        with undrawn_if_refused(call.key, call.generator):
            y = on_shards(
                x,
                base,
                row_major(x.shape) if strides is None else strides,
                lambda x, base, strides: masked_affine(
                    x, call.p, affine, base, strides, call.key, call.generator
                ),
            )
            return y if into is None else into.copy_(y)
    if into is None:
        return masked_affine(x, call.p, affine, base, strides, call.key, call.generator)
    if not (direct.takes(x) and _writable(into)):
        with undrawn_if_refused(call.key, call.generator):
            y = masked_affine(x, call.p, affine, base, strides, call.key, call.generator)
            return into.copy_(y)
    numbers = drawn_map(call, affine, base, strides)
    if into is x:
        return direct.masked_affine_(x, numbers)
    return direct.masked_affine_out(into, x, numbers)


def masked_affine(
    x: torch.Tensor,
    p: float,
    affine: Affine,
    base: int,
    strides: Sequence[int] | None,
    key: Key | None,
    generator: torch.Generator | None,
) -> torch.Tensor:
    """`keep ? x * scale + shift : drop_value` by the shortest way there is; the key last, drawn."""
    key = key_of(key, generator)
    y = direct.masked_affine(x, (*key_numbers(key), p, base, *affine, strides))
    if y is not None:
        return y
    if strides is None:
        strides = row_major(x.shape)
    return operator(x, key_tensor(key), p, affine, base, strides)


def operator(
    x: torch.Tensor,
    key: torch.Tensor,
    p: float,
    affine: Affine,
    base: int,
    strides: Sequence[int],
) -> torch.Tensor:
    """`ops.masked_affine` by numbers, or by the tensor that has them."""
    if isinstance(affine, Rate):
        return ops.masked_affine_of(x, key, affine.constants, base, strides)
    return ops.masked_affine(x, key, p, *affine, base, strides)


def _writable(into: torch.Tensor) -> bool:
    """True where the kernel may write: not into a view that has a gradient, as torch has rules."""
    return direct.takes(into) and not (into.requires_grad and _torch.is_view(into))


@contextlib.contextmanager
def undrawn_if_refused(key: Key | None, generator: torch.Generator | None) -> Iterator[None]:
    """Puts the generator back where torch refuses to write: of views it says so only then."""
    if key is not None or torch.compiler.is_compiling():
        yield
        return
    generator = generator or torch.default_generator
    before = generator.get_state()
    try:
        yield
    except BaseException:
        generator.set_state(before)
        raise


def refuse_as_torch_does(x: torch.Tensor) -> None:
    """Let torch raise what it raises for writing into x, before anything is drawn.

    Multiplying by one changes no value, and torch makes all its checks before it writes.
    """
    if torch.compiler.is_compiling():
        return
    watched = torch.is_grad_enabled() and x.requires_grad
    leaf = watched and any(t is not None and t.is_leaf for t in (x, _torch.base_of(x)))
    frozen = x.is_inference() and not torch.is_inference_mode_enabled()
    if leaf or frozen or overlaps_itself(x):
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
    if not is_active(call):
        return x
    key = key_tensor(key_of(call.key, call.generator))
    if x.layout == torch.jagged:
        jagged: Any = x
        values = jagged.values()
        dropped = operator(values, key, call.p, affine, 0, row_major(values.shape))
        return torch.nested.nested_tensor_from_jagged(
            dropped, jagged.offsets(), jagged.lengths(), jagged_dim=_torch.ragged_dim(jagged)
        )
    parts, base = [], 0
    for part in x.unbind():
        parts.append(operator(part, key, call.p, affine, base, row_major(part.shape)))
        base += part.numel()
    return torch.nested.as_nested_tensor(parts)
