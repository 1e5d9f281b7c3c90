"""What the check of a compiled target says; here it is not compiled, which would take seconds."""

from types import SimpleNamespace

import pytest
import torch

from torchdropout.verify.checks import compiled
from torchdropout.verify.context import Skip
from verify.broken._common import draw, select
from verify.checks._alone import (
    Gradient,
    fault,
    halves,
    made,
    put,
    reason,
)


@pytest.fixture
def graphs(monkeypatch):
    """What was compiled: one graph, unless a test says otherwise."""
    found = [1]
    monkeypatch.setattr(
        compiled, "_compiled", lambda ctx, p: (ctx.build(p).target, SimpleNamespace(graphs=found))
    )
    return found


def always_the_same(x, p):
    return halves(x, p)


def other_gradient(change):
    return made(lambda x, p: with_gradient(x, p, change))


def with_gradient(x, p, change):
    mask = draw(x, p)
    mask[:2] = torch.tensor([True, False])
    return Gradient.apply(x, select(x, mask, p), lambda g: change(select(g, mask, p)))


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (made(always_the_same), "compiled: two calls had the same mask"),
        (made(lambda x, p: x[:9] * 1), "compiled: the output has another type or shape"),
        (made(lambda x, p: None), "compiled: the output has another type or shape"),
        (made(lambda x, p: put(halves(x, p), _1=99.0)), "compiled: p=0.5: 1 of 65536 values are"),
        (
            other_gradient(lambda g: put(g, _0=0.0, _1=0.0)),
            "compiled: the gradient has a different mask from y at 1 places",
        ),
        (other_gradient(lambda g: put(g, _1=99.0)), "compiled, gradient: p=0.5: 1 of 65536 values"),
        (
            made(lambda x, p: select(x, draw(x, 0.6 if p == 0.5 else p), p)),
            "p=0.5, compiled: 0.5",
        ),
        (
            made(lambda x, p: select(x, draw(x, 0.01 if p < 0.1 else p), p)),
            "p=0.00333, compiled: 0.0",
        ),
    ],
)
def test_a_compiled_target_that_is_wrong(graphs, target, said):
    assert fault("compiled-law", target, compiled=True).message.startswith(said)


def test_two_calls_of_four_that_are_the_same(graphs):
    masks = []

    def drop(x, p):
        masks.append(masks[0] if len(masks) == 3 else draw(x, p))
        return select(x, masks[-1], p)

    assert fault("compiled-law", made(drop), compiled=True).message == (
        "compiled: two calls had the same mask"
    )


def raising(error):
    def drop(x, p):
        raise error

    return made(drop)


def test_what_cannot_be_compiled(graphs):
    assert reason("compiled-law", raising(IndexError("no graph")), compiled=True) == (
        "torch.compile raised IndexError: no graph"
    )
    assert reason("compiled-law", raising(Skip("another reason")), compiled=True) == (
        "another reason"
    )
    assert reason("compiled-law", made()) == (
        "not compiled at level small: compiling takes seconds"
    )
    graphs.clear()
    assert reason("compiled-law", made(), compiled=True) == (
        "torch.compile leaves the target as it is"
    )
