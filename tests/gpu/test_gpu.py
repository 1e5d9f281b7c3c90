"""What needs a GPU: `make gpu`. Without one all of it is skipped.

Where `TEST_DEVICE` is `cpu`, some cases of `TestBits` and `TestOpcheck` run in the interpreter,
so that a fault of these tests is met before a GPU is: `tests/_core/kernels/test_triton.py` does so.
"""

from __future__ import annotations

import itertools

import pytest
import torch

import torchdropout as td
from accelerator import DEVICE, GPU, needs_cuda, needs_gpu, needs_gpu_itself
from torchdropout import Key
from torchdropout import functional as F
from torchdropout._core.kernels import add, devices, triton
from torchdropout._core.ops import _masked_affine
from torchdropout.errors import ArgumentValueError
from torchdropout.verify import check_subject
from torchdropout.verify.targets import resolve
from triton_cases import AGREE, CASES, agree, operator_of
from verify import _ours

KEY = Key(2**63 + 5, 2**40 + 1)
STEP = 1 if DEVICE != "cpu" else 83  # every such case

pytestmark = [pytest.mark.gpu, needs_gpu]


@pytest.fixture(autouse=True)
def no_kernel_fails():
    """A kernel that failed would give the reference's bits."""
    yield
    assert devices.failed == {}
    assert not any(devices.refused.values())


def moved(args, device=None):
    """The arguments of an operator, on the GPU; its key stays on the CPU."""
    return [
        placed(a, device or DEVICE) if isinstance(a, torch.Tensor) and place != 1 else a
        for place, a in enumerate(args)
    ]


def placed(t, device):
    """A copy with the strides and the offset of a tensor: `to` would make it dense."""
    numbers = t.untyped_storage().nbytes() // t.element_size()
    whole = t.as_strided((numbers,), (1,), 0).to(device, copy=True)
    return whole.as_strided(t.shape, t.stride(), t.storage_offset())


def on_cpu(result):
    return tuple(r.cpu() for r in result) if isinstance(result, tuple) else result.cpu()


class TestBits:
    @pytest.mark.parametrize("name", CASES)
    def test_of_all_cases_are_those_of_the_reference(self, name):
        cases, expected = CASES[name]
        operator, differ = operator_of(name), []
        for number, args in enumerate(itertools.islice(cases(), 0, None, STEP)):
            own = moved(args)
            assert own[0].stride() == args[0].stride()
            if not agree(name, on_cpu(operator(*own)), expected(*args)):
                differ.append((number, args[0].dtype, args[0].shape, args[2:]))
        assert differ == []

    def test_the_copies_have_strides_and_offsets(self):
        for t in (
            torch.arange(40.0)[3::3],
            torch.ones(1, 5).expand(7, 5),
            torch.rand(4, 5)[:, 2:].t(),
        ):
            own = placed(t, DEVICE)
            assert torch.equal(own.cpu(), t)
            assert (own.stride(), own.storage_offset()) == (t.stride(), t.storage_offset())
            assert own.data_ptr() != t.data_ptr()

    @needs_gpu_itself
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_of_more_elements_than_an_int32_counts(self, dtype):
        if GPU.mem_get_info()[0] < 40 * 2**30:
            pytest.skip("needs 40 GiB")
        x = torch.ones(2**31 + 4096, dtype=dtype, device=DEVICE)
        y = F.dropout(x, 0.1, key=KEY)
        for start in (0, 2**31 - 2048, 2**31):
            layout = td.MaskLayout(start, (1,))
            part = F.dropout(torch.ones(2048, dtype=dtype), 0.1, key=KEY, layout=layout)
            assert torch.equal(y[start : start + 2048].cpu(), part)

    @needs_gpu_itself
    def test_of_sums_over_many_rows(self):
        x, residual = torch.randn(3 * add.ROWS + 7, 300), torch.randn(3 * add.ROWS + 7, 300)
        bias, found = torch.randn(300), []
        for device in ("cpu", DEVICE):
            inputs = [t.to(device).requires_grad_() for t in (x, residual, bias)]
            y = F.dropout_add(*inputs[:2], 0.3, bias=inputs[2], key=KEY)
            gradients = torch.autograd.grad(y, inputs, residual.to(device))
            found.append([t.detach().cpu() for t in (y, *gradients)])
        assert all(map(torch.equal, *found))


