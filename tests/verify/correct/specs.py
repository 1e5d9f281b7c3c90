"""Correct dropouts of other kinds: none may get an error."""

import math

import torch
from torch import nn
from torch.nn import functional as F

Dropout1d = nn.Dropout1d
Dropout2d = nn.Dropout2d
Dropout3d = nn.Dropout3d


# torch's two alpha dropouts take `inplace` and ignore it: verified without.


def torch_alpha(p):
    """alpha: torch's module."""
    return nn.AlphaDropout(p)


def torch_feature_alpha(p):
    """feature-alpha: torch's module."""
    return nn.FeatureAlphaDropout(p)


def _uniform(x, shape=None):
    return torch.rand(x.shape if shape is None else shape, device=x.device, dtype=torch.float32)


def _scaled(x, drop, p):
    return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0.0)


def channels(x, p, training):
    """dropout2d: A number for each channel."""
    return _scaled(x, _uniform(x, (*x.shape[:2], 1, 1)) < p, p) if training else x


class DropPath(nn.Module):
    """drop-path: A number for each sample, in the manner of timm."""

    def __init__(self, drop_prob=0.0):
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x):
        if self.drop_prob == 0.0 or not self.training:
            return x
        keep = 1 - self.drop_prob
        mask = x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1), dtype=torch.float32)
        mask = mask.bernoulli_(keep).to(x.dtype)
        return x * (mask.div_(keep) if keep > 0 else mask)


def whole_batch(x, p, training):
    """drop-path-batch at standard: A number for all: a call for each draw takes its time."""
    return _scaled(x, _uniform(x, (1,) * x.ndim) < p, p) if training else x


def locked(x, p, training):
    """locked: A mask for all steps of a sequence."""
    return _scaled(x, _uniform(x, (x.shape[0], 1, x.shape[2])) < p, p) if training else x


class TimeFirst(nn.Module):
    """locked-time-first: A mask for all steps of a sequence, in the manner of AWD-LSTM."""

    def __init__(self, dropout=0.5):
        super().__init__()
        self.dropout = dropout

    def forward(self, x):
        if not self.training or not self.dropout:
            return x
        keep = 1 - self.dropout
        mask = torch.empty(1, *x.shape[1:], dtype=torch.float32, device=x.device).bernoulli_(keep)
        mask = mask.to(x.dtype)
        return (mask / keep if keep else mask).expand_as(x) * x


def images_only(x, drop_prob, training):
    """drop-path: A number for each image; anything else is refused."""
    if x.ndim != 4:
        raise ValueError(f"expected a batch of images, got shape {tuple(x.shape)}")
    return _scaled(x, _uniform(x, (len(x), 1, 1, 1)) < drop_prob, drop_prob) if training else x


def masked_features(x, p, training):
    """columns:unscaled,first: A number for each column; the mask is returned, too."""
    keep = _uniform(x, (1, x.shape[1])) >= p if training else x.new_ones(1, x.shape[1]).bool()
    return x.masked_fill(~keep, 0) if training and p else x, keep


def masked_values(x, p, training):
    """plain:unscaled: What is kept stays as it is."""
    return x.masked_fill(_uniform(x) < p, 0) if training else x


def embedding_rows(x, p, training):
    """embedding: A number for each row of a matrix."""
    return _scaled(x, _uniform(x, (x.shape[0], 1)) < p, p) if training else x


_ALPHA = -1.7580993408473766


def _alpha(x, drop, p):
    if p == 1:
        return x * 0
    a = ((1 - p) * (1 + p * _ALPHA**2)) ** -0.5
    return torch.where(drop, _ALPHA, x) * a - a * p * _ALPHA


def alpha(x, p, training):
    """alpha: Dropped values become alpha', then all are scaled and shifted."""
    return _alpha(x, _uniform(x) < p, p).to(x.dtype) if training else x


def feature_alpha(x, p, training):
    """feature-alpha: Whole channels become alpha'."""
    return _alpha(x, _uniform(x, (*x.shape[:2], 1, 1)) < p, p).to(x.dtype) if training else x


def gaussian(x, p, training):
    """gaussian: x times N(1, p / (1 - p))."""
    if not training:
        return x
    noise = torch.randn(x.shape, device=x.device, dtype=torch.float32)
    return x * (1 + noise * math.sqrt(p / (1 - p))).to(x.dtype)


def feature_gaussian(x, p, training):
    """feature-gaussian: The same, with one draw a channel."""
    if not training:
        return x
    noise = torch.randn((*x.shape[:2], 1, 1), device=x.device, dtype=torch.float32)
    return x * (1 + noise * math.sqrt(p / (1 - p))).to(x.dtype)


