"""The mask indices of a part of a batch, where a compiler left the call to Python."""

import torch

from torchdropout import Key
from torchdropout.functional._part import Axis, Part

# Samples from the seventh on, of 8 positions each, from the fourth on.
PART = Part(Axis(0, 1), 0, Axis(1, 1), 0, 8, Key(1), lambda: torch.tensor([6, 3]))


def test_the_first_sample_is_that_of_the_step():
    key = Key(1)
    assert PART.first_sample(key, 16) == 6
    assert key == Key(1)


def test_the_indices_begin_at_its_place():
    assert PART.indices((2, 5), ()) == (6 * 8 + 3, [8, 1])
