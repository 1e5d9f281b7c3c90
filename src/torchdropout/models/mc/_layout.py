"""Where the inputs and their positions lie, as the caller says."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..._core._validate import (
    check_bool,
    check_unsigned,
    is_integer,
    plain,
    wrong_type,
    wrong_value,
)
from ..scope.interface import BatchDims, Given, Shared, check_shared


class Layout(NamedTuple):
    """Where the inputs and their positions lie.

    Attributes:
        batch_dim: The dimension of the inputs in the arguments.
        shared: The arguments that all inputs share; None to find them.
        given: The dimension of the inputs in the draws of some sites, or their rows.
        length: The longest sequence; None if no mask has to be independent of padding.
        sequence_dim: The dimension of the positions in the arguments.
        independent: Whether what an input gets must not depend on the rest of its batch.
    """

    batch_dim: int = 0
    shared: Shared | None = None
    given: Given = Given(None)
    length: int | None = None
    sequence_dim: int = 1
    independent: bool = True

    @classmethod
    def of(
        cls,
        batch_dim: int,
        shared: Shared | None,
        batch_dims: BatchDims | None,
        sequence: tuple[int, int] | None,
        sequence_dim: int,
        independent: bool,
    ) -> Layout:
        """The checked arguments of these names.

        Raises:
            ArgumentTypeError: One has a type that is not accepted.
            ArgumentValueError: One has a value that is not accepted.
        """
        return cls(
            check_unsigned("batch_dim", batch_dim, 6),
            check_shared(shared),
            Given(batch_dims),
            None if sequence is None else _length("sequence", sequence),
            check_unsigned("sequence_dim", sequence_dim, 6),
            check_bool("independent", independent),
        )

    @property
    def positions(self) -> int | None:
        """The dimension of the positions, if they matter."""
        return None if self.length is None else self.sequence_dim


def _length(name: str, value: Any) -> int:
    what = "(0, length) with the length of the longest sequence, below 2**63, or None"
    if not (isinstance(value, tuple) and len(value) == 2 and all(map(is_integer, value))):
        wrong_type(name, what, value)
    if value[0] != 0 or not 0 < value[1] < 2**63:
        wrong_value(name, what, value)
    return plain(value[1])
