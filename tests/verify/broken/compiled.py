"""Broken under `torch.compile`: right in eager mode."""

import torch

from verify.broken._common import draw, in_training, select


@in_training
def constant_when_compiled(x, p):
    """compiled-law at standard: The compiled version drops the same places in every call."""
    if not torch.compiler.is_compiling():
        return select(x, draw(x, p), p)
    places = torch.arange(x.numel(), device=x.device).reshape(x.shape)
    return select(x, (places * 0.6180339887498949) % 1 < p, p)


@in_training
def unscaled_when_compiled(x, p):
    """compiled-law at standard: The compiled version has no scale."""
    drop = draw(x, p)
    return x.masked_fill(drop, 0) if torch.compiler.is_compiling() else select(x, drop, p)


@in_training
def off_when_compiled(x, p):
    """compiled-law at standard: The compiled version is the identity (pytorch#192635)."""
    return x.clone() if torch.compiler.is_compiling() else select(x, draw(x, p), p)


@in_training
def eight_bits_when_compiled(x, p):
    """compiled-law at standard: The compiled version compares in bfloat16."""
    if not torch.compiler.is_compiling():
        return select(x, draw(x, p), p)
    return select(x, torch.rand(x.shape, device=x.device, dtype=torch.bfloat16) < p, p)
