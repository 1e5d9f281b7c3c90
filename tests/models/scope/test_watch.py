"""The modules of a model, the numbers of their draws, and hooks that come and go."""

import contextlib
import hashlib
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from torchdropout.errors import SiteError
from torchdropout.models.scope import _watch
from torchdropout.models.scope._handlers import new_watcher
from torchdropout.models.scope._watch import (
    Draw,
    SiteId,
    State,
    _BeforeCompiled,
    _Hook,
    is_replicated,
    tree_of,
    unwrapped,
)


def of(kind, **children):
    """A module of a class of this name, which passes its input on."""
    module = type(kind, (nn.Module,), {"forward": lambda self, x: x})()
    for name, child in children.items():
        module.add_module(name, child)
    return module


def replicated(*devices):
    module = nn.DataParallel(nn.Linear(2, 2))
    module.device_ids = list(devices)
    return module


# --- Sites ----------------------------------------------------------------------------------------


def test_a_site_says_where_it_is():
    assert str(SiteId("layers.0", 2)) == "layers.0 #2"
    assert str(SiteId("", 0)) == "(the model itself) #0"


@pytest.mark.parametrize("site", [SiteId("", 0), SiteId("layers.0", 12)])
def test_a_stream_is_the_first_60_bits_of_a_digest(site):
    digest = hashlib.sha256(f"{site.path}#{site.number}".encode()).hexdigest()
    assert site.stream() == int(digest[:15], 16)


def test_a_draw_ends_as_its_function_writes_it():
    draw = Draw("dropout", 0.5, (), lambda: None, None)
    assert draw.finished(3) == 3
    assert draw._replace(finish=lambda y: y + 1).finished(3) == 4


def test_what_a_draw_is_if_its_handler_says_nothing():
    draw = Draw("dropout", 0.5, (), len, None)
    assert draw[5:] == (False, False, False, None, False, None, None, False)


# --- Trees ----------------------------------------------------------------------------------------


def test_modules_are_found_once_and_in_order():
    shared = nn.ReLU()
    model = nn.Sequential(nn.Sequential(shared, nn.Tanh()), shared, nn.Linear(2, 2))
    model.register_module("none", None)
    model.add_module("again", model)
    tree = tree_of(model)
    assert list(tree.paths) == ["", "0", "0.0", "0.1", "2"]
    assert tree.modules == list(model.modules())
    assert list(tree_of(model, "top").paths) == ["top", "top.0", "top.0.0", "top.0.1", "top.2"]


@pytest.mark.parametrize(
    ("kind", "name", "wraps"),
    [
        ("OptimizedModule", "_orig_mod", True),
        ("FullyShardedDataParallel", "_fsdp_wrapped_module", True),
        ("CheckpointWrapper", "_checkpoint_wrapped_module", True),
        ("DistributedDataParallel", "module", True),
        ("AveragedModel", "module", True),
        ("DataParallel", "module", True),
        ("DataParallel", "net", False),
        ("Mine", "module", False),
        ("Mine", "_orig_mod", False),
        ("Mine", "other", False),
    ],
)
def test_a_wrapper_has_no_name_of_its_own(kind, name, wraps):
    inner = nn.Sequential(nn.ReLU())
    wrapper = of(kind, **{name: inner})
    assert unwrapped(wrapper) is (inner if wraps else wrapper)
    tree = tree_of(of("Model", a=wrapper))
    assert tree.paths.keys() == (
        {"", "a", "a.0"} if wraps else {"", "a", f"a.{name}", f"a.{name}.0"}
    )
    assert tree.paths["a"] is (inner if wraps else wrapper)
    assert wrapper in tree.modules


def test_wrappers_in_wrappers():
    inner = nn.ReLU()
    model = of("OptimizedModule", _orig_mod=of("DistributedDataParallel", module=inner))
    assert unwrapped(model) is inner
    assert tree_of(model).paths == {"": inner}
    assert len(tree_of(model).modules) == 3


@pytest.mark.parametrize(("devices", "expected"), [((), False), ((0,), False), ((0, 1), True)])
def test_copies_on_several_devices(devices, expected):
    module = replicated(*devices)
    assert is_replicated(module) == expected
    assert unwrapped(module) is (module if expected else module.module)
    assert not is_replicated(of("DataParallel", module=nn.ReLU()))


# --- Hooks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [False, True])
def test_a_hook_comes_back_under_its_number(first):
    module, calls = nn.ReLU(), []

    def hook(name):
        return lambda *_: calls.append(name)

    def register():
        return module.register_forward_pre_hook(hook("mine"), prepend=first)

    mine = _Hook(register, first=first)
    mine.put()
    numbers = list(module._forward_pre_hooks)
    module.register_forward_pre_hook(hook("other"))
    module(torch.ones(1))
    mine.remove()
    mine.remove()
    module(torch.ones(1))
    assert calls == ["mine", "other", "other"]
    mine.put()
    module(torch.ones(1))
    assert calls[3:] == (["mine", "other"] if first else ["other", "mine"])
    assert set(numbers) < set(module._forward_pre_hooks)


# --- Watchers -------------------------------------------------------------------------------------


