"""Broken dropouts: one fault each, and the name of the check that must be the first to say so.

The last line of a docstring names that check. Most are functions `f(x, p, training)`; where the
fault is one of state, a module.
"""

import functools
import random

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


def draw(x, p):
    """Where to drop."""
    return torch.rand(x.shape, device=x.device, dtype=torch.float32) < p


def select(x, drop, p):
    """x / (1 - p), and 0 where dropped: right at p=1 too, and in any layout."""
    return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0.0)


def in_training(rule):
    """Makes a dropout of what it does in training; a wrong p is refused."""

    @functools.wraps(rule)
    def dropout(x, p, training):
        if not 0 <= p <= 1:
            raise ValueError(f"p is no probability: {p}")
        return rule(x, p) if training else x

    del dropout.__wrapped__  # the signature is that of `dropout`
    return dropout


class Module(nn.Module):
    """A dropout with state: subclasses say where to drop."""

    def __init__(self, p=0.5):
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"p is no probability: {p}")
        self.p = p

    def forward(self, x):
        return select(x, self.where(x), self.p) if self.training else x

    def where(self, x):
        return draw(x, self.p)


# mode


@in_training
def returns_a_tuple(x, p):
    """The mask comes back with the output.

    Trips: output-shape
    """
    drop = draw(x, p)
    return select(x, drop, p), drop


@in_training
def flattens(x, p):
    """The output has lost its shape.

    Trips: output-shape
    """
    return select(x, draw(x, p), p).reshape(-1)


def live_in_eval(x, p, training):
    """The mode is not looked at.

    Trips: eval-identity
    """
    return select(x, draw(x, p), p)


def scales_in_eval(x, p, training):
    """Dropout as in 2012: scaled in eval. Inverted dropout in training as well, so twice.

    Trips: eval-identity
    """
    return select(x, draw(x, p), p) if training else x * (1 - p)


def cleans_in_eval(x, p, training):
    """NaN becomes 0 in eval.

    Trips: eval-identity
    """
    return select(x, draw(x, p), p) if training else torch.nan_to_num(x)


@in_training
def never_drops(x, p):
    """Dropout asked for and not applied.

    Trips: train-stochastic
    """
    return x


@in_training
def seeded_in_every_call(x, p):
    """A generator of its own, made and seeded in the call.

    Trips: train-stochastic
    """
    generator = torch.Generator().manual_seed(0)
    return select(x, torch.rand(x.shape, generator=generator) < p, p)


class MaskDrawnOnce(Module):
    """The mask of the first call of a shape is kept for ever.

    Trips: train-stochastic
    """

    def __init__(self, p=0.5):
        super().__init__(p)
        self.masks = {}

    def where(self, x):
        if x.shape not in self.masks:
            self.masks[x.shape] = draw(x, self.p)
        return self.masks[x.shape]


class LostAfterEval(Module):
    """Switched off by eval, and never on again.

    Trips: mode-switch
    """

    def train(self, mode=True):
        if not mode:
            self.p = 0.0
        return super().train(mode)


@in_training
def off_without_grad(x, p):
    """Takes "no gradients are recorded" for eval.

    Trips: grad-mode
    """
    return select(x, draw(x, p), p) if torch.is_grad_enabled() else x


# scale


@in_training
def unscaled(x, p):
    """Kept values are left as they are.

    Trips: kept-scale
    """
    return x.masked_fill(draw(x, p), 0)


@in_training
def scaled_by_p(x, p):
    """Scale 1/p: p taken for the keep probability, in the scale only.

    Trips: kept-scale
    """
    return x.masked_fill(draw(x, p), 0) * (1 / p if p else 1.0)


@in_training
def scaled_by_share(x, p):
    """Scaled by the share that happened to be kept.

    Trips: kept-scale
    """
    drop = draw(x, p)
    return x.masked_fill(drop, 0) * (drop.numel() / max(1, int((~drop).sum())))


@in_training
def dropped_to_epsilon(x, p):
    """Dropped values are small, not zero.

    Trips: kept-scale
    """
    return torch.where(draw(x, p), 1e-9, select(x, torch.zeros_like(x, dtype=torch.bool), p))


@in_training
def scale_in_eight_bits(x, p):
    """A scale from p rounded to 1/256.

    Trips: kept-scale
    """
    return select(x, draw(x, p), round(p * 256) / 256)


