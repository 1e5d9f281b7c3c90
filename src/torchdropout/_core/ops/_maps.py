"""Gradient, forward derivative, vmap rule and fake kernel of the operators that map x by a key.

Such an operator is `y = f(x; key, *constants, base, strides)`, affine in x, and its derivative is
the same operator with other constants: only the key, 16 bytes, needs to be saved.

It has its own autograd kernel instead of using `torch.library.register_autograd`, because
torch.func refuses the latter's autograd.Function. A single-level function is what torch.func itself
runs at each level of nested transforms; docs/decisions/0002-one-operator.md has the evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ...errors import ArgumentValueError
from .. import _torch
from ..kernels._check import Check, check_constants
from ..kernels.devices import Samples, elsewhere, on_devices, on_gpu, samples_of_map
from ._keys import save_drawn, trace_as
from ._library import TAGS, library

# From the constants of an operator to those of its derivative.
Derivative = Callable[[Sequence[Any]], Sequence[Any]]


def define_map(
    name: str,
    constants: str,
    kernel: Callable[..., torch.Tensor],
    check: Check,
    check_form: Check,
    derivative: Derivative,
    samples: Samples = samples_of_map,
) -> Any:
    """Define an operator with everything that torch may need from it, in two forms.

    The returned form takes its constants as numbers, which are also constants of a compiled graph.
    The overload `tensor` takes the floats among them as one float64 tensor on the CPU. That is an
    input of a graph, which need not be compiled again when it changes:
    `(x, key, constants, *integers, linear, base, strides) -> y`, where `linear` requests the
    derivative. docs/decisions/0009-p-as-an-input-of-a-graph.md has the evidence.

    Args:
        name: Name of the operator.
        constants: The schema of the arguments between `key` and `base`: floats, integers, bools.
        kernel: The reference kernel, for any device.
        check: Checks the arguments of the operator, of real tensors and of fake ones.
        check_form: The same of the form with a tensor, after the tensor of constants is checked.
        derivative: Maps the constants to those of the derivative.
        samples: See `kernels.devices.on_gpu`.

    Returns:
        The operator: `(x, key, *constants, base, strides) -> y`, y laid out as `empty_like(x)`.
    """
    # The extension's kernel calls this if the reference is selected or it does not know the type.
    library.define(f"{name}_reference" + _schema(constants))
    on_others = elsewhere(name, kernel, check)
    library.impl(f"{name}_reference", on_others, "CompositeExplicitAutograd")
    register_fake(f"{name}_reference", check)
    operator = define_form(name, "default", constants, on_others, check, derivative)
    on_devices(library, name, on_gpu(name, kernel, samples, check=check))

    is_float = [argument.startswith("float ") for argument in constants.split(", ")]
    others = [c for c, f in zip(constants.split(", "), is_float, strict=True) if not f]

    def of_tensor(
        x: torch.Tensor, key: torch.Tensor, tensor: torch.Tensor, *rest: Any
    ) -> torch.Tensor:
        check_constants(tensor, sum(is_float), x)
        *integers, linear, base, strides = rest
        numbers, others = iter(tensor.reshape(-1).tolist()), iter(integers)
        own: Sequence[Any] = [next(numbers if f else others) for f in is_float]
        if linear:
            own = derivative(own)
        y: torch.Tensor = operator(x, key, *own, base, strides)
        return y

    def check_tensor(x: torch.Tensor, key: torch.Tensor, tensor: torch.Tensor, *rest: Any) -> None:
        check_form(x, key, *rest)
        check_constants(tensor, sum(is_float), x)

    arguments = ", ".join(("Tensor constants", *others, "bool linear"))
    linear = ("tensor", arguments, of_tensor, check_tensor, lambda own: (*own[:-1], True))
    define_form(name, *linear)
    return operator


def register_fake(name: str, check: Check) -> None:
    """Register what an operator that maps x gives for fake tensors, and for those on meta."""

    def fake(x: torch.Tensor, *rest: Any) -> torch.Tensor:
        check(x, *rest)
        return torch.empty_like(x)

    torch.library.register_fake(f"torchdropout::{name}", fake, lib=library)


def _schema(arguments: str) -> str:
    return f"(Tensor x, Tensor key, {arguments}, SymInt base, SymInt[] strides) -> Tensor"


def define_form(
    name: str,
    overload: str,
    arguments: str,
    kernel: Callable[..., torch.Tensor],
    check: Check,
    derivative: Derivative,
    *,
    aligned: bool = False,
    traced: Callable[..., torch.Tensor] | None = None,
) -> Any:
    """Define one form of an operator, with numbers, or with a tensor as the first constant.

    Args:
        name: Name of the operator.
        overload: Name of the form.
        arguments: As `constants` in `define_map`.
        kernel: The kernel, for any device, which checks its arguments.
        check: Checks those of fake tensors.
        derivative: Maps the constants to those of the derivative.
        aligned: True if the tensor among the constants has the dimensions of x, to which vmap
            may add one.
        traced: What a graph contains instead of the operator, a function of its arguments: one
            for a forward, and one for its derivatives.
    """
    of_numbers = not arguments.startswith("Tensor ")
    own_name = name if overload == "default" else f"{name}.{overload}"
    library.define(own_name + _schema(arguments), tags=TAGS)
    operator = getattr(getattr(torch.ops.torchdropout, name), overload)

    def of_sparse(x: torch.Tensor, key: torch.Tensor, *rest: Any) -> torch.Tensor:
        """A gradient may be sparse, as that of an embedding is: no sparse input gets here."""
        ones = torch.ones(x.shape, dtype=x.dtype, device=x.device)
        x = x.coalesce()
        factor: torch.Tensor = operator(ones, key, *rest)[tuple(x.indices())]
        values = torch.where(factor == 0, 0, x.values() * factor)  # also where a value is infinite
        size = x.shape  # the indices are those of x: nothing is left to check
        return torch.sparse_coo_tensor(
            x.indices(), values, size, is_coalesced=True, check_invariants=False
        )

    def linear_part(gradient: torch.Tensor, key: torch.Tensor, rest: Sequence[Any]) -> torch.Tensor:
        *own, base, strides = rest
        y: torch.Tensor = operator(gradient, key, *derivative(own), base, strides)
        return y

    class Map(_torch.SingleLevelFunction):  # type: ignore[misc]
        @staticmethod
        def forward(keyset: Any, *args: Any) -> Any:
            # A Function's forward runs without gradients; an outer level of nested transforms does
            # its own tracking below this one, which must not be switched off with it.
            below = _torch.BelowAutograd()
            with below, torch.enable_grad(), _torch.forward_gradients(True):
                return operator.redispatch(keyset & _torch.after_autograd, *args)

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
            _keyset, _x, key, first, *rest = inputs
            tensors = (key,) if of_numbers else (key, first)
            ctx.rest = (first, *rest) if of_numbers else tuple(rest)
            ctx.save_for_backward(*tensors)
            ctx.save_for_forward(*tensors)

        @staticmethod
        def backward(ctx: Any, gradient: torch.Tensor) -> tuple[Any, ...]:
            key, *first = ctx.saved_tensors
            nothing = [None] * (1 + len(first) + len(ctx.rest))
            return (None, linear_part(gradient, key, (*first, *ctx.rest)), *nothing)

        @staticmethod
        def jvp(ctx: Any, _keyset: None, tangent: torch.Tensor, *_: Any) -> torch.Tensor:
            key, *first = ctx.saved_tensors
            return linear_part(tangent, key, (*first, *ctx.rest))

    if _torch.compiled_autograd_key is not None:
        Map._compiled_autograd_key = staticmethod(_torch.compiled_autograd_key)

    def autograd(keyset: Any, *args: Any) -> Any:
        with _torch.single_level_allowed():
            return Map.apply(keyset, *args)

    def vmap(
        info: Any, in_dims: tuple[int | None, ...], x: torch.Tensor, key: torch.Tensor, *rest: Any
    ) -> tuple[torch.Tensor, int]:
        *own, base, strides = rest
        x_dim, key_dim, first_dim = in_dims[:3]
        if key_dim is None:
            # One draw for all samples: a new dimension, after those of the key, that shares it.
            place = key.ndim - 1
            strides = [0, *strides]
        else:
            # A draw for each sample: a new leading dimension of the keys.
            place = 0
            key = key.movedim(key_dim, 0)
        if x_dim is None:
            sizes = [*x.shape]
            sizes.insert(place, info.batch_size)
            x = x.unsqueeze(place).expand(sizes)
        else:
            x = x.movedim(x_dim, place)
        if aligned:
            first = own[0]
            own[0] = (
                first.unsqueeze(place) if first_dim is None else first.movedim(first_dim, place)
            )
        elif first_dim is not None:
            raise ArgumentValueError(
                "Expected `constants` to be those of all samples of a vmap, got one for each."
            )
        return operator(x, key, *own, base, strides), place

    qualified = f"torchdropout::{own_name}"
    library.impl(own_name, kernel, "CompositeExplicitAutograd")
    library.impl(own_name, of_sparse, "SparseCPU")
    library.impl(own_name, of_sparse, "SparseCUDA")
    library.impl(own_name, autograd, "Autograd", with_keyset=True)
    register_fake(own_name, check)
    torch.library.register_vmap(qualified, vmap, lib=library)
    if traced is None:
        save_drawn(own_name, place=1)
    else:
        trace_as(own_name, traced)
    return operator
