"""Broken randomness: where a mask comes from, and what a call does to the generators."""

import torch

from verify.broken._common import Module, draw, in_training, select, uniform


class StepIsTheSeed(Module):
    """seed-governs: The number of the call is the seed: all layers and all runs alike
    (xformers#173).
    """

    step = 0

    def where(self, x):
        self.step += 1
        return uniform(x, torch.Generator().manual_seed(self.step)) < self.p


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
