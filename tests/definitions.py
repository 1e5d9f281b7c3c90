"""The formulas of the variants, by the oracles of keep bits, of noise and of words.

Each gives a function of the tensors, how much is dropped, a key and the layout of the draws.
"""

from __future__ import annotations

import itertools
import math

import torch

from noise_oracle import noisy, numbers
from oracle import _scaled, dropout, mask
from torchdropout._core.contract.noise import DOMAIN_ORDER, Law, word


def _compute(x):
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _rounded(x, keep, factor):
    """Each kept element times a factor in the compute type, rounded once."""
    product = x.to(_compute(x)) * torch.tensor(factor, dtype=_compute(x))
    return torch.where(keep, product.to(x.dtype), torch.zeros((), dtype=x.dtype))


def dropped():
    return lambda tensors, p, key, layout: dropout(tensors[0], p, key, layout)


def selected():
    def formula(tensors, p, key, layout):
        (x,) = tensors
        return torch.where(mask(key, p, x.shape, layout), x, torch.zeros((), dtype=x.dtype))

    return formula


def alpha():
    """Section 1 of the contract: each operation is rounded in the compute type."""

    def formula(tensors, p, key, layout):
        (x,) = tensors
        saturated = -1.7580993408473766
        a = 1 / math.sqrt((1 - p) * (1 + p * saturated**2))
        b = -a * p * saturated
        one = torch.ones((), dtype=_compute(x))
        kept = x.to(one.dtype) * (one * a) + one * b
        value = one * (a * saturated + b)
        return torch.where(mask(key, p, x.shape, layout), kept, value).to(x.dtype)

    return formula


def _by_seeds(x, dims, block, p, key, layout):
    rate = 1 - (1 - p) ** (1 / block**dims)
    sizes = (*x.shape[:-dims], *(n + block - 1 for n in x.shape[-dims:]))
    covered = ~mask(key, rate, sizes, layout)
    for d in range(x.ndim - dims, x.ndim):
        covered = covered.unfold(d, block, 1).any(-1)
    return ~covered


def blocks(dims, block):
    def formula(tensors, p, key, layout):
        (x,) = tensors
        keep = _by_seeds(x, dims, block, p, key, layout)
        return torch.where(keep, _scaled(x, p), torch.zeros((), dtype=x.dtype))

    return formula


def blocks_by_count(dims, block):
    def formula(tensors, p, key, layout):
        (x,) = tensors
        keep = _by_seeds(x, dims, block, p, key, layout)
        own = tuple(range(x.ndim - dims - 1, x.ndim))
        kept = keep.sum(own, keepdim=True).double()
        return torch.where(keep, x * (x[0].numel() / kept), 0.0).to(x.dtype)

    return formula


def gaussian():
    return lambda t, p, key, layout: noisy(
        t[0], Law.NORMAL, math.sqrt(p / (1 - p)), 0.0, key, layout
    )


def gaussian_noise():
    return lambda t, sigma, key, layout: noisy(t[0], Law.NORMAL, 0.0, sigma, key, layout)


def uniform():
    return lambda t, beta, key, layout: noisy(t[0], Law.UNIFORM, beta, 0.0, key, layout)


def order(shape, dim, group, layout, key):
    """The places of each group along a dimension, as coordinates in the order of (word, index)."""
    dim %= len(shape)
    others = [range(n) for d, n in enumerate(shape) if d != dim]
    for rest in itertools.product(*others):
        for start in range(0, shape[dim], group):
            places = [(*rest[:dim], start + i, *rest[dim:]) for i in range(group)]
            index = [layout.index(at) % 2**64 for at in places]
            rank = [(word(key.seed, key.stream, DOMAIN_ORDER, i), i) for i in index]
            yield [places[i] for i in sorted(range(group), key=rank.__getitem__)]


def counted(dim, group=None, kept=None, is_scaled=True):
    """n of m, or columns: those are the first of all places along the dimension."""

    def formula(tensors, p, key, layout):
        (x,) = tensors
        size = group or x.shape[dim]
        count = kept or max(1, round(size * (1 - p)))
        keep = torch.zeros(x.shape, dtype=torch.bool)
        for places in order(x.shape, dim, size, layout, key):
            for place in places[:count]:
                keep[place] = True
        return _rounded(x, keep, size / count if is_scaled else 1.0)

    return formula


def tokens(prefix, ordered=False):
    def formula(tensors, p, key, layout):
        (x,) = tensors
        samples, size = x.shape[0], x.shape[1] - prefix
        count = max(1, round(size * (1 - p)))
        rows = []
        for sample, places in zip(x, order((samples, size), 1, size, layout, key), strict=True):
            kept = [prefix + at for _, at in places[:count]]
            rows.append(sample[[*range(prefix), *(sorted(kept) if ordered else kept)]])
        return torch.stack(rows)

    return formula


def zoneout():
    return lambda t, p, key, layout: torch.where(mask(key, p, t[0].shape, layout), *t)


def added():
    def formula(tensors, p, key, layout):
        x, residual, bias = tensors
        wide, scale = _compute(x), torch.tensor(1 / (1 - p), dtype=_compute(x))
        branch = (x.to(wide) + bias.to(wide)) * scale
        keep = mask(key, p, x.shape, layout)
        return (residual.to(wide) + torch.where(keep, branch, 0.0)).to(residual.dtype)

    return formula


def samples(count):
    return lambda t, p, key, layout: dropout(
        t[0].expand(count, *t[0].shape).contiguous(), p, key, layout
    )


def looked_up():
    from variants import WORDS

    return lambda t, p, key, layout: dropout(t[0], p, key, layout)[WORDS]


def attended():
    def formula(tensors, p, key, layout):
        q, k, v = (t.double() for t in tensors)
        weights = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(-1)
        keep = mask(key, p, weights.shape, layout)
        return torch.where(keep, weights / (1 - p), 0.0) @ v

    return formula


def _noise(law, key, shape, layout):
    return numbers(law, key, shape, layout).double()


def concrete():
    def formula(tensors, _, key, layout):
        x, logit = (t.double() for t in tensors)
        e = _noise(Law.LOGISTIC, key, x.shape, layout)
        return x * (1 - ((logit + e) / 0.1).sigmoid()) / (1 - logit.sigmoid())

    return formula


def variational():
    def formula(tensors, _, key, layout):
        x, log_alpha = (t.double() for t in tensors)
        return x * (1 + (log_alpha / 2).exp() * _noise(Law.NORMAL, key, x.shape, layout))

    return formula


def variational_layer(name):
    def formula(tensors, _, key, layout):
        x, weight, log_sigma2, bias = (t.double() for t in tensors)
        layer = getattr(torch.nn.functional, name)
        mean, variance = layer(x, weight, bias), layer(x.square(), log_sigma2.exp())
        return mean + variance.sqrt() * _noise(Law.NORMAL, key, mean.shape, layout)

    return formula
