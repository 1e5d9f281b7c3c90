"""The covering design covers, and a fault is found wherever two of its levels meet."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from torchdropout.verify import check_subject, conditions
from torchdropout.verify.checks.conditions import draws
from torchdropout.verify.checks.conditions._places import sharing
from torchdropout.verify.conditions import arrange, design, expanded_axis, fits
from torchdropout.verify.context import Context, Fault
from torchdropout.verify.registry import STATISTICAL
from torchdropout.verify.specs import PLAIN, parse
from torchdropout.verify.specs.names import SPECS
from torchdropout.verify.subject import Spec
from torchdropout.verify.targets import resolve
from verify import _zoo, generated

PAIRS = replace(_zoo.COARSE, strength=2, most=1 << 27)

FACTORS = {
    "p": conditions.P,
    "shape": conditions.SHAPES,
    "layout": conditions.LAYOUTS,
    "incoming": conditions.LAYOUTS,
    "dtype": conditions.DTYPES,
    "derivative": conditions.DERIVATIVES,
}


def _can_be(factors, levels):
    return conditions._is_possible(dict(zip(factors, levels, strict=True)))


@pytest.mark.parametrize("strength", [1, 2, 3])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_combination_that_can_be_is_in_the_design(strength, seed):
    rows = [condition.levels for condition in design(FACTORS, strength, seed)]
    for factors in itertools.combinations(FACTORS, strength):
        seen = {tuple(row[factor] for factor in factors) for row in rows}
        wanted = set(itertools.product(*(FACTORS[factor] for factor in factors)))
        missing = {m for m in wanted - seen if _can_be(factors, m)}
        assert not missing
    assert all(conditions._is_possible(row) for row in rows)


@pytest.mark.parametrize("seed", range(4))
def test_a_layout_is_chosen_for_a_shape_and_not_for_another_layout(seed):
    layouts = ("expanded first axis", "expanded last axis")
    factors = {"layout": layouts, "incoming": layouts, "shape": ((5, 1), (1, 5))}
    for row in design(factors, 1, seed):
        assert row.layout == row.incoming == layouts[row.shape == (1, 5)]


def test_a_seed_gives_its_design_again_and_another_seed_another():
    first, again, other = (design(FACTORS, 2, seed) for seed in (0, 0, 1))
    assert list(map(str, first)) == list(map(str, again)) != list(map(str, other))
    assert len(first) < 200


CASES = [(at, s) for at in conditions.LAYOUTS for s in conditions.SHAPES if fits(at, s)]


@pytest.mark.parametrize(("layout", "shape"), CASES, ids=str)
def test_a_layout_holds_the_values_and_nothing_else(layout, shape):
    x = torch.rand(shape) + 1
    whole, given = arrange(x, layout)
    assert given.shape == x.shape
    axis = expanded_axis(layout)
    expected = x if axis is None else x.narrow(axis, 0, 1).expand(shape)
    assert torch.equal(given, expected)
    assert int((~whole.isnan()).sum()) == (
        x.numel() if axis is None else x.numel() // x.shape[axis]
    )


def test_every_layout_is_its_own_in_some_shape():
    seen = {
        layout: {
            (given.stride(), given.storage_offset())
            for s in conditions.SHAPES
            if fits(layout, s)
            for given in [arrange(torch.zeros(s), layout)[1]]
        }
        for layout in conditions.LAYOUTS
    }
    for one, other in itertools.combinations(seen, 2):
        assert seen[one] - seen[other]
        assert seen[other] - seen[one]


def run_checks(drawn):
    report = check_subject(resolve(drawn.target), level=PAIRS, only=frozenset({drawn.claim.check}))
    return report.checks[0]


QUICK, SLOW = generated.zoo(17, seed=1), generated.zoo(85, seed=2)


@pytest.mark.integration
@pytest.mark.parametrize("drawn", QUICK, ids=str)
def test_a_fault_is_found_where_two_levels_meet(drawn):
    result = run_checks(drawn)
    assert result.status == "fail", result.message
    assert "raised" not in result.message


@pytest.mark.slow
@pytest.mark.parametrize("drawn", SLOW, ids=str)
def test_more_faults_are_found_where_two_levels_meet(drawn):
    test_a_fault_is_found_where_two_levels_meet(drawn)


@pytest.mark.integration
@pytest.mark.parametrize("claim", generated.CLAIMS, ids=lambda claim: claim.name)
def test_the_dropout_that_is_broken_nowhere_is_right(claim):
    nowhere = generated.Broken(claim, next(iter(claim.faults)), (("p", -1.0),))
    assert run_checks(nowhere).status == "ok"


def test_a_report_says_what_the_conditions_that_fail_have_in_common():
    values = generated.CLAIMS[0]
    drawn = generated.Broken(values, "too large", (("dtype", torch.float16),))
    assert "all with float16" in run_checks(drawn).message


@pytest.mark.parametrize(
    ("how", "make"),
    [
        ("the same draws", lambda bits: bits[:, 3]),
        ("opposite draws", lambda bits: ~bits[:, 3]),
        ("draws that return one call later", lambda bits: np.roll(bits[:, 3], 1)),
        ("draws whose opposites return one call later", lambda bits: ~np.roll(bits[:, 3], 1)),
        (None, lambda bits: np.roll(bits[:, 3], 2)),
    ],
)
@pytest.mark.parametrize("calls", [66, 129, 300])
def test_places_that_share_draws_are_told(how, make, calls):
    bits = np.random.default_rng(0).random((calls, 40)) < 0.5
    assert sharing(bits) is None
    bits[:, 17] = make(bits)
    found = sharing(bits)
    if how is None:
        assert found is None
    else:
        assert found[0] == how
        assert {frozenset(pair) for pair in found[1]} == {frozenset({3, 17})}


def long_calls(target, shape):
    """Whether calls on a long shape show a fault."""
    ctx = Context(resolve(target), PAIRS, 0, 1e-6, STATISTICAL)
    family = ctx.family(12)
    try:
        draws._long_calls(ctx, 0.5, shape, family)
    except Fault:
        return True
    return next(iter(family.rejected()), None) is not None


def rest_dropped(multiple):
    """A dropout that drops what is over modulo a number, above 2^16 elements."""

    def drop(x, p, training):
        keep = torch.rand(x.shape) >= p
        if x.numel() > 1 << 16:
            keep[x.numel() // multiple * multiple :] = False
        return x * keep / (1 - p) if training else x

    return drop


class RestWithoutGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, multiple):
        ctx.multiple = multiple
        ctx.save_for_backward(torch.nn.functional.dropout(torch.ones_like(x)))
        return x * ctx.saved_tensors[0]

    @staticmethod
    def backward(ctx, g):
        found = g * ctx.saved_tensors[0]
        found[len(g) // ctx.multiple * ctx.multiple :] = 0
        return found, None


@pytest.mark.parametrize("multiple", [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024])
def test_what_a_loop_over_vectors_or_blocks_leaves_over_is_seen(multiple):
    assert long_calls(rest_dropped(multiple), conditions.LONG[0])


@pytest.mark.parametrize("multiple", [32, 64, 128, 256, 512, 1024])
def test_so_is_what_its_backward_leaves_over(multiple):
    """17 or more, of which one in two is kept."""

    def drop(x, p, training):
        return RestWithoutGradient.apply(x, multiple)

    assert long_calls(drop, conditions.LONG[0])


@pytest.mark.parametrize("shape", conditions.LONG)
def test_a_right_dropout_passes_long_calls(shape):
    assert not long_calls(torch.nn.Dropout, shape)


@pytest.mark.parametrize("limit", [65_535, 65_536])
def test_rows_beyond_those_of_a_grid_are_seen(limit):
    def again(x, p, training):
        u = torch.rand(x.shape)
        u[limit:] = u[: len(x) - limit].clone()
        return x * (u >= p) / (1 - p)

    def passed(x, p, training):
        y = torch.nn.functional.dropout(x, p)
        return torch.cat([y[:limit], x[limit:]])

    assert long_calls(again, conditions.LONG[1])
    assert long_calls(passed, conditions.LONG[1])


@pytest.mark.parametrize("spec", ["dropout1d", "dropout2d", "dropout3d", "drop-path", "locked"])
def test_kinds_that_share_draws_have_as_many_rows(spec):
    (shape,) = conditions.long_shapes_of(SPECS[spec])
    own = [n for n, axis in zip(shape, SPECS[spec].pattern.split(), strict=True) if axis != "*"]
    assert np.prod(own) > 65_536


# What docs/power.md says of the factors


def test_the_p_of_a_claim_and_of_draws():
    assert conditions.P == (0.001, 0.1, 1 / 3, 0.5, 0.9, 0.99)
    assert conditions.P_OF_DRAWS == (0.1, 1 / 3, 0.5, 0.9)


@pytest.mark.parametrize(
    ("spec", "fixed", "draws", "expected"),
    [
        (PLAIN, None, False, conditions.P),
        (PLAIN, None, True, conditions.P_OF_DRAWS),
        (PLAIN, 0.3, True, (0.3,)),
        (Spec(grid=(0.05, 0.1, 0.5, 0.9, 0.95)), None, False, (0.05, 0.1, 0.5, 0.9, 0.95)),
        (Spec(grid=(0.05, 0.1, 0.5, 0.9, 0.95)), None, True, (0.1, 0.5, 0.9)),
        (Spec(grid=(0.05, 0.95)), None, True, (0.05, 0.95)),
    ],
)
def test_the_p_of_a_target(spec, fixed, draws, expected):
    assert conditions.p_of(spec, fixed, draws) == expected


def test_shapes_have_all_ranks_and_many_remainders():
    shapes = conditions.SHAPES
    assert {len(shape) for shape in shapes} == set(range(7))
    sizes = {np.prod(shape, dtype=int) for shape in shapes}
    assert {size % 16 for size in sizes} == {0, 1, 2, 3, 6, 7, 9, 12, 13}
    # Powers of two, single rows, columns and samples, wide rows; of these, some are prime.
    assert {(2048,), (64, 32), (1, 1027), (1021, 1), (2, 4099), (1031,), (1, 3, 17, 19)} <= {
        *shapes
    }
    assert {1, 0} <= {size % 128 for size in sizes}
    assert {31, 63} | {17, 129} <= {axis for shape in shapes for axis in shape}  # next to powers
    assert max(sizes) == 8198


@pytest.mark.parametrize(
    ("kind", "elements"),
    [
        (
            "plain",
            [1, 1, 1031, 2048, 1027, 1021, 8198, 2048, 1953, 2193, 969, 1920, 2220, 1890, 1260],
        ),
        ("dropout3d", [1, 765, 6144, 19_425, 297, 6150, 16_384, 12_096]),
    ],
)
def test_how_many_elements_each_shape_has(kind, elements):
    """The paths that a kernel takes depend on it, and so does the time of a run."""
    assert [np.prod(s, dtype=int) for s in conditions.shapes_of(parse(kind))] == elements


def test_long_shapes_are_above_the_limits_of_a_kernel():
    ((long,), rows) = conditions.LONG
    assert long == 70_001 > 1 << 16
    assert [long % n for n in (16, 32, 64, 1024)] == [1, 17, 49, 369]
    assert rows == (65_601, 1)
    assert [rows[0] % n for n in (2, 32)] == [1, 1]
    n, c, shared = conditions.LONG_PROFILE
    assert n * c == 65_611
    assert shared == (2, 1, 1)


@pytest.mark.parametrize(
    ("kind", "first", "count"),
    [
        ("plain", conditions.SHAPES[:3], 15),
        ("alpha", conditions.SHAPES[:3], 15),  # any number of axes
        ("tokens", conditions.SHAPES[:3], 15),  # a view makes its inputs
        ("dropout2d", ((1, 1, 1, 1), (1, 3, 17, 5), (2, 6, 16, 16)), 8),
        ("dropout1d", ((1, 1, 1), (1, 3, 17), (2, 6, 16)), 8),
        ("drop-path", ((1, 1, 1), (3, 17, 5), (12, 16, 16)), 8),
        ("locked", ((1, 1, 1), (1, 17, 3), (2, 16, 6)), 8),
        ("columns", ((1, 1), (17, 3), (16, 12)), 8),
        ("drop-path-batch", ((1, 1), (17, 5), (16, 16)), 8),
        ("drop-path-batch:axes=1", ((1,), (17,), (16,)), 6),  # some profiles are the same then
    ],
)
def test_the_shapes_of_a_kind(kind, first, count):
    shapes = conditions.shapes_of(parse(kind))
    assert shapes[:3] == first
    assert len(shapes) == len(set(shapes)) == count


@pytest.mark.parametrize(
    ("layout", "shapes"),
    [
        ("contiguous", [(), (1,), (5,), (2, 3), (2, 3, 4, 5)]),
        ("offset", [(), (1,), (5,), (2, 3), (2, 3, 4, 5)]),
        ("every second row", [(1,), (5,), (2, 3), (2, 3, 4, 5)]),
        ("columns cut", [(1,), (5,), (2, 3), (2, 3, 4, 5)]),
        ("transposed", [(2, 3), (2, 3, 4, 5)]),
        ("channels_last", [(2, 3, 4, 5)]),
        ("channels_last, channels cut", [(2, 3, 4, 5)]),
        ("expanded first axis", [(5,), (2, 3), (2, 3, 4, 5), (2, 1)]),
        ("expanded last axis", [(5,), (2, 3), (2, 3, 4, 5), (1, 2)]),
    ],
)
def test_the_shapes_that_fit_a_layout(layout, shapes):
    known = [(), (1,), (5,), (2, 3), (2, 3, 4, 5)]
    asked = [*known, *(shape for shape in shapes if shape not in known)]
    assert [shape for shape in asked if fits(layout, shape)] == shapes
    assert fits(layout, (2, 3, 4, 5, 6))
    assert fits(layout, (2, 3, 4, 5, 6, 7)) is ("channels" not in layout)
    assert conditions.is_expanded(layout) is layout.startswith("expanded")
    assert expanded_axis(layout) == {"first": 0, "last": -1}.get(layout[9:-5])


@pytest.mark.parametrize(
    ("layout", "whole", "strides", "offset"),
    [
        ("contiguous", (2, 3, 4, 5), (60, 20, 5, 1), 0),
        ("offset", (128,), (60, 20, 5, 1), 3),
        ("every second row", (4, 3, 4, 5), (120, 20, 5, 1), 0),
        ("columns cut", (2, 3, 4, 10), (120, 40, 10, 1), 2),
        ("transposed", (5, 3, 4, 2), (1, 8, 2, 24), 0),
        ("channels_last", (2, 3, 4, 5), (60, 1, 15, 3), 0),
        ("channels_last, channels cut", (2, 6, 4, 5), (120, 1, 30, 6), 1),
        ("expanded first axis", (1, 3, 4, 5), (0, 20, 5, 1), 0),
        ("expanded last axis", (2, 3, 4, 1), (12, 4, 1, 0), 0),
    ],
)
def test_where_the_elements_of_a_layout_lie(layout, whole, strides, offset):
    memory, given = arrange(torch.rand(2, 3, 4, 5), layout)
    assert tuple(memory.shape) == whole
    assert (given.stride(), given.storage_offset()) == (strides, offset)


def test_a_volume_is_laid_out_in_channels_last():
    for layout in ("channels_last", "channels_last, channels cut"):
        memory, given = arrange(torch.rand(2, 3, 4, 5, 6), layout)
        assert memory.is_contiguous(memory_format=torch.channels_last_3d)
        assert given.stride(1) == 1


@pytest.mark.parametrize(
    ("row", "is_possible"),
    [
        ({}, True),
        ({"derivative": "second derivative", "layout": "expanded first axis"}, False),
        ({"derivative": "second derivative", "incoming": "expanded last axis"}, False),
        ({"derivative": "gradient", "layout": "expanded first axis"}, True),
        ({"derivative": "second derivative", "layout": "transposed"}, True),
        ({"shape": (3,), "layout": "transposed"}, False),
        ({"shape": (3,), "incoming": "transposed"}, False),
        ({"shape": (3,), "layout": "offset", "incoming": "transposed"}, False),
        ({"shape": (3,), "layout": "offset", "incoming": "offset"}, True),
        ({"shape": (3, 2), "layout": "transposed"}, True),
    ],
)
def test_what_can_be_together(row, is_possible):
    assert conditions._is_possible(row) is is_possible


@pytest.mark.parametrize(
    ("levels", "text"),
    [
        ({"p": 1 / 3, "shape": (2, 3)}, "p=0.3333, shape (2, 3)"),
        ({"shape": (), "dtype": torch.float16}, "shape (), float16"),
        (
            {
                "shape": (2,),
                "incoming": "offset",
                "before": "a larger call",
                "layout": "transposed",
            },
            "shape (2,), incoming gradient offset, after a larger call, transposed",
        ),
        # What is as usual is not named.
        ({"shape": (2,), "dtype": torch.float32, "mode": "grad mode"}, "shape (2,)"),
    ],
)
def test_a_condition_in_words(levels, text):
    condition = conditions.Condition(levels)
    assert str(condition) == text
    assert condition.layout == levels.get("layout", "contiguous")
    assert condition.derivative == "gradient"
    assert condition.dtype == levels.get("dtype", torch.float32)


@pytest.mark.parametrize(
    ("factor", "level", "text"),
    [
        ("p", 0.3, "p=0.3"),
        ("dtype", torch.bfloat16, "bfloat16"),
        ("shape", (2, 3), "shape (2, 3)"),
        ("incoming", "offset", "incoming gradient offset"),
        ("before", "nothing", "after nothing"),
        ("layout", "offset", "offset"),
        ("mode", "autocast", "autocast"),
    ],
)
def test_a_level_in_words(factor, level, text):
    assert conditions.say(factor, level) == text


def test_a_strength_above_the_number_of_factors_covers_all_combinations():
    factors = {"p": (0.1, 0.5), "dtype": (torch.float32, torch.float16)}
    for strength in (2, 3):
        rows = design(factors, strength, 0)
        assert {(row.p, row.dtype) for row in rows} == set(itertools.product(*factors.values()))
        assert len(rows) == 4
        assert list(rows[0].levels) == ["p", "dtype"]
    assert len(design(factors, 1, 0)) == 2
    # A greedy cover of the pairs is near the 9 that a Latin square has.
    threes = {name: range(3) for name in "abcd"}
    assert 9 <= len(design(threes, 2, 0)) <= 13
