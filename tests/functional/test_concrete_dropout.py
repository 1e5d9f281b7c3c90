"""Concrete dropout: the paper's formula on the contract's logistic noise, and a gradient for p."""

import functools
import itertools
import math

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats
from torch.utils.checkpoint import checkpoint

from oracle import FLOATS, layouts_of, same_bits
from torchdropout import Key, MaskLayout
from torchdropout import functional as F
from torchdropout.contract.noise import Law, noise
from torchdropout.errors import ArgumentTypeError, ArgumentValueError

KEY = Key(8, 9)
LOGIT = torch.tensor([math.log(0.3 / 0.7)], dtype=torch.float64)


def seeded(function, *args, **kwargs):
    torch.manual_seed(3)
    return function(*args, **kwargs)


def randn(*shape, dtype=torch.float64):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).to(
        dtype
    )


def defined(x, p, temperature=0.1, key=KEY, layout=None):
    """`x (1 - z) / (1 - p)`, in NumPy as in the paper, from the noise of the definition."""
    layout = layout or MaskLayout.of(tuple(x.shape))
    e = [
        noise(key.seed, key.stream, Law.LOGISTIC, layout.index(place))
        for place in itertools.product(*map(range, x.shape))
    ]
    e = np.array(e, dtype=np.float64).reshape(tuple(x.shape))
    z = special.expit((np.log(p) - np.log(1 - p) + e) / temperature)
    return torch.from_numpy(np.asarray(x.double().numpy() * (1 - z) / (1 - p)))


