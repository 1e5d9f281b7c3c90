"""The page on power says what the results say, and the faults have the size they state."""

import re

import numpy as np
import pytest
import torch
from scipy.stats import binom

import scripts


@pytest.fixture(scope="module")
def power():
    with scripts.benchmark("power") as module:
        yield module


def test_the_page_holds_the_tables_of_the_committed_results(power):
    page = (power.DOCS / "power.md").read_text()
    for mark, body in power.tables(power.OUT).items():
        (found,) = re.findall(f"<!-- {mark} -->\n(.*?)<!-- end of {mark} -->", page, re.DOTALL)
        assert found.strip() == body.strip()


def test_every_curve_has_a_plot_on_the_page(power):
    page = (power.DOCS / "power.md").read_text()
    for name in power.CURVES:
        assert f"plots/power-{name}.svg" in page


def test_the_upper_bound_is_clopper_and_pearsons(power):
    assert power.upper(0, 1000) == pytest.approx(1 - 0.05 ** (1 / 1000))
    bound = power.upper(3, 200)
    assert binom.cdf(3, 200, bound) == pytest.approx(0.05)
    assert power.upper(5, 5) == 1
    low, high = power.interval(3, 200)
    assert binom.sf(2, 200, low) == pytest.approx(0.025)
    assert binom.cdf(3, 200, high) == pytest.approx(0.025)
    assert power.interval(0, 40)[0] == 0
    assert power.interval(40, 40)[1] == 1


def kept(target, size=1 << 20):
    torch.manual_seed(0)
    return (target(torch.ones(size)) != 0).numpy()


def correlation(bits, lag):
    return np.corrcoef(bits[:-lag], bits[lag:])[0, 1]


def test_the_faults_have_the_size_they_state(power):
    near = 5 / (1 << 10)
    rate = kept(lambda x: power.rate_error(x, 0.1, True, 0.05))
    assert rate.mean() == pytest.approx(0.85, abs=near)
    lag = kept(lambda x: power.correlated(x, 0.5, True, 0.1))
    assert correlation(lag, 1) == pytest.approx(0.1, abs=near)
    assert correlation(lag, 2) == pytest.approx(0, abs=near)
    chain = kept(lambda x: power.markov(x, 0.5, True, 0.3))
    assert [correlation(chain, k) for k in (1, 2)] == pytest.approx([0.3, 0.09], abs=near)
    lane = kept(lambda x: power.one_class(x, 0.5, True, 0.1, 16)).reshape(-1, 16).mean(axis=0)
    assert lane == pytest.approx([0.5, 0.4, *[0.5] * 14], abs=4 * near)
    bits = kept(lambda x: power.quantised(x, 0.1, True, 4))
    assert bits.mean() == pytest.approx(1 - 2 / 16, abs=near)
    tape = kept(power.Period(0.5, 1000), 5000)
    assert np.array_equal(tape[:1000], tape[1000:2000])
    masks = {kept(lambda x: power.pool(x, 0.5, True, 3), 64).tobytes()}
    masks |= {(power.pool(torch.ones(64), 0.5, True, 3) != 0).numpy().tobytes() for _ in range(50)}
    assert len(masks) == 3
    scaled = power.scale_error(torch.ones(64), 0.5, True, 1e-3)
    assert scaled.max() == pytest.approx(2.002)


@pytest.mark.parametrize("name", ["rate-0.1", "pool"])
def test_a_fault_of_no_size_is_none(power, name):
    result = power.verified(power.CURVES[name], 0.0, "quick", seed=1)
    assert result.status == "ok"
    assert power.CURVES[name].stated(result.sees) > 0


def test_a_fault_of_twice_the_size_that_is_stated_is_found_and_a_twentieth_is_not(power):
    curve = power.CURVES["rate-0.1"]
    stated = power.stated_by("rate-0.1", "quick")
    assert power.verified(curve, 2 * stated, "quick", seed=1).status == "fail"
    assert power.verified(curve, stated / 20, "quick", seed=1).status == "ok"
