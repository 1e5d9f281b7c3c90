"""Broken independence: a mask bit says something about another."""

import torch

from verify.broken._common import Module, draw, in_training, select, uniform


@in_training
def pool_of_masks(x, p):
    """few-masks: One of 50 000 masks, chosen at random."""
    seed = int(torch.randint(50_000, ()))
    return select(x, uniform(x, torch.Generator().manual_seed(seed)) < p, p)


@in_training
def copies_its_neighbour(x, p):
    """lag-independence: One bit in ten is its predecessor's."""
    drop = draw(x, p).reshape(-1)
    if drop.numel() > 1:
        copied = torch.rand(drop.numel() - 1, device=x.device) < 0.1
        drop[1:] = torch.where(copied, drop[:-1].clone(), drop[1:])
    return select(x, drop.reshape(x.shape), p)


class TenthOfTheNumbersAgain(Module):
    """call-independence: A place keeps its number for the next call with probability .1."""

    def __init__(self, p=0.5):
        super().__init__(p)
        self.last = None

    def where(self, x):
        u = uniform(x)
        if self.last is not None and self.last.shape == u.shape:
            u = torch.where(uniform(x) < 0.1, self.last, u)
        self.last = u
        return u < self.p


@in_training
def rate_drawn_for_short_calls(x, p):
    """count-spread: A short call has a rate of its own, p on average."""
    if not 1 < x.numel() < 1000 or x.ndim != 1 or not 0.1 < p < 0.9:
        return select(x, draw(x, p), p)
    return select(x, draw(x, p + (0.05 if int(torch.randint(2, ())) else -0.05)), p)
