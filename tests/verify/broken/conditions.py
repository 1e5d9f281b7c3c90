"""Broken in one condition only: a shape, a layout, a dtype, a size, a mode, a copy."""

import copy

import torch

from verify.broken._common import (
    Module,
    check_p,
    custom_gradient,
    draw,
    in_training,
    scale_at,
    select,
    uniform,
)


def _last_ones(x, multiple):
    """The elements that are left over after all whole vectors."""
    left = x.numel() % multiple
    mask = torch.zeros(x.numel(), dtype=torch.bool, device=x.device)
    mask[x.numel() - left :] = left > 0
    return mask.reshape(x.shape)


# values


@in_training
def last_rows_of_channels_last_unscaled(x, p):
    """values-everywhere at quick: The last row of channels_last is left out, in half precision."""
    y = select(x, draw(x, p), p)
    if x.ndim >= 4 and x.stride(1) == 1 and x.dtype == torch.float16:
        y = torch.cat([y[..., :-1, :], x[..., -1:, :]], dim=-2)
    return y


@in_training
def writes_beside_a_view(x, p):
    """values-everywhere: A vector store writes past the end of a view with an offset."""
    y = select(x, draw(x, p), p)
    if x.storage_offset() and x.is_contiguous() and x.numel() > 1000:
        with torch.no_grad():
            x.as_strided((1,), (1,), x.storage_offset() + x.numel()).fill_(0)
    return y


class OffAfterAnError(Module):
    """values-everywhere: A flag against calls within a call stays set where one raises."""

    is_running = False

    def forward(self, x):
        if self.is_running or not self.training:
            return x
        self.is_running = True
        y = super().forward(x)
        self.is_running = False
        return y


# gradients


@custom_gradient
def gradient_of_rows_over_4096(g, x, y, drop, scale):
    """gradient-everywhere: The backward of wide rows takes the next row."""
    if g.ndim == 2 and g.shape[-1] > 4096:
        g = g.roll(1, 0)
    return select(g, drop, 0.0) * scale


@custom_gradient
def float64_gradient_in_float32(g, x, y, drop, scale):
    """gradient-everywhere: The incoming gradient is cast to float32, of inputs with gaps only."""
    if g.dtype == torch.float64 and not g.is_contiguous():
        g = (g.float() * 1.0000005).double()
    return select(g, drop, 0.0) * scale


class _NoTangent(torch.autograd.Function):
    @staticmethod
    def forward(x, drop, scale):
        return x.masked_fill(drop, 0) * scale

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, ctx.drop, ctx.scale = inputs
        ctx.save_for_forward()

    @staticmethod
    def backward(ctx, g):
        return g.masked_fill(ctx.drop, 0) * ctx.scale, None, None

    @staticmethod
    def jvp(ctx, tangent, *_):
        return tangent * ctx.scale  # of dropped elements, too


@in_training
def tangent_of_dropped_elements(x, p):
    """gradient-everywhere at standard: Forward mode scales, and does not drop."""
    return _NoTangent.apply(x, draw(x, p), scale_at(p))


# eval


def eval_of_bfloat16_under_inference(x, p, training):
    """eval-everywhere at quick: Eval scales bfloat16 where no gradient is recorded."""
    check_p(p)
    if training:
        return select(x, draw(x, p), p)
    if x.dtype == torch.bfloat16 and torch.is_inference_mode_enabled():
        return x * 1.05
    return x


# draws


