"""The short way: where it is open, that it changes nothing but the time, and its gradients."""

from __future__ import annotations

import concurrent.futures
import contextlib
import gc
import os
import sys
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from oracle import dropout, same_bits
from torchdropout import Key, MaskLayout, backends
from torchdropout import functional as F
from torchdropout._core import direct
from torchdropout._core.contract.noise import Law
from torchdropout.functional import _call

KEY = Key(0x0123456789ABCDEF, 0xFEDCBA987654321)

needs_kernels = pytest.mark.skipif(
    len(backends.available()) == 1, reason=f"needs compiled kernels: {backends.why()}"
)


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
NOISE = (True, None, 0, 0, None, (Law.NORMAL, 1.0, 0.0))


def shortest(x, p=0.5, shared=(), out=None):
    return direct.dropout(x, p, shared, True, False, None, None, (), None, out)


def seeded(function, *args, seed=5, **kwargs):
    torch.manual_seed(seed)
    return function(*args, **kwargs)


# --- where it is open ----------------------------------------------------------------------------


@needs_kernels
class TestTakes:
    @pytest.mark.parametrize(
        "make",
        [
            lambda: torch.nn.Parameter(torch.ones(3)),
            lambda: torch.nn.Buffer(torch.ones(3)),
            lambda: torch.ones(3, requires_grad=True),
            lambda: torch.ones(3, requires_grad=True) * 2,
            lambda: torch.ones(()),
            lambda: torch.ones(0),
            lambda: torch.ones(1).expand(4),
            lambda: torch.ones(4, 5).t()[::2],
            lambda: torch.ones(3, dtype=torch.complex64).real,
            lambda: torch.ones(3, dtype=torch.complex64).conj().resolve_conj(),
            lambda: torch.ones(3, dtype=torch.complex64).conj().conj(),
        ],
    )
    def test_open(self, make):
        assert direct.takes(make())
        with torch.no_grad():
            assert direct.takes(make())
        with torch.inference_mode():
            assert direct.takes(make())

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
            "jagged": lambda: torch.nested.nested_tensor(
                [torch.ones(2), torch.ones(3)], layout=torch.jagged
            ),
            "quantized": lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
            "conjugated": lambda: torch.ones(3, dtype=torch.complex64).conj(),
            "conjugated, half": lambda: torch.ones(3, dtype=torch.complex32).conj(),
            "imaginary part of a conjugated": lambda: (
                torch.ones(3, dtype=torch.complex64).conj().imag
            ),
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
        before = torch.get_rng_state()
        x = make[1]()
        assert not direct.takes(x)
        assert shortest(x) is None
        assert direct.by_kernel(x, MASK) is None
        assert torch.equal(torch.get_rng_state(), before)

    def test_closed_with_the_reference(self):
        with backends.use("reference"):
            assert not direct.takes(torch.ones(3))

    @pytest.mark.parametrize(
        ("strides", "needed", "dtype"),
        [
            (None, (True, True, True), torch.float32),
            ([1, 6], (True, False, False), torch.bfloat16),
            (None, (False, True, False), torch.bfloat16),
        ],
    )
    def test_a_sum_that_triton_serves_is_an_operators(self, monkeypatch, strides, needed, dtype):
        """Here on the CPU, where the operators run the reference."""
        call = direct.Call(False, 2**64 - 1, 3, -5, strides, (0.3, 1 / 0.7, 0.0, 0.0))
        generator = torch.Generator().manual_seed(0)
        tensors = torch.randn(3, 6, 40, generator=generator).to(dtype)
        bias, calls = torch.randn(40, generator=generator), []

        def step():
            given = (*tensors[:2], bias)
            given = [t.clone().requires_grad_(n) for t, n in zip(given, needed, strict=True)]
            y = direct.masked_add(*given, call)
            y.backward(tensors[2])
            return [y.detach(), *(t.grad for t in given)]

        def backward(*args):
            calls.append(args)
            return operator(*args)

        expected, operator = step(), direct.ops.dropout_add_backward
        monkeypatch.setattr(direct.devices, "serve", lambda x: True)
        monkeypatch.setattr(direct.ops, "dropout_add_backward", backward)
        *found, sums = step()
        *known, expected_sums = expected
        for got, same in zip(found, known, strict=True):
            assert (got is None and same is None) or same_bits(got, same)
        if needed[2]:
            torch.testing.assert_close(sums, expected_sums)
        else:
            assert sums is expected_sums is None
        mask = 0.3, 1 / 0.7, -5, strides or [40, 1]
        assert [args[2:] for args in calls] == [(dtype, needed[2], *mask)] * needed[0]

    @pytest.mark.parametrize("into", [False, True])
    @pytest.mark.parametrize(
        ("shape", "shared"),
        [((3, 4, 5, 2), d) for d in ((0,), (3,), (0, 2), (1, 2, 3), (0, 1, 2, 3))]
        + [((3, 1, 5, 2), (1,)), ((3, 4, 0, 2), (0, 2))],
    )
    def test_the_shortest_way_shares_draws(self, shared, shape, into):
        x = torch.randn(shape)
        out = torch.empty(shape) if into else None
        y = seeded(shortest, x, 0.5, shared, out)
        assert y is out or not into
        with Passing():
            expected = seeded(F.dropout, x, 0.5, broadcast_dims=shared)
        assert torch.equal(y, expected)


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
    out = torch._neg_view(torch.ones_like(shown))
    F.dropout(shown, 0.3, key=KEY, out=out)
    assert same_bits(out.clone().resolve_neg(), dropout(shown, 0.3, KEY))


