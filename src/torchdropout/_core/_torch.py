"""Every private name of torch that this package uses: what it gives, and what happens without it.

torch may rename any of them between two versions. A name that only gives speed, or for which there
is a substitute, may be missing: `missing` lists it, and `torchdropout info` prints it. Without a
name that the operators need, the import fails; without a name that one feature needs, that feature
is refused. The error gives the name.

The functions at the end of this file read private attributes of instances, which cannot be checked
at import.
"""

from __future__ import annotations

import contextlib
import pkgutil
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import torch
import torch.utils.checkpoint
from torch.nn.utils import parametrize

from .._version import __version__
from ..errors import TorchVersionError

OLDEST = "2.10"


class Name(NamedTuple):
    """A private name of torch.

    Attributes:
        path: Its module and its place in it, as `pkgutil.resolve_name` expects them.
        gives: What the package gets from it.
        without: What happens without it.
    """

    path: str
    gives: str
    without: str

    def __str__(self) -> str:
        return self.path.replace(":", ".")


FAILS = "the import fails"
REFUSED = "what needs it is refused"
CLOSED = "the direct path is closed: small calls take longer"

names: list[Name] = []
missing: list[Name] = []


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")[:2]]


def _version() -> None:
    if _numbers(torch.__version__) < _numbers(OLDEST):
        raise TorchVersionError(
            f"torchdropout {__version__} needs torch {OLDEST} or newer, got torch "
            f"{torch.__version__}."
        )


def _raise(name: Name) -> NoReturn:
    raise TorchVersionError(
        f"torch {torch.__version__} has no {name}, which gives torchdropout {__version__} "
        f"{name.gives}. Use a version of torch that has it, or a newer torchdropout."
    )


def _named(path: str, gives: str, without: str) -> Name:
    name = Name(path, gives, without)
    names.append(name)
    return name


def _found(name: Name) -> Any:
    """Return the object with this name, or None."""
    try:
        return pkgutil.resolve_name(name.path)
    except (ImportError, AttributeError):
        missing.append(name)
        return None


def _optional(path: str, gives: str, without: str, substitute: Any = None) -> Any:
    found = _found(_named(path, gives, without))
    return substitute if found is None else found


def _needed(path: str, gives: str) -> Any:
    name = _named(path, gives, FAILS)
    found = _found(name)
    return _raise(name) if found is None else found


class _Absent:
    """A stand-in for something that torch lacks; it raises when it is used."""

    def __init__(self, name: Name) -> None:
        self._name = name

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        _raise(self._name)

    def __getattr__(self, attribute: str) -> NoReturn:
        _raise(self._name)


def _at_use(path: str, gives: str) -> Any:
    """Return the object with this name, or else an object that raises when it is used."""
    name = _named(path, gives, REFUSED)
    found = _found(name)
    return _Absent(name) if found is None else found


def _imported_at_use(path: str, gives: str) -> Callable[[], Any]:
    """Return a function that imports the name from a module that `import torch` does not load."""
    name = _named(path, gives, REFUSED)

    def get() -> Any:
        try:
            return pkgutil.resolve_name(path)
        except (ImportError, AttributeError):
            _raise(name)

    return get


_version()

# --- The direct path: what observes a call besides autograd --------------------------------------

_transforms_active = _optional(
    "torch._C:_are_functorch_transforms_active", "whether torch.func transforms a call", CLOSED
)
_function_mode_active = _optional(
    "torch._C:_is_torch_function_mode_enabled", "whether a mode observes functions", CLOSED
)
_dispatch_modes = _optional(
    "torch._C:_len_torch_dispatch_stack", "how many modes observe operators", CLOSED
)
_tracing_state = _optional("torch._C:_get_tracing_state", "whether torch.jit.trace records", CLOSED)
# Each returns something false if nothing but autograd observes operators.
WATCHERS = (_transforms_active, _function_mode_active, _dispatch_modes, _tracing_state)

# -1 and False mean "inactive". They are read as attributes, since torch assigns to them.
LEVEL = (torch.autograd.forward_ad, "_current_level")
PROFILER = (torch.autograd.profiler, "_is_profiler_enabled")
_optional("torch.autograd.forward_ad:_current_level", "the level of forward mode", CLOSED)
_optional("torch.autograd.profiler:_is_profiler_enabled", "whether a profiler records", CLOSED)

_optional("torch.autograd:Function._backward_cls", "the class of a function's node", CLOSED)
_optional("torch:Tensor.__dlpack_c_exchange_api__", "a tensor's memory and shape in C", CLOSED)


