"""The state of the process: each part is saved, found changed, and restored."""

import contextlib
import io
import os
import random
import signal
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn.modules import module as hooks

from torchdropout._tools.process_state import (
    DEFAULT_DTYPE,
    GRAD_MODE,
    HOOKS,
    MODES,
    PROCESS,
    ProcessState,
    generators,
    held_generators,
    seed_generators,
)


def drawn(own):
    of_torch = float(torch.rand(1)), float(torch.rand(1, generator=own))
    return random.random(), np.random.rand(), *of_torch


def test_generators_are_restored_and_never_reported():
    own = torch.Generator().manual_seed(5)
    state = ProcessState(generators(np, [own]))
    first = drawn(own)
    assert state.changed() == []
    state.restore()
    assert drawn(own) == first
    state.restore()


@pytest.mark.parametrize(
    "draw",
    [
        lambda own: torch.rand(1),
        lambda own: torch.rand(1, generator=own),
        lambda own: random.random(),
        lambda own: np.random.rand(),
    ],
)
def test_a_generator_that_advances_is_noticed(draw):
    own = torch.Generator()
    before = ProcessState(generators(np, [own]))
    assert not before.drawn()
    draw(own)
    assert before.drawn()
    before.restore()
    assert not before.drawn()


def test_numpys_generator_may_be_of_another_kind():
    other = np.random.Philox(3)
    mersenne = np.random.get_bit_generator()
    np.random.set_bit_generator(other)
    try:
        before = ProcessState(generators(np))
        drawn = np.random.rand()
        assert before.drawn()
        before.restore()
        assert np.random.rand() == drawn
    finally:
        np.random.set_bit_generator(mersenne)


def test_without_numpy_its_generator_is_left():
    np.random.seed(1)
    state = ProcessState(generators(None))
    first = np.random.rand()
    state.restore()
    assert np.random.rand() != first


@pytest.mark.parametrize("wanted", [{}, {"accelerators": True}])
def test_a_seed_seeds_all_that_is_saved(wanted, monkeypatch):
    seeded = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    state = ProcessState(generators(np, **wanted))
    seed = 2**32 + 7  # NumPy's seeds have 32 bits
    draws = []
    for number in (seed, seed, seed + 1):
        seed_generators(number, np, **wanted)
        draws.append((random.random(), np.random.rand(), float(torch.rand(1))))
    state.restore()
    first, second, other = draws
    assert first == second
    assert not {*first} & {*other}
    assert seeded == ([seed, seed, seed + 1] if wanted else [])


def test_only_the_declared_parts_are_restored():
    state = ProcessState([GRAD_MODE])
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    try:
        assert state.changed() == ["the grad mode"]
        state.restore()
        assert torch.is_grad_enabled()
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_grad_enabled(True)
        torch.set_default_dtype(torch.float32)


def test_nothing_has_changed_at_first():
    assert ProcessState([*MODES, *PROCESS, *HOOKS]).changed() == []


def test_a_replaced_function_restores_all_the_same(monkeypatch):
    state = ProcessState([DEFAULT_DTYPE])
    torch.set_default_dtype(torch.float64)
    monkeypatch.setattr(torch, "set_default_dtype", lambda dtype: None)
    state.restore()
    assert torch.get_default_dtype() == torch.float32


def test_generators_in_attributes():
    """Named, noticed and restored, of each kind; those of the process are not among them."""
    holder = SimpleNamespace(
        torch=torch.Generator(),
        python=random.Random(1),
        numpy=np.random.default_rng(1),
        old=np.random.RandomState(np.random.Philox(1)),  # its state has no old form
        common=torch.default_generator,
        other=3,
    )
    before = ProcessState(held_generators({"a.b": holder}, np))
    assert before.drawn() == []

    def draw():
        number = torch.rand((), generator=holder.torch).item()
        return number, holder.python.random(), holder.numpy.random(), holder.old.rand()

    first = draw()
    torch.rand(1)
    assert before.drawn() == ["a.b.torch", "a.b.python", "a.b.numpy", "a.b.old"]
    before.restore()
    assert before.drawn() == []
    assert draw() == first
    assert [part.name for part in held_generators({"": holder}, None)] == ["torch", "python"]


