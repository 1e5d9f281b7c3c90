"""Where a call's randomness comes from, and what is left of it after an error."""

import pytest
import torch

from torchdropout import Key
from torchdropout.errors import ArgumentTypeError, ArgumentValueError
from torchdropout.functional import _key

KEY = Key(2**64 - 5, 7)


def generator(seed=5):
    return torch.Generator().manual_seed(seed)


def states(*generators):
    return [torch.get_rng_state().tolist(), *(g.get_state().tolist() for g in generators)]


def test_a_key_a_generator_or_neither():
    x = torch.ones(2)
    for given in ((KEY, None), (None, generator()), (None, None)):
        _key.check_source(*given, x)
    with pytest.raises(
        ArgumentValueError, match=r"not both: .* \(Key\) and generator=.* \(Generat"
    ):
        _key.check_source(KEY, generator(), x)
    for wrong in (3, torch.tensor(3), "key"):
        with pytest.raises(ArgumentTypeError, match=r"`key` to be a torchdropout\.Key"):
            _key.check_source(wrong, None, x)
    with pytest.raises(ArgumentTypeError, match=r"`generator` to be a torch\.Generator"):
        _key.check_source(None, 3, x)
    _key.check_key("key", torch.fx.Proxy(torch.fx.Node, None))


def test_what_a_key_is_drawn_from():
    own = generator()
    assert _key.key_of(KEY, None) is KEY
    assert _key.key_of(None, None) is None
    drawn = _key.key_of(None, own)
    assert drawn == Key.draw(generator())
    assert _key.key_numbers(KEY, None) == (2**64 - 5, 7)
    assert _key.key_numbers(None, generator()) == (drawn.seed, 0)
    assert _key.key_tensor(KEY).tolist() == [-5, 7]
    torch.manual_seed(5)
    seed, stream = _key.key_numbers(None, None)
    assert (seed, stream) == (drawn.seed, 0)
    torch.manual_seed(5)
    assert torch.equal(_key.key_tensor(None), drawn.tensor())
    with _key.drawn(None, generator()) as key:
        assert torch.equal(key, drawn.tensor())
    with _key.drawn(KEY, None) as key:
        assert key.tolist() == [-5, 7]


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


def test_a_result_is_returned_and_its_draw_stays():
    torch.manual_seed(5)
    expected, after = torch.rand(2), torch.get_rng_state()
    torch.manual_seed(5)
    assert torch.equal(_key.attempt(None, None, torch.rand, 2), expected)
    assert torch.equal(torch.get_rng_state(), after)
    assert _key.attempt(KEY, None, dict, a=1) == {"a": 1}
    torch.manual_seed(5)
    with _key.undrawn_on_error(None, None):
        torch.rand(2)
    assert torch.equal(torch.get_rng_state(), after)


def test_a_generator_is_refused_in_a_capture(monkeypatch):
    monkeypatch.setattr(_key, "refuse_capture", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError), _key.undrawn_on_error(None, generator()):
        raise AssertionError
    with _key.undrawn_on_error(None, None):
        pass
    with _key.undrawn_on_error(KEY, None):
        pass
