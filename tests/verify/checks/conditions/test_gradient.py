"""A gradient that is compared with that of a mask, in any layout."""

import pytest
import torch

from torchdropout.verify.checks.conditions._gradient import compare
from torchdropout.verify.conditions import Condition
from torchdropout.verify.context import Fault
from torchdropout.verify.rounding import ulp

KEPT = torch.tensor([[True, False, True], [True, True, False]])
INCOMING = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
RIGHT = torch.where(KEPT, INCOMING * 2, 0.0)


def of(layout):
    return Condition({"p": 0.5, "shape": (2, 3), "layout": layout})


def changed(places, value=9.0):
    found = RIGHT.clone()
    for row, column in places:
        found[row, column] = value
    return found


@pytest.mark.parametrize(
    ("places", "said"),
    [
        ([(0, 0)], "1 of 6 values of the gradient are wrong, such as 9, expected 2"),
        ([(0, 1), (1, 1)], "2 of 6 values of the gradient are wrong, such as 9, expected 0"),
    ],
)
def test_values_that_are_wrong(places, said):
    with pytest.raises(Fault) as caught:
        compare(changed(places), KEPT, INCOMING, 0.5, of("contiguous"), "gradient")
    assert caught.value.message == said
    assert caught.value.figures == {"wrong": len(places)}


def test_nan_is_wrong():
    found = changed([(0, 1)], float("nan"))
    with pytest.raises(Fault, match="1 of 6 values of the tangent are wrong, such as nan"):
        compare(found, KEPT, INCOMING, 0.5, of("contiguous"), "tangent")


@pytest.mark.parametrize(("ulps", "is_right"), [(0, True), (3, True), (-3, True), (5, False)])
def test_values_may_be_three_ulps_off(ulps, is_right):
    found = RIGHT.double() + ulps * ulp(RIGHT.double(), torch.float32) * KEPT
    grad = found.float()
    if is_right:
        compare(grad, KEPT, INCOMING, 0.5, of("contiguous"), "gradient")
    else:
        with pytest.raises(Fault, match="4 of 6 values"):
            compare(grad, KEPT, INCOMING, 0.5, of("contiguous"), "gradient")


@pytest.mark.parametrize(
    ("layout", "axis"), [("expanded first axis", 0), ("expanded last axis", 1)]
)
def test_elements_that_share_memory_get_their_sum(layout, axis):
    summed = torch.zeros(2, 3)  # of x, only the first is in memory
    summed.narrow(axis, 0, 1).copy_(RIGHT.sum(axis, keepdim=True))
    compare(summed, KEPT, INCOMING, 0.5, of(layout), "gradient")
    with pytest.raises(Fault, match=f"^2 of {3 - axis} values of the gradient"):
        compare(RIGHT, KEPT, INCOMING, 0.5, of(layout), "gradient")
    # A derivative or a tangent is not a sum.
    compare(RIGHT, KEPT, INCOMING, 0.5, of(layout), "second derivative")
    compare(RIGHT, KEPT, INCOMING, 0.5, of(layout), "tangent")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_sum_may_be_rounded_once_more_and_no_further(dtype):
    kept, incoming = torch.ones(4, 1).bool(), torch.ones(4, 1, dtype=dtype)
    summed = torch.full((4, 1), 8.0, dtype=torch.float64)
    # Three ulps of each of the four terms of 2, one of the sum of 8, and four in float32 or better.
    of_2, of_8 = (ulp(torch.tensor([n], dtype=torch.float64), dtype).item() for n in (2.0, 8.0))
    allowed = 12 * of_2 + of_8 + (4 * of_8 if dtype == torch.float32 else 0)
    condition = Condition({"p": 0.5, "shape": (4, 1), "layout": "expanded first axis"})
    within = (summed + allowed - of_8).to(dtype)
    beyond = (summed + allowed + 2 * of_8).to(dtype)
    compare(within, kept, incoming, 0.5, condition, "gradient")
    with pytest.raises(Fault, match="1 of 1 values of the gradient are wrong"):
        compare(beyond, kept, incoming, 0.5, condition, "gradient")
