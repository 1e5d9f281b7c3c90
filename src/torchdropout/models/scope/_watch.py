"""Which module of a model draws: the sites, and the mode that gives each draw its key."""

from __future__ import annotations

import contextlib
import contextvars
import functools
import hashlib
import sys
import threading
import types
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch.compiler import is_dynamo_compiling
from torch.overrides import TorchFunctionMode
from torch.utils.checkpoint import checkpoint

from ..._core import _torch
from ..._core.contract.keep import STREAM_BITS
from ...errors import ArgumentValueError, SiteError
from ...functional._part import Axis
from ...random import Key

Compute = Callable[..., Any]


class SiteId(NamedTuple):
    """A place where a model draws.

    Attributes:
        path: The module's name in the model, without the names that wrappers add.
        number: The number of the draw in that module, from 0, within a forward of the model.
    """

    path: str
    number: int

    def __str__(self) -> str:
        return f"{self.path or '(the model itself)'} #{self.number}"

    def stream(self) -> int:
        """The stream of its draws: the first 60 bits of the SHA-256 of `path#number`."""
        digest = hashlib.sha256(f"{self.path}#{self.number}".encode()).digest()
        return int.from_bytes(digest[:8], "big") >> (64 - STREAM_BITS)


class Place(NamedTuple):
    """Along which dimensions of a site's draws the samples lie, and the positions of a sequence.

    Attributes:
        batch: That of the samples; None where they share the draws.
        sequence: Those of the positions: of queries and keys in attention.
        others: Those of the positions of another sequence, such as that of an encoder.
    """

    batch: Axis | None
    sequence: tuple[Axis, ...] = ()
    others: tuple[Axis, ...] = ()


class Draw(NamedTuple):
    """One draw of a forward, as a handler describes it.

    Attributes:
        kind: The name of the function that draws.
        p: Its rate, if it has one.
        tensors: The arguments of `compute`.
        compute: `(*tensors, key=, layout=) -> result`.
        mean: `(*tensors) -> result` with each random number replaced by its mean; None if that
            says nothing about the model.
        aligned: Whether the samples lie along the same dimension in the tensors and in the draws.
        rated: Whether `compute` also takes `rate=`, a rate other than p.
        inplace: Whether it writes into its input, and takes `fresh=True` for a tensor of its own.
        finish: Writes the result to where the function writes it.
        plain: Whether it is `dropout` of each element of its one tensor, into a new one.
        passes: `(*tensors, keys=, layout=) -> result` of several passes, which are the first
            dimension of the tensors, or None if it cannot do that; it also takes `rate=`.
        inner: How many trailing dimensions have a meaning of their own, while any number of others
            may lie before them; None if others have one too.
        by_rows: Whether `compute` also takes some of the samples: parts of those tensors that are
            as large as the first along its dimension of samples.
    """

    kind: str
    p: Any
    tensors: tuple[Any, ...]
    compute: Compute
    mean: Callable[..., Any] | None
    aligned: bool = False
    rated: bool = False
    inplace: bool = False
    finish: Callable[[Any], Any] | None = None
    plain: bool = False
    passes: Compute | None = None
    inner: int | None = None
    by_rows: bool = False

    def finished(self, y: Any) -> Any:
        """The result of the call, once computed."""
        return y if self.finish is None else self.finish(y)


# Modules of torch that wrap a model, with the attribute that holds it.
_WRAPPED = {
    "_orig_mod": ("OptimizedModule",),
    "_fsdp_wrapped_module": ("FullyShardedDataParallel",),
    "_checkpoint_wrapped_module": ("CheckpointWrapper",),
    "module": ("DistributedDataParallel", "AveragedModel", "DataParallel"),
}
INSTANCE_NORMS = (torch.nn.InstanceNorm1d, torch.nn.InstanceNorm2d, torch.nn.InstanceNorm3d)
# Layers that the training mode changes in a way other than by a draw.
NORMS = (
    *(torch.nn.BatchNorm1d, torch.nn.BatchNorm2d, torch.nn.BatchNorm3d, torch.nn.SyncBatchNorm),
    *INSTANCE_NORMS,
)
# Files of torch.nn.modules whose modules call no function that draws.
QUIET = frozenset(
    f"torch.nn.modules.{name}"
    for name in (
        *("batchnorm", "channelshuffle", "container", "conv", "distance", "flatten", "fold"),
        *("instancenorm", "linear", "normalization", "padding", "pixelshuffle", "pooling"),
        *("sparse", "upsampling"),
    )
)


