"""What a target's code can change: known during a run, and as before after it."""

import contextlib
import random
import warnings

import numpy as np
import pytest
import torch

from torchdropout.verify.world import (
    World,
    fresh_modes,
    own_world,
    saved_generators,
    seed_all,
    seed_torch,
)


def state():
    return (
        torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled(),
        torch.is_autocast_enabled("cpu"), torch.get_default_device().type,
    )  # fmt: skip


def drawn():
    return torch.rand(()).item(), random.random(), np.random.rand()


def test_a_run_begins_in_a_known_state_and_leaves_the_callers():
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        torch.set_default_dtype(torch.float64)
        with torch.autocast("cpu", torch.bfloat16), torch.device("meta"):
            before = state()
            with own_world() as world:
                assert state() == (torch.float32, 1, True, False, "cpu")
                torch.set_default_dtype(torch.float16)
                world.restore()
                assert torch.get_default_dtype() == torch.float32
                torch.set_num_threads(2)
            assert state() == before == (torch.float64, 2, True, True, "meta")
            with contextlib.suppress(LookupError), own_world():
                raise LookupError
            assert state() == before
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_num_threads(threads)


def test_the_warnings_of_a_run_are_filtered_for_it_alone():
    before = list(warnings.filters)
    with own_world():
        warnings.simplefilter("ignore")
    assert warnings.filters == before
    with fresh_modes():
        warnings.warn("as the target does", stacklevel=1)  # an error in these tests
    assert warnings.filters == before


@pytest.mark.parametrize("given", [True, False])
def test_a_check_records_gradients_and_its_changes_are_undone(given):
    world = World() if given else None
    with torch.inference_mode():
        with fresh_modes(World() if given else None):
            assert torch.is_grad_enabled()
            assert not torch.is_inference_mode_enabled()
            assert torch.ones(1, requires_grad=True).mul(2).requires_grad
        assert torch.is_inference_mode_enabled()
    with contextlib.suppress(LookupError), fresh_modes(world):
        torch.set_default_dtype(torch.float64)
        raise LookupError
    assert torch.get_default_dtype() == torch.float32


def test_generators_are_seeded_together_and_restored():
    with saved_generators():
        seed_all(5)
        first = drawn()
        with contextlib.suppress(LookupError), saved_generators():
            seed_all(5)
            assert drawn() == first
            seed_torch(5)
            assert torch.rand(()).item() == first[0]
            raise LookupError
        assert not {*drawn()} & {*first}
