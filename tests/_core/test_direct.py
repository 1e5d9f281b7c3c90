"""The short way: where it is open, that it changes nothing but the time, and its gradients."""

from __future__ import annotations

import concurrent.futures
import contextlib
import gc
import sys

import pytest
import torch
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from draws import draws_nothing, identical, refused
from oracle import dropout, same_bits
from torchdropout import Key, MaskLayout, backends
from torchdropout import functional as F
from torchdropout._core import direct
from variants import seeded

KEY = Key(0x0123456789ABCDEF, 0xFEDCBA987654321)

needs_kernels = pytest.mark.skipif(len(backends.available()) == 1, reason=backends.why())


class Passing(TorchDispatchMode):
    """Sees every operator and changes nothing: under it the short way is closed."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.seen.append(function)
        return function(*args, **kwargs or {})


class PassingFunctions(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        return function(*args, **kwargs or {})


class Mine(torch.Tensor):
    pass


MASK = (False, None, 0, 0, None, (0.5, 2.0, 0.0, 0.0))


def shortest(x, p=0.5, shared=(), out=None):
    return direct.dropout(x, p, shared, True, False, None, None, (), None, out)


# --- where it is open ----------------------------------------------------------------------------


@needs_kernels
class TestTakes:
    @pytest.mark.filterwarnings("ignore:Sparse:UserWarning")
    @pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
    @pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")
    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    @pytest.mark.parametrize(
        "make",
        {
            "subclass": lambda: torch.ones(3).as_subclass(Mine),
            "parameter of a subclass": lambda: torch.nn.Parameter(torch.ones(3).as_subclass(Mine)),
            "meta": lambda: torch.ones(3, device="meta"),
            "sparse": lambda: torch.ones(3, 3).to_sparse(),
            "csr": lambda: torch.eye(3).to_sparse_csr(),
            "mkldnn": lambda: torch.ones(3, 3).to_mkldnn(),
            "nested": lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
            "jagged": lambda: torch.nested.as_nested_tensor([torch.ones(2)], layout=torch.jagged),
            "quantized": lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
            "conjugated": lambda: torch.ones(3, dtype=torch.complex64).conj(),
            "conjugated, half": lambda: torch.ones(3, dtype=torch.complex32).conj(),
            "imaginary part of a conjugated": lambda: torch.ones(3).cfloat().conj().imag,
            "negated": lambda: torch._neg_view(torch.ones(3)),
            "negated complex": lambda: torch._neg_view(torch.ones(3, dtype=torch.complex64)),
            "integers": lambda: torch.ones(3, dtype=torch.int64),
            "bools": lambda: torch.ones(3, dtype=torch.bool),
            "8 bits": lambda: torch.ones(3).to(torch.float8_e4m3fn),
            "list": lambda: [1.0],
            "none": lambda: None,
        }.items(),
        ids=lambda item: item[0],
    )
    def test_closed(self, make):
        x = make[1]()
        with draws_nothing():
            assert not direct.takes(x)
            assert shortest(x) is None
            assert direct.by_kernel(x, MASK) is None

    def test_closed_with_the_reference(self):
        with backends.use("reference"):
            assert not direct.takes(torch.ones(3))


def lazy_cases():
    z = torch.randn(200, dtype=torch.complex64)
    return {
        "conj": z.conj(),
        "imag of conj": z.conj().imag,
        "neg": torch._neg_view(z.real),
        "neg of complex": torch._neg_view(z),
    }


@pytest.mark.parametrize("case", lazy_cases())
def test_lazy_tensors_have_the_values_that_they_show(case):
    x = lazy_cases()[case]
    shown = x.clone().resolve_conj().resolve_neg()
    assert same_bits(F.dropout(x, 0.3, key=KEY).resolve_neg(), dropout(shown, 0.3, KEY))
    expected = seeded(F.dropout, shown, 0.3)
    assert same_bits(seeded(F.dropout, x, 0.3).resolve_neg(), expected)
    # Written into, they show it too.
    F.dropout(x, 0.3, True, True, key=KEY)
    assert same_bits(x.clone().resolve_conj().resolve_neg(), dropout(shown, 0.3, KEY))
    for out in (lazy_cases()[case], torch._neg_view(torch.ones_like(shown))):
        F.dropout(shown, 0.3, key=KEY, out=out)
        assert same_bits(out.clone().resolve_conj().resolve_neg(), dropout(shown, 0.3, KEY))


# --- under modes, transforms and tracers ---------------------------------------------------------


CONTEXTS = {
    "dispatch mode": Passing,
    "function mode": PassingFunctions,
    "device": lambda: torch.device("cpu"),
    "another device": lambda: torch.device("meta"),
    "dual level": forward_ad.dual_level,
    "profiler": torch.profiler.profile,
    "old profiler": torch.autograd.profiler.profile,
}


TRANSFORMS = {
    "vmap": lambda f, x: torch.func.vmap(f, randomness="same")(x[None])[0],
    "vmap of vmap": lambda f, x: torch.func.vmap(
        torch.func.vmap(f, randomness="same"), randomness="same"
    )(x[None, None])[0, 0],
    "grad": lambda f, x: torch.func.grad(lambda x: f(x).sum(), has_aux=False)(x) * x,
    "vjp": lambda f, x: torch.func.vjp(f, x)[0],
    "jvp": lambda f, x: torch.func.jvp(f, (x,), (x,))[1],
    "functionalize": lambda f, x: torch.func.functionalize(f)(x),
    "make_fx": lambda f, x: make_fx(f)(x)(x),
    "make_fx, fake": lambda f, x: make_fx(f, tracing_mode="fake")(x)(x),
    "make_fx, symbolic": lambda f, x: make_fx(f, tracing_mode="symbolic")(x)(x),
    "jit.trace": lambda f, x: torch.jit.trace(f, (x,), check_trace=False)(x),
    "compile": lambda f, x: torch.compile(f, backend="eager")(x),
    "compile, aot": lambda f, x: torch.compile(f, backend="aot_eager")(x),
}


@pytest.mark.filterwarnings("ignore:`torch.jit.trace")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
class TestContexts:
    x = torch.arange(1.0, 301.0)

    @pytest.mark.parametrize("context", CONTEXTS)
    @pytest.mark.parametrize("graph", [True, False])
    def test_the_same_in_it(self, context, graph):
        x = self.x.clone().requires_grad_(graph)
        expected = dropout(self.x, 0.3, KEY)
        drawn, after = seeded(F.dropout, self.x, 0.3), torch.get_rng_state()
        with CONTEXTS[context]():
            y = F.dropout(x, 0.3, key=KEY)
            z = seeded(F.dropout, x, 0.3)
            state = torch.get_rng_state()
        assert y.requires_grad == z.requires_grad == graph
        assert same_bits(y.detach(), expected)
        assert same_bits(z.detach(), drawn)
        assert torch.equal(state, after)

    @pytest.mark.parametrize("context", CONTEXTS)
    def test_a_backward_in_it(self, context):
        x = self.x.clone().requires_grad_()
        y = F.dropout(x, 0.3, key=KEY)
        gradient = torch.linspace(1, 2, 300)
        with CONTEXTS[context]():
            y.backward(gradient)
        assert same_bits(x.grad, dropout(gradient, 0.3, KEY))

    @pytest.mark.parametrize("transform", TRANSFORMS)
    def test_the_same_under_it(self, transform):
        run = TRANSFORMS[transform]
        y = run(lambda x: F.dropout(x, 0.3, key=KEY), self.x)
        expected = dropout(self.x, 0.3, KEY)
        torch.testing.assert_close(y, expected, rtol=1e-6, atol=0)
        assert torch.equal(y != 0, expected != 0)
        if transform.startswith(("jit.trace", "make_fx")):  # they run it twice
            return
        drawn, after = seeded(F.dropout, self.x, 0.3), torch.get_rng_state()
        z = seeded(run, lambda x: F.dropout(x, 0.3), self.x)
        torch.testing.assert_close(z, drawn, rtol=1e-6, atol=0)
        assert torch.equal(torch.get_rng_state(), after)

    def test_a_function_mode_can_stop_a_call_as_it_can_stop_torchs(self):
        class Refusing(TorchFunctionMode):
            def __torch_function__(self, function, types, args=(), kwargs=None):
                raise ZeroDivisionError

        with refused(ZeroDivisionError), Refusing():
            F.dropout(torch.ones(3), 0.5)

    def test_saved_tensor_hooks_and_anomaly_mode(self):
        x = self.x.clone().requires_grad_()
        saved = torch.autograd.graph.save_on_cpu()
        with saved, pytest.warns(UserWarning, match="Anomaly"), torch.autograd.detect_anomaly():
            F.dropout(x, 0.3, key=KEY).sum().backward()
        assert same_bits(x.grad, dropout(torch.ones(300), 0.3, KEY))


# --- what is drawn -------------------------------------------------------------------------------

VARIANTS = {
    "dropout": (F.dropout, (3, 4, 5)),
    "alpha": (F.alpha_dropout, (3, 4, 5)),
    "feature alpha": (F.feature_alpha_dropout, (3, 4, 5)),
    "1d": (F.dropout1d, (3, 4, 5)),
    "2d": (F.dropout2d, (3, 4, 5, 2)),
    "3d": (F.dropout3d, (3, 4, 2, 2, 2)),
}


class TestDrawn:
    @pytest.mark.parametrize("variant", VARIANTS)
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.complex64], ids=str)
    @pytest.mark.parametrize("p", [0.3, 1.0, 0.0])
    def test_as_the_operator_draws(self, variant, dtype, p):
        function, shape = VARIANTS[variant]
        if dtype.is_complex and "alpha" in variant:
            pytest.skip("alpha dropout is real")
        wide = torch.complex128 if dtype.is_complex else torch.float64
        x = torch.randn(shape, dtype=wide).to(dtype)
        for way in ("plain", "graph", "in place", "in place, graph", "out", "transposed", "shared"):
            results = []
            for mode in (contextlib.nullcontext, Passing):
                start, extra = x.clone(), {}
                if "graph" in way:
                    start = start.requires_grad_() * 1
                if way == "transposed":
                    start = start.mT
                if way == "shared":
                    extra["broadcast_dims"] = (0,)
                if way == "out":
                    extra["out"] = torch.empty_like(start)
                torch.manual_seed(11)
                with mode():
                    y = function(start, p, True, "in place" in way, **extra)
                assert (y is start) == ("in place" in way or (p == 0.0 and way != "out"))
                results.append((y.detach(), torch.get_rng_state(), y.requires_grad, y.stride()))
            assert same_bits(results[0][0], results[1][0]), way
            assert torch.equal(results[0][1], results[1][1]), way
            assert results[0][2:] == results[1][2:], way

    @pytest.mark.parametrize("first", [torch.inference_mode, contextlib.nullcontext])
    @pytest.mark.parametrize("then", [torch.inference_mode, torch.no_grad, contextlib.nullcontext])
    def test_a_threads_first_draw_may_be_anywhere(self, first, then):
        # Once wrong: a seed's tensor made in inference mode cannot be drawn into outside of it.
        x = torch.ones(64)
        expected = seeded(lambda: [F.dropout(x), F.dropout(x)])

        def run():
            torch.manual_seed(3)
            with first():
                one = F.dropout(x)
            with then():
                return [one, F.dropout(x)]

        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            got = pool.submit(run).result()
        identical(got, expected)


# --- gradients -----------------------------------------------------------------------------------


def doubles(*shape):
    generator = torch.Generator().manual_seed(8)
    return torch.randn(shape, dtype=torch.float64, generator=generator).requires_grad_()


def diagonal(*shape):
    return dropout(torch.ones(shape, dtype=torch.float64), 0.3, KEY)


@needs_kernels
class TestGradients:
    @staticmethod
    def keyed(x):
        return F.dropout(x, 0.3, key=KEY)

    def test_an_expanded_gradient(self):
        x = doubles(4, 5)
        seen = []
        y = self.keyed(x)
        y.register_hook(lambda gradient: seen.append(gradient.stride()))
        y.sum().backward()
        assert seen == [(0, 0)]
        assert torch.equal(x.grad, diagonal(4, 5))
        assert x.grad.is_contiguous()

    def test_an_undefined_gradient(self):
        """A path that autograd leaves out, next to one that it does not."""

        class Half(torch.autograd.Function):
            forward = staticmethod(lambda ctx, x: x * 1)
            backward = staticmethod(lambda ctx, gradient: None)

        x = doubles(50)
        (Half.apply(self.keyed(x)).sum() + x.sum()).backward()
        assert torch.equal(x.grad, torch.ones_like(x))

    def test_a_lazily_negated_gradient(self):
        z = torch.randn(50, dtype=torch.complex128, requires_grad=True)
        y = self.keyed(z)
        gradient = torch.randn(50, dtype=torch.complex128)
        (got,) = torch.autograd.grad(y, z, gradient.conj())
        assert same_bits(got.resolve_conj(), dropout(gradient.conj().resolve_conj(), 0.3, KEY))

    @pytest.mark.parametrize("seed", [0, 2**63 - 1, 2**63, 2**64 - 1])
    @pytest.mark.parametrize("base", [0, 2**63 - 4, 2**64 - 64])
    def test_large_seeds_and_bases_come_back(self, seed, base):
        """Through the backward by both ways; the map holds Python integers."""
        key, layout = Key(seed, 2**60 - 1), MaskLayout(base, (1,))
        expected = dropout(torch.ones(64, dtype=torch.float64), 0.3, key, layout)
        x = doubles(64)
        for mode in (contextlib.nullcontext, Passing):
            y = F.dropout(x, 0.3, key=key, layout=layout)
            with mode():
                (got,) = torch.autograd.grad(y.sum(), x)
            assert torch.equal(got, expected)


# --- memory --------------------------------------------------------------------------------------


def failing(x, p):
    with contextlib.suppress(ValueError):
        F.dropout(x, p)


CALLS = {
    "plain": lambda x: F.dropout(x, 0.3),
    "keyed": lambda x: F.dropout(x, 0.3, key=KEY),
    "shared": lambda x: F.dropout(x, 0.3, broadcast_dims=(0,)),
    "alpha": lambda x: F.alpha_dropout(x, 0.3, True),
    "in place": lambda x: F.dropout(x * 1, 0.3, True, True),
    "out": lambda x: F.dropout(x.detach(), 0.3, out=torch.empty(x.shape)),
    "closed": lambda x: shortest(torch.ones(3, dtype=torch.int64)),
    "bad": lambda x: failing(x, 1.5),
}
SINGLE = (None, NotImplemented, True, False, torch.Tensor, torch.empty_like, KEY, (), float)


@pytest.fixture(scope="module")
def frozen():
    """What is there already, up to a million objects, is neither collected nor counted again."""
    gc.collect()
    gc.freeze()


@pytest.mark.usefixtures("frozen")
class TestMemory:
    @pytest.mark.parametrize("call", CALLS)
    @pytest.mark.parametrize("graph", [True, False])
    def test_nothing_is_left_of_200_calls(self, call, graph):
        run = CALLS[call]
        x = torch.ones(8, 8, requires_grad=graph)
        p = float("0.3")

        def once():
            y = run(x)
            z = F.dropout(x, p)
            for result in (y, z):
                if isinstance(result, torch.Tensor) and result.requires_grad:
                    result.sum().backward()
            x.grad = None

        def counts():
            tensors = sum(issubclass(type(o), torch.Tensor) for o in gc.get_objects())
            return [tensors, sys.getrefcount(x), sys.getrefcount(p), *map(sys.getrefcount, SINGLE)]

        for _ in range(10):
            once()
        gc.collect()
        gc.disable()
        try:
            before = counts()
            for _ in range(200):
                once()
            after = counts()
        finally:
            gc.enable()
        change = [b - a for a, b in zip(before, after, strict=True)]
        assert change[:3] == [0, 0, 0]
        assert all(abs(c) < 200 for c in change), change
