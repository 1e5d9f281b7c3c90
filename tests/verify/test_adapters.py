"""NumPy functions as targets; JAX, Flax and Keras are tried in `tests/peers`, where they are."""

import functools
import sys

import numpy as np
import pytest
import torch

from torchdropout.errors import ArgumentTypeError, ArgumentValueError, TargetError
from torchdropout.verify import adapters
from torchdropout.verify.adapters import from_flax, from_jax, from_keras, from_numpy


def right(x, rate, training, rng):
    if rate == 1 and training:
        return np.zeros_like(x)
    return (
        np.where(rng.random(x.shape) < rate, 0, x / (1 - rate)).astype(x.dtype) if training else x
    )


def right_global(x, rate, training=True):
    """Draws from NumPy's global generator, as most examples do."""
    if rate == 1 and training:
        return np.zeros_like(x)
    dropped = np.random.random_sample(x.shape) < rate
    return np.where(dropped, 0, x / (1 - rate)).astype(x.dtype) if training else x


def promoting(x, rate, training, rng):
    return x * (rng.random(x.shape) >= rate) / np.float64(1 - rate) if training else x


def writing(x, rate, training, rng):
    y = right(x, rate, training, rng)
    x[...] = y
    return y


def unscaled(x, rate, training, rng):
    return np.where(rng.random(x.shape) < rate, 0, x).astype(x.dtype) if training else x


def reseeding(x, rate, training=True):
    np.random.seed(0)
    return right_global(x, rate, training)


class Unreadable:
    __signature__ = "x, p"

    def __call__(self, *args):
        return args[0]


def errors(report):
    return [f"{f.name}: {f.message}" for f in report.findings if f.severity == "error"]


@pytest.mark.parametrize(
    "target",
    [from_numpy(right, rng="rng"), from_numpy(right_global)],
    ids=["a generator a call", "the global generator"],
)
def test_right_function_has_no_error(run_checks, target):
    report = run_checks(target)
    assert not errors(report)
    skipped = {c.rule.name for c in report.checks if c.status == "skip"}
    assert {"grad-mask", "grad-scale", "edge-gradients"} <= skipped


@pytest.mark.parametrize(
    ("function", "check"),
    [
        (promoting, "dtype-kept"),
        (writing, "input-unmodified"),
        (unscaled, "kept-scale"),
    ],
)
def test_broken_function_is_found(run_checks, function, check):
    names = {f.name for f in run_checks(from_numpy(function, rng="rng")).findings}
    assert check in names


def test_function_that_reseeds_is_found(run_checks):
    assert "train-stochastic" in {f.name for f in run_checks(from_numpy(reseeding)).findings}


def test_arguments_are_those_of_the_function():
    target = from_numpy(right, rng="rng")
    torch.manual_seed(0)
    by_name = target(x=torch.ones(64), rate=0.5, training=True)
    torch.manual_seed(0)
    assert torch.equal(target(torch.ones(64), 0.5, True), by_name)
    assert target.__name__ == "right"


def test_only_training_draws_from_torch():
    target = from_numpy(right, rng="rng")
    before = torch.random.get_rng_state()
    target(torch.ones(8), 0.5, False)
    assert torch.equal(torch.random.get_rng_state(), before)
    target(torch.ones(8), 0.5, True)
    assert not torch.equal(torch.random.get_rng_state(), before)


def test_mode_by_default_is_seen():
    """The mode that is not given is the function's default."""
    before = torch.random.get_rng_state()
    from_numpy(lambda x, p, deterministic=True: x)(torch.ones(3), 0.5)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_function_without_a_mode_draws_at_each_call():
    x, target = torch.ones(64), from_numpy(lambda x, p: x * (np.random.random_sample(64) >= p))
    assert not torch.equal(target(x, 0.5), target(x, 0.5))


def test_global_generator_is_put_back():
    before = np.random.get_state()[1].copy()
    from_numpy(right_global)(torch.ones(8), 0.5)
    assert np.array_equal(np.random.get_state()[1], before)


def test_global_generator_is_put_back_after_an_error():
    def fails(x, p):
        np.random.rand()
        raise ZeroDivisionError

    before = np.random.get_state()[1].copy()
    with pytest.raises(ZeroDivisionError):
        from_numpy(fails)(torch.ones(8), 0.5)
    assert np.array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (5,), (2, 3, 4)])
