"""The mask indices of a part of a batch."""

import math

import pytest
import torch

import torchdropout.functional as F
from torchdropout import Key, backends
from torchdropout.errors import ArgumentValueError
from torchdropout.functional._bernoulli import in_part
from torchdropout.functional._part import Axis, Part


def laid_out(part, shape, shared=()):
    """The mask index of each element of a draw, by base and strides."""
    base, strides = part.indices(shape, shared)
    index = torch.full(shape, base)
    for dim, (n, stride) in enumerate(zip(shape, strides, strict=True)):
        index += (torch.arange(n) * stride).view(-1, *[1] * (len(shape) - dim - 1))
    return index


@pytest.mark.parametrize("shared", [(), (2,), (1, 2)], ids=str)
@pytest.mark.parametrize(
    ("batch", "start", "sequence", "first", "length"),
    [
        (Axis(0, 1), 0, (), 0, 0),
        (Axis(0, 1), 7, (), 0, 0),
        (Axis(0, 2), 7, (), 0, 0),
        (Axis(1, 1), 5, (), 0, 0),
        (Axis(3, 2), 1, (), 0, 0),
        (Axis(0, 1), 3, (Axis(3, 1),), 2, 9),
        (Axis(0, 2), 3, (Axis(2, 2),), 1, 5),
        (Axis(3, 2), 3, (Axis(0, 1),), 4, 12),
    ],
    ids=str,
)
def test_a_part_has_the_indices_of_the_whole_batch(batch, start, sequence, first, length, shared):
    shape = (4, 3, 6, 2)
    sizes = [1 if dim in shared else n for dim, n in enumerate(shape)]
    begin = [0] * len(shape)
    whole = list(sizes)
    if batch.dim not in shared:
        begin[batch.dim] = start * batch.times
        whole[batch.dim] += begin[batch.dim]
    for axis in sequence:
        if axis.dim not in shared:
            begin[axis.dim] = first * axis.times
            whole[axis.dim] = length * axis.times
    # Sample by sample, and row-major within a sample.
    order = [dim for dim in range(len(shape)) if dim != batch.dim]
    order = [*order, batch.dim] if batch.dim in shared else [batch.dim, *order]
    index = torch.arange(math.prod(whole)).view([whole[dim] for dim in order])
    index = index.permute([order.index(dim) for dim in range(len(shape))])
    for dim, at in enumerate(begin):
        index = index.narrow(dim, at, sizes[dim])
    part = Part(batch, start, sequence, first, length)
    assert torch.equal(laid_out(part, shape, shared), index.expand(shape))


def test_what_all_samples_share_has_the_indices_of_one():
    own = torch.arange(6).view(1, 3, 2)
    assert torch.equal(laid_out(Part(None, 9), (1, 3, 2)), own)
    assert torch.equal(laid_out(Part(Axis(0, 1), 9, alike=True), (4, 3, 2)), own.expand(4, 3, 2))
    assert torch.equal(laid_out(Part(Axis(3, 1), 9), (1, 3, 2)), own)  # a draw without the batch


def test_samples_may_be_further_apart_than_they_are_large():
    part = Part(Axis(1, 2), 3)
    own = torch.arange(6).view(2, 1, 3) + 100 * torch.arange(6, 10).view(1, 4, 1)
    assert torch.equal(laid_out(part.apart(100), (2, 4, 3)), own)
    assert part.size == 0


LAST = 2**61 - 1  # of samples with 8 draws


@pytest.mark.parametrize(
    ("start", "shape", "base"),
    [
        (LAST, (1, 8), -8),
        (LAST, (2, 8), None),
        (LAST + 1, (0, 8), None),
        (0, (0, 8), 0),
        (2**64 - 2, (2, 1), -2),
        (2**64 - 1, (2, 1), None),
    ],
)
def test_indices_have_64_bits(start, shape, base):
    part = Part(Axis(0, 1), start)
    if base is not None:
        assert part.indices(shape, ()) == (base, [shape[1], 1])
    else:
        expected = f"got sample {start} with {shape[1]} draws of its own"
        with pytest.raises(ArgumentValueError, match=expected):
            part.indices(shape, ())
    # The short way leaves the error, and a tensor without elements, to the long one.
    assert part.row_major(torch.Size(shape)) == (base if 0 not in shape else None)


@pytest.mark.skipif(len(backends.available()) == 1, reason=backends.why())
@pytest.mark.parametrize(
    "part", [Part(Axis(0, 1), 3), Part(Axis(1, 1), 3), Part(Axis(0, 1), 3, alike=True)]
)
def test_the_shortest_way_draws_what_the_call_draws(part):
    x = torch.randn(4, 3, 5)
    y = in_part(x, 0.3, 2**64 - 3, 9, part)
    assert torch.equal(y, F.dropout(x, 0.3, key=Key(2**64 - 3, 9), layout=part))
