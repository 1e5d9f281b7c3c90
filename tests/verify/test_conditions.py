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
from torchdropout.verify.specs.names import SPECS
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
def test_every_combination_that_can_be_is_in_the_design(strength):
    rows = [condition.levels for condition in design(FACTORS, strength, 0)]
    for factors in itertools.combinations(FACTORS, strength):
        seen = {tuple(row[factor] for factor in factors) for row in rows}
        wanted = set(itertools.product(*(FACTORS[factor] for factor in factors)))
        missing = {m for m in wanted - seen if _can_be(factors, m)}
        assert not missing
    assert all(conditions._is_possible(row) for row in rows)


def test_a_seed_gives_its_design_again_and_another_seed_another():
    first, again, other = (design(FACTORS, 2, seed) for seed in (0, 0, 1))
    assert list(map(str, first)) == list(map(str, again)) != list(map(str, other))
    assert len(first) < 200


@pytest.mark.parametrize("layout", conditions.LAYOUTS)
def test_a_layout_holds_the_values_and_nothing_else(layout):
    axis = expanded_axis(layout)
    for shape in (shape for shape in conditions.SHAPES if fits(layout, shape)):
        x = torch.rand(shape) + 1
        whole, given = arrange(x, layout)
        assert given.shape == x.shape
        expected = x if axis is None else x.narrow(axis, 0, 1).expand(shape)
        assert torch.equal(given, expected)
        held = x.numel() if axis is None else x.numel() // x.shape[axis]
        assert int((~whole.isnan()).sum()) == held


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
def test_places_that_share_draws_are_told(how, make):
    for calls in (66, 129, 300):
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


@pytest.mark.parametrize("multiple", [2, 16, 1024])
def test_what_a_loop_over_vectors_or_blocks_leaves_over_is_seen(multiple):
    assert long_calls(rest_dropped(multiple), conditions.LONG[0])


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
