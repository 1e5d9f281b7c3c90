"""Broken rates: some p, some place or all are dropped too often or too seldom."""

import torch

from verify.broken._common import draw, in_training, select, uniform


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
def keep_probability_in_bfloat16(x, p):
    """drop-rate: 1 - p rounded to bfloat16, where 0.001 is lost."""
    keep = torch.tensor(1 - p).bfloat16().item() if p < 1 else 0.0
    return select(x, uniform(x) >= keep, p)


@in_training
def one_lane_one_percent(x, p):
    """position-rate at standard: One place of 16 has a rate 1 % too high."""
    rate = torch.full((x.numel(),), float(p))
    rate[3::16] += 0.01 * p if p < 0.9 else 0.0
    return select(x, uniform(x) < rate.reshape(x.shape).to(x.device), p)


@in_training
def rate_falls_along_the_tensor(x, p):
    """position-rate at standard: The rate falls from 3 % too high at the first element to 3 %
    too low at the last.
    """
    if not 0 < p < 0.9 or x.numel() < 2:
        return select(x, draw(x, p), p)
    rate = torch.linspace(1.03 * p, 0.97 * p, x.numel(), device=x.device)
    return select(x, uniform(x) < rate.reshape(x.shape), p)