class TestAttention:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
    @pytest.mark.parametrize("causal", [False, True])
    def test_it_is_that_of_a_cpu(self, dtype, causal):
        """In float64 there, with the same mask, within the roundings of the dtype."""
        found = []
        for device, of in ((DEVICE, dtype), ("cpu", torch.float64)):
            draw = torch.Generator().manual_seed(0)
            q, k, v = (
                torch.randn(2, heads, n, 64, generator=draw).to(dtype).to(device, of)
                for heads, n in ((4, 300), (2, 517), (2, 517))
            )
            inputs = [t.requires_grad_() for t in (q, k, v)]
            given = {"enable_gqa": True, "dropout_key": KEY}
            y = F.scaled_dot_product_attention(*inputs, None, 0.1, causal, **given)
            found.append([y, *torch.autograd.grad(y.sum(), inputs)])
        for own, known in zip(*found, strict=True):
            allowed = 16 * torch.finfo(dtype).eps * known.abs().amax()
            assert ((own.cpu() - known).abs() <= allowed).all()

    def test_nothing_square_is_allocated(self):
        q = torch.randn(1, 8, 8192, 64, device=DEVICE, dtype=torch.bfloat16, requires_grad=True)
        GPU.reset_peak_memory_stats()
        before = GPU.memory_allocated()
        y = F.scaled_dot_product_attention(q, q, q, None, 0.1, True)
        torch.autograd.grad(y, q, torch.ones_like(y))
        peak = GPU.max_memory_allocated() - before
        assert peak < 16 * q.numel() * q.element_size() < 8 * 8192**2

    @pytest.mark.parametrize("width", [16, 80, 128])
    def test_every_width_runs(self, width):
        q = torch.randn(1, 2, 100, width, device=DEVICE, dtype=torch.float16, requires_grad=True)
        y = F.scaled_dot_product_attention(q, q, q, torch.ones(100, 100).bool().to(DEVICE), 0.1)
        torch.autograd.grad(y.sum(), q)


class TestOpcheck:
    """A case of each operator; attention is a function."""

    @pytest.mark.parametrize("name", sorted({*triton.OPERATORS} - {*AGREE}))
    def test_of_operators(self, name):
        args = moved(next(a for a in CASES[name][0]() if a[0].ndim > 1 or name == "keep_bits"))
        for place, a in enumerate(args):
            if isinstance(a, torch.Tensor) and a.dtype == torch.float32:  # it compares NaNs too
                args[place] = a.nan_to_num(0.5, 1.0, -1.0)
        if name not in ("keep_bits", "dropout_add", "dropout_add_backward"):
            args[0].requires_grad_()
        operator = operator_of(name)
        if name == "masked_by_rates":  # its rates have been checked
            operator = torch.ops.torchdropout.masked_affine.rates
            args.insert(4, True)
        results = torch.library.opcheck(operator, tuple(args))
        assert set(results.values()) == {"SUCCESS"}

    @pytest.mark.parametrize("operator", [_masked_affine._fused, _masked_affine._fused_of])
    def test_of_what_fuses(self, operator):
        x = torch.randn(6, 40, device=DEVICE, requires_grad=True)
        constants = torch.tensor([0.3, 1 / 0.7, 0.0, 0.0], dtype=torch.float64)
        numbers = (0.3, 1 / 0.7) if operator is _masked_affine._fused else (constants,)
        results = torch.library.opcheck(operator, (x, KEY.tensor(), *numbers, 3, [40, 1]))
        assert set(results.values()) == {"SUCCESS"}


