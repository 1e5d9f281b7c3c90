"""Broken dropouts of other kinds: shared masks, noise, fixed counts, fused forms, blocks."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from verify.broken._common import check_p, draw, in_training, scale_at, select, uniform


def _draw(x, shape, p):
    return torch.rand(shape, device=x.device, dtype=torch.float32) < p


def _tied(drop):
    """Each draw is that of the place before it with probability .1."""
    flat = drop.reshape(-1)
    copied = torch.rand(len(flat), device=drop.device) < 0.1
    return torch.where(copied, flat.roll(1), flat).reshape(drop.shape)


# channels


@in_training
def channels_of_three_axes(x, p):
    """One draw for each row of a plane: the last axis alone is shared (pytorch#77081).

    Spec: dropout2d
    Trips: shared-mask
    """
    return select(x, _draw(x, (*x.shape[:-1], 1), p), p)


@in_training
def channels_shared_by_two_samples(x, p):
    """Neighbouring samples lose the same channels.

    Spec: dropout2d
    Trips: mask-repeats
    """
    pairs = _draw(x, ((len(x) + 1) // 2, x.shape[1], 1, 1), p)
    return select(x, pairs.repeat_interleave(2, dim=0)[: len(x)], p)


@in_training
def channels_tied_to_their_neighbours(x, p):
    """A channel goes the way of its neighbour with probability .1.

    Spec: dropout2d
    Trips: lag-independence
    """
    return select(x, _tied(_draw(x, x.shape[:2], p))[..., None, None], p)


# drop path


@in_training
def path_of_each_element(x, p):
    """Elements, not samples, are dropped.

    Spec: drop-path
    Trips: shared-mask
    """
    return select(x, draw(x, p), p)


@in_training
def path_unscaled(x, p):
    """`scale_by_keep=False`, unasked.

    Spec: drop-path
    Trips: kept-scale
    """
    return x.masked_fill(_draw(x, (len(x),) + (1,) * (x.ndim - 1), p), 0)


@in_training
def path_of_the_batch(x, p):
    """One draw for the batch where each sample should have its own.

    Spec: drop-path
    Trips: train-stochastic
    """
    return select(x, _draw(x, (1,) * x.ndim, p), p)


@in_training
def path_takes_the_keep_probability(x, p):
    """p is taken for the survival probability, in rate and scale.

    Spec: drop-path
    Trips: kept-scale
    """
    if not 0 < p < 1:
        return select(x, _draw(x, (len(x),) + (1,) * (x.ndim - 1), p), p)
    return select(x, _draw(x, (len(x),) + (1,) * (x.ndim - 1), 1 - p), 1 - p)


@in_training
def path_of_images_by_channel(x, p):
    """Takes images only, and has a draw for each of their channels.

    Spec: drop-path
    Trips: shared-mask
    """
    if x.ndim != 4:
        raise ValueError(f"expected a batch of images, got shape {tuple(x.shape)}")
    return select(x, _draw(x, (*x.shape[:2], 1, 1), p), p)


@in_training
def locked_over_the_batch(x, p):
    """A time-first sequence whose first axis was taken for the batch.

    Spec: locked-time-first
    Trips: shared-mask
    """
    return select(x, _draw(x, (len(x), 1, x.shape[2]), p), p)


@in_training
def locked_over_time_first(x, p):
    """A batch-first sequence whose first axis was taken for time.

    Spec: locked
    Trips: shared-mask
    """
    return select(x, _draw(x, (1, *x.shape[1:]), p), p)


@in_training
def masked_and_scaled(x, p):
    """A mask of features whose kept values are scaled all the same.

    Spec: columns:unscaled
    Trips: kept-scale
    """
    return select(x, _draw(x, (1, x.shape[1]), p), p)


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
def alpha_drops_to_zero(x, p):
    """Dropped values become 0, not alpha', before they are scaled and shifted.

    Spec: alpha
    Trips: alpha-moments
    """
    a, b = _constants(p)
    return x.masked_fill(draw(x, p), 0) * a + b


@_alpha_in_training
def alpha_without_shift(x, p):
    """The shift b is left out: the mean moves.

    Spec: alpha
    Trips: alpha-moments
    """
    a, _ = _constants(p)
    return torch.where(draw(x, p), _ALPHA, x) * a


@_alpha_in_training
def alpha_rounded(x, p):
    """alpha' is -1.758, in all constants.

    Spec: alpha
    Trips: kept-scale
    """
    a = ((1 - p) * (1 + p * 1.758**2)) ** -0.5
    return torch.where(draw(x, p), -1.758, x) * a + a * p * 1.758


# Gaussian


def _times(x, noise):
    return x * noise.to(x.dtype)


@in_training
def gaussian_of_variance_p(x, p):
    """The variance is p, not p / (1 - p).

    Spec: gaussian
    Trips: noise-law
    """
    return _times(x, 1 + math.sqrt(p) * torch.randn(x.shape, device=x.device))


@in_training
def gaussian_is_uniform(x, p):
    """Uniform noise of the right variance.

    Spec: gaussian
    Trips: noise-law
    """
    spread = math.sqrt(3 * p * scale_at(p))
    return _times(x, 1 + spread * (2 * uniform(x) - 1))


@in_training
def gaussian_shared(x, p):
    """One number for each row of the last axis.

    Spec: gaussian
    Trips: train-stochastic
    """
    noise = torch.randn((*x.shape[:-1], 1) if x.ndim else (), device=x.device)
    return _times(x, 1 + math.sqrt(p * scale_at(p)) * noise)


# uniform, added, relaxed


@in_training
def uniform_of_half_the_width(x, p):
    """The noise lies between 1 - beta / 2 and 1 + beta / 2.

    Spec: uniform
    Trips: noise-law
    """
    return _times(x, 1 + p / 2 * (2 * uniform(x) - 1))


@in_training
def noise_two_percent_wide(x, p):
    """The deviation is 2 % too large.

    Spec: gaussian-noise
    Trips: noise-law
    """
    return x + (1.02 * p * torch.randn(x.shape, device=x.device)).to(x.dtype)


def _relaxed(x, p, temperature):
    u = uniform(x).clamp(2.0**-24, 1 - 2.0**-24)
    return 1 - ((math.log(p / (1 - p)) + torch.logit(u)) / temperature).sigmoid()


@in_training
def relaxed_too_warm(x, p):
    """The temperature is 0.12, not 0.1: as often dropped, by less.

    Spec: concrete
    Trips: noise-law
    """
    return _times(x, _relaxed(x, p, 0.12) / (1 - p))


@in_training
def relaxed_of_the_keep_probability(x, p):
    """p is taken for the probability to keep, in mask and scale.

    Spec: concrete
    Trips: noise-law
    """
    return _times(x, _relaxed(x, 1 - p, 0.1) / p)


# zoneout


def zoneout_expects_the_other(new, old, p, training):
    """In eval p is the share of the new state.

    Spec: zoneout
    Trips: eval-identity
    """
    check_p(p)
    return torch.where(draw(new, p), old, new) if training else (1 - p) * old + p * new


def zoneout_keeps_with_probability_p(new, old, p, training):
    """In training p is the probability of the new state.

    Spec: zoneout
    Trips: drop-rate
    """
    check_p(p)
    if not training:
        return p * old + (1 - p) * new
    return torch.where(uniform(new) < p, new, old)


def zoneout_to_zero(new, old, p, training):
    """What is dropped is 0, and not the old state.

    Spec: zoneout
    Trips: states-mixed
    """
    check_p(p)
    if not training:
        return p * old + (1 - p) * new
    return new.masked_fill(draw(new, p), 0)


def zoneout_forgets_the_gradient(new, old, p, training):
    """The gradient does not go on to the old state.

    Spec: zoneout
    Trips: states-mixed
    """
    check_p(p)
    if not training:
        return p * old + (1 - p) * new
    return torch.where(draw(new, p), old.detach(), new)


# tokens


def _kept_tokens(x, kept):
    return x.gather(1, kept[..., None].expand(-1, -1, x.shape[2]))


def _count(x, p):
    return max(1, round(x.shape[1] * (1 - p)))


@in_training
def tokens_one_too_few(x, p):
    """One token less is kept than should be.

    Spec: tokens
    Trips: fixed-count
    """
    kept = uniform(x[..., 0]).argsort(1)[:, : max(1, _count(x, p) - (p > 0))]
    return _kept_tokens(x, kept.sort(1).values)


@in_training
def tokens_with_replacement(x, p):
    """Tokens are drawn with replacement: some come twice.

    Spec: tokens
    Trips: output-shape
    """
    if p == 0:
        return x
    shape = (len(x), _count(x, p))
    return _kept_tokens(x, torch.randint(0, x.shape[1], shape, device=x.device).sort(1).values)


@in_training
def tokens_early_preferred(x, p):
    """Later tokens are dropped a little more often.

    Spec: tokens
    Trips: subset-uniform
    """
    tilt = torch.linspace(0, 0.2, x.shape[1], device=x.device)
    kept = (uniform(x[..., 0]) + tilt).argsort(1)[:, : _count(x, p)]
    return _kept_tokens(x, kept.sort(1).values)


@in_training
def tokens_in_a_row(x, p):
    """A stretch of tokens is kept, cyclically: each as often as any other, never two apart.

    Spec: tokens
    Trips: subset-uniform
    """
    start = torch.randint(0, x.shape[1], (len(x), 1), device=x.device)
    kept = (start + torch.arange(_count(x, p), device=x.device)) % x.shape[1]
    return _kept_tokens(x, kept.sort(1).values)


@in_training
def tokens_shared_by_two_samples(x, p):
    """Neighbouring samples keep the same tokens.

    Spec: tokens
    Trips: lag-independence
    """
    numbers = uniform(x[..., 0])[: (len(x) + 1) // 2].repeat_interleave(2, dim=0)[: len(x)]
    return _kept_tokens(x, numbers.argsort(1)[:, : _count(x, p)].sort(1).values)


@in_training
def neighbours_unequally_kept(x, p):
    """n:m where the last of four is kept less often.

    Spec: n-of-m
    Trips: subset-uniform
    """
    groups = x.reshape(-1, 4)
    numbers = uniform(groups) + torch.tensor([0.0, 0.0, 0.0, 0.1], device=x.device)
    order = numbers.argsort(1).argsort(1)
    return groups.masked_fill(order >= round(4 * (1 - p)), 0).reshape(x.shape)


# fused


def residual_dropped(x, p, training, residual, bias):
    """The residual is dropped with the rest.

    Spec: dropout-add
    Trips: fused-composition
    """
    check_p(p)
    total = residual + x + bias
    return select(total, draw(total, p), p) if training else total


class _BiasOfOneRow(torch.autograd.Function):
    """x + bias, with the gradient of the first row alone for bias."""

    @staticmethod
    def forward(ctx, x, bias):
        return x + bias

    @staticmethod
    def backward(ctx, g):
        rows = g.reshape(-1, g.shape[-1])
        return g, rows[0] if len(rows) else g.new_zeros(g.shape[-1])


def bias_gradient_of_one_row(x, p, training, residual, bias):
    """The gradient of the bias is not summed over the rows.

    Spec: dropout-add
    Trips: fused-composition
    """
    check_p(p)
    total = _BiasOfOneRow.apply(x, bias)
    return residual + (select(total, draw(total, p), p) if training else total)


def bias_forgotten_in_eval(x, p, training, residual, bias):
    """In eval the bias is left out.

    Spec: dropout-add
    Trips: fused-composition
    """
    check_p(p)
    return residual + select(x + bias, draw(x, p), p) if training else residual + x


# attention


def _weights(query, key):
    return (query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])).softmax(-1)


def heads_share(query, key, value, p, training):
    """All heads have the same mask.

    Spec: attention
    Trips: mask-repeats
    """
    check_p(p)
    weights = _weights(query, key)
    return (select(weights, draw(weights[:, :1], p), p) if training else weights) @ value


def attention_live_in_eval(query, key, value, p, training):
    """`dropout_p` is handed on in eval, too (pytorch#124464, torchtune#1791).

    Spec: attention
    Trips: eval-identity
    """
    check_p(p)
    weights = _weights(query, key)
    return select(weights, draw(weights, p), p) @ value


def attention_normalised_again(query, key, value, p, training):
    """Probabilities are normalised after dropout instead of scaled.

    Spec: attention
    Trips: kept-scale
    """
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
    """DropConnect without a scale.

    Spec: weights
    Trips: kept-scale
    """

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


class DensityOfTheShare(_Block):
    """timm's density at the 16 x 16 places, with blocks that overlap: too much is dropped.

    Spec: drop-block
    Trips: drop-rate
    """

    def rule(self, x, size, block):
        density = self.p * size**2 / block**2 / (size - block + 1) ** 2
        seeds = self.seeds(x, size, density)
        return self.scaled(x, F.max_pool2d(seeds.float(), block, stride=1, padding=block // 2) > 0)


class DensityWithoutOverlap(_Block):
    """The density of the paper: blocks that overlap are counted twice (torchvision).

    Spec: drop-block
    Trips: drop-rate
    """

    def rule(self, x, size, block):
        density = self.p * size**2 / block**2 / (size - block + 1) ** 2
        seeds = F.pad(self.seeds(x, size - block + 1, density).float(), (block - 1,) * 4)
        return self.scaled(x, F.max_pool2d(seeds, block, stride=1) > 0)


def _density(p, size, block):
    """The density of seeds at which the mean share under blocks of this size is p."""
    starts = torch.arange(size - block + 1)
    places = torch.arange(size)[:, None]
    covers = ((places >= starts) & (places < starts + block)).sum(1).double()
    seeds = covers[:, None] * covers[None, :]
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        share = float((1 - (1 - middle) ** seeds).mean())
        low, high = (middle, high) if share < p else (low, middle)
    return low


class BlocksOfAnotherSize(_Block):
    """Blocks are 5 x 5 where 7 x 7 was asked for; the share is right.

    Spec: drop-block
    Trips: block-shape
    """

    def rule(self, x, size, block):
        block -= 2
        seeds = self.seeds(x, size - block + 1, _density(self.p, size, block))
        padded = F.pad(seeds.float(), (block - 1,) * 4)
        return self.scaled(x, F.max_pool2d(padded, block, stride=1) > 0)


class SomeKeptAtOne(_Block):
    """The density is held below 0.9, so that something is kept at p=1.

    Spec: drop-block
    Trips: p-one-zeros
    """

    def rule(self, x, size, block):
        seeds = self.seeds(x, size - block + 1, min(_density(self.p, size, block), 0.9))
        padded = F.pad(seeds.float(), (block - 1,) * 4)
        dropped = F.max_pool2d(padded, block, stride=1) > 0
        return select(x, dropped, self.p) if self.p < 1 else x.masked_fill(dropped, 0)


class StretchesWithGaps(_Block):
    """Every second place of a stretch is kept.

    Spec: drop-block1d
    Trips: block-shape
    """

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
    """p is the density of the seeds, and each drops a cube.

    Spec: drop-block3d
    Trips: drop-rate
    """

    def rule(self, x, size, block):
        fits = size - block + 1
        seeds = _draw(x, (*x.shape[:2], fits, fits, fits), self.p).float()
        return self.scaled(x, F.max_pool3d(F.pad(seeds, (block - 1,) * 6), block, stride=1) > 0)


class SingleElements(_Block):
    """Elements are dropped on their own, not in blocks.

    Spec: drop-block
    Trips: block-shape
    """

    def rule(self, x, size, block):
        return self.scaled(x, draw(x, self.p))


class ScaleOfEachRow(_Block):
    """Each row of a plane has a scale of its own.

    Spec: drop-block
    Trips: scale-common
    """

    def rule(self, x, size, block):
        seeds = self.seeds(x, size - block + 1, _density(self.p, size, block))
        padded = F.pad(seeds.float(), (block - 1,) * 4)
        y = self.scaled(x, F.max_pool2d(padded, block, stride=1) > 0)
        rows = torch.linspace(0.9, 1.1, size, dtype=x.dtype, device=x.device)
        return y * rows


# few bits


@in_training
def eight_bits_unsaid(x, p):
    """p held in 8 bits where it should be held in 10, as is said.

    Spec: plain:quantised=1024
    Trips: drop-rate
    """
    return select(x, torch.randint(0, 256, x.shape, device=x.device) < round(p * 256), p)
