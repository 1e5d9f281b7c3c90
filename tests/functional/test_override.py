"""Who is offered a call before the function runs: torch, and in compiled code an observer."""

import pytest
import torch
from torch.overrides import TorchFunctionMode

from torchdropout import Key, MaskLayout
from torchdropout import functional as F
from torchdropout.functional import _override
from torchdropout.functional._override import given, handle, observed, overridable, overridden


class Mine(torch.Tensor):
    pass


class Passing(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        return function(*args, **kwargs or {})


@pytest.fixture
def observers(monkeypatch):
    found = []
    monkeypatch.setattr(_override, "observers", found)
    return found


@pytest.fixture
def compiling(monkeypatch):
    monkeypatch.setattr(_override, "is_dynamo_compiling", lambda: True)


PLAIN, OTHER = torch.ones(2), torch.ones(2).as_subclass(Mine)


def test_torch_asks_any_of_the_tensors():
    assert not overridden(PLAIN)
    assert not overridden(PLAIN, PLAIN, None)
    assert overridden(OTHER)
    assert overridden(PLAIN, None, OTHER)
    assert overridden(OTHER, PLAIN)


def test_an_observer_sees_every_call_of_compiled_code(observers, compiling):
    assert not overridden(PLAIN)
    assert not observed()
    observers.append(print)
    assert overridden(PLAIN)
    assert overridden(PLAIN, None)
    assert observed()


def test_an_observer_sees_no_other_call(observers):
    observers.append(print)
    assert not overridden(PLAIN)
    assert not observed()
    with Passing():
        assert observed()


def test_the_innermost_observer_handles_a_call_without_itself(observers, compiling):
    seen = []

    def outer(*call):
        raise AssertionError

    def inner(function, args, kwargs):
        seen.append((function, args, kwargs, [*observers]))
        if not args:
            raise ZeroDivisionError
        return "result"

    observers += [outer, inner]
    assert handle(max, (PLAIN,), 1, 2, key=3) == "result"
    assert seen == [(max, (1, 2), {"key": 3}, [outer])]
    assert observers == [outer, inner]
    with pytest.raises(ZeroDivisionError):
        handle(max, (PLAIN,))
    assert observers == [outer, inner]


def test_without_an_observer_torch_handles_it(observers):
    def of_torch(*args):
        return torch.overrides.handle_torch_function(*args)

    class Answers:
        @classmethod
        def __torch_function__(cls, function, types, args=(), kwargs=None):
            return function, args, kwargs

    assert handle(max, (Answers(),), 1, key=3) == (max, (1,), {"key": 3})
    observers.append(of_torch)
    assert handle(max, (Answers(),), 1, key=3) == (max, (1,), {"key": 3})


def test_a_function_that_may_be_overridden():
    calls = []

    @overridable
    def function(input, *args, **kwargs):
        """What it does."""
        calls.append((input, args, kwargs))
        return input

    assert function.__name__ == "function"
    assert function.__doc__ == "What it does."
    assert function(PLAIN, 1, key=2) is PLAIN
    assert calls == [(PLAIN, (1,), {"key": 2})]

    class Answers:
        @classmethod
        def __torch_function__(cls, function, types, args=(), kwargs=None):
            return function, args, kwargs

    other = Answers()
    assert function(other, 1, key=2) == (function, (other, 1), {"key": 2})
    assert len(calls) == 1


def test_arguments_that_were_given():
    assert given(a=None, b=0, c=(), d=False, e="x") == {"b": 0, "c": (), "d": False, "e": "x"}


class Recording:
    """Not a tensor: it answers with the call."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        return function, args, kwargs or {}


GIVEN = {
    "key": Key(5),
    "generator": torch.Generator(),
    "broadcast_dims": (1,),
    "layout": MaskLayout(0, (1,)),
}


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
