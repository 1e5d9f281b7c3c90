"""`noise_affine` on every backend against the definition, element by element and bit for bit."""

from __future__ import annotations

import contextlib
import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from noise_oracle import noisy
from oracle import FLOATS, same_bits
from random_calls import Cases
from strategies import keys, layouts, tensors
from torchdropout import Key, backends
from torchdropout._core import ops
from torchdropout._core.contract.noise import Law
from torchdropout._core.contract.seed import as_int64
from torchdropout._core.kernels import noise as reference
from vectors import NOISE

KEY = Key(0x0123456789ABCDEF, 0xFEDCBA987654321)
operator = torch.ops.torchdropout.noise_affine.default

each_backend = pytest.mark.parametrize("backend", backends.available())
each_compiled = pytest.mark.parametrize("backend", backends.available()[1:])
each_law = pytest.mark.parametrize("law", Law, ids=lambda law: law.name)

laws = st.sampled_from(Law)
constants = st.sampled_from([(0.5, 0.0), (0.0, 0.3), (-1.25, 2.0), (0.0, 0.0), (1e30, -1e-30)])


@contextlib.contextmanager
def threads(n):
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@each_backend
def test_equals_the_definition(backend):
    elements = 0

    @settings(max_examples=100)
    @given(st.data())
    def property_(data):
        nonlocal elements
        x = data.draw(tensors(dtypes=FLOATS, max_side=8))
        key, layout = data.draw(keys), data.draw(layouts(x.shape))
        law, (factor, addend) = data.draw(laws), data.draw(constants)
        with backends.use(backend):
            y = ops.noise_affine(
                x, key.tensor(), law, factor, addend, as_int64(layout.base), layout.strides
            )
        assert same_bits(y, noisy(x, law, factor, addend, key, layout))
        assert y.stride() == torch.empty_like(x).stride()
        elements += x.numel()

    property_()
    assert elements > 400


@each_backend
def test_equals_the_definition_with_many_keys(backend):
    """The keys in the leading dimensions: each has noise of its own over those behind."""

    @settings(max_examples=40)
    @given(st.data())
    def property_(data):
        x = data.draw(tensors(dtypes=FLOATS, min_dims=1, max_side=4))
        lead = data.draw(st.integers(1, x.ndim))
        law, layout = data.draw(laws), data.draw(layouts(x.shape[lead:]))
        drawn = [data.draw(keys) for _ in range(math.prod(x.shape[:lead]))]
        numbers = torch.tensor([[as_int64(k.seed), k.stream] for k in drawn], dtype=torch.int64)
        key = numbers.reshape(*x.shape[:lead], 2)
        with backends.use(backend):
            y = operator(x, key, law, 0.5, 0.25, as_int64(layout.base), layout.strides)
        places = itertools.product(*map(range, x.shape[:lead]))
        for place, one in zip(places, drawn, strict=True):
            assert same_bits(y[place], noisy(x[place], law, 0.5, 0.25, one, layout))

    property_()


@each_backend
def test_vectors(backend):
    """One number at a time, from float64 zeros: its bits; of the reference, which is slow, some."""
    with backends.use(backend):
        for law, seed, stream, index, _, value in NOISE[:: 7 if backend == "reference" else 1]:
            zero = torch.zeros(1, dtype=torch.float64)
            y = operator(zero, Key(seed, stream).tensor(), law, 0.0, 1.0, as_int64(index), [1])
            assert same_bits(y, torch.tensor([value], dtype=torch.float64))


def differences(seed, calls, n_threads):
    """How many results differ from the reference, for each backend; and what was compared."""
    compiled = backends.available()[1:]
    different, source, elements = dict.fromkeys(compiled, 0), Cases(seed, FLOATS), 0
    for _ in range(calls):
        case, pick = next(source), source.random
        factor, addend = (pick.choice((0.0, 1.0, pick.uniform(-2, 2))) for _ in range(2))
        law = pick.choice(list(Law))
        arguments = (case.x, case.key, law, factor, addend, as_int64(case.base), case.strides)
        expected = reference.noise_affine(*arguments)
        elements += case.x.numel()
        for backend in compiled:
            with backends.use(backend), threads(n_threads):
                y = operator(*arguments)
            different[backend] += not same_bits(y, expected) or y.stride() != expected.stride()
    return different, elements


@pytest.mark.integration
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_the_reference_in_random_calls(seed):
    different, elements = differences(seed, 250, seed + 1)
    assert set(different.values()) <= {0}, different
    assert elements > 4 * 10**4


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 120))
def test_equals_the_reference_in_100_000_random_calls(seed):
    different, _ = differences(seed, 5000, seed % 2 + 1)
    assert set(different.values()) <= {0}, different


@each_backend
def test_what_is_not_finite(backend):
    x = torch.tensor([math.inf, -math.inf, math.nan, -0.0, 3e38])
    with backends.use(backend):
        y = operator(x, KEY.tensor(), Law.NORMAL, 0.0, 0.0, 0, [1])
        z = operator(x, KEY.tensor(), Law.UNIFORM, 0.5, 0.0, 0, [1])
    assert same_bits(y[[0, 1, 3, 4]], x[[0, 1, 3, 4]])
    assert y[2].isnan()
    assert z[:2].tolist() == [math.inf, -math.inf]
    assert math.copysign(1.0, z[3].item()) == -1.0


@each_backend
class TestOutsideTheContract:
    def test_a_key_for_many(self, backend):
        """A dimension of size 1 in the keys: that key is shared."""
        x = torch.ones(6, 200)
        with backends.use(backend):
            y = operator(x, KEY.tensor()[None], Law.NORMAL, 0.5, 0.0, 0, [1])
        assert same_bits(y, noisy(x[0], Law.NORMAL, 0.5, 0.0, KEY).expand(6, 200))


@each_law
@pytest.mark.parametrize("grad", [True, False])
def test_opcheck(law, grad):
    x = torch.randn(3, 4, 5, requires_grad=grad)
    args = (x, KEY.tensor(), law, 0.5, 0.25, -17, [20, 0, 1])
    results = torch.library.opcheck(operator, args)
    assert set(results.values()) == {"SUCCESS"}