def uniform_noise(x, beta, training):
    """uniform: x times U(1 - beta, 1 + beta)."""
    return x * (1 + beta * (2 * _uniform(x) - 1)).to(x.dtype) if training else x


def gaussian_noise(x, stddev, training):
    """gaussian-noise: x plus N(0, stddev^2)."""
    if not training:
        return x
    return x + (stddev * torch.randn(x.shape, device=x.device, dtype=torch.float32)).to(x.dtype)


def relaxed(x, p, training):
    """concrete: The relaxed mask of concrete dropout, as the reference has it: 1 - z in float32."""
    if not training:
        return x
    u = _uniform(x).clamp(2.0**-24, 1 - 2.0**-24)
    z = ((math.log(p / (1 - p)) + torch.logit(u)) / 0.1).sigmoid()
    return x * ((1 - z) / (1 - p)).to(x.dtype)


def zoneout(new, old, p, training):
    """zoneout: The new state or the old one; in eval their mean."""
    if not training:
        return p * old + (1 - p) * new
    return torch.where(_uniform(new) < p, old, new)


def tokens(x, p, training):
    """tokens: Keeps the tokens of the largest numbers, in their order."""
    if not training or p == 0:
        return x
    count = max(1, round(x.shape[1] * (1 - p)))
    kept = _uniform(x, x.shape[:2]).topk(count, dim=1).indices.sort(dim=1).values
    return x.gather(1, kept[..., None].expand(-1, -1, x.shape[2]))


def n_of_m(x, p, training):
    """n-of-m: The same number of each four neighbours is kept, unscaled."""
    if not training or p == 0:
        return x
    groups = x.reshape(-1, 4)
    order = _uniform(groups).argsort(1).argsort(1)
    return groups.masked_fill(order >= round(4 * (1 - p)), 0).reshape(x.shape)


def dropout_add(x, p, training, residual, bias):
    """dropout-add: The composition itself."""
    return residual + F.dropout(x + bias, p, training)


def attention(query, key, value, p, training):
    """attention: Dropout on the probabilities."""
    weights = (query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])).softmax(-1)
    return F.dropout(weights, p, training) @ value


class DropConnect(nn.Linear):
    """weights: Dropout on the weights of a linear layer."""

    def __init__(self, p=0.5):
        super().__init__(32, 16)
        self.p = p

    def forward(self, x):
        return F.linear(x, F.dropout(self.weight, self.p, self.training), self.bias)


def _rate_of(density, size, block, dims):
    """The share dropped if each place that a block fits at is a seed with this probability."""
    fits = size - block + 1
    starts = torch.arange(fits, dtype=torch.float64)
    places = torch.arange(size, dtype=torch.float64)
    covered = (places[:, None] >= starts) & (places[:, None] < starts + block)
    seeds = along = covered.sum(1).double()
    for _ in range(dims - 1):
        seeds = seeds[..., None] * along
    return float((1 - (1 - density) ** seeds).mean())


def _density(p, size, block, dims):
    """The probability of a seed at which the share dropped is p: it grows with it."""
    low, high = 0.0, 1.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _rate_of(middle, size, block, dims) < p else (low, middle)
    return high


class DropBlock(nn.Module):
    """drop-block: The density of blocks is solved for, so that the share dropped is p."""

    dims = 2

    def __init__(self, p, block_size):
        super().__init__()
        self.p, self.block_size = p, block_size
        self.densities = {}

    def forward(self, x):
        if not self.training or self.p == 0:
            return x
        size, block, dims = x.shape[-1], self.block_size, self.dims
        key = self.p, size  # p may be changed later
        if key not in self.densities:
            self.densities[key] = _density(self.p, size, block, dims)
        fits = size - block + 1
        seeds = _uniform(x, (*x.shape[:2], *[fits] * dims)) < self.densities[key]
        pool = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[dims - 1]
        dropped = pool(F.pad(seeds.float(), (block - 1,) * (2 * dims)), block, stride=1) > 0
        return _scaled(x, dropped, self.p)


class DropBlock1d(DropBlock):
    """drop-block1d: Stretches of a line."""

    dims = 1


class DropBlock3d(DropBlock):
    """drop-block3d: Cubes of a volume."""

    dims = 3


def eight_bits(x, p, training):
    """plain:quantised=256: p held in 8 bits, and said to be."""
    if not training:
        return x
    drop = torch.randint(0, 256, x.shape, device=x.device) < round(p * 256)
    return _scaled(x, drop, p)
