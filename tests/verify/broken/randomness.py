"""Broken randomness: where a mask comes from, and what a call does to the generators."""

import random
import time

import numpy as np
import torch

from verify.broken._common import Module, check_p, draw, in_training, select, uniform

_PRIVATE = torch.Generator().manual_seed(1)


@in_training
def private_generator(x, p):
    """seed-governs: Draws from a generator that `torch.manual_seed` does not reach."""
    return select(x, uniform(x, _PRIVATE) < p, p)


@in_training
def six_bit_seed(x, p):
    """seeds-differ: A new seed is cut to 6 bits."""
    seed = torch.initial_seed()
    if torch.equal(torch.get_rng_state(), torch.Generator().manual_seed(seed).get_state()):
        torch.set_rng_state(torch.Generator().manual_seed(seed % 64).get_state())
    return select(x, draw(x, p), p)


@in_training
def draws_from_python(x, p):
    """foreign-generators: Draws from Python's generator as well."""
    random.random()
    return select(x, draw(x, p), p)


@in_training
def clock_seed(x, p):
    """seed-governs: Each call is seeded with the time."""
    return select(x, uniform(x, torch.Generator().manual_seed(time.perf_counter_ns())) < p, p)


class StepIsTheSeed(Module):
    """seed-governs: The number of the call is the seed, in all runs (xformers#173)."""

    step = 0

    def where(self, x):
        self.step += 1
        return uniform(x, torch.Generator().manual_seed(self.step)) < self.p


class OwnGenerator(Module):
    """seed-governs: A generator of its own, seeded with 0 when it is built."""

    def __init__(self, p=0.5):
        super().__init__(p)
        self.generator = torch.Generator().manual_seed(0)

    def where(self, x):
        return uniform(x, self.generator) < self.p


@in_training
def generator_put_back(x, p):
    """train-stochastic: Leaves torch's generator as it was, and so draws the same mask for ever."""
    with torch.random.fork_rng(devices=[]):
        return select(x, draw(x, p), p)


@in_training
def even_seeds_only(x, p):
    """seeds-differ: The lowest bit of a new seed is lost."""
    seed = torch.initial_seed()
    if torch.equal(torch.get_rng_state(), torch.Generator().manual_seed(seed).get_state()):
        torch.set_rng_state(torch.Generator().manual_seed(seed // 2 * 2).get_state())
    return select(x, draw(x, p), p)


def reseeds_in_eval(x, p, training):
    """no-reseed: Eval seeds torch's generator, so that validation can be repeated."""
    check_p(p)
    if training:
        return select(x, draw(x, p), p)
    torch.manual_seed(0)
    return x


@in_training
def seeds_numpy(x, p):
    """foreign-generators: NumPy is seeded from torch in every call."""
    np.random.seed(int(torch.randint(2**31, ())))
    return select(x, draw(x, p), p)
