"""`draw_keys`: the only place where a call consumes randomness.

Two things are not obvious; docs/decisions/0002-one-operator.md has the evidence.

* It takes a fresh empty tensor that it does not read. Without it all draws in a compiled graph are
  the same expression, and common-subexpression elimination gives every dropout one key. It also
  tells the partitioner that the generator to save for a recomputation is the CPU's.
* A draw under vmap has no batched input, so a vmap rule would never be called. The kernel is
  registered for the vmap mode itself, as torch does for its own random operators.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .. import _torch
from ..contract.seed import draw_seeds
from ._library import library

library.define(
    "draw_keys(Tensor like, SymInt[] size) -> Tensor", tags=(torch.Tag.nondeterministic_seeded,)
)
_draw_keys = torch.ops.torchdropout.draw_keys.default


def draw_key() -> torch.Tensor:
    """Draw a key from torch's default CPU generator, as a tensor of seed and stream.

    Under `torch.func.vmap` it follows the `randomness` of the transform, as torch's operators do.
    """
    like = torch.empty(0, dtype=torch.int64, device=torch.device("cpu"))
    if torch.jit.is_tracing():  # type: ignore[attr-defined]
        # The JIT ignores the tag: it would treat an operator that it does not know as a constant.
        return _kernel(like, [])
    key: torch.Tensor = _draw_keys(like, [])
    return key


def _kernel(like: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    seeds = draw_seeds(size or ())  # AOTInductor gives None for an empty list
    return torch.stack((seeds, torch.zeros_like(seeds)), dim=-1)


def _fake(like: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
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


library.impl("draw_keys", _kernel, "CompositeExplicitAutograd")
library.impl("draw_keys", _vmap, "FuncTorchVmapMode")
torch.library.register_fake("torchdropout::draw_keys", _fake, lib=library)
