"""A head that sees several masks of its input in training."""

from __future__ import annotations

import contextlib
from typing import Any, Literal, cast

import torch
from torch.compiler import is_dynamo_compiling

from .. import functional as F
from .._core._validate import check_bool, check_count, check_dense, check_input, check_p, wrong_type
from ..functional._autocast import autocast_dtype
from ..functional._key import attempt, check_key
from ..functional._rate import Probability, drops
from ..functional.multi_sample import check_reduce
from ..random import Key
from ._module import DropoutModule


class MultiSampleDropout(DropoutModule):
    r"""A head on several dropped samples of its input in training; on the input itself in eval.

    In training it computes `head(dropout_1(x)), ..., head(dropout_S(x))` with S masks and the same
    weights, and with `reduce="mean"` their mean. The paper averages the loss instead of the
    outputs. For that use `reduce="none"`: the output is `(S, ...)` in training and `(1, ...)` in
    eval, and `torch.stack([loss(y, target) for y in output]).mean()` is right in both.

    Everything before the head is computed once, so that S samples cost little where the head is
    small. One key is drawn for all of them: sample s has mask s of `multi_sample_dropout`.

    Args:
        p: Drop probability in [0, 1].
        head: The module that follows the dropout, called once for each sample.
        samples: How many masks, 1 or more.
        reduce: `"mean"` of the outputs, or `"none"`, all of them stacked.
        batched: True calls the head once, on all samples as one batch S times as large, which is
            faster for small heads. The result is the same, up to rounding, if the head treats the
            samples of a batch separately, and differs if it does not, as with batch norm.

    Shape:
        x is `(N, ...)` with `batched=True`, else any that the head accepts. The output is that of
        the head, with a dimension of samples before it for `reduce="none"`.

    Raises:
        ArgumentTypeError: p is not a number, head not a module, samples not an integer, reduce not
            a string or batched not a bool.
        ArgumentValueError: p is NaN or outside [0, 1], samples is below 1, or reduce an
            unknown word.

    Example:
        >>> import torch, torchdropout as td
        >>> head = td.nn.MultiSampleDropout(0.5, torch.nn.Linear(8, 3), samples=4)
        >>> head(torch.randn(2, 8)).shape
        torch.Size([2, 3])

    Reference:
        H. Inoue, "Multi-sample dropout for accelerated training and better generalization", 2019,
        arXiv:1905.09788.
    """

    def __init__(
        self,
        p: float,
        head: torch.nn.Module,
        samples: int = 8,
        reduce: Literal["mean", "none"] = "mean",
        *,
        batched: bool = False,
    ) -> None:
        super().__init__(p)
        if not isinstance(head, torch.nn.Module):
            wrong_type("head", "a torch.nn.Module", head)
        self.samples = check_count("samples", samples)
        self.reduce = check_reduce(reduce)
        self.batched = check_bool("batched", batched)
        self.head = head

    def extra_repr(self) -> str:
        """The drop probability, the number of samples, and how they are reduced."""
        return f"p={self.p}, samples={self.samples}, reduce={self.reduce!r}, batched={self.batched}"

    def forward(self, x: torch.Tensor, *, key: Key | None = None) -> torch.Tensor:
        """The head's output: in training for the samples that `key` names, in eval for x."""
        p = self._traced_rate() if is_dynamo_compiling() else check_p(self.p)
        reduce = check_reduce(self.reduce)
        check_key("key", key)
        if not (self.training and drops(p)):
            output = self.head(x)
            return cast("torch.Tensor", output if reduce == "mean" else output.unsqueeze(0))
        outputs = attempt(key, None, self._outputs, x, p, key)
        return outputs.mean(0) if reduce == "mean" else outputs

    def _outputs(self, x: torch.Tensor, p: Probability, key: Key | None) -> torch.Tensor:
        """The outputs of the head for the samples."""
        check_dense("x", check_input(x, "x"))
        dropped = F.multi_sample_dropout(x, p, self.samples, key=key)
        outputs: Any
        if self.batched:
            outputs = self.head(dropped.flatten(0, 1))
            return cast("torch.Tensor", outputs.reshape(*dropped.shape[:2], *outputs.shape[1:]))
        listed = [self.head(sample) for sample in dropped.unbind()]
        with _unchanged(listed[0]):
            return torch.stack(listed)


def _unchanged(x: torch.Tensor) -> contextlib.AbstractContextManager[Any]:
    """Turns off autocast, which on a CPU refuses to stack float16 tensors."""
    if autocast_dtype(x) is None:
        return contextlib.nullcontext()
    return torch.autocast(x.device.type, enabled=False)
