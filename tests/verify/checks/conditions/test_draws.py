"""The draws of each place in every condition, and of calls on millions of elements."""

import itertools
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from torchdropout.verify import conditions as of
from torchdropout.verify import stats
from torchdropout.verify.checks.conditions import draws
from torchdropout.verify.conditions import Condition
from torchdropout.verify.context import Fault, Skip
from torchdropout.verify.registry import STATISTICAL
from torchdropout.verify.specs.names import SPECS
from verify.broken._common import draw, select
from verify.checks._alone import (
    Gradient,
    context,
    counted,
    fault,
    halves,
    made,
    noted,
    put,
    reason,
    run,
)
from verify.correct import specs

SHARE = 1e-6 * 0.99 / STATISTICAL  # of the false-alarm rate, for each check that counts


@pytest.fixture
def asked(monkeypatch):
    """The factors and the designs of conditions, of which none is tried."""
    found = []

    def everywhere(ctx, factors, claim, design):
        found.append((factors, design, claim))
        family = next(
            cell.cell_contents
            for cell in claim.__closure__
            if isinstance(cell.cell_contents, stats.Family)
        )
        family.binomial("here", 50, 100, 0.5)
        return design, 0

    monkeypatch.setattr(draws, "everywhere", everywhere)
    return found


@pytest.mark.parametrize(
    ("target", "spec", "level", "p"),
    [
        (torch.nn.Dropout, None, {}, [0.5]),
        (torch.nn.Dropout, None, {"most": 1 << 27}, [0.1, 1 / 3, 0.5, 0.9]),
        (torch.nn.Dropout(0.3), None, {}, [0.3]),
        (torch.nn.Dropout(0.05), None, {}, [0.05]),
        (torch.nn.Dropout(0.95), None, {}, [0.95]),
        (specs.attention, None, {}, None),
        (specs.n_of_m, "n-of-m", {"most": 1 << 27, "strength": 2}, [0.25, 0.5, 0.75]),
        (specs.relaxed, "concrete", {"most": 1 << 27}, [0.1, 0.5, 0.9]),  # and not 0.05
    ],
)
def test_the_p_at_which_places_are_told_apart(asked, target, spec, level, p):
    if p is None:
        assert reason("draws-everywhere", target, spec="attention") == "see attention-everywhere"
        return
    run("draws-everywhere", target, spec=spec, **level)
    ((factors, design, _),) = asked
    assert factors["p"] == p
    assert {c.p for c in design} == set(p)


@pytest.mark.parametrize(
    ("target", "spec", "why"),
    [
        (
            torch.nn.Dropout(0.04),
            None,
            "p is too near 0 or 1 for the draws of two places to be told apart in this time",
        ),
        (
            torch.nn.Dropout(0.96),
            None,
            "p is too near 0 or 1 for the draws of two places to be told apart in this time",
        ),
        (
            torch.nn.Dropout(0.3),
            "plain:bits=8",
            "no p is held exactly: the exact distribution is not known",
        ),
        (specs.whole_batch, "drop-path-batch", "a call makes one draw"),
        (
            specs.DropBlock,
            "drop-block",
            "places in a block depend on each other, and the rate depends on the place",
        ),
    ],
)
def test_what_it_does_not_apply_to(target, spec, why):
    assert reason("draws-everywhere", target, spec=spec) == why


def test_a_p_at_which_the_rate_is_wrong_is_left_out(asked):
    ctx = context(torch.nn.Dropout, most=1 << 27)
    ctx.bad_rates |= {0.1, 0.5}
    draws.draws_everywhere.run(ctx)
    assert asked[0][0]["p"] == [1 / 3, 0.9]


@pytest.mark.parametrize(
    ("target", "spec", "shapes", "modes"),
    [
        (torch.nn.Dropout, None, of.SHAPES, 4),
        (specs.tokens, "tokens", ((131,),), 1),
        (specs.dropout_add, "dropout-add", of.SHAPES, 4),
    ],
)
def test_the_shapes_and_modes_in_which_places_are_told_apart(asked, target, spec, shapes, modes):
    run("draws-everywhere", target, spec=spec)
    ((factors, *_),) = asked
    assert tuple(factors["shape"]) == shapes
    assert len(factors["mode"]) == modes


@pytest.mark.parametrize(
    ("target", "spec", "less"), [(torch.nn.Dropout, None, 0), (specs.alpha, "alpha", 1)]
)
def test_what_is_decoded_has_a_smaller_design(asked, target, spec, less):
    run("draws-everywhere", target, spec=spec, strength=2)
    ((factors, design, _),) = asked
    # Each of 15 shapes in each of 4 dtypes, where pairs are covered.
    pairs = {(c.shape, c.dtype) for c in design if math.prod(c.shape) >= 24}
    shapes = sum(math.prod(shape) >= 24 for shape in factors["shape"])
    assert (len(pairs) == 4 * shapes) is (less == 0)


