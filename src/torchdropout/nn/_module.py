"""The base classes of the modules."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NoReturn, TypeVar

import torch

from .._core import _torch
from .._core._validate import check_bool, check_p, got
from ..errors import ArgumentTypeError, ArgumentValueError
from ..functional._bernoulli import inverted
from ..functional._rate import Probability, Rate

Kind = TypeVar("Kind", bound="type[torch.nn.Module]")


def as_one_call(module: torch.nn.Module) -> None:
    """Give a tracer that reads `__module__` the answer that a module of torch gives.

    The tracer reads it from the instance; the class keeps its own. torch's compiler looks for
    "torch.nn." with the dot.
    """
    vars(module)["__module__"] = torch.nn.__name__


class WholeModule(torch.nn.Module):
    """A module that `torch.fx` records as one call, as it records modules of torch.

    A trace through it would make its mode at that time a constant of the graph, which
    `eval()` does not change.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Mark the module last: dynamo takes one with any attribute for one that is built."""
        super().__init__(*args, **kwargs)
        as_one_call(self)

    def __prepare_scriptable__(self) -> NoReturn:
        """Raise when torch.jit.script prepares the module, or a model that contains it.

        torch would replace the module in the model by the returned object.
        """
        raise ArgumentTypeError(
            f"Expected a module that torch.jit.script can compile, got {type(self).__name__} "
            f"({type(self).__module__}), whose operator is called from Python. Put torch's modules "
            "back before scripting (`undo` of `convert`), or record the model with torch.export or "
            "torch.jit.trace."
        )


class RateModule(WholeModule):
    """A module with a rate: how much it drops, or how much noise it adds.

    A compiled graph would make the rate a constant. It reads a tensor instead, which is
    kept equal to the rate: see `functional._rate`.
    """

    # The name of the rate, and the checks of all attributes that the operator's constants are
    # computed from.
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
        super().__setstate__(state)
        self._keep_in_step()

    def _keep_in_step(self) -> None:
        """Replace the tensor: it may be saved for a backward, or be shared with a replica."""
        if all(name in vars(self) for name in self._given):
            vars(self)["_rate"] = Rate.of(getattr(self, self._rate_name), self._constants())

    def _constants(self) -> tuple[float, ...]:
        """The constants of the operator, in its order."""
        raise NotImplementedError

    def _traced_rate(self) -> Probability:
        """The tensor that a compiled graph reads as the rate; for an exported program, the number.

        `forward` calls it only under torch.compile, since the call costs as much as all the rest.
        """
        if _torch.is_exporting() or self._rate is None:
            number: float = getattr(self, self._rate_name)
            return number
        return self._rate


class DropoutModule(RateModule, _torch.DropoutBase):
    """State of a dropout module: p and inplace, checked; torch's `repr` and empty `state_dict`.

    It comes before torch's class among the bases. That base makes an `isinstance` test against a
    dropout of `torch.nn` true for ours too.
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__(check_p(p), check_bool("inplace", inplace))

    def _constants(self) -> tuple[float, ...]:
        """The constants of the operator: p, scale, shift and drop value."""
        return inverted(self.p).constants


def also_named(alias: str) -> Callable[[Kind], Kind]:
    """Give a class's p a second name, the one that another library uses.

    It is a keyword of the constructor, whose signature must have it, and an attribute that can be
    set. The constructor itself gets p.
    """

    def decorate(kind: Kind) -> Kind:
        init = kind.__init__
        place = list(inspect.signature(init).parameters).index("p") - 1  # self is not counted

        @functools.wraps(init)
        def with_either(self: Any, *args: Any, **kwargs: Any) -> None:
            value = kwargs.pop(alias, None)
            if value is not None:
                if "p" in kwargs or len(args) > place:
                    p = kwargs["p"] if "p" in kwargs else args[place]
                    raise ArgumentValueError(
                        f"Expected `p` or `{alias}`, which is another name of it, not both, "
                        f"{got('p', p)} and {got(alias, value)}."
                    )
                kwargs["p"] = check_p(value, alias)
            init(self, *args, **kwargs)

        def get(self: Any) -> Any:
            return self.p

        def set_(self: Any, value: Any) -> None:
            self.p = check_p(value, alias)

        kind.__init__ = with_either  # type: ignore[method-assign]
        setattr(kind, alias, property(get, set_, doc="Another name of p."))
        return kind

    return decorate
