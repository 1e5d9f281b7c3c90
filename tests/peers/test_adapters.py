"""The adapters for JAX, Flax and Keras, where these are installed."""

import functools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from torchdropout.errors import TargetError
from torchdropout.verify import Level, check_subject
from torchdropout.verify.adapters import from_flax, from_jax, from_keras
from torchdropout.verify.targets import resolve

jax = pytest.importorskip("jax")
jnp = jax.numpy

COARSE = Level("coarse", 0.01, 0.03, 0.02, 1e5, 1 << 18, 1 << 18, 1 << 21)
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
SHAPES = [(), (0,), (3, 0, 2), (5,), (2, 3, 4)]

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def right(x, p, training, key):
    if not training or p == 0:
        return x
    if p == 1:
        return jnp.zeros_like(x)
    return jnp.where(jax.random.bernoulli(key, p, x.shape), 0, x / (1 - p)).astype(x.dtype)


def one_key(x, p, training, key):
    return right(x, p, training, jax.random.key(0))


def double_where(x, p, training, key):
    """Right in value; its gradient is one and a half of what it should be."""
    y = right(x, p, training, key)
    return y + 0.5 * (y - jax.lax.stop_gradient(y))


def cubic(x, p, training, key):
    return right(x, p, training, key) ** 3


def other_mask_backward(x, p, training, key):
    """A custom gradient that draws its own mask."""

    @jax.custom_vjp
    def f(x):
        return right(x, p, training, key)

    f.defvjp(
        lambda x: (f(x), None),
        lambda _, g: (right(g, p, training, jax.random.fold_in(key, 1)),),
    )
    return f(x)


def names(target):
    report = check_subject(resolve(target), level=COARSE)
    return {f.name for f in report.findings if f.severity == "error"}


def test_right_function():
    assert not names(from_jax(right))


@pytest.mark.parametrize(
    ("function", "check"),
    [
        (one_key, "train-stochastic"),
        (double_where, "grad-scale"),
        (other_mask_backward, "grad-mask"),
    ],
)
def test_broken_function_is_found(function, check):
    assert check in names(from_jax(function))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_dtype_shape_and_gradient(dtype, shape):
    x = torch.randn(shape).to(dtype).requires_grad_()
    torch.manual_seed(1)
    y = from_jax(right)(x, 0.5, True)
    (grad,) = torch.autograd.grad(y, x, torch.ones_like(y))
    assert y.dtype == grad.dtype == dtype
    assert y.shape == grad.shape == x.shape
    assert torch.equal(grad != 0, y != 0)
    assert torch.equal(y, x * grad)


def test_float64_has_all_its_digits():
    x = torch.full((64,), 1 / 3, dtype=torch.float64)
    y = from_jax(lambda x, p, key: x / (1 - p))(x, 0.1)
    assert torch.equal(y, x / (1 - 0.1))
    assert jnp.ones(1).dtype == jnp.float32  # and JAX is as it was


def test_gradient_of_any_order():
    x = torch.randn(4, dtype=torch.float64, requires_grad=True)
    target = from_jax(cubic)

    def f(x):
        torch.manual_seed(0)
        return target(x, 0.5, True)

    assert torch.autograd.gradcheck(f, x)
    assert torch.autograd.gradgradcheck(f, x)


def test_seed_governs_and_eval_draws_nothing():
    target = from_jax(right)
    x = torch.ones(256)
    torch.manual_seed(3)
    first = target(x, 0.5, True)
    assert not torch.equal(target(x, 0.5, True), first)
    torch.manual_seed(3)
    assert torch.equal(target(x, 0.5, True), first)
    before = torch.random.get_rng_state()
    target(x, 0.5, False)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
def test_keys_of_any_kind(impl):
    with jax.default_prng_impl(impl):
        y = from_jax(right)(torch.ones(4096), 0.5, True)
    assert 1500 < int((y == 0).sum()) < 2500


def test_memory_is_not_shared():
    x = torch.ones(4096)
    y = from_jax(lambda x, p, key: x)(x, 0.5)
    y.zero_()
    assert torch.equal(x, torch.ones(4096))


def test_decorated_and_jitted():
    @from_jax
    @functools.partial(jax.jit, static_argnums=(1, 2))
    def dropout(x, p, training, key):
        return right(x, p, training, key)

    assert resolve(dropout).description == "function, called as dropout(x, p=p, training=training)"
    assert int((dropout(torch.ones(64), 0.0, True) == 1).sum()) == 64


# --- Flax


def flax():
    return pytest.importorskip("flax")


@pytest.mark.parametrize("kind", ["linen", "nnx"])
def test_flax_dropout(kind):
    flax()
    from flax import linen, nnx

    target = from_flax({"linen": linen, "nnx": nnx}[kind].Dropout)
    assert not names(target)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_flax_dtype_and_shape(dtype, shape):
    flax()
    from flax import linen, nnx

    x = torch.randn(shape).to(dtype)
    for target in (from_flax(linen.Dropout), from_flax(nnx.Dropout)):
        for training in (True, False):
            y = target(0.0)(x, training)
            assert y.dtype == dtype
            assert torch.equal(y, x)


