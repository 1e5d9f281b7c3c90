"""functional.dropout_add: the composition it stands for, its one rounding, gradients, refusals."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from draws import randn, refused, threads
from oracle import FLOATS, layouts_of, mask, same_bits
from strategies import keys, layouts, probabilities, seeds
from torchdropout import Key, MaskLayout, backends
from torchdropout import functional as F
from torchdropout.errors import ArgumentTypeError, ArgumentValueError

KEY = Key(2**63 + 5, 2**40 + 1)
ALL_BACKENDS = backends.available()
COMPILED = ALL_BACKENDS[-1]
BACKENDS = tuple(dict.fromkeys(("reference", COMPILED)))
HALVES = (torch.float16, torch.bfloat16)
# Dtypes of x, residual and bias that fit.
COMBINATIONS = [
    (x, residual, bias)
    for x in FLOATS
    for residual in dict.fromkeys((x, torch.float32 if x in HALVES else x))
    for bias in dict.fromkeys((None, x, torch.float32 if x in HALVES else x))
]
BIASED = [dtypes for dtypes in COMBINATIONS if dtypes[2] is not None]
SOME = [
    (torch.float64, torch.float64, torch.float64),
    (torch.bfloat16, torch.float32, torch.bfloat16),
    (torch.float16, torch.float16, None),
]


@pytest.fixture(params=BACKENDS)
def backend(request):
    with backends.use(request.param):
        yield request.param


def triple(dtypes=(torch.float32,) * 3, shape=(6, 37), grad=False):
    """x, residual and bias (or None)."""
    shapes = (shape, shape, shape[-1:])
    return [
        None if d is None else randn(*s, dtype=d, seed=i).requires_grad_(grad)
        for i, (s, d) in enumerate(zip(shapes, dtypes, strict=True))
    ]


def composition(x, residual, bias=None, p=0.3, **kwargs):
    return residual + F.dropout(x if bias is None else x + bias, p, **kwargs)


def rounded(values, dtype):
    """NumPy's values in a dtype of torch: NumPy rounds to float16, integers to bfloat16."""
    if dtype != torch.bfloat16:
        names = {torch.float16: np.float16, torch.float32: np.float32, torch.float64: np.float64}
        with np.errstate(over="ignore"):
            return torch.from_numpy(np.ascontiguousarray(values.astype(names[dtype])))
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32).astype(np.uint64)
    even = (bits + 0x7FFF + (bits >> np.uint64(16) & np.uint64(1))) >> np.uint64(16)
    even = np.where(np.isnan(values), 0x7FC0, even)  # adding to a NaN could carry into its sign
    return torch.from_numpy(even.astype(np.uint16).view(np.int16)).view(torch.bfloat16)


def definition(x, residual, bias, p, keep):
    """In NumPy: sums and product in the compute type, and one rounding at the end."""
    compute = np.float64 if x.dtype == torch.float64 else np.float32

    def wide(tensor):
        return tensor.detach().to(torch.float64).contiguous().numpy().astype(compute)  # exact

    with np.errstate(over="ignore", invalid="ignore"):
        value = wide(x) if bias is None else wide(x) + wide(bias)
        scale = compute(1.0 / (1.0 - p)) if p < 1.0 else compute(0.0)
        dropped = np.where(keep.numpy(), value * scale, compute(0.0))
        total = wide(residual) + dropped
    assert total.dtype == compute
    return rounded(np.asarray(total), residual.dtype).reshape(x.shape)


def strides(x):
    """Those that say where an element is."""
    return [s for s, n in zip(x.stride(), x.shape, strict=True) if n > 1] if x.numel() > 0 else []


