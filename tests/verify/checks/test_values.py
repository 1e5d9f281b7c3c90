"""What the checks of values say of what is wrong."""

import math

import pytest
import torch

from verify.broken._common import draw, select
from verify.checks._alone import fault, halves, made, put, reason, run

NAN = math.nan


@pytest.mark.parametrize("training", [True, False])
def test_an_input_that_is_written_to(training):
    def write(x, p):
        x[:3] = 7.0
        return x

    target = made(**{"training" if training else "evaluation": write})
    found = fault("input-unmodified", target)
    mode = "training" if training else "eval"
    assert found.message == f"3 of 1024 values of x changed in a call in {mode}"
    assert found.figures == {"changed": 3}


def masked(differs):
    """Every second element is dropped, except that some inputs are shifted by one."""
    return made(lambda x, p: halves(x, p, int(differs(x))))


@pytest.mark.parametrize(
    ("differs", "name"),
    [
        (
            lambda x: bool(
                (x < 0).any() and x.max() > 0 and (x[1:] < x[:-1]).any() and x.abs().max() < 9
            ),
            "values of both signs",
        ),
        (lambda x: bool((x[1:] >= x[:-1]).all() and x[0] < x[-1]), "sorted values"),
        (lambda x: x.abs().max() < 3e-30, "values near 1e-30"),
        (lambda x: 1e20 < x.abs().max() < 3e30, "values near 1e30"),
        (lambda x: bool((x == -1).all()), "negative ones"),
    ],
)
def test_a_mask_that_depends_on_the_values(differs, name):
    found = fault("value-mask", masked(differs))
    assert found.message == (
        f"{name}: a different mask from that for ones after the same seed, at 256 of 256 places"
    )
    assert found.figures == {"differ": 256}


def test_a_mask_that_depends_on_zeros():
    found = fault("value-mask", masked(lambda x: bool((x == 0).any())))
    # Of 256 ones, every third from the second on is a zero.
    assert found.message == (
        "an input with zeros: a different mask from that for ones after the same seed, at "
        "171 of 171 places that are not zero"
    )
    assert found.figures == {"differ": 171}


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("negative", -1.0), ("positive", 1.0), ("tiny", 1e-30), ("small and negative", -1e-3),
        ("large", 1e4), ("large and negative", -1e4), ("huge", 1e30),
    ],
)  # fmt: skip
def test_a_class_of_values_that_is_dropped_less(name, size):
    low, high = sorted((size / 2, size * 2))

    def drop(x, p):
        return select(x, draw(x, p) & ~((x >= low) & (x <= high) & (draw(x, p))), p)

    found = fault("value-rate", made(drop))
    assert found.message.startswith(f"p=0.5, {name} values: 0.2")
    assert "of 6668 dropped, expected 0.5" in found.message


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (
            lambda x: torch.where(x.isinf(), 7.0, x),
            "kept places of an input full of inf hold 7",
        ),
        (
            lambda x: put(x, _1=5.0) if bool((x < 0).all()) else x,
            "kept places of an input full of -inf hold 5",
        ),
        (lambda x: torch.nan_to_num(x, nan=0.5, posinf=math.inf, neginf=-math.inf),
         "kept places of an input full of nan hold 0.5"),
        (lambda x: x * 0 if bool((x > 0).all()) else x,
         "kept places of an input full of inf hold 0"),
        (lambda x: torch.zeros_like(x) if bool(x.isnan().all()) else x,
         "kept places of an input full of nan hold 0"),
        (lambda x: -x if bool((x > 0).all()) else x,
         "kept places of an input full of inf hold -inf"),
    ],
)  # fmt: skip
def test_what_is_not_finite_and_kept_must_stay(rule, message):
    def drop(x, p):
        y = rule(x)
        return torch.where(torch.arange(len(x)) % 2 == 0, 0.0, y)

    assert fault("nonfinite-kept", made(drop)).message == f"p=0.5: {message}"


@pytest.mark.parametrize("dropped", [0.0, NAN])
def test_what_is_dropped_may_be_0_or_nan(dropped):
    def drop(x, p):
        return torch.where(torch.arange(len(x)) % 2 == 0, dropped, x)

    run("nonfinite-kept", made(drop))


