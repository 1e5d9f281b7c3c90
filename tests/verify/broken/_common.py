"""What the broken dropouts share: each of them is right except for its one fault."""

import functools

import torch
from torch import nn


def uniform(x, generator=None):
    """A uniform number in [0, 1) for each element of x."""
    if generator is not None:  # of the CPU, whatever the device of x
        return torch.rand(x.shape, generator=generator, dtype=torch.float32).to(x.device)
    return torch.rand(x.shape, device=x.device, dtype=torch.float32)


def draw(x, p):
    """Where to drop."""
    return uniform(x) < p


def scale_at(p):
    """1 / (1 - p), and 0 at p=1, where nothing is kept."""
    return 1 / (1 - p) if p < 1 else 0.0


def select(x, drop, p):
    """x / (1 - p), and 0 where dropped: right at p=1 too, and in any layout."""
    return x.masked_fill(drop, 0) * scale_at(p)


def check_p(p):
    if not 0 <= p <= 1:
        raise ValueError(f"p is not a probability: {p}")


def named(rule):
    """Gives a function the name and docstring of a rule; its signature stays its own."""

    def take(function):
        functools.update_wrapper(function, rule)
        del function.__wrapped__
        return function

    return take


def in_training(rule):
    """Makes a dropout of what it does in training; a wrong p is refused."""

    @named(rule)
    def dropout(x, p, training):
        check_p(p)
        return rule(x, p) if training else x

    return dropout


class Module(nn.Module):
    """A dropout with state: subclasses say where to drop."""

    def __init__(self, p=0.5):
        super().__init__()
        check_p(p)
        self.p = p

    def forward(self, x):
        return select(x, self.where(x), self.p) if self.training else x

    def where(self, x):
        return draw(x, self.p)


def custom_gradient(backward):
    """A dropout with a backward of its own: `backward(g, x, y, drop, scale)`."""

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, p):
            drop, ctx.scale = draw(x, p), scale_at(p)
            y = x.masked_fill(drop, 0) * ctx.scale
            ctx.save_for_backward(x, y, drop)
            return y

        @staticmethod
        def backward(ctx, g):
            return backward(g, *ctx.saved_tensors, ctx.scale), None

    @named(backward)
    def dropout(x, p, training):
        check_p(p)
        return Function.apply(x, p) if training else x

    return dropout