class TestTorch:
    def test_compiled_is_eager(self):
        x = torch.randn(64, 100, device=DEVICE)
        compiled = torch.compile(lambda x: F.dropout(x * 2, 0.3, key=KEY) + 1)
        assert torch.equal(compiled(x), F.dropout(x * 2, 0.3, key=KEY) + 1)

    @needs_cuda
    def test_a_graph_of_the_compiler_draws_at_each_replay(self):
        x = torch.ones(10_000, device=DEVICE)
        compiled = torch.compile(lambda x: F.dropout(x, 0.5) + 0, mode="reduce-overhead")
        masks = []
        for _ in range(6):
            torch.compiler.cudagraph_mark_step_begin()
            masks.append(compiled(x).clone())
        for i, mask in enumerate(masks):
            assert not any(torch.equal(mask, other) for other in masks[:i])

    @needs_cuda
    def test_a_graph_of_the_compiler_has_the_p_of_the_module(self):
        """Keep bits and scale, when p changes between replays."""
        x = torch.ones(10_000, device=DEVICE, requires_grad=True)
        layer = td.nn.Dropout(0.5)
        compiled = torch.compile(lambda x: layer(x * 2) + 0, mode="reduce-overhead")
        for p in (0.5, 0.5, 0.5, 0.2, 0.8, 0.5):
            layer.p = p
            torch.compiler.cudagraph_mark_step_begin()
            y = compiled(x)
            (gradient,) = torch.autograd.grad(y.sum(), x)
            dropped = (y == 0).sum() / y.numel()
            assert abs(float(dropped) - p) < 0.03
            expected = torch.where(y == 0, 0.0, torch.full_like(x, 2.0) * (1 / (1 - p)))
            assert torch.equal(y, expected)
            assert torch.equal(gradient, expected)


@pytest.mark.skipif(GPU.device_count() < 2, reason="needs two GPUs")
class TestSeveralDevices:
    """A launch is for the current device, whatever the tensors'."""

    @pytest.mark.parametrize("name", CASES)
    def test_of_a_tensor_elsewhere_than_the_current_device(self, name):
        cases, expected = CASES[name]
        operator = operator_of(name)
        with GPU.device(0):
            for args in itertools.islice(cases(), 0, None, 29):
                found = operator(*moved(args, f"{DEVICE}:1"))
                for each in found if isinstance(found, tuple) else (found,):
                    assert each.device == torch.device(DEVICE, 1)
                assert agree(name, on_cpu(found), expected(*args))
            assert GPU.current_device() == 0

    def test_of_a_draw_and_its_gradient(self):
        found = []
        for device in ("cpu", f"{DEVICE}:0", f"{DEVICE}:1"):
            torch.manual_seed(3)
            x = torch.linspace(1.0, 2.0, 5000).to(device).requires_grad_()
            with GPU.device(0):
                y = F.dropout(x, 0.3)
                (gradient,) = torch.autograd.grad(y.sum(), x)
            assert y.device == gradient.device == x.device
            found.append((y.detach().cpu(), gradient.cpu()))
        for other in found[1:]:
            assert all(map(torch.equal, found[0], other))


# Functions of a tensor of 64 x 64, with kernels that draw and kernels for the gradient.
DRAWN = {
    "dropout": lambda x: F.dropout(x, 0.3),
    "two": lambda x: F.dropout(F.dropout2d(x.view(1, 64, 8, 8), 0.3), 0.3),
    "dropout_add": lambda x: F.dropout_add(x, x, 0.3, bias=x[0].detach()),
    "gaussian_dropout": lambda x: F.gaussian_dropout(x, 0.3),
    "drop_block1d": lambda x: F.drop_block1d(x, 0.1, 3),
    "n_m_dropout": F.n_m_dropout,
    "zoneout": lambda x: F.zoneout(x, x * 2, 0.3),
    "attention": lambda x: F.scaled_dot_product_attention(x[None], x[None], x[None], None, 0.3),
}


