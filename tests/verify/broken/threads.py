"""Broken under threads: what is drawn depends on how many there are."""

import torch

from verify.broken._common import draw, in_training, scale_at


@in_training
def remainder_of_threads_kept(x, p):
    """thread-law: With several threads the last sixteenth is left to nobody."""
    drop = draw(x, p)
    if torch.get_num_threads() > 1 and x.numel() > 64 and 0 < p < 1:
        drop.view(-1)[-(x.numel() // 16) :] = False
    return x.masked_fill(drop, 0) * scale_at(p)
