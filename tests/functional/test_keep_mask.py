"""The keep mask of a shape."""

import pytest
import torch

from oracle import mask
from torchdropout import Key, MaskLayout
from torchdropout import functional as F
from torchdropout.errors import ArgumentValueError


@pytest.mark.parametrize("shape", [(), (0,), (3, 5), (2, 3, 4)])
def test_a_mask_is_that_of_the_contract(shape):
    found = F.keep_mask(shape, 0.3, key=Key(5, 6))
    assert found.dtype == torch.bool
    assert torch.equal(found, mask(Key(5, 6), 0.3, shape, MaskLayout.of(shape)))


def test_a_shape_without_room_is_refused():
    assert F.keep_mask((2**31, 2**31 - 1), 0.5, device="meta").shape == (2**31, 2**31 - 1)
    for shape in ((2**62,), (2**31, 2**31), (2**40, 2**40)):
        with pytest.raises(ArgumentValueError, match=r"fewer than 2\*\*62 elements"):
            F.keep_mask(shape, 0.5, device="meta")
