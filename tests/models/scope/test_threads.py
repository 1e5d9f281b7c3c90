"""Scopes in threads, tasks and generators: the right masks, or an error."""

import asyncio
import contextvars
import threading

import pytest
import torch

import torchdropout as td
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


def _run(batch, x):
    model = Waiting()
    with td.keyed(model, seed=1, batch=batch):
        return model(x)


def in_thread(function, *args, context=None):
    """The result of a function in a thread, or the error that it raises."""
    found = []

    def run():
        try:
            found.append(function(*args))
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=run if context is None else lambda: context.run(run))
    thread.start()
    thread.join(30)
    return found[0]


@pytest.mark.parametrize("scope", ["keyed", "active"])
def test_a_thread_without_the_scope_is_refused_and_takes_no_samples(scope):
    model = Waiting()
    if scope == "active":
        model.eval()
        entered, alone = mc.active(model, seed=1), mc.active(model, seed=1)
        with alone:
            whole = [model(X), model(X)]
    else:
        alone, entered = (td.keyed(model, seed=1, batch=(0, 12)) for _ in range(2))
        with alone:
            whole = [model(X), model(X)]
    with entered:
        first = model(X)
        other = in_thread(model, X)
        second = model(X)
    assert isinstance(other, SiteError)
    assert "asyncio.to_thread" in str(other)
    assert torch.equal(first, whole[0])
    assert torch.equal(second, whole[1])


def test_a_thread_with_the_context_of_the_scope_has_its_masks():
    model = Waiting()
    with td.keyed(model, seed=1):
        found = in_thread(model, X, context=contextvars.copy_context())
    assert torch.equal(found, _run(None, X))


def test_two_threads_in_one_scope_do_not_mix_their_forwards():
    """The second begins while the first is in its forward."""
    model, found = Waiting(), []
    with td.keyed(model, seed=1):
        model(X)  # the sites are known
    with td.keyed(model, seed=1):
        context = contextvars.copy_context()

        def then():
            model.then = lambda: None
            found.append(in_thread(model, X, context=context))

        model.then = then
        first = model(X)
    assert isinstance(found[0], SiteError)
    assert "one thread at a time" in str(found[0])
    assert torch.equal(first, _run(None, X))


def test_a_module_that_a_thread_of_the_forward_calls_is_refused():
    """Its draws would come from torch's generator."""

    class Parallel(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.drop = torch.nn.Dropout(0.5)

        def forward(self, x):
            found = in_thread(self.drop, x)
            if isinstance(found, Exception):
                raise found
            return found

    with td.keyed(Parallel(), seed=1) as scope, pytest.raises(SiteError, match="one thread"):
        scope.model(X)


def test_two_threads_with_two_models_have_their_own_masks():
    found = {}

    def run(n):
        model = Waiting()
        with td.keyed(model, seed=1, batch=(0, 6)):
            found[n] = [model(X[:3]), model(X[3:])]

    threads = [threading.Thread(target=run, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    whole = _run(None, X)
    assert len(found) == 4
    assert all(torch.equal(torch.cat(parts), whole) for parts in found.values())


def test_tasks_that_take_turns_within_scopes_of_two_models():
    async def run():
        model = Waiting()
        with td.keyed(model, seed=1):
            parts = []
            for part in X.split(2):
                parts.append(model(part))
                await asyncio.sleep(0)
            return torch.cat(parts)

    async def all_of_them():
        return await asyncio.gather(*(run() for _ in range(3)))

    whole = _run(None, X)
    assert all(torch.equal(found, whole) for found in asyncio.run(all_of_them()))


def test_a_task_without_the_scope_is_refused():
    model = Waiting()

    async def inside(entered, left):
        with td.keyed(model, seed=1, batch=(0, 12)):
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
    assert torch.equal(found, _run(None, torch.ones(12, 8)))


@pytest.mark.parametrize("error", [KeyboardInterrupt, asyncio.CancelledError, GeneratorExit])
def test_a_forward_that_was_cut_off_is_repeated_with_its_masks(error):
    """Torch runs no hook after an exception that is not an `Exception`."""
    model = Waiting()

    def stop():
        raise error

    with td.keyed(model, seed=1):
        model(X[:2])
        model.then = stop
        with pytest.raises(error):
            model(X[2:])
        model.then = lambda: None
        rest = model(X[2:])
    assert torch.equal(rest, _run(None, X)[2:])


def test_a_forward_that_runs_later_is_refused():
    class Later(Waiting):
        async def forward(self, x):
            return self.drop(x)

    class Streaming(Waiting):
        def forward(self, x):
            yield self.drop(x)

    for model in (Later(), Streaming()):
        with (
            td.keyed(model, seed=1, on_unreached="ignore"),
            pytest.raises(SiteError, match="later"),
        ):
            model(X)


def test_a_generator_that_stops_within_a_scope_and_is_dropped():
    model = Waiting()

    def parts():
        with td.keyed(model, seed=1):
            for part in X.split(3):
                yield model(part)

    running = parts()
    first = next(running)
    in_thread(running.close)
    assert torch.equal(first, _run(None, X)[:3])
    with torch.device("meta"), td.keyed(model, seed=2):
        assert torch.empty(1).is_meta
    assert torch.equal(torch.cat([*parts()]), _run(None, X))
