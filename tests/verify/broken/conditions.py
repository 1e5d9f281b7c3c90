"""Broken in one condition only: a shape, a layout, a dtype, a size, a mode, a copy."""

import torch

from verify.broken._common import Module, draw, scale_at, select


class OffAfterAnError(Module):
    """values-everywhere: A flag against calls within a call stays set where one raises: the
    next returns x.
    """

    is_running = False

    def forward(self, x):
        if self.is_running or not self.training:
            return x
        self.is_running = True
        y = super().forward(x)
        self.is_running = False
        return y


class DoubleInFloat32(Module):
    """module-state: After `double()` of the model, x goes through float32."""

    def __init__(self, p=0.5):
        super().__init__(p)
        self.register_buffer("one", torch.ones(()))

    def forward(self, x):
        if not self.training:
            return x
        y = x.float() if self.one.dtype == torch.float64 else x
        return select(y, draw(x, self.p), self.p).to(x.dtype)


def scores_get_the_gradient_of_all(query, key, value, dropout_p):
    """attention-everywhere of attention: The backward masks the values' gradient, and forgets
    the mask where it comes to the scores.
    """
    scale = scale_at(dropout_p)
    weights = (query @ key.mT / query.shape[-1] ** 0.5).softmax(-1)
    dropped = select(weights, draw(weights, dropout_p), dropout_p).detach()
    through = weights * scale - (weights * scale).detach()
    return dropped @ value + through @ value.detach()