def test_the_tests_of_all_conditions_share_the_rate():
    found = counted("draws-everywhere", torch.nn.Dropout)
    conditions = int(re.search(r"in (\d+) conditions of shape, layout, dtype, mode$",
                               found.seen.sees)[1])  # fmt: skip
    assert {size for _, size in found.shares} == {12 * conditions}
    assert sum("all places" in label for label, *_ in found.tests) == conditions


@pytest.mark.parametrize("shape", [(), (3,), (4, 6)])
def test_the_calls_in_one_condition(shape, monkeypatch):
    condition = Condition({"p": 0.5, "shape": shape, "dtype": torch.float16, "mode": "no_grad"})
    monkeypatch.setattr(draws, "designed", lambda *_: [condition])
    guards = []

    def drop(x, p):
        guards.append(torch.is_grad_enabled())
        return select(x, draw(x, p), p)

    target, calls = noted(made(drop))
    run("draws-everywhere", target)
    size = max(2, math.prod(shape))
    times = draws.calls_to_tell(0.5, size, SHARE / 12)
    assert calls == {(shape, 0.5, True): times}
    assert not any(guards)


# --- The masks of calls ---------------------------------------------------------------------------


def test_a_bit_for_each_draw():
    ctx = context(specs.channels, spec="dropout2d")
    kept = torch.rand(7, 3, 4, 1, 1) < 0.5
    outputs = list((kept * 2.0).expand(7, 3, 4, 2, 5))
    assert np.array_equal(draws._own_masks(ctx, outputs, 0.5), kept.reshape(7, 12).numpy())
    outputs[2] = outputs[2].clone()
    outputs[2][1, 2, 0, 0] = 2.0 if outputs[2][1, 2, 0, 0] == 0 else 0.0
    with pytest.raises(Fault, match=r"a draw is kept in part along the axes marked \* of 'n c"):
        draws._own_masks(ctx, outputs, 0.5)


def test_values_that_are_nan():
    ctx = context(torch.nn.Dropout)
    outputs = [torch.ones(3), torch.tensor([0.0, math.nan, math.nan])]
    with pytest.raises(Fault, match="2 of 6 values are NaN"):
        draws._own_masks(ctx, outputs, 0.5)
    found = draws._own_masks(ctx, [torch.ones(2, 2), torch.zeros(2, 2)], 0.5)
    assert found.tolist() == [[True] * 4, [False] * 4]


# --- A large call ---------------------------------------------------------------------------------

N = (1 << 20) + 13
WIDTH = stats.bits_to_tell(0.5, N**2 / 2, SHARE / 2)  # that no two stretches share by chance