CHANGES = {
    "the default dtype": lambda: torch.set_default_dtype(torch.float64),
    "the grad mode": lambda: torch.set_grad_enabled(not torch.is_grad_enabled()),
    "the default device": lambda: torch.set_default_device("meta"),
    "autocast on cpu": lambda: torch.set_autocast_enabled("cpu", True),
    "autocast on cpu, its dtype": lambda: torch.set_autocast_dtype("cpu", torch.float16),
    "autocast on cuda": lambda: torch.set_autocast_enabled("cuda", True),
    "autocast": lambda: torch.set_autocast_cache_enabled(not torch.is_autocast_cache_enabled()),
    "open autocasts": torch.autocast_increment_nesting,
    "open autocasts, fewer": torch.autocast_decrement_nesting,
    "the number of threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "deterministic algorithms": lambda: torch.use_deterministic_algorithms(True),
    "deterministic algorithms, warned of": lambda: torch.set_deterministic_debug_mode("warn"),
    "anomaly detection": lambda: torch.autograd.set_detect_anomaly(True),
    "the precision of matrix products": lambda: torch.set_float32_matmul_precision("medium"),
    "the environment": lambda: os.environ.update(TORCHDROPOUT_ADDED="1"),
    "the environment, a value": lambda: os.environ.update(TORCHDROPOUT_KEPT="2"),
    "the environment, less": lambda: os.environ.pop("TORCHDROPOUT_KEPT"),
    "the working directory": lambda: os.chdir("/"),
    "sys.stdin": lambda: setattr(sys, "stdin", io.StringIO()),
    "sys.stdout": lambda: setattr(sys, "stdout", io.StringIO()),
    "sys.stderr": lambda: delattr(sys, "stderr"),
    "the recursion limit": lambda: sys.setrecursionlimit(sys.getrecursionlimit() + 1),
    "signal handlers": lambda: signal.signal(signal.SIGUSR1, lambda *_: None),
    "the hooks of all modules": lambda: hooks.register_module_forward_pre_hook(lambda *_: None),
}


@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled")
@pytest.mark.parametrize("name", CHANGES)
def test_each_part_is_noticed_and_restored(name, monkeypatch):
    monkeypatch.setenv("TORCHDROPOUT_KEPT", "1")
    part = name.partition(",")[0]
    before = ProcessState([*MODES, *PROCESS, *HOOKS])
    try:
        CHANGES[name]()
        # torch sets a variable of CUDA together with deterministic algorithms.
        assert part in before.changed()
        assert {*before.changed()} <= {part, "the environment"}
    finally:
        before.restore()
    assert before.changed() == []


def test_inference_mode_is_restored():
    """In another thread, as what restores it stays open."""

    def work():
        state = ProcessState(MODES)
        stack = contextlib.ExitStack()
        stack.enter_context(torch.inference_mode())
        found.append(state.changed())
        state.restore()
        found.append(torch.is_inference_mode_enabled())

    found = []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [["inference mode", "the grad mode"], False]


def test_a_folder_that_is_gone_is_left(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gone = tmp_path / "gone"
    gone.mkdir()
    os.chdir(gone)
    state = ProcessState(PROCESS)
    gone.rmdir()
    assert state.changed() == ["the working directory"]
    os.chdir(tmp_path)
    state.restore()
    assert os.getcwd() == str(tmp_path)  # noqa: PTH109


def test_handlers_of_signals_are_those_of_the_main_thread():
    states, changed = [], []

    def work():
        states.append(ProcessState(PROCESS))
        changed.append(states[0].changed())
        states[0].restore()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert changed == [[]]
    handler = signal.getsignal(signal.SIGINT)
    states[0].restore()  # it knows none
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_weight_that_an_open_autocast_has_converted_is_converted_anew():
    x, weight = torch.ones(1, 2), torch.ones(2, 2, requires_grad=True)
    state = ProcessState(MODES)
    torch.autocast("cpu").__enter__()
    assert torch.nn.functional.linear(x, weight).dtype == torch.bfloat16
    state.restore()
    with torch.no_grad():
        weight.zero_()
    with torch.autocast("cpu"):
        assert not torch.nn.functional.linear(x, weight).any()


@pytest.mark.parametrize("wanted", [{}, {"accelerators": True}])
@pytest.mark.parametrize("is_available", [False, True])
@pytest.mark.parametrize("is_initialized", [False, True])
def test_the_generators_of_cuda(wanted, is_available, is_initialized, monkeypatch):
    states, set_states = [torch.zeros(2), torch.zeros(2)], []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: is_available)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: is_initialized)
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: [s.clone() for s in states])
    monkeypatch.setattr(torch.cuda, "set_rng_state_all", set_states.append)
    before = ProcessState(generators(None, **wanted))
    assert before.drawn() == []
    states[1][0] = 1
    is_saved = bool(wanted) and is_available and is_initialized
    assert before.drawn() == ["CUDA's generators"] * is_saved
    before.restore()
    assert len(set_states) == is_saved
    assert not any(state.any() for written in set_states for state in written)
