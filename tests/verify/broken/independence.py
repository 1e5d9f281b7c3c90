"""Broken independence: a mask bit says something about another."""

import functools

import numpy as np
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
def rewound_by_half(x, p):
    """mask-repeats: A call uses n numbers and moves the generator on by half of them."""
    if x.numel() < 1000:
        return select(x, draw(x, p), p)
    state = torch.get_rng_state()
    torch.rand(x.numel() // 2)
    later = torch.get_rng_state()
    torch.set_rng_state(state)
    drop = draw(x, p)
    torch.set_rng_state(later)
    return select(x, drop, p)


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


@functools.cache
def _powers(multiplier, n):
    """The powers of a multiplier modulo 2^32."""
    return np.cumprod(np.full(n, multiplier, np.uint32), dtype=np.uint32)


def _congruential(x, multiplier, seed, bits):
    """The high bits of x_i = multiplier^i seed, as uniform numbers."""
    states = _powers(multiplier, x.numel()) * np.uint32(seed) & np.uint32(2**bits - 1)
    return torch.from_numpy(states / 2.0**bits).reshape(x.shape).to(x.device)


@in_training
def congruential_of_16_bits(x, p):
    """few-masks: A congruential generator with 16 bits of state, seeded in every call."""
    seed = 2 * int(torch.randint(2**15, ())) + 1
    return select(x, _congruential(x, 25173, seed, 16) < p, p)


@in_training
def randu(x, p):
    """joint-counts: RANDU: three numbers in a row lie on one of fifteen planes."""
    seed = 2 * int(torch.randint(2**30, ())) + 1
    return select(x, _congruential(x, 65539, seed, 31) < p, p)


_SHIFTS = (13, -17, 5)


def _xorshifted(states):
    for shift in _SHIFTS:
        moved = states << np.uint32(shift) if shift > 0 else states >> np.uint32(-shift)
        states = states ^ moved
    return states


@functools.cache
def _columns(doublings):
    """The images of the unit vectors under 2^doublings steps."""
    if not doublings:
        return _xorshifted(np.uint32(1) << np.arange(32, dtype=np.uint32))
    half = _columns(doublings - 1)
    return _jump(half, half)


def _jump(columns, states):
    """A linear map of 32 bits, given by the images of the 32 unit vectors, applied to states."""
    out = np.zeros_like(states)
    for first in range(0, 32, 8):  # a byte at a time
        images = np.zeros(1, np.uint32)
        for column in columns[first : first + 8]:
            images = np.concatenate([images, images ^ column])
        out ^= images[states >> np.uint32(first) & np.uint32(255)]
    return out


def _xorshift(seed, n):
    """n states in a row of Marsaglia's xorshift of 32 bits, by doubling."""
    states = np.array([seed], np.uint32)
    doublings = 0
    while len(states) < n:
        states = np.concatenate([states, _jump(_columns(doublings), states)])
        doublings += 1
    return states[:n]


@in_training
def xorshift_without_output_function(x, p):
    """linear-rank: The state of a linear generator is the number: bits are sums."""
    seed = 1 + int(torch.randint(2**32 - 1, ()))
    numbers = torch.from_numpy(_xorshift(seed, x.numel()) / 2.0**32)
    return select(x, numbers.reshape(x.shape).to(x.device) < p, p)


@in_training
def one_row_for_all(x, p):
    """mask-repeats: The mask of a matrix is one row, broadcast."""
    return select(x, draw(x[:1], p) if x.ndim == 2 else draw(x, p), p)


@in_training
def channels_share(x, p):
    """axis-independence: All channels of an image share a mask."""
    return select(x, draw(x[:, :1], p) if x.ndim == 4 else draw(x, p), p)


@in_training
def whole_channels(x, p):
    """axis-independence: Dropout2d where dropout was asked for."""
    return select(x, draw(x[:, :, :1, :1], p) if x.ndim == 4 else draw(x, p), p)


def _copied(drop, copied):
    """Where `copied`, the bit of the last place that is not."""
    places = torch.arange(len(drop), device=drop.device)
    return drop[torch.where(copied, 0, places).cummax(0).values]


@in_training
def markov_chain(x, p):
    """lag-independence: A bit stays with probability .1, else is drawn anew."""
    copied = torch.rand(x.numel(), device=x.device) < 0.1
    return select(x, _copied(draw(x, p).reshape(-1), copied).reshape(x.shape), p)


@in_training
def antithetic_neighbours(x, p):
    """lag-independence: One pair of neighbours in ten uses u and 1 - u."""
    u = uniform(x).reshape(-1)
    pairs = u[: x.numel() // 2 * 2].view(-1, 2)
    tied = torch.rand(len(pairs), device=x.device) < 0.1
    pairs[:, 1] = torch.where(tied, 1 - pairs[:, 0], pairs[:, 1])
    return select(x, u.reshape(x.shape) < p, p)


@in_training
def copies_from_1024_before(x, p):
    """lag-independence: One bit in twenty is that of the place 1024 before."""
    drop = draw(x, p).reshape(-1)
    if drop.numel() > 1024:
        copied = torch.rand(drop.numel() - 1024, device=x.device) < 0.05
        drop[1024:] = torch.where(copied, drop[:-1024].clone(), drop[1024:])
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


@in_training
def tail_restarts_the_counter(x, p):
    """lag-independence: The elements left over by vectors of eight use the numbers of the first."""
    u = uniform(x).reshape(-1)
    rest = x.numel() % 8
    if x.numel() > 8 and rest:
        u[-rest:] = u[:rest]
    return select(x, u.reshape(x.shape) < p, p)


@in_training
def channels_of_a_volume_share(x, p):
    """axis-independence: All channels of a 5-D input share a mask."""
    return select(x, draw(x[:, :1], p) if x.ndim == 5 else draw(x, p), p)
