"""What the checks of a kind measure, and what they say of what is wrong."""

import math

import pytest
import torch

from verify.checks._alone import fault, made, put, reason, run

# --- Shared draws ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("training", "split", "said"),
    [
        (lambda x: put(x, _0=0.0, _6=0.0, _7=0.0), 2, "in y; the axes marked * of 'n c * *' share"),
        (lambda x: x * torch.tensor([0.0, 1.0])[:, None], 1536,
         "; here axis 0 and 1 and 3 does: another --spec?"),
        (lambda x: x.detach() + (x - x.detach()) * put(torch.ones_like(x), _11=0.0), 1,
         "in the gradient; the axes marked"),
    ],
)  # fmt: skip
def test_a_draw_that_is_kept_in_part(training, split, said):
    scaled = made(lambda x, p: training(x) / (1 - p))
    found = fault("shared-mask", scaled, spec="dropout2d")
    assert found.message.startswith(f"{split} of 1536 draws are kept in part, ")
    assert said in found.message
    assert found.figures == {"split": split}


def test_what_shares_draws_and_changes_x_in_eval():
    target = made(evaluation=lambda x, p: put(x, _9215=0.0) if p == 0.999 else x)

    def drop(x, p, training):
        return x / (1 - p) if training else target(x, p, False)

    assert fault("shared-mask", drop, spec="dropout2d").message == "eval does not return x"


def test_a_constant_zero_has_no_gradient_to_look_at():
    run("shared-mask", made(lambda x, p: torch.zeros(x.shape)), spec="dropout2d")
    with pytest.raises(RuntimeError, match="does not require grad"):
        run("shared-mask", made(lambda x, p: x.detach() / (1 - p)), spec="dropout2d")


# --- Blocks ---------------------------------------------------------------------------------------


def blocks(*places, everywhere=1.0):
    """Drops these places of the first plane, of which each is `(rows, columns)`."""

    def drop(x, p):
        y = x * everywhere
        for plane, rows, columns in places:
            y[plane, 0, rows, columns] = 0
        return y

    return made(drop)


CUT_OFF = (5, slice(0, 4), slice(11, 16))
SMALLEST = "p=0.05: the smallest of {} dropped areas away from the border has {} places, expected"


def test_blocks_that_are_whole():
    whole = [(i, slice(3, 10), slice(4, 11)) for i in range(3)]
    seen = run("block-shape", blocks(*whole, CUT_OFF), spec="drop-block")
    assert seen.message == "whole blocks of 7 x 7, 2048 planes"
    assert reason("block-shape", blocks(CUT_OFF), spec="drop-block") == (
        "no plane has a block away from its border"
    )


@pytest.mark.parametrize(
    ("places", "message", "figures"),
    [
        ([(0, 3, 3), (1, slice(0, 7), slice(3, 9))],
         "p=0.05: 43 dropped places are not in a block of 7 x 7", {"loose": 43}),
        ([(0, slice(3, 11), slice(3, 11)), CUT_OFF], SMALLEST.format(1, 64), {"smallest": 64}),
        ([(0, slice(1, 8), slice(1, 9)), (2, slice(3, 10), slice(3, 12))], SMALLEST.format(2, 56),
         {"smallest": 56}),
    ],
)  # fmt: skip
def test_areas_that_are_not_blocks(places, message, figures):
    found = fault("block-shape", blocks(*places), spec="drop-block")
    assert found.message.startswith(message)
    assert found.figures == figures


def scaled_blocks(scale):
    """Drops a corner of each plane, and scales what is left by what a function of y says."""

    def drop(x, p):
        y = x.clone()
        y[:, :, :4, :4] = 0
        y[::2, :, 8:, :8] = 0
        return y * scale(y, p)

    return made(drop)


def by_sample(y):
    return (y != 0).double().mean((1, 2, 3), keepdim=True)