# --- under modes, transforms and tracers ---------------------------------------------------------


@contextlib.contextmanager
def old_profiler():
    with torch.autograd.profiler.profile():
        yield


CONTEXTS = {
    "dispatch mode": Passing,
    "function mode": PassingFunctions,
    "device": lambda: torch.device("cpu"),
    "another device": lambda: torch.device("meta"),
    "dual level": forward_ad.dual_level,
    "profiler": torch.profiler.profile,
    "old profiler": old_profiler,
}


def jit_traced(function, x):
    return torch.jit.trace(function, (x,), check_trace=False)(x)


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
    "jit.trace": jit_traced,
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
        if transform in ("jit.trace", "make_fx"):  # they run it twice
            return
        drawn, after = seeded(F.dropout, self.x, 0.3), torch.get_rng_state()
        z = seeded(run, lambda x: F.dropout(x, 0.3), self.x)
        torch.testing.assert_close(z, drawn, rtol=1e-6, atol=0)
        assert torch.equal(torch.get_rng_state(), after)

    @needs_kernels
    def test_what_encloses_a_transform_is_seen_too(self):
        """x itself is plain; it is the transform around the call that must be asked about."""
        x, seen = torch.ones(64), []

        def function(row):
            seen.append(direct.takes(x))
            return row + F.dropout(x, 0.5)

        y = torch.func.vmap(function, randomness="different")(torch.zeros(3, 64))
        assert seen == [False]
        assert len(y.unique(dim=0)) == 3

    @needs_kernels
    def test_fake_tensors(self):
        with FakeTensorMode():
            fake = torch.ones(3, 4, dtype=torch.bfloat16)
            assert not direct.takes(fake)
            y = F.dropout(fake, 0.5)
            assert (type(y), y.shape, y.dtype) == (type(fake), fake.shape, fake.dtype)
        assert not direct.takes(fake)
        with FakeTensorMode(allow_non_fake_inputs=True):
            assert not direct.takes(torch.ones(3))

    @needs_kernels
    def test_a_dispatch_mode_sees_the_operators(self):
        with Passing() as mode:
            F.dropout(torch.ones(3), 0.5)
        names = [str(function) for function in mode.seen]
        assert "torchdropout.draw_keys.default" in names
        assert "torchdropout.masked_affine.default" in names

    def test_a_function_mode_sees_the_call_as_it_would_see_torch(self):
        """What is asserted: a mode can stop it from running, as it can stop torch's operations."""

        class Refusing(TorchFunctionMode):
            def __torch_function__(self, function, types, args=(), kwargs=None):
                raise ZeroDivisionError

        x, before = torch.ones(3), torch.get_rng_state()
        with pytest.raises(ZeroDivisionError), Refusing():
            F.dropout(x, 0.5)
        assert torch.equal(torch.get_rng_state(), before)

    def test_a_profiler_sees_a_call(self):
        with torch.profiler.profile() as profile:
            F.dropout(torch.ones(3), 0.5)
        assert any("torchdropout::masked_affine" in event.name for event in profile.events())

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

    def test_many_draws_in_turn(self):
        """The short way and the operator by turns read one stream of seeds."""
        x = torch.ones(40)
        keys = seeded(lambda: [Key.draw() for _ in range(20)])
        torch.manual_seed(5)
        for i, key in enumerate(keys):
            with Passing() if i % 2 else contextlib.nullcontext():
                y = F.dropout(x, 0.5)
            assert torch.equal(y, F.dropout(x, 0.5, key=key))

    @needs_kernels
    @pytest.mark.parametrize("kernels", [True, False])
    def test_draw_seed_is_keys_draw(self, kernels, monkeypatch):
        if not kernels:
            monkeypatch.setattr(direct, "_C", None)
        seeds = seeded(lambda: [direct.draw_seed() for _ in range(1000)])
        assert seeds == seeded(lambda: [Key.draw().seed for _ in range(1000)])
        assert max(seeds) > 2**63

    @pytest.mark.parametrize("first", [torch.inference_mode, contextlib.nullcontext])
    @pytest.mark.parametrize("then", [torch.inference_mode, torch.no_grad, contextlib.nullcontext])
    def test_a_threads_first_draw_may_be_anywhere(self, first, then):
        # Once wrong: a seed's tensor made in inference mode cannot be drawn into outside of it.
        x = torch.ones(64)
        expected = seeded(lambda: [F.dropout(x), F.dropout(x)])

        def run():
            torch.manual_seed(5)
            with first():
                one = F.dropout(x)
            with then():
                return [one, F.dropout(x)]

        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            got = pool.submit(run).result()
        assert torch.equal(got[0], expected[0])
        assert torch.equal(got[1], expected[1])


