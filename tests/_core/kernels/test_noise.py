"""`noise_affine` on every backend against the definition, element by element and bit for bit."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from noise_oracle import noisy
from oracle import FLOATS, same_bits
from strategies import keys, layouts, tensors
from torchdropout import Key, backends
from torchdropout._core import ops
from torchdropout._core.contract.noise import Law
from torchdropout._core.contract.seed import as_int64
from vectors import NOISE

KEY = Key(0x0123456789ABCDEF, 0xFEDCBA987654321)
operator = torch.ops.torchdropout.noise_affine.default

each_backend = pytest.mark.parametrize("backend", backends.available())

laws = st.sampled_from(Law)
constants = st.sampled_from([(0.5, 0.0), (0.0, 0.3), (-1.25, 2.0), (0.0, 0.0), (1e30, -1e-30)])


@each_backend
def test_equals_the_definition(backend):
    elements = 0

    @settings(max_examples=60)
    @given(st.data())
    def property_(data):
        nonlocal elements
        x = data.draw(tensors(dtypes=FLOATS, max_side=8))
        key, layout = data.draw(keys), data.draw(layouts(x.shape))
        law, (factor, addend) = data.draw(laws), data.draw(constants)
        with backends.use(backend):
            place = as_int64(layout.base), layout.strides
            y = ops.noise_affine(x, key.tensor(), law, factor, addend, *place)
        assert same_bits(y, noisy(x, law, factor, addend, key, layout))
        assert y.stride() == torch.empty_like(x).stride()
        elements += x.numel()

    property_()
    assert elements > 200


@each_backend
def test_equals_the_definition_with_many_keys(backend):
    """The keys in the leading dimensions: each has noise of its own over those behind."""

    @settings(max_examples=20)
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
