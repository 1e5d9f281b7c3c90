"""The keep mask of a shape."""

import pytest
import torch

from draws import draws_nothing
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


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu"), None])
def test_a_mask_is_on_the_device_that_is_named(device):
    assert F.keep_mask((3,), 0.5, device=device).device == torch.device("cpu")
    with torch.device("meta"):
        expected = "meta" if device is None else "cpu"
        assert F.keep_mask((3,), 0.5, device=device).device.type == expected


def test_p_of_zero_one_and_of_each_element():
    with draws_nothing():
        assert F.keep_mask((3,), 0).all()
    assert not F.keep_mask((3,), 1).any()
    assert torch.equal(F.keep_mask((2,), torch.tensor([0.0, 1.0])), torch.tensor([True, False]))
    assert F.keep_mask((2, 1), torch.tensor([[1.0], [0.0]])).tolist() == [[False], [True]]
    rate = torch.tensor(0.3, dtype=torch.float64)
    assert torch.equal(F.keep_mask((9,), rate, key=Key(5)), F.keep_mask((9,), 0.3, key=Key(5)))


def test_a_tracer_records_every_argument():
    def masked(x, key):
        options = {"broadcast_dims": (1,), "device": "cpu"}
        return F.keep_mask((x.shape[0], 4), 0.3, key=key, **options)

    graph = torch.fx.symbolic_trace(masked)
    (node,) = (n for n in graph.graph.nodes if n.target is F.keep_mask)
    assert node.kwargs["broadcast_dims"] == (1,)
    x = torch.ones(5, 2)
    expected = F.keep_mask((5, 4), 0.3, key=Key(5), broadcast_dims=(1,))
    assert torch.equal(graph(x, Key(5)), expected)
    assert torch.equal(expected, expected[:, :1].expand(5, 4))