class Tree(NamedTuple):
    """The modules of a model, each once.

    Attributes:
        modules: All of them, containers before their children.
        paths: By path, without the names that wrappers add, and without the wrappers.
    """

    modules: list[torch.nn.Module]
    paths: dict[str, torch.nn.Module]


def _wraps(module: torch.nn.Module, name: str) -> bool:
    """Whether a module only calls that child: not on several devices, in threads of their own."""
    wraps = type(module).__name__ in _WRAPPED.get(name, ())
    return wraps and not is_replicated(module)


def is_replicated(module: torch.nn.Module) -> bool:
    """Whether a module runs copies of another in threads, which a scope does not see."""
    return isinstance(module, torch.nn.DataParallel) and len(module.device_ids) > 1


def tree_of(model: torch.nn.Module, prefix: str = "") -> Tree:
    """The modules of a model; several times as fast as `modules()`, since each scope calls it."""
    found = Tree([], {})
    seen: set[int] = set()
    waiting = [(prefix, model)]
    while waiting:
        path, module = waiting.pop()
        if id(module) in seen:
            continue
        seen.add(id(module))
        found.modules.append(module)
        found.paths[path] = module  # a wrapped module replaces its wrapper
        above = f"{path}." if path else ""
        for name, child in reversed(_torch.children(module).items()):
            if child is not None:
                wraps = name in _WRAPPED and _wraps(module, name)
                waiting.append((path if wraps else above + name, child))
    return found


def unwrapped(model: torch.nn.Module) -> torch.nn.Module:
    """The model inside wrappers of torch."""
    while True:
        children = _torch.children(model)
        inner = next((children.get(name) for name in _WRAPPED if _wraps(model, name)), None)
        if inner is None:  # also a class of the user that has the name of a wrapper
            return model
        model = inner


class State(NamedTuple):
    """Where a forward is: the modules that run, their draws so far, which samples it has."""

    frames: tuple[str, ...]
    counts: dict[Any, Any]
    start: int
    rows: int = 0
    numbers: Sequence[int] | None = None


class Scope(Protocol):
    """An object that answers the draws of a model.

    Attributes:
        forced: Whether a call that says `training=False` drops too.
    """

    forced: bool

    def before(self, args: Any, kwargs: Any) -> None:
        """A forward of the model begins, with these arguments."""

    def after(self) -> None:
        """The forward has ended, perhaps by an error."""

    def answer(self, site: SiteId, draw: Draw) -> Any:
        """The result of a draw."""

    def unreached(self, site: SiteId, name: str) -> None:
        """A function draws that cannot be given a key."""

    def unseen(self, name: str) -> None:
        """A function draws, and a compiled model does not report it."""

    def owned(self, site: SiteId, name: str, generator: Any) -> None:
        """A function is called with a generator of its own; the site is that of a draw here."""

    def outside(self, name: str) -> None:
        """A function that draws, or a part of the model, is called outside a forward of it."""

    @property
    def resumed(self) -> Callable[[State], contextlib.AbstractContextManager[None]] | None:
        """Re-enter the scope at the place of a forward, to recompute a region; None in a probe."""


class _FreedHook:
    """In a copy of a module, the placeholder for a scope's hooks of that module.

    A copied registry keeps an entry for each hook. The first forward removes these.
    """

    def __call__(self, module: torch.nn.Module, *_: Any) -> None:
        if not is_dynamo_compiling():
            _torch.remove_hooks(module, _FreedHook)


def _freed(next_number: int) -> _FreedHook:
    """A placeholder from a file, whose number no hook of this process may get."""
    _torch.reserve_hooks(next_number)
    return _FreedHook()


class _ScopeHook:
    """A hook of a scope, which a copy or a file of the module does not contain."""

    def __reduce__(self) -> Any:
        return _freed, (_torch.reserve_hooks(0),)


class _Calls(_ScopeHook):
    """A hook that calls a function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)


class _Enter(_ScopeHook):
    """A hook before a module's forward."""

    def __init__(self, watcher: Watcher, path: str) -> None:
        self.watcher = watcher
        self.path = path

    def __call__(self, module: torch.nn.Module, args: Any) -> None:
        watcher = self.watcher
        watcher.claim()
        outermost = not watcher.frames
        if outermost:
            watcher.observe()
            if self.path != watcher.root:
                watcher.active().outside(self.path)
        # Within the model the mode sees a reentrant region begin.
        watcher.note_checkpoint(begins=outermost)
        watcher.frames.append(self.path)