def test_what_a_large_call_is_tested_for():
    found = counted("large-call", torch.nn.Dropout)
    edges = [N * k // 8 for k in range(9)]
    sizes = [b - a for a, b in itertools.pairwise(edges)]
    lags = [1, 2, 3, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096]
    names = [f"a call on {N} elements, part {i} of 8" for i in range(1, 9)]
    wanted = []
    for name, size in zip(
        [*names, f"a call on {N} elements, the last 64 elements"], [*sizes, 64], strict=True
    ):
        wanted.append((f"{name}, dropped", size, 0.5, 2.0**-24))
        wanted += [
            (f"{name}, pairs at a lag of {lag} that differ", size // (2 * lag) * lag, 0.5, 2.0**-23)
            for lag in lags
            if 2 * lag <= size
        ]
    assert found.tests == wanted
    # Nine parts, and two calls on long shapes, in which no place is told apart at quick.
    ((share, size),) = found.shares
    assert (share, size) == (pytest.approx(SHARE / 2), 9 * 14 + 2 * 12)
    each = stats.smallest_seen(N // 8, 0.5, SHARE / 2 / (9 * 14 + 2 * 12))
    assert found.seen.sees == (f"a rate error of {each:.2g} in an eighth of a call on {N} elements")


@pytest.mark.parametrize(("spec", "first"), [(None, N), ("dropout-add", N // 2 | 1)])
def test_the_calls_on_many_elements(spec, first):
    def plain(x, p, training):
        return select(x, draw(x, p), p) if training else x

    def add(x, p, training, residual, bias):
        return residual + select(x + bias, draw(x, p), p) if training else residual + x + bias

    drop, calls = noted(add if spec else plain)
    run("large-call", drop, spec=spec)
    assert [(shape, p, training) for shape, p, training, *_ in calls] == [
        (shape, 0.5, True) for shape in ((first,), (70_001,), (65_601, 1))
    ]
    assert set(calls.values()) == {1}


@pytest.mark.parametrize(
    ("target", "spec", "why"),
    [
        (
            specs.attention,
            "attention",
            "its input is made by the verifier, in calls of a limited size",
        ),
        (
            specs.DropBlock,
            "drop-block",
            "its input is made by the verifier, in calls of a limited size",
        ),
        (specs.whole_batch, "drop-path-batch", "a call makes one draw"),
    ],
)
def test_what_is_not_called_on_many_elements(target, spec, why):
    assert reason("large-call", target, spec=spec) == why


@pytest.mark.parametrize(
    ("spec", "cost", "most", "n"),
    [
        ("plain", 1, 1 << 18, N),
        ("plain", 1, 1 << 27, (1 << 22) + 13),
        ("alpha", 4, 1 << 18, (1 << 18) + 3),
        ("feature-alpha", 32, 1 << 18, (1 << 15) + 1),
        ("dropout2d", 12, 1 << 18, 87_381),  # a multiple of the three channels
    ],
)
def test_the_elements_of_a_large_call(spec, cost, most, n, monkeypatch):
    assert SPECS[spec].cost == cost

    def one_call(ctx, built, shape, call):
        raise Skip(str(shape))

    monkeypatch.setattr(draws, "_one_call", one_call)
    ctx = context(made(), spec=spec, most=most)
    with pytest.raises(Skip, match=re.escape(f"({n},)")):
        draws.large_call.run(ctx)


@pytest.mark.parametrize(("cost", "lags"), [(28, 12), (32, 11), (4096, 4)])
def test_the_lags_and_repeats_of_a_costly_large_call(cost, lags, monkeypatch):
    ctx, families, widths = context(made()), [], []
    object.__setattr__(ctx.subject, "spec", replace(ctx.spec, cost=cost))
    monkeypatch.setattr(draws, "_one_call", lambda c, b, shape, call: torch.rand(shape) >= 0.5)
    monkeypatch.setattr(draws, "_long_calls", lambda ctx, p, shape, family: families.append(family))
    monkeypatch.setattr(stats, "find_repeat", lambda bits, width: widths.append(width))
    draws.large_call.run(ctx)
    # A lag is compared in a part that has more than four times as many elements.
    assert families[0].size == 9 * (1 + lags) + 2 * 12
    assert widths == [64]


def large(rule):
    return made(lambda x, p: rule(x, p) if x.numel() == N else select(x, draw(x, p), p))


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (
            lambda x, p: put(halves(x, p), **{f"_{N - 1}": 9.0}),
            f"a call on {N} elements: p=0.5: 1 of",
        ),
        (
            lambda x, p: select(x, torch.cat([draw(x[:-64], p), torch.zeros(64).bool()]), p),
            f"a call on {N} elements, the last 64 elements, dropped: none of 64, expected 0.5",
        ),
        (
            lambda x, p: select(x, draw(x, p) | (draw(x, p) & (torch.arange(N) > N // 8 * 7)), p),
            f"a call on {N} elements, part 8 of 8, dropped: ",
        ),
        (
            lambda x, p: select(x, draw(x[: N // 2 + 1], p).repeat(2)[:N], p),
            f"a call on {N} elements: the {WIDTH} mask bits from element ",
        ),
    ],
)
def test_a_large_call_that_is_wrong_somewhere(rule, said):
    found = fault("large-call", large(rule))
    assert found.message.startswith(said)
    if "mask bits" in said:
        assert found.message.endswith(f" on repeat {N // 2 + 1} elements later")
        assert found.figures["second"] - found.figures["first"] == N // 2 + 1


@pytest.mark.parametrize("at", [0, N - 1])
def test_the_gradient_of_a_large_call_that_is_wrong_somewhere(at):
    def rule(x, p):
        mask = draw(x, p)
        return Gradient.apply(
            x, select(x, mask, p), lambda g: put(select(g, mask, p), **{f"_{at}": 9.0})
        )

    found = fault("large-call", large(rule))
    assert found.message.startswith("1 of ")
    assert "values of the gradient are wrong, such as 9, expected" in found.message


def test_a_gradient_that_raises_names_the_call():
    def drop(x, p):
        y = select(x, draw(x, p), p)
        return Gradient.apply(x, y, lambda g: g[:1]) if x.ndim == 2 else y

    assert fault("large-call", made(drop)).message.startswith(
        "the gradient of a call on shape (65601, 1) raised RuntimeError"
    )


@pytest.mark.parametrize(
    ("p", "most", "calls"),
    [(0.5, 1 << 18, 1), (0.9, 1 << 18, 1), (0.04, 1 << 24, 1), (0.96, 1 << 24, 1)],
)
def test_long_shapes_are_called_once_where_places_are_not_told_apart(p, most, calls):
    target, counts = noted(made())
    ctx = context(target, most=most)
    family = ctx.family(12)
    draws._long_calls(ctx, p, (50, 3), family)
    assert counts == {((50, 3), p, True): calls}
    assert family.tests == []


def test_long_shapes_are_called_often_to_tell_places_apart():
    target, counts = noted(made())
    ctx = context(target, most=1 << 24)
    family = ctx.family(12)
    draws._long_calls(ctx, 0.5, (50, 3), family)
    # Four that compare values, since a place may be dropped in one.
    calls = draws.calls_to_tell(0.5, 150, family.each)
    assert counts == {((50, 3), 0.5, True): calls + 4}
    assert family.tests[0].label == f"{calls} calls on shape (50, 3), all places"
    assert family.tests[0].n == calls * 150
