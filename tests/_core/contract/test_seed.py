"""The seeds that torch's generators give, and the graphs that must not hold one."""

import pytest
import torch

from torchdropout._core.contract import seed
from torchdropout.errors import ArgumentValueError


@pytest.mark.parametrize(
    ("bits", "signed"),
    [
        (0, 0),
        (1, 1),
        (2**63 - 1, 2**63 - 1),
        (2**63, -(2**63)),
        (2**64 - 1, -1),
        (-3, -3),  # what is signed already
    ],
)
def test_as_int64(bits, signed):
    assert seed.as_int64(bits) == signed


@pytest.mark.parametrize("capturing", [False, True])
@pytest.mark.parametrize("initialised", [False, True])
def test_a_capture_is_refused(monkeypatch, initialised, capturing):
    """To ask for the current stream would initialise CUDA, and without a GPU raise."""
    asked = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: initialised)
    monkeypatch.setattr(
        torch.cuda, "is_current_stream_capturing", lambda: asked.append(1) or capturing
    )
    before = torch.get_rng_state()
    assert seed.captures() is (initialised and capturing)
    assert len(asked) == initialised
    if initialised and capturing:
        with pytest.raises(ArgumentValueError, match="a draw on the CPU that is captured in a"):
            seed.refuse_capture()
        with pytest.raises(ArgumentValueError, match="got key=None"):
            seed.draw_seeds(())
        assert torch.equal(torch.get_rng_state(), before)
    else:
        seed.refuse_capture()
        assert seed.draw_seeds(()).shape == ()


def test_seeds_are_64_bit_numbers_of_the_generator():
    first, second = (torch.Generator().manual_seed(5) for _ in range(2))
    drawn = seed.draw_seeds((2, 3), first)
    assert drawn.dtype == torch.int64
    assert drawn.shape == (2, 3)
    each = torch.stack([seed.draw_seeds((), second) for _ in range(6)])
    assert torch.equal(drawn.flatten(), each)
    assert torch.equal(first.get_state(), second.get_state())
    many = seed.draw_seeds((1000,), first)
    assert many.min() < -(2**62)
    assert many.max() > 2**62
    assert len(many.unique()) == 1000
