"""Broken dropouts of other kinds: shared masks, noise, fixed counts, fused forms, blocks."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from verify.broken._common import check_p, draw, in_training, select, uniform


def _draw(x, shape, p):
    return torch.rand(shape, device=x.device, dtype=torch.float32) < p


def _tied(drop):
    """Each draw is that of the place before it with probability .1."""
    flat = drop.reshape(-1)
    copied = torch.rand(len(flat), device=drop.device) < 0.1
    return torch.where(copied, flat.roll(1), flat).reshape(drop.shape)


# channels


@in_training
def channels_tied_to_their_neighbours(x, p):
    """lag-independence of dropout2d: A channel goes the way of its neighbour with probability
    .1.
    """
    return select(x, _tied(_draw(x, x.shape[:2], p))[..., None, None], p)


# drop path


@in_training
def path_of_the_batch(x, p):
    """train-stochastic of drop-path: One draw for the batch where each sample should have its
    own.
    """
    return select(x, _draw(x, (1,) * x.ndim, p), p)


@in_training
def path_of_images_by_channel(x, p):
    """shared-mask of drop-path: Takes images only, and has a draw for each of their channels."""
    if x.ndim != 4:
        raise ValueError(f"expected a batch of images, got shape {tuple(x.shape)}")
    return select(x, _draw(x, (*x.shape[:2], 1, 1), p), p)


@in_training
def locked_over_the_batch(x, p):
    """shared-mask of locked-time-first: A time-first sequence whose first axis was taken for
    the batch.
    """
    return select(x, _draw(x, (len(x), 1, x.shape[2]), p), p)


# alpha

_ALPHA = -1.7580993408473766


def _constants(p):
    a = ((1 - p) * (1 + p * _ALPHA**2)) ** -0.5
    return a, -a * p * _ALPHA


def _alpha_in_training(rule):
    def alpha(x, p):
        return x * 0 if p == 1 else rule(x, p).to(x.dtype)

    alpha.__name__, alpha.__doc__, alpha.__module__ = rule.__name__, rule.__doc__, rule.__module__
    return in_training(alpha)


@_alpha_in_training
def alpha_rounded(x, p):
    """kept-scale of alpha: alpha' is -1.758, in all constants."""
    a = ((1 - p) * (1 + p * 1.758**2)) ** -0.5
    return torch.where(draw(x, p), -1.758, x) * a + a * p * 1.758


# Gaussian


def _times(x, noise):
    return x * noise.to(x.dtype)


# uniform, added, relaxed


@in_training
def uniform_of_half_the_width(x, p):
    """noise-law of uniform: The noise lies between 1 - beta / 2 and 1 + beta / 2."""
    return _times(x, 1 + p / 2 * (2 * uniform(x) - 1))


@in_training
def noise_two_percent_wide(x, p):
    """noise-law of gaussian-noise: The deviation is 2 % too large."""
    return x + (1.02 * p * torch.randn(x.shape, device=x.device)).to(x.dtype)


def _relaxed(x, p, temperature):
    u = uniform(x).clamp(2.0**-24, 1 - 2.0**-24)
    return 1 - ((math.log(p / (1 - p)) + torch.logit(u)) / temperature).sigmoid()


@in_training
def relaxed_too_warm(x, p):
    """noise-law of concrete: The temperature is 0.12, not 0.1: as often dropped, by less."""
    return _times(x, _relaxed(x, p, 0.12) / (1 - p))


# zoneout


# tokens


def _kept_tokens(x, kept):
    return x.gather(1, kept[..., None].expand(-1, -1, x.shape[2]))


def _count(x, p):
    return max(1, round(x.shape[1] * (1 - p)))


@in_training
def tokens_one_too_few(x, p):
    """fixed-count of tokens: One token less is kept than should be."""
    kept = uniform(x[..., 0]).argsort(1)[:, : max(1, _count(x, p) - (p > 0))]
    return _kept_tokens(x, kept.sort(1).values)


@in_training
def tokens_in_a_row(x, p):
    """subset-uniform of tokens: A stretch of tokens is kept, cyclically: each as often as any
    other, never two apart.
    """
    start = torch.randint(0, x.shape[1], (len(x), 1), device=x.device)
    kept = (start + torch.arange(_count(x, p), device=x.device)) % x.shape[1]
    return _kept_tokens(x, kept.sort(1).values)


# fused


def bias_forgotten_in_eval(x, p, training, residual, bias):
    """fused-composition of dropout-add: In eval the bias is left out."""
    check_p(p)
    return residual + select(x + bias, draw(x, p), p) if training else residual + x


# attention


def _weights(query, key):
    return (query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])).softmax(-1)


def attention_normalised_again(query, key, value, p, training):
    """kept-scale of attention: Probabilities are normalised after dropout instead of scaled."""
    check_p(p)
    weights = _weights(query, key)
    if training:
        kept = weights.masked_fill(draw(weights, p), 0)
        weights = kept / kept.sum(-1, keepdim=True).clamp_min(1e-20)
    return weights @ value


# weights


class _Linear(nn.Linear):
    def __init__(self, p=0.5):
        super().__init__(32, 16)
        check_p(p)
        self.p = p


class WeightsUnscaled(_Linear):
    """kept-scale of weights: DropConnect without a scale."""

    def forward(self, x):
        weight = self.weight
        if self.training:
            weight = weight.masked_fill(draw(weight, self.p), 0)
        return F.linear(x, weight, self.bias)


# blocks


class _Block(nn.Module):
    """DropBlock: subclasses say how dense the seeds are, and what a seed drops."""

    def __init__(self, p, block_size):
        super().__init__()
        check_p(p)
        self.p, self.block_size = p, block_size

    def forward(self, x):
        if not self.training or self.p == 0:
            return x
        return self.rule(x, x.shape[-1], self.block_size)

    def scaled(self, x, dropped):
        return x.masked_fill(dropped, 0) / (1 - self.p)

    def seeds(self, x, fits, density):
        return _draw(x, (*x.shape[:2], fits, fits), density)


class StretchesWithGaps(_Block):
    """block-shape of drop-block1d: Every second place of a stretch is kept."""

    def rule(self, x, size, block):
        fits = size - block + 1
        seeds = F.pad(self.seeds_along(x, fits, self.p / 2), (block - 1,) * 2)
        kernel = torch.ones(block, device=x.device)
        kernel[1::2] = 0
        channels = seeds.reshape(-1, 1, seeds.shape[-1])
        dropped = F.conv1d(channels, kernel[None, None]).reshape(x.shape) > 0
        return self.scaled(x, dropped)

    def seeds_along(self, x, fits, density):
        return _draw(x, (*x.shape[:2], fits), density).float()


class CubesAsDenseAsPlaces(_Block):
    """drop-rate of drop-block3d: p is the density of the seeds, and each drops a cube."""

    def rule(self, x, size, block):
        fits = size - block + 1
        seeds = _draw(x, (*x.shape[:2], fits, fits, fits), self.p).float()
        return self.scaled(x, F.max_pool3d(F.pad(seeds, (block - 1,) * 6), block, stride=1) > 0)


# few bits
