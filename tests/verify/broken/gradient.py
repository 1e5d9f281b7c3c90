"""Broken gradients: backward has another mask or scale than forward."""

import torch

from verify.broken._common import Module, custom_gradient, draw, select, uniform


@custom_gradient
def fresh_mask_in_backward(g, x, y, drop, scale):
    """grad-mask: Another mask in backward (pytorch#190717)."""
    return g.masked_fill(draw(g, 1 - 1 / scale if scale else 1.0), 0) * scale


@custom_gradient
def backward_of_all(g, x, y, drop, scale):
    """grad-mask: Straight through: dropped elements get a gradient, too."""
    return g * scale


@custom_gradient
def backward_unscaled(g, x, y, drop, scale):
    """grad-scale: No scale in backward."""
    return g.masked_fill(drop, 0)


@custom_gradient
def backward_from_zero_output(g, x, y, drop, scale):
    """grad-at-zero: y == 0 taken for dropped."""
    return g * (y != 0) * scale


@custom_gradient
def backward_by_quotient(g, x, y, drop, scale):
    """grad-at-zero: y / x taken for mask times scale, NaN where x is zero."""
    return g * torch.where(drop, 0.0, scale * (x / x).round())


@custom_gradient
def backward_overflows(g, x, y, drop, scale):
    """grad-finite: Goes through the square of x, which is 0 or inf for extreme values."""
    square = torch.where(x == 0, 1.0, x * x)
    return (g * scale).masked_fill(drop, 0) * (square / square)


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


class _ReadsTheModule(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, module):
        drop = module.last = module.masks[x.data_ptr(), x.shape] = draw(x, module.p)
        ctx.module, ctx.p = module, module.p
        ctx.save_for_backward(drop, x)
        return select(x, drop, module.p)

    @staticmethod
    def backward(ctx, g):
        return ctx.module.back(g, *ctx.saved_tensors, ctx.p), None


class _OwnBackward(Module):
    """Its backward is a method of the module as it is by then."""

    def __init__(self, p=0.5):
        super().__init__(p)
        self.masks = {}

    def forward(self, x):
        return _ReadsTheModule.apply(x, self) if self.training else x


class MaskOnTheModule(_OwnBackward):
    """grad-own-call: Backward looks for the mask on the module: it is that of the last call."""

    def back(self, g, drop, x, p):
        return select(g, self.last, p)


class ScaleAtTheBackward(_OwnBackward):
    """grad-own-call: Backward has the scale of the p that the module has by then."""

    def back(self, g, drop, x, p):
        return select(g, drop, self.p)


class ModeAtTheBackward(_OwnBackward):
    """grad-own-call: Backward asks whether the module is in training."""

    def back(self, g, drop, x, p):
        return select(g, drop, p) if self.training else g


class MaskByTheTensor(_OwnBackward):
    """grad-own-call: Backward finds the mask by the memory of x, which two calls may share."""

    def back(self, g, drop, x, p):
        return select(g, self.masks[x.data_ptr(), x.shape], p)


@custom_gradient
def backward_scaled_by_p(g, x, y, drop, scale):
    """grad-scale: 1/p in backward (apex#816)."""
    return g.masked_fill(drop, 0) * (scale / (scale - 1) if scale > 1 else scale)


@custom_gradient
def backward_in_half(g, x, y, drop, scale):
    """grad-scale: The incoming gradient goes through bfloat16."""
    return (g.bfloat16().to(g.dtype) * scale).masked_fill(drop, 0)


@custom_gradient
def mask_applied_before_its_index(g, x, y, drop, scale):
    """grad-mask: The mask in backward is one place off."""
    return g.masked_fill(drop.reshape(-1).roll(1).reshape(drop.shape), 0) * scale


class _Unscaled(torch.autograd.Function):
    """g * mask * scale, with a derivative that forgets the scale."""

    @staticmethod
    def forward(ctx, g, drop, scale):
        ctx.save_for_backward(drop)
        return g.masked_fill(drop, 0) * scale

    @staticmethod
    def backward(ctx, gg):
        (drop,) = ctx.saved_tensors
        return gg.masked_fill(drop, 0), None, None


@custom_gradient
def second_order_unscaled(g, x, y, drop, scale):
    """grad-second-order: The backward of the backward has no scale."""
    return _Unscaled.apply(g, drop, scale)


@custom_gradient
def second_order_of_another_mask(g, x, y, drop, scale):
    """grad-second-order: Right values, and a derivative that lets all through."""
    right = g.masked_fill(drop, 0) * scale
    through = g * scale
    return through + (right - through).detach()


class OwnCounter(Module):
    """seed-governs: Numbers its calls: a recomputation is one more (OLMo-core#828)."""

    calls = 0

    def where(self, x):
        self.calls += 1
        seed = (int(torch.randint(2**32, ())) + self.calls) % 2**32
        return uniform(x, torch.Generator().manual_seed(seed)) < self.p


@custom_gradient
def backward_views_as_a_vector(g, x, y, drop, scale):
    """grad-scale: Backward takes a `view` of the incoming gradient, which may have gaps."""
    return (g.view(-1).masked_fill(drop.reshape(-1), 0) * scale).view(g.shape)
