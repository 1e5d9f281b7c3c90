"""What is offered to `__torch_function__`: the call as it was given."""

import pytest
import torch

from torchdropout import Key, MaskLayout
from torchdropout import functional as F

PLAIN = torch.ones(2)


class Recording:
    """Not a tensor: it answers with the call."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        return function, args, kwargs or {}


GIVEN = {"key": Key(5), "generator": torch.Generator(), "broadcast_dims": (1,)}
GIVEN["layout"] = MaskLayout(0, (1,))


@pytest.mark.parametrize(
    ("function", "tensors", "rest", "given"),
    [
        (F.dropout, 1, (0.25, False, True), {**GIVEN, "out": PLAIN}),
        (F.zoneout, 2, (0.25, False), GIVEN),
        (F.locked_dropout, 1, (0.25, False), {**GIVEN, "time_dim": 2, "out": PLAIN}),
    ],
)
def test_it_gets_what_was_given_and_nothing_else(function, tensors, rest, given):
    args = (*(Recording() for _ in range(tensors)), *rest)
    assert function(*args, **given) == (function, args, given)
    for name, value in given.items():
        assert function(*args, **{name: value}) == (function, args, {name: value})
    assert function(*args) == (function, args, {})
