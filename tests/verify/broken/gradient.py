"""Broken gradients: backward has another mask or scale than forward."""

import torch

from verify.broken._common import Module, custom_gradient, draw, select


@custom_gradient
def backward_by_quotient(g, x, y, drop, scale):
    """grad-at-zero: y / x taken for mask times scale, NaN where x is zero."""
    return g * torch.where(drop, 0.0, scale * (x / x).round())


@custom_gradient
def writes_into_the_incoming_gradient(g, x, y, drop, scale):
    """grad-mask: Backward works in place: who else gets that gradient gets it masked and scaled."""
    return g.masked_fill_(drop, 0).mul_(scale)


@custom_gradient
def writes_zeros_and_returns_another(g, x, y, drop, scale):
    """grad-mask: The gradient is right, and the incoming one loses what was dropped."""
    found = g.masked_fill(drop, 0) * scale
    g.data.masked_fill_(drop, 0)
    return found


class MaskByTheTensor(Module):
    """grad-own-call: Backward finds the mask by the memory of x: two calls on one tensor have
    that of the second.
    """

    def __init__(self, p=0.5):
        super().__init__(p)
        self.masks = {}

    def forward(self, x):
        return _ByTheTensor.apply(x, self) if self.training else x


class _ByTheTensor(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, module):
        ctx.save_for_backward(x)
        ctx.module, ctx.p = module, module.p
        module.masks[x.data_ptr(), x.shape] = drop = draw(x, module.p)
        return select(x, drop, module.p)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return select(g, ctx.module.masks[x.data_ptr(), x.shape], ctx.p), None


@custom_gradient
def backward_in_half(g, x, y, drop, scale):
    """grad-scale: The incoming gradient goes through bfloat16."""
    return (g.bfloat16().to(g.dtype) * scale).masked_fill(drop, 0)
