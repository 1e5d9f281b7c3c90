"""Small faults of the rate, the scale, a dtype, a layout, the values, the seed, the threads."""

import torch

from verify.broken._common import draw, in_training, scale_at, select, uniform


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
def scale_off_by_a_ten_thousandth(x, p):
    """kept-scale: The scale is 0.9999 / (1 - p)."""
    return select(x, draw(x, p), p) * 0.9999


@in_training
def epsilon_in_the_scale(x, p):
    """kept-scale: 1 / (1 - p + 1e-6), against division by zero: shows where p is near 1."""
    return x.masked_fill(draw(x, p), 0) * ((1 / (1 - p + 1e-6)) if 0 < p < 1 else 1.0 - p)


@in_training
def rows_scaled_by_share(x, p):
    """scale-constant: Each row is scaled by the share that was kept in it."""
    drop = draw(x, p)
    if x.ndim < 2 or not 0 < p < 1:
        return select(x, drop, p)
    kept = (~drop).sum(-1, keepdim=True)
    return x.masked_fill(drop, 0) * (x.shape[-1] / kept.clamp_min(1))


@in_training
def p_in_dtype(x, p):
    """dtype-rate: p in the dtype of x, the numbers in float32: .999 is 1 in bfloat16."""
    return select(x, uniform(x) < torch.tensor(p, dtype=x.dtype, device=x.device), p)


@in_training
def bfloat16_through_float16(x, p):
    """dtype-scale: bfloat16 is computed in float16: large values become inf."""
    given = x.half() if x.dtype == torch.bfloat16 else x
    return select(given, draw(x, p), p).to(x.dtype)


@in_training
def drops_at_zero(x, p):
    """p-zero-identity: `not r > p` with r in multiples of 2^-15: r = 0 is dropped at p=0."""
    return select(x, ~(torch.randint(0, 1 << 15, x.shape, device=x.device) / (1 << 15) > p), p)


@in_training
def strided_second_half_kept(x, p):
    """layout-rate: The second half of a strided input is never reached."""
    drop = draw(x, p)
    if 0 < p < 1 and x.ndim == 4 and not x.is_contiguous():
        drop[x.shape[0] // 2 :] = False
    return select(x, drop, p)


@in_training
def seed_mixed_with_values(x, p):
    """value-mask: The seed is drawn, and mixed with a hash of x."""
    mixed = hash((int(torch.randint(2**62, ())), x.detach().double().nan_to_num().sum().item()))
    return select(x, uniform(x, torch.Generator().manual_seed(mixed & (2**62 - 1))) < p, p)


@in_training
def even_seeds_only(x, p):
    """seeds-differ: The lowest bit of a new seed is lost."""
    seed = torch.initial_seed()
    if torch.equal(torch.get_rng_state(), torch.Generator().manual_seed(seed).get_state()):
        torch.set_rng_state(torch.Generator().manual_seed(seed // 2 * 2).get_state())
    return select(x, draw(x, p), p)


@in_training
def remainder_of_threads_kept(x, p):
    """thread-law: With several threads the last sixteenth is left to nobody."""
    drop = draw(x, p)
    if torch.get_num_threads() > 1 and x.numel() > 64 and 0 < p < 1:
        drop.view(-1)[-(x.numel() // 16) :] = False
    return x.masked_fill(drop, 0) * scale_at(p)
