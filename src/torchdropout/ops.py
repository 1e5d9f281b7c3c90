"""The torch operators: schema, fake kernel, gradient, forward derivative, vmap rule.

`masked_affine` carries the whole family; `draw_keys` is the one place where a call consumes
randomness. Everything torch does to a program (autograd, torch.func, torch.compile, export,
checkpointing) meets dropout here and in `direct.py`, the short way for calls that only autograd
looks at, and nowhere else.

Three things are less obvious than they look; docs/decisions/0002-one-operator.md has the evidence.

* `draw_keys` takes a fresh empty tensor that it does not read. Without it all draws in a compiled
  graph are the same expression, and common-subexpression elimination gives every dropout one key.
  It also tells the partitioner that the generator to save for a recomputation is the CPU's.
* `masked_affine` has its own autograd kernel, and not `torch.library.register_autograd`, because
  torch.func refuses the latter's autograd.Function. A single-level function is what torch.func
  itself runs at each level of nested transforms.
* A draw under vmap has no batched input, so a vmap rule would never be asked. The kernel is
  registered for the vmap mode itself, as torch does for its own random operators.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch._functorch.pyfunctorch import VmapInterpreter, retrieve_current_functorch_interpreter
from torch._functorch.utils import enable_single_level_autograd_function
from torch.autograd.forward_ad import _set_fwd_grad_enabled
from torch.autograd.function import _SingleLevelFunction

from .kernels import cpu, reference
from .spec.seed import draw_seeds

_lib = torch.library.Library("torchdropout", "DEF")

_MAP = (
    "(Tensor x, Tensor key, float p, float scale, float shift, float drop_value, "
    "SymInt base, SymInt[] strides) -> Tensor"
)
_lib.define(
    "draw_keys(Tensor like, SymInt[] size) -> Tensor", tags=(torch.Tag.nondeterministic_seeded,)
)
_lib.define("masked_affine" + _MAP, tags=(torch.Tag.pt2_compliant_tag,))
# What the extension's kernel calls where the reference was selected, or a type is unknown to it.
_lib.define("masked_affine_reference" + _MAP)
_draw_keys = torch.ops.torchdropout.draw_keys.default
_masked_affine = torch.ops.torchdropout.masked_affine.default


def draw_key() -> torch.Tensor:
    """A key from torch's default CPU generator, as a tensor of seed and stream.

    Under `torch.func.vmap` it follows the `randomness` of the transform, as torch's operators do.
    """
    like = torch.empty(0, dtype=torch.int64, device=torch.device("cpu"))
    key: torch.Tensor = _draw_keys(like, [])
    return key


def masked_affine(
    x: torch.Tensor,
    key: torch.Tensor,
    p: float,
    scale: float,
    shift: float,
    drop_value: float,
    base: int,
    strides: Sequence[int],
) -> torch.Tensor:
    """`y = keep ? x * scale + shift : drop_value`; see `kernels.reference.masked_affine`."""
    y: torch.Tensor = _masked_affine(x, key, p, scale, shift, drop_value, base, strides)
    return y


# --- draw_keys -----------------------------------------------------------------------------------


def _draw_keys_kernel(like: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    seeds = draw_seeds(size)
    return torch.stack((seeds, torch.zeros_like(seeds)), dim=-1)


def _draw_keys_fake(like: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    return like.new_empty((*size, 2))


def _draw_keys_vmap(like: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    interpreter = retrieve_current_functorch_interpreter()
    assert isinstance(interpreter, VmapInterpreter)
    randomness = interpreter.randomness()
    if randomness == "error":
        raise RuntimeError(
            "vmap: called random operation while in randomness error mode. Pass "
            "randomness='different' (a mask for each sample) or randomness='same' (one mask for "
            "all) to vmap, or give the dropout a key."
        )
    # The draw below must not come back here; an outer vmap has its own turn further down.
    this_mode = torch._C.DispatchKeySet(torch._C.DispatchKey.FuncTorchVmapMode)
    with torch._C._ExcludeDispatchKeyGuard(this_mode):
        if randomness == "same":
            return _draw_keys(like, size)  # type: ignore[no-any-return]
        keys = _draw_keys(like, [interpreter.batch_size(), *size])
    return torch._C._functorch._add_batch_dim(keys, 0, interpreter.level())


_lib.impl("draw_keys", _draw_keys_kernel, "CompositeExplicitAutograd")
_lib.impl("draw_keys", _draw_keys_vmap, "FuncTorchVmapMode")
torch.library.register_fake("torchdropout::draw_keys", _draw_keys_fake, lib=_lib)


# --- masked_affine -------------------------------------------------------------------------------


def _masked_affine_fake(x: torch.Tensor, *_: Any) -> torch.Tensor:
    return torch.empty_like(x)


def _linear_part(gradient: torch.Tensor, key: torch.Tensor, rest: tuple[Any, ...]) -> torch.Tensor:
    """The derivative: the same map and the same mask, without its constants."""
    p, scale, _shift, _drop_value, base, strides = rest
    return masked_affine(gradient, key, p, scale, 0.0, 0.0, base, strides)


class _MaskedAffine(_SingleLevelFunction):
    """Saves the key, 16 bytes, and makes the mask again; linear, so its own second derivative."""

    @staticmethod
    def forward(keyset: Any, *args: Any) -> Any:
        # A Function's forward runs without gradients; an outer level of nested transforms has its
        # own tracking below this one, which must not be switched off with it.
        below = torch._C._AutoDispatchBelowAutograd()
        with below, torch.enable_grad(), _set_fwd_grad_enabled(True):
            return _masked_affine.redispatch(keyset & torch._C._after_autograd_keyset, *args)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        _keyset, _x, key, *rest = inputs
        ctx.rest = tuple(rest)
        ctx.save_for_backward(key)
        ctx.save_for_forward(key)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[Any, ...]:
        (key,) = ctx.saved_tensors
        return (None, _linear_part(gradient, key, ctx.rest), *[None] * 7)

    @staticmethod
    def jvp(ctx: Any, _keyset: None, tangent: torch.Tensor, *_: Any) -> torch.Tensor:
        (key,) = ctx.saved_tensors
        return _linear_part(tangent, key, ctx.rest)


def _masked_affine_autograd(keyset: Any, *args: Any) -> Any:
    with enable_single_level_autograd_function():
        return _MaskedAffine.apply(keyset, *args)  # type: ignore[attr-defined]


def _masked_affine_vmap(
    info: Any,
    in_dims: tuple[int | None, ...],
    x: torch.Tensor,
    key: torch.Tensor,
    p: float,
    scale: float,
    shift: float,
    drop_value: float,
    base: int,
    strides: Sequence[int],
) -> tuple[torch.Tensor, int]:
    x_dim, key_dim = in_dims[:2]
    if key_dim is None:
        # One mask for all samples: a new dimension, behind those of the key, that shares its draw.
        assert x_dim is not None
        place = key.ndim - 1
        x = x.movedim(x_dim, place)
        strides = [0, *strides]
    else:
        # A mask for each sample: a new leading dimension of the keys.
        place = 0
        key = key.movedim(key_dim, 0)
        x = x.expand(info.batch_size, *x.shape) if x_dim is None else x.movedim(x_dim, 0)
    return masked_affine(x, key, p, scale, shift, drop_value, base, strides), place


_lib.impl("masked_affine", reference.masked_affine, "CompositeExplicitAutograd")
_lib.impl("masked_affine_reference", reference.masked_affine, "CompositeExplicitAutograd")
_lib.impl("masked_affine", _masked_affine_autograd, "Autograd", with_keyset=True)
torch.library.register_fake("torchdropout::masked_affine", _masked_affine_fake, lib=_lib)
torch.library.register_vmap("torchdropout::masked_affine", _masked_affine_vmap, lib=_lib)

# With the operators defined, the extension can register its kernel for the CPU.
cpu.start()
