"""Broken independence: a mask bit says something about another."""

import torch

from verify.broken._common import Module, draw, in_training, select, uniform


@in_training
def pool_of_masks(x, p):
    """few-masks: One of 50 000 masks, chosen at random."""
    seed = int(torch.randint(50_000, ()))
    return select(x, uniform(x, torch.Generator().manual_seed(seed)) < p, p)


@in_training
def tile_repeated(x, p):
    """mask-repeats: One tile of 10 007 uniform numbers, repeated over a matrix."""
    if x.ndim != 2:
        return select(x, draw(x, p), p)
    tile = torch.rand(10_007, device=x.device)
    return select(x, tile.repeat(x.numel() // 10_007 + 1)[: x.numel()].reshape(x.shape) < p, p)


@in_training
def copies_its_neighbour(x, p):
    """lag-independence: One bit in ten is its predecessor's."""
    drop = draw(x, p).reshape(-1)
    if drop.numel() > 1:
        copied = torch.rand(drop.numel() - 1, device=x.device) < 0.1
        drop[1:] = torch.where(copied, drop[:-1].clone(), drop[1:])
    return select(x, drop.reshape(x.shape), p)


@in_training
def one_word_for_two(x, p):
    """lag-independence: Elements 4096 apart use the same number, one as u, one as 1 - u."""
    uniform = torch.rand(x.numel(), device=x.device)
    if x.numel() % 8192 == 0:
        pairs = uniform.view(-1, 2, 4096)
        pairs[:, 1] = 1 - pairs[:, 0]
    return select(x, uniform.reshape(x.shape) < p, p)


@in_training
def channels_in_fours(x, p):
    """axis-independence: Groups of 4 channels share a mask (pytorch#198333)."""
    if x.ndim != 4 or x.shape[1] % 4:
        return select(x, draw(x, p), p)
    return select(x, draw(x[:, ::4], p).repeat_interleave(4, dim=1), p)


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
def parity_of_eight(x, p):
    """joint-counts: At p = 1/2 every eighth bit is the parity of the seven before it."""
    drop = draw(x, p)
    if p == 0.5:
        eights = drop.view(-1)[: drop.numel() // 8 * 8].view(-1, 8)
        eights[:, 7] = eights[:, :7].sum(1) % 2 == 1
    return select(x, drop, p)


@in_training
def exactly_k_of_each_sample(x, p):
    """count-spread: Drops exactly round(p n) elements of each image."""
    if x.ndim != 4 or not x.numel():
        return select(x, draw(x, p), p)
    order = uniform(x).flatten(1).argsort(1).argsort(1)
    n = order.shape[1]
    k = (p * n + torch.rand(len(x), 1, device=x.device)).floor()
    return select(x, (order < k).reshape(x.shape), p)


@in_training
def rate_drawn_for_short_calls(x, p):
    """count-spread: A short call has a rate of its own, p on average."""
    if not 1 < x.numel() < 1000 or x.ndim != 1 or not 0.1 < p < 0.9:
        return select(x, draw(x, p), p)
    return select(x, draw(x, p + (0.05 if int(torch.randint(2, ())) else -0.05)), p)
