"""Gaussian dropout, Gaussian noise and uniform dropout: one operator with three kinds of noise."""

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from torch.utils.checkpoint import checkpoint

from noise_oracle import noisy
from oracle import FLOATS, layouts_of, same_bits
from torchdropout import Key, MaskLayout, backends
from torchdropout import functional as F
from torchdropout.contract.noise import Law
from torchdropout.errors import ArgumentTypeError, ArgumentValueError

KEY = Key(8, 9)


@dataclass
class Kind:
    """A function, a usual size of its noise, and what it then does to an element."""

    function: Any
    size: float
    law: Law
    factor: float
    addend: float


KINDS = {
    "gaussian_dropout": Kind(F.gaussian_dropout, 0.2, Law.NORMAL, 0.5, 0.0),
    "gaussian_noise": Kind(F.gaussian_noise, 0.3, Law.NORMAL, 0.0, 0.3),
    "uniform_dropout": Kind(F.uniform_dropout, 0.4, Law.UNIFORM, 0.4, 0.0),
}
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())


def seeded(function, *args, **kwargs):
    torch.manual_seed(3)
    return function(*args, **kwargs)


def expected(kind, x, key=KEY, layout=None):
    return noisy(x, kind.law, kind.factor, kind.addend, key, layout)


@each_kind
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_equals_the_definition(kind, dtype):
    for shape in ((), (1,), (7,), (33, 5), (5, 4, 3, 2), (0, 3)):
        x = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(dtype)
        for laid_out in layouts_of(x).values():
            y = kind.function(laid_out, kind.size, key=KEY)
            assert same_bits(y, expected(kind, x))
            assert y.stride() == torch.empty_like(laid_out).stride()


@each_kind
@pytest.mark.parametrize("dims", [(0,), (1,), (-1,), (0, 2), (1, 2), (0, 1, 2)])
def test_broadcast_dims_share_noise(kind, dims):
    x = torch.randn(6, 5, 4)
    y = kind.function(x, kind.size, key=KEY, broadcast_dims=dims)
    assert same_bits(y, expected(kind, x, layout=MaskLayout.of(x.shape, dims)))


@each_kind
def test_a_micro_batch_has_the_noise_of_the_batch(kind):
    x, layout = torch.randn(6, 5), MaskLayout.of((6, 5))
    whole = kind.function(x, kind.size, key=KEY)
    part = kind.function(x[2:5], kind.size, key=KEY, layout=layout.at((2,)))
    assert same_bits(part, whole[2:5])


@each_kind
def test_the_noise_of_all_dtypes_is_one(kind):
    """Values that every dtype holds give float64's result, to 2 units in the last place of each."""
    x = torch.randint(-8, 9, (1000,)) / 4
    wide = kind.function(x.to(torch.float64), kind.size, key=KEY)
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        y = kind.function(x.to(dtype), kind.size, key=KEY)
        largest = torch.maximum(wide.abs(), x.double().abs()).to(dtype)
        unit = torch.nextafter(largest, largest.new_tensor(math.inf)) - largest
        assert bool(((y.double() - wide).abs() <= 2 * unit.double()).all())


@each_kind
@pytest.mark.parametrize(("size", "training"), [(0.0, True), (0, True), (None, False)])
def test_identity_draws_nothing(kind, size, training):
    x, before = torch.randn(4, 3), torch.get_rng_state()
    size = kind.size if size is None else size
    for inplace in (False, True):
        assert kind.function(x, size, training, inplace) is x
    out = torch.empty_like(x)
    assert kind.function(x, size, training, out=out) is out
    assert torch.equal(out, x)
    assert torch.equal(torch.get_rng_state(), before)


@each_kind
def test_randomness(kind):
    x = torch.randn(64, 3)
    run = functools.partial(kind.function, x, kind.size)
    assert torch.equal(seeded(run), seeded(run))
    assert torch.equal(seeded(run), run(key=seeded(Key.draw)))
    generators = [torch.Generator().manual_seed(1) for _ in range(2)]
    before = torch.get_rng_state()
    y = run(generator=generators[0])
    assert torch.equal(y, run(key=Key.draw(generators[1])))
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(run(), run())


