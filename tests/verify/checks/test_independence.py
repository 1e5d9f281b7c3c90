"""What the checks of independence say of masks whose bits depend on each other."""

import pytest
import torch

from torchdropout.verify import stats
from torchdropout.verify.checks import independence
from verify.broken._common import draw, select
from verify.checks._alone import SHARE, fault, made, reason, run


def masked(change, when=lambda x: True):
    """A dropout whose mask is changed where its input is as `when` says."""
    return made(lambda x, p: select(x, change(draw(x, p)) if when(x) else draw(x, p), p))


def repeating(lag):
    """Each second stretch of so many bits is the one before it."""

    def change(mask):
        pairs = mask[: len(mask) // (2 * lag) * 2 * lag].view(-1, 2, lag)
        pairs[:, 1] = pairs[:, 0]
        return mask

    return change


@pytest.mark.parametrize("lag", [1, 5, 131072])
def test_bits_that_repeat_at_a_lag(lag):
    found = fault("lag-independence", masked(repeating(lag), lambda x: x.numel() > 1000))
    assert f"p=0.5, lag {lag}: 0 of 1310" in found.message
    assert found.figures["correlation"] == 1.0
    (figure,) = [row for row in found.figures["lags"] if row["lag"] == lag]
    assert figure["correlation"] == 1.0
    limit = stats.smallest_seen(131068, 0.5, SHARE / 2 / 21, power=0.5) / 0.5
    assert figure["limit"] == pytest.approx(limit)


def test_places_of_short_calls_that_repeat():
    def change(mask):
        mask[130] = mask[7]
        return mask

    found = fault("lag-independence", masked(change, lambda x: x.numel() == 131))
    assert found.message.startswith("p=0.5, places 7 and 130 of 131: 0 of 367 calls differ")


@pytest.mark.parametrize(("axis", "name"), list(enumerate(independence.AXES)))
def test_neighbours_along_an_axis_that_share_their_draws(axis, name):
    def change(mask):
        if mask.ndim == 4:
            pairs = mask.unflatten(axis, (-1, 2))
            pairs.select(axis + 1, 1).copy_(pairs.select(axis + 1, 0))
        return mask

    found = fault("axis-independence", masked(change))
    assert found.message.startswith(f"p=0.5, {name} 1 apart: 0 of 53760 pairs differ")


@pytest.mark.parametrize("lag", [1, 3, 16])
def test_calls_that_repeat(lag):
    masks = []

    def drop(x, p):
        at = len(masks) % (2 * lag)
        masks.append(masks[-lag] if at >= lag else draw(x, p))
        return select(x, masks[-1], p)

    found = fault("call-independence", made(drop))
    assert found.message.startswith(f"p=0.5, {lag} calls apart: 0 of ")


@pytest.mark.parametrize("stride", [1, 32])
def test_a_bit_that_is_the_sum_of_two_others(stride):
    def change(mask):
        blocks = mask.view(-1, 8, stride)
        blocks[:, 7] = blocks[:, 2] ^ blocks[:, 5]
        return mask

    found = fault("joint-counts", masked(change))
    assert f" with stride {stride}: " in found.message
    assert "of 32768, expected 0.00390625" in found.message


@pytest.mark.parametrize(
    ("name", "size", "axes"), [("a call", 131, 1), ("a plane", 560, 2), ("a row", 28, 1)]
)
def test_as_many_are_dropped_of_each(name, size, axes):
    def drop(x, p):
        if (x.ndim == 4) is (name == "a call"):
            return select(x, draw(x, p), p)
        order = torch.rand(x.shape).flatten(-axes).argsort(-1)
        return select(x, (order < order.shape[-1] / 2).view(x.shape), p)

    found = fault("count-spread", made(drop))
    assert found.message.startswith(f"p=0.5, kept in {name} of {size}, ")
    assert " times, expected " in found.message


@pytest.mark.parametrize("p", [0.5, 0.9])
def test_a_stretch_that_repeats(p):
    width = max(64, stats.bits_to_tell(p, 65536**2 / 2, SHARE))
    first, second = (1000, 40000) if p == 0.5 else (20 * width, 200 * width)
    generator = torch.Generator().manual_seed(3)
    flat = torch.rand(65536, generator=generator) < p
    flat[second : second + width] = flat[first : first + width]
    flat[second + width] = ~flat[first + width]
    flat[second - 1] = ~flat[first - 1]
    assert run("mask-repeats", torch.nn.Dropout(p)).message.startswith("no ")
    found = fault("mask-repeats", OfParts(p, flat))
    assert found.message == (
        f"p=0.5: the {width} mask bits from element 1000 on repeat 39000 elements later, "
        "in 4 calls on 64 rows of 256"
        if p == 0.5
        else f"p=0.9: stretch 20 of {width} mask bits repeats as stretch 200"
    )
    assert (found.figures["width"], found.figures["n"]) == (width, 65536)


class OfParts(torch.nn.Module):
    def __init__(self, p, flat):
        super().__init__()
        self.p, self.flat, self.calls = p, flat, 0

    def forward(self, x):
        part = self.flat[16384 * self.calls : 16384 * (self.calls + 1)]
        self.calls += 1
        return select(x, part.view(x.shape), self.p)


def test_masks_that_are_too_sparse_to_search():
    for name, what in (("mask-repeats", "stretches of masks"), ("few-masks", "masks of 131 elem")):
        why = reason(name, torch.nn.Dropout(0.9999))
        assert why.startswith(f"p=0.9999 is too near 0 or 1 for {what}")


@pytest.mark.parametrize("repeats", [1, 2, 5])
def test_calls_of_a_small_pool(repeats):
    masks = []

    def drop(x, p):
        masks.append(masks[3] if 100 <= len(masks) < 100 + repeats else draw(x, p))
        return select(x, masks[-1], p)

    limit = stats.repeats_limit(367, SHARE / 2)
    assert limit == 2
    if repeats < limit:
        seen = run("few-masks", made(drop))
        assert seen.figures == {"calls": 367, "distinct": 366, "limit": 365}
    else:
        found = fault("few-masks", made(drop))
        assert found.message.endswith("in 367 calls; calls 3 and 100 have the same")
        assert found.figures == {"distinct": 367 - repeats, "calls": 367}


def test_bits_of_a_recurrence():
    def change(mask):
        if mask.numel() < 4096:
            return mask
        rows = mask.view(-1, 64, 64)
        # The sum of three, so that what is kept is the sum of what is kept, too.
        rows[:, 63] = rows[:, 0] ^ rows[:, 1] ^ rows[:, 2]
        rows[:, 62] = rows[:, 3] ^ rows[:, 4] ^ rows[:, 5]
        return mask

    found = fault("linear-rank", masked(change))
    assert found.message.startswith("rank 62 or less of 64: 64 of 64 matrices")
