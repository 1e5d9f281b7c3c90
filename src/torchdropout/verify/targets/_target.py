"""The base of all subjects of a TARGET."""

from __future__ import annotations

from typing import Any

from ..._tools.loading import target_error
from ...errors import ArgumentValueError
from ..subject import Kind, Subject

TRIAL_P = 0.5


class Target(Subject):
    """The base of functions, classes and instances."""

    def __init__(
        self,
        name: str,
        kind: Kind,
        description: str,
        *,
        fixed_p: float | None,
        has_eval: bool,
        takes_inplace: bool,
    ) -> None:
        self.name = name
        self.kind = kind
        self.description = description
        self.fixed_p = fixed_p
        self.has_eval = has_eval
        self.takes_inplace = takes_inplace

    def _check_own(self, p: Any) -> None:
        if self.fixed_p is not None and p != self.fixed_p:
            raise ArgumentValueError(
                f"Expected `p` to be {self.fixed_p:g}, the p that {self.name!r} has, "
                f"got p={p!r} ({type(p).__name__})"
            )

    def _check_mode(self, training: bool) -> None:
        if not training and not self.has_eval:
            raise target_error(
                self.name, "to have a training argument", "none to put it into eval mode"
            )
