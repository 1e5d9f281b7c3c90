"""Dropout of the weights of a module, one mask per call, as a module around it."""

from __future__ import annotations

import contextlib
import math
import threading
import weakref
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch.compiler import is_dynamo_compiling
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

from .._core import _torch
from .._core._validate import check_dims, check_input, check_p, wrong_type, wrong_value
from .._core.contract.layout import row_major
from ..functional._bernoulli import inverted
from ..functional._call import KeyedMap, by_operator
from ..functional._key import check_key, key_tensor, undrawn_on_error
from ..functional._recurrent import unpacked_weights
from ..random import Key
from ._module import DropoutModule


class WeightDrop(DropoutModule):
    r"""A module whose weights are dropped with probability p in training; the module in eval.

    `v[i, j] = w[i, j] / (1 - p)` where kept, else 0, and the module computes with v: one mask for
    all samples and for every read of a weight within a call of this module, such as all steps of a
    recurrent layer. At any other time the weights read as they are.

    The weights are parametrized (`torch.nn.utils.parametrize`): the optimiser sees the same
    `Parameter` as before, under the name `module.parametrizations.<name>.original`, which is also
    its key in the `state_dict`. Loading also accepts the plain key `module.<name>` and those of
    fastai and AWD-LSTM, `<name>_raw` and `module.<name>_raw`. A weight that is tied to another
    stays tied; names of one and the same parameter are dropped with one mask. `remove()` returns
    the plain module. In torch a parametrized module cannot be pickled; it can be copied, and saved
    by its `state_dict`.

    A call draws one key. The mask indices of the first weight are those of `drop_connect`; those
    of the next weight begin where they end.

    Args:
        module: A recurrent, linear or convolutional layer, an embedding, or a model of any size.
        p: Drop probability in [0, 1].
        names: Names of one or more of its parameters, in submodules as `"rnn.weight_hh_l0"`.
        broadcast_dims: Dimensions along which the weights share draws: `(1,)` drops whole rows.

    Shape:
        That of the module.

    Raises:
        ArgumentTypeError: An argument has a type that is not accepted, or a named parameter has
            one that cannot be dropped.
        ArgumentValueError: p is NaN or outside [0, 1], or a named parameter does not exist, is
            named twice, is already in a `WeightDrop`, or lacks such dimensions. Nothing is changed.
        RuntimeError: In the backward, where a checkpointed part of the module is recomputed.
            Checkpoint the call of the `WeightDrop` as a whole.

    Example:
        >>> import torch, torchdropout as td
        >>> lstm = td.nn.WeightDrop(torch.nn.LSTM(4, 8), 0.5, "weight_hh_l0")
        >>> y, (h, c) = lstm(torch.randn(5, 3, 4))
        >>> list(lstm.state_dict())[-1]
        'module.parametrizations.weight_hh_l0.original'
        >>> type(lstm.remove())
        <class 'torch.nn.modules.rnn.LSTM'>

    Reference:
        L. Wan et al., "Regularization of neural networks using DropConnect", ICML 2013; S. Merity
        et al., "Regularizing and optimizing LSTM language models", ICLR 2018. The arguments are
        those of fastai's `WeightDropout`, in its order.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        p: float,
        names: str | Sequence[str] = "weight_hh_l0",
        *,
        broadcast_dims: Sequence[int] = (),
    ) -> None:
        super().__init__(p)
        if not isinstance(module, torch.nn.Module):
            wrong_type("module", "a module", module)
        self.names = _check_names(names, module)
        for name in self.names:
            check_dims("broadcast_dims", broadcast_dims, _read(module, name).ndim)
        self.broadcast_dims = tuple(broadcast_dims)
        self.module = module
        done: list[str] = []
        try:
            for name in self.names:
                owner, attribute = _place(module, name)
                parametrize.register_parametrization(owner, attribute, DroppedWeight())
                done.append(name)
        except BaseException:
            _take_off(module, done)
            raise

    def extra_repr(self) -> str:
        """The drop probability, the names, and the dimensions that share draws."""
        shared = f", broadcast_dims={self.broadcast_dims}" if self.broadcast_dims else ""
        return f"p={self.p}, names={self.names}{shared}"

    def forward(self, *args: Any, dropout_key: Key | None = None, **kwargs: Any) -> Any:
        """Call the module with these arguments and, in training, with dropped weights.

        Args:
            args: Arguments of the module.
            dropout_key: The key to use; nothing is drawn. Not `key`, which is an argument of
                our LSTM.
            kwargs: Arguments of the module by name.
        """
        check_key("dropout_key", dropout_key)
        p = self._traced_rate() if is_dynamo_compiling() else check_p(self.p)
        with _alone(self):
            drop = inverted(p)
            if not (self.training and drop.active and self.names):
                return self.module(*args, **kwargs)
            with undrawn_on_error(dropout_key, None), self._dropped(drop, dropout_key):
                return self.module(*args, **kwargs)

    def remove(self) -> torch.nn.Module:
        """Remove the parametrizations.

        Returns:
            The module, with its current parameters under their plain names.
        """
        _take_off(self.module, self.names)
        self.names = ()
        return self.module

    @contextlib.contextmanager
    def _dropped(self, drop: KeyedMap, given: Key | None) -> Iterator[None]:
        """Draw a key unless one is given; until exit, the weights read as dropped with it."""
        places = [_place(self.module, name) for name in self.names]
        before = []
        key = key_tensor(given)
        seen: list[tuple[object, _WeightMask]] = []
        base = 0
        for owner, attribute in places:
            chain = _chain(owner, attribute)
            weight = _drop_of(chain)
            weight.was_used = False  # in a backward, too, this call may read it
            parameter = getattr(chain, "original", None)
            mask = next((m for other, m in seen if other is parameter), None)
            if mask is None:
                shape = _read(owner, attribute).shape
                dims = check_dims("broadcast_dims", self.broadcast_dims, len(shape))
                mask = _WeightMask(key, drop, base, row_major(shape, dims))
                base += math.prod([int(n) for d, n in enumerate(shape) if d not in dims])
                if parameter is not None:
                    seen.append((parameter, mask))
            before.append((weight, weight.mask, weight.value, weight.thread))
            weight.mask, weight.value, weight.was_used = mask, None, True
            weight.thread = _thread()
        try:
            _forget(places)
            with _restored({id(owner): owner for owner, _ in places}.values()):
                yield
        finally:
            _forget(places)
            for weight, mask, value, thread in before:
                weight.mask, weight.value, weight.thread = mask, value, thread

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        for name in self.names:
            path, dot, attribute = name.rpartition(".")
            inside = f"{prefix}module.{path}{dot}"
            ours = f"{inside}parametrizations.{attribute}.original"
            # A raw weight comes first: some checkpoints also hold the value last computed from it.
            others = (f"{prefix}{name}_raw", f"{inside}{attribute}_raw", f"{inside}{attribute}")
            for other in others:
                if other in state_dict:
                    value = state_dict.pop(other)
                    state_dict.setdefault(ours, value)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


class _WeightMask(NamedTuple):
    """What the operator needs to know about a weight's mask."""

    key: torch.Tensor
    drop: KeyedMap
    base: int
    strides: list[int]