def test_flax_modules_of_ones_own():
    flax()
    from flax import linen, nnx

    class Linen(linen.Module):
        rate: float

        @linen.compact
        def __call__(self, x, train):
            return linen.Dropout(self.rate)(x, deterministic=not train)

    class Nnx(nnx.Module):
        def __init__(self, p, rngs):
            self.first, self.second = nnx.Dropout(p, rngs=rngs), nnx.Dropout(p, rngs=rngs)

        def __call__(self, x):
            return jnp.stack([self.first(x), self.second(x)])

    x = torch.ones(4096)
    y = from_flax(Linen)(0.5)
    assert torch.equal(y(x, False), x)
    assert 1800 < int((y(x, True) == 0).sum()) < 2300
    first, second = from_flax(Nnx)(0.5)(x, True)
    assert 1800 < int((first != second).sum()) < 2300  # each layer has keys of its own


def test_flax_streams_of_two_names_differ():
    flax()
    from flax import nnx

    class Two(nnx.Module):
        def __init__(self, p, rngs):
            self.a = nnx.Dropout(p, rng_collection="a", rngs=rngs)
            self.b = nnx.Dropout(p, rng_collection="b", rngs=rngs)

        def __call__(self, x):
            return jnp.stack([self.a(x), self.b(x)])

    def make(p):
        return Two(p, rngs=nnx.Rngs(a=0, b=0))

    first, second = from_flax(make)(0.5)(torch.ones(4096), True)
    assert 1800 < int((first != second).sum()) < 2300


def test_flax_with_arguments():
    flax()
    from flax import linen, nnx

    for module in (linen.Dropout, nnx.Dropout):
        y = from_flax(functools.partial(module, broadcast_dims=(0,)))(0.5)(torch.ones(9, 64), True)
        assert torch.equal(y, y[:1].expand(9, 64))


def test_flax_wants_a_module_with_a_mode():
    flax()
    from flax import linen

    class Deaf(linen.Module):
        rate: float

        def __call__(self, x):
            return x

    with pytest.raises(TargetError, match="whose call accepts `deterministic`"):
        from_flax(Deaf)(0.5)
    with pytest.raises(TargetError, match=r"Expected `factory` to make a Flax module, got 0\.5"):
        from_flax(lambda p: p)(0.5)


# --- Keras, on the backend of this process


def keras():
    return pytest.importorskip("keras")


def test_keras_dropout():
    assert not names(from_keras(keras().layers.Dropout))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(0, 3), (5, 1), (2, 3, 4)])
def test_keras_dtype_and_shape(dtype, shape):
    before = keras().config.dtype_policy()
    x = torch.randn(shape).to(dtype).requires_grad_()
    made = from_keras(keras().layers.Dropout)(0.5)
    for training in (True, False):
        y = made(x, training)
        (grad,) = torch.autograd.grad(y, x, torch.ones_like(y))
        assert y.dtype == dtype
        assert y.shape == x.shape
        assert torch.equal(grad != 0, y != 0)
    assert keras().config.dtype_policy() == before


def test_keras_seed_governs_a_layer_with_a_seed():
    make = functools.partial(keras().layers.Dropout, seed=7)
    made, x = from_keras(make)(0.5), torch.ones(256)
    torch.manual_seed(3)
    first = made(x, True)
    assert not torch.equal(made(x, True), first)
    torch.manual_seed(3)
    assert torch.equal(made(x, True), first)


def test_keras_layers_in_layers_have_seeds_of_their_own():
    package = keras()

    class Two(package.Layer):
        def __init__(self, p):
            super().__init__()
            self.a, self.b = (package.layers.Dropout(p, seed=1) for _ in range(2))

        def call(self, x, training=False):
            return package.ops.stack([self.a(x, training=training), self.b(x, training=training)])

    first, second = from_keras(Two)(0.5)(torch.ones(4096), True)
    assert 1800 < int((first != second).sum()) < 2300


def test_keras_refuses_a_wrong_p_when_it_is_built():
    with pytest.raises(ValueError, match="rate"):
        from_keras(keras().layers.Dropout)(1.5)


def test_keras_wants_a_layer():
    keras()
    with pytest.raises(TargetError, match=r"Expected `factory` to make a Keras layer, got 0\.5"):
        from_keras(lambda p: p)(0.5)


ON_BACKEND = """
import keras, torch
from torchdropout.verify.adapters import from_keras
target = from_keras(keras.layers.Dropout)
x = torch.randn(64, 64, requires_grad=True)
for dtype in (torch.float16, torch.bfloat16, torch.float32):
    y = target(0.5)(x.to(dtype), True)
    assert y.dtype == dtype and 1500 < int((y == 0).sum()) < 2500
torch.manual_seed(0)
y = target(0.5)(x, True)
torch.manual_seed(0)
assert torch.equal(target(0.5)(x, True), y)
assert torch.equal(target(0.5)(x, False), x)
if target.has_gradient:
    (grad,) = torch.autograd.grad(y, x, torch.ones_like(y))
    assert torch.equal(grad != 0, y != 0)
print(keras.backend.backend(), target.has_gradient)
"""


@pytest.mark.parametrize(
    ("backend", "has_gradient", "package"),
    [("jax", True, "jax"), ("numpy", False, "numpy"), ("tensorflow", False, "tensorflow")],
)
def test_keras_on_other_backends(backend, has_gradient, package):
    keras()
    pytest.importorskip(package)
    source = str(Path(sys.modules["torchdropout"].__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ON_BACKEND],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": source},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == f"{backend} {has_gradient}\n", done.stderr


def test_arrays_are_numpy_like():
    """What is no JAX array is left to the verifier to name."""
    y = from_jax(lambda x, p, key: np.asarray(x))(torch.ones(3), 0.5)
    assert not isinstance(y, torch.Tensor)
