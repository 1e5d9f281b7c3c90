"""What the check of a compiled target says; here it is not compiled, which would take seconds."""

import itertools
from types import SimpleNamespace

import pytest
import torch

from torchdropout.verify import stats
from torchdropout.verify.checks import compiled
from torchdropout.verify.context import Skip
from torchdropout.verify.registry import STATISTICAL
from verify._zoo import SMALL
from verify.broken._common import draw, select
from verify.checks._alone import (
    Gradient,
    context,
    counted,
    fault,
    halves,
    made,
    noted,
    put,
    reason,
    run,
)
from verify.correct import specs

SHARE = 1e-6 * 0.99 / STATISTICAL  # of the false-alarm rate, for each check that counts


@pytest.fixture
def graphs(monkeypatch):
    """What was compiled: one graph, unless a test says otherwise."""
    found = [1]
    monkeypatch.setattr(
        compiled, "_compiled", lambda ctx, p: (ctx.build(p).target, SimpleNamespace(graphs=found))
    )
    return found


def test_four_calls_at_the_main_p_and_one_at_a_p_of_many_digits(graphs):
    target, calls = noted(made())
    found = counted("compiled-law", target, compiled=True)
    assert calls == {((1 << 16,), 0.5, True): 4, ((SMALL.most,), 1 / 300, True): 1}
    assert found.tests == [
        ("p=0.5", 4 << 16, 0.5, 2.0**-24),
        ("p=0.00333", SMALL.most, 1 / 300, 2.0**-24),
    ]
    assert {size for _, size in found.shares} == {2}
    seen = stats.smallest_seen(4 << 16, 0.5, SHARE / 2)
    assert found.seen.sees == f"a rate error of {seen:.2g} at p=0.5"


def test_an_instance_has_its_own_p(graphs):
    found = counted("compiled-law", torch.nn.Dropout(0.3), compiled=True)
    assert [(label, n) for label, n, *_ in found.tests] == [("p=0.3", 4 << 16)]
    ctx = context(torch.nn.Dropout, compiled=True)
    ctx.bad_rates.add(1 / 300)
    assert compiled.compiled_law.run(ctx).figures["tests"] == 1


def test_what_costs_more_has_smaller_calls(graphs):
    target, calls = noted(specs.channels)
    run("compiled-law", target, spec="dropout2d", compiled=True)
    elements = max((1 << 16) // 12, 256)
    assert ((1, elements, 2, 3), 0.5, True) in calls


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


def test_the_drops_of_all_calls_are_counted(graphs):
    calls = itertools.count()

    def drop(x, p):
        return select(x, torch.arange(len(x)) == next(calls), p)

    assert fault("compiled-law", made(drop), compiled=True).message.startswith(
        f"p=0.5, compiled: {4 / (4 << 16):.5g} of 262144 dropped, expected 0.5"
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


def test_a_constant_that_is_the_same_is_reported_without_a_graph(graphs):
    graphs.clear()
    fault("compiled-law", made(always_the_same), compiled=True)
