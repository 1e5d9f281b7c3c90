"""Which backend runs: looking, choosing, forcing; what happens without a compiled one."""

from __future__ import annotations

import ast
import concurrent.futures
import contextlib
import re
import shutil
import warnings
from pathlib import Path

import pytest
import torch

import torchdropout
from draws import identical
from processes import PACKAGE
from torchdropout import Key, backends
from torchdropout import functional as F
from torchdropout._core.kernels import cpu, devices, reference
from torchdropout.errors import BackendError

KEY = Key(0x0123456789ABCDEF, 0xFEDCBA987654321)
COMPILED = backends.available()[1:]

needs_kernels = pytest.mark.skipif(not COMPILED, reason=f"needs compiled kernels: {backends.why()}")


def state():
    return backends.current(), backends.why(), backends.available()


@pytest.fixture(autouse=True)
def unchanged():
    """Every test leaves the backend as it was."""
    before = state()
    yield
    assert state() == before


@pytest.fixture
def reference_calls(monkeypatch):
    """Counts how often the reference makes a mask."""
    calls = []
    keep_range = reference._keep_range

    def counting(*args):
        calls.append(args)
        return keep_range(*args)

    monkeypatch.setattr(reference, "_keep_range", counting)
    return calls


class TestChoosing:
    def test_available_is_ordered_and_starts_with_the_reference(self):
        names = backends.available()
        assert names[0] == "reference"
        assert list(names) == [name for name in cpu.NAMES if name in names]

    def test_use_as_a_context_manager_and_nested(self):
        outer = state()
        with backends.use("reference"):
            for name in (*backends.available(), *reversed(backends.available())):
                with contextlib.suppress(ZeroDivisionError), backends.use(name) as nothing:
                    assert nothing is None
                    assert backends.current() == name
                    assert backends.why() == f"requested by backends.use('{name}')"
                    raise ZeroDivisionError  # which ends it too
                assert backends.current() == "reference"
        assert state() == outer

    def test_use_as_a_function_stays(self):
        before = backends.current(), cpu.chosen_by
        backends.use("reference")
        assert backends.current() == "reference"
        cpu.select(*before)

    def test_auto_is_the_fastest(self):
        with backends.use("reference"), backends.use("auto"):
            assert backends.current() == backends.available()[-1]

    @pytest.mark.parametrize("name", [None, 3])
    def test_a_wrong_type_is_refused(self, name):
        words = rf"`name` to be the name of a backend.*got name={name} \({type(name).__name__}\)"
        with pytest.raises(TypeError, match=words):
            backends.use(name)

    @pytest.mark.parametrize("name", ["cuda", "", "AVX2"])
    def test_an_unknown_name_is_refused(self, name):
        known = ", ".join(map(repr, ("auto", *backends.available())))
        words = rf"use\('{name}'\) to name one of {known}, got '{name}'"
        with backends.use("reference"):
            with pytest.raises(RuntimeError, match=words):
                backends.use(name)
            assert backends.current() == "reference"


