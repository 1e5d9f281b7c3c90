"""Correct dropouts, differently written: none may get an error."""

import copy

import torch
from torch import nn
from torch.nn import functional as F


def functional(x, p, training):
    """torch's function."""
    return F.dropout(x, p, training)


def draws_below(x, p, training):
    """The shortest: a uniform number below p drops."""
    if not training:
        return x
    drop = torch.rand(x.shape, device=x.device, dtype=torch.float32) < p
    return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)


def draws_at_least(x, p, training):
    """Keeps where the number is at least p; divides instead of multiplying."""
    if not training or p == 0:
        return x
    if p == 1:
        return x * 0
    keep = torch.rand(x.shape, device=x.device, dtype=torch.float32) >= p
    return torch.where(keep, x / (1 - p), 0)


def bernoulli_mask(x, p, training):
    """A product with a Bernoulli mask in the dtype of x that holds the scale."""
    if not training:
        return x
    mask = torch.empty_like(x).bernoulli_(1 - p)
    return x * (mask.div_(1 - p) if p < 1 else mask)


def mask_of_ones(x, p, training):
    """torch's dropout of ones, times x."""
    return x * F.dropout(torch.ones_like(x), p) if training else x


def integer_threshold(x, p, training):
    """Integers of 31 bits below a threshold."""
    if not training:
        return x
    drop = torch.randint(0, 1 << 31, x.shape, device=x.device) < round(p * 2.0**31)
    return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)


def scale_in_float32(x, p, training):
    """As a kernel does it: p and the product in float32, unless x is float64."""
    if not training:
        return x
    compute = torch.promote_types(x.dtype, torch.float32)
    rate = torch.tensor(p, dtype=compute, device=x.device)
    drop = torch.rand(x.shape, device=x.device, dtype=torch.float32) < rate
    scale = 1 / (1 - rate) if p < 1 else torch.zeros((), dtype=compute, device=x.device)
    return (x.to(compute).masked_fill(drop, 0) * scale).to(x.dtype)


class _Recomputed(torch.autograd.Function):
    """Saves a seed, not a mask, and draws the mask again in backward."""

    @staticmethod
    def mask(x, seed, p):
        generator = torch.Generator().manual_seed(seed)
        drop = torch.rand(x.shape, generator=generator, dtype=torch.float32) < p
        return x.masked_fill(drop.to(x.device), 0) * (1 / (1 - p) if p < 1 else 0)

    @staticmethod
    def forward(ctx, x, p):
        # torch.Generator uses the low 32 bits of a seed: fewer than the level "thorough" can see.
        ctx.seed, ctx.p = int(torch.randint(2**32, ())), p
        return _Recomputed.mask(x, ctx.seed, p)

    @staticmethod
    def backward(ctx, g):
        return _Recomputed.mask(g, ctx.seed, ctx.p), None


def recomputed(x, p, training):
    """The mask is recomputed in backward, from a seed."""
    return _Recomputed.apply(x, p) if training else x


def _mixed(index, seed):
    """A hash of 32 bits of an index under a seed, in int64 (murmur's finaliser, twice)."""
    for word in (seed & 0xFFFFFFFF, seed >> 32):
        index = (index ^ word) & 0xFFFFFFFF
        index = (index ^ (index >> 16)) * 0x85EBCA6B & 0xFFFFFFFF
        index = (index ^ (index >> 13)) * 0x45D9F3B & 0xFFFFFFFF
        index = (index + word) & 0xFFFFFFFF
        index = index ^ (index >> 16)
    return index


class Counter(nn.Module):
    """A counter-based generator of its own, keyed by one number drawn from torch's per call."""

    def __init__(self, p=0.5):
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"p={p} is not a probability")
        self.p = p

    def forward(self, x):
        if not self.training:
            return x
        seed = int(torch.randint(2**62, ()))
        u = _mixed(torch.arange(x.numel(), device=x.device), seed).reshape(x.shape)
        return x.masked_fill(u < round(self.p * 2**32), 0) * (1 / (1 - self.p) if self.p < 1 else 0)


class InPlaceOnAClone(nn.Module):
    """Writes into a copy."""

    def __init__(self, drop_prob):
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x):
        return F.dropout(x.clone(), self.drop_prob, self.training, inplace=True)


class Stateful(nn.Module):
    """Counts its calls, keeps its last mask, and can be copied."""

    def __init__(self, p):
        super().__init__()
        self.inner = nn.Dropout(p)
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.last = None

    def forward(self, x):
        self.calls += 1
        y = self.inner(x)
        self.last = (y != 0).detach()
        return y

    def __deepcopy__(self, memo):
        new = type(self)(self.inner.p)
        new.calls = copy.deepcopy(self.calls, memo)
        return new.train(self.training)


class KeepProbability(nn.Module):
    """Takes the probability to keep."""

    def __init__(self, keep_prob):
        super().__init__()
        self.keep_prob = keep_prob

    def forward(self, x):
        if not self.training:
            return x
        keep = torch.rand(x.shape, device=x.device, dtype=torch.float32) < self.keep_prob
        return torch.where(keep, x / self.keep_prob if self.keep_prob > 0 else x, 0)


Torch = nn.Dropout