@pytest.mark.parametrize(
    "scale",
    [
        lambda y, p: 1 / (y != 0).double().mean(),
        lambda y, p: 1 / by_sample(y),
        lambda y, p: (1 + 0.9e-4) / (1 - p),
        lambda y, p: (1 - 0.9e-4) / (1 - p),
    ],
)
def test_scales_that_compensate_for_what_was_dropped(scale):
    seen = run("scale-common", scaled_blocks(scale), spec="drop-block")
    assert seen.message.startswith("one scale per call or sample")


KEPT = 1 - (16 + 64) / 256, 1 - 16 / 256  # of the samples with an even number, and an odd one


def every_second(y):
    return (torch.arange(len(y)) % 2 == 0)[:, None, None, None]


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        (lambda y, p: 1 + 2e-5 * (torch.arange(16) == 9), "different scales"),
        (lambda y, p: 1.0,
         "the scale of the first sample is 1, expected 1.05263 or one over the fraction kept, "
         f"{2 / sum(KEPT):.6g}"),
        (lambda y, p: 1 / (1 - p) * (1 + 1.2e-4), "the scale of the first sample is 1.05276,"),
        # One sample in two has another one.
        (lambda y, p: torch.where(every_second(y), 1 / (1 - p), 1 / KEPT[1]),
         "the scale of the first sample is 1.05263,"),
    ],
)  # fmt: skip
def test_scales_that_do_not(scale, message):
    found = fault("scale-common", scaled_blocks(scale), spec="drop-block")
    assert found.message.startswith("p=0.05: the ")
    assert message in found.message


# --- Counts ---------------------------------------------------------------------------------------


def first_of_four(count):
    """Keeps as many of the first of each four as a function of p and the group says."""

    def drop(x, p, training):
        if not training:
            return x
        kept = torch.tensor([count(p, i) for i in range(len(x))])
        return x * (torch.arange(4) < kept[:, None]) / (1 - p)

    return drop


@pytest.mark.parametrize(
    ("count", "p", "seen", "expected"),
    [
        (lambda p, i: 4 * (1 - p) + (i == 255) if p in (0.25, 0.5, 0.75) else 3, 0.25, [3, 4], "3"),
        (lambda p, i: 4 * (1 - p) if p in (0.25, 0.5, 0.75) else 2 + i % 2, 0.3, [2, 3], "2 or 3"),
        (lambda p, i: 1 if p == 0.5 else 4 * (1 - p), 0.5, [1], "2"),
    ],
)
def test_groups_that_keep_another_number(count, p, seen, expected):
    found = fault("fixed-count", first_of_four(count), spec="n-of-m")
    kept = ", ".join(map(str, seen))
    assert found.message == f"p={p:g}: groups of 4 keep {kept}, expected {expected}"
    assert found.figures == {"p": p, "seen": seen}


# --- Fused ----------------------------------------------------------------------------------------


class Fused(torch.autograd.Function):
    """`residual + dropout(x + bias)`, of which y and the gradients are changed."""

    @staticmethod
    def forward(ctx, x, residual, bias, scale, change, gradients):
        ctx.save_for_backward(scale)
        ctx.gradients = gradients
        return change(residual + (x + bias) * scale)

    @staticmethod
    def backward(ctx, g):
        of_x = g * ctx.saved_tensors[0]
        return *ctx.gradients(of_x, g.clone(), of_x.sum(0)), None, None, None


def fused(change=lambda y: y, gradients=lambda *g: g):
    def drop(x, residual, bias, p, training):
        drop = (torch.rand(x.shape) < p) if training else torch.zeros(x.shape, dtype=torch.bool)
        scale = torch.ones(x.shape).masked_fill(drop, 0) / (1 - p if training else 1)
        return Fused.apply(x, residual, bias, scale, change, gradients)

    return drop


