"""What the caller states about a target."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import ArgumentTypeError, ArgumentValueError
from ..subject import PLAIN, Spec


@dataclass(frozen=True)
class Hints:
    """The names that the caller states, if any, and the kind."""

    p: str | None
    keep: str | None
    training: str | None
    spec: Spec = PLAIN
    compile: bool | str = False

    def __post_init__(self) -> None:
        named = (("p_name", self.p), ("keep_prob", self.keep), ("training_name", self.training))
        for argument, value in named:
            if value is not None and not isinstance(value, str):
                raise ArgumentTypeError(
                    f"Expected `{argument}` to be the name of an argument, "
                    f"got {argument}={value!r} ({type(value).__name__})"
                )
        if self.p is not None and self.keep is not None:
            raise ArgumentValueError(
                "Expected `p_name` or `keep_prob`, not both: an argument is the drop or the keep "
                f"probability, got p_name={self.p!r} and keep_prob={self.keep!r} (str)"
            )
