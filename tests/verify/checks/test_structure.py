"""What the checks of a kind measure, and what they say of what is wrong."""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import torchdropout.nn
from torchdropout.verify import stats
from torchdropout.verify.checks import structure
from torchdropout.verify.context import Fault
from torchdropout.verify.registry import STATISTICAL
from torchdropout.verify.specs import Blocks
from torchdropout.verify.specs.names import SPECS
from torchdropout.verify.subject import GRID
from verify._zoo import SMALL
from verify.checks._alone import counted, fault, made, noted, put, reason, run
from verify.correct import specs

SHARE = 1e-6 * 0.99 / STATISTICAL  # of the false-alarm rate, for each check that counts
CONTEXT = SimpleNamespace(
    normal=lambda *shape: torch.linspace(0.5, 2, math.prod(shape)).reshape(shape),
    subject=SimpleNamespace(has_gradient=True),
)

# --- Shared draws ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "rule", "shape"),
    [
        ("dropout2d", specs.channels, (256, 6, 2, 3)),
        ("locked", specs.locked, (256, 2, 6)),
        ("columns:first,unscaled", specs.masked_features, (2, 256)),
    ],
)
def test_what_shares_draws_is_called_on_256_samples_with_6_channels(spec, rule, shape):
    target, calls = noted(rule)
    run("shared-mask", target, spec=spec)
    assert calls == {
        (shape, p, training): 4 if training else 1 for p in GRID for training in (True, False)
    }


def test_what_makes_one_draw_is_called_on_one_sample():
    target, calls = noted(specs.whole_batch)
    assert run("shared-mask", target, spec="drop-path-batch").message.startswith("one draw along ")
    assert {shape for shape, *_ in calls} == {(2, 3)}


SHARE_ONE = "the axes marked * of 'n c * *' share one"


@pytest.mark.parametrize(
    ("training", "message"),
    [
        (
            lambda x: put(x, _0=0.0, _6=0.0, _7=0.0),
            f"2 of 1536 draws are kept in part, in y; {SHARE_ONE}",
        ),
        (
            lambda x: x * torch.tensor([0.0, 1.0])[:, None],
            f"1536 of 1536 draws are kept in part, in y; {SHARE_ONE}; "
            "here axis 0 and 1 and 3 does: another --spec?",
        ),
        (
            lambda x: x.detach() + (x - x.detach()) * put(torch.ones_like(x), _11=0.0),
            f"1 of 1536 draws are kept in part, in the gradient; {SHARE_ONE}",
        ),
    ],
)
def test_a_draw_that_is_kept_in_part(training, message):
    scaled = made(lambda x, p: training(x) / (1 - p))
    found = fault("shared-mask", scaled, spec="dropout2d")
    assert found.message == message
    assert found.figures == {"split": int(message.partition(" ")[0])}


def test_what_shares_draws_and_changes_x_in_eval():
    target = made(evaluation=lambda x, p: put(x, _9215=0.0) if p == 0.999 else x)

    def drop(x, p, training):
        return x / (1 - p) if training else target(x, p, False)

    assert fault("shared-mask", drop, spec="dropout2d").message == "eval does not return x"


def test_a_constant_zero_has_no_gradient_to_look_at():
    run("shared-mask", made(lambda x, p: torch.zeros(x.shape)), spec="dropout2d")
    with pytest.raises(RuntimeError, match="does not require grad"):
        run("shared-mask", made(lambda x, p: x.detach() / (1 - p)), spec="dropout2d")


def test_kinds_that_share_nothing():
    assert (
        reason("shared-mask", specs.alpha, spec="alpha") == "applies only to kinds that share draws"
    )


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        ([[1, 1], [0, 0]], "; here axis 1 does: another --spec?"),
        ([[1, 0], [1, 0]], "; here axis 0 does: another --spec?"),
        ([[1, 1], [1, 1]], "; here axis 0 and 1 does: another --spec?"),
        ([[1, 0], [0, 1]], ""),
        ([[1], [0]], ""),  # an axis of one place shares nothing
    ],
)
def test_which_axes_share_draws_instead(kept, said):
    assert structure._instead(torch.tensor(kept).bool()) == said