class _Leave(_ScopeHook):
    """A hook after a module's forward, however it ends."""

    def __init__(self, watcher: Watcher) -> None:
        self.watcher = watcher

    def __call__(self, module: torch.nn.Module, args: Any, output: Any) -> None:
        watcher = self.watcher
        if watcher.is_elsewhere():
            return
        if watcher.frames:
            watcher.frames.pop()
        if not watcher.frames:
            watcher.rest()
            if not watcher.begun:
                watcher.thread = None


class _Hook:
    """A hook that can be removed and restored under the same number."""

    def __init__(self, register: Callable[[], Any], first: bool = False) -> None:
        self._register: Callable[[], Any] | None = register
        self._first = first
        self._entries: list[tuple[Any, int, Any]] = []

    def put(self) -> None:
        """Put it on, before the other hooks of its module if `first` was set."""
        if self._register is not None:
            self._entries = _torch.entries_of(self._register())
            self._register = None  # it would keep the module alive
            return
        for registry, number, value in self._entries:
            registry[number] = value
            if self._first:
                registry.move_to_end(number, last=False)

    def remove(self) -> None:
        """Take it off."""
        for registry, number, _ in self._entries:
            registry.pop(number, None)


class _BeforeCompiled:
    """Runs a function before a module whose `compile()` was called, outside its graph."""

    def __init__(self, module: torch.nn.Module, before: Callable[[], None]) -> None:
        self._module = weakref.ref(module)
        self._before = before
        self._compiled: Any = None

    def put(self) -> None:
        """Put it on."""
        module, before = self._module(), self._before
        assert module is not None
        compiled: Any = _torch.compiled_call(module)

        def call(*args: Any, **kwargs: Any) -> Any:
            before()
            return compiled(*args, **kwargs)

        self._compiled = compiled
        _torch.set_compiled_call(module, call)

    def remove(self) -> None:
        """Take it off."""
        module = self._module()
        if module is not None and self._compiled is not None:
            _torch.set_compiled_call(module, self._compiled)
        self._compiled = None