class DroppedWeight(torch.nn.Module):
    """The parametrization of a weight: the identity, except in a call of its `WeightDrop`."""

    def __init__(self) -> None:
        super().__init__()
        self.mask: _WeightMask | None = None
        self.value: torch.Tensor | None = None
        self.was_used = False
        self.thread: int | None = None  # the thread of the call

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """The weight itself, or within a call the dropped weight."""
        if self.mask is None or self.thread != _thread():
            if self.training and self.was_used and _in_backward():
                raise RuntimeError(
                    "A weight that WeightDrop drops was read in the backward, outside of a call of "
                    "the WeightDrop: a checkpointed part of the module is recomputed, without "
                    "the mask. Checkpoint the call of the WeightDrop as a whole."
                )
            return weight
        # One tensor serves all reads: a recurrent layer reads each weight three times. But a first
        # read under no_grad must not cut the gradient of the next one.
        tracked = weight.requires_grad and torch.is_grad_enabled()
        if self.value is None or self.value.requires_grad != tracked:
            key, drop, base, strides = self.mask
            self.value = by_operator(weight, drop, base, strides, key)
        return self.value

    def right_inverse(self, weight: torch.Tensor) -> torch.Tensor:
        """An assignment to the weight goes to its parameter."""
        return weight


# One call at a time: a call changes what the weights read as, and torch's recurrent layers hold a
# list of them. Not an attribute, which a copy or a replica for another device would share.
_locks: weakref.WeakKeyDictionary[WeightDrop, threading.RLock] = weakref.WeakKeyDictionary()


@contextlib.contextmanager
def _alone(module: WeightDrop) -> Iterator[None]:
    if torch.compiler.is_compiling():
        yield
        return
    with _locks.setdefault(module, threading.RLock()):
        yield