# --- Blocks ---------------------------------------------------------------------------------------


def blocks(*places, everywhere=1.0):
    """Drops these places of the first plane, of which each is `(rows, columns)`."""

    def drop(x, p):
        y = x * everywhere
        for plane, rows, columns in places:
            y[plane, 0, rows, columns] = 0
        return y

    return made(drop)


WHOLE = [(i, slice(3, 10), slice(4, 11)) for i in range(3)]
CUT_OFF = (5, slice(0, 4), slice(11, 16))


def test_blocks_that_are_whole():
    target, calls = noted(blocks(*WHOLE, CUT_OFF))
    seen = run("block-shape", target, spec="drop-block")
    assert seen.message == "whole blocks of 7 x 7, 2048 planes"
    assert calls == {((2048, 1, 16, 16), 0.05, True): 1}


@pytest.mark.parametrize(
    ("places", "message", "figures"),
    [
        (
            [(0, 3, 3), (1, slice(0, 7), slice(3, 9))],
            "p=0.05: 43 dropped places are not in a block of 7 x 7",
            {"loose": 43},
        ),
        (
            [(0, slice(3, 11), slice(3, 11)), CUT_OFF],
            "p=0.05: the smallest of 1 dropped areas away from the border has 64 places, "
            "expected 49",
            {"smallest": 64},
        ),
        (
            [(0, slice(1, 8), slice(1, 9)), (2, slice(3, 10), slice(3, 12))],
            "p=0.05: the smallest of 2 dropped areas away from the border has 56 places, "
            "expected 49",
            {"smallest": 56},
        ),
    ],
)
def test_areas_that_are_not_blocks(places, message, figures):
    found = fault("block-shape", blocks(*places), spec="drop-block")
    assert (found.message, found.figures) == (message, figures)


def test_blocks_at_the_border_alone():
    assert reason("block-shape", blocks(CUT_OFF), spec="drop-block") == (
        "no plane has a block away from its border"
    )


@pytest.mark.parametrize(
    ("alone", "said"),
    [(30.0, "whole blocks of 7, 2048 planes"), (29.9, "where hardly one is alone")],
)
def test_thirty_blocks_alone_are_enough(monkeypatch, alone, said):
    """The chance that there is none is then 1e-13."""
    monkeypatch.setattr(structure, "_single", lambda spec, p, planes: alone)
    target = made(lambda x, p: put(x, **{f"_{i}": 0.0 for i in range(3, 10)}))
    assert said in run("block-shape", target, spec="drop-block1d").message


def test_blocks_that_are_hardly_ever_alone():
    """A block of 15 of a line of 16 places cannot be away from both of its ends."""
    seen = run("block-shape", made(lambda x, p: x), spec="drop-block1d:block=15")
    assert seen.message == ("blocks of 15 or more at p=0.05, where hardly one is alone")


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("block", [1, 2, 3])
def test_the_most_in_a_block(dims, block):
    x = torch.rand(3, 1, *[6] * dims)
    found = structure._most_in_blocks(x, Blocks(dims=dims, size=6, block=block))
    wanted = x
    for axis in range(2, 2 + dims):
        wanted = wanted.unfold(axis, block, 1).amax(-1)
    assert torch.equal(found, wanted)


@pytest.mark.parametrize(
    ("size", "block", "dims", "inner"),
    [
        (16, 7, 2, 8 / 10),
        (16, 7, 1, 8 / 10),
        (5, 3, 3, 1 / 3),
        (5, 4, 2, 0),
        (5, 6, 1, 0),
        (3, 7, 2, 0),
    ],
)
def test_how_many_planes_have_one_block_away_from_their_border(size, block, dims, inner):
    """The seeds of a plane are as many as it has on average, and the places of a block equal."""
    seeds = -math.log(1 - 0.1) * size**dims / block**dims
    wanted = 100 * seeds * math.exp(-seeds) * inner**dims
    found = structure._single(Blocks(dims=dims, size=size, block=block), 0.1, 100)
    assert found == pytest.approx(wanted)


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
        lambda y, p: 1 / (1 - p),
        lambda y, p: 1 / (y != 0).double().mean(),
        lambda y, p: 1 / by_sample(y),
        lambda y, p: (1 + 0.9e-4) / (1 - p),
        lambda y, p: (1 - 0.9e-4) / (1 - p),
    ],
)
def test_scales_that_compensate_for_what_was_dropped(scale):
    target, calls = noted(scaled_blocks(scale))
    seen = run("scale-common", target, spec="drop-block")
    assert seen.message.startswith("one scale per call or sample")
    assert {shape for shape, *_ in calls} == {(64, 1, 16, 16)}