class TestValues:
    @pytest.mark.integration
    def test_equals_the_definition_with_every_backend(self):
        """Dtypes, memory layouts, with and without bias, keys, p, and ways to share."""
        elements = 0

        @settings(max_examples=250)
        @given(st.data())
        def property_(data):
            nonlocal elements
            dtypes = data.draw(st.sampled_from(COMBINATIONS))
            least = 0 if dtypes[2] is None else 1
            shape = data.draw(st.lists(st.integers(0, 7), min_size=least, max_size=4))
            start = data.draw(seeds)
            dense = (randn(*shape, dtype=d, seed=start + i) for i, d in enumerate(dtypes[:2]))
            found = map(layouts_of, dense)
            x, residual = (f[data.draw(st.sampled_from(sorted(f)))] for f in found)
            bias = None
            if dtypes[2] is not None:
                bias = randn(2 * shape[-1], dtype=dtypes[2], seed=start + 2)
                bias = bias[::2] if data.draw(st.booleans()) else bias[: shape[-1]]
            p, key = data.draw(probabilities), data.draw(keys)
            if data.draw(st.booleans()):
                layout = data.draw(layouts(shape))
                extra = {"layout": layout}
            else:
                dims = data.draw(st.sets(st.integers(0, len(shape) - 1)) if shape else st.just(()))
                layout = MaskLayout.of(tuple(shape), tuple(dims))
                extra = {"broadcast_dims": tuple(dims)}
            expected = definition(x, residual, bias, p, mask(key, p, shape, layout))
            for name in ALL_BACKENDS:
                with backends.use(name):
                    y = F.dropout_add(x, residual, p, bias=bias, key=key, **extra)
                assert same_bits(y, expected), name
                assert strides(y) == strides(torch.empty_like(residual))
            elements += x.numel()

        property_()
        assert elements >= 5000

    @pytest.mark.parametrize("dtypes", COMBINATIONS, ids=str)
    def test_sizes_around_those_of_vectors_and_threads(self, dtypes):
        """One row, tails, and enough elements for several threads."""
        for shape in ((1,), (129,), (3, 65), (5, 1), (35, 1021)):
            x, residual, bias = triple(dtypes, shape)
            keep = F.keep_mask(shape, 0.3, key=KEY)
            expected = definition(x, residual, bias, 0.3, keep)
            for name, count in itertools.product(ALL_BACKENDS, (1, 2)):
                with threads(count), backends.use(name):
                    y = F.dropout_add(x, residual, 0.3, bias=bias, key=KEY)
                assert same_bits(y, expected), (name, shape, count)

    @pytest.mark.parametrize("dtype", FLOATS)
    def test_special_values(self, backend, dtype):
        """inf and NaN at a dropped place vanish; signs of zeros are those of the sums."""
        special = [0.0, -0.0, 1.0, math.inf, -math.inf, math.nan, torch.finfo(dtype).max]
        pairs = torch.tensor(list(itertools.product(special, repeat=2)) * 4, dtype=dtype)
        x, residual = pairs.unbind(1)
        keep = F.keep_mask(x.shape, 0.5, key=KEY)
        assert 0 < keep.sum() < len(keep)
        for bias in (None, residual.flip(0)):
            y = F.dropout_add(x, residual, 0.5, bias=bias, key=KEY)
            expected = definition(x, residual, bias, 0.5, keep)
            assert torch.equal(y.isnan(), expected.isnan())
            assert same_bits(y.nan_to_num(nan=3.0, posinf=5.0), expected.nan_to_num(3.0, 5.0))
            dropped = ~keep & ~residual.isnan()
            assert torch.equal(y[dropped], residual[dropped])

    def test_layouts_and_an_expanded_residual(self, backend):
        x, residual, bias = triple(shape=(2, 3, 4, 5))
        expected = composition(x, residual, bias, key=KEY)
        for a, b in itertools.product(layouts_of(x).values(), layouts_of(residual).values()):
            y = summed(a, b, bias)
            assert same_bits(y, expected)
            assert y.stride() == torch.empty_like(b).stride()
        for small in (residual[:1], residual[:, :, :1], residual[..., :1], residual[0, 0, 0, 0]):
            wide = small.expand(2, 3, 4, 5)
            assert same_bits(summed(x, wide, bias), composition(x, wide, bias, key=KEY))
        wide, flat = x[:1].expand(2, 3, 4, 5), bias[:1].expand(5)
        expected = composition(wide.contiguous(), residual, flat, key=KEY)
        assert same_bits(summed(wide, residual, flat), expected)


def summed(x, residual, bias=None):
    return F.dropout_add(x, residual, 0.3, bias=bias, key=KEY)


def masked_gradient(x, g, p):
    """In the compute type of x, before it is rounded or summed."""
    compute = torch.float64 if x.dtype == torch.float64 else torch.float32
    scaled = g.to(compute) * torch.tensor(1 / (1 - p), dtype=compute)
    return compute, torch.where(F.keep_mask(g.shape, p, key=KEY), scaled, 0.0)


