"""Broken randomness: where a mask comes from, and what a call does to the generators."""

import torch

from verify.broken._common import draw, in_training, select


@in_training
def even_seeds_only(x, p):
    """seeds-differ: The lowest bit of a new seed is lost."""
    seed = torch.initial_seed()
    if torch.equal(torch.get_rng_state(), torch.Generator().manual_seed(seed).get_state()):
        torch.set_rng_state(torch.Generator().manual_seed(seed // 2 * 2).get_state())
    return select(x, draw(x, p), p)