KEPT = 1 - (16 + 64) / 256, 1 - 16 / 256  # of the samples with an even number, and an odd one


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        (lambda y, p: torch.where(torch.arange(16) == 9, 2.0, 1.0), "different scales"),
        (lambda y, p: 1 + 2e-5 * (torch.arange(16) == 9), "different scales"),
        (
            lambda y, p: 1.0,
            "the scale of the first sample is 1, expected 1.05263 or one over the fraction kept, "
            f"{2 / sum(KEPT):.6g}",
        ),
        (lambda y, p: 1 / (1 - p) * (1 + 1.2e-4), "the scale of the first sample is 1.05276,"),
        # One sample in two has another one.
        (
            lambda y, p: torch.where(torch.arange(len(y)) % 2 == 0, 1 / (1 - p), 1 / KEPT[1])[
                :, None, None, None
            ],
            "the scale of the first sample is 1.05263,",
        ),
    ],
)
def test_scales_that_do_not(scale, message):
    found = fault("scale-common", scaled_blocks(scale), spec="drop-block")
    assert found.message.startswith("p=0.05: the ")
    assert message in found.message


def test_a_sample_of_which_nothing_is_kept_has_no_scale():
    def drop(x, p):
        y = x / (1 - p)
        y[0] = 0
        return y

    run("scale-common", made(drop), spec="drop-block")


# --- Counts ---------------------------------------------------------------------------------------


def test_256_groups_at_every_p_and_at_one_where_the_number_is_not_whole():
    target, calls = noted(specs.tokens)
    seen = run("fixed-count", target, spec="tokens")
    assert calls == {((256, 8, 2), p, True): 1 for p in (0.125, 0.25, 0.5, 0.75, 0.875, 0.3)}
    assert seen.message == "the requested number in each of 256 groups, at every p"
    target, calls = noted(specs.n_of_m)
    run("fixed-count", target, spec="n-of-m")
    assert calls == {((256, 4), p, True): 1 for p in (0.25, 0.5, 0.75, 0.3)}


CALLS = []


class Held(torch.nn.Module):
    """An instance that keeps the first two of each four."""

    def __init__(self):
        super().__init__()
        self.p = 0.5

    def forward(self, x):
        CALLS.append(len(x))
        return x * torch.tensor([1.0, 1.0, 0.0, 0.0]) * 2 if self.training else x


def test_an_instance_has_no_other_p_at_which_to_count():
    CALLS.clear()
    run("fixed-count", Held(), spec="n-of-m")
    assert CALLS == [256]


def first_of_four(count):
    """Keeps as many of the first of each four as a function of p and the group says."""

    def drop(x, p, training):
        if not training:
            return x
        kept = torch.tensor([count(p, i) for i in range(len(x))])
        return x * (torch.arange(4) < kept[:, None]) / (1 - p)

    return drop


@pytest.mark.parametrize(
    ("count", "message", "figures"),
    [
        (
            lambda p, i: 4 * (1 - p) + (i == 255) if p in (0.25, 0.5, 0.75) else 3,
            "p=0.25: groups of 4 keep 3, 4, expected 3",
            {"p": 0.25, "seen": [3, 4]},
        ),
        (
            lambda p, i: 1 if p == 0.75 else 2 if p == 0.5 else 3 if p == 0.25 else 2 + i % 2,
            "p=0.3: groups of 4 keep 2, 3, expected 2 or 3",
            {"p": 0.3, "seen": [2, 3]},
        ),
        (
            lambda p, i: 1 if p == 0.5 else 4 * (1 - p),
            "p=0.5: groups of 4 keep 1, expected 2",
            {"p": 0.5, "seen": [1]},
        ),
    ],
)
def test_groups_that_keep_another_number(count, message, figures):
    found = fault("fixed-count", first_of_four(count), spec="n-of-m")
    assert (found.message, found.figures) == (message, figures)


