"""Triton's kernels: the same bits as the reference, and what happens where they cannot run."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import torchdropout
from torchdropout import Key, backends, info
from torchdropout.contract.noise import Law
from torchdropout.errors import BackendError
from torchdropout.kernels import devices, noise, reference, triton

KEY = Key(0x0123456789ABCDEF, 0xFEDCBA987654321)
NUMBERS = (0.3, 1 / 0.7, 0.0, 0.0, 0, [1])

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="needs Triton: pip install triton numpy"
)


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


@pytest.fixture(scope="module")
def report():
    script = str(Path(__file__).parents[1] / "triton_cases.py")
    text = run(script, TRITON_INTERPRET="1", TORCHDROPOUT_BACKEND="triton")
    return json.loads(text.splitlines()[-1])


@needs_triton
class TestBits:
    """In Triton's interpreter."""

    @pytest.mark.parametrize("operator", triton.OPERATORS)
    def test_they_are_those_of_the_reference(self, report, operator):
        found = report["compared"][operator]
        assert found["differ"] == []
        assert found["cases"] == found["calls"]
        assert found["cases"] >= 500

    def test_there_are_many_cases(self, report):
        assert sum(found["cases"] for found in report["compared"].values()) >= 600

    def test_every_damage_is_noticed(self, report):
        unnoticed = [damage for damage, count in report["noticed"].items() if count == 0]
        assert unnoticed == ["none"]

    def test_the_whole_library_runs_on_them(self):
        text = run(
            "-c",
            """if True:
            import sys, torch, torchdropout as td, torchdropout.info
            assert "triton" not in sys.modules
            x = torch.randn(3, 50, requires_grad=True)
            y = td.functional.dropout(x, 0.3, key=td.Key(5))
            gradient, = torch.autograd.grad(y.sum(), x)
            assert "torchdropout.kernels.triton.bernoulli" in sys.modules
            assert td.backends.current() == "triton"
            with td.backends.use("reference"):
                assert torch.equal(y, td.functional.dropout(x, 0.3, key=td.Key(5)))
            assert torch.equal(gradient, (y != 0) / 0.7)
            batch = torch.func.vmap(td.functional.dropout, randomness="different")(torch.ones(4, 9))
            z = td.functional.dropout(torch.ones(9, dtype=torch.complex64), 0.3, key=td.Key(5))
            assert torch.equal(z.real, td.functional.dropout(torch.ones(9), 0.3, key=td.Key(5)))
            print(td.backends.available()[:2], td.info.gather()["devices"])
            """,
            TRITON_INTERPRET="1",
            TORCHDROPOUT_BACKEND="triton",
        )
        assert text.startswith("('triton', 'reference') cpu: triton | cuda, xpu: triton: masked_")

    def test_it_is_not_chosen_for_its_speed(self):
        text = run(
            "-c",
            "import torchdropout as td; print(td.backends.current(), td.backends.available()[0])",
            TRITON_INTERPRET="1",
            TORCHDROPOUT_BACKEND="auto",
        )
        current, first = text.split()
        assert current != first == "triton"


@needs_triton
class TestCompiled:
    """For GPUs that need not be there, as their launches would compile them."""

    CASES = 7 + 3 * 7  # one of Bernoulli, three laws: four walks of float32, one of other types

    @pytest.fixture
    def compiled(self, tmp_path):
        script = str(Path(__file__).parents[1] / "triton_compiled.py")

        def compiled(*args):
            env = {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
            found = json.loads(run(script, *args, **env).splitlines()[-1])
            assert len(found) == self.CASES
            assert {operator for operator, _, _ in found} == set(triton.OPERATORS)
            return found

        return compiled

    def test_nvidia(self, compiled):
        """Each operation is rounded by itself, quotients and roots too; subnormals are kept."""
        every = set()
        for operator, case, instructions in compiled("cuda"):
            wrong = re.compile(r"fma\.|mad\.\w+\.f|.*(\.ftz|approx)|call|(div|sqrt|rcp)\.(full|f)")
            assert [i for i in instructions if wrong.match(i)] == [], (operator, case)
            every.update(instructions)
        assert {"mul.rn.f32", "mul.rn.f64", "add.rn.f64", "div.rn.f32", "sqrt.rn.f32"} <= every
        assert {"ld.global.v4.b32", "st.global.v4.b32"} <= every  # contiguous: 16 bytes at a time

    def test_a_fused_operation_would_be_seen(self, compiled):
        fused = [any("fma.rn" in i for i in found[2]) for found in compiled("cuda", "fused")]
        assert all(fused)

    def test_amd(self, compiled):
        """Divisions consist of fused operations there: only float64, where there are none."""
        wide = [found for found in compiled("hip") if found[1][0] == "torch.float64"]
        assert len(wide) == 4
        for operator, case, instructions in wide:
            assert "v_mul_f64" in instructions
            assert [i for i in instructions if re.match("v_fmac?_f64", i)] == [], (operator, case)


class TestWithout:
    """Where a kernel cannot run, on a machine that has no GPU."""

    @pytest.fixture(autouse=True)
    def fresh(self, monkeypatch):
        monkeypatch.setattr(devices, "failed", {})
        monkeypatch.setattr(devices, "compared", set())
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

    def test_the_kernels_are_registered(self):
        has = torch._C._dispatch_has_kernel_for_dispatch_key
        for operator in triton.OPERATORS:
            for key in ("CUDA", "XPU"):
                assert has(f"torchdropout::{operator}", key)

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
        with pytest.warns(RuntimeWarning, match="on cpu it gives other bits than the reference"):
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
        assert len(caught) == 1
        assert torch.equal(y, reference.masked_affine(*args))
        assert torch.equal(kernel(*args), y)  # a second warning would be an error
        assert reason in info.gather()["devices"]

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
        assert "masked_affine does not run: ValueError: at" in info.gather()["devices"]

    def test_lack_of_memory_is_no_reason_to_use_the_reference(self, installed):
        def fails(*args):
            raise torch.OutOfMemoryError("2 GiB")

        with pytest.raises(torch.OutOfMemoryError):
            installed(fails)(*self.args())

    def test_complex_numbers_and_several_keys_use_the_reference(self, installed):
        def fails(*args):
            raise AssertionError

        kernel = installed(fails)
        args = self.args(torch.complex64)
        assert torch.equal(kernel(*args), reference.masked_affine(*args))
        args = (torch.randn(2, 100), torch.stack([KEY.tensor()] * 2), *NUMBERS)
        assert torch.equal(kernel(*args), reference.masked_affine(*args))

    def test_the_reference_by_name_is_the_reference_on_a_gpu(self, installed):
        def fails(*args):
            raise AssertionError

        kernel, args = installed(fails), self.args()
        with backends.use("reference"):
            assert torch.equal(kernel(*args), reference.masked_affine(*args))
            assert "cuda, xpu: reference, requested by backends.use" in info.gather()["devices"]

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
            from torchdropout.kernels import devices, reference
            args = torch.randn(100), td.Key(3).tensor(), 0.3, 1 / 0.7, 0.0, 0.0, 0, [1]
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                y = devices.on_gpu("masked_affine", reference.masked_affine)(*args)
            assert torch.equal(y, reference.masked_affine(*args))
            print(*(w.message for w in caught))
            """,
            TRITON_INTERPRET="0",
            CUDA_VISIBLE_DEVICES="",
        )
        assert text.startswith("torchdropout's Triton kernel of masked_affine does not run: Runt")
