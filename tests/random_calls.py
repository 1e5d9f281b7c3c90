"""Random calls of the operators that draw for each element, to compare backends with."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import torch

from oracle import DTYPES
from torchdropout import MaskLayout
from torchdropout._core.contract import row_major, scale
from torchdropout._core.contract.seed import as_int64


def reach(shape, strides):
    """The lowest and the highest index, from the base on."""
    ends = [(n - 1) * s for n, s in zip(shape, strides, strict=True) if n > 0]
    return sum(end for end in ends if end < 0), sum(end for end in ends if end > 0)


@dataclass
class Case:
    x: torch.Tensor
    key: torch.Tensor
    lead: int
    p: float
    affine: tuple[float, float, float]
    base: int
    strides: list[int]

    def layout(self):
        """As `functional.dropout` takes it, or None where only the operator can say this case."""
        if self.lead or self.affine[1:] != (0.0, 0.0) or not 0.0 < self.p <= 1.0:
            return None
        if self.affine[0] != scale(self.p):
            return None
        low, high = reach(self.x.shape, self.strides)
        if not 0 <= self.base + low <= self.base + high < 2**64:
            return None
        return MaskLayout(self.base, tuple(self.strides))


class Cases:
    """Random calls: shapes, memory, types, p, keys, bases, mask strides."""

    POOL = 1 << 19
    P = (2.0**-40, 2.0**-33, 2.0**-32, 1.5 * 2.0**-32, 2.0**-16, 0.1, 0.3, 0.5, 0.9, 1 - 2.0**-33)

    def __init__(self, seed, dtypes=DTYPES):
        self.random, self.dtypes = random.Random(seed), dtypes
        generator = torch.Generator().manual_seed(seed)
        self.pool = torch.randn(self.POOL, dtype=torch.float64, generator=generator)
        self.pools = {}

    def values(self, n, dtype):
        if dtype not in self.pools:
            real = self.pool.to(dtype.to_real() if dtype.is_complex else dtype)
            wide = torch.view_as_complex(real.view(-1, 2)) if dtype.is_complex else real
            self.pools[dtype] = wide
        pool = self.pools[dtype]
        assert n <= pool.numel()
        start = self.random.randrange(pool.numel() - n + 1)
        return pool[start : start + n]

    def tensor(self):
        pick = self.random
        dtype = pick.choice(self.dtypes)
        ndim = pick.randrange(6)
        shape = [pick.choice((1, 2, 3, 4, 7)) for _ in range(ndim)]
        if ndim and pick.random() < 0.5:
            shape[pick.randrange(ndim)] = pick.choice((0, 1, 8, 63, 64, 65, 130, 300))
        if ndim and pick.random() < 0.01:  # long enough for two threads
            shape = [1] * (ndim - 1) + [70000 + pick.randrange(100)]
            pick.shuffle(shape)
        way = pick.choice(("contiguous", "permuted", "sliced", "expanded"))
        step = [pick.choice((1, 1, 2, 3)) if way == "sliced" else 1 for _ in shape]
        stored = [n * s for n, s in zip(shape, step, strict=True)]
        if way == "expanded":
            stored = [1 if pick.random() < 0.5 else n for n in stored]
        order = list(range(ndim))
        if way != "contiguous":
            pick.shuffle(order)
        inverse = [order.index(d) for d in range(ndim)]
        n = math.prod(stored)
        if n > self.POOL // 2:
            return self.tensor()
        x = self.values(n, dtype).view([stored[d] for d in order]).permute(inverse)
        for d, s in enumerate(step):
            x = x[(slice(None),) * d + (slice(None, None, s),)]
        return x.expand(shape)

    def key(self):
        pick = self.random
        return [as_int64(pick.getrandbits(64)), pick.getrandbits(pick.choice((1, 32, 60)))]

    def strides(self, shape):
        pick = self.random
        way = pick.randrange(4)
        if way < 2:
            shared = [d for d in range(len(shape)) if way and pick.random() < 0.4]
            return row_major(shape, shared)
        if way == 2:
            return [pick.choice((0, 1, 1, 2, 7, 8, 9, 64, 1000, -1, -3)) for _ in shape]
        return [pick.choice((1, 0, -1)) * pick.getrandbits(pick.choice((3, 30, 62))) for _ in shape]

    def base(self, shape, strides):
        """Around each carry; from the first index there is, or up to the last one."""
        around = self.random.choice((0, 0, 2**32, 2**33, 2**35, 2**60, 2**63, 2**64))
        base = around + self.random.randrange(-200, 200)
        low, high = reach(shape, strides)
        return min(max(base, -low), 2**64 - 1 - high) % 2**64

    def __next__(self):
        pick = self.random
        x = self.tensor()
        lead = pick.randrange(x.ndim + 1) if pick.random() < 0.2 else 0
        count = math.prod(x.shape[:lead])
        if count > 1000:
            lead, count = 0, 1
        key = torch.tensor([self.key() for _ in range(count)], dtype=torch.int64)
        p = pick.choice(self.P) if pick.random() < 0.6 else pick.random()
        p = 1.0 if pick.random() < 0.05 else p
        affine = (scale(p), 0.0, 0.0)
        if not x.is_complex() and pick.random() < 0.25:
            affine = (pick.uniform(0.5, 2), pick.choice((0.0, 0.7)), pick.choice((-1.3, 0.0, -0.0)))
        strides = self.strides(x.shape[lead:])
        base = self.base(x.shape[lead:], strides)
        return Case(x, key.reshape(*x.shape[:lead], 2), lead, p, affine, base, strides)
