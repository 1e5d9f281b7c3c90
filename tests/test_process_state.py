"""The state of the process: each part is saved, found changed, and restored."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from torchdropout.process_state import (
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
    return (
        random.random(),
        np.random.rand(),
        float(torch.rand(1)),
        float(torch.rand(1, generator=own)),
    )


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


@pytest.mark.parametrize("accelerators", [False, True])
def test_a_seed_seeds_all_that_is_saved(accelerators):
    state = ProcessState(generators(np, accelerators=accelerators))
    seed = 2**40 + 7  # NumPy's seeds have 32 bits
    draws = []
    for _ in range(2):
        seed_generators(seed, np, accelerators=accelerators)
        draws.append((random.random(), np.random.rand(), float(torch.rand(1))))
    assert draws[0] == draws[1]
    state.restore()


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
        old=np.random.RandomState(1),
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
