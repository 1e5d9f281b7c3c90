"""A residual branch that is not computed when it is dropped."""

from __future__ import annotations

from typing import Any

import torch
from torch.compiler import is_dynamo_compiling
from torch.overrides import has_torch_function_unary

from .. import functional as F
from .._core import _torch
from .._core._validate import check_bool, check_p, wrong_type, wrong_value
from .._core.contract.keep import scale
from ..functional._bernoulli import inverted, traced
from ..functional._call import by_operator
from ..functional._key import attempt, check_key, key_tensor
from ..functional._rate import Probability, Rate, drops
from ..random import Key
from ._module import RateModule


class LayerDrop(RateModule):
    r"""A residual branch, skipped with probability p in training and always taken in eval.

    `y = x + branch(x)` where kept; `y = x`, and the branch is not computed, where dropped: one draw
    per call. A step thus saves the time and the memory of the branches it drops, unlike with
    `DropPath`, but all samples of a batch are dropped together. The parameters of a dropped branch
    get no gradient (`None`, not zeros), so `DistributedDataParallel` needs
    `find_unused_parameters=True`; if ranks must skip the same branches, give them the same seed.

    Under `torch.compile` the draw, which decides what is computed, breaks the graph: the code
    before and after it is compiled, and the branch too. `fullgraph=True` and `torch.export` refuse
    this module in training and accept it in eval.

    Args:
        branch: A module of x (and of the further arguments of the call) that returns a tensor.
        p: Drop probability in [0, 1].
        scale_by_keep: True scales the branch by 1 / (1 - p) in training, so that the expected
            output of training is that of eval. Neither the original nor other libraries scale.
        residual: False for a layer that has its residual sum inside: `y = branch(x)` where kept.

    Shape:
        That of the branch; with the residual sum, that of x.

    Raises:
        ArgumentTypeError: branch is not a module, p not a number, or another argument not a bool;
            at the call, x or the result of the branch is not a tensor.
        ArgumentValueError: p is NaN or outside [0, 1]; at the call, the branch returned a tensor of
            another shape than x.

    Example:
        >>> import torch, torchdropout as td
        >>> layer = td.nn.LayerDrop(torch.nn.Linear(8, 8), 0.2)
        >>> sorted(layer.state_dict())
        ['branch.bias', 'branch.weight']
        >>> x = torch.randn(4, 8)
        >>> torch.equal(layer.eval()(x), x + layer.branch(x))
        True

    Reference:
        A. Fan et al., "Reducing transformer depth on demand with structured dropout", ICLR 2020;
        G. Huang et al., "Deep networks with stochastic depth", ECCV 2016.
    """

    p: float

    def __init__(
        self,
        branch: torch.nn.Module,
        p: float = 0.5,
        *,
        scale_by_keep: bool = False,
        residual: bool = True,
    ) -> None:
        super().__init__()
        if not isinstance(branch, torch.nn.Module):
            wrong_type("branch", "a module", branch)
        self.branch = branch
        self.p = p
        self.scale_by_keep = check_bool("scale_by_keep", scale_by_keep)
        self.residual = check_bool("residual", residual)

    def _constants(self) -> tuple[float, ...]:
        return inverted(self.p).constants

    def extra_repr(self) -> str:
        """The drop probability, scale_by_keep and residual."""
        return f"p={self.p}, scale_by_keep={self.scale_by_keep}, residual={self.residual}"

    def forward(
        self, input: torch.Tensor, *args: Any, dropout_key: Key | None = None, **kwargs: Any
    ) -> torch.Tensor:
        """The residual sum, or `input` itself where the branch is dropped.

        Args:
            input: The tensor to add to, and the branch's first argument.
            args: Further arguments of the branch.
            dropout_key: The key to use; nothing is drawn. Not `key`, which the branch may have.
            kwargs: Further keyword arguments of the branch.
        """
        p = self._traced_rate() if is_dynamo_compiling() else check_p(self.p)
        active = self.training and drops(p)
        check_key("dropout_key", dropout_key)
        if not active:
            return self._sum(input, self.branch(input, *args, **kwargs), None)
        if not isinstance(input, torch.Tensor):  # a proxy of torch.fx: one draw for all calls
            wrong_type("input", "a tensor", input)
        return attempt(dropout_key, None, self._drawn, p, dropout_key, input, *args, **kwargs)

    def _drawn(
        self,
        p: Probability,
        dropout_key: Key | None,
        input: torch.Tensor,
        /,
        *args: Any,
        **kwargs: Any,
    ) -> torch.Tensor:
        # It is drawn on the CPU: the answer is needed at once and must not wait for a device.
        kept = _kept(p, dropout_key)
        if not is_dynamo_compiling() and _torch.is_batched(kept):
            expected = "one key for all samples of a vmap (or its randomness to be 'same')"
            wrong_value("dropout_key", expected, dropout_key)
        if not kept:
            return input
        return self._sum(input, self.branch(input, *args, **kwargs), p)

    def _sum(self, input: torch.Tensor, y: torch.Tensor, p: Probability | None) -> torch.Tensor:
        """The residual sum with the branch's output, which p scales unless p is None."""
        if not has_torch_function_unary(input):
            if not isinstance(y, torch.Tensor):
                wrong_type("branch(input)", "a tensor", y)
            if y.shape != input.shape:
                wrong_value("branch(input)", f"of the input's shape, {tuple(input.shape)}", y)
        if p is None or not self.scale_by_keep:
            return input + y if self.residual else y
        factor = p.constants[1] if isinstance(p, Rate) else scale(p)
        return input + (y if self.residual else y - input) * factor


def _kept(p: Probability, key: Key | None) -> torch.Tensor:
    """One keep bit."""
    if isinstance(p, Rate):
        one = torch.ones((), dtype=torch.bfloat16, device="cpu")
        return by_operator(one, traced(p), 0, (), key_tensor(key)).bool()
    return F.keep_mask((), p, key=key, device="cpu")