def test_what_runs_before_a_compiled_module():
    def compiled(*args, **kwargs):
        said.append("compiled")
        return args, kwargs

    module, said = nn.Linear(2, 2), []
    module._compiled_call_impl = compiled
    outside = _BeforeCompiled(module, lambda: said.append("before"))
    outside.put()
    assert module(1, a=2) == ((1,), {"a": 2})
    assert said == ["before", "compiled"]
    outside.remove()
    assert module._compiled_call_impl is compiled
    module._compiled_call_impl = other = lambda: None
    outside.remove()  # it is off
    assert module._compiled_call_impl is other
    outside.put()
    del module
    outside.remove()


def test_draws_of_a_module_are_counted():
    watcher = new_watcher()
    watcher.frames[:] = ["", "a"]
    assert [watcher.next_site() for _ in range(3)] == [SiteId("a", n) for n in range(3)]
    watcher.frames.pop()
    assert watcher.next_site() == SiteId("", 0)
    state = watcher.state()
    assert state == State(("",), {"a": 3, "": 1}, 0)
    watcher.next_site()
    watcher.frames.append("b")
    watcher.start = 5
    watcher.go_to(state)
    assert watcher.state() == state
    watcher.next_site()
    assert state.counts[""] == 1


def test_a_generator_of_a_call_is_reported_and_no_draw():
    class Scope:
        def owned(self, site, name, generator):
            found.append((site, name, generator))

    found, generator = [], torch.Generator()
    watcher = new_watcher()
    watcher.scope = Scope()
    watcher.frames[:] = ["a"]
    watcher.note_generator(torch.rand, None)
    watcher.note_generator(torch.rand, generator)
    watcher.next_site()
    watcher.note_generator(torch.rand, generator)
    assert found == [(SiteId("a", 0), "rand", generator), (SiteId("a", 1), "rand", generator)]


@pytest.mark.parametrize(
    ("function", "frames", "answered"),
    [(torch.rand, ["a"], True), (torch.rand, [], False), (torch.ones, ["a"], False)],
)
def test_a_call_in_compiled_code(function, frames, answered):
    """Within a module it has a handler, which calls functions that no handler observes."""

    def handler(*call, **kwargs):
        assert watcher.inside
        return call, kwargs

    watcher = new_watcher()
    watcher.mode.handlers = {torch.rand: handler}
    watcher.frames[:] = frames
    y = watcher.call(function, (2,), {"dtype": torch.float64})
    assert not watcher.inside
    if answered:
        assert y == ((watcher, function, 2), {"dtype": torch.float64})
    else:
        assert (y.shape, y.dtype) == ((2,), torch.float64)


@pytest.mark.parametrize("resumes", [True, False])
def test_a_checkpointed_region_is_wrapped_once(monkeypatch, resumes):
    def compute(x):
        return x + 1

    def resumed(state):
        states.append(state)
        return contextlib.nullcontext()

    asked, states, owner = [], [], SimpleNamespace(compute=compute)
    watcher = new_watcher()
    watcher.scope = SimpleNamespace(resumed=resumed if resumes else None)
    watcher.frames[:] = ["a"]
    for region in (None, (owner, "compute"), (owner, "compute")):
        monkeypatch.setattr(
            _watch._torch, "checkpoint_region", lambda begins, r=region: asked.append(begins) or r
        )
        watcher.next_site()
        watcher.note_checkpoint()
    assert asked == [True] * 3
    assert owner.compute(3) == 4
    assert states == [State(("a",), {"a": 2}, 0)] * resumes
    assert (owner.compute is compute) == (not resumes)


@pytest.mark.parametrize(
    ("frames", "in_backward", "noted"),
    [([], False, True), (["a"], False, False), ([], True, False)],
)
def test_the_ends_of_a_forward(monkeypatch, frames, in_backward, noted):
    """A call within the model, or a recomputation in the backward, is not a forward."""
    monkeypatch.setattr(_watch, "_calls_itself", lambda module: True)
    monkeypatch.setattr(_watch._torch, "in_backward", lambda: in_backward)
    said, watcher = [], new_watcher()
    watcher.scope = SimpleNamespace(
        before=lambda *args: said.append(args), after=lambda: said.pop()
    )
    watcher.frames[:] = frames
    watcher.counts, watcher.completed = {"a": 3}, True
    watcher._begin(None, (1,), {"b": 2})
    assert said == [((1,), {"b": 2})] * noted
    assert watcher.counts == ({} if noted else {"a": 3})
    assert watcher.completed is (not noted)
    assert watcher.mode.is_active() is noted
    watcher.completed = False
    watcher._complete(None, (1,), None)
    assert watcher.completed is noted
    watcher._end(None, (1,), None)
    assert said == []
    assert not watcher.mode.is_active()


def test_a_draw_after_its_scope():
    with pytest.raises(SiteError, match="a scope to be active, got a draw after it ended"):
        new_watcher().active()


def test_the_mode_is_left_once():
    watcher = new_watcher()
    before = len(torch.overrides._get_current_function_mode_stack())
    watcher.observe()
    watcher.observe()
    assert watcher.mode.is_active()
    assert watcher.observes
    watcher.held = 1  # a recomputation runs
    watcher.rest()
    assert watcher.mode.is_active()
    watcher.held = 0
    watcher.rest()
    assert not watcher.mode.is_active()
    assert not watcher.observes
    watcher.rest()
    assert len(torch.overrides._get_current_function_mode_stack()) == before


def test_the_mode_stays_while_another_is_within_it():
    watcher = new_watcher()
    watcher.observe()
    with torch.device("cpu"):
        watcher.rest()
        assert watcher.mode.is_active()
    watcher.rest()
    assert not watcher.mode.is_active()