@pytest.mark.parametrize(
    ("rule", "value", "nan"),
    [
        (lambda x: put(x, _1=NAN, _3=NAN), "inf", 2),
        (lambda x: put(x, _1=NAN) if bool((x[2:] < 0).all()) else x, "-inf", 1),
        (lambda x: x if bool(x.isnan().any()) else put(x, _0=0.0), "nan", 256),
    ],
)
def test_what_is_not_finite_and_dropped_must_be_0(rule, value, nan):
    def drop(x, p):
        y = rule(x)
        return y if bool(y.isnan().all()) else put(y, _0=0.0)

    found = fault("nonfinite-dropped", made(drop))
    assert found.message == (
        f"p=0.5: {nan} of 256 values are NaN for an input full of {value}, expected 0 where dropped"
    )
    assert found.figures["nan"] == nan
    assert str(found.figures["value"]) == value


def test_an_infinity_that_is_never_0():
    target = made(lambda x, p: x)
    assert fault("nonfinite-dropped", target).message.startswith("p=0.5: 0 of 256 values are NaN")


# --- In place -------------------------------------------------------------------------------------


def in_place(rule, evaluation=lambda x: x):
    """A dropout with an argument `inplace`: what it does where that is true."""

    def drop(x, p, training, inplace=False):
        if not training:
            return evaluation(x)
        return rule(x, p) if inplace else select(x, draw(x, p), p)

    return drop


def right(x, p):
    return x.masked_fill_(draw(x, p), 0).mul_(1 / (1 - p))


def half_written(x, p):
    y = select(x, draw(x, p), p)
    x.data[:2] = y[:2] + 1
    x.data[2:] = y[2:]
    return y


def past_autograd(x, p):
    x.data.copy_(select(x.data, draw(x, p), p))
    return x


class OtherMask(torch.autograd.Function):
    """It writes with one mask, and drops one place more or less of the gradient."""

    @staticmethod
    def forward(ctx, x, p):
        ctx.mark_dirty(x)
        ctx.mask, ctx.p = draw(x, p), p
        return x.copy_(select(x, ctx.mask, p))

    @staticmethod
    def backward(ctx, gradient):
        ctx.mask[0] = ~ctx.mask[0]
        return select(gradient, ctx.mask, ctx.p), None


def forgets_scale(x, p):
    drop = draw(x, p)
    x.masked_fill_(drop, 0)
    if bool((x.detach().abs() > 2).any()):  # a second call on y
        return x
    return x.mul_(1 / (1 - p))


class Shared(torch.nn.Module):
    """All calls write into one result."""

    def __init__(self, p=0.5, inplace=False):
        super().__init__()
        self.p, self.inplace, self.last = p, inplace, None

    def forward(self, x):
        if not self.training:
            return x
        if self.inplace and self.last is not None and self.last.shape == x.shape:
            self.last.data.zero_()
        self.last = right(x, self.p) if self.inplace else select(x, draw(x, self.p), self.p)
        return self.last


def test_a_write_that_is_right():
    assert run("inplace-claim", in_place(right)).message == "inplace=True writes y into x"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            in_place(lambda x, p: select(x, draw(x, p), p)),
            "inplace=True: x is unchanged after the call",
        ),
        (in_place(half_written), "inplace=True: x differs from y at 2 of 256 places"),
        (in_place(lambda x, p: right(x, p) * 1), "inplace=True: y is a copy, in memory other"),
        (in_place(lambda x, p: right(x, p).mul_(1 - p)), "inplace=True: p=0.5: "),
        (Shared, "inplace=True: a second call, on another tensor, changed the result of the first"),
        (in_place(forgets_scale), "inplace=True, a second call on y: p=0.5: "),
        (
            in_place(right, lambda x: x.mul_(2)),
            "inplace=True, in eval: x is not x at 256 places",
        ),
        (
            in_place(right, lambda x: put(x, _5=7.0)),
            "inplace=True, in eval: y is not x at 1 places",
        ),
        (in_place(past_autograd), "inplace=True, the gradient through y"),
        (
            in_place(OtherMask.apply),
            "inplace=True, the gradient through y: a different mask from y at 1 of 256 places",
        ),
    ],
)
def test_a_write_that_is_wrong(target, message):
    assert fault("inplace-claim", target).message.startswith(message)


def test_what_has_no_such_argument():
    assert reason("inplace-claim", made()) == (
        "it has no argument `inplace`, or does not get the caller's own x"
    )
