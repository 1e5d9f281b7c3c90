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


def seeded_as(same):
    def drop(x, p):
        seed = torch.initial_seed()
        generator = torch.Generator().manual_seed(same.get(seed, seed))
        return select(x, torch.rand(x.shape, generator=generator) < p, p)

    return made(drop)


@pytest.mark.parametrize(
    ("same", "repeats", "first"),
    [
        ({5: 4, 7: 6}, 2, (4, 5)),
        ({3 + (1 << 31): 3 + (1 << 30), 200: 0, 1 + (1 << 8): 1}, 2, None),
        (dict.fromkeys(range(1, 160), 0), 159, (0, 1)),
    ],
)
def test_seeds_that_give_the_same(same, repeats, first):
    found = fault("seeds-differ", seeded_as(same))
    assert found.message.startswith(f"p=0.5: {256 - repeats} different masks for 256 seeds; seeds ")
    assert found.figures["distinct"] == 256 - repeats
    if first:
        assert (found.figures["first"], found.figures["second"]) == first
        assert f"seeds {first[0]} and {first[1]} give the same" in found.message


def test_one_repeat_of_256_seeds_may_be_a_coincidence_of_the_generator():
    assert stats.repeats_limit(256, 1e-10) == 2
    seen = run("seeds-differ", seeded_as({5: 4}))
    assert seen.message == "255 different masks for 256 seeds"


@pytest.mark.parametrize("states", [[1, 2, 1, 4], [1, 2, 3, 2]])
def test_a_generator_that_is_left_in_one_state(states, monkeypatch):
    """After calls in training and eval, first by one seed, then by another."""
    left = iter(states)
    monkeypatch.setattr(randomness.torch.random, "get_rng_state", lambda: torch.tensor(next(left)))
    with pytest.raises(Fault, match="left torch's generator in the same state, whatever its"):
        randomness.no_reseed.run(context(made()))


SEEDED = "a call in {} seeded torch's generator with 17"
FOREIGN = "a call in {} changed the state of "


@pytest.mark.parametrize(
    ("name", "does", "said"),
    [
        ("no-reseed", lambda: torch.manual_seed(17), SEEDED),
        ("foreign-generators", random.random, f"{FOREIGN}Python's `random`"),
        ("foreign-generators", np.random.random, f"{FOREIGN}NumPy's global generator"),
        ("foreign-generators",
         lambda: np.random.set_state((*np.random.get_state()[:3], 1, 0.5)),
         f"{FOREIGN}NumPy's global"),
        ("eval-draws-nothing", lambda: torch.rand(1), "a call in {} drew from torch's generator"),
    ],
)  # fmt: skip
def test_what_a_call_does_to_a_generator(name, does, said):
    def drop(x, p):
        does()
        return x

    modes = {"training": "training", "evaluation": "eval"}
    for mode in ["evaluation"] if name == "eval-draws-nothing" else modes:
        found = fault(name, made(**{mode: drop}))
        assert found.message.startswith(said.format(modes[mode]))
        assert found.figures.get("seed", 17) == 17


@pytest.mark.parametrize("threads", [2, 3, 4])
def test_what_threads_change(threads):
    def masked(x, p):
        return halves(x, p, int(torch.get_num_threads() == threads))

    if threads < 4:
        found = fault("thread-mask", made(masked))
        assert found.message == (
            f"{threads} threads: a different mask from that with 1 after the same seed, at "
            "262144 of 262144 places"
        )
        assert found.figures == {"threads": threads, "differ": 262144}

    def drawn(x, p):
        if torch.get_num_threads() != threads or x.numel() % threads:
            return select(x, draw(x, p), p)
        part = torch.rand(x.numel() // threads)
        return select(x, part.repeat(threads) < p, p)

    found = fault("thread-law", made(drawn))
    assert f"p=0.5, {threads} threads, bits a part of " in found.message
    assert "apart differ: 0 of " in found.message


@pytest.mark.parametrize("grad", [False, True])
def test_a_recomputation_that_differs(grad):
    """The first y of a pair, after a call with gradients or after one without."""
    found = fault("grad-checkpoint", inverted(1 if grad else 3))
    first = "with" if grad else "without"
    assert found.message.startswith(f"recomputed after a call {first} gradients, the gradient has")
    assert found.figures["reentrant"] is (not grad)