# --- in place ------------------------------------------------------------------------------------


class TestInPlace:
    @pytest.mark.parametrize(
        "view",
        [
            lambda b: b[2:],
            lambda b: b.t(),
            lambda b: b[:, ::2],
            lambda b: b.view(-1),
            lambda b: b[1][2:],
            lambda b: b.detach(),
        ],
        ids=["rows", "transposed", "columns", "flat", "part of a row", "detached"],
    )
    def test_views_of_graph_tensors(self, view):
        start = torch.randn(4, 6, dtype=torch.float64)
        gradient = torch.randn(4, 6, dtype=torch.float64)
        results = []
        for function in (
            lambda v: F.dropout(v, 0.4, True, True, key=KEY),
            lambda v: v.mul_(F.dropout(torch.ones_like(v), 0.4, key=KEY)),
        ):
            x = start.clone().requires_grad_()
            base = x * 3
            part = view(base)
            got = function(part)
            assert got is part
            base.backward(gradient) if base.requires_grad else None
            results.append((base.detach().clone(), x.grad.clone()))
        torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-12, atol=0)
        torch.testing.assert_close(results[0][1], results[1][1], rtol=1e-12, atol=0)

    def test_inference_tensors(self):
        with torch.inference_mode():
            x = torch.ones(300)
            y = F.dropout(x, 0.3, key=KEY)
            assert y.is_inference()
            expected = dropout(torch.ones(300), 0.3, KEY)
            assert F.dropout(x, 0.3, True, True, key=KEY) is x
            assert torch.equal(x, expected)
            out = torch.empty(300)
            assert F.dropout(torch.ones(300), 0.3, key=KEY, out=out) is out
            assert torch.equal(out, expected)
        before = torch.get_rng_state()
        with pytest.raises(RuntimeError, match="Inplace update to inference tensor"):
            F.dropout(x, 0.3, True, True)
        with pytest.raises(RuntimeError, match="Inplace update to inference tensor"):
            F.dropout(torch.ones(300), 0.3, out=x)
        assert torch.equal(torch.get_rng_state(), before)
        assert torch.equal(x, expected)
        # Read, they are tensors like others.
        assert torch.equal(F.dropout(x, 0.3, key=KEY), dropout(x, 0.3, KEY))


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

    @pytest.mark.parametrize(
        "lay",
        [lambda x: x.t(), lambda x: x[:, ::2], lambda x: x[1:, 2:], lambda x: x.flip(0).t()],
        ids=["transposed", "strided", "part", "flipped"],
    )
    def test_inputs_and_gradients_that_are_not_contiguous(self, lay):
        x = doubles(8, 10)
        part = lay(x)
        y = self.keyed(part)
        gradient = torch.randn(tuple(reversed(part.shape)), dtype=torch.float64).t()
        y.backward(gradient)
        start = torch.zeros(8, 10, dtype=torch.float64, requires_grad=True)
        (expected,) = torch.autograd.grad(lay(start), start, dropout(gradient, 0.3, KEY))
        assert torch.equal(x.grad, expected)

    def test_an_undefined_gradient(self):
        """A path that autograd leaves out, next to one that it does not."""

        class Half(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x * 1

            @staticmethod
            def backward(ctx, gradient):
                return None

        x = doubles(50)
        (Half.apply(self.keyed(x)).sum() + x.sum()).backward()
        assert torch.equal(x.grad, torch.ones_like(x))

    def test_a_gradient_of_another_class(self):
        x = doubles(50)
        y = self.keyed(x)
        gradient = torch.ones(50, dtype=torch.float64).as_subclass(Mine)
        (got,) = torch.autograd.grad(y, x, gradient)
        assert torch.equal(got.as_subclass(torch.Tensor), diagonal(50))

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

    def test_a_drawn_seed_comes_back_by_the_operator(self):
        """Drawn by the short way, in all 64 bits; the backward runs under a mode."""
        for seed in range(8):
            x = torch.ones(300, requires_grad=True)
            y = seeded(F.dropout, x, 0.3, seed=seed)
            with Passing():
                y.sum().backward()
            assert torch.equal(x.grad, y.detach())


# --- memory --------------------------------------------------------------------------------------


def refused(x, p):
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
    "bad": lambda x: refused(x, 1.5),
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

    @pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
    def test_no_memory_of_outputs_is_kept(self):
        """A thousand outputs of 1 MiB, and their gradients: none of them stays."""

        def resident():
            pages = Path("/proc/self/statm").read_text().split()[1]
            return int(pages) * os.sysconf("SC_PAGESIZE")

        x = torch.ones(2**18, requires_grad=True)
        F.dropout(x, 0.3).sum().backward()
        before = resident()
        for _ in range(500):
            y = F.dropout(x, 0.3)
            y.backward(x.detach())
            x.grad = None
        assert resident() - before < 200 * 2**20


# --- into a tensor that may evidently be written -------------------------------------------------

INTO = {"mask": (MASK, F.dropout), "noise": (NOISE, F.gaussian_dropout)}
each_kind = pytest.mark.parametrize("kind", INTO)


def written(kind, out, x, seed=5):
    (is_noise, _, *rest), _ = INTO[kind]
    return direct.by_kernel(x, (is_noise, seed, *rest), out)


def channels_last():
    return torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)


