"""Broken dropouts of other kinds: shared masks, noise, fixed counts, fused forms, blocks."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from verify.broken._common import (
    check_p,
    draw,
    in_training,
    named,
    scale_at,
    select,
    uniform,
)


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
    """shared-mask of dropout2d: One draw for each row of a plane (pytorch#77081)."""
    return select(x, _draw(x, (*x.shape[:-1], 1), p), p)


@in_training
def channels_shared_by_two_samples(x, p):
    """mask-repeats of dropout2d: Neighbouring samples lose the same channels."""
    pairs = _draw(x, ((len(x) + 1) // 2, x.shape[1], 1, 1), p)
    return select(x, pairs.repeat_interleave(2, dim=0)[: len(x)], p)


@in_training
def channels_tied_to_their_neighbours(x, p):
    """lag-independence of dropout2d: One channel in ten goes the way of its neighbour."""
    return select(x, _tied(_draw(x, x.shape[:2], p))[..., None, None], p)


# drop path


@in_training
def path_of_each_element(x, p):
    """shared-mask of drop-path: Elements, not samples, are dropped."""
    return select(x, draw(x, p), p)


@in_training
def path_unscaled(x, p):
    """kept-scale of drop-path: `scale_by_keep=False`, unasked."""
    return x.masked_fill(_draw(x, (len(x),) + (1,) * (x.ndim - 1), p), 0)


@in_training
def path_of_the_batch(x, p):
    """train-stochastic of drop-path: One draw for the batch, not for each sample."""
    return select(x, _draw(x, (1,) * x.ndim, p), p)


@in_training
def path_takes_the_keep_probability(x, p):
    """kept-scale of drop-path: p is taken for the survival probability, in rate and scale."""
    taken = 1 - p if 0 < p < 1 else p
    return select(x, _draw(x, (len(x),) + (1,) * (x.ndim - 1), taken), taken)


@in_training
def path_of_images_by_channel(x, p):
    """shared-mask of drop-path: Takes images only, and has a draw for each of their channels."""
    if x.ndim != 4:
        raise ValueError(f"expected a batch of images, got shape {tuple(x.shape)}")
    return select(x, _draw(x, (*x.shape[:2], 1, 1), p), p)


@in_training
def locked_over_the_batch(x, p):
    """shared-mask of locked-time-first: The first axis was taken for the batch."""
    return select(x, _draw(x, (len(x), 1, x.shape[2]), p), p)


@in_training
def locked_over_time_first(x, p):
    """shared-mask of locked: A batch-first sequence whose first axis was taken for time."""
    return select(x, _draw(x, (1, *x.shape[1:]), p), p)


@in_training
def masked_and_scaled(x, p):
    """kept-scale of columns:unscaled: What is kept is scaled all the same."""
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
    """alpha-moments of alpha: Dropped values become 0, not alpha', before scale and shift."""
    a, b = _constants(p)
    return x.masked_fill(draw(x, p), 0) * a + b


@_alpha_in_training
def alpha_without_shift(x, p):
    """alpha-moments of alpha: The shift b is left out: the mean moves."""
    a, _ = _constants(p)
    return torch.where(draw(x, p), _ALPHA, x) * a


@_alpha_in_training
def alpha_rounded(x, p):
    """kept-scale of alpha: alpha' is -1.758, in all constants."""
    a = ((1 - p) * (1 + p * 1.758**2)) ** -0.5
    return torch.where(draw(x, p), -1.758, x) * a + a * p * 1.758


# Gaussian


def _times(x, noise):
    return x * noise.to(x.dtype)


@in_training
def gaussian_of_variance_p(x, p):
    """noise-law of gaussian: The variance is p, not p / (1 - p)."""
    return _times(x, 1 + math.sqrt(p) * torch.randn(x.shape, device=x.device))


@in_training
def gaussian_is_uniform(x, p):
    """noise-law of gaussian: Uniform noise of the right variance."""
    spread = math.sqrt(3 * p * scale_at(p))
    return _times(x, 1 + spread * (2 * uniform(x) - 1))


@in_training
def gaussian_shared(x, p):
    """train-stochastic of gaussian: One number for each row of the last axis."""
    noise = torch.randn((*x.shape[:-1], 1) if x.ndim else (), device=x.device)
    return _times(x, 1 + math.sqrt(p * scale_at(p)) * noise)


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


@in_training
def relaxed_of_the_keep_probability(x, p):
    """noise-law of concrete: p is taken for the probability to keep, in mask and scale."""
    return _times(x, _relaxed(x, 1 - p, 0.1) / p)


# zoneout


def zoneout_expects_the_other(new, old, p, training):
    """eval-identity of zoneout: In eval p is the share of the new state."""
    check_p(p)
    return torch.where(draw(new, p), old, new) if training else (1 - p) * old + p * new


def _zoneout_in_training(rule):
    @named(rule)
    def zoneout(new, old, p, training):
        check_p(p)
        return rule(new, old, draw(new, p)) if training else p * old + (1 - p) * new

    return zoneout


@_zoneout_in_training
def zoneout_keeps_with_probability_p(new, old, drop):
    """drop-rate of zoneout: In training p is the probability of the new state."""
    return torch.where(drop, new, old)


@_zoneout_in_training
def zoneout_to_zero(new, old, drop):
    """states-mixed of zoneout: What is dropped is 0, and not the old state."""
    return new.masked_fill(drop, 0)


@_zoneout_in_training
def zoneout_forgets_the_gradient(new, old, drop):
    """states-mixed of zoneout: The gradient does not go on to the old state."""
    return torch.where(drop, old.detach(), new)


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
def tokens_with_replacement(x, p):
    """output-shape of tokens: Tokens are drawn with replacement: some come twice."""
    if p == 0:
        return x
    shape = (len(x), _count(x, p))
    return _kept_tokens(x, torch.randint(0, x.shape[1], shape, device=x.device).sort(1).values)


@in_training
def tokens_early_preferred(x, p):
    """subset-uniform of tokens: Later tokens are dropped a little more often."""
    tilt = torch.linspace(0, 0.2, x.shape[1], device=x.device)
    kept = (uniform(x[..., 0]) + tilt).argsort(1)[:, : _count(x, p)]
    return _kept_tokens(x, kept.sort(1).values)


@in_training
def tokens_in_a_row(x, p):
    """subset-uniform of tokens: A stretch is kept, cyclically: never two tokens that are apart."""
    start = torch.randint(0, x.shape[1], (len(x), 1), device=x.device)
    kept = (start + torch.arange(_count(x, p), device=x.device)) % x.shape[1]
    return _kept_tokens(x, kept.sort(1).values)


@in_training
def tokens_shared_by_two_samples(x, p):
    """lag-independence of tokens: Neighbouring samples keep the same tokens."""
    numbers = uniform(x[..., 0])[: (len(x) + 1) // 2].repeat_interleave(2, dim=0)[: len(x)]
    return _kept_tokens(x, numbers.argsort(1)[:, : _count(x, p)].sort(1).values)


@in_training
def neighbours_unequally_kept(x, p):
    """subset-uniform of n-of-m: n:m where the last of four is kept less often."""
    groups = x.reshape(-1, 4)
    numbers = uniform(groups) + torch.tensor([0.0, 0.0, 0.0, 0.1], device=x.device)
    order = numbers.argsort(1).argsort(1)
    return groups.masked_fill(order >= round(4 * (1 - p)), 0).reshape(x.shape)


# fused


def residual_dropped(x, p, training, residual, bias):
    """fused-composition of dropout-add: The residual is dropped with the rest."""
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
    """fused-composition of dropout-add: The gradient of the bias is not summed over the rows."""
    check_p(p)
    total = _BiasOfOneRow.apply(x, bias)
    return residual + (select(total, draw(total, p), p) if training else total)


def bias_forgotten_in_eval(x, p, training, residual, bias):
    """fused-composition of dropout-add: In eval the bias is left out."""
    check_p(p)
    return residual + select(x + bias, draw(x, p), p) if training else residual + x


# attention


def _weights(query, key):
    return (query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])).softmax(-1)


def heads_share(query, key, value, p, training):
    """mask-repeats of attention: All heads have the same mask."""
    check_p(p)
    weights = _weights(query, key)
    return (select(weights, draw(weights[:, :1], p), p) if training else weights) @ value


def attention_live_in_eval(query, key, value, p, training):
    """eval-identity of attention: `dropout_p` is handed on in eval, too (pytorch#124464)."""
    check_p(p)
    weights = _weights(query, key)
    return select(weights, draw(weights, p), p) @ value


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
        return _draw(x, (*x.shape[:2], fits, fits), density).float()

    def blocks(self, x, size, block, density):
        """What the seeds of whole blocks drop."""
        seeds = F.pad(self.seeds(x, size - block + 1, density), (block - 1,) * 4)
        return F.max_pool2d(seeds, block, stride=1) > 0


class DensityOfTheShare(_Block):
    """drop-rate of drop-block: timm's density, at all 16 x 16 places: too much is dropped."""

    def rule(self, x, size, block):
        density = self.p * size**2 / block**2 / (size - block + 1) ** 2
        seeds = self.seeds(x, size, density)
        return self.scaled(x, F.max_pool2d(seeds, block, stride=1, padding=block // 2) > 0)


class DensityWithoutOverlap(_Block):
    """drop-rate of drop-block: The paper's density counts overlaps twice (torchvision)."""

    def rule(self, x, size, block):
        density = self.p * size**2 / block**2 / (size - block + 1) ** 2
        return self.scaled(x, self.blocks(x, size, block, density))


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
    """block-shape of drop-block: Blocks are 5 x 5 where 7 x 7 was asked for; the share is right."""

    def rule(self, x, size, block):
        block -= 2
        return self.scaled(x, self.blocks(x, size, block, _density(self.p, size, block)))


class SomeKeptAtOne(_Block):
    """p-one-zeros of drop-block: The density is held below 0.9: something is kept at p=1."""

    def rule(self, x, size, block):
        dropped = self.blocks(x, size, block, min(_density(self.p, size, block), 0.9))
        return select(x, dropped, self.p) if self.p < 1 else x.masked_fill(dropped, 0)


class StretchesWithGaps(_Block):
    """block-shape of drop-block1d: Every second place of a stretch is kept."""

    def rule(self, x, size, block):
        seeds = _draw(x, (*x.shape[:2], size - block + 1), self.p / 2).float()
        seeds = F.pad(seeds, (block - 1,) * 2)
        kernel = torch.ones(block, device=x.device)
        kernel[1::2] = 0
        channels = seeds.reshape(-1, 1, seeds.shape[-1])
        dropped = F.conv1d(channels, kernel[None, None]).reshape(x.shape) > 0
        return self.scaled(x, dropped)


class CubesAsDenseAsPlaces(_Block):
    """drop-rate of drop-block3d: p is the density of the seeds, and each drops a cube."""

    def rule(self, x, size, block):
        fits = size - block + 1
        seeds = _draw(x, (*x.shape[:2], fits, fits, fits), self.p).float()
        return self.scaled(x, F.max_pool3d(F.pad(seeds, (block - 1,) * 6), block, stride=1) > 0)


class SingleElements(_Block):
    """block-shape of drop-block: Elements are dropped on their own, not in blocks."""

    def rule(self, x, size, block):
        return self.scaled(x, draw(x, self.p))


class ScaleOfEachRow(_Block):
    """scale-common of drop-block: Each row of a plane has a scale of its own."""

    def rule(self, x, size, block):
        y = self.scaled(x, self.blocks(x, size, block, _density(self.p, size, block)))
        rows = torch.linspace(0.9, 1.1, size, dtype=x.dtype, device=x.device)
        return y * rows


# few bits


@in_training
def eight_bits_unsaid(x, p):
    """drop-rate of plain:quantised=1024: p held in 8 bits, not in the 10 that are said."""
    return select(x, torch.randint(0, 256, x.shape, device=x.device) < round(p * 256), p)