def short_way() -> bool:
    """True if no name that the direct path needs is missing."""
    return all(name.without is not CLOSED for name in missing)


def close_short_way(path: str, why: str) -> None:
    """Note a name that exists but has changed its meaning."""
    missing.append(Name(path, why, CLOSED))


def set_backward(function: Any, backward: Callable[..., Any]) -> None:
    """Let the node of an `autograd.Function` call `backward` as soon as it runs.

    The checks that torch's own code makes before that (active transforms, `vjp` instead) are
    already done if the direct path is open, and cost as much as a kernel.
    """
    function._backward_cls.apply = lambda ctx, gradient: backward(ctx, gradient)


def unwatched() -> bool:
    """True if nothing but autograd observes operators; False if that cannot be determined."""
    if not short_way():
        return False
    for seen in WATCHERS:
        if seen():
            return False
    owner, level = LEVEL
    return bool(getattr(owner, level) < 0)


def may_be_watched() -> bool:
    """True if a transform, a dispatch mode or a tracer may observe a read from a tensor."""
    return not short_way() or any(seen() for seen in WATCHERS if seen is not _function_mode_active)


# --- Required by the operators -------------------------------------------------------------------

SingleLevelFunction = _needed(
    "torch.autograd.function:_SingleLevelFunction", "the derivatives of its operators"
)
single_level_allowed = _needed(
    "torch._functorch.utils:enable_single_level_autograd_function",
    "the derivatives of its operators under torch.func",
)
forward_gradients = _needed(
    "torch.autograd.forward_ad:_set_fwd_grad_enabled", "second derivatives in forward mode"
)
BelowAutograd = _needed(
    "torch._C:_AutoDispatchBelowAutograd", "the kernels that lie below its derivatives"
)
after_autograd = _needed(
    "torch._C:_after_autograd_keyset", "the kernels that lie below its derivatives"
)
compiled_autograd_key = _optional(
    "torch.autograd:Function._compiled_autograd_key",
    "the key that compiled autograd needs of a function",
    "compiled autograd raises",
)
VmapInterpreter = _needed("torch._functorch.pyfunctorch:VmapInterpreter", "randomness under vmap")
current_interpreter = _needed(
    "torch._functorch.pyfunctorch:retrieve_current_functorch_interpreter", "randomness under vmap"
)
_interpreters = _needed(
    "torch._functorch.pyfunctorch:retrieve_all_functorch_interpreters", "randomness under vmap"
)
_Functionalizer = _optional(
    "torch._functorch.pyfunctorch:FunctionalizeInterpreter",
    "whether torch.func.functionalize transforms a call",
    "it raises for zoneout and learned noise",
    (),
)
DispatchKey = _needed("torch._C:DispatchKey", "randomness under vmap")
DispatchKeySet = _needed("torch._C:DispatchKeySet", "randomness under vmap")
ExcludeDispatchKeys = _needed("torch._C:_ExcludeDispatchKeyGuard", "randomness under vmap")
ProxyMode = _needed(
    "torch.fx.experimental.proxy_tensor:ProxyTorchDispatchMode",
    "keys that a compiled backward does not draw again",
)
add_batch_dim = _needed("torch._C:_functorch._add_batch_dim", "randomness under vmap")
not_compiled = _optional(
    "torch._compile:_disable_dynamo",
    "functions that the compiler skips, without loading it",
    "the import loads the compiler, which takes seconds",
    lambda function: torch.compiler.disable(function),
)

if (
    _optional(
        "torch.compiler:_is_exporting_flag",
        "whether a program is exported",
        "a graph that torch 2.10 compiles has p as a constant",
    )
    is None
):
    is_exporting = torch.compiler.is_exporting
else:

    def is_exporting() -> bool:
        """`torch.compiler.is_exporting`, which the compiler of torch 2.10 treats as true."""
        return torch.compiler._is_exporting_flag


# --- Single features -----------------------------------------------------------------------------

if TYPE_CHECKING:
    from torch.nn.modules.dropout import _DropoutNd

    DropoutBase = _DropoutNd
else:
    DropoutBase = _needed(
        "torch.nn.modules.dropout:_DropoutNd", "the base of all modules that torch calls dropout"
    )
