"""The interface between checks and a target: it can be built at a p and called.

`targets` turns a class, an instance, a function or a TARGET string into a `Subject`; the checks do
not know how. A `Spec` says what the target claims to be, and presents it as what every check can
test: a plain dropout of independent draws.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

Kind = Literal["class", "instance", "function"]

# .001 and .999 reveal a threshold held to too few bits; 1/300 is not a multiple of 1/256.
GRID = (0.001, 1 / 300, 0.1, 0.5, 0.9, 0.999)


@dataclass(frozen=True)
class Built:
    """A target at one p, ready to be called.

    Attributes:
        p: The drop probability it was built with.
        call: `call(x, training)`: what the target returns, unchecked, with nothing else done (no
            `no_grad`, no copying of x). For a module it first sets the mode with `train(training)`.
            Where the target's `Spec` names further inputs (`residual`, `key`), they are passed by
            these names.
        module: The module, for checks of modes and state; None for a function.
        raw: The target itself, if this is its view through a `Spec`; else None.
        inputs: Which of the further inputs of its `Spec` it accepts.
        again: `again(module, p)`: another module, a copy of this one, called in the same way.
    """

    p: float
    call: Callable[..., Any]
    module: torch.nn.Module | None = None
    raw: Built | None = None
    inputs: frozenset[str] = frozenset()
    again: Callable[[torch.nn.Module, float], Built] | None = None

    @property
    def target(self) -> Built:
        """The target as other code calls it: without the view of a `Spec`."""
        return self.raw or self


@dataclass(frozen=True)
class Spec:
    """What a target claims to be; this class: plain dropout, one draw per element.

    The checks test a plain dropout, `y = x / (1 - p)` where kept and 0 where dropped, with
    independent draws. A Spec presents another kind as one: `call` puts each element of x where the
    target makes one draw (a channel, a sample, a token, ...) and reads back the draw and its
    gradient. The checks of the group `structure` test what such a view cannot show.

    Attributes:
        name: What people type.
        grid: The p to check at.
        cost: Elements of the target's input for one draw: the factor by which samples shrink.
        multiple: Draws come in multiples of this: all places of a block occur equally often.
        arguments: Values for arguments that the target requires when it is built or called.
        inputs: Further tensors that the target accepts: their name in this package to the names
            they may have.
        exempt: Checks that do not apply, with the reason.
        needs: Checks that the check given by the key also depends on for this kind, in addition
            to its own `needs`.
        parameters: Names of the argument that takes the role of p, if it is not p.
        bits: How many bits p is held to, if the target says so; 0 for exact.
        largest: Inputs of the checks have magnitudes in [1/2, largest).
        finite: Whether only finite values can pass through the target one by one.
        first: Whether the target returns a tuple whose first item is its output.
        notes: Changes by the options of the kind, for its title.
    """

    name: str = "plain"
    grid: tuple[float, ...] = GRID
    cost: int = 1
    multiple: int = 1
    arguments: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    exempt: Mapping[str, str] = field(default_factory=dict)
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    parameters: tuple[str, ...] = ()
    bits: int = 0
    largest: float = 2.0
    finite: bool = False
    first: bool = False
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """How a report names it."""
        held = (f"p held to {self.bits} bits",) if self.bits else ()
        return ", ".join((self.name, *held, *self.notes))

    def call(self, built: Built, x: torch.Tensor, training: bool) -> Any:
        """Apply the target to independent draws, in the shape of x."""
        return built.call(x, training)

    @property
    def is_drawn_by_call(self) -> bool:
        """Whether a call of the target makes one draw, so that many draws need many calls."""
        return False

    def rates(self, p: float) -> tuple[float, float]:
        """The lowest and the highest rate at which a target of this kind may drop."""
        return held(p, self.bits) if self.bits else (p, p)


def held(p: float, bits: int) -> tuple[float, float]:
    """The multiples of 2**-bits next to p, below and above; both are p if it is a multiple.

    Example:
        >>> held(0.1, 8)
        (0.09765625, 0.1015625)
    """
    steps = 2.0**bits
    return math.floor(p * steps) / steps, math.ceil(p * steps) / steps


def because(reason: str, *checks: str) -> dict[str, str]:
    """Make an entry of `Spec.exempt` for each of the checks."""
    return dict.fromkeys(checks, reason)


# Why checks of inputs do not apply if no input of the caller reaches the target.
MADE = "its input is made by the verifier, in one layout"

PLAIN = Spec()


class Subject(ABC):
    """A target that has been interpreted.

    Attributes:
        name: What the caller called it.
        kind: `"class"`, `"instance"` or `"function"`.
        description: One line: kind, and how it gets p and the mode.
        fixed_p: The only p it can be verified at (an instance, or a function whose p is bound),
            else None.
        has_eval: False when nothing can put it into eval mode (a function without a training
            argument): it is verified in training only, and `call(x, False)` raises `TargetError`.
        has_gradient: False when it is known to have no gradient, such as a NumPy function.
        takes_inplace: Whether it has an argument `inplace`, and gets the caller's own x.
        spec: What it claims to be.
        place: File and first line of its source, where known.
    """

    name: str
    kind: Kind
    description: str
    fixed_p: float | None
    has_eval: bool = True
    has_gradient: bool = True
    takes_inplace: bool = False
    spec: Spec = PLAIN
    place: tuple[str, int] = ("", 0)

    @abstractmethod
    def build(self, p: Any, *, inplace: bool = False) -> Built:
        """Build the target at drop probability p; raises whatever the target raises.

        A class is instantiated, an instance deep-copied (p must be its own), a function bound. `p`
        is passed on unchanged, so that a check can try a wrong one; a target that accepts the keep
        probability gets `1 - p`. `inplace` is passed if `takes_inplace`.
        """


class Viewed(Subject):
    """A target seen through its `Spec`: a plain dropout."""

    def __init__(self, inner: Subject, spec: Spec) -> None:
        self._inner = inner
        self.name, self.kind = inner.name, inner.kind
        self.description = f"{inner.description}; verified as {spec.title}"
        self.fixed_p = inner.fixed_p
        self.has_eval, self.has_gradient = inner.has_eval, inner.has_gradient
        self.takes_inplace, self.place = inner.takes_inplace, inner.place
        self.spec = spec

    def build(self, p: Any, *, inplace: bool = False) -> Built:
        """See `Subject.build`."""
        return self._view(self._inner.build(p, inplace=inplace))

    def _view(self, raw: Built) -> Built:
        def call(x: torch.Tensor, training: bool) -> Any:
            return self.spec.call(raw, x, training)

        def again(module: torch.nn.Module, p: float) -> Built:
            assert raw.again is not None
            return self._view(raw.again(module, p))

        return Built(raw.p, call, raw.module, raw, again=again if raw.again else None)