@each_kind
def test_in_place_and_out(kind):
    x = torch.randn(6, 8)
    y = kind.function(x, kind.size, key=KEY)
    for target in (torch.empty_like(x), torch.empty(8, 6).t(), torch.empty(6, 16)[:, ::2]):
        assert kind.function(x, kind.size, key=KEY, out=target) is target
        assert torch.equal(target, y)
    z, version = x.clone(), x._version
    assert kind.function(z, kind.size, inplace=True, key=KEY) is z
    assert z._version > version
    assert torch.equal(z, y)
    source = torch.randn(6, 8, requires_grad=True)
    written = kind.function(source * 1.0, kind.size, inplace=True, key=KEY)
    fresh = kind.function(source * 1.0, kind.size, key=KEY)
    assert torch.equal(written, fresh)
    for result in (written, fresh):
        (gradient,) = torch.autograd.grad(result.sum(), source)
        ones = expected(kind, torch.ones(6, 8)) if kind.factor else torch.ones(6, 8)
        assert torch.equal(gradient, ones)


@each_kind
@pytest.mark.parametrize("refused", ["leaf", "view of a leaf", "expanded"])
def test_what_torch_refuses_to_write_draws_nothing(kind, refused):
    leaf = torch.randn(4, 3, requires_grad=True)
    x = {"leaf": leaf, "view of a leaf": leaf[:2], "expanded": torch.randn(1, 3).expand(4, 3)}
    before = torch.get_rng_state()
    with pytest.raises(RuntimeError):
        kind.function(x[refused], kind.size, inplace=True)
    assert torch.equal(torch.get_rng_state(), before)


@each_kind
def test_gradients_of_both_orders(kind):
    x = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)

    def function(x):
        return kind.function(x, kind.size, key=KEY)

    assert torch.autograd.gradcheck(function, x, check_forward_ad=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: function(x) ** 3, x)


@each_kind
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_backward_has_the_noise_of_the_forward(kind, dtype):
    x = torch.randn(40, 7, dtype=dtype, requires_grad=True)
    gradient = torch.randn(7, 40, dtype=dtype).t()
    (got,) = torch.autograd.grad(kind.function(x, kind.size, key=KEY), x, gradient)
    assert same_bits(got, noisy(gradient, kind.law, kind.factor, 0.0, KEY))


@each_kind
@pytest.mark.parametrize("backend", backends.available())
def test_saves_at_most_the_key(kind, backend):
    saved = []
    hooks = torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t)
    with backends.use(backend), hooks:
        kind.function(torch.randn(1000, requires_grad=True), kind.size)
    assert sum(t.nbytes for t in saved) <= 16


@each_kind
@pytest.mark.parametrize("reentrant", [True, False])
def test_a_checkpoint_makes_the_same_noise(kind, reentrant):
    def function(x):
        return kind.function(x * x, kind.size) * x

    results = []
    for run in (function, lambda x: checkpoint(function, x, use_reentrant=reentrant)):
        x = torch.linspace(-1, 1, 50, requires_grad=True)
        torch.manual_seed(5)
        y = run(x)
        y.sum().backward()
        results.append((y.detach(), x.grad))
    assert all(map(torch.equal, *results))


@each_kind
def test_transforms(kind):
    x = torch.randn(4, 5, 3)

    def keyed(x):
        return kind.function(x, kind.size, key=KEY)

    rows = torch.stack([keyed(row) for row in x])
    assert torch.equal(torch.func.vmap(keyed)(x), rows)
    ones = keyed(torch.ones(5, 3)) if kind.factor else torch.ones(5, 3)
    grads = torch.func.vmap(torch.func.grad(lambda x: keyed(x).sum()))(x)
    assert torch.equal(grads, ones.expand(4, 5, 3))
    tangent = torch.randn(5, 3)
    _, pushed = torch.func.jvp(keyed, (x[0],), (tangent,))
    assert torch.equal(pushed, noisy(tangent, kind.law, kind.factor, 0.0, KEY))

    def drawn(x):
        return kind.function(x, kind.size)

    same = seeded(torch.func.vmap(drawn, randomness="same"), torch.ones(4, 6))
    assert torch.equal(same, same[:1].expand(4, 6))
    different = seeded(torch.func.vmap(drawn, randomness="different"), torch.ones(4, 6))
    assert len(different.unique()) == 24
    with pytest.raises(RuntimeError, match="randomness"):
        torch.func.vmap(drawn)(torch.ones(4, 6))


