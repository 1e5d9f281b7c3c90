"""What the modules share."""

from __future__ import annotations

from torch.nn.modules.dropout import _DropoutNd

from .._validate import check_bool, check_p


class DropoutModule(_DropoutNd):
    """State of a dropout module: p and inplace, checked; torch's `repr` and empty `state_dict`.

    Placed before torch's class among the bases, so that an `isinstance` test against `torch.nn`'s
    dropout finds ours too.
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__(check_p(p), check_bool("inplace", inplace))
