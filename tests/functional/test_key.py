"""Where a call's randomness comes from, and what is left of it after an error."""

import pytest
import torch

from torchdropout import Key
from torchdropout.functional import _key

KEY = Key(2**64 - 5, 7)


def generator(seed=5):
    return torch.Generator().manual_seed(seed)


def states(*generators):
    return [torch.get_rng_state().tolist(), *(g.get_state().tolist() for g in generators)]


def fails(*sources):
    """Draws from torch's default generator and from another, and raises."""
    torch.rand(1)
    for each in sources:
        torch.rand(1, generator=each)
    raise ZeroDivisionError


def run(call, key, generator, *sources):
    """Draws and fails within a call of the module."""
    if call == "attempt":
        _key.attempt(key, generator, fails, *sources)
    with getattr(_key, call)(key, generator):
        fails(*sources)


@pytest.mark.parametrize("call", ["undrawn_on_error", "attempt", "drawn"])
@pytest.mark.parametrize("own", [False, True])
def test_an_error_restores_the_generator_that_was_drawn_from(call, own):
    given = generator() if own else None
    other = generator()
    before = states(other)
    with pytest.raises(ZeroDivisionError):
        run(call, None, given, *([given] if own else []))
    if own:
        assert given.get_state().tolist() == before[1]
        assert states()[0] != before[0]  # it belongs to somebody else
    else:
        assert states() == before[:1]


@pytest.mark.parametrize("reason", ["key", "compiling"])
@pytest.mark.parametrize("call", ["undrawn_on_error", "attempt"])
def test_what_did_not_draw_restores_nothing(monkeypatch, call, reason):
    """With a key nothing was drawn, and a compiler cannot read the state of a generator."""
    key = KEY if reason == "key" else None
    if reason == "compiling":
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    before = states()
    with pytest.raises(ZeroDivisionError):
        run(call, key, None)
    assert states() != before
