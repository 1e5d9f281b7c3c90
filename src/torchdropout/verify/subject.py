"""What the checks see of a target: something that can be built at a p and called.

`targets.py` makes a `Subject` out of a class, an instance, a function or a TARGET string; the
checks know nothing of how.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch

Kind = Literal["class", "instance", "function"]


@dataclass(frozen=True)
class Built:
    """A target at one p, ready to be called.

    Attributes:
        p: The drop probability it was built with.
        call: `call(x, training)`: what the target returns, unchecked, with nothing else done (no
            `no_grad`, no copying of x). For a module it sets the mode with `train(training)` first.
        module: The module, for checks of modes and state; None for a function.
    """

    p: float
    call: Callable[[torch.Tensor, bool], Any]
    module: torch.nn.Module | None = None


class Subject(ABC):
    """A target, understood.

    Attributes:
        name: What the caller called it.
        kind: `"class"`, `"instance"` or `"function"`.
        description: One line: kind, and how p and training reach it.
        fixed_p: The only p it can be judged at (an instance, or a function whose p is bound), else
            None.
        has_eval: False when nothing can put it into eval mode (a function without a training
            argument): it is judged in training only, and `call(x, False)` raises `TargetError`.
    """

    name: str
    kind: Kind
    description: str
    fixed_p: float | None
    has_eval: bool = True

    @abstractmethod
    def build(self, p: Any) -> Built:
        """The target at drop probability p; raises whatever the target raises.

        A class is instantiated, an instance deep-copied (p must be its own), a function bound. `p`
        is passed on as it is, so that a check can offer a wrong one; a target that takes the keep
        probability is given `1 - p`.
        """
