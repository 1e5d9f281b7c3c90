"""Triton's kernels: the same bits as the reference, and what happens where they cannot run."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import textwrap
from importlib import metadata
from pathlib import Path

import pytest
import torch

import torchdropout
from torchdropout import Key, backends, nn
from torchdropout._core.contract.layout import row_major
from torchdropout._core.contract.noise import Law
from torchdropout._core.kernels import add, counted, devices, noise, reference, triton
from torchdropout._core.ops import _drop_blocks, _dropout_add, _keep_bits, _masked_affine, _order
from torchdropout._tools import info
from torchdropout.errors import ArgumentValueError, BackendError
from torchdropout.functional import _attention, scaled_dot_product_attention

KEY = Key(0x0123456789ABCDEF, 0xFEDCBA987654321)
NUMBERS = (0.3, 1 / 0.7, 0.0, 0.0, 0, [1])
KNOWN = {
    "masked_affine": reference.masked_affine,
    "noise_affine": noise.noise_affine,
    "dropout_add": add.dropout_add,
    "dropout_add_backward": add.dropout_add_backward,
    "counted_affine": counted.counted_affine,
    "drop_blocks": _drop_blocks._kernel,
    "masked_by_rates": reference.masked_by_rates,
    "attention": _attention._forward,
    "attention_backward": _attention._backward,
    "keep_bits": reference.packed_bits,
}
SAMPLES = {
    "dropout_add": _dropout_add._samples,
    "dropout_add_backward": _dropout_add._samples_backward,
    "counted_affine": _order._samples,
    "drop_blocks": _drop_blocks._samples,
    "masked_by_rates": _masked_affine._samples_of_rates,
    "attention": _attention._samples,
    "attention_backward": _attention._samples_backward,
    "keep_bits": _keep_bits._samples,
}
ATTENTION = {"attention", "attention_backward"}  # functions, not operators of torch; sums differ

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="needs Triton: pip install triton numpy"
)


def _numbers(package):
    return [int(part) for part in metadata.version(package).split(".")[:2]]


# The interpreter of Triton 3.6 reads the bound of a loop as an array of one element, which NumPy
# 2.4 refuses. What it compiles is not concerned.
LOOPS = {"dropout_add_backward", "drop_blocks", *ATTENTION}
loops = pytest.mark.skipif(
    importlib.util.find_spec("triton") is not None
    and _numbers("triton") < [3, 7]
    and _numbers("numpy") >= [2, 4],
    reason="the interpreter of this Triton needs NumPy before 2.4",
)
OPERATORS = [pytest.param(name, marks=loops if name in LOOPS else ()) for name in triton.OPERATORS]


def run(*command, **env):
    """A process in which Triton is not imported yet."""
    path = os.pathsep.join(map(str, (Path(torchdropout.__file__).parents[1], *sys.path)))
    done = subprocess.run(
        [sys.executable, *command],
        env={**os.environ, "PYTHONPATH": path, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


SCRIPTS = Path(__file__).parents[2]
BENCHMARKS = str(SCRIPTS.parent / "benchmarks")
INTERPRETED = {"TRITON_INTERPRET": "1", "TORCHDROPOUT_BACKEND": "triton"}


def told(script, *arguments, **env):
    """What a script of `tests` prints in its last line, by default one of Triton's interpreter."""
    text = run(str(SCRIPTS / script), *arguments, **(env or INTERPRETED))
    return json.loads(text.splitlines()[-1])