class Watcher:
    """Knows where the forward of a model is, and answers its draws.

    There is one for each model, used by one scope at a time, so that a compiled model meets the
    same objects in every scope.

    Attributes:
        scope: What answers the draws now; None outside a scope.
        start: The number of the first sample of the current forward.
        rows: How many samples it has.
        numbers: The number of each, where they are not `start`, `start + 1` and so on.
        sizes: The shape of a sample in the first argument of forwards, up to the second one; None
            after a warning.
        warned: Whether a scope has warned of draws that do not belong to one sample.
        completed: Whether the last forward of the model gave a result.
        known: The sites that were found, by how; of the modules that the model has.
        inside: Whether a draw is being computed, in compiled code, where the mode stays active.
        order: How the packed sequence of a recurrent layer that runs was sorted, if it was.
        multi_head: torch's multi-head attention, with draws that this watcher answers.
        root: The path of the model.
        tree: The modules that have the hooks; none outside a scope.
        observes: Whether the mode is active, in the thread that runs the model.
        thread: The thread whose forward runs; None between forwards.
        begun: Whether that is a forward of the model itself.
        held: How many recomputations run, during which it stays active.
        ranked: The key of the last scope whose batch was divided among processes.
    """

    scope: Scope | None = None
    root = ""
    ranked: Key | None = None
    order: torch.Tensor | None = None
    multi_head: Callable[..., Any]

    def __init__(
        self,
        handlers: Mapping[Any, Callable[..., Any]],
        injected: Callable[[torch.nn.Module], Callable[..., Any] | None],
    ) -> None:
        self.mode = Mode(self, handlers)
        self.frames: list[str] = []
        self.counts: dict[Any, Any] = {}
        self.start = 0
        self.rows = 0
        self.numbers: Sequence[int] | None = None
        self.sizes: set[tuple[int, ...] | None] = set()
        self.warned = False
        self.completed = False
        self.inside = False
        self.observes = False
        self.thread: int | None = None
        self.begun = False
        self._token: object = None
        self.held = 0
        self._injected = injected
        self._hooks: list[_Hook] = []
        self._hooked: dict[str, weakref.ref[torch.nn.Module]] = {}
        self._outside: list[_Hook | _BeforeCompiled] = []
        self._compiled: list[weakref.ref[torch.nn.Module]] = []
        self.known: dict[Any, Any] = {}
        self.tree = Tree([], {})
        # The hooks of the model as it is given: on itself, or on what wraps it.
        self._ends: weakref.WeakKeyDictionary[torch.nn.Module, list[_Hook]]
        self._ends = weakref.WeakKeyDictionary()

    # --- Hooks -----------------------------------------------------------------------------------

    def install(self, model: torch.nn.Module, prefix: str) -> None:
        """Hook the modules of a model; `remove` takes the hooks off.

        They are restored with the numbers they had, which a compiled graph may have read.
        """
        self.tree = tree_of(model, prefix)
        self.root = prefix
        modules, paths = self.tree
        # Modules are compared by references, not by their ids, which a later module may get.
        if {path: ref() for path, ref in self._hooked.items()} != paths:
            self._hooks = [*self._of_modules(model, paths)]
            self._hooked = {path: weakref.ref(module) for path, module in paths.items()}
            self.known.clear()
            self.sizes.clear()
            self.warned = False
        if model not in self._ends:
            self._ends[model] = [*self._of_ends(model)]
        compiled = [*filter(_torch.is_compiled, modules)]
        if [ref() for ref in self._compiled] != compiled:
            self._outside = [*self._of_compiled(compiled)]
            self._compiled = [*map(weakref.ref, compiled)]
        for hook in [*self._hooks, *self._outside, *self._ends[model]]:
            hook.put()

    def _of_modules(
        self, model: torch.nn.Module, paths: Mapping[str, torch.nn.Module]
    ) -> Iterator[_Hook]:
        inner = unwrapped(model)
        for path, module in paths.items():
            if isinstance(module, torch.jit.ScriptModule):  # it takes no hooks; see `Sites.hidden`
                continue
            before, after = module.register_forward_pre_hook, module.register_forward_hook
            inject = self._injected(module)
            if inject is not None:
                given = _Calls(functools.partial(inject, self))
                yield _Hook(functools.partial(before, given, with_kwargs=True))
            # A parametrized module has a class of its own, and may draw.
            if type(module).__module__ in QUIET and module is not inner:
                continue
            # It comes before the hooks of the user, which may draw.
            yield _Hook(functools.partial(before, _Enter(self, path), prepend=True), first=True)
            yield _Hook(functools.partial(after, _Leave(self), always_call=True))

    def _of_compiled(self, modules: Iterable[torch.nn.Module]) -> Iterator[_Hook | _BeforeCompiled]:
        """A checkpointed region may begin with compiled code, which cannot look for it."""
        for module in modules:
            if _torch.compiled_call(module) is not None:
                yield _BeforeCompiled(module, self.note_checkpoint)
            else:  # what torch.compile returned, whose hooks run outside the graph
                yield _Hook(
                    functools.partial(
                        module.register_forward_pre_hook, _Calls(self._outside_of), prepend=True
                    ),
                    first=True,
                )

    def _outside_of(self, module: torch.nn.Module, args: Any) -> None:
        self.note_checkpoint()

    def _of_ends(self, model: torch.nn.Module) -> Iterator[_Hook]:
        # They are on the model as it was given: the hooks of a compiled one run outside the graph.
        before, after = model.register_forward_pre_hook, model.register_forward_hook
        begin = functools.partial(before, _Calls(self._begin), with_kwargs=True, prepend=True)
        yield _Hook(begin, first=True)
        yield _Hook(functools.partial(after, _Calls(self._complete)))
        yield _Hook(functools.partial(after, _Calls(self._end), always_call=True))

    def remove(self) -> None:
        """Take the hooks off."""
        ends = (hook for hooks in self._ends.values() for hook in hooks)
        for hook in [*self._hooks, *ends, *self._outside]:
            hook.remove()
        self.tree = Tree([], {})  # it would keep the model alive
        self.frames.clear()

    def belong_to(self, scope: Scope | None) -> None:
        """Take a scope, which no other thread may do at the same time, or end it.

        Raises:
            ArgumentValueError: There is one already.
        """
        with _ONE_AT_A_TIME:
            if scope is not None and self.scope is not None:
                raise ArgumentValueError(
                    "Expected no scope of this model to be active, got another one around this."
                )
            self.scope = scope
            left = tuple(token for token in _ENTERED.get() if token is not self._token)
            self._token = None if scope is None else object()
            self.thread, self.begun = None, False
        _ENTERED.set(left if scope is None else (*left, self._token))

    def claim(self) -> None:
        """Note the thread that runs a module.

        Raises:
            SiteError: Another one runs a forward.
        """
        if is_dynamo_compiling():
            return
        me = threading.get_ident()
        with _ONE_AT_A_TIME:
            if self.thread is None:
                self.thread = me
        if self.thread != me:
            raise SiteError(
                "Expected one thread at a time to run a model within a scope, got a call while "
                "another thread is in its forward: the draws of both would be counted as one's."
            )

    def is_elsewhere(self) -> bool:
        """Whether another thread runs a forward: this one's call was refused."""
        return not is_dynamo_compiling() and self.thread not in (None, threading.get_ident())

    def _check_context(self) -> None:
        """Refuse a forward of a task or a thread that does not know of the scope.

        Raises:
            SiteError: It does not.
        """
        if self._token is not None and self._token not in _ENTERED.get():
            raise SiteError(
                "Expected a model with an active scope to be called by the thread or the task that "
                "entered the scope, got a call from another one. If it belongs to the scope, start "
                "it with its context: asyncio.to_thread, or contextvars.copy_context().run."
            )

    def _begin(self, module: torch.nn.Module, args: Any, kwargs: Any) -> None:
        if not (is_dynamo_compiling() or _torch.in_backward()):
            self._check_context()
            self.claim()
            if self.frames and not _calls_itself(module):
                self.frames.clear()  # no hook runs after a forward that Ctrl-C or a timeout ended
        if not self.frames and not _torch.in_backward():
            self.begun = True  # also where a graph ends between here and the end of the forward
            self.observe()
            self.counts.clear()
            self.completed = False
            if is_dynamo_compiling():
                self.active().before(args, kwargs)
                return
            self.inside = True  # forwards that find sites are none of the user's
            try:
                self.active().before(args, kwargs)
            finally:
                self.inside = False

    def _complete(self, module: torch.nn.Module, args: Any, output: Any) -> None:
        """Note a result, perhaps None: unlike `_end`, this hook does not run after an error."""
        if not self.frames and not _torch.in_backward():
            if isinstance(output, _LATER):
                if not isinstance(output, types.AsyncGeneratorType):
                    output.close()
                raise SiteError(
                    "Expected a model that has computed its output when its forward returns, got "
                    f"{type(output).__name__}: what draws later is outside of the forward."
                )
            self.completed = True

    def _end(self, module: torch.nn.Module, args: Any, output: Any) -> None:
        begun = is_dynamo_compiling() or (self.begun and not self.is_elsewhere())
        if begun and not self.frames and not _torch.in_backward():
            try:
                self.active().after()
                self.rest()
            finally:
                self.thread, self.begun = None, False

    # --- The mode --------------------------------------------------------------------------------

    # It costs a microsecond per call of torch, also in a backward and an optimiser. So it is
    # active while the model runs, and from the start of a scope until then: compiling a function
    # that calls the model needs it.

    def observe(self) -> None:
        """Make the mode see the functions that are called from now on."""
        if not is_dynamo_compiling():
            self._observe()
        elif not self.observes:
            _torch.in_python(self._observe)()

    def _observe(self) -> None:
        if not self.mode.is_active():
            self.mode.__enter__()
        self.observes = True

    def rest(self) -> None:
        """The model has ended: leave the mode, unless another is within it."""
        if not (is_dynamo_compiling() or self.held) and _torch.innermost_mode() is self.mode:
            self.stop()

    def stop(self) -> None:
        """Leave the mode, if it is active.

        After Ctrl-C in the model, an outer mode, such as a default device, may have popped this
        one instead of itself: then this pops that one.
        """
        if self.mode.is_active() or (self.observes and _torch.innermost_mode() is not None):
            self.mode.__exit__(None, None, None)
        self.observes = False

    # --- Draws -----------------------------------------------------------------------------------

    def next_site(self) -> SiteId:
        """The site of the next draw."""
        path = self.frames[-1]
        number = self.counts.get(path, 0)
        self.counts[path] = number + 1
        return SiteId(path, number)

    def note_generator(self, func: Any, generator: Any) -> None:
        """Report a call with a generator of its own, which does not count as a draw."""
        if generator is not None:
            path = self.frames[-1]
            site = SiteId(path, self.counts.get(path, 0))
            self.active().owned(site, func.__name__, generator)

    def draw(self, draw: Draw) -> Any:
        """The result of a draw."""
        self.note_checkpoint(begins=False)
        return self.active().answer(self.next_site(), draw)

    def call(self, func: Any, args: Any, kwargs: Any) -> Any:
        """A call of one of our functions in compiled code."""
        handler = self.mode.handlers.get(func)
        if handler is None or not self.frames:
            return func(*args, **kwargs)
        self.inside = True
        try:
            return handler(self, func, *args, **kwargs)
        finally:
            self.inside = False

    def active(self) -> Scope:
        """The scope."""
        if self.scope is None:
            raise SiteError("Expected a scope to be active, got a draw after it ended.")
        return self.scope

    # --- Recomputation ---------------------------------------------------------------------------

    def state(self) -> State:
        """Where the forward is."""
        return State(tuple(self.frames), dict(self.counts), self.start, self.rows, self.numbers)

    def go_to(self, state: State) -> None:
        """Return to the place of a forward."""
        self.frames[:] = state.frames
        self.counts = dict(state.counts)
        self.start, self.rows, self.numbers = state.start, state.rows, state.numbers

    def note_checkpoint(self, begins: bool = True) -> None:
        """Make a checkpointed region that begins here be recomputed from the same place.

        The backward computes it again, by then perhaps outside the scope.

        Args:
            begins: Whether a reentrant region may have begun that is not yet noted.
        """
        region = None if is_dynamo_compiling() else _torch.checkpoint_region(begins)
        resume = None if region is None else self.active().resumed
        if region is None or resume is None:
            return
        owner, name = region
        compute, state = getattr(owner, name), self.state()
        if getattr(compute, _RESUMES, False):
            return

        def again(*args: Any, **kwargs: Any) -> Any:
            with resume(state):
                return compute(*args, **kwargs)

        setattr(again, _RESUMES, True)
        setattr(owner, name, again)


