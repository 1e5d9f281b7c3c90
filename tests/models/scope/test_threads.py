"""Scopes in threads, tasks and generators: the right masks, or an error."""

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

import torchdropout as td
from keyed_parts import SCOPE, Calls, assert_refused, drawn
from torchdropout import mc
from torchdropout.errors import ArgumentValueError, SiteError

X = torch.ones(6, 8)


class Waiting(torch.nn.Module):
    """It waits within its forward."""

    def __init__(self):
        super().__init__()
        self.drop = torch.nn.Dropout(0.5)
        self.then = lambda: None

    def forward(self, x):
        x = self.drop(x)
        self.then()
        return self.drop(x)


def whole(x=X):
    return drawn(Waiting(), x)


def in_thread(function, *args):
    """The result of a function in a thread, or the error that it raises."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(function, *args)
        return future.exception(30) or future.result()


@pytest.mark.parametrize("scope", ["keyed", "active"])
def test_a_thread_without_the_scope_is_refused_and_takes_no_samples(scope):
    model = Waiting().train(scope == "keyed")
    alone, entered = (
        mc.active(model, seed=1) if scope == "active" else td.keyed(model, seed=1, batch=(0, 12))
        for _ in range(2)
    )
    with alone:
        expected = [model(X), model(X)]
    with entered:
        first = model(X)
        other = in_thread(model, X)
        second = model(X)
    assert isinstance(other, SiteError)
    assert "asyncio.to_thread" in str(other)
    assert torch.equal(first, expected[0])
    assert torch.equal(second, expected[1])


def test_a_thread_with_the_context_of_the_scope_has_its_masks():
    model = Waiting()
    with td.keyed(model, **SCOPE):
        found = in_thread(contextvars.copy_context().run, model, X)
    assert torch.equal(found, whole())


def test_two_threads_in_one_scope_do_not_mix_their_forwards():
    """The second begins while the first is in its forward."""
    model, found = Waiting(), []
    drawn(model, X)  # the sites are known
    with td.keyed(model, **SCOPE):
        context = contextvars.copy_context()

        def then():
            model.then = lambda: None
            found.append(in_thread(context.run, model, X))

        model.then = then
        first = model(X)
    assert isinstance(found[0], SiteError)
    assert "one thread at a time" in str(found[0])
    assert torch.equal(first, whole())


def test_a_module_that_a_thread_of_the_forward_calls_is_refused():
    """Its draws would come from torch's generator."""

    def parallel(drop, x):
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(drop, x).result(30)

    assert_refused("one thread", Calls(parallel, torch.nn.Dropout(0.5)), X)


def test_two_threads_with_two_models_have_their_own_masks():
    def run(_):
        model = Waiting()
        with td.keyed(model, batch=(0, 6), **SCOPE):
            return torch.cat([model(X[:3]), model(X[3:])])

    with ThreadPoolExecutor(4) as pool:
        assert all(torch.equal(found, whole()) for found in pool.map(run, range(4)))


def test_tasks_that_take_turns_within_scopes_of_two_models():
    async def run():
        model, parts = Waiting(), []
        with td.keyed(model, **SCOPE):
            for part in X.split(2):
                parts.append(model(part))
                await asyncio.sleep(0)
        return torch.cat(parts)

    async def all_of_them():
        return await asyncio.gather(*(run() for _ in range(3)))

    assert all(torch.equal(found, whole()) for found in asyncio.run(all_of_them()))


def test_a_task_without_the_scope_is_refused():
    model = Waiting()

    async def inside(entered, left):
        with td.keyed(model, batch=(0, 12), **SCOPE):
            first = model(X)
            entered.set()
            await left.wait()
            return torch.cat([first, model(X)])

    async def outside(entered, left):
        await entered.wait()
        try:
            with pytest.raises(SiteError, match="the task that entered"):
                model(X)
            with pytest.raises(ArgumentValueError, match="no scope of this model"):
                td.keyed(model, seed=2).__enter__()
        finally:
            left.set()

    async def both():
        events = asyncio.Event(), asyncio.Event()
        return await asyncio.gather(inside(*events), outside(*events))

    found, _ = asyncio.run(both())
    assert torch.equal(found, whole(torch.ones(12, 8)))


@pytest.mark.parametrize("error", [KeyboardInterrupt, asyncio.CancelledError, GeneratorExit])
def test_a_forward_that_was_cut_off_is_repeated_with_its_masks(error):
    """Torch runs no hook after an exception that is not an `Exception`."""
    model = Waiting()

    def stop():
        raise error

    with td.keyed(model, **SCOPE):
        model(X[:2])
        model.then = stop
        with pytest.raises(error):
            model(X[2:])
        model.then = lambda: None
        rest = model(X[2:])
    assert torch.equal(rest, whole()[2:])


def test_a_forward_that_runs_later_is_refused():
    async def later(drop, x):
        return drop(x)

    def streaming(drop, x):
        yield drop(x)

    for function in (later, streaming):
        model = Calls(function, torch.nn.Dropout(0.5))
        assert_refused("later", model, X, on_unreached="ignore")


def test_a_generator_that_stops_within_a_scope_and_is_dropped():
    model = Waiting()

    def parts():
        with td.keyed(model, **SCOPE):
            for part in X.split(3):
                yield model(part)

    running = parts()
    first = next(running)
    in_thread(running.close)
    assert torch.equal(first, whole()[:3])
    with torch.device("meta"), td.keyed(model, seed=2):
        assert torch.empty(1).is_meta
    assert torch.equal(torch.cat([*parts()]), whole())