check = _at_use("torch:_check", "the bounds of a size that a compiled graph does not know")
is_batched = _at_use(
    "torch._C:_functorch.is_batchedtensor", "compiled TokenDropout, and p as a tensor"
)
canonical_mask = _at_use("torch.nn.functional:_canonical_mask", "the masks of MultiheadAttention")
graph_task = _at_use("torch._C:_current_graph_task_id", "whether a backward runs, for WeightDrop")
current_tracer = _imported_at_use(
    "torch.fx.experimental.proxy_tensor:_CURRENT_MAKE_FX_TRACER",
    "whether a compiled draw is in a body that the backward runs again",
)
_saved_tensors_hooks = _optional(
    "torch._C:_autograd._top_saved_tensors_default_hooks",
    "the checkpointed region in which a scope's draw is",
    "a region is recomputed with the right draws only within the scope",
    lambda ignore_disabled: None,
)
# Functions that draw, and that a mode sees where torch.distributions calls them.
HIDDEN_DRAWS = [
    function
    for path in (
        "torch:_standard_gamma",
        "torch:_sample_dirichlet",
    )
    if (function := _optional(path, "the name of what draws", "it has no name")) is not None
]
function_mode_enabled = _function_mode_active
is_view = _optional(
    "torch:Tensor._is_view",
    "whether a tensor that is written into is a view",
    "torch's operations write in place instead of a kernel",
    lambda x: True,
)


def _masked_softmax(scores: torch.Tensor, dim: int) -> torch.Tensor:
    sees_none = (scores == -torch.inf).all(dim, keepdim=True)
    return scores.masked_fill(sees_none, 0.0).softmax(dim).masked_fill(sees_none, 0.0)


safe_softmax = _optional(
    "torch:ops.aten._safe_softmax.default",
    "attention's probabilities, 0 for a query that sees no key",
    "masked attention over a few tokens takes longer",
    _masked_softmax,
)
shard_offset = _imported_at_use(
    "torch.distributed.tensor._utils:compute_local_shape_and_global_offset",
    "the place of a DTensor's shard in the whole tensor",
)

# Whether the compiler asks a function mode about functions without a tensor, such as `torch.rand`.
asks_about_factories = _numbers(torch.__version__) >= [2, 13]

# --- The verifier and the audit of models --------------------------------------------------------

_Mode = _needed("torch.utils._python_dispatch:TorchDispatchMode", "a look at every operator")
tree = _at_use("torch.utils._pytree", "the tensors in a model's inputs")
set_grad_enabled = _at_use("torch._C:_set_grad_enabled", "the grad mode that a target left")
_modes = _at_use("torch._C:_len_torch_function_stack", "the default device that a target left")
_mode_at = _at_use("torch._C:_get_function_stack_at", "the default device that a target left")
_pop_mode = _at_use("torch._C:_pop_torch_function_stack", "the default device that a target left")
_push_mode = _at_use(
    "torch._C:_push_on_torch_function_stack", "the default device that a target left"
)
_device_noted = _at_use("torch:_GLOBAL_DEVICE_CONTEXT", "the default device that a target left")
_device = _at_use("torch.utils._device", "the default device that a target left")
fake_tensors = _imported_at_use(
    "torch._subclasses.fake_tensor:FakeTensorMode", "tensors on devices that this machine lacks"
)
compiler_settings = _imported_at_use("torch._dynamo.config", "the limit of recompilations")
gradient_settings = _imported_at_use("torch._functorch.config", "second backwards of a graph")
compiler_calls = _imported_at_use(
    "torch._dynamo.callback:callback_handler", "when the compiler begins and ends"
)
compiler_backend = _imported_at_use(
    "torch._dynamo:lookup_backend", "whether the compiler has traced a target"
)


class OperatorMode(_Mode):  # type: ignore[misc,valid-type]
    """A mode that observes operators, without loading the compiler in order to be skipped by it."""

    _number: int  # among the modes that are active

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    def __enter__(self) -> Any:
        found = super().__enter__()
        self._number = _dispatch_modes() if _dispatch_modes else 0
        return found

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Observe nothing, so that code that depends on being observed does not change.

        If another mode is within this one, it continues.
        """
        if not (_dispatch_modes and self._number == _dispatch_modes()):
            yield
            return
        self.__exit__(None, None, None)
        try:
            yield
        finally:
            self.__enter__()


def function_modes() -> tuple[Any, ...]:
    """The modes on torch functions, including a default device, and torch's record of that."""
    modes = tuple(_mode_at(i) for i in range(_modes()))
    return modes, getattr(_device_noted, "device_context", None), _device.CURRENT_DEVICE


def innermost_mode() -> Any:
    """The mode that sees a torch function first; None without one."""
    count = _modes()
    return _mode_at(count - 1) if count else None