_RESUMES = "_resumes_a_scope"  # marks a function that has been wrapped


# The scopes that a task or a thread has entered, or was started in.
_ENTERED: contextvars.ContextVar[tuple[object, ...]] = contextvars.ContextVar(
    "torchdropout_scopes", default=()
)
_ONE_AT_A_TIME = threading.Lock()
# Outputs whose code has not run yet.
_LATER = (types.CoroutineType, types.GeneratorType, types.AsyncGeneratorType)


def _calls_itself(module: torch.nn.Module) -> bool:
    """Whether the call that begins is within another call of the module."""
    calls, frame = 0, sys._getframe()
    while frame is not None and calls < 2:
        is_call = frame.f_code.co_name == "_call_impl"
        calls += is_call and frame.f_locals.get("self") is module
        frame = frame.f_back  # type: ignore[assignment]
    return calls == 2


class Mode(TorchFunctionMode):
    """Gives the draws within a model's forward to its watcher."""

    def __init__(self, watcher: Watcher, handlers: Mapping[Any, Callable[..., Any]]) -> None:
        super().__init__()
        self.watcher = watcher
        self.handlers = handlers

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        handler = self.handlers.get(func)
        if handler is None and func is not checkpoint:  # most calls, even tensor attributes
            return func(*args, **(kwargs or {}))
        if not self.watcher.frames or self.watcher.inside:
            if handler is not None and not self.watcher.inside:
                self.watcher.active().outside(func.__name__)
            return func(*args, **(kwargs or {}))
        if handler is None:  # a region of a graph: the compiler reports nothing in it
            return func(self._observing(args[0]), *args[1:], **(kwargs or {}))
        if kwargs and "generator" in kwargs and not is_dynamo_compiling():
            self.watcher.note_generator(func, kwargs["generator"])
        return handler(self.watcher, func, *args, **(kwargs or {}))

    def _observing(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def observed(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return observed

    def is_active(self) -> bool:
        """Whether functions are observed now: another thread may run a backward."""
        return any(mode is self for mode in _torch.function_modes()[0])
