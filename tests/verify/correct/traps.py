"""Correct dropouts that look suspicious: none may get an error."""

import functools

import torch
from torch import nn
from torch.nn import functional as F


class _Once(torch.autograd.Function):
    """Its backward cannot be differentiated, and says so."""

    @staticmethod
    def forward(ctx, x, p):
        drop = torch.rand(x.shape, device=x.device, dtype=torch.float32) < p
        ctx.scale = 1 / (1 - p) if p < 1 else 0.0
        ctx.save_for_backward(drop)
        return x.masked_fill(drop, 0) * ctx.scale

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        (drop,) = ctx.saved_tensors
        return g.masked_fill(drop, 0) * ctx.scale, None


def once_differentiable_backward(x, p, training):
    """A backward that raises when it is differentiated is not a wrong backward."""
    return _Once.apply(x, p) if training else x


class _Packed(torch.autograd.Function):
    """Keeps a bit an element for backward."""

    weights = 2 ** torch.arange(8, dtype=torch.uint8)

    @staticmethod
    def forward(ctx, x, p):
        keep = torch.rand(x.shape, device=x.device, dtype=torch.float32) >= p
        padded = F.pad(keep.reshape(-1).to(torch.uint8), (0, -x.numel() % 8)).view(-1, 8)
        ctx.save_for_backward((padded * _Packed.weights.to(x.device)).sum(1, dtype=torch.uint8))
        ctx.scale = 1 / (1 - p) if p < 1 else 0.0
        return x.masked_fill(~keep, 0) * ctx.scale

    @staticmethod
    def backward(ctx, g):
        (bits,) = ctx.saved_tensors
        keep = (bits[:, None] & _Packed.weights.to(g.device)).reshape(-1)[: g.numel()] != 0
        return g.masked_fill(~keep.reshape(g.shape), 0) * ctx.scale, None


def packed_bits(x, p, training):
    """The mask is packed into bytes for backward."""
    return _Packed.apply(x, p) if training else x


def contiguous_output(x, p, training):
    """The output of a strided input is contiguous."""
    if not training:
        return x.contiguous()
    x = x.contiguous()
    drop = torch.rand(x.shape, device=x.device, dtype=torch.float32) < p
    return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)


@functools.cache
def _compiled_dropout():
    return torch.compile(F.dropout, backend="aot_eager", dynamic=True)


def compiled(x, p, training):
    """plain at standard: Compiled, with shapes left open."""
    with torch._dynamo.config.patch(recompile_limit=64):
        return _compiled_dropout()(x, p, training)


def no_integers(x, p, training):
    """Integers are refused, in words."""
    if not x.is_floating_point():
        raise TypeError(f"Expected `x` of a floating-point dtype, got x.dtype={x.dtype}")
    return F.dropout(x, p, training)


def draws_twice_as_many(x, p, training):
    """Draws two numbers for each element and uses the second."""
    if not training:
        return x
    numbers = torch.rand((2, *x.shape), device=x.device, dtype=torch.float32)[1]
    return x.masked_fill(numbers < p, 0) * (1 / (1 - p) if p < 1 else 0)


def clones_in_eval(x, p, training):
    """Eval gives a copy."""
    return F.dropout(x, p, True) if training else x.clone()


def gaps(x, p, training):
    """Draws the distances between dropped elements, as many numbers as are dropped."""
    if not training or p == 0:
        return x
    if p == 1:
        return torch.zeros_like(x)
    n, reached, dropped = x.numel(), -1, []
    while n and reached < n:
        u = torch.rand(int(n * p + 4 * (n * p) ** 0.5) + 8, dtype=torch.float64)
        steps = torch.floor(torch.log1p(-u) / torch.log1p(torch.tensor(-p).double())) + 1
        dropped.append(reached + steps.cumsum(0).long())
        reached = int(dropped[-1][-1])
    mask = torch.zeros(n, dtype=torch.bool)
    if dropped:
        places = torch.cat(dropped)
        mask[places[places < n]] = True
    return x.masked_fill(mask.to(x.device).reshape(x.shape), 0) * (1 / (1 - p))


def number_then_places(x, p, training):
    """Draws how many are dropped, then which: the law of independent draws."""
    if not training:
        return x
    n = x.numel()
    count = int(torch.binomial(torch.tensor(float(n)).double(), torch.tensor(p).double()))
    drop = (torch.rand(n, dtype=torch.float64).argsort() < count).reshape(x.shape).to(x.device)
    return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)


class HooksAtConstruction(nn.Module):
    """Has hooks, from the start, that change nothing."""

    def __init__(self, p=0.5):
        super().__init__()
        self.inner = nn.Dropout(p)
        self.register_forward_pre_hook(lambda module, given: None)
        self.inner.register_forward_hook(lambda module, given, got: got)

    def forward(self, x):
        return self.inner(x)


class CountsCalls(nn.Module):
    """Counts calls and elements in Python's integers."""

    def __init__(self, p=0.5):
        super().__init__()
        self.p, self.calls, self.elements = p, 0, 0

    def forward(self, x):
        self.calls += 1
        self.elements += x.numel()
        return F.dropout(x, self.p, self.training)


class BufferedP(nn.Module):
    """Holds p in a buffer, as a checkpoint keeps it: as an integer, which no conversion rounds."""

    def __init__(self, p=0.5):
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"p is not a probability: {p}")
        self.register_buffer("bits", torch.tensor(round(p * 2**53)))

    def forward(self, x):
        if not self.training:
            return x
        p = self.bits.item() / 2**53
        drop = torch.rand(x.shape, device=x.device, dtype=torch.float64) < p
        return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)


class Parametrised(nn.Module):
    """Has a parameter that dropout leaves alone."""

    def __init__(self, p=0.5):
        super().__init__()
        self.drop = nn.Dropout(p)
        self.temperature = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return self.drop(x)


def in_a_container(p):
    """A container with a dropout and nothing else."""
    return nn.Sequential(nn.Identity(), nn.Dropout(p))


def inplace_if_asked(x, p, training, inplace=False):
    """Writes into x if that is asked for."""
    if not training:
        return x
    drop = torch.rand(x.shape, device=x.device, dtype=torch.float32) < p
    scale = 1 / (1 - p) if p < 1 else 0
    return x.masked_fill_(drop, 0).mul_(scale) if inplace else x.masked_fill(drop, 0) * scale
