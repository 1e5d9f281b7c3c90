"""Broken in-place claims: `inplace=True` that does something else."""

import torch
from torch import nn

from verify.broken._common import check_p, draw, scale_at, select


def inplace_ignored(x, p, training, inplace=False):
    """`inplace` is taken, and x stays as it was.

    Trips: inplace-claim
    """
    check_p(p)
    return select(x, draw(x, p), p) if training else x


def inplace_unscaled(x, p, training, inplace=False):
    """What is written into x lacks the scale that the output has.

    Trips: inplace-claim
    """
    check_p(p)
    if not training:
        return x
    drop = draw(x, p)
    if not inplace:
        return select(x, drop, p)
    return x.masked_fill_(drop, 0) * scale_at(p)


class InplaceOfAnotherMask(nn.Module):
    """x is written with one mask, the output has another.

    Trips: inplace-claim
    """

    def __init__(self, p=0.5, inplace=False):
        super().__init__()
        check_p(p)
        self.p, self.inplace = p, inplace

    def forward(self, x):
        if not self.training:
            return x
        y = select(x, draw(x, self.p), self.p)
        if self.inplace:
            with torch.no_grad():
                x.copy_(select(x, draw(x, self.p), self.p))
        return y
