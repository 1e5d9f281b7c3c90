"""Adapts dropouts of NumPy, JAX, Flax and Keras to callables on tensors, for the verifier.

An adapter imports its package when it is called. Values are copied in both directions, except for
NumPy functions, which get the memory of x itself: the verifier checks whether they write into it.

Randomness comes from torch's generator: each call in training draws a seed from it, so that
`torch.manual_seed` governs the masks, and a call in eval draws nothing.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from ..errors import ArgumentTypeError, ArgumentValueError, TargetError
from .targets import EVAL_NAMES, TRAINING_NAMES

Arrays = Callable[..., Any]
Factory = Callable[..., Any]
Dropout = Callable[[torch.Tensor, bool], Any]


def from_numpy(function: Arrays, *, rng: str | None = None) -> Callable[..., Any]:
    """Adapt a function of NumPy arrays to tensors.

    The result accepts the same arguments; the verifier finds x, p and the mode by their names.
    NumPy has no bfloat16: such an x is passed as float32, and a float32 result is rounded.

    Args:
        function: Accepts and returns arrays, for example `f(x, p, training)`.
        rng: The argument that accepts a `numpy.random.Generator`; each call passes a new one.
            None for a function that draws from NumPy's global generator, which is seeded for the
            call and restored after it.

    Returns:
        The function on tensors. It has no gradient, and its attribute `has_gradient` is False.

    Raises:
        ArgumentTypeError: `function` is not callable, or its arguments cannot be read.
        ArgumentValueError: `function` has no argument `rng`.

    Example:
        >>> def dropout(x, p, training, rng):
        ...     if not training:
        ...         return x
        ...     return np.where(rng.random(x.shape) < p, 0, x / (1 - p)).astype(x.dtype)
        >>> from_numpy(dropout, rng="rng")(torch.ones(2), 0.0, True)
        tensor([1., 1.])
    """
    signature = _signature(function, rng, "rng")

    def call(*args: Any, **kwargs: Any) -> Any:
        x, args, kwargs = _first_tensor(signature, args, kwargs)
        given = x.detach().cpu()
        rounded = given.dtype == torch.bfloat16
        array = (given.float() if rounded else given).numpy()
        words = _words((4,), draw=_is_training(signature, args, kwargs))
        if rng is not None:
            y = function(array, *args, **kwargs, **{rng: np.random.default_rng(words)})
        else:
            with _numpy_seeded(words):
                y = function(array, *args, **kwargs)
        out = _tensor(y, x.device)
        is_own = isinstance(out, torch.Tensor) and out.dtype == torch.float32
        return out.bfloat16() if rounded and is_own else out

    return _dressed(call, function, _without(signature, rng), has_gradient=False)


def from_jax(function: Arrays, *, key: str = "key") -> Callable[..., Any]:
    """Adapt a pure function of JAX arrays to tensors, with gradients of any order.

    The result accepts the same arguments except the key; the verifier finds x, p and the mode by
    their names. In float64 it runs with JAX's 64-bit types enabled.

    Args:
        function: Accepts and returns JAX arrays, for example `f(x, p, training, key)`. It must be
            pure, as JAX requires: the backward pass calls it again, with the same key.
        key: The argument that accepts a `jax.random.key`; each call passes a new one.

    Returns:
        The function on tensors.

    Raises:
        ArgumentTypeError: `function` is not callable, or its arguments cannot be read.
        ArgumentValueError: `function` has no argument `key`.
        TargetError: JAX is not installed.

    Example:
        >>> import equinox as eqx  # doctest: +SKIP
        >>> def dropout(x, p, inference, key):
        ...     return eqx.nn.Dropout(p)(x, key=key, inference=inference)
        >>> check_dropout(from_jax(dropout))  # doctest: +SKIP
    """
    signature = _signature(function, key, "key")
    jax = _import("jax", "from_jax")

    def call(*args: Any, **kwargs: Any) -> Any:
        x, args, kwargs = _first_tensor(signature, args, kwargs)
        given = {**kwargs, key: _key(jax, draw=_is_training(signature, args, kwargs))}
        return _apply(lambda array: function(array, *args, **given), x)

    return _dressed(call, function, _without(signature, key))


def from_flax(factory: Factory) -> Callable[[Any], Dropout]:
    """Adapt a Flax module without parameters, Linen or NNX, to a factory of functions of tensors.

    A Linen module gets the mode as the call argument with a known name (`deterministic`, `train`,
    ...), an NNX module by its `train()` and `eval()`. In float64 it runs with JAX's 64-bit types
    enabled.

    Args:
        factory: Makes a module from the drop probability: `flax.linen.Dropout`,
            `flax.nnx.Dropout`, or a function of p. A factory with an argument `rngs` is passed one.

    Returns:
        A factory that accepts p, for the verifier.

    Raises:
        ArgumentTypeError: `factory` is not callable, or its arguments cannot be read.
        TargetError: Flax is not installed; or the factory, when called, makes something else or a
            module that does not accept the mode.

    Example:
        >>> from flax import nnx  # doctest: +SKIP
        >>> check_dropout(from_flax(nnx.Dropout))  # doctest: +SKIP
    """
    takes_rngs = "rngs" in _signature(_maker_of(factory), None, "factory").parameters
    linen, nnx = _import("flax.linen", "from_flax"), _import("flax.nnx", "from_flax")

    def make(p: Any) -> Dropout:
        module = factory(p, rngs=nnx.Rngs(0)) if takes_rngs else factory(p)
        if isinstance(module, linen.Module):
            return _linen(module)
        if isinstance(module, nnx.Module):
            return _nnx(nnx, module)
        raise _no_target("factory", "to make a Flax module", module)

    return _dressed(make, factory)


def from_keras(factory: Factory) -> Callable[[Any], Dropout]:
    """Adapt a Keras 3 layer, on any backend of Keras, to a factory of functions of tensors.

    A layer is made for each dtype of x, with that dtype as its policy. On backends other than torch
    and JAX there is no gradient, and `has_gradient` is False.

    Args:
        factory: Makes a layer from the drop probability: `keras.layers.Dropout`, or a function of
            p.

    Returns:
        A factory that accepts p, for the verifier.

    Raises:
        ArgumentTypeError: `factory` is not callable.
        TargetError: Keras is not installed; or the factory, when called, makes something else.

    Example:
        >>> import keras  # doctest: +SKIP
        >>> check_dropout(from_keras(keras.layers.Dropout))  # doctest: +SKIP
    """
    _signature(factory, None, "factory")
    keras = _import("keras", "from_keras")
    name = keras.backend.backend()
    run = {"torch": _keras_on_torch, "jax": _keras_on_jax}.get(name, _keras_on_arrays)
    has_gradient = name in ("torch", "jax")

    def make(p: Any) -> Dropout:
        @functools.cache
        def layer(dtype: torch.dtype) -> Any:
            with _keras_policy(keras, str(dtype).removeprefix("torch.")):
                made = factory(p)
            if not isinstance(made, keras.Layer):
                raise _no_target("factory", "to make a Keras layer", made)
            return made

        layer(torch.float32)  # A wrong p is refused here, not in the first call.

        def call(x: torch.Tensor, training: bool) -> Any:
            chosen = layer(x.dtype)
            if not chosen.built:
                chosen.build(tuple(x.shape))
            if training:
                for state in _seed_states(chosen):
                    state.assign(_words((2,), bits=31))
            return run(keras, chosen, x, training)

        return _dressed(call, factory, has_gradient=has_gradient)

    return _dressed(make, factory, has_gradient=has_gradient)


# --- JAX ----------------------------------------------------------------------------------------


def _apply(function: Arrays, *inputs: torch.Tensor) -> Any:
    return _Call.apply(function, *inputs)


class _Call(torch.autograd.Function):
    """A pure function of JAX arrays, applied to tensors; its gradient is such a call too."""

    @staticmethod
    def forward(ctx: Any, function: Arrays, *inputs: torch.Tensor) -> Any:
        ctx.function = function
        ctx.save_for_backward(*inputs)
        return _run_jax(function, inputs)

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> Any:
        inputs = ctx.saved_tensors
        return None, *(
            _apply(_pullback(ctx.function, i), *inputs, *upstream) if needed else None
            for i, needed in enumerate(ctx.needs_input_grad[1:])
        )


def _pullback(function: Arrays, index: int) -> Arrays:
    """The gradient for one input, as a function of all inputs and the incoming gradient."""

    def run(*arrays: Any) -> Any:
        *inputs, upstream = arrays
        _, pull = importlib.import_module("jax").vjp(function, *inputs)
        return pull(upstream)[index]

    return run


def _run_jax(function: Arrays, inputs: tuple[torch.Tensor, ...]) -> Any:
    jax = importlib.import_module("jax")
    with contextlib.ExitStack() as stack:
        if inputs[0].dtype == torch.float64:
            stack.enter_context(jax.enable_x64(True))
        # They are copied, because JAX may still read an input after the call has returned.
        y = function(*(jax.numpy.array(_array(x)) for x in inputs))
        return _tensor(np.array(y), inputs[0].device) if isinstance(y, jax.Array) else y


def _key(jax: Any, shape: tuple[int, ...] = (), *, draw: bool) -> Any:
    """New keys, with as many bits as keys of the default implementation have."""
    words = jax.random.key_data(jax.random.key(0)).shape
    return jax.random.wrap_key_data(_words((*shape, *words), draw=draw))


def _maker_of(factory: Factory) -> Any:
    """The function that defines the arguments: a metaclass of NNX hides those of its classes."""
    inner = factory.func if isinstance(factory, functools.partial) else factory
    if not isinstance(inner, type):
        return inner
    return next(vars(cls)["__init__"] for cls in inner.__mro__ if "__init__" in vars(cls))


def _linen(module: Any) -> Dropout:
    jax = importlib.import_module("jax")
    parameters = inspect.signature(type(module).__call__).parameters
    mode = next((name for name in TRAINING_NAMES + EVAL_NAMES if name in parameters), None)
    if mode is None:
        raise _no_target("factory", "to make a module whose call accepts `deterministic`", module)
    collection = getattr(module, "rng_collection", "dropout")

    def call(x: torch.Tensor, training: bool) -> Any:
        flag = {mode: training is (mode in TRAINING_NAMES)}
        rngs = {collection: _key(jax, draw=True)} if training else {}
        return _apply(lambda array: module.apply({}, array, **flag, rngs=rngs), x)

    return call


def _nnx(nnx: Any, module: Any) -> Dropout:
    jax = importlib.import_module("jax")
    graph, state = nnx.split(module)
    leaves, tree = jax.tree.flatten(state)

    def call(x: torch.Tensor, training: bool) -> Any:
        given = [
            _key(jax, leaf.shape, draw=training) if _is_key(jax, leaf) else leaf for leaf in leaves
        ]

        def pure(array: Any) -> Any:
            # Built in each trace: the state that the module keeps must not outlive the trace.
            own = nnx.merge(graph, jax.tree.unflatten(tree, given))
            (own.train if training else own.eval)()
            return own(array)

        return _apply(pure, x)

    return call


def _is_key(jax: Any, leaf: Any) -> bool:
    return bool(jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key))


# --- Keras --------------------------------------------------------------------------------------


def _keras_on_torch(keras: Any, layer: Any, x: torch.Tensor, training: bool) -> Any:
    return layer(x, training=training)


def _keras_on_jax(keras: Any, layer: Any, x: torch.Tensor, training: bool) -> Any:
    trained = [variable.value for variable in layer.trainable_variables]
    other = [variable.value for variable in layer.non_trainable_variables]

    def pure(array: Any) -> Any:
        y, _ = layer.stateless_call(trained, other, array, training=training)
        return y

    return _apply(pure, x)


def _keras_on_arrays(keras: Any, layer: Any, x: torch.Tensor, training: bool) -> Any:
    y = layer(keras.ops.convert_to_tensor(_array(x)), training=training)
    return _tensor(np.array(keras.ops.convert_to_numpy(y)), x.device)


def _seed_states(layer: Any) -> list[Any]:
    """The states of the seed generators of a layer and the layers in it."""
    return [v for v in layer.non_trainable_variables if v.name == "seed_generator_state"]


@contextlib.contextmanager
def _keras_policy(keras: Any, name: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


# --- Values and seeds ---------------------------------------------------------------------------


def _array(x: torch.Tensor) -> Any:
    """The values of a tensor as an array; bfloat16 becomes the dtype of `ml_dtypes`."""
    x = x.detach().cpu()
    if x.dtype != torch.bfloat16:
        return x.numpy()
    return x.view(torch.int16).numpy().view(importlib.import_module("ml_dtypes").bfloat16)


def _tensor(y: Any, device: torch.device) -> Any:
    """An array as a tensor that shares its memory; anything else is returned as it is."""
    if not isinstance(y, (np.ndarray, np.generic)):
        return y
    array = np.asarray(y)
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16).to(device)
    if not array.flags.writeable or any(stride < 0 for stride in array.strides):
        array = array.copy()  # torch accepts neither
    return torch.from_numpy(array).to(device)


def _words(shape: tuple[int, ...], *, bits: int = 32, draw: bool = True) -> Any:
    """Random words from torch's generator; zeros if `draw` is False."""
    if not draw:
        return np.zeros(shape, np.uint32)
    return torch.randint(1 << bits, shape, dtype=torch.int64).numpy().astype(np.uint32)