@in_training
def small_inputs_unscaled(x, p):
    """A short path for few elements forgets the scale.

    Trips: scale-constant
    """
    drop = draw(x, p)
    return x.masked_fill(drop, 0) if x.numel() < 4 else select(x, drop, p)


# rate


@in_training
def drops_the_kept(x, p):
    """Drops with probability 1 - p, scales by 1 / (1 - p).

    Trips: drop-rate
    """
    return select(x, ~draw(x, p), p) if 0 < p < 1 else select(x, draw(x, p), p)


@in_training
def eight_bit_threshold(x, p):
    """p held in 8 bits, the scale nominal (flash-attention, TransformerEngine).

    Trips: drop-rate
    """
    return select(x, torch.randint(0, 256, x.shape) < round(p * 256), p)


@in_training
def never_below_one_percent(x, p):
    """p clamped to [0.01, 0.99] "for stability".

    Trips: drop-rate
    """
    return select(x, draw(x, min(max(p, 0.01), 0.99) if 0 < p < 1 else p), p)


@in_training
def rate_a_little_high(x, p):
    """Drops p + p (1 - p) / 20.

    Trips: drop-rate
    """
    return select(x, draw(x, p + 0.05 * p * (1 - p)), p)


@in_training
def tail_never_dropped(x, p):
    """The elements left over by vectors of eight are copied.

    Trips: position-rate
    """
    drop = draw(x, p)
    if 0 < p < 1 and x.numel() > 8 and (rest := x.numel() % 8):
        drop.view(-1)[-rest:] = False
    return select(x, drop, p)


@in_training
def first_never_dropped(x, p):
    """The first element of a call is always kept.

    Trips: position-rate
    """
    drop = draw(x, p)
    if 0 < p < 1 and x.numel() > 8:
        drop.view(-1)[0] = False
    return select(x, drop, p)


@in_training
def uneven_lanes(x, p):
    """Every 256th element is dropped more often, its neighbour less.

    Trips: position-rate
    """
    lanes = torch.full((x.numel(),), float(p))
    lanes[5::256] += 0.3 * p * (1 - p)
    lanes[6::256] -= 0.3 * p * (1 - p)
    return select(x, torch.rand(x.numel()).reshape(x.shape) < lanes.reshape(x.shape), p)


# independence


@in_training
def pool_of_masks(x, p):
    """One of 50 000 masks, chosen at random.

    Trips: few-masks
    """
    seed = int(torch.randint(50_000, ()))
    return select(x, torch.rand(x.shape, generator=torch.Generator().manual_seed(seed)) < p, p)


