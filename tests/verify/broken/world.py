"""Broken manners: a call changes the process or the module it runs in."""

import warnings

import torch
from torch import nn

from verify.broken._common import Module, draw, in_training, select


@in_training
def sets_the_default_dtype(x, p):
    """state-restored: float64 for all that comes after."""
    torch.set_default_dtype(torch.float64)
    return select(x, draw(x, p), p)


@in_training
def sets_the_threads(x, p):
    """state-restored: The number of threads is changed."""
    torch.set_num_threads(torch.get_num_threads() + 1)
    return select(x, draw(x, p), p)


@in_training
def silences_warnings(x, p):
    """state-restored: All warnings are off from now on."""
    warnings.simplefilter("ignore", category=UserWarning)
    return select(x, draw(x, p), p)


@in_training
def hook_on_all_modules(x, p):
    """state-restored: A hook on the forward of every module of the process is left behind."""
    nn.modules.module.register_module_forward_hook(lambda module, given, got: None)
    return select(x, draw(x, p), p)


class HookInEveryCall(Module):
    """state-own: Each call leaves a hook more on the module."""

    def forward(self, x):
        self.register_forward_hook(lambda module, given, got: None)
        return super().forward(x)


class EvalLowersP(Module):
    """state-own: Each call in eval halves p (a schedule that counts validation passes)."""

    def forward(self, x):
        if not self.training and 0 < self.p < 1:
            self.p /= 2
        return super().forward(x)
