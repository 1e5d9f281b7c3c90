"""Broken modes: off in training, on in eval, or lost on the way."""

import torch

from verify.broken._common import Module, draw, in_training, select


def live_in_eval(x, p, training):
    """eval-identity: The mode is not handed on (pytorch#124464, nanoGPT#240,
    transformers#33844).
    """
    return select(x, draw(x, p), p)


class ModeOfFirstCall(Module):
    """mode-switch: The mode is copied at the first call, and never looked at again."""

    active = None

    def forward(self, x):
        if self.active is None:
            self.active = self.training
        return select(x, draw(x, self.p), self.p) if self.active else x


class EverySecondCallRepeats(Module):
    """train-stochastic: A mask is used for two calls."""

    def __init__(self, p=0.5):
        super().__init__(p)
        self.again = None

    def where(self, x):
        if self.again is not None and self.again.shape == x.shape:
            drop, self.again = self.again, None
        else:
            self.again = drop = draw(x, self.p)
        return drop


@in_training
def off_in_inference_mode(x, p):
    """grad-mode: Takes `inference_mode` for eval, `no_grad` not (the transformer fast path
    does).
    """
    return x if torch.is_inference_mode_enabled() else select(x, draw(x, p), p)


class DropsInEvalUnderNoGrad(Module):
    """grad-mode: Monte Carlo dropout that switches itself on: eval without gradients drops."""

    def forward(self, x):
        active = self.training or not torch.is_grad_enabled()
        return select(x, draw(x, self.p), self.p) if active else x
