"""Zoneout: a state keeps its old value instead of being dropped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from .._core import _torch, direct, ops
from .._core._validate import (
    check_bool,
    check_device,
    check_input,
    refuse_nested,
    wrong_type,
    wrong_value,
)
from .._core.contract.layout import MaskLayout, row_major
from ..random import Key
from ._bernoulli import unscaled
from ._call import by_operator, compute
from ._indices import mask_map
from ._key import check_source, undrawn_on_error
from ._override import given, handle, overridden
from ._rate import Probability, Rate, check_probability, drops
from ._shards import by_parts


def zoneout(
    new: torch.Tensor,
    old: torch.Tensor,
    p: Probability = 0.5,
    training: bool = True,
    *,
    key: Key | None = None,
    generator: torch.Generator | None = None,
    broadcast_dims: Sequence[int] = (),
    layout: MaskLayout | None = None,
) -> torch.Tensor:
    r"""Keep the old value of each unit of a state with probability p; the expectation in eval.

    In training `y[i] = new[i]` where kept and `y[i] = old[i]` where dropped, bit for bit: nothing
    is scaled. In eval `y = p * old + (1 - p) * new`. The mask is that of `dropout`, and the
    backward regenerates it from the key.

    Args:
        new: The state that a step computed, floating-point or complex.
        old: The state before the step.
        p: Probability in [0, 1] that a unit keeps its old value: the drop probability of `new`.
        training: False returns the expectation, which at p = 1 is `old` itself. At p = 0 `new`
            itself is returned in training and in eval.
        key: Names the mask; nothing is drawn.
        generator: Draws the key from this generator instead of torch's default one.
        broadcast_dims: Dimensions along which all units share one draw.
        layout: Mask indices of a shard, a micro-batch or a time step within a larger tensor.

    Shape:
        Any, the same for new and old; the output has that shape too.

    Raises:
        ArgumentTypeError: As in `dropout`; old is not a tensor of the dtype of new, or one of the
            two is nested.
        ArgumentValueError: As in `dropout`; old and new differ in shape or device.

    Example:
        >>> import torch, torchdropout as td
        >>> new, old = torch.ones(4), torch.zeros(4)
        >>> td.functional.zoneout(new, old, 0.5, key=td.Key(0))
        tensor([1., 0., 1., 1.])
        >>> td.functional.zoneout(new, old, 0.1, training=False)
        tensor([0.9000, 0.9000, 0.9000, 0.9000])

    Reference:
        D. Krueger et al., "Zoneout: regularizing RNNs by randomly preserving hidden activations",
        ICLR 2017.
    """
    if overridden(new, old):
        other: torch.Tensor = handle(
            zoneout,
            (new, old),
            new,
            old,
            p,
            training,
            **given(
                key=key,
                generator=generator,
                broadcast_dims=broadcast_dims or None,
                layout=layout,
            ),
        )
        return other
    p = check_states(new, old, p)
    check_bool("training", training)
    check_source(key, generator, new)
    base, strides = mask_map(new.shape, (), broadcast_dims, layout)
    if not drops(p):
        return new
    if not training:
        return expectation(new, old, p)

    def part(new: Any, old: Any, base: int, strides: Sequence[int] | None) -> torch.Tensor:
        if strides is None:
            strides = row_major(new.shape)
        with undrawn_on_error(key, generator):
            return select(new, old, draw(new, key, generator), p, base, strides)

    y: torch.Tensor = by_parts(part, {"new": new, "old": old}, base, strides)
    return y


def expectation(new: torch.Tensor, old: torch.Tensor, p: Probability) -> torch.Tensor:
    """`p * old + (1 - p) * new`; at p = 1 old itself, since new may be infinite."""
    if p.one if isinstance(p, Rate) else p == 1.0:
        return old
    of_old = p.constants[0] if isinstance(p, Rate) else p
    # `new + p * (old - new)` would be NaN where new is infinite. The sum is rounded once.
    compute = torch.promote_types(new.dtype, torch.float32)
    return (old.to(compute) * of_old + new.to(compute) * (1.0 - of_old)).to(new.dtype)


def check_states(new: Any, old: Any, p: Any) -> Probability:
    """Check a state, its old value, and return the checked probability of keeping it."""
    for name, state in (("new", new), ("old", old)):
        check_input(state, name)
        if state.is_nested:
            refuse_nested(name, state)
    rate = check_probability(p)
    if old.dtype != new.dtype:
        wrong_type("old", f"of the dtype of `new`, {new.dtype}", old)
    if old.shape != new.shape:
        wrong_value("old", f"of the shape of `new`, {tuple(new.shape)}", old)
    check_device("old", old, new.device, "on the device of `new`")
    return rate


def draw(x: torch.Tensor, key: Key | None, generator: torch.Generator | None) -> Key | torch.Tensor:
    """The key of a call, given or drawn; a tensor under a transform or a compiler."""
    if key is not None:
        watched = torch.compiler.is_compiling() or isinstance(key.seed, torch.Tensor)
        return key.tensor() if watched else key
    if generator is not None or direct.takes(x):
        return Key.draw(generator)
    return ops.draw_key(x.device)


def select(
    new: torch.Tensor,
    old: torch.Tensor,
    key: Key | torch.Tensor,
    p: Probability,
    base: int,
    strides: Sequence[int],
) -> torch.Tensor:
    """`keep ? new : old`, differentiable in both; base holds its 64 bits as int64."""
    if direct.takes(new) and direct.takes(old):
        return _apply(new, old, key, p, base, strides)  # type: ignore[no-any-return]
    if _torch.refuses_functions():  # then a byte per element is kept
        return torch.where(_kept(new, key, p, base, strides), new, old)
    return _Select.apply(new, old, key, p, base, strides)  # type: ignore[no-any-return]


class _Select(torch.autograd.Function):
    """Keeps the key, 16 bytes, where `torch.where` would save a mask of a byte per element."""

    @staticmethod
    def forward(
        new: torch.Tensor,
        old: torch.Tensor,
        key: Key | torch.Tensor,
        p: Probability,
        base: int,
        strides: Sequence[int],
    ) -> torch.Tensor:
        return torch.where(_kept(new, key, p, base, strides), new, old)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        _new, _old, ctx.key, *ctx.rest = inputs
        if isinstance(ctx.key, torch.Tensor):
            ctx.save_for_backward(ctx.key)
            ctx.save_for_forward(ctx.key)
            ctx.key = None

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[Any, ...]:
        key = _key(ctx)
        wanted = ctx.needs_input_grad
        if not torch.is_grad_enabled() and isinstance(key, Key):
            keep = _kept(gradient, key, *ctx.rest)
            of_new = torch.where(keep, gradient, 0.0) if wanted[0] else None
            of_old = torch.where(keep, 0.0, gradient) if wanted[1] else None
            return of_new, of_old, None, None, None, None
        none = torch.zeros_like(gradient)
        # `select` itself is called, so that a second derivative keeps no mask either.
        of_new = select(gradient, none, key, *ctx.rest) if wanted[0] else None
        of_old = select(none, gradient, key, *ctx.rest) if wanted[1] else None
        return of_new, of_old, None, None, None, None

    @staticmethod
    def jvp(
        ctx: Any, new: torch.Tensor | None, old: torch.Tensor | None, *_: Any
    ) -> torch.Tensor | None:
        if new is None:
            assert old is not None
            new = torch.zeros_like(old)
        elif old is None:
            old = torch.zeros_like(new)
        return select(new, old, _key(ctx), *ctx.rest)

    @staticmethod
    def vmap(
        info: Any,
        in_dims: tuple[int | None, ...],
        new: torch.Tensor,
        old: torch.Tensor,
        key: Key | torch.Tensor,
        p: Probability,
        base: int,
        strides: Sequence[int],
    ) -> tuple[torch.Tensor, int]:
        *state_dims, key_dim = in_dims[:3]
        if key_dim is None or isinstance(key, Key):
            # One draw for all samples: a new dimension, after those of the key, shares it.
            place = 0 if isinstance(key, Key) else key.ndim - 1
            strides = [0, *strides]
        else:
            # A draw for each sample: a new leading dimension of the keys.
            place = 0
            key = key.movedim(key_dim, 0)

        def at_place(state: torch.Tensor, dim: int | None) -> torch.Tensor:
            if dim is not None:
                return state.movedim(dim, place)
            sizes = [*state.shape]
            sizes.insert(place, info.batch_size)
            return state.unsqueeze(place).expand(sizes)

        new, old = at_place(new, state_dims[0]), at_place(old, state_dims[1])
        return select(new, old, key, p, base, strides), place


# `Function.apply` calls this if no transform is active. Before that it reads the signature of
# `forward`, which takes longer than all the rest for a state of usual size.
_apply = super(torch.autograd.Function, _Select).apply


def _key(ctx: Any) -> Key | torch.Tensor:
    if ctx.key is not None:
        return ctx.key  # type: ignore[no-any-return]
    (key,) = ctx.saved_tensors
    return key  # type: ignore[no-any-return]


def _kept(
    like: torch.Tensor,
    key: Key | torch.Tensor,
    p: Probability,
    base: int,
    strides: Sequence[int],
) -> torch.Tensor:
    # Half precision is enough to tell 1 from 0.
    ones = torch.ones(like.shape, dtype=torch.bfloat16, device=like.device)
    if isinstance(key, Key):
        return compute(ones, unscaled(p), base, strides, key).bool()
    return by_operator(ones, unscaled(p), base, strides, key).bool()
