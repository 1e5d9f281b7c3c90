"""A module's drop probability under torch.compile: an input of the graph, not a constant of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
from torch.compiler import is_dynamo_compiling

from .._core import _torch
from .._core._validate import check_p


class Rate(NamedTuple):
    """The stand-in for p in a compiled call.

    A compiled graph holds numbers as constants, and is compiled again for others. A tensor that is
    an attribute of a module is an input of it.

    Attributes:
        active: Whether p > 0. It is a constant of the graph: at p = 0 there is nothing to compute.
        constants: What the operator takes as numbers in eager mode, float64, on the CPU: p, scale,
            shift and drop value of a mask; factor and addend of noise; the rate of seeds, scale and
            eps of blocks; p alone where it determines a count.
        one: Whether p = 1. It is a constant of the graph too, where it is read.
    """

    active: bool
    constants: torch.Tensor
    one: bool

    @classmethod
    def of(cls, p: float, constants: Sequence[float]) -> Rate | None:
        """The constants of an operator at p; None under a mode that makes no real tensors of them.

        Fake tensors are such a mode: a module that is built under it may be used anywhere.
        """
        # An inference tensor could not be saved for backward.
        with torch.inference_mode(False):
            tensor = torch.tensor(constants, dtype=torch.float64, device=torch.device("cpu"))
        return cls(p > 0.0, tensor, p == 1.0) if type(tensor) is torch.Tensor else None


# A drop probability, and how strong noise is: a float, or a compiled module's stand-in.
Probability: TypeAlias = float | Rate
Probabilities: TypeAlias = Probability | torch.Tensor  # one for all elements, or one for each


class RatePair(NamedTuple):
    """A rate of a module whose `forward` a compiler does not enter, in both forms.

    The compiler does not enter `torch.nn.RNNBase.forward`, but it does enter the functions called
    from there, which therefore get both forms and use one of them.

    Attributes:
        p: The rate.
        rate: The stand-in for it in a compiled call.
    """

    p: Probability
    rate: Rate | None = None

    @classmethod
    def of(cls, module: torch.nn.Module, name: str, rate: Rate | None) -> RatePair:
        """Both forms of an attribute, which is read only where it will be used."""
        if rate is not None and is_dynamo_compiling() and not _torch.is_exporting():
            return cls(rate, rate)
        return cls(getattr(module, name), rate)

    def here(self) -> Probability:
        """The form for the code that calls this."""
        if self.rate is None or not is_dynamo_compiling() or _torch.is_exporting():
            return self.p
        return self.rate


def check_probability(p: Any) -> Probability:
    """A drop probability as a float in [0, 1], or a `Rate` as it is."""
    return p if isinstance(p, Rate) else check_p(p)


def drops(p: Probability) -> bool:
    """Whether p > 0, so that there is something to do."""
    return p.active if isinstance(p, Rate) else p > 0.0
