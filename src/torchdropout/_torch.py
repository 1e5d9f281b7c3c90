"""Every private name of torch that this package uses: what it gives, and what happens without it.

torch may rename any of them between two versions. One that only buys speed, or for which there is a
substitute, may be missing: `missing` lists it, and `torchdropout info` prints it. Without a name
that the operators are made of the import fails, and without a name that one feature needs that
feature is refused; the error says which name it was.

Private attributes of instances, whose presence no import can see, are read by the functions at the
end of this file.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import torch
from torch.nn.utils import parametrize

from ._version import __version__
from .errors import TorchVersionError

OLDEST = "2.10"


class Name(NamedTuple):
    """A private name of torch.

    Attributes:
        path: Its module and its place in it, as `pkgutil.resolve_name` takes them.
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
CLOSED = "the short way is closed: small calls take longer"

names: list[Name] = []
missing: list[Name] = []


def _version() -> None:
    def numbers(version: str) -> list[int]:
        return [int(part) for part in version.split(".")[:2]]

    if numbers(torch.__version__) < numbers(OLDEST):
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
    """What has the name, or None."""
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
    """Stands for what torch does not have, and raises where it is used."""

    def __init__(self, name: Name) -> None:
        self._name = name

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        _raise(self._name)

    def __getattr__(self, attribute: str) -> NoReturn:
        _raise(self._name)


def _at_use(path: str, gives: str) -> Any:
    """What has the name; without it, what raises where it is used."""
    name = _named(path, gives, REFUSED)
    found = _found(name)
    return _Absent(name) if found is None else found


def _imported_at_use(path: str, gives: str) -> Callable[[], Any]:
    """A function that imports it: from a module that `import torch` does not load."""
    name = _named(path, gives, REFUSED)

    def get() -> Any:
        try:
            return pkgutil.resolve_name(path)
        except (ImportError, AttributeError):
            _raise(name)

    return get


_version()

# --- The short way: who looks at a call beside autograd ------------------------------------------

_transforms_active = _optional(
    "torch._C:_are_functorch_transforms_active", "whether torch.func transforms a call", CLOSED
)
_function_mode_active = _optional(
    "torch._C:_is_torch_function_mode_enabled", "whether a mode watches functions", CLOSED
)
_dispatch_modes = _optional(
    "torch._C:_len_torch_dispatch_stack", "how many modes watch operators", CLOSED
)
_tracing_state = _optional("torch._C:_get_tracing_state", "whether torch.jit.trace records", CLOSED)
# Each returns something false where nobody but autograd looks at operators.
WATCHERS = (_transforms_active, _function_mode_active, _dispatch_modes, _tracing_state)

# A level of -1 and False say the same; they are read as attributes, since torch assigns to them.
LEVEL = (torch.autograd.forward_ad, "_current_level")
PROFILER = (torch.autograd.profiler, "_is_profiler_enabled")
_optional("torch.autograd.forward_ad:_current_level", "the level of forward mode", CLOSED)
_optional("torch.autograd.profiler:_is_profiler_enabled", "whether a profiler records", CLOSED)

_optional("torch.autograd:Function._backward_cls", "the class of a function's node", CLOSED)
_optional("torch:Tensor.__dlpack_c_exchange_api__", "a tensor's memory and shape in C", CLOSED)


def short_way() -> bool:
    """True where no name is missing that the short way asks for."""
    return all(name.without is not CLOSED for name in missing)


def close_short_way(path: str, why: str) -> None:
    """Note a name that is there and means something else than it did."""
    missing.append(Name(path, why, CLOSED))


def set_backward(function: Any, backward: Callable[..., Any]) -> None:
    """Let the node of an `autograd.Function` call this as soon as it runs.

    What torch's own code asks before that (is a transform active, was `vjp` defined instead) is
    known where the short way is open, and costs as much as a kernel.
    """
    function._backward_cls.apply = lambda ctx, gradient: backward(ctx, gradient)


def unwatched() -> bool:
    """True where nobody but autograd looks at operators; False where that cannot be known."""
    owner, level = LEVEL
    return short_way() and not any(seen() for seen in WATCHERS) and getattr(owner, level) < 0


