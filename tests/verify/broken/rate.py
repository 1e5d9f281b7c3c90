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