def set_function_modes(state: tuple[Any, ...]) -> None:
    """Restore what `function_modes` returned."""
    modes, noted, device = state
    while _modes():
        _pop_mode()
    for mode in modes:
        _push_mode(mode)
    _device_noted.device_context = noted
    _device.CURRENT_DEVICE = device


def hooks_on_all_modules() -> dict[str, Any]:
    """The registries of hooks that every module runs, attributes of `torch.nn.modules.module`."""
    home = vars(torch.nn.modules.module)
    return {name: value for name, value in home.items() if name.startswith("_global_")}


# --- Attributes of instances ---------------------------------------------------------------------

COMPILED = "_orig_mod"  # the attribute by which torch.compile's module holds the original
STATE = ("_parameters", "_buffers", "_modules")  # what a module holds by name
HOOKS = tuple(name for name in vars(torch.nn.Module()) if "hook" in name)  # the hooks that it runs
# Methods of a stage of a pipeline that run it to learn shapes; the latter until torch 2.12.
INFERENCES = ("_forward_metadata_inference", "_shape_inference")
# Operators that compute a whole transformer layer, or its attention.
FAST_PATHS = ("_transformer_encoder_layer_fwd", "_native_multi_head_attention")


def children(module: torch.nn.Module) -> dict[str, torch.nn.Module | None]:
    """The children of a module by name: the dict itself, with a shared module under each name."""
    return module._modules


def entries_of(handle: Any) -> list[tuple[Any, int, Any]]:
    """Return each registry that holds a hook's handle, its number, and its entry."""
    registries = [handle.hooks_dict_ref(), *(ref() for ref in handle.extra_dict_ref)]
    return [(r, handle.id, r[handle.id]) for r in registries if handle.id in r]


def remove_hooks(module: torch.nn.Module, kind: type) -> None:
    """Remove a module's hooks of a given class."""
    registries = [getattr(module, name) for name in HOOKS]
    found = {
        number
        for registry in registries
        if isinstance(registry, dict)
        for number, hook in registry.items()
        if isinstance(hook, kind)
    }
    for registry in registries:
        if isinstance(registry, dict):
            for number in found:
                registry.pop(number, None)


def reserve_hooks(number: int) -> int:
    """Give further hooks this number or higher ones; returns the next."""
    handle = torch.utils.hooks.RemovableHandle
    handle.next_id = max(handle.next_id, number)
    return handle.next_id


def is_compiled(module: torch.nn.Module) -> bool:
    """Whether `Module.compile()` was called, or it is what `torch.compile` returned."""
    return compiled_call(module) is not None or COMPILED in children(module)


@contextlib.contextmanager
def eager() -> Iterator[None]:
    """Make compiled code run uncompiled."""
    if "torch._dynamo" not in sys.modules:  # nothing is compiled, and asking would load it
        yield
        return
    with _STANCE, torch.compiler.set_stance("force_eager"):
        yield


def in_python(call: Callable[..., Any]) -> Callable[..., Any]:
    """A function that the compiler does not enter; in eager code it is itself."""
    return torch.compiler.disable(call) if torch.compiler.is_dynamo_compiling() else call


_STANCE = threading.RLock()  # torch's stance is that of all threads


def compiled_call(module: torch.nn.Module) -> Callable[..., Any] | None:
    """The function that a module whose `compile()` was called runs instead of itself."""
    return module._compiled_call_impl


def set_compiled_call(module: torch.nn.Module, call: Callable[..., Any]) -> None:
    """Make a module whose `compile()` was called run another function."""
    module._compiled_call_impl = call


def is_inside_fsdp(module: torch.nn.Module) -> bool:
    """Whether FSDP manages this module's parameters under the modules that they were in."""
    return getattr(module, "_is_fsdp_managed_module", False) and not getattr(
        module, "_fsdp_use_orig_params", True
    )


def amounts_of_padding(convolution: Any) -> list[int]:
    """A convolution's padding in the form that `torch.nn.functional.pad` expects."""
    return convolution._reversed_padding_repeated_twice  # type: ignore[no-any-return]


def base_of(x: torch.Tensor) -> torch.Tensor | None:
    """The tensor that x is a view of."""
    return x._base


def ragged_dim(x: Any) -> int:
    """The dimension of a jagged tensor along which its components differ."""
    return x._ragged_idx  # type: ignore[no-any-return]


def last_traced(mode: Any) -> torch.fx.Node:
    """The node of the operator that a `ProxyMode` has just recorded."""
    # In torch 2.10 `reversed` of these gives an iterable that is not an iterator.
    return next(iter(reversed(mode.tracer.graph.nodes)))  # type: ignore[no-any-return]


