"""NumPy functions as targets; JAX, Flax and Keras are tried in `tests/peers`, where they are."""

import contextlib
import copy
import functools
import inspect
import operator
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from torchdropout.errors import ArgumentTypeError, ArgumentValueError, TargetError
from torchdropout.verify.adapters import from_flax, from_jax, from_keras, from_numpy


def right(x, rate, training, rng):
    if rate == 1 and training:
        return np.zeros_like(x)
    dropped = rng.random(x.shape) < rate
    return np.where(dropped, 0, x / (1 - rate)).astype(x.dtype) if training else x


def right_global(x, rate, training=True):
    """Draws from NumPy's global generator, as most examples do."""
    return right(x, rate, training, np.random)


def promoting(x, rate, training, rng):
    return x * (rng.random(x.shape) >= rate) / np.float64(1 - rate) if training else x


def writing(x, rate, training, rng):
    y = right(x, rate, training, rng)
    x[...] = y
    return y


def unscaled(x, rate, training, rng):
    return np.where(rng.random(x.shape) < rate, 0, x).astype(x.dtype) if training else x


def errors(report):
    return [f"{f.name}: {f.message}" for f in report.findings if f.severity == "error"]


@pytest.mark.integration
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


@pytest.mark.integration
@pytest.mark.parametrize(
    ("function", "check"),
    [(promoting, "dtype-kept"), (writing, "input-unmodified"), (unscaled, "kept-scale")],
)
def test_broken_function_is_found(run_checks, function, check):
    names = {f.name for f in run_checks(from_numpy(function, rng="rng")).findings}
    assert check in names


def test_a_function_without_a_mode_draws_at_each_call():
    x, target = torch.ones(64), from_numpy(lambda x, p: x * (np.random.random_sample(64) >= p))
    assert not torch.equal(target(x, 0.5), target(x, 0.5))


def test_global_generator_is_put_back_after_an_error():
    def fails(x, p):
        np.random.rand()
        raise ZeroDivisionError

    before = np.random.get_state()[1].copy()
    with pytest.raises(ZeroDivisionError):
        from_numpy(fails)(torch.ones(8), 0.5)
    assert np.array_equal(np.random.get_state()[1], before)


def test_dtype_and_shape_come_back_and_there_is_no_gradient():
    target = from_numpy(right, rng="rng")
    assert target.has_gradient is False
    assert target.__name__ == "right"
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        for shape in [(), (0,), (3, 0, 2), (5,), (2, 3, 4)]:
            x = torch.randn(shape).to(dtype).requires_grad_()
            y = target(x=x, rate=0.0, training=True)
            assert (y.dtype, y.requires_grad) == (dtype, False)
            assert torch.equal(y, x)
    # What is computed in float64 is not hidden, and what is in float32 is rounded once.
    x = torch.tensor([1.0, 3.0, -7.0]).bfloat16()
    assert from_numpy(promoting, rng="rng")(x, 0.5, True).dtype == torch.float64
    third = from_numpy(lambda x, p: x / np.float32(3))
    assert torch.equal(third(x, 0.5), (x.float() / 3).bfloat16())
    assert from_numpy(lambda x, p: (x, p))(x, 0.5)[1] == 0.5  # no array: left to the verifier


def test_layouts_of_results():
    x = torch.arange(6.0).reshape(2, 3)
    assert torch.equal(from_numpy(lambda x, p: x[:, ::-1])(x, 0.5), x.flip(1))
    assert torch.equal(from_numpy(lambda x, p: np.broadcast_to(x[:1], x.shape))(x, 0.5), x[[0, 0]])
    assert torch.equal(from_numpy(lambda x, p: x.T)(x.t(), 0.5), x)


def test_what_is_not_understood():
    class Unreadable:
        __signature__ = "x, p"

        def __call__(self, *args):
            return args[0]

    for adapter in (from_numpy, from_jax, from_flax, from_keras):
        with pytest.raises(ArgumentTypeError, match=r"Expected a callable, got 3 \(int\)"):
            adapter(3)
    with pytest.raises(ArgumentTypeError, match="whose arguments can be read"):
        from_numpy(Unreadable())
    for adapter, role in ((from_numpy, "rng"), (from_jax, "key")):
        words = rf"Expected `{role}` to name an argument .* \(x, p\), got {role}='seed'"
        with pytest.raises(ArgumentValueError, match=words):
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
    with pytest.raises(TargetError, match=rf"`{package}`.*pip install {package}"):
        adapter()


# --- JAX, Flax and Keras, as far as an adapter uses them -----------------------------------------


class Array(np.ndarray):
    """An array of the package."""


class Key:
    dtype = "key"

    def __init__(self, words):
        self.words = np.asarray(words)
        self.shape = self.words.shape[:-1]

    def uniform(self, shape):
        return np.random.default_rng(self.words.reshape(-1)).random(shape)


