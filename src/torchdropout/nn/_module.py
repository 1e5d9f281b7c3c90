"""What the modules share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch

from .. import _torch
from .._validate import check_bool, check_p
from ..functional._bernoulli import inverted
from ..functional._rate import Probability, Rate


class RateModule(torch.nn.Module):
    """A module with a number that says how much it drops, or how much noise it makes: its rate.

    A compiled graph does not read the rate, which would be a constant of it, but a tensor that is
    kept in step with it: see `functional._rate`.
    """

    # Which attribute is the rate; and all that the operator's constants are computed from, each
    # with its check.
    _rate_name: ClassVar[str] = "p"
    _given: ClassVar[Mapping[str, Callable[[Any], Any]]] = {"p": check_p}
    _rate: Rate | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        check = self._given.get(name)
        super().__setattr__(name, value if check is None else check(value))
        if check is not None:
            self._keep_in_step()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_rate"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._keep_in_step()

    def _keep_in_step(self) -> None:
        """Not by writing into the tensor: it may be saved for a backward, or be a replica's too."""
        if all(name in vars(self) for name in self._given):
            vars(self)["_rate"] = Rate.of(getattr(self, self._rate_name), self._constants())

    def _constants(self) -> tuple[float, ...]:
        """Of the operator, in its order."""
        raise NotImplementedError

    def _traced_p(self) -> Probability:
        """What stands for the rate in a graph that is compiled; an exported program has its number.

        `forward` asks for it only under torch.compile: a call from there costs as much as the rest.
        """
        if _torch.is_exporting() or self._rate is None:
            number: float = getattr(self, self._rate_name)
            return number
        return self._rate


class DropoutModule(RateModule, _torch.DropoutBase):
    """State of a dropout module: p and inplace, checked; torch's `repr` and empty `state_dict`.

    Placed before torch's class among the bases, so that an `isinstance` test against `torch.nn`'s
    dropout finds ours too.
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__(check_p(p), check_bool("inplace", inplace))

    def _constants(self) -> tuple[float, ...]:
        """Of the operator: p, scale, shift and drop value."""
        return inverted(self.p).constants
