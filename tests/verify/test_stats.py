import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, norm

from torchdropout.verify import stats

chances = st.floats(0.001, 0.999)


@given(st.integers(1, 400), chances, st.data())
def test_the_p_value_is_twice_the_smaller_exact_tail(n, p, data):
    count = data.draw(st.integers(0, n))
    low = binomtest(count, n, p, alternative="less").pvalue
    high = binomtest(count, n, p, alternative="greater").pvalue
    assert stats.binomial_p_value(count, n, p) == pytest.approx(min(1, 2 * min(low, high)))


@given(st.integers(1, 300), chances, st.floats(1e-9, 0.5))
def test_the_p_value_is_below_alpha_with_chance_alpha_at_most(n, p, alpha):
    counts = np.arange(n + 1)
    rejected = stats.binomial_p_values(counts, n, p) < alpha
    assert binom.pmf(counts[rejected], n, p).sum() <= alpha * (1 + 1e-9)


def test_the_slack_forgives_a_threshold_of_24_bits_and_no_more():
    # Just above a multiple of 2^-24, where rounding up costs most.
    n, p = 10**15, (1_677_721 + 0.02) / 2**24
    ceiling = math.ceil(p * 2**24) / 2**24
    assert stats.binomial_p_value(round(n * ceiling), n, p) < 1e-6
    assert stats.binomial_p_value(round(n * ceiling), n, p, stats.SLACK) > 0.5
    assert stats.binomial_p_value(round(n * (p - stats.SLACK)), n, p, stats.SLACK) > 0.5
    for far in (p + 2**-23, p - 2**-23):
        assert stats.binomial_p_value(round(n * far), n, p, stats.SLACK) < 1e-6
    # Nor does it reach beyond 0 and 1.
    assert stats.binomial_p_value(0, 100, 1e-9, stats.SLACK) == 1
    assert stats.binomial_p_value(100, 100, 1 - 1e-9, stats.SLACK) == 1


def power_of(n, p, alpha, true):
    """The exact chance that the test at p rejects when the rate is `true`."""
    counts = np.arange(n + 1)
    rejected = stats.binomial_p_values(counts, n, p) < alpha
    return binom.pmf(counts[rejected], n, true).sum()


@pytest.mark.integration
@settings(max_examples=40, deadline=None)
@given(st.integers(200, 5000), st.floats(0.05, 0.95), st.floats(1e-9, 1e-2))
def test_the_smallest_error_seen_is_seen_with_power_99_both_ways(n, p, alpha):
    change = stats.smallest_seen(n, p, alpha)
    powers = [power_of(n, p, alpha, t) for t in (p + change, p - change) if 0 < t < 1]
    assert all(power >= 0.99 - 1e-6 for power in powers)
    if len(powers) == 2:
        assert min(powers) == pytest.approx(0.99, abs=1e-6)
    # In the worse direction it is the smallest.
    half = [power_of(n, p, alpha, t) for t in (p + 0.9 * change, p - 0.9 * change) if 0 < t < 1]
    assert not half or min(half) < 0.99


@given(chances, st.floats(0.002, 0.1), st.floats(1e-10, 1e-3))
def test_the_size_suffices_to_see_the_change_it_was_computed_for(p, deviations, alpha):
    change = deviations * math.sqrt(p * (1 - p))
    n = stats.size_for(p, change, alpha)
    if n * p * (1 - p) > 200:
        assert stats.smallest_seen(n, p, alpha) == pytest.approx(change, rel=0.25)