@pytest.mark.integration
@needs_triton
class TestBits:
    """In Triton's interpreter."""

    def cases(self, operator, share):
        found = told("triton_cases.py", operator, str(share))
        assert found["differ"] == []
        assert found["cases"] == found["calls"]
        unnoticed = [damage for damage, noticed in found["noticed"].items() if not noticed]
        assert unnoticed == ["none"]
        assert len(found["noticed"]) - len(unnoticed) >= 4
        assert not found.get("of equal words", False)
        return found["cases"]

    @pytest.mark.parametrize("operator", OPERATORS)
    def test_some_of_the_cases(self, operator):
        """They are those of the reference, and every damage of a kernel is noticed."""
        share, least = (0.1, 60) if operator in ATTENTION else (0.25, 120)  # attention takes longer
        assert self.cases(operator, share) >= least

    @pytest.mark.slow
    @pytest.mark.parametrize("operator", OPERATORS)
    def test_all_of_the_cases(self, operator):
        assert self.cases(operator, 1) >= 600

    def test_the_whole_library_runs_on_them(self):
        text = run(
            "-c",
            """if True:
            import sys, torch, torchdropout as td, torchdropout._tools.info
            assert "triton" not in sys.modules
            x = torch.randn(3, 50, requires_grad=True)
            y = td.functional.dropout(x, 0.3, key=td.Key(5))
            gradient, = torch.autograd.grad(y.sum(), x)
            assert "torchdropout._core.kernels.triton.bernoulli" in sys.modules
            assert td.backends.current() == "triton"
            with td.backends.use("reference"):
                assert torch.equal(y, td.functional.dropout(x, 0.3, key=td.Key(5)))
            assert torch.equal(gradient, (y != 0) / 0.7)
            batch = torch.func.vmap(td.functional.dropout, randomness="different")(torch.ones(4, 9))
            z = td.functional.dropout(torch.ones(9, dtype=torch.complex64), 0.3, key=td.Key(5))
            assert torch.equal(z.real, td.functional.dropout(torch.ones(9), 0.3, key=td.Key(5)))
            print(td.backends.available()[:2], td._tools.info.gather()["devices"])
            """,
            **INTERPRETED,
        )
        assert text.startswith("('triton', 'reference') cpu: triton | cuda, xpu: triton: masked_")

    @loops
    def test_in_a_cuda_graph_they_read_the_key_from_the_device(self):
        found = told("triton_captured.py")
        assert found["functions"] >= 20
        assert found["differ"] == []
        refused = ["token_dropout", "variational_linear", "a generator", "a key by hand"]
        assert found["refused"] == refused

    @loops
    def test_scopes_draw_what_they_draw_on_other_kernels(self):
        """The whole batch and its parts are drawn, for each function of the library.

        Modules have the results and gradients that they have on the other kernels.
        """
        found = told("triton_scope.py")
        assert found["differ"] == []
        assert found["cases"] >= 38
        public = {name for name, each in vars(nn).items() if isinstance(each, type)}
        assert public <= set(found["modules"])
        assert found["without"] == ["TokenDropout"]
        kernels = {*triton.OPERATORS.values()} - {"keep_bits"}
        assert set(found["ran"]) == kernels | {"elementwise", "walk"}

    @loops
    def test_attention_runs_on_them(self):
        """Where they are served; with small errors, and nothing square is kept."""
        found = told("triton_attention.py")
        assert found["differ"] == found["called"] == []
        assert found["calls"] >= 25
        assert found["kept"] == 2 * 64 * 4 * (16 + 3)  # the output and three numbers of each query
        for dtype, (ours, of_torch) in found["errors"].items():
            output, *gradients = zip(ours, of_torch, strict=True)
            assert output[0] <= 1.5 * output[1], dtype
            assert all(own <= 5 * theirs for own, theirs in gradients), dtype

    @loops
    def test_the_tests_for_a_gpu_can_run(self):
        """Those of bits and of operators, of a share of the cases."""
        script = str(SCRIPTS / "gpu" / "test_gpu.py")
        options = "-q", "-p", "no:cacheprovider", "-k", "TestBits or TestOpcheck"
        text = run("-m", "pytest", *options, script, **INTERPRETED, TEST_DEVICE="cpu")
        found = re.search(r"(\d+) passed, (\d+) skipped", text)
        assert int(found[1]) >= 2 * len(triton.OPERATORS)
        assert int(found[2]) == 3

    def test_the_verdict_on_a_gpu_can_be_made(self, tmp_path):
        """Each part of it runs, and bits that differ are a fault."""
        program = f"""if True:
        import sys
        sys.path.insert(0, {BENCHMARKS!r})
        import gpu_quick, torchdropout as td
        sys.argv[1:] = ["--device", "cpu", "--smoke", {str(tmp_path)!r}]
        assert gpu_quick.main() == 0
        def doubled(x, *_):
            return x if td.backends.current() == "reference" else 2 * x
        gpu_quick.calls = lambda dtype, run: [("doubled", doubled, True)]
        assert gpu_quick.main() == 1
        """
        text = run("-c", program, **INTERPRETED)
        assert re.findall(r"^# no GPU: (.*)$", text, re.M) == ["passed", "1 failed"]
        found = json.loads((tmp_path / "gpu-quick.json").read_text())
        assert found["faults"] == {}
        missed = [each["name"] for each in found["goals"] if each["met"] is False]
        assert missed == ["bits of doubled, float32"]

    def test_it_is_not_chosen_for_its_speed(self):
        code = "import torchdropout as td; print(td.backends.current(), td.backends.available()[0])"
        text = run("-c", code, TRITON_INTERPRET="1", TORCHDROPOUT_BACKEND="auto")
        current, first = text.split()
        assert current != first == "triton"


HOST = f"""
import json, sys
sys.path.insert(0, {BENCHMARKS!r})
import host
host.pretend()
"""


@pytest.mark.integration
@needs_triton
def test_a_call_that_repeats_calls_few_functions():
    """The host's time on a GPU, as a number that does not depend on the machine's load."""
    program = """
    counts = [host.count(host.call(host.td, "dropout", mode)) for mode in host.MODES]
    print(json.dumps(counts))
    """
    forward, both = json.loads(run("-c", HOST + textwrap.dedent(program)))
    assert forward <= 100  # one that plans and binds its launch again calls some 500
    assert both <= 220


