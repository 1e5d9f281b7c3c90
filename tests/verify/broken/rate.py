"""Broken rates: some p, some place or all are dropped too often or too seldom."""

import torch

from verify.broken._common import draw, in_training, select, uniform


@in_training
def drops_the_kept(x, p):
    """drop-rate: Drops with probability 1 - p, scales by 1 / (1 - p)."""
    return select(x, ~draw(x, p), p) if 0 < p < 1 else select(x, draw(x, p), p)


@in_training
def never_below_one_percent(x, p):
    """drop-rate: p clamped to [0.01, 0.99] "for stability"."""
    return select(x, draw(x, min(max(p, 0.01), 0.99) if 0 < p < 1 else p), p)


@in_training
def tail_never_dropped(x, p):
    """position-rate: The elements left over by vectors of eight are copied."""
    drop = draw(x, p)
    if 0 < p < 1 and x.numel() > 8 and (rest := x.numel() % 8):
        drop.view(-1)[-rest:] = False
    return select(x, drop, p)


@in_training
def uneven_lanes(x, p):
    """position-rate: Every 256th element is dropped more often, its neighbour less."""
    lanes = torch.full((x.numel(),), float(p), device=x.device)
    lanes[5::256] += 0.3 * p * (1 - p)
    lanes[6::256] -= 0.3 * p * (1 - p)
    return select(x, uniform(x) < lanes.reshape(x.shape), p)


@in_training
def half_percent_high(x, p):
    """drop-rate: Drops with probability 1.005 p."""
    return select(x, draw(x, min(1.0, 1.005 * p)), p)


@in_training
def ten_bit_threshold(x, p):
    """drop-rate at quick: p held in 10 bits."""
    return select(x, torch.randint(0, 1024, x.shape, device=x.device) < round(p * 1024), p)


@in_training
def byte_of_255(x, p):
    """drop-rate: A byte compared with p * 255."""
    byte = torch.randint(0, 256, x.shape, device=x.device)
    return select(x, byte < (int(p * 255) if p < 1 else 256), p)


@in_training
def per_mille(x, p):
    """drop-rate at quick: p in whole thousandths: wrong at small p only."""
    return select(x, draw(x, round(p * 1000) / 1000), p)


@in_training
def keep_probability_in_bfloat16(x, p):
    """drop-rate: 1 - p rounded to bfloat16, where 0.001 is lost."""
    keep = torch.tensor(1 - p).bfloat16().item() if p < 1 else 0.0
    return select(x, uniform(x) >= keep, p)


@in_training
def bfloat16_numbers(x, p):
    """drop-rate: Uniform numbers of bfloat16, multiples of 2^-8 (pytorch#100025)."""
    return select(x, torch.rand(x.shape, device=x.device, dtype=torch.bfloat16) < p, p)


@in_training
def numbers_from_1(x, p):
    """drop-rate: Uniform numbers in (0, 1] made of 8 bits: 1/256 .. 1, and "at most p" drops."""
    numbers = (torch.randint(0, 256, x.shape, device=x.device) + 1) / 256
    return select(x, numbers <= p, p)


@in_training
def p_is_a_logit_temperature(x, p):
    """drop-rate: A relaxed Bernoulli, cut at one half, at a temperature that was to be annealed."""
    if not 0 < p < 1:
        return select(x, draw(x, p), p)
    u = uniform(x).double().clamp(1e-12, 1 - 1e-12)
    odds = torch.logit(torch.tensor(p, dtype=torch.float64))
    return select(x, 1.02 * odds + torch.logit(u) > 0, p)


@in_training
def one_lane_one_percent(x, p):
    """position-rate at standard: One place of 16 has a rate 1 % too high."""
    rate = torch.full((x.numel(),), float(p))
    rate[3::16] += 0.01 * p if p < 0.9 else 0.0
    return select(x, uniform(x) < rate.reshape(x.shape).to(x.device), p)


@in_training
def rate_falls_along_the_tensor(x, p):
    """position-rate at standard: The rate falls from 3 % too high to 3 % too low."""
    if not 0 < p < 0.9 or x.numel() < 2:
        return select(x, draw(x, p), p)
    rate = torch.linspace(1.03 * p, 0.97 * p, x.numel(), device=x.device)
    return select(x, uniform(x) < rate.reshape(x.shape), p)


@in_training
def last_of_a_short_call_twice(x, p):
    """position-rate: The last of an odd number is dropped if either of two numbers says so."""
    drop = draw(x, p)
    if 0 < p < 1 and x.numel() > 8 and x.numel() % 2:
        drop.view(-1)[-1] |= torch.rand((), device=x.device) < p
    return select(x, drop, p)
