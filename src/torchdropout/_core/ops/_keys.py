"""`draw_keys`: the only place where a call consumes randomness.

Three things are not obvious; docs/decisions/0002-one-operator.md has the evidence.

* It takes a fresh empty tensor that it does not read. Without it all draws in a compiled graph are
  the same expression, and common-subexpression elimination gives every dropout one key. It also
  tells the partitioner that the generator to save for a recomputation is the CPU's.
* A draw under vmap has no batched input, so a vmap rule would never be called. The kernel is
  registered for the vmap mode itself, as torch does for its own random operators.
* If torch's compiler is set to recompute much, it would recompute a draw like any operator, and
  the backward would have another key. So each draw in a graph is marked to be saved.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch.utils.checkpoint import CheckpointPolicy

from .. import _torch
from .._validate import wrong_type
from ..contract import seed
from ..contract.seed import draw_seeds
from ._library import library

library.define(
    "draw_keys(Tensor like, SymInt[] size) -> Tensor",
    tags=(torch.Tag.nondeterministic_seeded, torch.Tag.cudagraph_unsafe),
)
_draw_keys = torch.ops.torchdropout.draw_keys.default
_REFUSED = (
    "Expected `key` to be a torchdropout.Key for a dropout in the body of an operator such as "
    "torch.cond, map, scan or nested_compile_region, where torch runs the body again in the "
    "backward, got key=None (NoneType): the backward would have another mask, and so a wrong "
    "gradient."
)


# No pattern of torch's that moves a program to eval can be extended by one of ours.
_EXPORTED = (
    "A model is exported in training: its program goes on dropping in eval, and "
    "move_exported_model_to_eval knows torch's dropout alone. Export the model in eval, or use "
    "torchdropout.models.export.to_eval(program)."
)


def draw_key(device: torch.device | None = None) -> torch.Tensor:
    """Draw a key from torch's default CPU generator, as a tensor of seed and stream.

    Under `torch.func.vmap` it follows the `randomness` of the transform, as torch's operators do.
    """
    if captures(device):
        drawn = torch.empty((), dtype=torch.int64, device=device).random_(-(2**63), None)
        return torch.stack((drawn, torch.zeros_like(drawn)))
    like = torch.empty(0, dtype=torch.int64, device=torch.device("cpu"))
    if torch.jit.is_tracing():  # type: ignore[attr-defined]
        # The JIT ignores the tag: it would treat an operator that it does not know as a constant.
        return _kernel(like, [])
    key: torch.Tensor = _draw_keys(like, [])
    return key


def captures(device: torch.device | None) -> bool:
    """Whether a draw for a tensor on a device belongs to a CUDA graph, unseen by anything else."""
    if device is None or device.type != "cuda" or torch.compiler.is_compiling():
        return False
    return seed.captures() and not _torch.may_be_watched()


def _check(like: torch.Tensor) -> None:
    if like is None or like.dtype is not torch.int64 or like.layout is not torch.strided:
        wrong_type("like", "a dense int64 tensor", like)


def _kernel(like: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    _check(like)
    seeds = draw_seeds(size or ())  # AOTInductor gives None for an empty list
    return torch.stack((seeds, torch.zeros_like(seeds)), dim=-1)


def _fake(like: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    _check(like)
    if _torch.is_exporting() and not torch.onnx.is_in_onnx_export():
        warnings.warn(_EXPORTED, stacklevel=2)
    return like.new_empty((*size, 2))


def _vmap(like: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    interpreter = _torch.current_interpreter()
    assert isinstance(interpreter, _torch.VmapInterpreter)
    randomness = interpreter.randomness()
    if randomness == "error":
        raise RuntimeError(
            "vmap: called random operation while in randomness error mode. Pass "
            "randomness='different' (a mask for each sample) or randomness='same' (one mask for "
            "all) to vmap, or give the dropout a key."
        )
    # The draw below must not re-enter this kernel; an outer vmap handles it further down.
    this_mode = _torch.DispatchKeySet(_torch.DispatchKey.FuncTorchVmapMode)
    with _torch.ExcludeDispatchKeys(this_mode):
        if randomness == "same":
            return _draw_keys(like, size)  # type: ignore[no-any-return]
        keys = _draw_keys(like, [interpreter.batch_size(), *size])
    return _torch.add_batch_dim(keys, 0, interpreter.level())  # type: ignore[no-any-return]


# The last draw of each graph that is being traced.
_last_drawn: WeakKeyDictionary[torch.fx.Graph, torch.Tensor] = WeakKeyDictionary()


def save_drawn(name: str, place: int | None = None, recomputed: bool = False) -> None:
    """Make the compiler save for the backward the key that an operator of a graph draws or gets.

    The operators that take a key repeat the mark, since the policy of a selectively checkpointed
    region overwrites it as soon as the draw is recorded.

    Args:
        name: The operator.
        place: Which of its arguments is the key; None for the draw itself.
        recomputed: Whether the backward recomputes the result, although it could be saved.
    """

    def traced(
        mode: Any, operator: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> torch.Tensor:
        if place is None:
            # A compiler may reorder draws that do not depend on each other.
            args = (_last_drawn.get(mode.tracer.graph, args[0]), *args[1:])
        y: torch.Tensor = mode.__torch_dispatch__(operator, types, args, kwargs)
        node = _torch.last_traced(mode)
        if node.target is operator:
            if place is None and _torch.runs_again(node):
                raise RuntimeError(_REFUSED)
            if place is None:
                _last_drawn[node.graph] = y
            _mark_draws(node if place is None else node.args[place])
            if recomputed and _torch.is_of_backward(node):
                # In a graph without backward torch warns of the mark.
                for each in node.graph.find_nodes(op="call_function", target=operator):
                    each.meta["recompute"] = CheckpointPolicy.MUST_RECOMPUTE
        return y

    qualified = f"torchdropout::{name}"
    torch.library.register_torch_dispatch(qualified, _torch.ProxyMode, traced, lib=library)


def trace_as(name: str, function: Callable[..., torch.Tensor]) -> None:
    """Put the operators of a function into a graph instead of the operator."""

    def traced(
        mode: Any, operator: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> torch.Tensor:
        with mode:
            return function(*args)

    qualified = f"torchdropout::{name}"
    torch.library.register_torch_dispatch(qualified, _torch.ProxyMode, traced, lib=library)


def _mark_draws(key: Any) -> None:
    """Mark the draws from which a key of a joint graph is made."""
    seen, further = set(), [key]
    while further:
        node = further.pop()
        if node in seen:
            continue
        seen.add(node)
        if node.target is not _draw_keys:
            further += node.all_input_nodes
        elif not _torch.is_of_backward(node):
            # A memory budget of 0 saves inputs only, whatever is marked. But a draw that is marked
            # to be recomputed is replayed with the state that the generator had, in 5 KB.
            replay = 0 in _torch.budgets(node)
            policy = CheckpointPolicy.MUST_RECOMPUTE if replay else CheckpointPolicy.MUST_SAVE
            node.meta["recompute"] = policy
            # Between two checkpointed regions torch saves the first one's results, and would
            # overwrite the mark.
            node.meta.pop("ac_graph_id", None)


library.impl("draw_keys", _kernel, "CompositeExplicitAutograd")
library.impl("draw_keys", _vmap, "FuncTorchVmapMode")
torch.library.register_fake("torchdropout::draw_keys", _fake, lib=library)
save_drawn("draw_keys")
