"""Broken in-place claims: `inplace=True` that does something else."""

import torch
from torch import nn

from verify.broken._common import Module, check_p, draw, named, scale_at, select


def _when_asked(rule):
    """Makes a dropout of what it does in training where it is asked to write into x."""

    @named(rule)
    def dropout(x, p, training, inplace=False):
        check_p(p)
        if not training:
            return x
        return rule(x, p) if inplace else select(x, draw(x, p), p)

    return dropout


class _Module(Module):
    def __init__(self, p=0.5, inplace=False):
        super().__init__(p)
        self.inplace = inplace


@_when_asked
def inplace_unscaled(x, p):
    """inplace-claim: What is written into x lacks the scale that the output has."""
    return x.masked_fill_(draw(x, p), 0) * scale_at(p)


class InplaceOfAnotherMask(_Module):
    """inplace-claim: x is written with one mask, the output has another."""

    def forward(self, x):
        y = super().forward(x)
        if self.inplace and self.training:
            with torch.no_grad():
                x.copy_(super().forward(x))
        return y


@_when_asked
def inplace_past_autograd(x, p):
    """inplace-claim: The write goes to `x.data`, without a history."""
    x.data.masked_fill_(draw(x, p), 0).mul_(scale_at(p))
    return x


@_when_asked
def inplace_and_a_copy(x, p):
    """inplace-claim: x is written, and a copy of it is returned."""
    return x.masked_fill_(draw(x, p), 0).mul_(scale_at(p)).clone()


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


@_when_asked
def inplace_unmarked(x, p):
    """inplace-claim: A function of autograd writes into x and does not mark it."""
    return _Unmarked.apply(x, p)


@_when_asked
def inplace_uncounted(x, p):
    """inplace-claim: The write is hidden from the version of x."""
    with torch.autograd._unsafe_preserve_version_counter(x):
        return nn.functional.dropout(x, p, inplace=True)


class InplaceInEval(_Module):
    """inplace-claim: In eval it is asked to write, too."""

    def forward(self, x):
        if self.inplace:
            return nn.functional.dropout(x, self.p, True, inplace=True)
        return super().forward(x)


class InplaceIntoTheFirst(_Module):
    """inplace-claim: The first x becomes a buffer, into which each call of that size writes."""

    buffer = None

    def forward(self, x):
        y = super().forward(x)
        if not self.inplace or not self.training:
            return y
        if self.buffer is None or self.buffer.shape != x.shape:
            self.buffer = x
        self.buffer.detach().copy_(y.detach())
        return x.copy_(y)