def is_of_backward(node: torch.fx.Node) -> bool:
    """Whether a node of a joint graph belongs to its backward."""
    return node.meta.get("partitioner_tag") == "is_backward"


def budgets(node: torch.fx.Node) -> list[float]:
    """The shares of activations that the partitioner may save, one of which holds for the graph."""
    config = gradient_settings()
    found = [config.activation_memory_budget]
    custom = node.meta.get("custom")
    if isinstance(custom, dict):
        found += [value for name, value in custom.items() if "memory_budget" in name]
    if not getattr(config, "activation_memory_budget_require_full_coverage", True):
        found.append(0)  # from torch 2.15 on, the graph's share may be annotated elsewhere
    return found


def runs_again(node: torch.fx.Node) -> bool:
    """Whether a node is in the body of an operator that the backward runs again, e.g. `torch.cond`.

    Some are always rerun, others if the partitioner recomputes savable results.
    """
    tracer = current_tracer()
    if tracer is None or not tracer.is_hop_subgraph_tracer():
        return False
    config = gradient_settings()
    much = config.aggressive_recomputation or not config.ban_recompute_not_in_allowlist
    much = much or any(budget != 1 for budget in budgets(node))
    return is_of_backward(node) or (much and torch.is_grad_enabled())


def vmap_randomness() -> set[str]:
    """The `randomness` of each `torch.func.vmap` around a call."""
    if _transforms_active is not None and not _transforms_active():
        return set()
    stack = _interpreters()
    return {i.randomness() for i in stack if isinstance(i, VmapInterpreter)}


def refuses_functions() -> bool:
    """Whether the recorder of a call rejects an `autograd.Function` with its own rule for vmap.

    Such recorders are torch.compile, torch.jit.trace and torch.func.functionalize.
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing():  # type: ignore[attr-defined]
        return True
    if _transforms_active is not None and not _transforms_active():
        return False
    return any(isinstance(i, _Functionalizer) for i in _interpreters())


def in_backward() -> bool:
    """Whether autograd runs a backward; a compiler does not trace one."""
    return not torch.compiler.is_compiling() and graph_task() != -1


def checkpoint_region(begins: bool) -> tuple[Any, str] | None:
    """The holder of the function that recomputes the running checkpointed region, and its name.

    It is found in the objects that `torch.utils.checkpoint` set up for the region: hooks on saved
    tensors, or, in the reentrant form, a call of its autograd function without gradients.

    Args:
        begins: Whether a region of the reentrant form may have begun since the last call:
            finding its call takes long.
    """
    hooks = _saved_tensors_hooks(True)
    if hooks is not None and getattr(hooks[0], "__qualname__", "").startswith("_checkpoint_hook."):
        cells = zip(hooks[0].__code__.co_freevars, hooks[0].__closure__, strict=True)
        frame = dict(cells).get("frame")
        return None if frame is None else (frame.cell_contents, "recompute_fn")
    if begins and not torch.is_grad_enabled():
        frame = _frame_of({torch.utils.checkpoint.CheckpointFunction.forward.__code__})
        return None if frame is None else (frame.f_locals["ctx"], "run_function")
    return None


def in_nested_region() -> bool:
    """Whether a function marked by `torch.compiler.nested_compile_region` runs now, in eager."""
    home = sys.modules.get("torch._higher_order_ops.invoke_subgraph")
    run = getattr(home, "invoke_subgraph_placeholder", None)
    return run is not None and _frame_of({run.__code__}) is not None


def _frame_of(codes: set[Any]) -> Any:
    """The innermost frame that runs one of some functions."""
    frame: Any = sys._getframe()
    while frame is not None and frame.f_code not in codes:
        frame = frame.f_back
    return frame


def infers_shapes() -> bool:
    """Whether a stage of a pipeline runs now only to learn the shapes of its results."""
    home = sys.modules.get("torch.distributed.pipelining.stage")
    if home is None:
        return False
    of_stage = vars(home.PipelineStage)
    codes = {of_stage[name].__code__ for name in INFERENCES if name in of_stage}
    return _frame_of(codes) is not None


def storage_id(x: torch.Tensor) -> int:
    """A number that is the same for all tensors that share memory."""
    return x.untyped_storage()._cdata  # type: ignore[no-any-return]


def schema(operator: Any) -> Any:
    """An operator's arguments and results."""
    return operator._schema


def parametrize_cache() -> dict[Any, Any]:
    """The values that `torch.nn.utils.parametrize.cached` currently holds; empty outside of it."""
    return parametrize._cache if parametrize._cache_enabled else {}
