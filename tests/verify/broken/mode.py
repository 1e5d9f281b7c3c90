"""Broken modes: off in training, on in eval, or lost on the way."""

import torch
from torch import nn

from verify.broken._common import Module, check_p, draw, in_training, select, uniform


@in_training
def returns_a_tuple(x, p):
    """output-shape: The mask comes back with the output."""
    drop = draw(x, p)
    return select(x, drop, p), drop


@in_training
def flattens(x, p):
    """output-shape: The output has lost its shape."""
    return select(x, draw(x, p), p).reshape(-1)


def live_in_eval(x, p, training):
    """eval-identity: The mode is not handed on (pytorch#124464, nanoGPT#240)."""
    return select(x, draw(x, p), p)


def scales_in_eval(x, p, training):
    """eval-identity: Scaled in eval, as in 2012, and in training as well."""
    return select(x, draw(x, p), p) if training else x * (1 - p)


def cleans_in_eval(x, p, training):
    """eval-identity: NaN becomes 0 in eval."""
    return select(x, draw(x, p), p) if training else torch.nan_to_num(x)


@in_training
def never_drops(x, p):
    """train-stochastic: Dropout asked for and not applied (pytorch#184126, torchtune#996)."""
    return x


@in_training
def seeded_in_every_call(x, p):
    """train-stochastic: A generator of its own, made and seeded in the call."""
    generator = torch.Generator().manual_seed(0)
    return select(x, uniform(x, generator) < p, p)


class MaskDrawnOnce(Module):
    """train-stochastic: The mask of the first call of a shape is kept for ever."""

    def __init__(self, p=0.5):
        super().__init__(p)
        self.masks = {}

    def where(self, x):
        if x.shape not in self.masks:
            self.masks[x.shape] = draw(x, self.p)
        return self.masks[x.shape]


class LostAfterEval(Module):
    """mode-switch: Switched off by eval, and never on again (Megatron-LM#411)."""

    def train(self, mode=True):
        if not mode:
            self.p = 0.0
        return super().train(mode)


@in_training
def off_without_grad(x, p):
    """grad-mode: Takes "no gradients are recorded" for eval."""
    return select(x, draw(x, p), p) if torch.is_grad_enabled() else x


class ChildPutBackIntoTraining(nn.Module):
    """eval-identity: `eval()` switches the dropout of the child on again (baal#246)."""

    def __init__(self, p=0.5):
        super().__init__()
        self.inner = nn.Dropout(p)

    def train(self, mode=True):
        super().train(mode)
        self.inner.train()
        return self

    def forward(self, x):
        return self.inner(x)


class ChildInAList(nn.Module):
    """eval-identity: The child stands in a plain list: `eval()` does not reach it."""

    def __init__(self, p=0.5):
        super().__init__()
        self.layers = [nn.Dropout(p)]

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


class ModeOfConstruction(Module):
    """eval-identity: The mode is copied when the module is built."""

    def __init__(self, p=0.5):
        super().__init__(p)
        self.active = self.training

    def forward(self, x):
        return select(x, draw(x, self.p), self.p) if self.active else x


class ModeOfFirstCall(Module):
    """mode-switch: The mode is copied at the first call, and never looked at again."""

    active = None

    def forward(self, x):
        if self.active is None:
            self.active = self.training
        return select(x, draw(x, self.p), self.p) if self.active else x


class BuiltInForward(Module):
    """eval-identity: A new child in every call is in training mode (peft#3753)."""

    def forward(self, x):
        return nn.Dropout(self.p)(x)


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
    """grad-mode: Takes `inference_mode` for eval, `no_grad` not (as the transformer fast path)."""
    return x if torch.is_inference_mode_enabled() else select(x, draw(x, p), p)


class DropsInEvalUnderNoGrad(Module):
    """grad-mode: Monte Carlo dropout that switches itself on: eval without gradients drops."""

    def forward(self, x):
        active = self.training or not torch.is_grad_enabled()
        return select(x, draw(x, self.p), self.p) if active else x


def detached_in_eval(x, p, training):
    """eval-identity: In eval the output is cut off from x."""
    check_p(p)
    return select(x, draw(x, p), p) if training else x.detach()


def live_in_eval_on_large_inputs(x, p, training):
    """eval-identity: A path for many elements does not look at the mode."""
    check_p(p)
    return select(x, draw(x, p), p) if training or x.numel() >= 1 << 17 else x
