"""Preserves a model, its inputs and all generators while the model is run."""

from __future__ import annotations

import contextlib
import copy
import functools
import sys
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any, TypeGuard

import torch

from .._core import _torch
from .._tools.process_state import ProcessState, generators, seed_generators

_CONTAINERS = (list, dict, OrderedDict, set)


@contextlib.contextmanager
def preserved(model: torch.nn.Module, given: Iterable[Any]) -> Iterator[None]:
    """Undoes changes made inside: by a forward pass, by `train()`, by an exception, by Ctrl-C.

    It restores each module's mode, attributes, hooks, parameters, gradients and buffers; the
    tensors of `given`; and the generators of torch, Python and NumPy, and those in the attributes
    and in `given`.
    """
    state = _State(model, list(given))
    try:
        with state.guard:
            yield
    finally:
        state.restore()


def has_own_mode(module: torch.nn.Module) -> TypeGuard[torch.fx.GraphModule]:
    """Whether `eval()` of a graph was replaced on the object: it may rewrite the graph."""
    return isinstance(module, torch.fx.GraphModule) and "eval" in vars(module)


class _State:
    def __init__(self, model: torch.nn.Module, given: list[Any]) -> None:
        self._modules = [_Attributes(module) for module in model.modules()]
        changing = [module for module in model.modules() if has_own_mode(module)]
        self._graphs = [(module, copy.deepcopy(module.graph)) for module in changing]
        parameters, buffers = list(model.parameters()), list(model.buffers())
        grads = [p.grad for p in parameters if p.grad is not None]
        tensors = [value for value in given if isinstance(value, torch.Tensor)]
        self._parameters = [(p, p.detach(), p.grad, p.requires_grad) for p in parameters]
        # Batch normalisation writes its statistics by an operator whose schema does not say so:
        # buffers are copied at once, other tensors before their first write.
        self._buffers = [(b, b.detach(), b.detach().clone(), b.requires_grad) for b in buffers]
        self.guard = _Guard([*parameters, *grads, *tensors])
        held = [*given, *(v for m in model.modules() for v in vars(m).values())]
        own = [v for v in held if isinstance(v, torch.Generator)]
        self._generators = ProcessState(generators(_numpy(), own, accelerators=True))

    def restore(self) -> None:
        with torch.inference_mode(False), torch.no_grad():
            for attributes in self._modules:
                attributes.restore()
            for module, graph in self._graphs:
                module.graph = graph
            self.guard.restore()
            for parameter, data, grad, requires_grad in self._parameters:
                _put_data(parameter, data)
                parameter.grad = grad
                parameter.requires_grad_(requires_grad)
            for buffer, data, before, requires_grad in self._buffers:
                _put_data(buffer, data)
                if has_values(buffer) and not torch.equal(buffer, before):
                    buffer.copy_(before)
                if buffer.requires_grad != requires_grad:
                    buffer.requires_grad_(requires_grad)
        self._generators.restore()


class _Attributes:
    """A module's own attributes, and the contents of its plain containers."""

    def __init__(self, module: torch.nn.Module) -> None:
        self._module = module
        self._mode = module.training
        # A scripted module's attributes live in its C++ object; these are views of them.
        is_scripted = isinstance(module, torch.jit.ScriptModule)
        self._own = None if is_scripted else dict(vars(module))
        held = () if self._own is None else self._own.values()
        self._held = [(value, value.copy()) for value in held if type(value) in _CONTAINERS]

    def restore(self) -> None:
        if self._own is None:
            self._module.training = self._mode
            return
        now = vars(self._module)
        now.update(self._own)
        for name in now.keys() - self._own.keys():
            del now[name]
        for value, before in self._held:
            value.clear()
            (value.extend if isinstance(value, list) else value.update)(before)


class _Guard(_torch.OperatorMode):
    """Copies a tensor's data before an operator first writes it."""

    def __init__(self, tensors: list[torch.Tensor]) -> None:
        super().__init__()
        self._watched: dict[int, list[torch.Tensor]] = {}
        self._copies: list[tuple[torch.Tensor, torch.Tensor]] = []
        for tensor in tensors:
            key = storage_key(tensor)
            if key is not None:
                self._watched.setdefault(key, []).append(tensor.detach())

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        for index, name in _written(func):
            value = args[index] if index < len(args) else kwargs.get(name)
            for tensor in value if isinstance(value, (list, tuple)) else (value,):
                if isinstance(tensor, torch.Tensor):
                    self._copy(tensor)
        return func(*args, **kwargs)

    def _copy(self, tensor: torch.Tensor) -> None:
        key = storage_key(tensor)
        for watched in self._watched.pop(key, ()) if key is not None else ():
            self._copies.append((watched, watched.clone()))

    def restore(self) -> None:
        for tensor, before in self._copies:
            tensor.copy_(before)


@functools.cache
def _written(func: Any) -> tuple[tuple[int, str], ...]:
    """The arguments that an operator writes, by its schema."""
    return tuple(
        (i, argument.name)
        for i, argument in enumerate(_torch.schema(func).arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    )


def storage_key(tensor: torch.Tensor) -> int | None:
    """A key that tensors of the same memory share; None for those without their own memory."""
    try:
        return _torch.storage_id(tensor)
    except (NotImplementedError, RuntimeError):  # sparse, nested, some wrappers
        return None


def has_values(tensor: torch.Tensor) -> bool:
    """Whether a tensor's values can be read: not on the meta device, and not of a fake tensor."""
    return not tensor.is_meta and type(tensor).__name__ != "FakeTensor"


def _put_data(tensor: torch.Tensor, data: torch.Tensor) -> None:
    """Undoes an assignment to `tensor.data`."""
    key = storage_key(data)
    if key is not None and (storage_key(tensor) != key or tensor.shape != data.shape):
        tensor.data = data


def _numpy() -> ModuleType | None:
    """NumPy, if something has loaded it."""
    return sys.modules.get("numpy")


def seed_all(seed: int) -> None:
    """Seeds the generators that `preserved` restores, so that two audits report the same."""
    seed_generators(seed, _numpy(), accelerators=True)
