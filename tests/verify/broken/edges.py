"""Broken edges: p of 0 and 1, and inputs with no, one or few elements."""

import torch
from torch import nn

from verify.broken._common import draw, in_training, select


@in_training
def drops_at_zero(x, p):
    """p-zero-identity: `not r > p` with r in multiples of 2^-15: r = 0 is dropped at p=0."""
    return select(x, ~(torch.randint(0, 1 << 15, x.shape, device=x.device) / (1 << 15) > p), p)


class Notebook(nn.Module):
    """p-one-zeros: The teaching version: 0 * inf at p=1, among others."""

    def __init__(self, dropout_prob):
        super().__init__()
        self.dropout_prob = dropout_prob

    def forward(self, x):
        if self.training:
            mask = (torch.rand(x.shape, device=x.device) > self.dropout_prob).float()
            x = x * mask / (1.0 - self.dropout_prob)
        return x


@in_training
def needs_a_largest(x, p):
    """empty-input: Looks at the largest value."""
    x.detach().abs().max()
    return select(x, draw(x, p), p)


@in_training
def refuses_p_one(x, p):
    """p-one-zeros: Divides by zero at p=1 (Keras' AlphaDropout)."""
    return x.masked_fill(draw(x, p), 0) * (1 / (1 - p))


@in_training
def p_one_below_one(x, p):
    """p-one-zeros: p=1 is taken for .99, and one element in a hundred survives."""
    return select(x, draw(x, 0.99 if p == 1 else p), 0.99 if p == 1 else p)


@in_training
def p_zero_detached(x, p):
    """edge-gradients: The shortcut at p=0 hands out `x.data`."""
    return x.detach().clone() if p == 0 else select(x, draw(x, p), p)


@in_training
def p_one_straight_through(x, p):
    """edge-gradients: At p=1 a straight-through gradient is left."""
    y = select(x, draw(x, p), p)
    return y + (x - x.detach()) if p == 1 and bool(torch.isfinite(x).all()) else y


@in_training
def nothing_for_nothing(x, p):
    """empty-input: An empty input gives None."""
    return select(x, draw(x, p), p) if x.numel() else None


@in_training
def empty_loses_its_axes(x, p):
    """empty-input: An empty input comes back as an empty vector."""
    return select(x, draw(x, p), p) if x.numel() else x.reshape(-1)


@in_training
def needs_an_axis(x, p):
    """tiny-input: Goes through the first axis, which a 0-d input lacks."""
    x.size(0)
    return select(x, draw(x, p), p)


@in_training
def scalars_get_an_axis(x, p):
    """tiny-input: A 0-d input comes back with one axis."""
    return select(torch.atleast_1d(x), torch.atleast_1d(draw(x, p)), p)


@in_training
def one_element_dropped_less(x, p):
    """tiny-input: The only element of an input is dropped only if two numbers say so."""
    return select(x, draw(x, p * p if x.numel() == 1 else p), p)