@contextlib.contextmanager
def _numpy_seeded(words: Any) -> Iterator[None]:
    state = np.random.get_state()
    np.random.seed(words)
    try:
        yield
    finally:
        np.random.set_state(state)


# --- Arguments ----------------------------------------------------------------------------------


def _signature(function: Any, extra: str | None, role: str) -> inspect.Signature:
    """The signature of a function, after checking that it has the argument `extra`."""
    if not callable(function):
        raise ArgumentTypeError(
            f"Expected a callable, got {function!r} ({type(function).__name__})"
        )
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise ArgumentTypeError(
            f"Expected a function whose arguments can be read, got {function!r} "
            f"({type(function).__name__}): {error}"
        ) from error
    if extra is not None and extra not in signature.parameters:
        raise ArgumentValueError(
            f"Expected `{role}` to name an argument of the function "
            f"({', '.join(signature.parameters)}), got {role}={extra!r} ({type(extra).__name__})"
        )
    return signature


def _without(signature: inspect.Signature, extra: str | None) -> inspect.Signature:
    kept = [p for name, p in signature.parameters.items() if name != extra]
    return signature.replace(parameters=kept)


def _first_tensor(
    signature: inspect.Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[torch.Tensor, tuple[Any, ...], dict[str, Any]]:
    """Split the arguments into x, which is the first, and the rest."""
    if args:
        return args[0], args[1:], dict(kwargs)
    name = next(iter(signature.parameters))
    return kwargs[name], (), {k: v for k, v in kwargs.items() if k != name}


def _is_training(
    signature: inspect.Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> bool:
    """Whether the arguments after x select training; true if none gives the mode."""
    bound = signature.bind_partial(None, *args, **kwargs)
    bound.apply_defaults()
    for name, value in bound.arguments.items():
        if name in TRAINING_NAMES + EVAL_NAMES and value is not None:
            return bool(value) is (name in TRAINING_NAMES)
    return True


def _import(module: str, adapter: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        raise TargetError(
            f"Expected the package `{package}` for `{adapter}`, got {error}; "
            f"install it with: pip install {package}"
        ) from error


def _no_target(argument: str, expected: str, got: object) -> TargetError:
    return TargetError(f"Expected `{argument}` {expected}, got {got!r} ({type(got).__name__})")


def _dressed(
    call: Callable[..., Any],
    original: object,
    signature: inspect.Signature | None = None,
    *,
    has_gradient: bool = True,
) -> Callable[..., Any]:
    """Give a callable the name of the original, and the attributes that the verifier reads."""
    for name in ("__module__", "__name__", "__qualname__", "__doc__"):
        with contextlib.suppress(AttributeError):
            setattr(call, name, getattr(original, name))
    call.__signature__ = signature or inspect.signature(call)  # type: ignore[attr-defined]
    call.__wrapped__ = original  # type: ignore[attr-defined]
    call.has_gradient = has_gradient  # type: ignore[attr-defined]
    return call
