"""p as a tensor: a drop probability for each element or feature."""

import math

import pytest
import torch

from draws import refused
from oracle import same_bits
from torchdropout import Key, MaskLayout
from torchdropout import functional as F
from torchdropout._core import _validate
from torchdropout._core.ops import _masked_affine
from torchdropout.errors import ArgumentTypeError, ArgumentValueError
from torchdropout.functional import _bernoulli

KEY = Key(5, 2**40 + 1)
RATES = torch.tensor([0.0, 0.1, 0.5, 1 - 2**-20, 1.0])
X = torch.randn(40, 3, 5, generator=torch.Generator().manual_seed(0))
X[0] = -0.0
X[1, 0] = math.inf


def one_by_one(call, x, p):
    """Each element from the call whose p is its own, a number."""
    wide = p.expand(x.shape)
    y = torch.empty_like(call(0.5))
    for rate in wide.unique().tolist():
        here = wide == rate
        y[here] = call(rate)[here]
    return y


@pytest.mark.parametrize("shape", [(5,), (3, 1), (40, 1, 1), (1,), (40, 3, 5)])
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"broadcast_dims": (1,)},
        {"layout": MaskLayout.of((80, 3, 5)).at((40, 0, 0))},
        {"layout": MaskLayout(2**33, (7, 50, 1))},
    ],
    ids=["plain", "shared", "shard", "gaps"],
)
def test_each_element_has_the_bit_and_the_scale_of_its_own_p(shape, how):
    p = RATES.repeat(120)[: math.prod(shape)].reshape(shape).contiguous()
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.complex64):
        x = X.to(dtype)
        y = F.dropout(x, p, key=KEY, **how)
        assert same_bits(y, one_by_one(lambda p, x=x: F.dropout(x, p, key=KEY, **how), x, p))
    kept = F.keep_mask(X.shape, p, key=KEY, **how)
    assert torch.equal(kept, one_by_one(lambda p: F.keep_mask(X.shape, p, key=KEY, **how), X, p))


def test_the_threshold_is_rounded_as_that_of_a_number():
    """At an element's own uniform, where the next p decides otherwise."""
    n = 2000
    kept = torch.zeros(n, dtype=torch.bool)
    low, high = torch.zeros(n).double(), torch.ones(n).double()
    for _ in range(33):  # bisect each element's own uniform
        middle = (low + high) / 2
        kept = F.keep_mask((n,), middle, key=KEY)
        low, high = torch.where(kept, middle, low), torch.where(kept, high, middle)
    for i in range(0, n, 400):
        for p in (low[i].item(), high[i].item(), math.nextafter(high[i].item(), 0.0)):
            number = F.keep_mask((n,), p, key=KEY)[i]
            assert number == F.keep_mask((n,), torch.full((n,), p, dtype=torch.float64), key=KEY)[i]
        assert F.keep_mask((n,), low[i].item(), key=KEY)[i]
        assert not F.keep_mask((n,), high[i].item(), key=KEY)[i]