@pytest.mark.integration
@needs_triton
def test_a_launch_passes_what_triton_would_pass():
    """A kernel that was compiled before is launched without Triton's binding of arguments."""
    program = """
    import torch
    from triton.runtime.jit import JITFunction
    def warmup(self, *args, grid, **options):
        kernel = self.run(*args, grid=grid, warmup=False, **options)
        first.append(host.Launcher.taken)
        return kernel
    JITFunction.warmup = warmup
    key = host.td.keep_mask.__globals__["Key"](5, 7)
    x, wide = torch.randn(6, 80), torch.randn(6, 160)
    for call in (
        lambda: host.td.dropout(x, 0.1, key=key),
        lambda: host.td.dropout(wide[:, ::2], 0.1, key=key),
        lambda: host.td.gaussian_dropout(x, 0.1, key=key),
    ):
        first = []
        y = call()
        (own,), last = first, host.Launcher.taken
        pairs = zip(own, last, strict=True)
        differ = [b for a, b in pairs if a is not b and repr(a) != repr(b)]
        differ = [b for b in differ if type(b).__name__ != "LazyDict"]  # for a profiler's hook
        print(json.dumps([b is y or b for b in differ]))
    """
    lines = run("-c", HOST + textwrap.dedent(program)).splitlines()
    assert [json.loads(line) for line in lines] == [[True, 5, 7]] * 3


