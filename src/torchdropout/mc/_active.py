"""`active`: the passes of an existing loop."""

from __future__ import annotations

from typing import Any, Literal

import torch

from .._validate import check_unsigned, wrong_value
from ..random import Key
from ..scope.interface import BatchDims, Shared
from ._choice import Patterns, check_choice
from ._layout import Layout
from ._passes import Passes
from ._plan import OnUnreached, Plan, check_model, check_plan, find_plan


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
        on_unreached: What to do if a draw cannot be reached or something other than dropout
            changes: "raise", "warn" or "ignore".

    Raises:
        ArgumentTypeError: An argument has a type that is not accepted.
        ArgumentValueError: An argument has a value that is not accepted; the model is in training.
        SiteError: In the first forward, as `on_unreached` says.

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