@needs_kernels
@each_kind
@pytest.mark.parametrize("inplace", [False, True])
def test_no_second_result_is_made(monkeypatch, kind, inplace):
    """Neither of a plain tensor, nor of a strided one, which takes the longer way."""
    function = INTO[kind][1]
    x = torch.randn(6, 14)
    expected = function(x, key=Key(5)), function(x[:, ::2], key=Key(5))
    monkeypatch.setattr(_call, "by_operator", lambda *_: pytest.fail("a result of its own"))
    for i, view in enumerate((x.clone(), x.clone()[:, ::2])):
        out = view if inplace else torch.empty_like(view)
        assert same_bits(function(view, key=Key(5), out=out), expected[i])


# --- which path a sum takes -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by_cpu", "by_triton", "bias", "expected"),
    [
        ("xrb", "", True, True),
        ("", "xrb", True, True),
        ("xr", "", True, False),
        ("xr", "", False, True),
        ("rb", "", True, False),
        ("xb", "", True, False),
        ("x", "rb", True, False),
        ("", "xr", False, True),
        ("", "x", False, False),
        ("", "", True, False),
    ],
)
def test_a_sum_takes_one_way_for_all(by_cpu, by_triton, bias, expected, monkeypatch):
    """Each letter is a tensor that the way is open to: x, the residual, the bias."""
    monkeypatch.setattr(direct, "takes", by_cpu.__contains__)
    monkeypatch.setattr(direct, "_for_triton", by_triton.__contains__)
    assert direct.takes_add("x", "r", "b" if bias else None) is expected