@pytest.mark.integration
@needs_triton
def test_inductor_fuses_a_compiled_dropout_with_its_neighbours():
    """In its code for a GPU, which need not be there: one kernel forward, and one backward."""
    env = {"TRITON_INTERPRET": "0", "TORCHDROPOUT_BACKEND": "reference"}
    found = told("triton_inductor.py", **env)
    # An opaque operator divides them.
    apart = {"kernels": 2, "launches": 2, "keep_bits": 0, "opaque": 1, "selects_bits": False}
    assert found.pop("opaque") == [apart, apart]
    one = {"kernels": 1, "launches": 1, "keep_bits": 1, "opaque": 0, "selects_bits": True}
    assert found == {dtype: [one, one] for dtype in ("float32", "bfloat16", "float16")}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The facts of each case, for a target; compiled once."""
    folder, known = tmp_path_factory.mktemp("cache"), {}

    def compiled(*args):
        if args not in known:
            env = {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(folder)}
            found = told("triton_compiled.py", *args, **env)
            operators = {operator for (operator, _, _), _ in found}
            assert operators == {*triton.OPERATORS} or "fused" in args
            known[args] = {tuple(label): facts for label, facts in found}
        return known[args]

    return compiled


# Products and sums alone; so is uniform noise.
PLAIN = {"masked_affine", "dropout_add", "dropout_add_backward", "counted_affine", "drop_blocks"}
PLAIN |= {"keep_bits"}


def is_plain(operator, dtype, case):
    return operator in PLAIN or case.endswith("uniform")


def fused(facts):
    """The fused operations of the machine code, and those that flush subnormal numbers."""
    return (i for i in facts["machine"] if re.match(r"[FDH]FMA|[FH](ADD|MUL)\S*\.FTZ", i))


# A p for each element; any strides alone; a byte for eight elements.
NARROW = {"masked_by_rates", "drop_blocks", "keep_bits"}


def moves_16_bytes(operator, dtype, case):
    """The elements of the tensors lie next to each other, and a program has enough of them."""
    if operator in NARROW:
        return False
    if case == "2 of 4":
        return dtype in ("float32", "float64")  # a thread has four elements
    starts = ("one row", "a bit for each row", "rows, with a bias", "without sums")
    return operator in ATTENTION or case.startswith(starts)


def target(name, *marks):
    """One process compiles for it, and looks at all that it made."""
    return pytest.param(name, marks=[pytest.mark.xdist_group(name), *marks])


SM_90, GFX942 = target("sm_90"), target("gfx942")
NVIDIA = [SM_90, *(target(name, pytest.mark.slow) for name in ("sm_80", "sm_100"))]


@pytest.mark.integration
@needs_triton
class TestCompiled:
    """For GPUs that need not be there, as their launches would compile them."""

    @pytest.mark.parametrize("target", NVIDIA)
    def test_each_operation_is_rounded_by_itself(self, compiled, target):
        """Quotients and roots too, and subnormals are kept."""
        every = set()
        exact = {k: f for k, f in compiled(target).items() if k[0] not in ATTENTION}
        wrong = re.compile(r"fma\.|mad\.\w+\.f|.*(\.ftz|approx)|call|(div|sqrt|rcp)\.(full|f)")
        for label, facts in exact.items():
            assert [i for i in facts["instructions"] if wrong.match(i)] == [], label
            every.update(facts["instructions"])
        assert {"mul.rn.f32", "mul.rn.f64", "add.rn.f64", "div.rn.f32", "sqrt.rn.f32"} <= every

    @pytest.mark.parametrize("target", NVIDIA)
    def test_nor_does_the_machine_code_fuse_any(self, compiled, target):
        """This is of kernels that multiply and add: quotients and roots consist of fused ones."""
        plain = {label: f for label, f in compiled(target).items() if is_plain(*label)}
        assert {label: f["machine"] for label, f in plain.items() if any(fused(f))} == {}
        assert {operator for operator, *_ in plain} == {"noise_affine", *PLAIN}

    @pytest.mark.parametrize("target", NVIDIA)
    def test_contiguous_tensors_move_16_bytes_at_a_time(self, compiled, target):
        seen = set()
        for label, facts in compiled(target).items():
            if moves_16_bytes(*label):
                vector = "v2.b64" if label[1] == "float64" else "v4.b32"
                for kind in ("ld", "st"):
                    assert f"{kind}.global.{vector}" in facts["instructions"], label
                for kind in ("LDG", "STG"):
                    assert any(i.startswith(f"{kind}.E.128") for i in facts["machine"]), label
                seen.add(label[0])
        assert seen == {*triton.OPERATORS} - NARROW

    @pytest.mark.parametrize("target", NVIDIA)
    def test_bfloat16_is_rounded_to_nearest(self, compiled, target):
        for (operator, dtype, case), facts in compiled(target).items():
            if dtype == "bfloat16" and "over_blocks" not in case and "to float32" not in case:
                assert any(i.startswith("cvt.rn.bf16") for i in facts["instructions"]), operator

    @pytest.mark.parametrize("target", [*NVIDIA, GFX942])
    def test_no_register_is_spilled(self, compiled, target):
        assert {label: f["spills"] for label, f in compiled(target).items() if f["spills"]} == {}

    @pytest.mark.parametrize("target", NVIDIA)
    def test_an_element_takes_few_instructions(self, compiled, target):
        for operator, dtype, case, least, most in (
            ("masked_affine", "float32", "one row", 15, 24),
            ("masked_affine", "bfloat16", "one row", 15, 22),
            ("keep_bits", "float32", "one row", 8, 20),
            ("dropout_add", "float32", "one row", 15, 24),
            ("dropout_add", "bfloat16", "one row", 15, 24),
            ("dropout_add_backward", "float32", "without sums", 15, 24),
            ("noise_affine", "float32", "one row, uniform", 20, 38),
            ("noise_affine", "float32", "one row, normal", 60, 135),
            ("masked_by_rates", "float32", "one row", 30, 62),
            ("counted_affine", "float32", "2 of 4", 20, 40),
            # Half of these are Philox: a call for each element.
            ("masked_affine", "float32", "any strides", 80, 160),
        ):
            vector = compiled(target)[operator, dtype, case]["vector"]
            assert least < vector <= most, (operator, dtype, case)

    @pytest.mark.parametrize("target", NVIDIA)
    def test_attention_of_half_types_uses_tensor_cores(self, compiled, target):
        seen = 0
        for (operator, dtype, case), facts in compiled(target).items():
            if operator in ATTENTION and dtype != "float32":
                cores = [i for i in facts["instructions"] if re.match("(wg)?mma|tcgen05.mma", i)]
                assert cores, case
                seen += 1
        assert seen >= 15

    @pytest.mark.parametrize("target", [SM_90])
    def test_a_fused_operation_would_be_seen(self, compiled, target):
        found = compiled(target, "fused")
        assert len(found) >= 17
        for label, facts in found.items():
            if label[0] == "noise_affine" or label[2].endswith("with a shift"):
                assert any("fma.rn" in i for i in facts["instructions"]), label
                assert any(fused(facts)), label

    @pytest.mark.parametrize("target", [GFX942])
    def test_amd(self, compiled, target):
        """Divisions consist of fused operations there: only float64, where there are none."""
        found = compiled(target).items()
        wide = {label: facts for label, facts in found if label[1] == "float64"}
        wide = {label: facts for label, facts in wide.items() if label[0] != "masked_by_rates"}
        assert len(wide) >= 8
        for label, facts in wide.items():
            fused = [i for i in facts["instructions"] if re.match("v_fmac?_f64", i)]
            assert fused == [], label
        assert any("v_mul_f64" in facts["instructions"] for facts in wide.values())


def failing(error=AssertionError):
    """A kernel that raises; by default one that must not be called."""

    def kernel(*_):
        raise error

    return kernel


def runs(*args):
    """Attention as a kernel would compute it, with sums that its backward would need."""
    return _attention._forward(*args)[0], torch.ones(1)


class TestWithout:
    """Where a kernel cannot run, on a machine that has no GPU."""

    @pytest.fixture(autouse=True)
    def fresh(self, monkeypatch):
        monkeypatch.setattr(devices, "failed", {})
        monkeypatch.setattr(devices, "compared", set())
        monkeypatch.setattr(devices, "refused", {})
        monkeypatch.delenv(triton.INTERPRETER, raising=False)
        with backends.use("auto"):
            yield

    @pytest.fixture
    def installed(self, monkeypatch):
        """Pretends that the kernels can be loaded, and are the function that a test gives."""

        def pretend(kernel):
            monkeypatch.setattr(triton, "why_missing", lambda: "")
            monkeypatch.setattr(triton, "load", lambda operator: kernel)
            return devices.on_gpu("masked_affine", reference.masked_affine)

        return pretend

    def args(self, dtype=torch.float32):
        return torch.randn(100, dtype=dtype), KEY.tensor(), *NUMBERS

    def test_the_kernel_runs_if_it_can(self, installed):
        calls = []

        def kernel(*args):
            calls.append(args)
            return reference.masked_affine(*args)

        run, args = installed(kernel), self.args()
        run(*args)
        first = len(calls)
        assert calls[-1][2:] == NUMBERS
        run(*args)
        assert len(calls) == first + 1
        run(*self.args(torch.float16))
        assert len(calls) == 2 * first + 1

    @pytest.mark.parametrize("wrong", ["carry", "transposed", "sign of zero"])
    def test_other_bits_than_those_of_the_reference_are_a_failure(self, installed, wrong):
        def kernel(x, key, p, scale, shift, drop_value, base, strides):
            if wrong == "carry":
                base %= 2**34
            if wrong == "transposed" and len(strides) > 1:
                strides = strides[::-1]
            y = reference.masked_affine(x, key, p, scale, shift, drop_value, base, strides)
            return y + 0.0 if wrong == "sign of zero" else y

        run, args = installed(kernel), self.args()
        with pytest.warns(RuntimeWarning, match="on cpu its bits differ from the reference"):
            y = run(*args)
        assert torch.equal(y, reference.masked_affine(*args))

    @pytest.mark.parametrize(
        "versions",
        [{}, {"triton": "3.5.1"}, {"pytorch-triton-xpu": "3.5.0+git1b2c"}],
        ids=["missing", "old", "old, of another name"],
    )
    def test_one_warning_says_why_there_is_none(self, monkeypatch, versions):
        def version(name):
            if name not in versions:
                raise triton.PackageNotFoundError(name)
            return versions[name]

        monkeypatch.setattr(triton, "version", version)
        monkeypatch.setattr(triton, "why_missing", triton.why_missing.__wrapped__)
        found = next(iter(versions.values()), "")
        reason = f"Triton {found} is older than 3.6" if found else "Triton is not installed"
        kernel, args = devices.on_gpu("masked_affine", reference.masked_affine), self.args()
        with pytest.warns(RuntimeWarning, match=re.escape(reason)) as caught:
            y = kernel(*args)
        assert [each.filename for each in caught] == [devices.__file__]
        assert torch.equal(y, reference.masked_affine(*args))
        assert torch.equal(kernel(*args), y)  # a second warning would be an error
        assert reason in info.gather()["devices"]

        other = devices.on_gpu("noise_affine", noise.noise_affine)
        other(torch.randn(9), KEY.tensor(), Law.NORMAL, 0.5, 0.0, 0, [1])  # nor of an operator
        assert info.gather()["devices"].count(reason) == 1

    def test_one_warning_for_kernels_that_fail_alike(self, installed):
        kernel = installed(failing(RuntimeError("0 active drivers")))
        other = devices.on_gpu("noise_affine", noise.noise_affine)
        with pytest.warns(RuntimeWarning, match="masked_affine for .* does not run: .* 0 active"):
            kernel(*self.args())
        other(torch.randn(9), KEY.tensor(), Law.NORMAL, 0.5, 0.0, 0, [1])  # another is an error
        assert [name for name, *_ in devices.failed] == ["masked_affine", "noise_affine"]

    def test_a_failure_concerns_one_dtype(self, installed):
        served = []

        def fails(x, *rest):
            if x.dtype == torch.bfloat16:
                raise RuntimeError("no such conversion")
            served.append(x.dtype)
            return reference.masked_affine(x, *rest)

        kernel = installed(fails)
        with pytest.warns(RuntimeWarning, match=r"for torch\.bfloat16 on cpu does not run: .*conv"):
            kernel(*self.args(torch.bfloat16))
        kernel(*self.args(torch.bfloat16))
        assert served == []
        kernel(*self.args())
        assert served

    @pytest.mark.parametrize("kind", ["cuda", "xpu"])
    def test_by_name_on_a_machine_with_a_gpu(self, monkeypatch, installed, kind):
        """A kernel that cannot run is an error; CPU tensors have what they had."""

        kernel, args = installed(failing(ValueError("no such instruction"))), self.args()
        monkeypatch.setattr(getattr(torch, kind), "is_available", lambda: True)
        before = backends.current()
        with backends.use("triton"):
            assert backends.current() == before
            assert "requested by backends.use('triton'), so" in info.gather()["devices"]
            for _ in range(2):
                with pytest.raises(BackendError, match=r"use\('triton'\) requests it, .*no such"):
                    kernel(*args)
            with backends.use("reference"):
                assert torch.equal(kernel(*args), reference.masked_affine(*args))
            with pytest.raises(BackendError):
                kernel(*args)
            devices.refused[torch.device("cpu")] = "an old card"
            with pytest.raises(BackendError, match="an old card"):
                kernel(*args)
            kernel(torch.ones(9, dtype=torch.complex64), *args[1:])  # which has no kernel
        devices.refused.clear()
        assert torch.equal(kernel(*args), reference.masked_affine(*args))
        monkeypatch.setattr(triton, "why_missing", lambda: "Triton is not installed")
        with pytest.raises(BackendError, match="cannot run on this machine: Triton is not inst"):
            backends.use("triton")

    def test_a_failure_is_a_warning_and_the_reference(self, installed):
        calls = []

        def fails(*args):
            calls.append(args)
            raise ValueError("at 7:3: no such instruction\nmore\nlines")

        kernel, args = installed(fails), self.args()
        reason = "does not run: ValueError: at 7:3: no such instruction. On"
        with pytest.warns(RuntimeWarning, match=reason):
            y = kernel(*args)
        assert torch.equal(y, reference.masked_affine(*args))
        assert torch.equal(kernel(*args), y)
        assert len(calls) == 1
        assert "on cpu does not run: ValueError: at" in info.gather()["devices"]
        assert "cuda, xpu: triton: masked_affine, " in info.gather()["devices"]

    def test_an_old_card_is_a_warning_and_the_reference(self, monkeypatch, installed):
        real = devices._too_old
        monkeypatch.setattr(torch.version, "hip", None)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (6, 1))
        monkeypatch.setattr(devices, "_too_old", lambda device: real(torch.device("cuda", 1)))
        kernel, args = installed(failing()), self.args()
        reason = "kernels do not run: cuda:1 has compute capability 6.1, and Triton needs 7.0. On"
        with pytest.warns(RuntimeWarning, match=re.escape(reason)):
            y = kernel(*args)
        assert torch.equal(y, reference.masked_affine(*args))
        assert torch.equal(kernel(*args), y)  # a second warning would be an error
        other = devices.on_gpu("noise_affine", noise.noise_affine)
        other(torch.randn(9), KEY.tensor(), Law.NORMAL, 0.5, 0.0, 0, [1])  # nor of an operator
        assert "compute capability 6.1" in info.gather()["devices"]

    @pytest.mark.parametrize("error", [SyntaxError, ImportError, AttributeError, TypeError])
    def test_a_kernel_that_cannot_be_loaded_is_one_that_fails(self, monkeypatch, error):
        """A Triton that lacks what a kernel uses."""
        monkeypatch.setattr(triton, "why_missing", lambda: "")
        monkeypatch.setattr(triton, "load", failing(error("no such name")))
        kernel, args = devices.on_gpu("masked_affine", reference.masked_affine), self.args()
        with pytest.warns(RuntimeWarning, match=f"run: {error.__name__}: no such name"):
            assert torch.equal(kernel(*args), reference.masked_affine(*args))

    @pytest.mark.parametrize("error", [ArgumentValueError("p"), torch.OutOfMemoryError("2 GiB")])
    def test_an_error_of_the_caller_or_of_memory_is_raised(self, installed, error):
        with pytest.raises(type(error)):
            installed(failing(error))(*self.args())
        assert devices.failed == {}

    def test_a_kernel_that_fails_in_a_capture_is_not_given_up(self, monkeypatch, installed):
        """It may only have to be loaded, which is not allowed there."""
        error = OSError("operation not permitted when stream is capturing")
        monkeypatch.setattr(devices, "_is_capturing", lambda x: True)
        with pytest.raises(RuntimeError, match=r"stream is capturing\). Call the function before"):
            installed(failing(error))(*self.args())
        assert devices.failed == {}

    @pytest.fixture
    def direct_calls(self, monkeypatch, installed):
        """Pretends that CPU tensors are on a GPU, where the operator has run before."""

        def pretend(kernel):
            installed(kernel)
            what = torch.device("cpu"), torch.float32
            devices.compared.update((name, *what) for name in ("masked_affine", "noise_affine"))
            monkeypatch.setattr(devices, "serve", lambda x: True)
            known = devices.compared
            monkeypatch.setattr(
                devices, "ready", lambda name, x: kernel if (name, *what) in known else None
            )
            backends.use("reference")

        return pretend

    @pytest.mark.parametrize("key", [None, KEY], ids=["drawn", "given"])
    def test_a_call_on_a_gpu_skips_the_operator(self, direct_calls, key):
        calls = []

        def kernel(x, key, *rest):
            *numbers, base, strides = rest
            y, given = torch.empty_like(x), torch.tensor(key())
            calls.append(numbers)
            strides = row_major(x.shape) if strides is None else strides
            return y.copy_(reference.masked_affine(x, given, *numbers, base, strides))

        x = torch.randn(4, 6, requires_grad=True)
        torch.manual_seed(3)
        expected = torchdropout.functional.dropout(x, 0.3, key=key)
        (gradient,) = torch.autograd.grad(expected.sum(), x)
        following = torch.rand(1)
        direct_calls(kernel)
        torch.manual_seed(3)
        y = torchdropout.functional.dropout(x, 0.3, key=key)
        assert torch.equal(y, expected)
        assert torch.equal(torch.autograd.grad(y.sum(), x)[0], gradient)
        assert torch.equal(torch.rand(1), following)
        assert len(calls) == 2

    def test_a_call_on_a_gpu_that_fails_draws_nothing(self, direct_calls):
        """A shape for which the kernel does not compile: the operator computes it."""
        x = torch.randn(4, 6)
        torch.manual_seed(3)
        expected = torchdropout.functional.dropout(x, 0.3)
        direct_calls(failing(RuntimeError("out of resources")))
        torch.manual_seed(3)
        assert torch.equal(torchdropout.functional.dropout(x, 0.3), expected)

    @pytest.mark.parametrize("chosen", [False, True])
    @pytest.mark.parametrize("served", [False, True])
    @pytest.mark.parametrize("device", ["cpu", "meta"])
    def test_by_name_it_runs_tensors_on_the_cpu(self, monkeypatch, chosen, served, device):
        """In the interpreter. The third number of a key is added to the base."""
        name = triton.NAME if chosen else "scalar"
        monkeypatch.setattr(devices.cpu, "current", lambda: name)
        monkeypatch.setattr(triton, "serves", lambda *call: served)
        monkeypatch.setattr(triton, "load", lambda operator: lambda *a: ("triton", operator, *a))
        run = devices.elsewhere("masked_affine", lambda *a: ("reference", *a))
        x, key = torch.ones(3, device=device), torch.tensor([1, 2, 30])
        who, *rest = run(x, key, 0.5, 7, [1])
        if chosen and served and device == "cpu":
            assert (who, rest.pop(0)) == ("triton", "masked_affine")
        else:
            assert who == "reference"
        assert rest[0] is x
        assert rest[1].tolist() == [1, 2]
        assert rest[2:] == [0.5, 37, [1]]
        assert devices.serve(x) is (chosen and device == "cpu")

    @pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
    def test_bits_are_compared(self, dtype):
        x = torch.tensor([1.0, -0.0, torch.nan], dtype=dtype)
        other = x.clone()
        other[2] = -other[2]  # a NaN of either sign
        devices.same_bits(x, other, x)
        devices.same_bits((x, x.bool()), (x.clone(), x.bool()), x)
        eps = torch.finfo(dtype).eps
        for number, other in ((0, 1.0 + eps), (1, 0.0), (2, 1.0), (0, torch.nan)):
            changed = x.clone()
            changed[number] = other
            with pytest.raises(RuntimeError, match=r"cpu its bits differ .* for 1 of 3 elements"):
                devices.same_bits(x, changed, x)
            with pytest.raises(RuntimeError, match="for 1 of 3"):
                devices.same_bits((x, x), (x, changed), x)
        with pytest.raises(RuntimeError, match="for 2 of 3"):
            devices.same_bits(x.bool(), ~x.bool() & x.isnan(), x)

    def test_the_base_of_a_key_wraps(self):
        key, rest = devices.placed(torch.tensor([1, 2, 30]), (0.5, -10, [1]))
        assert key.tolist() == [1, 2]
        assert rest == (0.5, 20, [1])
        _, rest = devices.placed(torch.tensor([1, 2, 30]), (2**63 - 1, [1]))
        assert rest == (-(2**63) + 29, [1])
        assert devices.placed(torch.tensor([1, 2, 30]), (-40, [1]))[1] == (-10, [1])
        for other in (torch.tensor([1, 2]), torch.ones(3, 2), torch.ones(2, 3)):
            same, rest = devices.placed(other, (0.5, 7, [1]))
            assert same is other
            assert rest == (0.5, 7, [1])

    def test_the_reference_takes_no_key_that_a_gpu_drew(self, installed):
        """While a graph is captured, and nothing can wait for it."""
        x, key, *numbers = self.args(torch.complex64)
        with pytest.raises(ArgumentValueError, match="graph and that no Triton kernel computes"):
            installed(reference.masked_affine)(x, key.to("meta"), *numbers)

    @pytest.mark.parametrize("operator", triton.OPERATORS)
    def test_the_calls_that_are_compared_are_served(self, monkeypatch, operator):
        """Small ones made from the arguments at hand: the reference takes them, the kernel too."""
        x, key, strides = torch.randn(6, 40), KEY.tensor(), [40, 1]
        square = torch.randn(1, 2, 6, 16)
        of_square = None, 0.25, False, 0.3, 1.4
        args = {
            "masked_affine": (0.3, 1.4, 0.1, -1.0),
            "noise_affine": (2, 0.3, 0.1),
            "dropout_add": (x, x[0], 0.3, 1.4),
            "dropout_add_backward": (torch.bfloat16, True, 0.3, 1.4),
            "counted_affine": (2, 4, -1, 2.0),
            "drop_blocks": (1, 3, False, 0.1, 1.1, 0.0),
            "masked_by_rates": (torch.rand(1, 40).double(), True),
            "attention": (square, square, *of_square),
            "attention_backward": (
                *(square, square, square, torch.ones(3, 12), square, (True, True, True)),
                *of_square,
            ),
            "keep_bits": (0.3, [6, 40]),
        }[operator]
        compare = devices.same_bits
        if operator in ATTENTION:
            x, strides, compare = square, [72, 36, 6, 1], _attention._compare
        calls = []
        monkeypatch.setattr(triton, "why_missing", lambda: "")
        monkeypatch.setattr(devices, "failed", {})
        known = KNOWN[operator]

        def kernel(*a):
            calls.append(a)
            return known(*a)

        monkeypatch.setattr(triton, "load", lambda name: kernel)
        samples = SAMPLES.get(operator, devices.samples_of_map)
        run = devices.on_gpu(operator, known, samples, compare)
        run(x, key, *args, 0, strides)
        assert len(calls) >= 3
        assert all(triton.serves(operator, a[0], a[1], a[2:]) for a in calls)
        assert devices.failed == {}

    @pytest.fixture
    def on_a_gpu(self, monkeypatch):
        """Pretends that CPU tensors are on a GPU, from where a test gives the kernels on."""
        monkeypatch.setattr(_attention, "_MOST_IN_BLOCK", 8)  # a smaller square needs no kernel

        def kernels(**given):
            monkeypatch.setattr(triton, "why_missing", lambda: "")
            monkeypatch.setattr(triton, "load", lambda operator: given[operator])
            for name, operator in (("_run", "attention"), ("_run_backward", "attention_backward")):
                checks = SAMPLES[operator], _attention._compare
                run = devices.on_gpu(operator, KNOWN[operator], *checks)
                monkeypatch.setattr(_attention, name, run)

        return kernels

    def attend(self):
        q = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(0)).requires_grad_()
        y = scaled_dot_product_attention(q, q, q, None, 0.3, dropout_key=KEY)
        return y, *torch.autograd.grad(y.sum(), q)

    @pytest.mark.parametrize("operator", sorted(ATTENTION))
    def test_attention_whose_kernel_fails_is_computed_in_blocks(self, on_a_gpu, operator):
        expected = self.attend()
        on_a_gpu(**{"attention": runs, operator: failing(ValueError("no such instruction"))})
        with pytest.warns(RuntimeWarning, match=f"of {operator} for .* run: ValueError: no such"):
            assert all(map(torch.equal, self.attend(), expected))
        assert all(map(torch.equal, self.attend(), expected))  # a second warning would be an error
        assert [name for name, *_ in devices.failed] == [operator]

    @pytest.mark.parametrize("operator", sorted(ATTENTION))
    def test_one_other_keep_bit_of_attention_is_a_failure(self, on_a_gpu, operator):
        def changed(*args):
            """One probability is dropped, the smallest, or a sum of some."""
            *others, y = [t for t in KNOWN[operator](*args) if t is not None]
            number = 3 if others else y[0, 0].diagonal().nonzero().max()  # its largest is kept
            row = y[0, 0, number].abs()
            place = row.argmax() if others else row.masked_fill(row == 0.0, torch.inf).argmin()
            y[0, 0, number, place] = 0.0
            return (*others, y) if others else (y, torch.ones(1))

        expected = self.attend()
        on_a_gpu(**{"attention": runs, operator: changed})
        with pytest.warns(RuntimeWarning, match=f"of {operator} for .* its bits differ"):
            assert all(map(torch.equal, self.attend(), expected))

    def test_complex_numbers_and_several_keys_use_the_reference(self, installed):
        kernel = installed(failing())
        args = self.args(torch.complex64)
        assert torch.equal(kernel(*args), reference.masked_affine(*args))
        args = (torch.randn(2, 100), torch.stack([KEY.tensor()] * 2), *NUMBERS)
        assert torch.equal(kernel(*args), reference.masked_affine(*args))

    def test_the_reference_by_name_is_the_reference_on_a_gpu(self, installed):
        kernel, args = installed(failing()), self.args()
        devices.failed["noise_affine", torch.device("cpu"), torch.float32] = "no such instruction"
        with backends.use("reference"):
            assert torch.equal(kernel(*args), reference.masked_affine(*args))
            said = info.gather()["devices"]
        assert "cuda, xpu: reference, requested by backends.use('reference') | others" in said

    def test_other_operators_use_the_reference(self, installed):
        installed(None)
        kernel = devices.on_gpu("no such kernel", noise.noise_affine)
        args = (torch.randn(100), KEY.tensor(), Law.NORMAL, 0.5, 0.0, 0, [1])
        assert torch.equal(kernel(*args), noise.noise_affine(*args))

    def test_cpu_tensors_need_the_interpreter(self, monkeypatch):
        with pytest.raises(BackendError, match=r"'triton', which .* set TRITON_INTERPRET=1 "):
            backends.use("triton")
        monkeypatch.setenv(triton.INTERPRETER, "1")
        monkeypatch.setattr(triton, "why_missing", lambda: "Triton is not installed")
        with pytest.raises(BackendError, match="cannot run on this machine: Triton is not inst"):
            backends.use("triton")
        monkeypatch.setattr(triton, "why_missing", lambda: "")
        monkeypatch.setattr(triton, "_installed", lambda name: "")
        with pytest.raises(BackendError, match="Triton's interpreter needs NumPy"):
            backends.use("triton")

    @needs_triton
    def test_without_a_gpu_the_launch_fails_and_the_reference_runs(self):
        """Compiled, not in the interpreter."""
        text = run(
            "-c",
            """if True:
            import torch, warnings, torchdropout as td
            from torchdropout._core.kernels import devices, reference
            args = torch.randn(100), td.Key(3).tensor(), 0.3, 1 / 0.7, 0.0, 0.0, 0, [1]
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                y = devices.on_gpu("masked_affine", reference.masked_affine)(*args)
            assert torch.equal(y, reference.masked_affine(*args))
            print(*(w.message for w in caught))
            """,
            TRITON_INTERPRET="0",
            TORCHDROPOUT_BACKEND="auto",
            CUDA_VISIBLE_DEVICES="",
        )
        assert "kernel of masked_affine for torch.float32 on cpu does not run: Runt" in text