class TestWhatRuns:
    """`use` governs every way in: the short one, the operator, compiled code, out= and in-place."""

    NUMBERS = (0.5, 2.0, 0.0, 0.0, 0, [1])

    def ways(self):
        x = torch.randn(100)
        graph = torch.randn(100, requires_grad=True)
        operator = torch.ops.torchdropout.masked_affine
        return {
            "short": lambda: F.dropout(x),
            "keyed": lambda: F.dropout(x, key=KEY),
            "operator": lambda: operator(x, KEY.tensor(), *self.NUMBERS),
            "overload": lambda: operator.default(x, KEY.tensor(), *self.NUMBERS),
            "out": lambda: F.dropout(x, out=torch.empty(100)),
            "in place": lambda: F.dropout(x.clone(), inplace=True),
            "gradient": lambda: F.dropout(graph),
            "alpha": lambda: F.alpha_dropout(x, 0.5, True),
            "add": lambda: F.dropout_add(x, x),
            "nested modes": lambda: torch.func.vmap(lambda x: F.dropout(x, key=KEY))(x[None]),
        }

    def test_the_reference_runs_where_it_was_asked_for(self, reference_calls):
        for way, run in self.ways().items():
            reference_calls.clear()
            with backends.use("reference"):
                run()
            assert len(reference_calls) == 1, way

    @pytest.mark.parametrize("backend", COMPILED)
    def test_and_nowhere_else(self, reference_calls, backend):
        for way, run in self.ways().items():
            with backends.use(backend):
                run()
            assert reference_calls == [], way

    def test_a_backward_runs_what_is_chosen_when_it_runs(self, reference_calls):
        x = torch.ones(100, requires_grad=True)
        y = F.dropout(x, key=KEY)
        reference_calls.clear()
        with backends.use("reference"):
            y.sum().backward()
        assert len(reference_calls) == 1
        assert torch.equal(x.grad, y)

    @pytest.mark.parametrize("compiler", ["eager", "aot_eager"])
    def test_compiled_code_runs_what_is_chosen_when_it_runs(self, reference_calls, compiler):
        function = torch.compile(lambda x: F.dropout(x, 0.5, key=KEY), backend=compiler)
        x = torch.randn(100)
        expected = F.dropout(x, 0.5, key=KEY)
        assert torch.equal(function(x), expected)
        reference_calls.clear()
        with backends.use("reference"):
            assert torch.equal(function(x), expected)
        assert len(reference_calls) == 1
        for backend in COMPILED:
            reference_calls.clear()
            with backends.use(backend):
                assert torch.equal(function(x), expected)
            assert reference_calls == []


# --- processes -----------------------------------------------------------------------------------

REPORT = """
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import torchdropout as td
import torch
x = torch.arange(1000.0)
y = td.functional.dropout(x, 0.3, key=td.Key(5, 2**40 + 1))
numbers = (td.Key(5, 2**40 + 1).tensor(), 0.3, 1 / 0.7, 0.0, 0.0, 0, [1])
assert torch.equal(y, torch.ops.torchdropout.masked_affine(x, *numbers))
said = [[w.category.__name__, str(w.message)] for w in caught]
print([td.backends.current(), td.backends.why(), said, y.tolist()])
"""


def report(processes, path=None, **env):
    status, text = processes.run(REPORT, path, **env)
    assert status == 0, text
    *found, values = ast.literal_eval(text.splitlines()[-1])
    assert values == F.dropout(torch.arange(1000.0), 0.3, key=Key(5, 2**40 + 1)).tolist()
    return found


@pytest.mark.integration
@pytest.mark.parametrize("name", backends.available())
def test_the_environment_is_honoured(processes, name):
    current, why, said = report(processes, TORCHDROPOUT_BACKEND=name)
    assert (current, why) == (name, "requested by TORCHDROPOUT_BACKEND")
    assert said == [] or not COMPILED


@needs_kernels
@pytest.mark.integration
# With more of it left, the system's loader dies of a bus error.
@pytest.mark.parametrize("left", [0, 200])
def test_a_file_that_cannot_be_loaded_is_said_once(processes, tmp_path, left):
    target = tmp_path / "torchdropout"
    shutil.copytree(PACKAGE, target, ignore=shutil.ignore_patterns("__pycache__", "verify"))
    with (target / Path(cpu.extension.__file__).name).open("r+b") as stream:
        stream.truncate(left)
    current, why, ((category, message),) = report(processes, tmp_path)
    assert (current, category) == ("reference", "RuntimeWarning")
    assert "its file cannot be loaded: ImportError" in why
    assert why.removeprefix("there are no compiled kernels: ") in message


# --- workers, threads, forks ---------------------------------------------------------------------


class Dropped(torch.utils.data.Dataset):
    """Each item is dropout of a row under a key of its own."""

    def __len__(self):
        return 12

    def __getitem__(self, i):
        return F.dropout(torch.arange(1.0, 40_001.0), 0.3, key=KEY.fold_in(i))


