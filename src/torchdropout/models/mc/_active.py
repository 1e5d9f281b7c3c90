"""`active`: the passes of an existing loop."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any, Literal

import torch

from ..._core._validate import check_unsigned, wrong_value
from ...errors import SiteError
from ...random import Key
from ..scope.interface import BatchDims, Shared
from ._choice import Patterns, check_choice
from ._layout import Layout
from ._passes import Passes
from ._plan import OnUnreached, Plan, check_model, check_plan, find_plan
from ._warning import warn


class active(Passes):  # noqa: N801 - as torch's scopes are named
    """A scope in which a model in eval draws: each forward is the next pass.

    Use it for an existing loop. `MCDropout` is faster, and keeps statistics.
    The tensors that the model is called with are not written into: if dropout acts on one of
    them in place, only its result is dropped. Within a compiled function it causes a graph break.

    Args:
        model: In eval.
        seed: In [0, 2**64), or a `Key`.
        index: Which input of the data set the first of a batch is.
        first: The number of the first pass.
        include: As in `plan`.
        exclude: As in `plan`.
        p: As in `plan`.
        masks: "per-input", or "shared" by all inputs of a pass.
        batch_dim: The dimension of the inputs in the arguments.
        shared: As in `plan`.
        batch_dims: As in `plan`.
        sequence: As in `plan`.
        sequence_dim: As in `plan`.
        independent: As in `MCDropout`.
        on_unreached: What to do if a draw cannot be reached, such as in a method other than the
            forward, or something other than dropout changes: "raise", "warn" or "ignore".

    Raises:
        ArgumentTypeError: An argument has a type that is not accepted.
        ArgumentValueError: An argument has a value that is not accepted; the model is in training.
        SiteError: In the first forward, as `on_unreached` says; what an input gets depends on the
            rest of its batch, and `independent` is True.

    Example:
        >>> import torch
        >>> from torchdropout import mc
        >>> model = torch.nn.Sequential(torch.nn.Dropout(0.5)).eval()
        >>> x = torch.ones(2, 4)
        >>> with mc.active(model, seed=0):
        ...     a, b = model(x), model(x)
        >>> torch.equal(a, b), torch.equal(model(x), x)
        (False, True)
    """

    def __init__(
        self,
        model: torch.nn.Module,
        *,
        seed: int | Key = 0,
        index: int = 0,
        first: int = 0,
        include: Patterns = None,
        exclude: Patterns = None,
        p: Any = None,
        masks: Literal["per-input", "shared"] = "per-input",
        batch_dim: int = 0,
        shared: Shared | None = None,
        batch_dims: BatchDims | None = None,
        sequence: tuple[int, int] | None = None,
        sequence_dim: int = 1,
        independent: bool = True,
        on_unreached: OnUnreached = "raise",
    ) -> None:
        check_model(model)
        if masks not in ("per-input", "shared"):
            wrong_value("masks", "'per-input' or 'shared'", masks)
        if on_unreached not in ("raise", "warn", "ignore"):
            wrong_value("on_unreached", "'raise', 'warn' or 'ignore'", on_unreached)
        check_choice(include, exclude, p)
        layout = Layout.of(batch_dim, shared, batch_dims, sequence, sequence_dim, independent)

        def find(args: Any, kwargs: Any) -> Plan:
            found = find_plan(model, args, kwargs, include, exclude, p, layout)
            check_plan(found, on_unreached, independent)
            return found

        super().__init__(
            model,
            find,
            seed if isinstance(seed, Key) else Key(check_unsigned("seed", seed, 64)),
            first=check_unsigned("first", first, 63),
            index=check_unsigned("index", index, 63),
            alike=masks == "shared",
            layout=layout,
        )
        self._on_unreached = on_unreached
        self._said = False

    def _enter(self) -> None:
        self._watcher.held += 1  # it observes functions between two forwards too
        super()._enter()

    def _leave(self) -> None:
        self._watcher.held -= 1
        super()._leave()

    def outside(self, name: str) -> None:
        """Report dropout in a method other than the forward, or in a part that is called alone."""
        paths = self._watcher.tree.paths
        part = paths.get(name)
        if self._on_unreached == "ignore" or not (part or "dropout" in name):
            return
        method = _method_of({id(module): path for path, module in paths.items()})
        if part is None:
            is_silent = method is not None
        elif self._plan is None:
            is_silent = method is not None or any(True for _ in part.children())
        else:
            is_silent = any(f"{site.path}.".startswith(f"{name}.") for site in self._plan.rates)
        if not is_silent:
            return
        what = f"its part {name} alone" if method is None else f"its method {method}, with {name}"
        if method is not None and method.endswith(".forward"):
            what = f"its part {method.removesuffix('.forward')} alone"
        message = (
            f"Expected a forward of the model, got {what}: it is not in a pass, and its dropout "
            "stays off. Call the model, or activate a module whose forward makes this call."
        )
        if self._on_unreached == "raise":
            raise SiteError(message)
        if not self._said:
            self._said = True
            warn(message)


def _method_of(modules: Mapping[int, str]) -> str | None:
    """The outermost method of the model that runs, other than a call of a module."""
    found = None
    frame: FrameType | None = sys._getframe(1)  # its own would hold itself
    while frame is not None:
        # Asking a frame for its variables keeps them alive for as long as it runs.
        has_self = frame.f_code.co_varnames[:1] == ("self",)
        owner = frame.f_locals.get("self") if has_self else None
        is_call = frame.f_code.co_filename == torch.nn.modules.module.__file__
        name = frame.f_code.co_name
        # A decorator's function has the name that it has in the decorator.
        is_method = isinstance(owner, torch.nn.Module) and hasattr(type(owner), name)
        if is_method and id(owner) in modules and not is_call:
            found = ".".join(filter(None, (modules[id(owner)], name)))
        frame = frame.f_back
    return found