class TestWaiting:
    @needs_cuda
    @pytest.mark.parametrize("name", DRAWN)
    def test_a_call_that_draws_does_not_wait_for_the_gpu(self, name):
        """Nor does its backward: torch raises an error where one of its operators waits."""
        x = torch.rand(64, 64, device=DEVICE).add(1).requires_grad_()
        gradient = torch.ones_like(DRAWN[name](x))
        torch.autograd.grad(DRAWN[name](x), x, gradient)  # compiles, and compares bits
        torch.cuda.set_sync_debug_mode("error")
        try:
            with pytest.raises(RuntimeError, match="synchronizing"):
                x.detach().sum().item()
            torch.autograd.grad(DRAWN[name](x), x, gradient)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    def test_two_streams(self):
        x = torch.randn(2**22, device=DEVICE)
        expected = [F.dropout(x, p, key=KEY) for p in (0.1, 0.6)]
        GPU.synchronize()
        found, streams = [], [GPU.Stream() for _ in range(2)]
        for _ in range(20):
            for p, stream in zip((0.1, 0.6), streams, strict=True):
                with GPU.stream(stream):
                    found.append(F.dropout(x, p, key=KEY))
        GPU.synchronize()
        assert all(torch.equal(y, expected[i % 2]) for i, y in enumerate(found))


@needs_cuda
class TestGraphs:
    def test_a_graph_with_a_key_repeats_its_mask(self):
        x = torch.randn(10_000, device=DEVICE)
        expected = F.dropout(x, 0.3, key=KEY)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            y = F.dropout(x, 0.3, key=KEY)
        graph.replay()
        assert torch.equal(y, expected)

    @pytest.mark.parametrize("name", DRAWN)
    def test_each_replay_draws_by_the_generator_of_the_gpu(self, name):
        x = torch.rand(64, 64, device=DEVICE).add(1).requires_grad_()

        def run():
            y = DRAWN[name](x)
            return y, *torch.autograd.grad(y.sum(), x)

        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                run()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            y, gradient = run()
        found = []
        for _ in range(4):
            graph.replay()
            found.append((y.clone(), gradient.clone()))
        for i, (a, _) in enumerate(found):
            assert not any(torch.equal(a, b) for b, _ in found[:i])
        # A second run from the same state of the generator has the same masks.
        torch.cuda.manual_seed(3)
        graph.replay()
        first = y.clone(), gradient.clone()
        graph.replay()
        torch.cuda.manual_seed(3)
        graph.replay()
        assert torch.equal(first[0], y)
        assert torch.equal(first[1], gradient)

    def test_the_gradient_of_dropout_has_its_mask(self):
        x = torch.rand(10_000, device=DEVICE).add(1).requires_grad_()
        F.dropout(x, 0.3).sum().backward()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            y = F.dropout(x, 0.3)
            (gradient,) = torch.autograd.grad(y.sum(), x)
        for _ in range(3):
            graph.replay()
            assert torch.equal(gradient != 0, y != 0)
            assert 2500 < (y == 0).sum() < 3500

    def test_graphed_callables(self):
        model = torch.nn.Sequential(torch.nn.Linear(64, 64), td.nn.Dropout(0.5)).to(DEVICE)
        x = torch.rand(32, 64, device=DEVICE, requires_grad=True)
        graphed = torch.cuda.make_graphed_callables(model, (x,))
        masks = []
        for _ in range(3):
            y = graphed(x)
            y.sum().backward()
            masks.append((y == 0).clone())
        assert not torch.equal(masks[0], masks[1])
        assert not torch.equal(masks[1], masks[2])

    @pytest.mark.parametrize(
        "function",
        [
            lambda x: F.token_dropout(x[None], 0.3),
            lambda x: F.dropout(x, 0.3, generator=torch.Generator(DEVICE)),
            lambda x: F.dropout(x.to(torch.complex64), 0.3),
        ],
    )
    def test_what_cannot_draw_is_refused(self, function):
        x = torch.randn(64, 64, device=DEVICE)
        function(x)
        with (
            pytest.raises(ArgumentValueError, match="captured in a CUDA graph"),
            torch.cuda.graph(torch.cuda.CUDAGraph()),
        ):
            function(x)


@pytest.mark.parametrize("name", _ours.CASES)
def test_the_verifier_passes(name):
    """At standard, which takes longer than the other tests together."""
    case = _ours.CASES[name]
    report = check_subject(resolve(case.target, spec=case.spec), level="standard", device=DEVICE)
    assert report.passed, report.findings