class TestConcurrency:
    @pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
    def test_loader_workers(self):
        loader = torch.utils.data.DataLoader(
            Dropped(), batch_size=3, num_workers=2, multiprocessing_context="fork"
        )
        got = torch.cat(list(loader))
        assert torch.equal(got, torch.stack([Dropped()[i] for i in range(12)]))

    @pytest.mark.parametrize("backend", backends.available())
    def test_python_threads(self, backend):
        """Long enough for the kernels to let other threads run."""
        x = torch.randn(100_000)

        def run(i):
            row = x.clone().requires_grad_()
            y = F.dropout(row, 0.3, key=KEY.fold_in(i))
            y.sum().backward()
            F.dropout(y.detach(), 0.5, inplace=True, key=KEY.fold_in(100 + i))
            return y.detach(), row.grad

        with backends.use(backend), concurrent.futures.ThreadPoolExecutor(2) as pool:
            expected = [run(i) for i in range(16)]
            got = list(pool.map(run, range(16)))
        for one, other in zip(got, expected, strict=True):
            identical(one, other)

    def test_seeds_drawn_by_two_threads_are_all_different(self):
        x = torch.ones(256)
        torch.manual_seed(0)
        single = {tuple(F.dropout(x).tolist()) for _ in range(400)}
        torch.manual_seed(0)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            both = set(pool.map(lambda _: tuple(F.dropout(x).tolist()), range(400)))
        assert len(single) == 400
        assert both == single

    def test_a_fork_after_a_parallel_run(self, processes):
        """A child of a process whose pool of threads has run, as a loader's worker is."""
        code = """
            import os, signal, torch
            import torchdropout as td
            torch.set_num_threads(2)
            x = torch.ones(2**18)
            expected = td.functional.dropout(x, 0.3, key=td.Key(1))
            child = os.fork()
            if child == 0:
                signal.alarm(60)
                torch.set_num_threads(1)
                same = torch.equal(td.functional.dropout(x, 0.3, key=td.Key(1)), expected)
                os._exit(0 if same else 1)
            _, status = os.waitpid(child, 0)
            assert os.waitstatus_to_exitcode(status) == 0, status
        """
        status, text = processes.run(code)
        assert status == 0, text


def test_auto_without_kernels_is_not_a_choice_of_the_reference(monkeypatch):
    """On a GPU its kernels would not run: the reference would seem to be asked for by name."""
    monkeypatch.setattr(cpu, "extension", None)
    monkeypatch.setattr(cpu, "available", lambda: ("reference",))
    monkeypatch.setattr(cpu, "_current", "reference")
    monkeypatch.setattr(cpu, "chosen_by", "a call")
    cpu.select("auto", "a call")
    assert not devices.reference_chosen()
    cpu.select("reference", "a call")
    assert devices.reference_chosen()


class Extension:
    """Stands for the compiled kernels, and notes which were selected."""

    def __init__(self, version=torchdropout.__version__):
        self.version, self.selected = version, []

    def usable(self):
        return "scalar", "avx2"

    def select(self, name):
        self.selected.append(name)

    def why_not(self, name):
        return f"the processor has no {name}"


ABSENT = ModuleNotFoundError("No module named 'torchdropout._C'")
WITHOUT = {
    "a broken file": (ImportError("invalid"), None, "its file cannot be loaded: ImportError: in"),
    "another version": (Extension("1.0"), None, "its file was built for version 1.0, and this"),
    "not built": (ABSENT, None, "it was not built"),
    "noted": (ABSENT, "no compiler\n", "no compiler"),
    "noted at length": (ABSENT, "no compiler\nerror: 1\n", "no compiler (full output: /"),
    "left out": (ABSENT, "TORCHDROPOUT_NO_EXTENSION was set", "TORCHDROPOUT_NO_EXTENSION was"),
}