def test_dtype_and_shape_come_back(dtype, shape):
    x = torch.randn(shape).to(dtype)
    y = from_numpy(right, rng="rng")(x, 0.0, True)
    assert y.dtype == dtype
    assert torch.equal(y, x)


def test_bfloat16_is_rounded_once():
    x = torch.tensor([1.0, 3.0, -7.0]).bfloat16()
    y = from_numpy(lambda x, p: x / np.float32(3))(x, 0.5)
    assert torch.equal(y, (x.float() / 3).bfloat16())


def test_float64_of_bfloat16_is_not_hidden():
    y = from_numpy(promoting, rng="rng")(torch.ones(3).bfloat16(), 0.5, True)
    assert y.dtype == torch.float64


def test_layouts_of_results():
    x = torch.arange(6.0).reshape(2, 3)
    assert torch.equal(from_numpy(lambda x, p: x[:, ::-1])(x, 0.5), x.flip(1))
    assert torch.equal(from_numpy(lambda x, p: np.broadcast_to(x[:1], x.shape))(x, 0.5), x[[0, 0]])
    assert torch.equal(from_numpy(lambda x, p: x.T)(x.t(), 0.5), x)


def test_scalar_result_is_a_tensor():
    assert torch.equal(from_numpy(lambda x, p: x.sum())(torch.ones(3), 0.5), torch.tensor(3.0))


def test_what_is_no_array_is_left_to_the_verifier(run_checks):
    report = run_checks(from_numpy(lambda x, p, training: (x, p)))
    assert [f.name for f in report.findings] == ["output-shape"]
    assert "got tuple" in report.findings[0].message


def test_gradient_is_none():
    x = torch.ones(3, requires_grad=True)
    target = from_numpy(right, rng="rng")
    assert not target(x, 0.5, True).requires_grad
    assert target.has_gradient is False


def test_partial_is_taken():
    target = from_numpy(functools.partial(right, training=True), rng="rng")
    assert int((target(torch.ones(4096), 0.5) == 0).sum()) > 1000


@pytest.mark.parametrize("adapter", [from_numpy, from_jax, from_flax, from_keras])
def test_not_callable(adapter):
    with pytest.raises(ArgumentTypeError, match=r"Expected a callable, got 3 \(int\)"):
        adapter(3)


def test_unreadable_arguments():
    with pytest.raises(ArgumentTypeError, match="whose arguments can be read"):
        from_numpy(Unreadable())


@pytest.mark.parametrize(
    ("adapter", "role"), [(from_numpy, "rng"), (from_jax, "key")], ids=["from_numpy", "from_jax"]
)
def test_argument_that_is_not_there(adapter, role):
    with pytest.raises(
        ArgumentValueError,
        match=rf"Expected `{role}` to name an argument of the function \(x, p\), got {role}='seed'",
    ):
        adapter(lambda x, p: x, **{role: "seed"})


@pytest.mark.parametrize(
    ("package", "adapter"),
    [("jax", lambda: from_jax(right, key="rng")), ("flax", lambda: from_flax(right))],
)
def test_missing_package_is_named(monkeypatch, package, adapter):
    for name in [package, *(n for n in sys.modules if n.startswith(f"{package}."))]:
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("linen", "nnx"):
        monkeypatch.setitem(sys.modules, f"flax.{name}", None) if package == "flax" else None
    with pytest.raises(TargetError, match=rf"`{package}`.*torchdropout\[peers\]"):
        adapter()


def test_adapters_import_nothing_heavier():
    names = {"jax", "flax", "keras", "tensorflow"}
    assert not names & vars(adapters).keys()


class Hides(type):
    """As the metaclass of NNX: a call of the class takes any arguments."""

    def __call__(cls, *args, **kwargs):
        return super().__call__(*args, **kwargs)


class Layer(metaclass=Hides):
    def __init__(self, features, *, rngs):
        pass


class Derived(Layer):
    pass


def test_the_arguments_of_a_layer_are_those_of_its_constructor():
    for made in (Layer, Derived, functools.partial(Derived, 3)):
        assert adapters._maker_of(made) is Layer.__init__
    assert adapters._maker_of(draws) is draws


def draws(rngs):
    pass
