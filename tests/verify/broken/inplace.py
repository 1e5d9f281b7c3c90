"""Broken in-place claims: `inplace=True` that does something else."""

import torch
from torch import nn

from verify.broken._common import check_p, draw, scale_at, select


def inplace_unscaled(x, p, training, inplace=False):
    """inplace-claim: What is written into x lacks the scale that the output has."""
    check_p(p)
    if not training:
        return x
    drop = draw(x, p)
    if not inplace:
        return select(x, drop, p)
    return x.masked_fill_(drop, 0) * scale_at(p)


class InplaceOfAnotherMask(nn.Module):
    """inplace-claim: x is written with one mask, the output has another."""

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


def inplace_past_autograd(x, p, training, inplace=False):
    """inplace-claim: The write goes to `x.data`, without a history."""
    check_p(p)
    if not training:
        return x
    drop = draw(x, p)
    if not inplace:
        return select(x, drop, p)
    x.data.masked_fill_(drop, 0).mul_(scale_at(p))
    return x


def inplace_and_a_copy(x, p, training, inplace=False):
    """inplace-claim: x is written, and a copy of it is returned."""
    check_p(p)
    if not training:
        return x
    drop = draw(x, p)
    return x.masked_fill_(drop, 0).mul_(scale_at(p)).clone() if inplace else select(x, drop, p)


class _Unmarked(torch.autograd.Function):
    """Right for who uses y: x itself keeps the history of before."""

    @staticmethod
    def forward(ctx, x, p):
        drop, ctx.scale = draw(x, p), scale_at(p)
        ctx.save_for_backward(drop)
        x.masked_fill_(drop, 0).mul_(ctx.scale)
        return x.view_as(x)

    @staticmethod
    def backward(ctx, g):
        return g.masked_fill(*ctx.saved_tensors, 0) * ctx.scale, None


def inplace_unmarked(x, p, training, inplace=False):
    """inplace-claim: A function of autograd writes into x and does not mark it."""
    check_p(p)
    if not training:
        return x
    return _Unmarked.apply(x, p) if inplace else select(x, draw(x, p), p)


def inplace_uncounted(x, p, training, inplace=False):
    """inplace-claim: The write is hidden from the version of x."""
    check_p(p)
    if not training:
        return x
    if not inplace:
        return select(x, draw(x, p), p)
    with torch.autograd._unsafe_preserve_version_counter(x):
        return nn.functional.dropout(x, p, inplace=True)


class InplaceInEval(nn.Module):
    """inplace-claim: In eval it is asked to write, too."""

    def __init__(self, p=0.5, inplace=False):
        super().__init__()
        check_p(p)
        self.p, self.inplace = p, inplace

    def forward(self, x):
        if self.inplace:
            return nn.functional.dropout(x, self.p, True, inplace=True)
        return select(x, draw(x, self.p), self.p) if self.training else x


class InplaceIntoTheFirst(nn.Module):
    """inplace-claim: The first x becomes a buffer, into which each call of that size writes."""

    def __init__(self, p=0.5, inplace=False):
        super().__init__()
        check_p(p)
        self.p, self.inplace, self.buffer = p, inplace, None

    def forward(self, x):
        if not self.training:
            return x
        y = select(x, draw(x, self.p), self.p)
        if not self.inplace:
            return y
        if self.buffer is None or self.buffer.shape != x.shape:
            self.buffer = x
        self.buffer.detach().copy_(y.detach())
        return x.copy_(y)