@pytest.mark.parametrize("p", [0.01, 0.3, 0.9])
@pytest.mark.parametrize("temperature", [0.1, 2 / 3, 3])
def test_equals_the_definition(p, temperature):
    logit = torch.tensor(p, dtype=torch.float64).logit()
    for shape in ((), (7,), (6, 5), (5, 4, 3, 2), (0, 3), (3, 0)):
        x = randn(*shape)
        y = F.concrete_dropout(x, logit, True, temperature, key=KEY)
        torch.testing.assert_close(y, defined(x, p, temperature), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_dtypes_and_memory_layouts(dtype):
    """The noise of float64, in the compute type, rounded once, for every layout in memory."""
    x = randn(5, 4, 3, 2).to(dtype)
    exact = defined(x, 0.3)
    y = F.concrete_dropout(x, LOGIT, key=KEY)
    assert y.dtype == dtype
    rounding = {torch.float64: 1e-11, torch.float32: 2e-5}.get(dtype, torch.finfo(dtype).eps)
    torch.testing.assert_close(y.double(), exact, rtol=rounding, atol=1e-7)
    if dtype.itemsize == 2:
        wide = F.concrete_dropout(x.float(), LOGIT, key=KEY)
        assert same_bits(y, wide.to(dtype))
    for laid_out in layouts_of(x).values():
        z = F.concrete_dropout(laid_out, LOGIT, key=KEY)
        assert same_bits(z, y)
        assert z.stride() == torch.empty_like(laid_out).stride()


def test_the_law_of_the_factor():
    """Kolmogorov-Smirnov on 200,000 factors against the distribution in closed form.

    At a level of 1e-6 it sees a distance of 0.006 of the distribution functions, as that between
    p = 0.3 and p = 0.306. And the share of z > 1/2 is p, within 6 sigma.
    """
    n, p, t = 200_000, 0.3, 0.1
    y = F.concrete_dropout(torch.ones(n, dtype=torch.float64), LOGIT, True, t, key=Key(0)).numpy()
    z = 1 - 0.7 * y
    inside = z[(z > 1e-12) & (z < 1 - 1e-12)]

    def below(z):
        return special.expit(t * special.logit(z) - special.logit(p))  # P(Z < z)

    low, high = below(1e-12), below(1 - 1e-12)
    result = stats.kstest(inside, lambda z: (below(z) - low) / (high - low))
    assert len(inside) > 0.8 * n
    assert result.pvalue > 1e-6
    assert abs((z > 0.5).mean() - p) < 6 * math.sqrt(p * (1 - p) / n)


@pytest.mark.parametrize(("p", "mean"), [(0.1, 0.9987), (0.5, 1.0)])
def test_the_mean_that_the_docs_state(p, mean):
    def factor(u):
        return special.expit(-(special.logit(p) + special.logit(u)) / 0.1) / (1 - p)

    expected, _ = integrate.quad(factor, 0, 1, points=[1 - p], limit=500)
    assert abs(expected - mean) < 5e-5
    n = 500_000
    logit = torch.tensor(p, dtype=torch.float64).logit()
    y = F.concrete_dropout(torch.ones(n, dtype=torch.float64), logit, key=Key(1))
    assert abs(y.mean().item() - expected) < 6 * y.std().item() / math.sqrt(n)


@pytest.mark.parametrize("temperature", [0.1, 1.5])
def test_eval_is_the_identity_and_draws_nothing(temperature):
    x, before = randn(4, 3), torch.get_rng_state()
    assert F.concrete_dropout(x, LOGIT, False, temperature) is x
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_extreme_p(dtype):
    """p = 0 keeps, p = 1 gives zeros, and neither gives a NaN, nor do the gradients."""
    x = randn(50).to(dtype).requires_grad_()
    for extreme, expected in ((-math.inf, x), (-1e3, x), (1e3, 0 * x), (math.inf, 0 * x)):
        logit = torch.tensor(extreme, dtype=dtype, requires_grad=True)
        y = F.concrete_dropout(x, logit, key=KEY)
        assert torch.equal(y, expected)
        of_x, of_logit = torch.autograd.grad(y.sum(), (x, logit))
        assert torch.equal(of_x, torch.full_like(x, float(extreme < 0)))
        assert of_logit == 0


def test_randomness():
    x = randn(64, 3)
    run = functools.partial(F.concrete_dropout, x, LOGIT)
    assert torch.equal(seeded(run), seeded(run))
    assert not torch.equal(run(), run())
    assert torch.equal(seeded(run), run(key=seeded(Key.draw)))
    generators = [torch.Generator().manual_seed(1) for _ in range(2)]
    before = torch.get_rng_state()
    y = run(generator=generators[0])
    assert torch.equal(y, run(key=Key.draw(generators[1])))
    assert torch.equal(torch.get_rng_state(), before)


def test_shared_draws_and_micro_batches():
    x = randn(4, 3, 5, 6)
    y = F.concrete_dropout(x, LOGIT, key=KEY, broadcast_dims=(-2, -1))
    layout = MaskLayout.of((4, 3, 5, 6), (2, 3))
    torch.testing.assert_close(y, defined(x, 0.3, layout=layout), rtol=1e-11, atol=1e-13)
    part = F.concrete_dropout(x[1:3], LOGIT, key=KEY, layout=layout.at((1,)))
    assert torch.equal(part, y[1:3])


def test_a_p_for_each_channel():
    p = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64).view(3, 1)
    x = randn(4, 3, 5)
    y = F.concrete_dropout(x, p.logit(), key=KEY)
    expected = defined(x, p.numpy())
    torch.testing.assert_close(y, expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("shared", [(), (1,)])
def test_gradients_of_both_orders_and_modes(shared):
    x, logit = randn(4, 3).requires_grad_(), randn(4, 1).requires_grad_()

    def function(x, logit):
        return F.concrete_dropout(x, logit, True, 0.5, key=KEY, broadcast_dims=shared)

    assert torch.autograd.gradcheck(
        function,
        (x, logit),
        check_forward_ad=True,
        check_batched_grad=True,
        check_batched_forward_grad=True,
    )
    assert torch.autograd.gradgradcheck(function, (x, logit), check_fwd_over_rev=True)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_the_gradient_of_p_is_summed_in_the_compute_type(dtype):
    """2**16 terms: in bfloat16 itself a sum of them stops growing at 256."""
    x = torch.ones(2**16, dtype=dtype)
    logit = torch.tensor([0.2], requires_grad=True)
    F.concrete_dropout(x, logit, True, 1.0, key=KEY).sum(dtype=torch.float32).backward()
    wide = torch.tensor([0.2], dtype=torch.float64, requires_grad=True)
    F.concrete_dropout(x.double(), wide, True, 1.0, key=KEY).sum().backward()
    torch.testing.assert_close(logit.grad.double(), wide.grad, rtol=1e-4, atol=0)


def test_transforms():
    x, logit = randn(6, 5, 3), LOGIT.squeeze()
    run = functools.partial(F.concrete_dropout, key=KEY)
    same = torch.func.vmap(lambda x: run(x, logit))(x)
    assert torch.equal(same, torch.stack([run(row, logit) for row in x]))
    grads = torch.func.vmap(torch.func.grad(lambda p, x: run(x, p).sum()), (None, 0))(logit, x)
    single = [torch.func.grad(lambda p, row=row: run(row, p).sum())(logit) for row in x]
    torch.testing.assert_close(grads, torch.stack(single))
    logits = torch.linspace(-2, 2, 6, dtype=torch.float64)
    each = torch.func.vmap(run)(x, logits)
    single = [run(*pair) for pair in zip(x, logits, strict=True)]
    torch.testing.assert_close(each, torch.stack(single))

    def draws(randomness):
        ones = torch.ones(6, 5, dtype=torch.float64)
        return seeded(
            torch.func.vmap(lambda x: F.concrete_dropout(x, logit), randomness=randomness), ones
        )

    assert len(draws("same").unique(dim=0)) == 1
    assert len(draws("different").unique(dim=0)) == 6
    tangent = torch.func.jvp(lambda p: run(x, p), (logit,), (torch.ones_like(logit),))[1]
    reverse = torch.autograd.functional.jacobian(lambda p: run(x, p), logit)
    torch.testing.assert_close(tangent, reverse)


@pytest.mark.integration
@pytest.mark.parametrize("dynamic", [False, True])
def test_compiles_in_one_graph(dynamic):
    torch._dynamo.reset()

    def step(function, x, logit):
        y = function(x, logit)
        return y, *torch.autograd.grad((y * y).sum(), (x, logit))

    x, logit = randn(6, 5).float().requires_grad_(), LOGIT.float().requires_grad_()
    compiled = torch.compile(
        lambda x, logit: F.concrete_dropout(x, logit),
        fullgraph=True,
        backend="aot_eager",
        dynamic=dynamic,
    )
    got = seeded(step, compiled, x, logit)
    expected = seeded(step, F.concrete_dropout, x, logit)
    assert all(map(torch.equal, got[:2], expected[:2]))
    torch.testing.assert_close(got[2], expected[2])  # summed in another order


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_checkpointing_makes_the_same_noise_again(use_reentrant):
    x, logit = randn(50).requires_grad_(), LOGIT.clone().requires_grad_()

    def grads(run):
        return torch.autograd.grad(seeded(run).square().sum(), (x, logit))

    plain = grads(lambda: F.concrete_dropout(x, logit))
    if use_reentrant:
        y = seeded(checkpoint, F.concrete_dropout, x, logit, use_reentrant=True)
        y.square().sum().backward()
        again = (x.grad, logit.grad)
    else:
        again = grads(lambda: checkpoint(F.concrete_dropout, x, logit, use_reentrant=False))
    assert all(map(torch.equal, plain, again))


def test_only_x_the_parameter_and_the_key_are_kept():
    x, logit = randn(64, 33).requires_grad_(), LOGIT.clone().requires_grad_()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        F.concrete_dropout(x, logit)
    assert {t.data_ptr() for t in kept if t.numel() > 2} == {x.data_ptr()}
    assert sum(t.nbytes for t in kept) == x.nbytes + 8 + 16


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (
            {"input": [1.0]},
            ArgumentTypeError,
            r"`input` to be a tensor, got input=\[1.0\] \(list\)",
        ),
        ({"input": torch.ones(2, 3, dtype=torch.int64)}, ArgumentTypeError, "convert it first"),
        ({"input": torch.ones(2, 3) * 1j}, ArgumentTypeError, "a floating-point tensor"),
        (
            {"p_logit": 0.1},
            ArgumentTypeError,
            r"`p_logit` to be a floating-point tensor, log\(p / \(1 - p\)\), got p_logit=0.1",
        ),
        ({"p_logit": torch.tensor(1)}, ArgumentTypeError, "`p_logit`"),
        (
            {"p_logit": torch.zeros(2, 1, 3)},
            ArgumentValueError,
            r"`p_logit` to be of one element, or of a shape that broadcasts to the input's, "
            r"\(2, 3\), got p_logit=<tensor of shape \(2, 1, 3\), torch.float32>",
        ),
        ({"p_logit": torch.zeros(2)}, ArgumentValueError, r"input's, \(2, 3\)"),
        (
            {"p_logit": torch.zeros((), device="meta")},
            ArgumentValueError,
            "on the input's device, cpu, and not on meta",
        ),
        ({"training": 1}, ArgumentTypeError, r"`training` to be a bool, got training=1 \(int\)"),
        (
            {"temperature": 0},
            ArgumentValueError,
            r"`temperature` to be above 0 and finite, of the relaxation, got temperature=0 \(int\)",
        ),
        ({"temperature": -0.1, "training": False}, ArgumentValueError, "got temperature=-0.1"),
        ({"temperature": math.nan}, ArgumentValueError, "got temperature=nan"),
        ({"temperature": math.inf}, ArgumentValueError, "got temperature=inf"),
        ({"temperature": "0.1"}, ArgumentTypeError, r"got temperature='0.1' \(str\)"),
        ({"temperature": True}, ArgumentTypeError, "got temperature=True"),
        ({"key": 3}, ArgumentTypeError, "`key`"),
        ({"key": KEY, "generator": torch.Generator()}, ArgumentValueError, "not both"),
        ({"broadcast_dims": (2,)}, ArgumentValueError, "`broadcast_dims`"),
        ({"layout": MaskLayout(0, (1,))}, ArgumentValueError, "`layout`"),
    ],
)
def test_refusals_draw_nothing(change, error, words):
    before = torch.get_rng_state()
    with pytest.raises(error, match=words):
        F.concrete_dropout(**{"input": torch.ones(2, 3), "p_logit": torch.zeros(1), **change})
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
def test_nested_is_refused():
    x = torch.nested.nested_tensor([torch.ones(2, 3), torch.ones(1, 3)], layout=torch.jagged)
    with pytest.raises(ArgumentTypeError, match="`input` to be a tensor that is not nested"):
        F.concrete_dropout(x, torch.zeros(1))


def test_is_traced_as_one_call():
    graph = torch.fx.symbolic_trace(lambda x, logit: F.concrete_dropout(x, logit))
    calls = [n.target for n in graph.graph.nodes if n.op == "call_function"]
    assert calls == [F.concrete_dropout]