@each_kind
def test_compiles_in_one_graph(kind):
    torch._dynamo.reset()

    def function(x):
        return kind.function(x, kind.size)

    def step(function, x):
        y = function(x)
        return y, torch.autograd.grad((y * y).sum(), x)[0]

    x = torch.randn(6, 5, requires_grad=True)
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    assert all(map(torch.equal, seeded(step, compiled, x), seeded(step, function, x)))


@each_kind
def test_is_traced_as_one_call(kind):
    graph = torch.fx.symbolic_trace(lambda x: kind.function(x, kind.size))
    calls = [n.target for n in graph.graph.nodes if n.op == "call_function"]
    assert calls == [kind.function]


LAWS = {
    "gaussian_dropout": (1.0, scipy.stats.norm(1.0, 0.5)),
    "gaussian_noise": (0.0, scipy.stats.norm(0.0, 0.3)),
    "uniform_dropout": (1.0, scipy.stats.uniform(0.6, 0.8)),
}


@pytest.mark.parametrize("name", KINDS)
def test_law(name):
    """Kolmogorov and Smirnov's distance of 2**17 results at one value, below its 1e-6 quantile.

    That is 0.0075; noise of 1.05 times the standard deviation is 0.012 away, or 0.0125 if uniform,
    and seen in the second part.
    """
    n, (value, law) = 2**17, LAWS[name]
    critical = math.sqrt(math.log(2 / 1e-6) / 2 / n)
    kind = KINDS[name]
    x = torch.full((n,), value, dtype=torch.float64)
    y = kind.function(x, kind.size, key=KEY).sort().values.numpy()

    def distance(sample):
        at = law.cdf(sample)
        steps = np.arange(n + 1) / n
        return max(np.abs(at - steps[1:]).max(), np.abs(at - steps[:-1]).max())

    assert distance(y) < critical
    assert distance(law.mean() + (y - law.mean()) * 1.05) > critical


def test_gaussian_dropout_has_the_variance_of_dropout():
    """It is within 6 standard errors, for 2**17 elements: the fourth moment is 3 or so."""
    n = 2**17
    for p in (0.05, 0.3, 0.5, 0.9, 0.999):
        y = F.gaussian_dropout(torch.ones(n, dtype=torch.float64), p, key=KEY)
        variance = p / (1 - p)
        assert abs(y.mean().item() - 1) < 6 * math.sqrt(variance / n)
        assert abs(y.var().item() - variance) < 6 * variance * math.sqrt(2 / n)


