"""Broken edges: p of 0 and 1, and inputs with no, one or few elements."""

import torch
from torch import nn

from verify.broken._common import draw, in_training, select


@in_training
def drops_at_zero(x, p):
    """`not r > p` with r in multiples of 2^-15: r = 0 is dropped at p=0.

    Trips: p-zero-identity
    """
    return select(x, ~(torch.randint(0, 1 << 15, x.shape, device=x.device) / (1 << 15) > p), p)


class Notebook(nn.Module):
    """The teaching version: 0 * inf at p=1, among others.

    Trips: p-one-zeros
    """

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
    """Looks at the largest value.

    Trips: empty-input
    """
    x.detach().abs().max()
    return select(x, draw(x, p), p)


@in_training
def refuses_p_one(x, p):
    """Divides by zero at p=1 (Keras' AlphaDropout).

    Trips: p-one-zeros
    """
    return x.masked_fill(draw(x, p), 0) * (1 / (1 - p))


@in_training
def p_one_below_one(x, p):
    """p=1 is taken for .99, and one element in a hundred survives.

    Trips: p-one-zeros
    """
    return select(x, draw(x, 0.99 if p == 1 else p), 0.99 if p == 1 else p)


@in_training
def p_zero_detached(x, p):
    """The shortcut at p=0 hands out `x.data`.

    Trips: edge-gradients
    """
    return x.detach().clone() if p == 0 else select(x, draw(x, p), p)


@in_training
def p_one_straight_through(x, p):
    """At p=1 a straight-through gradient is left.

    Trips: edge-gradients
    """
    y = select(x, draw(x, p), p)
    return y + (x - x.detach()) if p == 1 and bool(torch.isfinite(x).all()) else y


@in_training
def nothing_for_nothing(x, p):
    """An empty input gives None.

    Trips: empty-input
    """
    return select(x, draw(x, p), p) if x.numel() else None


@in_training
def empty_loses_its_axes(x, p):
    """An empty input comes back as an empty vector.

    Trips: empty-input
    """
    return select(x, draw(x, p), p) if x.numel() else x.reshape(-1)


@in_training
def needs_an_axis(x, p):
    """Goes through the first axis, which a 0-d input lacks.

    Trips: tiny-input
    """
    x.size(0)
    return select(x, draw(x, p), p)


@in_training
def scalars_get_an_axis(x, p):
    """A 0-d input comes back with one axis.

    Trips: tiny-input
    """
    return select(torch.atleast_1d(x), torch.atleast_1d(draw(x, p)), p)


@in_training
def one_element_dropped_less(x, p):
    """The only element of an input is dropped only if two numbers say so.

    Trips: tiny-input
    """
    return select(x, draw(x, p * p if x.numel() == 1 else p), p)