def _thread() -> int | None:
    """The thread of a call, whose masks no other thread may read; a compiler sees only one."""
    return None if torch.compiler.is_compiling() else threading.get_ident()


def _forget(places: Sequence[tuple[torch.nn.Module, str]]) -> None:
    """Delete values of these weights that `parametrize.cached` stored before or during the call."""
    cache = _torch.parametrize_cache()
    for owner, attribute in places:
        cache.pop((id(owner), attribute), None)


def _in_backward() -> bool:
    return not torch.compiler.is_compiling() and _torch.graph_task() != -1


@contextlib.contextmanager
def _restored(owners: Any) -> Iterator[None]:
    """Restore the list of weights that recurrent layers of torch hold.

    It would keep the dropped weights and their graph alive, and could not be copied.
    """
    layers = [owner for owner in owners if isinstance(owner, torch.nn.RNNBase)]
    if not layers:
        yield
        return
    before = [(layer, layer._flat_weights, layer._flat_weight_refs) for layer in layers]
    packed = any(map(_packs, layers))
    try:
        with unpacked_weights(packed):
            if packed:
                # Packing the dropped weights for cuDNN would write into tensors of the graph.
                for layer in layers:
                    layer.__dict__["flatten_parameters"] = _nothing
            yield
    finally:
        for layer, weights, references in before:
            layer._flat_weights, layer._flat_weight_refs = weights, references
            layer.__dict__.pop("flatten_parameters", None)


def _packs(layer: torch.nn.RNNBase) -> bool:
    """True where torch packs the weights of a layer into one chunk of memory, for cuDNN."""
    return any(w is not None and w.is_cuda for w in layer._flat_weights)


def _nothing() -> None:
    pass


def _place(module: torch.nn.Module, name: str) -> tuple[torch.nn.Module, str]:
    """The submodule that has a parameter, and the name of it there."""
    path, _, attribute = name.rpartition(".")
    return module.get_submodule(path), attribute


def _read(module: torch.nn.Module, name: str) -> torch.Tensor:
    owner, attribute = _place(module, name)
    return cast("torch.Tensor", getattr(owner, attribute))


def _chain(owner: torch.nn.Module, attribute: str) -> Any:
    """The parametrizations of a weight."""
    return cast("Any", owner.parametrizations)[attribute]


def _drop_of(chain: Any) -> DroppedWeight:
    return next(part for part in chain if isinstance(part, DroppedWeight))


def _take_off(module: torch.nn.Module, names: Sequence[str]) -> None:
    for name in names:
        owner, attribute = _place(module, name)
        chain = _chain(owner, attribute)
        if len(chain) == 1:
            parametrize.remove_parametrizations(owner, attribute, leave_parametrized=False)
        else:
            del chain[next(i for i, part in enumerate(chain) if isinstance(part, DroppedWeight))]


def _check_names(names: Any, module: torch.nn.Module) -> tuple[str, ...]:
    """Check names of parameters that can be dropped and are not dropped yet."""
    given = (names,) if isinstance(names, str) else names
    if not isinstance(given, Sequence) or not all(isinstance(name, str) for name in given):
        wrong_type("names", "the name of a parameter, or a sequence of names", names)
    there = _parameter_names(module)
    unknown = [name for name in given if name not in there]
    if unknown or not given:
        shown = ", ".join(there[:20]) + (f" and {len(there) - 20} more" if there[20:] else "")
        has = f"which are {shown}" if there else "which has none"
        wrong_value("names", f"among the parameters of the {type(module).__name__}, {has}", names)
    if len(set(given)) != len(given):
        wrong_value("names", "names that are each given once", names)
    for name in given:
        owner, attribute = _place(module, name)
        if parametrize.is_parametrized(owner, attribute):
            if any(isinstance(part, DroppedWeight) for part in _chain(owner, attribute)):
                wrong_value("names", f"weights that no WeightDrop drops yet, not {name!r}", names)
        elif is_lazy(getattr(owner, attribute)):
            wrong_value("names", f"weights that have a shape; {name!r} gets one later", names)
        check_input(_read(module, name), name)
    return tuple(given)


def _parameter_names(module: torch.nn.Module) -> list[str]:
    """The plain names; a parametrized parameter is listed once, under its plain name."""
    found: dict[str, None] = {}
    for name, _ in module.named_parameters(remove_duplicate=False):
        head, inside, tail = name.rpartition("parametrizations.")
        if inside:
            name = head + tail.rsplit(".", 1)[0]
        found[name] = None
    return list(found)