def test_groups_of_equal_values():
    def keeps_the_largest(x, p, training):
        least = x.sort(1).values[:, round(4 * p), None]
        return x * (x >= least) / (1 - p) if training else x

    found = fault("fixed-count", keeps_the_largest, spec="n-of-m")
    assert found.message == "p=0.25: groups of 4 keep 4, expected 3"


def test_a_call_on_groups_that_raises():
    def drop(x, p, training):
        raise IndexError("no group")

    for name, at in (("fixed-count", 0.25), ("subset-uniform", 0.5)):
        assert fault(name, drop, spec="n-of-m").message == (
            f"a call at p={at:g} in training raised IndexError: no group"
        )


@pytest.mark.parametrize(
    ("spec", "target", "n"), [("tokens", specs.tokens, 8), ("n-of-m", specs.n_of_m, 4)]
)
@pytest.mark.parametrize("rate", [0.003, 0.1])
def test_each_place_and_each_pair_of_a_group_is_counted(spec, target, n, rate):
    found = counted("subset-uniform", target, spec=spec, rate=rate, most=1 << 24)
    pairs = list(itertools.combinations(range(1, n + 1), 2))
    needed = stats.size_for(0.25, 5 * rate, SHARE / (n + len(pairs)))
    total = max(1, needed >> 14) << 14
    assert (total > 1 << 14) is (rate == 0.003)
    half = n // 2  # of which the place has k - 1 fellows among n - 1
    together = half * (half - 1) / (n * (n - 1))
    assert found.tests == [
        *((f"place {i} of {n} kept", total, 0.5, 2.0**-24) for i in range(1, n + 1)),
        *((f"places {i} and {j} of {n} kept", total, together, 2.0**-24) for i, j in pairs),
    ]
    assert {tests for _, tests in found.shares} == {n + len(pairs)}
    seen = stats.smallest_seen(total, 0.5, SHARE / (n + len(pairs)))
    assert found.seen.sees == f"a rate error of {seen:.2g} of a place"


