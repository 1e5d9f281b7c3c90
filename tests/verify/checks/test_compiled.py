"""What the check of a compiled target says; here it is not compiled, which would take seconds."""

from types import SimpleNamespace

import pytest
import torch

from torchdropout.verify.checks import compiled
from torchdropout.verify.context import Skip
from verify.broken._common import draw, select
from verify.checks._alone import Gradient, fault, halves, made, put, reason


@pytest.fixture
def graphs(monkeypatch):
    """What was compiled: one graph, unless a test says otherwise."""
    found = [1]
    monkeypatch.setattr(
        compiled, "_compiled", lambda ctx, p: (ctx.build(p).target, SimpleNamespace(graphs=found))
    )
    return found


def other_gradient(change):
    def drop(x, p):
        mask = draw(x, p)
        mask[:2] = torch.tensor([True, False])
        return Gradient.apply(x, select(x, mask, p), lambda g: change(select(g, mask, p)))

    return made(drop)


def at_rate(given, rate):
    return made(lambda x, p: select(x, draw(x, rate if p == given else p), p))


def fourth_like_the_first():
    masks = []

    def drop(x, p):
        masks.append(masks[0] if len(masks) == 3 else draw(x, p))
        return select(x, masks[-1], p)

    return made(drop)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (made(halves), "compiled: two calls had the same mask"),
        (fourth_like_the_first(), "compiled: two calls had the same mask"),
        (made(lambda x, p: x[:9] * 1), "compiled: the output has another type or shape"),
        (made(lambda x, p: None), "compiled: the output has another type or shape"),
        (made(lambda x, p: put(halves(x, p), _1=99.0)), "compiled: p=0.5: 1 of 65536 values are"),
        (other_gradient(lambda g: put(g, _0=0.0, _1=0.0)),
         "compiled: the gradient has a different mask from y at 1 places"),
        (other_gradient(lambda g: put(g, _1=99.0)), "compiled, gradient: p=0.5: 1 of 65536 values"),
        (at_rate(0.5, 0.6), "p=0.5, compiled: 0.5"),
        (at_rate(1 / 300, 0.01), "p=0.00333, compiled: 0.0"),
    ],
)  # fmt: skip
def test_a_compiled_target_that_is_wrong(graphs, target, said):
    assert fault("compiled-law", target, compiled=True).message.startswith(said)


def raising(error):
    def drop(x, p):
        raise error

    return made(drop)


def test_what_cannot_be_compiled(graphs):
    for error, said in [
        (IndexError("no graph"), "torch.compile raised IndexError: no graph"),
        (Skip("another reason"), "another reason"),
    ]:
        assert reason("compiled-law", raising(error), compiled=True) == said
    assert reason("compiled-law", made()) == "not compiled at level small: compiling takes seconds"
    graphs.clear()
    assert reason("compiled-law", made(), compiled=True) == (
        "torch.compile leaves the target as it is"
    )
