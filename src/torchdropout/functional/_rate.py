"""A module's drop probability under torch.compile: an input of the graph, not a constant of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch


class Rate(NamedTuple):
    """Stands for p in a call that is compiled.

    A compiled graph holds numbers as constants, and is compiled again for others. A tensor that is
    an attribute of a module is an input of it.

    Attributes:
        active: Whether p > 0. It is a constant of the graph: at p = 0 there is nothing to compute.
        constants: p (of blocks, the rate of seeds), scale, shift and drop value: float64, on the
            CPU.
    """

    active: bool
    constants: torch.Tensor

    @classmethod
    def of(cls, p: float, constants: Sequence[float]) -> Rate | None:
        """The constants of an operator at p; None under a mode that makes no real tensors of them.

        Such as that of fake tensors: a module that is built there may be used anywhere.
        """
        # An inference tensor could not be saved for backward.
        with torch.inference_mode(False):
            tensor = torch.tensor(constants, dtype=torch.float64, device=torch.device("cpu"))
        return cls(p > 0.0, tensor) if type(tensor) is torch.Tensor else None


def drops(p: float) -> bool:
    """Whether anything is to be done at p."""
    return p.active if isinstance(p, Rate) else p > 0.0
