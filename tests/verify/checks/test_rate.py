"""What the checks of the rate say of what is wrong."""

import re

import numpy as np
import pytest
import torch

from torchdropout.verify.checks import rate as checks
from verify.broken._common import draw, select
from verify.checks._alone import context, fault, made, reason, run


def at(p, rate):
    return made(lambda x, given: select(x, draw(x, rate if given == p else given), given))


@pytest.mark.parametrize(("p", "rate"), [(0.001, 0.004), (0.5, 0.55), (0.999, 0.99)])
def test_a_rate_that_is_wrong_at_one_p(p, rate):
    ctx = context(at(p, rate))
    with pytest.raises(Exception, match=rf"^p={p:.3g}: 0\.\d+ of 73623 dropped, expected "):
        checks.drop_rate.run(ctx)
    assert ctx.known.bad_rates == {p}


@pytest.mark.parametrize(("rate", "is_right"), [(0.0625, True), (0.125, True), (0.04, False)])
def test_a_rate_that_is_held_to_some_bits(rate, is_right):
    """It may be any between two multiples of 1/16, and an error is seen from one to the other."""
    if is_right:
        sees = run("drop-rate", at(0.1, rate), spec="plain:bits=4").sees
        assert float(re.search(r"([\d.]+) at p=0\.1,", sees)[1]) > 1 / 16
    else:
        fault("drop-rate", at(0.1, rate), spec="plain:bits=4")


@pytest.mark.parametrize(
    ("is_short", "places", "dropped", "said"),
    [
        (True, lambda i: i == 130, False, "place 130 of 131: 0 of 367"),
        (True, lambda i: i == 0, True, "place 0 of 131: 1 of 367"),
        (False, lambda i: i % 128 == 3, False, "places 3 modulo 128: 0 of 2048"),
        (False, lambda i: i % 256 == 255, False, "places 255 modulo 256: 0 of 1024"),
        (False, lambda i: i >= (1 << 18) // 64 * 63, False, "part 64 of 64: 0 of 4096"),
    ],
)
def test_places_that_are_never_dropped_or_always(is_short, places, dropped, said):
    def drop(x, p):
        mask = draw(x, p)
        if (len(x) <= 131) is is_short:
            mask = torch.where(places(torch.arange(len(x))), dropped, mask)
        return select(x, mask, p)

    assert fault("position-rate", made(drop)).message.startswith(f"p=0.5, {said} dropped, expected")


@pytest.mark.parametrize(("calls", "applies"), [(400, True), (399, False)])
def test_places_are_compared_where_hardly_any_mask_repeats(monkeypatch, calls, applies):
    """One in a hundred may."""
    masks = np.random.default_rng(0).random((calls, 131)) < 0.5
    masks[1:5] = masks[0]
    monkeypatch.setattr(checks, "small_calls", lambda ctx: masks)
    if applies:
        run("position-rate", made())
    else:
        assert reason("position-rate", made()) == "not checked: masks repeat, see few-masks"