@given(st.integers(2, 40), st.integers(1, 9), st.integers(1, 4), st.data())
def test_disjoint_pairs_are_at_the_lag_and_use_no_bit_twice(size, lag, other, data):
    axis = data.draw(st.integers(0, 2))
    shape = [other, other + 1, other + 2]
    shape[axis] = size
    index = np.arange(math.prod(shape)).reshape(shape)
    first, second = stats.disjoint_pairs(index, lag, axis)
    step = lag * math.prod(shape[axis + 1 :])
    assert (second - first == step).all()
    used = np.concatenate([first.ravel(), second.ravel()])
    assert len(set(used)) == used.size == 2 * lag * (size // (2 * lag)) * index.size // size


@pytest.mark.parametrize("distance", [80, 81, 1001, 5003, 9000])
def test_a_repeat_is_found_at_any_distance(distance):
    bits = np.random.default_rng(distance).random(20_000) < 0.5
    assert stats.find_repeat(bits, 80) is None
    bits[7 + distance : 7 + distance + 80] = bits[7:87]
    first, second = stats.find_repeat(bits, 80)
    # The bits around may happen to agree as well.
    assert second - first == distance
    assert abs(first - 7) < 8


def test_a_repeat_of_a_window_that_does_not_go_on_is_no_repeat():
    bits = np.random.default_rng(1).random(20_000) < 0.5
    bits[5000:5064] = bits[100:164]
    bits[5064] = not bits[164]
    bits[4999] = not bits[99]
    assert stats.find_repeat(bits, 64) == (100, 5000)
    assert stats.find_repeat(bits, 65) is None


@pytest.mark.parametrize("p", [0.5, 0.1])
def test_bits_to_tell_keep_the_chance_of_equal_masks(p):
    bits = stats.bits_to_tell(p, pairs=1e6, chance=1e-9)
    assert 1e6 * stats.bits_agree(p) ** bits <= 1e-9 < 1e6 * stats.bits_agree(p) ** (bits - 1)


def repeats(masks, pool, rng):
    drawn = np.sort(rng.integers(0, pool, masks))
    return np.count_nonzero(drawn[1:] == drawn[:-1])


def test_a_pool_of_the_size_seen_shows_itself_99_times_in_100():
    masks = stats.masks_for_pool(1e6, 1e-8)
    limit = stats.repeats_limit(masks, 1e-8)
    pool = int(stats.pool_seen(masks, limit))
    assert pool >= 1e6
    rng = np.random.default_rng(3)
    caught = sum(repeats(masks, pool, rng) >= limit for _ in range(400))
    # Below this with chance 1e-4 if the power is .99.
    assert caught >= binom.ppf(1e-4, 400, 0.99)
    # And with a pool ten times as large it is not: the figure is not an understatement.
    assert sum(repeats(masks, 10 * pool, rng) >= limit for _ in range(400)) < 200


@pytest.mark.parametrize(
    ("masks", "alpha"), [(2, 1e-3), (100_000, 0.9), (100_000, 1e-3), (10**7, 1e-8)]
)
def test_the_limit_of_repeats_is_the_smallest_of_its_alpha(masks, alpha):
    limit = stats.repeats_limit(masks, alpha)
    mean = masks * (masks - 1) / (2 * 2**32)  # as many as torch's CPU generator has seeds
    assert binom.sf(limit - 1, masks, mean / masks) <= alpha  # as many or more
    assert limit >= mean + 1  # where the bound holds
    # No lower one will do.
    assert limit - 1 < mean + 1 or binom.sf(limit - 2, masks, mean / masks) > alpha


# Ranks over GF(2)


def test_the_chances_of_all_ranks_add_up_to_one():
    for size in (1, 2, 8, 64):
        assert sum(stats.rank_chance(size, lost) for lost in range(size + 1)) == pytest.approx(1)


def test_the_chances_are_those_of_all_small_matrices():
    matrices = np.array(list(itertools.product([False, True], repeat=9))).reshape(-1, 3, 3)
    wide = np.zeros((len(matrices), 64, 64), dtype=bool)
    wide[:, :3, :3] = matrices
    wide[:, range(3, 64), range(3, 64)] = True
    counts = np.bincount(stats.ranks(wide) - 61, minlength=4)
    want = [512 * stats.rank_chance(3, 3 - rank) for rank in range(4)]
    assert counts.tolist() == pytest.approx(want)


@pytest.mark.parametrize("rank", [0, 1, 63, 64, 128])
def test_a_product_of_two_random_factors_has_their_rank(rank):
    generator = np.random.default_rng(rank)
    # Triangular with ones on the diagonal: regular, so the product has the inner dimension as rank.
    left = np.tril(generator.integers(0, 2, (4, 128, 128)), -1) + np.eye(128, dtype=int)
    right = np.triu(generator.integers(0, 2, (4, 128, 128)), 1) + np.eye(128, dtype=int)
    product = left[:, :, :rank] @ right[:, :rank] % 2
    shuffled = product[:, generator.permutation(128)]
    assert stats.ranks(shuffled.astype(bool)).tolist() == [rank] * 4


def test_an_interval_holds_the_rate_as_often_as_it_says():
    n, p = 60, 0.2
    held = [
        binom.pmf(k, n, p)
        for k in range(n + 1)
        if stats.interval(k, n)[0] <= p <= stats.interval(k, n)[1]
    ]
    assert 0.99 <= sum(held) < 0.999
    assert stats.interval(0, 10)[0] == 0
    assert stats.interval(10, 10)[1] == 1


def test_many_counts_have_the_p_values_of_each_alone():
    counts = np.arange(132).reshape(2, 66) % 40
    rates = np.linspace(0.1, 0.9, 132).reshape(2, 66)
    one = stats.binomial_p_values(counts, 40, 0.3)
    assert one.shape == (2, 66)
    assert one.max() == 1
    each = stats.binomial_p_values(counts, 40, rates)
    for at in ((0, 0), (0, 50), (1, 65)):
        assert one[at] == stats.binomial_p_value(int(counts[at]), 40, 0.3)
        assert each[at] == stats.binomial_p_value(int(counts[at]), 40, float(rates[at]))
    in_a_row = stats.binomial_p_values(counts.ravel(), 40, rates.ravel())
    assert in_a_row.tolist() == each.ravel().tolist()
    distinct = np.arange(70)
    alone = [stats.binomial_p_value(int(count), 80, 0.5) for count in distinct]
    assert stats.binomial_p_values(distinct, 80, 0.5).tolist() == alone


def test_the_examples_of_sizes():
    assert stats.size_for(0.1, 0.00218, 1e-6) == 986647
    assert stats.size_for(0.5, 0.5, 0.5) == 16
    assert stats.size_for(0.5, 0.1, 0.01, power=0.5) == pytest.approx(
        0.25 * (norm.isf(0.005) / 0.1) ** 2, abs=1
    )
    assert stats.bits_to_tell(0.5, pairs=1, chance=2.0**-40) == 40
    assert stats.pairs_differ(0.1) == pytest.approx(0.18)
    assert stats.bits_agree(0.1) == pytest.approx(0.82)
    assert stats.count_differing(np.array([1, 0, 1]), np.array([1, 1, 0])) == (2, 3)
    low, high, chance = stats.centre_of(100, 0.5)
    assert (low, high, round(chance, 3)) == (47, 53, 0.516)
    assert stats.interval(50, 100) == pytest.approx((0.3689, 0.6311), abs=1e-4)
    assert stats.interval(50, 100, 0.5) == pytest.approx((0.4605, 0.5395), abs=1e-3)
    assert stats.interval(1, 10)[0] > 0
    assert stats.interval(9, 10)[1] < 1


@pytest.mark.parametrize(("n", "p", "sets"), [(131, 0.5, 1000), (560, 0.9, 10_000)])
def test_a_spread_of_the_size_seen_moves_counts_out_of_the_centre_or_into_it(n, p, sets):
    factor = stats.spread_seen(n, p, sets, 1e-8)
    chance = stats.centre_of(n, p)[2]
    change = stats.smallest_seen(sets, chance, 1e-8)
    width = norm.isf((1 - chance) / 2)
    less = chance - (1 - 2 * norm.sf(width / factor))
    more = 1 - 2 * norm.sf(width * factor) - chance
    assert min(less, more) == pytest.approx(change)
    # Two counts tell nothing.
    assert 1e9 < stats.spread_seen(n, p, 2, 1e-8) < math.inf


def test_a_family_takes_the_most_extreme_of_many_counts_and_one_rate_for_each():
    family = stats.Family(0.1, 4)
    assert family.each == 0.025
    family.extreme("a", 90, 100, 0.5, 0.0, 7)
    assert family.tests[0].p_value == 7 * stats.binomial_p_value(90, 100, 0.5)
    family.extreme("b", 50, 100, 0.5, 0.0, 7)
    assert family.tests[1] == stats.Test("b", 50, 100, 0.5, 1.0)
    family.binomials(["c", "d"], [20, 60], 100, [0.25, 0.5])
    assert family.tests[2:] == [
        stats.Test("c", 20, 100, 0.25, stats.binomial_p_value(20, 100, 0.25, stats.SLACK)),
        stats.Test("d", 60, 100, 0.5, stats.binomial_p_value(60, 100, 0.5, stats.SLACK)),
    ]
    assert family.worst.label == "a"
    assert [test.label for test in family.rejected()] == ["a"]
    with pytest.raises(ValueError, match="a family of 4 tests got more: e"):
        family.extreme("e", 50, 100, 0.5, 0.0, 7)