def _vjp(function, *inputs):
    """Central differences: exact for what is quadratic in each element."""
    h = 0.25

    def pull(upstream):
        return tuple(upstream * (moved(i, h) - moved(i, -h)) / (2 * h) for i in range(len(inputs)))

    def moved(i, by):
        return function(*inputs[:i], inputs[i] + by, *inputs[i + 1 :])

    return function(*inputs), pull


@pytest.fixture
def jax(monkeypatch):
    """A stand-in for JAX; `wide` has whether each call with 64-bit types enabled them."""
    wide = []

    @contextlib.contextmanager
    def enable_x64(enabled):
        wide.append(enabled)
        yield

    fake = SimpleNamespace(
        Array=Array,
        vjp=_vjp,
        enable_x64=enable_x64,
        wide=wide,
        numpy=SimpleNamespace(array=lambda a: np.array(a).view(Array), issubdtype=operator.eq),
        dtypes=SimpleNamespace(prng_key="key"),
        random=SimpleNamespace(
            key=lambda seed: Key([0, seed]), key_data=lambda key: key.words, wrap_key_data=Key
        ),
        tree=SimpleNamespace(
            flatten=lambda state: (list(state.values()), list(state)),
            unflatten=lambda names, leaves: dict(zip(names, leaves, strict=True)),
        ),
    )
    monkeypatch.setitem(sys.modules, "jax", fake)
    return fake


def jax_dropout(x, p, training, key):
    return x * (key.uniform(x.shape) >= p) / (1 - p) if training else x


def drawn(call):
    """What a call returns, and whether it drew from torch."""
    before = torch.get_rng_state()
    y = call()
    return y, not torch.equal(torch.get_rng_state(), before)


def acts(call, has_gradient=True):
    """`call(x, training)` drops half in training, by a draw of torch's; in eval it does neither."""
    x = torch.arange(1.0, 65).reshape(8, 8).requires_grad_(has_gradient)
    y, has_drawn = drawn(lambda: call(x, True))
    assert has_drawn
    kept = y != 0
    assert 0 < int(kept.sum()) < y.numel()
    assert torch.equal(y[kept], x[kept] * 2)
    if has_gradient:
        (grad,) = torch.autograd.grad(y.sum(), x)
        assert torch.equal(grad, y.detach() / x.detach())  # of the same key
    assert not torch.equal(call(x, True), y)
    y, has_drawn = drawn(lambda: call(x, False))
    assert not has_drawn
    assert torch.equal(y, x)


def test_a_function_of_jax_draws_in_training_and_has_a_gradient(jax):
    dropout = from_jax(jax_dropout)
    assert list(inspect.signature(dropout).parameters) == ["x", "p", "training"]
    assert dropout.has_gradient is True
    acts(lambda x, training: dropout(x=x, p=0.5, training=training))
    assert jax.wide == []
    assert dropout(torch.ones(4, dtype=torch.float64), 0.5, True).dtype == torch.float64
    assert jax.wide == [True]
    # A gradient has a gradient.
    square = from_jax(lambda x, training, key: x * x)
    x = torch.tensor([1.0, -3.0], dtype=torch.float64, requires_grad=True)
    (grad,) = torch.autograd.grad(square(x, True).sum(), x, create_graph=True)
    assert grad.tolist() == [2, -6]
    upstream = torch.tensor([5.0, 7.0], dtype=torch.float64)
    (second,) = torch.autograd.grad(grad, x, upstream)
    assert second.tolist() == [10, 14]


class Linen:
    """A module of Linen."""

    def __init__(self, rate):
        self.rate = rate

    def apply(self, variables, array, *, rngs, **mode):
        assert variables == {}
        self.seen = mode, list(rngs)
        return self(array, rngs, **mode)

    def __call__(self, x, rngs, deterministic):
        return x if deterministic else jax_dropout(x, self.rate, True, *rngs.values())


class LinenTrain(Linen):
    rng_collection = "noise"

    def __call__(self, x, rngs, train):
        return super().__call__(x, rngs, not train)


class LinenModeless(Linen):
    def __call__(self, x):
        return x


class Nnx:
    """A module of NNX: a key, a number, and a mode."""

    def __init__(self, rate, rngs=None):
        assert rngs == "rngs 0"
        self.rate, self.mode = rate, None
        self.state = {"key": Key(np.zeros((3, 2))), "count": np.ones(1)}

    def train(self):
        self.mode = True

    def eval(self):
        self.mode = False

    def __call__(self, x):
        assert self.state["count"].tolist() == [1]
        assert self.state["key"].words.shape == (3, 2)
        return jax_dropout(x, self.rate, self.mode, self.state["key"])


@pytest.fixture
def flax(jax, monkeypatch):
    """A stand-in for Flax."""

    def merge(module, state):
        copied = copy.copy(module)
        copied.state = state
        return copied

    linen = SimpleNamespace(Module=Linen)
    nnx = SimpleNamespace(
        Module=Nnx, Rngs=lambda seed: f"rngs {seed}", split=lambda m: (m, m.state), merge=merge
    )
    for name, module in (("flax", object()), ("flax.linen", linen), ("flax.nnx", nnx)):
        monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.parametrize("factory", [Linen, LinenTrain, Nnx, functools.partial(Nnx)])
