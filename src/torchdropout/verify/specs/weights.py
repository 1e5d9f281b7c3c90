"""Kinds that drop the weights of a module, not its activations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ..context import Fault
from ..subject import Built, Spec, because

EXEMPT = {
    **because(
        "a parameter is dropped, not an input",
        *("input-unmodified", "inplace-claim", "layout-values", "layout-rate", "layout-mask"),
        "expanded-independent",
    ),
    **because(
        "the dtype is the module's",
        *("dtype-kept", "dtype-scale", "dtype-rate", "dtype-independence", "dtype-gradient"),
    ),
    **because("a weight is never empty", "empty-input"),
    **because("an infinite weight meets zeros", "nonfinite-kept", "nonfinite-dropped"),
}


@dataclass(frozen=True)
class Weights(Spec):
    """DropConnect (Wan et al., 2013), embedding dropout (Gal, 2016): `module(x; dropout(W))`.

    The matrix is read back by passing the identity to a linear layer, or all rows to an embedding.
    In an embedding the elements of a row share one draw.
    """

    def call(self, built: Built, x: torch.Tensor, training: bool) -> Any:
        """See `Spec.call`."""
        module = built.module
        if module is None:
            raise Fault("expected a module with a weight, got a function")
        name, weight = _weight(module)
        shared = _is_embedding(module)
        each = weight.shape[0] if shared else weight.numel()
        read = [
            self._call(module, (name, weight, shared), part, training)
            for part in torch.split(x.reshape(-1), each)
        ]
        return torch.cat(read).reshape(x.shape)

    def _call(
        self,
        module: torch.nn.Module,
        where: tuple[str, torch.Tensor, bool],
        x: torch.Tensor,
        training: bool,
    ) -> torch.Tensor:
        name, weight, shared = where
        rows, columns = weight.shape
        room = rows if shared else rows * columns
        full = torch.nn.functional.pad(x, (0, room - x.numel()), value=1.0)
        matrix = full[:, None].expand(rows, columns) if shared else full.reshape(rows, columns)
        given = torch.arange(rows) if shared else torch.eye(columns, dtype=x.dtype)
        zeros = {n: torch.zeros_like(v) for n, v in module.named_parameters() if v.ndim == 1}
        module.train(training)
        y = torch.func.functional_call(module, {name: matrix, **zeros}, (given,))
        expected = (rows, columns) if shared else (columns, rows)
        if not isinstance(y, torch.Tensor) or tuple(y.shape) != expected:
            got = tuple(y.shape) if isinstance(y, torch.Tensor) else type(y).__name__
            raise Fault(f"expected an output of shape {expected}, got {got}")
        if not shared:
            return y.T.reshape(-1)[: x.numel()]
        if not torch.equal(y.detach(), y.detach()[:, :1].expand_as(y)):
            raise Fault("elements of one row of the embedding were treated differently")
        return y.gather(1, (torch.arange(rows) % columns)[:, None])[: x.numel(), 0]


def _weight(module: torch.nn.Module) -> tuple[str, torch.Tensor]:
    """The matrix that is dropped: the only one, or else the one named `weight`."""
    found = [(name, value) for name, value in module.named_parameters() if value.ndim == 2]
    found = [pair for pair in found if "weight" in pair[0]] or found
    if len(found) != 1:
        raise Fault(f"expected a module with one matrix as a parameter, got {len(found)}")
    return found[0]


def _is_embedding(module: torch.nn.Module) -> bool:
    return any(isinstance(part, torch.nn.Embedding) for part in module.modules())