# --- What the operators are made of --------------------------------------------------------------

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
    "what compiled autograd asks a function for",
    "compiled autograd raises",
)
VmapInterpreter = _needed("torch._functorch.pyfunctorch:VmapInterpreter", "randomness under vmap")
current_interpreter = _needed(
    "torch._functorch.pyfunctorch:retrieve_current_functorch_interpreter", "randomness under vmap"
)
DispatchKey = _needed("torch._C:DispatchKey", "randomness under vmap")
DispatchKeySet = _needed("torch._C:DispatchKeySet", "randomness under vmap")
ExcludeDispatchKeys = _needed("torch._C:_ExcludeDispatchKeyGuard", "randomness under vmap")
add_batch_dim = _needed("torch._C:_functorch._add_batch_dim", "randomness under vmap")
not_compiled = _optional(
    "torch._compile:_disable_dynamo",
    "functions that the compiler leaves alone, without loading it",
    "the import loads the compiler, which takes seconds",
    lambda function: torch.compiler.disable(function),  # type: ignore[no-untyped-call]
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
        """`torch.compiler.is_exporting`, which the compiler of torch 2.10 takes to be true."""
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
is_batched = _at_use("torch._C:_functorch.is_batchedtensor", "compiled TokenDropout")
canonical_mask = _at_use("torch.nn.functional:_canonical_mask", "the masks of MultiheadAttention")
graph_task = _at_use("torch._C:_current_graph_task_id", "whether a backward runs, for WeightDrop")
is_view = _optional(
    "torch:Tensor._is_view",
    "whether what is written into is a view",
    "torch's operations write in place, not a kernel",
    lambda x: True,
)
shard_offset = _imported_at_use(
    "torch.distributed.tensor._utils:compute_local_shape_and_global_offset",
    "the place of a DTensor's shard in the whole",
)

# --- The judges ----------------------------------------------------------------------------------

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
    "torch._subclasses.fake_tensor:FakeTensorMode", "tensors on devices that are not here"
)
compiler_settings = _imported_at_use("torch._dynamo.config", "the limit of recompilations")
gradient_settings = _imported_at_use("torch._functorch.config", "second backwards of a graph")


class OperatorMode(_Mode):  # type: ignore[misc,valid-type]
    """A mode that looks at operators, and does not load the compiler to tell it so."""

    def __init__(self) -> None:
        super().__init__()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False


def function_modes() -> tuple[Any, ...]:
    """The modes on torch functions, of which a default device is one, and where torch notes it."""
    modes = tuple(_mode_at(i) for i in range(_modes()))
    return modes, getattr(_device_noted, "device_context", None), _device.CURRENT_DEVICE


def set_function_modes(state: tuple[Any, ...]) -> None:
    """Put back what `function_modes` told."""
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

COMPILED = "_orig_mod"  # by which a module that torch.compile returned holds the other
STATE = ("_parameters", "_buffers", "_modules")  # what a module holds by name
HOOKS = tuple(name for name in vars(torch.nn.Module()) if "hook" in name)  # what it runs besides
# Operators that are a whole layer of a transformer, or its attention.
FAST_PATHS = ("_transformer_encoder_layer_fwd", "_native_multi_head_attention")


def children(module: torch.nn.Module) -> dict[str, torch.nn.Module | None]:
    """What a module holds, by name; the dict itself, a shared module once for each name."""
    return module._modules


def is_compiled(module: torch.nn.Module) -> bool:
    """Whether `Module.compile()` was called."""
    return module._compiled_call_impl is not None


def is_inside_fsdp(module: torch.nn.Module) -> bool:
    """Whether FSDP holds this module's parameters by the modules that they were in."""
    return getattr(module, "_is_fsdp_managed_module", False) and not getattr(
        module, "_fsdp_use_orig_params", True
    )


def amounts_of_padding(convolution: Any) -> list[int]:
    """A convolution's padding as `torch.nn.functional.pad` takes it."""
    return convolution._reversed_padding_repeated_twice  # type: ignore[no-any-return]


def base_of(x: torch.Tensor) -> torch.Tensor | None:
    """The tensor of which x is a view."""
    return x._base


def ragged_dim(x: Any) -> int:
    """The dimension of a jagged tensor along which its components differ."""
    return x._ragged_idx  # type: ignore[no-any-return]


def storage_id(x: torch.Tensor) -> int:
    """A number that tensors of the same memory share."""
    return x.untyped_storage()._cdata  # type: ignore[no-any-return]


def schema(operator: Any) -> Any:
    """An operator's arguments and results."""
    return operator._schema


def parametrize_cache() -> dict[Any, Any]:
    """What `torch.nn.utils.parametrize.cached` holds now; empty outside of it."""
    return parametrize._cache if parametrize._cache_enabled else {}
