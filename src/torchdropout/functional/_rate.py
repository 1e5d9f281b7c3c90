"""A module's drop probability under torch.compile: an input of the graph, not a constant of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch.compiler import is_dynamo_compiling

from .. import _torch


class Rate(NamedTuple):
    """Stands for p in a call that is compiled.

    A compiled graph holds numbers as constants, and is compiled again for others. A tensor that is
    an attribute of a module is an input of it.

    Attributes:
        active: Whether p > 0. It is a constant of the graph: at p = 0 there is nothing to compute.
        constants: What the operator is given in numbers in eager, float64, on the CPU: p, scale,
            shift and drop value of a mask; factor and addend of noise; the rate of seeds, scale and
            eps of blocks; p alone where it makes a count.
        one: Whether p = 1. So is this, where it is read: most compute at 1 what they do below it.
    """

    active: bool
    constants: torch.Tensor
    one: bool

    @classmethod
    def of(cls, p: float, constants: Sequence[float]) -> Rate | None:
        """The constants of an operator at p; None under a mode that makes no real tensors of them.

        Such as that of fake tensors: a module that is built there may be used anywhere.
        """
        # An inference tensor could not be saved for backward.
        with torch.inference_mode(False):
            tensor = torch.tensor(constants, dtype=torch.float64, device=torch.device("cpu"))
        return cls(p > 0.0, tensor, p == 1.0) if type(tensor) is torch.Tensor else None


class RatePair(NamedTuple):
    """A rate of one of several places in a module whose `forward` a compiler does not enter.

    It does not enter that of `torch.nn.RNNBase`, but the functions called from there; so what is
    called has both, and takes the one or the other.

    Attributes:
        p: The rate.
        rate: What stands for it in a call that is compiled.
    """

    p: float
    rate: Rate | None = None

    @classmethod
    def of(cls, module: torch.nn.Module, name: str, rate: Rate | None) -> RatePair:
        """The place of a rate that is an attribute, which is read only where it will be used."""
        if rate is not None and is_dynamo_compiling() and not _torch.is_exporting():
            return cls(cast("float", rate), rate)
        return cls(getattr(module, name), rate)

    def here(self) -> float:
        """The rate as the code that asks shall have it."""
        if self.rate is None or not is_dynamo_compiling() or _torch.is_exporting():
            return self.p
        return cast("float", self.rate)


def drops(p: float) -> bool:
    """Whether anything is to be done at p."""
    return p.active if isinstance(p, Rate) else p > 0.0