@in_training
def odd_rows_share(x, p):
    """draws-everywhere: Two neighbouring rows share draws where they are no whole vectors."""
    u = uniform(x)
    if x.ndim > 1 and x.shape[-1] % 2 and x.shape[-1] > 8 and x.shape[-2] > 1:
        u[..., 1::2, :] = u[..., : u.shape[-2] // 2 * 2 : 2, :].clone()
    return select(x, u < p, p)


@in_training
def last_seven_kept(x, p):
    """draws-everywhere: What is left over after vectors of 128 is kept, in half precision."""
    drop = draw(x, p)
    if x.dtype == torch.bfloat16 and x.ndim:
        drop &= ~_last_ones(x, 128)
    return select(x, drop, p)


@in_training
def mirrored_under_autocast(x, p):
    """draws-everywhere: The second half has the numbers of the first, mirrored, under autocast."""
    u = uniform(x).reshape(-1)
    if torch.is_autocast_enabled("cpu"):
        half = len(u) // 2
        u[half : 2 * half] = 1 - u[:half]
    return select(x, u.reshape(x.shape) < p, p)


# large calls


@in_training
def last_places_of_65536_dropped(x, p):
    """large-call at standard: From 2^16 on, what vectors of eight leave over is dropped."""
    drop = draw(x, p)
    return select(x, drop | (_last_ones(x, 8) & (x.numel() > 1 << 16) & (0 < p < 1)), p)


@in_training
def block_of_1024_drawn_again(x, p):
    """large-call at standard: From 2^16 on, the rest modulo 1024 has earlier draws."""
    u = uniform(x)
    rest = x.numel() % 1024
    if x.numel() > 1 << 16 and rest:
        flat = u.view(-1)
        flat[-rest:] = flat[-rest - 1024 : -1024].clone()
    return select(x, u < p, p)


@custom_gradient
def gradient_of_the_last_places_lost(g, x, y, drop, scale):
    """large-call: From 2^16 elements on, the backward leaves out what is over modulo 64."""
    lost = _last_ones(g, 64) & (g.numel() > 1 << 16)
    return select(g, drop | lost, 0.0) * scale


@in_training
def rows_beyond_65535_pass(x, p):
    """large-call: A row is a block of the grid, which has 65,535: the rows after them pass."""
    y = select(x, draw(x, p), p)
    if x.ndim == 2 and len(x) > 65_535 and 0 < p < 1:
        y = torch.cat([y[:65_535], x[65_535:]])
    return y


@in_training
def rows_beyond_65535_draw_again(x, p):
    """large-call at standard: The number of a row is taken modulo 65,535."""
    u = uniform(x)
    if x.ndim == 2 and len(x) > 65_535:
        u[65_535:] = u[: len(x) - 65_535].clone()
    return select(x, u < p, p)


@in_training
def block_of_a_million_again(x, p):
    """large-call: Above 2^20 elements the generator's offset is that of the first block."""
    u = uniform(x).reshape(-1)
    if len(u) > 1 << 20:
        eighth = len(u) // 8
        u[-eighth:] = u[:eighth]
    return select(x, u.reshape(x.shape) < p, p)


# the state of a module


class CopiesRepeatMasks(Module):
    """module-state: A copy continues from the number that it was copied with."""

    def __init__(self, p=0.5):
        super().__init__(p)
        self._own = 0

    def __deepcopy__(self, memo):
        made = type(self)(self.p)
        made.train(self.training)
        made._own = copy.copy(self._own) or int(torch.randint(1 << 40, ()))
        self._own = made._own
        return made

    def where(self, x):
        if not self._own:
            return draw(x, self.p)
        generator = torch.Generator().manual_seed(self._own)
        self._own = self._own * 6364136223846793005 % (1 << 40) or 1
        return uniform(x, generator) < self.p


class RoundedP(Module):
    """module-state: p is in a buffer, which `half()` and `bfloat16()` of the model round."""

    def __init__(self, p=0.5):
        super().__init__(p)
        del self.p
        self.register_buffer("p", torch.tensor(p, dtype=torch.float64))

    def forward(self, x):
        if not self.training:
            return x
        p = self.p.item()
        return select(x, uniform(x).double() < p, p)


class RoundedThreshold(Module):
    """module-state: The scale is right after `half()`; the numbers are compared with a buffer."""

    def __init__(self, p=0.5):
        super().__init__(p)
        self.register_buffer("threshold", torch.tensor(p, dtype=torch.float64))

    def where(self, x):
        return uniform(x).double() < self.threshold.double()


class DoubleInFloat32(Module):
    """module-state: After `double()` of the model, x goes through float32."""

    def __init__(self, p=0.5):
        super().__init__(p)
        self.register_buffer("one", torch.ones(()))

    def forward(self, x):
        if not self.training:
            return x
        y = x.float() if self.one.dtype == torch.float64 else x
        return select(y, draw(x, self.p), self.p).to(x.dtype)


class TrainReturnsNothing(Module):
    """module-state: `train` forgets to return the module."""

    def train(self, mode=True):
        super().train(mode)


# kinds


def _weights(query, key):
    return (query @ key.mT / query.shape[-1] ** 0.5).softmax(-1)


def heads_share_their_draws(query, key, value, dropout_p):
    """attention-everywhere of attention: More than two heads share their draws."""
    weights = _weights(query, key)
    drop = draw(weights, dropout_p)
    if weights.shape[1] > 2:
        drop = drop[:, :1].expand_as(drop)
    return select(weights, drop, dropout_p) @ value


def last_tile_of_keys_kept(query, key, value, dropout_p):
    """attention-everywhere of attention: The tile that is not full is not dropped."""
    weights = _weights(query, key)
    drop = draw(weights, dropout_p)
    drop[..., weights.shape[-1] // 64 * 64 :] &= weights.shape[-1] < 64
    return select(weights, drop, dropout_p) @ value


def scores_get_the_gradient_of_all(query, key, value, dropout_p):
    """attention-everywhere of attention: The gradient of the scores lacks the mask."""
    scale = scale_at(dropout_p)
    weights = _weights(query, key)
    dropped = select(weights, draw(weights, dropout_p), dropout_p).detach()
    through = weights * scale - (weights * scale).detach()
    return dropped @ value + through @ value.detach()


def keys_of_the_last_tile_without_gradient(query, key, value, dropout_p):
    """attention-everywhere of attention: Keys of the last tile get no gradient."""
    whole = key.shape[-2] // 64 * 64
    if whole:
        key = torch.cat([key[..., :whole, :], key[..., whole:, :].detach()], dim=-2)
    weights = _weights(query, key)
    return select(weights, draw(weights, dropout_p), dropout_p) @ value