class TestGradients:
    @pytest.mark.parametrize("dtypes", COMBINATIONS, ids=str)
    def test_of_x_and_residual_are_exact_and_of_bias_nearly(self, backend, dtypes):
        """The gradient of x is the product rounded once. That of bias is within half a unit of the
        float64 sum, plus what 300 roundings of the float32 sum can add."""
        p = 0.3
        x, residual, bias = triple(dtypes, (300, 24), grad=True)
        y = F.dropout_add(x, residual, p, bias=bias, key=KEY)
        g = randn(300, 24, dtype=residual.dtype, seed=5)
        y.backward(g)
        compute, masked = masked_gradient(x, g, p)
        assert same_bits(x.grad, rounded(masked.numpy(), x.dtype))
        assert same_bits(residual.grad, g)
        if bias is not None:
            assert bias.grad.dtype == bias.dtype
            exact = masked.double().sum(0)
            bound = 300 * torch.finfo(compute).eps / 2 * masked.double().abs().sum(0)
            bound = bound + torch.finfo(bias.dtype).eps / 2 * exact.abs()
            assert bool(((bias.grad.double() - exact).abs() <= bound).all())

    @pytest.mark.parametrize("dtypes", BIASED, ids=str)
    def test_of_a_bias_with_many_rows(self, backend, dtypes):
        """10**5 rows, of one sign: summed one after the other in float32 it would be 20 times as
        far off as this allows, two units, and in 16 bits it would stop at 256."""
        x, residual, bias = triple(dtypes, (100_000, 5), grad=True)
        y = F.dropout_add(x, residual, 0.1, bias=bias, key=KEY)
        g = randn(100_000, 5, dtype=torch.float32, seed=5).abs() / 4 + 0.25  # within float16
        (got,) = torch.autograd.grad(y, bias, g.to(residual.dtype))
        compute, masked = masked_gradient(x, g.to(residual.dtype), 0.1)
        exact = masked.double().sum(0)
        bound = torch.finfo(bias.dtype).eps / 2 + 2 * torch.finfo(compute).eps
        assert bool(((got.double() / exact - 1).abs() <= bound).all())

    @pytest.mark.integration
    @pytest.mark.parametrize("dtypes", BIASED, ids=str)
    def test_do_not_depend_on_the_threads(self, dtypes):
        """Sums too, with every compiled backend, of values far apart."""
        for shape in ((20_000, 3), (257, 129), (10, 40, 33)):
            x, residual, bias = triple(dtypes, shape, grad=True)
            g = randn(*shape, dtype=residual.dtype, seed=5).mul_(1.37).exp_()
            results = []
            for name, count in itertools.product(ALL_BACKENDS[1:], (1, 2)):
                with threads(count), backends.use(name):
                    y = F.dropout_add(x, residual, 0.3, bias=bias, key=KEY)
                    results.append(torch.autograd.grad(y, (x, residual, bias), g))
            for other in results[1:]:
                assert all(map(same_bits, other, results[0]))

    # Once wrong, with a 1-D input: `wide.sum(())` is a sum over all dimensions, not over none:
    # "_MaskedAddBackward returned an invalid gradient at index 2 - got []".
    @pytest.mark.parametrize("shape", [(37,), (2, 3, 4, 5)], ids=str)
    @pytest.mark.parametrize("dtypes", SOME, ids=str)
    def test_an_expanded_gradient(self, backend, dtypes, shape):
        results = []
        for loss in (lambda y: y.sum(), lambda y: (y * torch.ones_like(y)).sum()):
            inputs = [t for t in triple(dtypes, shape, grad=True) if t is not None]
            loss(summed(*inputs)).backward()
            results.append([t.grad for t in inputs])
        torch.testing.assert_close(*results)
        assert same_bits(results[0][0], results[1][0])


# Once wrong: no error of the library, some after a draw: "torchdropout.masked_affine.default"
# (NotImplementedError), "Internal error: NestedTensorImpl doesn't support sizes".
@pytest.mark.parametrize("layout", [torch.jagged, torch.strided])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("place", ["input", "residual", "bias"])
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
def test_nested_tensors_are_refused(layout, training, place):
    nested = torch.nested.nested_tensor([torch.randn(2, 3), torch.randn(4, 3)], layout=layout)
    dense = torch.randn(6, 3)
    arguments = {
        "input": (nested, nested, None),
        "residual": (dense, nested, None),
        "bias": (dense, dense, nested),
    }[place]
    with refused((ArgumentTypeError, ArgumentValueError), f"`{place}`"):
        F.dropout_add(*arguments[:2], 0.5, training, bias=arguments[2])