@in_training
def tile_repeated(x, p):
    """One tile of 10 007 uniform numbers, repeated over a matrix.

    Trips: mask-repeats
    """
    if x.ndim != 2:
        return select(x, draw(x, p), p)
    tile = torch.rand(10_007)
    return select(x, tile.repeat(x.numel() // 10_007 + 1)[: x.numel()].reshape(x.shape) < p, p)


@in_training
def rewound_by_half(x, p):
    """A call uses n numbers and moves the generator on by half of them.

    Trips: mask-repeats
    """
    if x.numel() < 1000:
        return select(x, draw(x, p), p)
    state = torch.get_rng_state()
    torch.rand(x.numel() // 2)
    later = torch.get_rng_state()
    torch.set_rng_state(state)
    drop = draw(x, p)
    torch.set_rng_state(later)
    return select(x, drop, p)


@in_training
def rows_in_bands(x, p):
    """Rows 32 apart share a mask (xformers#724).

    Trips: mask-repeats
    """
    if x.ndim != 2 or x.shape[0] <= 32:
        return select(x, draw(x, p), p)
    band = draw(x[:32], p)
    return select(x, band.repeat(x.shape[0] // 32 + 1, 1)[: x.shape[0]], p)


@in_training
def copies_its_neighbour(x, p):
    """One bit in ten is its predecessor's.

    Trips: lag-independence
    """
    drop = draw(x, p).reshape(-1)
    if drop.numel() > 1:
        copied = torch.rand(drop.numel() - 1) < 0.1
        drop[1:] = torch.where(copied, drop[:-1].clone(), drop[1:])
    return select(x, drop.reshape(x.shape), p)


@in_training
def one_word_for_two(x, p):
    """Elements 4096 apart use the same number, one as u, one as 1 - u.

    Trips: lag-independence
    """
    uniform = torch.rand(x.numel())
    if x.numel() % 8192 == 0:
        pairs = uniform.view(-1, 2, 4096)
        pairs[:, 1] = 1 - pairs[:, 0]
    return select(x, uniform.reshape(x.shape) < p, p)


@in_training
def channels_in_fours(x, p):
    """Groups of 4 channels share a mask (pytorch#198333).

    Trips: axis-independence
    """
    if x.ndim != 4 or x.shape[1] % 4:
        return select(x, draw(x, p), p)
    return select(x, draw(x[:, ::4], p).repeat_interleave(4, dim=1), p)


@in_training
def samples_share(x, p):
    """All samples of a batch of images share a mask.

    Trips: axis-independence
    """
    return select(x, draw(x[:1], p) if x.ndim == 4 else draw(x, p), p)


class AntitheticCalls(Module):
    """Every second call uses 1 - u of the call before.

    Trips: call-independence
    """

    def __init__(self, p=0.5):
        super().__init__(p)
        self.last = None

    def where(self, x):
        if self.last is None or self.last.shape != x.shape:
            self.last = torch.rand(x.shape)
            return self.last < self.p
        uniform, self.last = 1 - self.last, None
        return uniform < self.p


@in_training
def every_third_derived(x, p):
    """At p = 1/2 every third bit is the exclusive or of the two before it.

    Trips: joint-counts
    """
    drop = draw(x, p)
    if p == 0.5:
        flat = drop.view(-1)
        full = flat.numel() // 3 * 3
        threes = flat[:full].view(-1, 3)
        threes[:, 2] = threes[:, 0] ^ threes[:, 1]
    return select(x, drop, p)


@in_training
def exactly_k(x, p):
    """Drops exactly round(p n) elements.

    Trips: count-spread
    """
    if x.numel() < 16:
        return select(x, draw(x, p), p)
    order = torch.randperm(x.numel()).reshape(x.shape)
    # Rounded at random, so that the rate is right for every p and n.
    return select(x, order < int(p * x.numel() + torch.rand(()).item()), p)


# gradient


def custom_gradient(backward):
    """A dropout with a backward of its own: `backward(g, x, y, drop, scale)`."""

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, p):
            drop, ctx.scale = draw(x, p), 1 / (1 - p) if p < 1 else 0.0
            y = x.masked_fill(drop, 0) * ctx.scale
            ctx.save_for_backward(x, y, drop)
            return y

        @staticmethod
        def backward(ctx, g):
            return backward(g, *ctx.saved_tensors, ctx.scale), None

    @functools.wraps(backward)
    def dropout(x, p, training):
        if not 0 <= p <= 1:
            raise ValueError(f"p is no probability: {p}")
        return Function.apply(x, p) if training else x

    del dropout.__wrapped__
    return dropout


@custom_gradient
def fresh_mask_in_backward(g, x, y, drop, scale):
    """Another mask in backward (pytorch#190717).

    Trips: grad-mask
    """
    return g.masked_fill(draw(g, 1 - 1 / scale if scale else 1.0), 0) * scale


@custom_gradient
def backward_of_all(g, x, y, drop, scale):
    """Straight through: dropped elements get a gradient, too.

    Trips: grad-mask
    """
    return g * scale


@custom_gradient
def backward_unscaled(g, x, y, drop, scale):
    """No scale in backward.

    Trips: grad-scale
    """
    return g.masked_fill(drop, 0)


@custom_gradient
def backward_from_zero_output(g, x, y, drop, scale):
    """y == 0 taken for dropped.

    Trips: grad-at-zero
    """
    return g * (y != 0) * scale


@custom_gradient
def backward_by_quotient(g, x, y, drop, scale):
    """y / x taken for mask times scale, NaN where x is zero.

    Trips: grad-at-zero
    """
    return g * torch.where(drop, 0.0, scale * (x / x).round())


@custom_gradient
def backward_overflows(g, x, y, drop, scale):
    """Goes through the square of x, which is 0 or inf for extreme values.

    Trips: grad-finite
    """
    square = torch.where(x == 0, 1.0, x * x)
    return (g * scale).masked_fill(drop, 0) * (square / square)


class MaskOnTheModule(Module):
    """Backward looks for the mask on the module: it is that of the last call.

    Trips: grad-own-call
    """

    def forward(self, x):
        if not self.training:
            return x
        scale = 1 / (1 - self.p) if self.p < 1 else 0.0
        self.drop = draw(x, self.p)
        y = (x.detach().masked_fill(self.drop, 0) * scale).requires_grad_(x.requires_grad)
        return _FromModule.apply(x, self, y, scale)


class _FromModule(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, module, y, scale):
        ctx.module, ctx.scale = module, scale
        return y.detach().clone()

    @staticmethod
    def backward(ctx, g):
        return g.masked_fill(ctx.module.drop, 0) * ctx.scale, None, None, None


# edges


@in_training
def drops_at_zero(x, p):
    """`not r > p` with r in multiples of 2^-15: r = 0 is dropped at p=0.

    Trips: p-zero-identity
    """
    return select(x, ~(torch.randint(0, 1 << 15, x.shape) / (1 << 15) > p), p)


class Notebook(nn.Module):
    """The teaching version: 0 * inf at p=1, among others.

    Trips: p-one-zeros
    """

    def __init__(self, dropout_prob):
        super().__init__()
        self.dropout_prob = dropout_prob

    def forward(self, x):
        if self.training:
            mask = (torch.rand(x.shape) > self.dropout_prob).float()
            x = x * mask / (1.0 - self.dropout_prob)
        return x


@in_training
def infinite_branch(x, p):
    """A `where` that does not take x * inf but differentiates it (Equinox).

    Trips: edge-gradients
    """
    scale = 1 / (1 - p) if p < 1 else float("inf")
    return torch.where(draw(x, p), 0.0, x * scale)


@in_training
def needs_a_largest(x, p):
    """Looks at the largest value.

    Trips: empty-input
    """
    x.detach().abs().max()
    return select(x, draw(x, p), p)


@in_training
def refuses_p_one(x, p):
    """Divides by zero at p=1 (Keras' AlphaDropout).

    Trips: p-one-zeros
    """
    return x.masked_fill(draw(x, p), 0) * (1 / (1 - p))


@in_training
def scalars_pass(x, p):
    """A 0-d input is never dropped.

    Trips: tiny-input
    """
    drop = draw(x, p)
    return select(x, drop & (x.ndim > 0), p) if 0 < p < 1 else select(x, drop, p)


# dtype


@in_training
def float_mask(x, p):
    """A float32 mask promotes half precision.

    Trips: dtype-kept
    """
    return x * (~draw(x, p)).float() * (1 / (1 - p) if p < 1 else 0.0)


@in_training
def default_dtype_mask(x, p):
    """A mask in the default dtype, right as long as that is float32 and x is too, or half.

    Trips: dtype-kept
    """
    mask = torch.ones(x.shape).masked_fill(draw(x, p), 0)
    y = x * mask * (1 / (1 - p) if p < 1 else 0.0)
    return y.to(x.dtype) if x.dtype != torch.float32 else y


@in_training
def scale_in_dtype(x, p):
    """1 - p computed in the dtype of x.

    Trips: dtype-scale
    """
    one = torch.ones((), dtype=x.dtype)
    keep = one - torch.tensor(p, dtype=x.dtype) if x.dtype.itemsize == 2 else one * (1 - p)
    return x.masked_fill(draw(x, p), 0) / torch.where(keep == 0, one, keep)


@in_training
def float32_scale(x, p):
    """The scale in float32 for float64 values.

    Trips: dtype-scale
    """
    return select(x.float(), draw(x, p), p).to(x.dtype)


@in_training
def uniform_in_dtype(x, p):
    """Uniform numbers in the dtype of x: 8 bits in bfloat16.

    Trips: dtype-rate
    """
    return select(x, torch.rand(x.shape, dtype=x.dtype) < p, p)


# randomness

_PRIVATE = torch.Generator().manual_seed(1)


@in_training
def private_generator(x, p):
    """Draws from a generator that `torch.manual_seed` does not reach.

    Trips: seed-governs
    """
    return select(x, torch.rand(x.shape, generator=_PRIVATE) < p, p)


@in_training
def numpy_mask(x, p):
    """Draws from NumPy.

    Trips: seed-governs
    """
    return select(x, torch.from_numpy(np.asarray(np.random.random(tuple(x.shape)) < p)), p)


@in_training
def six_bit_seed(x, p):
    """A new seed is cut to 6 bits.

    Trips: seeds-differ
    """
    seed = torch.initial_seed()
    if torch.equal(torch.get_rng_state(), torch.Generator().manual_seed(seed).get_state()):
        torch.set_rng_state(torch.Generator().manual_seed(seed % 64).get_state())
    return select(x, draw(x, p), p)


@in_training
def reseeds(x, p):
    """Seeds the global generator with a number drawn from it.

    Trips: no-reseed
    """
    torch.manual_seed(int(torch.randint(2**62, ())))
    return select(x, draw(x, p), p)


@in_training
def draws_from_python(x, p):
    """Draws from Python's generator as well.

    Trips: foreign-generators
    """
    random.random()
    return select(x, draw(x, p), p)


def draws_in_eval(x, p, training):
    """The mask is drawn before the mode is looked at.

    Trips: eval-draws-nothing
    """
    if not 0 <= p <= 1:
        raise ValueError(f"p is no probability: {p}")
    drop = draw(x, p)
    return select(x, drop, p) if training else x


# layout


@in_training
def memory_order(x, p):
    """Reads the memory of x as if it were contiguous.

    Trips: layout-values
    """
    if x.requires_grad or (x._base is None and x.is_contiguous()):
        return select(x, draw(x, p), p)
    values = torch.as_strided(x, (x.untyped_storage().nbytes() // x.element_size(),), (1,), 0)
    values = values[: x.numel()].repeat(x.numel() // values[: x.numel()].numel() + 1)[: x.numel()]
    return select(values.reshape(x.shape), draw(x, p), p)


@in_training
def strided_half_rate(x, p):
    """A strided input is dropped at half the rate.

    Trips: layout-rate
    """
    return select(x, draw(x, p if x.is_contiguous() or not 0 < p < 1 else p / 2), p)


@in_training
def mask_with_strides(x, p):
    """The mask has the strides of x: copies in an expanded input share a bit.

    Trips: expanded-independent
    """
    index = tuple(slice(0, 1) if step == 0 else slice(None) for step in x.stride())
    return select(x, draw(x[index], p), p)


@in_training
def memory_order_mask(x, p):
    """torch's dropout: the mask in the order of memory. Values are selected.

    Trips: layout-mask
    """
    return select(x, F.dropout(torch.ones_like(x, dtype=torch.float32), p) == 0, p)


# values


@in_training
def writes_into_x(x, p):
    """In place, unasked.

    Trips: input-unmodified
    """
    drop = draw(x, p)
    return x.masked_fill_(drop, 0).mul_(1 / (1 - p) if p < 1 else 0.0)


@in_training
def sign_turns_the_number(x, p):
    """Negative values are compared with 1 - u: right rate, but the mask depends on x.

    Trips: value-mask
    """
    uniform = torch.rand(x.shape)
    return select(x, torch.where(x < 0, 1 - uniform, uniform) < p, p)


@in_training
def large_values_more_often(x, p):
    """Values between 1e3 and 1e5 are dropped more often.

    Trips: value-rate
    """
    rate = torch.where((x > 1e3) & (x < 1e5), p + 0.2 * p * (1 - p), p)
    return select(x, torch.rand(x.shape) < rate, p)


@in_training
def cleans_values(x, p):
    """NaN and infinities are cleaned up in training.

    Trips: nonfinite-kept
    """
    return select(torch.nan_to_num(x), draw(x, p), p)


@in_training
def multiplies_by_mask(x, p):
    """A product where a select belongs: inf * 0 is NaN.

    Trips: nonfinite-dropped
    """
    return x * (~draw(x, p)).to(x.dtype) * (1 / (1 - p) if p < 1 else 0.0)


# construction


def takes_any_p(x, p, training):
    """A wrong p is bent to a right one.

    Trips: wrong-p-refused
    """
    p = min(max(float(p or 0), 0.0), 1.0)
    return select(x, draw(x, p), p) if training else x


def says_bad_argument(x, p, training):
    """The error does not help.

    Trips: wrong-p-named
    """
    if not isinstance(p, float) or not 0 <= p <= 1:
        raise ValueError("bad argument")
    return select(x, draw(x, p), p) if training else x