def test_gradients_of_every_kind():
    x = torch.randn(1, 5, dtype=torch.float64, requires_grad=True)
    p = RATES.double()
    assert torch.autograd.gradcheck(lambda x: F.dropout(x, p, key=KEY), x, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(lambda x: F.dropout(x, p, key=KEY), x)
    y = F.dropout(x, p, key=KEY)
    saved = y.grad_fn.saved_tensors
    assert sum(t.numel() for t in saved) == 2 + 5  # the key, and the rates


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_p_may_come_from_inference_mode(dtype):
    x = torch.ones(9, requires_grad=True)
    with torch.inference_mode():
        p = torch.full((9,), 0.5, dtype=dtype)
    y = F.dropout(x, p, key=KEY)
    assert torch.equal(torch.autograd.grad(y.sum(), x)[0], y)


def test_under_vmap():
    def call(x, p):
        return F.dropout(x, p, key=KEY)

    x, p = X[:4], torch.stack([RATES, RATES.flip(0), RATES * 0.5, RATES * 0.1])
    alone = torch.stack([call(x[i], p[i]) for i in range(4)])
    assert same_bits(torch.vmap(call)(x, p), alone)
    assert same_bits(torch.vmap(call, (1, 1), 1)(x.movedim(0, 1), p.mT), alone.movedim(0, 1))
    shared = torch.stack([call(x[0], p[i]) for i in range(4)])
    assert same_bits(torch.vmap(call, (None, 0))(x[0], p), shared)
    alike = torch.stack([call(row, RATES) for row in x])
    assert same_bits(torch.vmap(call, (0, None))(x, RATES), alike)

    def keyed(x, p, n):
        return F.dropout(x, p, key=KEY.fold_in(n))

    n = torch.arange(4)
    own = torch.stack([keyed(x[i], p[i], i) for i in range(4)])
    assert same_bits(torch.vmap(keyed)(x, p, n), own)
    last = torch.stack([keyed(x[0], p[0], i) for i in range(4)])
    assert same_bits(torch.vmap(keyed, (None, None, 0))(x[0], p[0], n), last)
    different = torch.vmap(lambda x, p: F.dropout(x, p), randomness="different")(x, p)
    assert different.shape == x.shape


@pytest.mark.integration
def test_compiled_p_is_an_input_of_the_graph():
    def call(x, p):
        return F.dropout(x, p, key=KEY)

    compiled = torch.compile(call, backend="aot_eager", fullgraph=True)
    with torch._dynamo.config.patch(error_on_recompile=True):
        for p in (RATES, RATES.flip(0), torch.zeros(5)):
            x = X.clone().requires_grad_()
            y = compiled(x, p)
            assert same_bits(y.detach(), call(X, p))
            (gradient,) = torch.autograd.grad(y.sum(), x)
            assert torch.equal(gradient, call(torch.ones_like(X), p))
        with pytest.raises(ArgumentValueError, match=r"in \[0, 1\] everywhere.* got 1.5 in it"):
            compiled(X.clone().requires_grad_(), torch.full((5,), 1.5))


@pytest.mark.integration
def test_compiled_p_may_be_a_constant_where_sizes_are_symbols():
    """A symbol equals a size without being found by `in`."""

    def call(x):
        return F.dropout(x, torch.full((3, 5), 0.25), key=KEY)

    compiled = torch.compile(call, backend="aot_eager", fullgraph=True, dynamic=True)
    assert same_bits(compiled(X), call(X))


def test_the_values_are_looked_at_once(monkeypatch):
    """Each look waits for a GPU; the backward and the operator know that there was one."""
    seen = []
    for module in (_bernoulli, _masked_affine):
        monkeypatch.setattr(module, "check_rates", seen.append)
    x = X.clone().requires_grad_()
    y = F.dropout(x, RATES, key=KEY)
    torch.autograd.grad(y.sum(), x)
    assert len(seen) == 1
    torch.vmap(lambda p: F.dropout(X, p, key=KEY))(RATES[None])  # by the operator
    assert len(seen) == 2


def test_in_a_capture_the_values_are_not_looked_at(monkeypatch):
    """It cannot: the calls before it have."""
    for module in (_bernoulli, _masked_affine, _validate):
        monkeypatch.setattr(module, "is_captured", lambda tensor: True)
        if module is not _validate:
            monkeypatch.setattr(module, "check_rates", lambda rates: pytest.fail("read"))
    F.dropout(X, RATES, key=KEY)
    with pytest.raises(ArgumentTypeError, match="a number while a CUDA graph is captured, where"):
        F.dropout(X, torch.tensor(0.5))


def test_refused_where_it_has_no_meaning_or_a_learned_one():
    nested = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged)
    with refused(ArgumentTypeError, "`p` to be a number where the input is nested"):
        F.dropout(nested, torch.ones(1))
    for call in (
        lambda: F.alpha_dropout(X, RATES, True),
        lambda: F.dropout1d(X, RATES),
        lambda: F.gaussian_dropout(X, RATES),
        lambda: F.dropout_add(X, X, RATES),
        lambda: F.scaled_dot_product_attention(X, X, X, None, RATES),
    ):
        with refused(ArgumentTypeError, r"a number in .* got (dropout_)?p=<tensor of"):
            call()
    with refused(ArgumentTypeError, "concrete_dropout learns p"):
        torch.func.jvp(lambda p: F.dropout(X, p), (RATES,), (RATES,))
