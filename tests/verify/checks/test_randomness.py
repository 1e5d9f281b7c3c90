"""What the checks of randomness say of what is wrong."""

import random

import numpy as np
import pytest
import torch

from torchdropout.verify import stats
from torchdropout.verify.checks import randomness
from torchdropout.verify.context import Fault
from verify.broken._common import draw, select
from verify.checks._alone import context, fault, halves, made, run


def inverted(*calls):
    """In these calls, numbered from 1, the mask is the opposite of what the generator gives."""
    count = 0

    def drop(x, p):
        nonlocal count
        count += 1
        mask = draw(x, p)
        return select(x, ~mask if count in calls else mask, p)

    return made(drop)


@pytest.mark.parametrize(
    ("calls", "who", "differ"),
    [
        ((1,), "the same object", 256),
        ((4, 5), "the same object", 512),
        ((6, 9), "the same object", 256),
        ((7,), "a new object", 256),
        ((7, 8, 9), "a new object", 768),
    ],
)
def test_calls_that_differ_after_the_same_seed(calls, who, differ):
    found = fault("seed-governs", inverted(*calls))
    assert found.message == (
        f"p=0.5: the same seed gave {who} another mask, at {differ} of 768 places"
    )
    assert found.figures == {"differ": differ}


@pytest.mark.parametrize(
    ("same", "repeats", "first"),
    [
        ({5: 4, 7: 6}, 2, (4, 5)),
        ({3 + (1 << 31): 3 + (1 << 30), 200: 0, 1 + (1 << 8): 1}, 2, None),
        (dict.fromkeys(range(1, 160), 0), 159, (0, 1)),
    ],
)
def test_seeds_that_give_the_same(same, repeats, first):
    def drop(x, p):
        seed = torch.initial_seed()
        generator = torch.Generator().manual_seed(same.get(seed, seed))
        return select(x, torch.rand(x.shape, generator=generator) < p, p)

    found = fault("seeds-differ", made(drop))
    assert found.message.startswith(f"p=0.5: {256 - repeats} different masks for 256 seeds; seeds ")
    assert found.figures["distinct"] == 256 - repeats
    if first:
        assert (found.figures["first"], found.figures["second"]) == first
        assert f"seeds {first[0]} and {first[1]} give the same" in found.message


def test_one_repeat_of_256_seeds_may_be_a_coincidence_of_the_generator():
    assert stats.repeats_limit(256, 1e-10) == 2
    same = {5: 4}

    def drop(x, p):
        seed = torch.initial_seed()
        generator = torch.Generator().manual_seed(same.get(seed, seed))
        return select(x, torch.rand(x.shape, generator=generator) < p, p)

    assert run("seeds-differ", made(drop)).message == "255 different masks for 256 seeds"


def seeding(x, p):
    torch.manual_seed(17)
    return x


@pytest.mark.parametrize("mode", ["training", "eval"])
def test_a_call_that_seeds(mode):
    target = made(**{"training" if mode == "training" else "evaluation": seeding})
    found = fault("no-reseed", target)
    assert found.message == f"a call in {mode} seeded torch's generator with 17"
    assert found.figures == {"seed": 17}


@pytest.mark.parametrize("states", [[1, 2, 1, 4], [1, 2, 3, 2]])
def test_a_generator_that_is_left_in_one_state(states, monkeypatch):
    """After calls in training and eval, first by one seed, then by another."""
    left = iter(states)
    monkeypatch.setattr(randomness.torch.random, "get_rng_state", lambda: torch.tensor(next(left)))
    with pytest.raises(Fault, match="left torch's generator in the same state, whatever its"):
        randomness.no_reseed.run(context(made()))


@pytest.mark.parametrize(
    ("draws", "whose"),
    [
        (random.random, "Python's `random`"),
        (np.random.random, "NumPy's global generator"),
        (lambda: np.random.set_state((*np.random.get_state()[:3], 1, 0.5)), "NumPy's global"),
    ],
)
@pytest.mark.parametrize("mode", ["training", "eval"])
def test_a_call_that_draws_from_another_generator(draws, whose, mode):
    def drop(x, p):
        draws()
        return x

    target = made(**{"training" if mode == "training" else "evaluation": drop})
    found = fault("foreign-generators", target)
    assert found.message.startswith(f"a call in {mode} changed the state of {whose}")


def test_a_call_in_eval_that_draws():
    def draws(x, p):
        torch.rand(1)
        return x

    assert fault("eval-draws-nothing", made(evaluation=draws)).message == (
        "a call in eval drew from torch's generator"
    )


@pytest.mark.parametrize("threads", [2, 3])
def test_a_mask_that_threads_change(threads):
    def drop(x, p):
        return halves(x, p, int(torch.get_num_threads() == threads))

    found = fault("thread-mask", made(drop))
    assert found.message == (
        f"{threads} threads: a different mask from that with 1 after the same seed, at "
        "262144 of 262144 places"
    )
    assert found.figures == {"threads": threads, "differ": 262144}


@pytest.mark.parametrize("threads", [2, 3, 4])
def test_threads_that_each_draw_the_same(threads):
    def drop(x, p):
        if torch.get_num_threads() != threads or x.numel() % threads:
            return select(x, draw(x, p), p)
        part = torch.rand(x.numel() // threads)
        return select(x, part.repeat(threads) < p, p)

    found = fault("thread-law", made(drop))
    assert f"p=0.5, {threads} threads, bits a part of " in found.message
    assert "apart differ: 0 of " in found.message


@pytest.mark.parametrize("grad", [False, True])
def test_a_recomputation_that_differs(grad):
    """The first y of a pair, after a call with gradients or after one without."""
    found = fault("grad-checkpoint", inverted(1 if grad else 3))
    first = "with" if grad else "without"
    assert found.message.startswith(f"recomputed after a call {first} gradients, the gradient has")
    assert found.figures["reentrant"] is (not grad)