def test_a_module_of_flax_is_put_into_its_mode(flax, factory):
    acts(from_flax(factory)(0.5))


@pytest.mark.parametrize(
    ("factory", "name", "collection"),
    [(Linen, "deterministic", "dropout"), (LinenTrain, "train", "noise")],
)
def test_a_module_of_linen_gets_a_key_in_training_alone(flax, factory, name, collection):
    module = factory(0.5)
    call = from_flax(lambda p: module)(0.5)
    for training, keys in ((True, [collection]), (False, [])):
        call(torch.ones(4), training)
        assert module.seen == ({name: (name == "train") is training}, keys)


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        (lambda p: p, r"Expected `factory` to make a Flax module, got 0\.5 \(float\)"),
        (LinenModeless, "to make a module whose call accepts `deterministic`, got .*LinenModeless"),
    ],
)
def test_a_factory_that_makes_something_else_is_refused(flax, factory, words):
    with pytest.raises(TargetError, match=words):
        from_flax(factory)(0.5)


class KerasLayer:
    """A layer of Keras, whose seed is a state that the adapter sets."""

    def __init__(self, rate):
        if not 0 <= rate <= 1:
            raise ValueError(f"rate={rate}")
        self.rate, self.built, self.shapes = rate, False, []
        self.seed = SimpleNamespace(name="seed_generator_state", value=None, words=[])
        self.seed.assign = self.seed.words.append
        self.trainable_variables = []
        self.non_trainable_variables = [SimpleNamespace(name="other", value=None), self.seed]
        self.policy = keras_policy[0]

    def build(self, shape):
        self.built = True
        self.shapes.append(shape)

    def __call__(self, x, training):
        if not training:
            return x
        mask = np.random.default_rng(self.seed.words[-1]).random(tuple(x.shape)) >= self.rate
        mask = torch.from_numpy(mask) if isinstance(x, torch.Tensor) else mask
        return x * mask / (1 - self.rate)

    def stateless_call(self, trained, other, x, training):
        assert (trained, other) == ([], [None, None])
        return self(x, training), "states"


keras_policy = ["float32"]


@pytest.fixture(params=["torch", "jax", "numpy"])
def keras(jax, monkeypatch, request):
    """A stand-in for Keras on a backend."""
    fake = SimpleNamespace(
        Layer=KerasLayer,
        backend=SimpleNamespace(backend=lambda: request.param),
        config=SimpleNamespace(
            dtype_policy=lambda: keras_policy[0],
            set_dtype_policy=lambda name: keras_policy.__setitem__(0, name),
        ),
        ops=SimpleNamespace(
            convert_to_tensor=lambda a: ["tensor", a], convert_to_numpy=lambda a: a
        ),
    )
    if request.param == "numpy":  # its tensors are its own
        own = KerasLayer.__call__
        monkeypatch.setattr(
            KerasLayer, "__call__", lambda self, x, training: own(self, x[1], training)
        )
    monkeypatch.setitem(sys.modules, "keras", fake)
    return request.param


def test_a_layer_of_keras_is_seeded_in_training(keras):
    made = []
    adapted = from_keras(lambda p: made.append(KerasLayer(p)) or made[-1])
    call = adapted(0.5)
    assert adapted.has_gradient is call.has_gradient is (keras != "numpy")
    assert [layer.policy for layer in made] == ["float32"]
    assert list(inspect.signature(call).parameters) == ["x", "training"]
    x = torch.ones(8, 8)
    acts(call, has_gradient=False)
    for _ in range(20):
        call(x, True)
    assert {words.shape for words in made[0].seed.words} == {(2,)}
    assert 1 << 30 < np.max(made[0].seed.words) < 1 << 31
    assert made[0].shapes == [(8, 8)]  # built once
    call(x.double(), True)
    assert [layer.policy for layer in made] == ["float32", "float64"]
    with pytest.raises(ValueError, match="rate=7"):  # a layer is made at once
        from_keras(KerasLayer)(7)
    assert keras_policy == ["float32"]
    words = r"Expected `factory` to make a Keras layer, got 0\.5 \(float\)"
    with pytest.raises(TargetError, match=words):
        from_keras(lambda p: p)(0.5)


@pytest.mark.parametrize(
    ("function", "given", "is_training"),
    [
        (lambda x, training: x, (True,), True), (lambda x, training: x, (False,), False),
        (lambda x, deterministic: x, (True,), False), (lambda x, deterministic: x, (False,), True),
        (lambda x, training=None: x, (), True), (lambda x, training=False: x, (), False),
        (lambda x, training=1: x, (), True), (lambda x, inference=0: x, (), True),
        (lambda x, training=None, inference=True: x, (), False), (lambda x, p: x, (0.5,), True),
    ],
)  # fmt: skip
def test_whether_the_arguments_select_training(function, given, is_training):
    _, has_drawn = drawn(lambda: from_numpy(function)(torch.ones(3), *given))
    assert has_drawn is is_training