INF, NAN = math.inf, math.nan


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "error", "words"),
    [
        (
            F.gaussian_dropout,
            (1.0,),
            {},
            ArgumentValueError,
            r"Expected `p` to be in \[0, 1\): the variance of the noise is p / \(1 - p\), "
            r"got p=1.0 \(float\)\.",
        ),
        (F.gaussian_dropout, (1,), {}, ArgumentValueError, r"got p=1 \(int\)"),
        (F.gaussian_dropout, (1.0, False), {}, ArgumentValueError, r"\[0, 1\)"),
        (F.gaussian_dropout, (-0.1,), {}, ArgumentValueError, r"in \[0, 1\], .* got p=-0.1"),
        (F.gaussian_dropout, (NAN,), {}, ArgumentValueError, "got p=nan"),
        (F.gaussian_dropout, ("0.1",), {}, ArgumentTypeError, r"got p='0.1' \(str\)"),
        (
            F.gaussian_noise,
            (-0.1,),
            {},
            ArgumentValueError,
            "Expected `sigma` to be 0 or more and finite, the standard deviation of the noise, "
            r"got sigma=-0.1 \(float\)\.",
        ),
        (F.gaussian_noise, (INF,), {}, ArgumentValueError, r"got sigma=inf \(float\)"),
        (F.gaussian_noise, (NAN, False), {}, ArgumentValueError, r"got sigma=nan \(float\)"),
        (F.gaussian_noise, (10**400,), {}, ArgumentValueError, "`sigma` .*finite"),
        (F.gaussian_noise, (True,), {}, ArgumentTypeError, r"got sigma=True \(bool\)"),
        (F.gaussian_noise, (torch.tensor(0.1),), {}, ArgumentTypeError, r"\(Tensor\)"),
        (F.gaussian_noise, (), {}, TypeError, "sigma"),
        (
            F.uniform_dropout,
            (1.0,),
            {},
            ArgumentValueError,
            r"Expected `beta` to be in \[0, 1\), half the width of the noise, "
            r"got beta=1.0 \(float\)\.",
        ),
        (F.uniform_dropout, (-1e-9,), {}, ArgumentValueError, "got beta=-1e-09"),
        (F.uniform_dropout, (NAN,), {}, ArgumentValueError, "got beta=nan"),
        (F.uniform_dropout, (None,), {}, ArgumentTypeError, r"got beta=None \(NoneType\)"),
        *(
            (function, (0.1, *args), kwargs, error, words)
            for function in (F.gaussian_dropout, F.gaussian_noise, F.uniform_dropout)
            for args, kwargs, error, words in (
                ((1,), {}, ArgumentTypeError, r"`training` to be a bool, got training=1 \(int\)"),
                ((True, 1), {}, ArgumentTypeError, r"`inplace` to be a bool"),
                ((), {"key": 3}, ArgumentTypeError, "`key` to be a torchdropout.Key"),
                (
                    (),
                    {"key": KEY, "generator": torch.Generator()},
                    ArgumentValueError,
                    "`key` or `generator`, not both",
                ),
                ((), {"layout": MaskLayout(0, (1,))}, ArgumentValueError, "`layout`"),
                ((), {"broadcast_dims": (2,)}, ArgumentValueError, "`broadcast_dims`"),
                ((False,), {"broadcast_dims": 1}, ArgumentTypeError, "`broadcast_dims`"),
                ((), {"out": torch.empty(3)}, ArgumentValueError, "`out`"),
                ((True, True), {"out": torch.empty(2, 3)}, ArgumentValueError, "not both"),
            )
        ),
    ],
)
def test_refusals_draw_nothing(function, args, kwargs, error, words):
    x, before = torch.ones(2, 3), torch.get_rng_state()
    with pytest.raises(error, match=words):
        function(x, *args, **kwargs)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(x, torch.ones(2, 3))


@each_kind
@pytest.mark.parametrize("dtype", [torch.complex64, torch.int64, torch.bool, torch.float8_e5m2])
def test_dtypes_that_are_refused(kind, dtype):
    for training in (True, False):
        with pytest.raises(ArgumentTypeError, match=f"floating-point tensor of .* {dtype}"):
            kind.function(torch.ones(3).to(dtype), kind.size, training)


@each_kind
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
@pytest.mark.parametrize("layout", [torch.jagged, torch.strided])
def test_nested_is_refused(kind, layout):
    x = torch.nested.nested_tensor([torch.ones(2, 3), torch.ones(1, 3)], layout=layout)
    with pytest.raises(ArgumentTypeError, match="`input` to be a tensor that is not nested"):
        kind.function(x, kind.size)


@each_kind
def test_what_is_not_finite_stays_so(kind):
    x = torch.tensor([math.inf, -math.inf, math.nan])
    y = kind.function(x, kind.size, key=KEY)
    assert y.isnan().tolist() == [False, False, True]
    assert bool(y[:2].isinf().all())