@pytest.mark.parametrize(
    ("order", "found"),
    [
        (lambda u: torch.arange(4).expand(len(u), 4), "place 1 of 4 kept: 1 of 16384"),
        # Each place alike, and the first two together.
        (lambda u: (torch.arange(4) // 2 + (u[:, :1] < 0.5)) % 2 * 2, "places 1 and 2 of 4 kept"),
    ],
)
def test_choices_that_are_not_uniform(order, found):
    def drop(x, p, training):
        return x * (order(torch.rand(x.shape)) < 2) / (1 - p) if training else x

    assert found in fault("subset-uniform", drop, spec="n-of-m").message


def test_choices_weighted_by_values_are_uniform_where_those_are_equal():
    def drop(x, p, training):
        order = (torch.rand(x.shape).log() / x).argsort(1).argsort(1)
        return x * (order < 4 * p) / (1 - p) if training else x

    run("subset-uniform", drop, spec="n-of-m")


# --- Fused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [1e-5, 0.001, 0.999, 0.99999])
@pytest.mark.parametrize(
    ("name", "kind", "spec"),
    [("fused-composition", "DropoutAdd", "dropout-add"), ("states-mixed", "Zoneout", "zoneout")],
)
def test_a_module_is_checked_whatever_its_p(name, kind, spec, p):
    module = getattr(torchdropout.nn, kind)(p)
    assert run(name, module, spec=spec).message
    module.register_forward_hook(lambda module, args, y: y * 1.001)
    assert f"p={p:g}" in fault(name, module, spec=spec).message


def test_a_fused_dropout_is_called_in_both_modes_with_all_of_its_inputs():
    target, calls = noted(specs.dropout_add)
    seen = run("fused-composition", target, spec="dropout-add")
    assert seen.message == "residual + dropout(x + bias), and its three gradients"
    assert calls == {
        ((64, 48), p, training, (64, 48), (48,)): 1 for p in GRID for training in (True, False)
    }


def fused(p=0.5, change=lambda y: y, gradients=lambda *g: g, has_bias=True):
    """Check `residual + dropout(x + bias)` of 6 x 4 places, of which every third is dropped."""
    # The first x is -bias: with and without a drop there, y is the residual.
    x = put(torch.arange(24.0).reshape(6, 4) + 1, _0=-1.0).requires_grad_()
    residual = (torch.arange(24.0).reshape(6, 4) * 3 + 50).requires_grad_()
    bias = (torch.arange(4.0) + 1).requires_grad_()
    keep = torch.arange(24).reshape(6, 4) % 3 > 0 if p else torch.ones(6, 4).bool()

    class Fused(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, residual, bias):
            return change(residual + (x + bias) * keep / (1 - p))

        @staticmethod
        def backward(ctx, g):
            of_x = g * keep / (1 - p)
            return gradients(of_x, g.clone(), of_x.sum(0))

    leaves = [x, residual, bias]
    structure._fused(CONTEXT, p, Fused.apply(*leaves), leaves, has_bias)


@pytest.mark.parametrize("p", [0.0, 0.5, 0.9])
def test_a_fused_dropout_that_is_right(p):
    fused(p)
    fused(p, gradients=lambda x, r, b: (x * (1 + 2.0**-23), r, b * (1 + 2.0**-20)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda y: put(y, _1=0.0, _2=7.0), "2 of 24 values are neither the residual nor"),
        (lambda y: put(y, _0=7.0), "1 of 24 values are neither the residual nor"),
    ],
)
def test_values_that_are_not_the_sum(change, said):
    with pytest.raises(Fault) as caught:
        fused(change=change)
    assert caught.value.message == f"p=0.5: {said} residual + (x + bias) / (1 - p)"
    assert caught.value.figures == {"p": 0.5}


@pytest.mark.parametrize("p", [0.0, 0.5])
def test_a_bias_that_is_not_added(p):
    def change(y):
        x, residual = (
            torch.arange(24.0).reshape(6, 4) + 1,
            torch.arange(24.0).reshape(6, 4) * 3 + 50,
        )
        return torch.where(y == residual, residual, residual + x / (1 - p))

    with pytest.raises(Fault, match=r"1 - p.; the bias is not added$"):
        fused(p, change=change)


@pytest.mark.parametrize(
    ("gradients", "wrong"),
    [
        (lambda x, r, b: (x, r * 1.5, b), ["residual"]),
        (lambda x, r, b: (x, None, b), ["residual"]),
        (lambda x, r, b: (put(x, _1=0.0), r, b), ["x"]),
        (lambda x, r, b: (put(x, _0=1.0), r, b), ["x"]),
        (lambda x, r, b: (None, r, b), ["x"]),
        (lambda x, r, b: (x, r, put(b, _3=0.0)), ["bias"]),
        (lambda x, r, b: (x, r, b + 1e-3), ["bias"]),
        (lambda x, r, b: (x, r, None), ["bias"]),
        (lambda x, r, b: (x * 2, r * 2, b * 2), ["residual", "x", "bias"]),
        (lambda x, r, b: (x * (1 + 2.0**-19), r, b), ["x"]),
    ],
)
@pytest.mark.parametrize("p", [0.0, 0.5])
def test_gradients_of_a_fused_dropout_that_are_wrong(p, gradients, wrong):
    with pytest.raises(Fault) as caught:
        fused(p, gradients=gradients)
    assert caught.value.message == f"p={p:g}: the gradient of {' and '.join(wrong)} is wrong"
    assert caught.value.figures == {"p": p, "wrong": wrong}


def test_a_bias_that_is_not_there_has_no_gradient():
    fused(gradients=lambda x, r, b: (x, r, None), has_bias=False)


# --- Zoneout --------------------------------------------------------------------------------------


def test_zoneout_is_called_in_both_modes():
    target, calls = noted(specs.zoneout)
    assert run("states-mixed", target, spec="zoneout").message.startswith("new or old in training")
    assert calls == {
        ((64, 48), (64, 48), p, training): 1 for p in GRID for training in (True, False)
    }


def mixed(training, change):
    leaves = new, old = [torch.linspace(a, a + 1, 50).requires_grad_() for a in (1, 5)]
    is_old = torch.arange(50) % 3 == 0
    y = torch.where(is_old, old, new) if training else 0.25 * old + 0.75 * new
    structure._mixed(CONTEXT, 0.25, change(y), leaves, training)


@pytest.mark.parametrize(
    ("training", "message"),
    [
        (True, "p=0.25, training: 2 of 50 values are neither the new nor the old state"),
        (False, "p=0.25, eval: 2 of 50 values are not p * old + (1 - p) * new"),
    ],
)
def test_states_that_are_mixed_wrongly(training, message):
    with pytest.raises(Fault) as caught:
        mixed(training, lambda y: put(y, _0=3.0, _7=3.0))
    assert caught.value.message == message
    assert caught.value.figures == {"p": 0.25}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("state", ["new", "old"])
def test_a_state_whose_gradient_is_wrong(training, state):
    mode = "training" if training else "eval"
    leaves = new, old = [torch.linspace(a, a + 1, 50).requires_grad_() for a in (1, 5)]
    is_old = torch.arange(50) % 3 == 0
    given = {"new": new, "old": old}
    steeper = (1 + 2.0**-19) * (given[state] - given[state].detach())
    given[state] = given[state].detach() + steeper
    y = torch.where(is_old, given["old"], given["new"])
    y = y if training else 0.25 * given["old"] + 0.75 * given["new"]
    with pytest.raises(Fault) as caught:
        structure._mixed(CONTEXT, 0.25, y, leaves, training)
    assert caught.value.message == f"p=0.25, {mode}: the gradient of the {state} state is wrong"
    assert caught.value.figures == {"p": 0.25}


def test_a_state_without_a_gradient():
    leaves = new, old = [torch.linspace(a, a + 1, 50).requires_grad_() for a in (1, 5)]
    with pytest.raises(Fault, match="the gradient of the old state is wrong"):
        structure._mixed(CONTEXT, 0.25, 0.75 * new + (0.25 * old).detach(), leaves, False)
    none = SimpleNamespace(normal=CONTEXT.normal, subject=SimpleNamespace(has_gradient=False))
    y = (0.75 * new + 0.25 * old).detach()
    structure._mixed(none, 0.25, y, leaves, False)


# --- Noise ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "target", "grid", "what"),
    [
        ("gaussian", specs.gaussian, GRID, "y / x"),
        ("gaussian-noise", specs.gaussian_noise, (0.1, 0.5, 0.9), "y - x"),
    ],
)
@pytest.mark.parametrize("rate", [SMALL.rate, 0.02])
def test_noise_is_counted_below_and_between_its_quantiles(spec, target, grid, what, rate):
    found = counted("noise-law", target, spec=spec, rate=rate)
    size = len(grid) * (31 + 32 + 2)
    needed = stats.size_for(1 / 32, rate / 2, SHARE / size)
    n = -(-needed // min(1 << 14, needed)) * min(1 << 14, needed)
    assert found.tests == [
        test
        for p in grid
        for test in (
            *((f"p={p:.3g}, {what} below its {k / 32:g}-quantile", n, k / 32, 1e-6)
              for k in range(1, 32)),
            *((f"p={p:.3g}, {what} in interval {k} of 32", n, 1 / 32, 1e-6)
              for k in range(1, 33)),
            *((f"p={p:.3g}, {what} in the outer thousandth {side}", n, 0.001, 1e-6)
              for side in ("below", "above")),
        )
    ]  # fmt: skip
    assert {tests for _, tests in found.shares} == {size}
    whole = stats.smallest_seen(n, 0.5, SHARE / size)
    each = 3200 * stats.smallest_seen(n, 1 / 32, SHARE / size)
    assert found.seen.sees == (
        f"a distribution function off by {whole:.2g}, an interval hit {each:.2g} % too often"
    )


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


@pytest.mark.parametrize(
    ("gradient", "right"),
    [
        (lambda factor: factor * (1 + 2.0**-23), True),
        (lambda factor: factor + 1e-4, False),
        (lambda factor: torch.ones_like(factor), False),
    ],
)
def test_the_gradient_of_noise_has_the_noise_of_y(gradient, right):
    target = gaussian(lambda z: z, gradient)
    if right:
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


def test_quantiles_that_rounding_moves_are_left_out():
    inner, outer = structure._cuts(SPECS["concrete"].effect, 0.5)
    assert inner == SPECS["concrete"].effect.resolved(0.5, [k / 32 for k in range(1, 32)])
    assert 0 < len(inner) < 31
    assert outer == []
    inner, outer = structure._cuts(SPECS["gaussian"].effect, 0.5)
    assert inner == [k / 32 for k in range(1, 32)]
    assert outer == [0.001, 0.999]


@pytest.mark.parametrize(
    ("name", "target", "spec", "why"),
    [
        ("noise-law", specs.channels, "dropout2d", "applies only to continuous noise"),
        ("alpha-moments", specs.channels, "dropout2d", "applies only to alpha dropout"),
        (
            "alpha-moments",
            specs.feature_alpha,
            "feature-alpha",
            "applies only where each element has its own draw; kept-scale checks the values",
        ),
        (
            "alpha-moments",
            torch.nn.AlphaDropout(0.001),
            "alpha",
            "applies only at p from .01 to .99",
        ),
    ],
)
def test_kinds_that_a_check_does_not_apply_to(name, target, spec, why):
    assert reason(name, target, spec=spec) == why


# --- Alpha ----------------------------------------------------------------------------------------

ALPHA = -1.7580993408473766


@pytest.mark.parametrize("p", [None, 0.01, 0.99])
def test_alpha_dropout_is_counted_below_16_thresholds(p):
    found = counted(
        "alpha-moments", specs.alpha if p is None else torch.nn.AlphaDropout(p), spec="alpha"
    )
    grid = (0.1, 0.5, 0.9) if p is None else (p,)
    n = -(-stats.size_for(0.25, 3 * SMALL.rate, SHARE / (16 * len(grid))) // 64) * 64
    wanted = []
    for at in grid:
        a = ((1 - at) * (1 + at * ALPHA**2)) ** -0.5
        dropped, shift = a * ALPHA - a * at * ALPHA, -a * at * ALPHA
        for t in np.linspace(-2.5, 2.5, 17)[:16]:
            below = at * (dropped < t) + (1 - at) * stats.STANDARD.cdf((t - shift) / a)
            wanted.append((f"p={at:.3g}, y below {t:.3g}", n, pytest.approx(float(below)), 1e-6))
    assert found.tests == wanted
    assert found.seen.sees == (
        f"a fraction off by {stats.smallest_seen(n, 0.5, SHARE / len(wanted)):.2g}"
    )
    assert list(found.seen.figures["moments"]) == [f"{at:.3g}" for at in grid]


def test_the_moments_of_alpha_dropout_are_said_where_they_are_furthest_off():
    def drop(x, p, training):
        y = specs.alpha(x, p, training)
        return 3 * y if training and p == 0.9 else y

    message = fault("alpha-moments", drop, spec="alpha").message
    assert float(message.partition("variance ")[2].partition(";")[0]) == pytest.approx(9, rel=0.2)


# --- Attention ------------------------------------------------------------------------------------


def test_an_attention_that_drops_its_output():
    def attend(query, key, value, p, training):
        y = torch.softmax(query @ key.mT, -1) @ value
        if training:
            y[0, 0, 1, 3] = 0.0
            y[1, 1, 3, :7] = 0.0
        return y

    assert fault("probabilities-dropped", attend, spec="attention").message == (
        "2 of 16 rows differ between equal columns of v"
    )


def test_an_attention_may_return_its_weights_too():
    def attend(query, key, value, p, training):
        return specs.attention(query, key, value, p, training), "weights"

    seen = run("probabilities-dropped", attend, spec="attention")
    assert seen.message == "equal columns of v give equal outputs"
    target, calls = noted(specs.attention)
    run("probabilities-dropped", target, spec="attention")
    assert calls == {((2, 2, 4, 8), (2, 2, 32, 8), (2, 2, 32, 8), 0.5, True): 1}