def no_bias(x, residual, bias, p, training):
    return residual + torch.nn.functional.dropout(x, p, training)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (fused(lambda y: put(y, _1=0.0, _2=99.0)), "2 of 3072 values are neither the residual nor"),
        (fused(lambda y: y * (1 + 2.0**-20)), " values are neither the residual nor"),
        (no_bias, "1 - p); the bias is not added"),
        (fused(gradients=lambda x, r, b: (x, None, b)), ": the gradient of residual is wrong"),
        (fused(gradients=lambda x, r, b: (x * (1 + 2.0**-19), r, b)), " gradient of x is wrong"),
        (fused(gradients=lambda x, r, b: (x, r, b + 1e-2)), ": the gradient of bias is wrong"),
        (fused(gradients=lambda x, r, b: (x * 2, r * 2, b * 2)),
         ": the gradient of residual and x and bias is wrong"),
    ],
)  # fmt: skip
def test_a_fused_dropout_that_is_wrong(target, said):
    assert said in fault("fused-composition", target, spec="dropout-add").message


def test_a_fused_dropout_that_is_right():
    rounded = fused(gradients=lambda x, r, b: (x, r, b * (1 + 2.0**-20)))
    run("fused-composition", rounded, spec="dropout-add")


# --- Zoneout --------------------------------------------------------------------------------------


def steeper(state):
    return state.detach() + (1 + 2.0**-19) * (state - state.detach())


def zoneout(change=lambda y: y, evaluation=lambda y: y, old_as=lambda s: s, new_as=lambda s: s):
    def drop(new, old, p, training):
        old, new = old_as(old), new_as(new)
        if training:
            return change(torch.where(torch.rand(new.shape) < p, old, new))
        return evaluation(p * old + (1 - p) * new)

    return drop


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (zoneout(lambda y: put(y, _0=99.0, _7=99.0)),
         "training: 2 of 3072 values are neither the new nor the old state"),
        (zoneout(evaluation=lambda y: put(y, _0=99.0, _7=99.0)),
         "eval: 2 of 3072 values are not p * old + (1 - p) * new"),
        (zoneout(old_as=steeper), "training: the gradient of the old state is wrong"),
        (zoneout(new_as=steeper), "training: the gradient of the new state is wrong"),
        (zoneout(old_as=torch.Tensor.detach), "the gradient of the old state is wrong"),
    ],
)  # fmt: skip
def test_states_that_are_mixed_wrongly(target, said):
    assert said in fault("states-mixed", target, spec="zoneout").message


# --- Noise ----------------------------------------------------------------------------------------


def gaussian(noise, gradient=lambda factor: factor):
    def drop(x, p, training):
        if not training:
            return x
        factor = 1 + noise(torch.randn(x.shape)) * math.sqrt(p / (1 - p))
        return (x.detach() * factor) + (x - x.detach()) * gradient(factor)

    return drop


@pytest.mark.parametrize(
    ("noise", "said"),
    [
        (lambda z: z * 1.2, "y / x "),
        (lambda z: torch.where(z < -3.0902, -z, z), "in the outer thousandth"),
        (lambda z: torch.where(z > 3.0902, -z, z), "in the outer thousandth"),
    ],
)
def test_noise_of_another_distribution(noise, said):
    found = fault("noise-law", gaussian(noise), spec="gaussian", rate=0.006, most=1 << 24)
    assert found.message.startswith("p=")
    assert said in found.message


@pytest.mark.parametrize(("error", "is_right"), [(2.0**-23, True), (1e-4, False)])
def test_the_gradient_of_noise_has_the_noise_of_y(error, is_right):
    target = gaussian(lambda z: z, lambda factor: factor * (1 + error))
    if is_right:
        run("noise-law", target, spec="gaussian")
    else:
        assert fault("noise-law", target, spec="gaussian").message == (
            "p=0.001: the gradient has other noise than y"
        )


def test_the_gradient_of_added_noise_is_the_incoming_one():
    def drop(x, std, training):
        noise = std * torch.randn(x.shape)
        return x + noise + (x - x.detach()) * noise if training else x

    found = fault("noise-law", drop, spec="gaussian-noise")
    assert found.message == "p=0.1: the gradient has other noise than y"