class TestLoading:
    """In this process, with a module that stands for the extension."""

    @pytest.fixture(autouse=True)
    def restored(self, monkeypatch):
        for name in ("_current", "chosen_by", "triton_by", "why_missing"):
            monkeypatch.setattr(cpu, name, getattr(cpu, name))
        monkeypatch.setattr(cpu, "extension", None)
        monkeypatch.setattr(cpu.triton, "why_not_on_cpu", lambda: "no interpreter")
        monkeypatch.delenv(cpu.VARIABLE, raising=False)

    @pytest.fixture
    def imports(self, monkeypatch, tmp_path):
        """Gives what an import of the extension gives or raises, and what the build noted."""

        def imports(found, note=None):
            def import_module(name):
                assert name == "torchdropout._C"
                if isinstance(found, Exception):
                    raise found
                return found

            if note is not None:
                (tmp_path / "_no_extension.txt").write_text(note)
            monkeypatch.setattr(cpu, "import_module", import_module)
            monkeypatch.setattr(cpu.resources, "files", lambda package: tmp_path)

        return imports

    def test_with_kernels_the_fastest_runs(self, imports, monkeypatch):
        extension = Extension()
        imports(extension)
        cpu.start()
        assert (cpu.choice(), extension.selected) == (("avx2", "auto"), ["avx2"])
        monkeypatch.setenv(cpu.VARIABLE, "scalar")
        cpu.start()
        assert (cpu.choice(), extension.selected) == (("scalar", cpu.VARIABLE), ["avx2", "scalar"])
        cpu.select("reference", "a call")
        assert (cpu.choice(), extension.selected[2:]) == (("reference", "a call"), [None])
        with pytest.raises(BackendError, match=r"got 'neon', .*: the processor has no neon"):
            cpu.select("neon", "a call")
        assert cpu.choice() == ("reference", "a call")

    @pytest.mark.parametrize("case", WITHOUT)
    def test_without_kernels_the_reference_runs_with_one_warning(self, imports, monkeypatch, case):
        """Unless they were left out on purpose, or the reference was asked for."""
        found, note, reason = WITHOUT[case]
        imports(found, note)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            cpu.start()
            assert cpu.choice() == ("reference", "auto")
            assert cpu.why_missing.startswith(reason)
            assert backends.why() == f"there are no compiled kernels: {cpu.why_missing}"
            assert [w.category for w in caught] == [RuntimeWarning] * (case != "left out")
            assert all(cpu.why_missing in str(w.message) for w in caught)
            monkeypatch.setenv(cpu.VARIABLE, "reference")
            cpu.start()
            assert cpu.choice() == ("reference", cpu.VARIABLE)
            for name, why in (("avx2", re.escape(reason)), ("cuda", ""), ("", "")):
                monkeypatch.setenv(cpu.VARIABLE, name)
                words = f"Expected {cpu.VARIABLE} to name one of 'auto', .* got '{name}'.*{why}"
                with pytest.raises(BackendError, match=words):
                    cpu.start()
        assert len(caught) == (case != "left out")
        if isinstance(found, Extension):  # whose operators run the reference
            assert found.selected == [None] * len(found.selected) != []

    def test_triton_by_name_on_a_gpu_leaves_the_cpu_to_the_fastest(self, imports, monkeypatch):
        extension = Extension()
        imports(extension)
        cpu.start()
        monkeypatch.setattr(cpu.triton, "is_native", lambda: True)
        monkeypatch.setattr(cpu.triton, "why_missing", lambda: "")
        cpu.select("triton", "a call")
        assert cpu.choice() == ("triton", "a call")
        assert (cpu.current(), cpu.chosen_by, cpu.triton_by) == ("avx2", "auto", "a call")
        cpu.select("auto", "another call")
        assert (cpu.choice(), cpu.triton_by) == (("avx2", "auto"), "")
        monkeypatch.setattr(cpu.triton, "why_missing", lambda: "it is not installed")
        with pytest.raises(BackendError, match=r"got 'triton', .*machine: it is not installed"):
            cpu.select("triton", "a call")
        monkeypatch.setattr(cpu.triton, "is_native", lambda: False)
        with pytest.raises(BackendError, match=r"got 'triton', .*machine: no interpreter"):
            cpu.select("triton", "a call")

    def test_triton_by_name_in_the_interpreter_runs_the_cpu(self, imports, monkeypatch):
        extension = Extension()
        imports(extension)
        cpu.start()
        monkeypatch.setattr(cpu.triton, "is_native", lambda: False)
        monkeypatch.setattr(cpu.triton, "why_not_on_cpu", lambda: "")
        assert cpu.available() == ("triton", "reference", "scalar", "avx2")
        cpu.select("triton", "a call")
        assert (cpu.choice(), cpu.triton_by) == (("triton", "a call"), "")
        assert extension.selected == ["avx2", None]
