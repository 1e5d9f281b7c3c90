"""R-Drop: a loss that makes two passes with different masks agree."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch.nn import functional as torch_F
from torch.overrides import handle_torch_function, has_torch_function

from .._core._validate import (
    check_count,
    check_device,
    check_input,
    check_number,
    check_word,
    got,
    refuse_nested,
    wrong_type,
    wrong_value,
)
from .._core.contract.keep import compute_dtype
from ..errors import ArgumentValueError
from ._autocast import autocast_dtype
from ._override import given

Reduction = Literal["none", "mean", "sum"]


def r_drop(
    logits_a: torch.Tensor,
    logits_b: torch.Tensor,
    target: torch.Tensor | None = None,
    alpha: float = 1.0,
    *,
    weight: torch.Tensor | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
    padding_mask: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""Cross-entropy of two passes, plus the divergence of their distributions.

    `(CE(a) + CE(b)) / 2 + alpha * (KL(P_a || P_b) + KL(P_b || P_a)) / 2`, with P the softmax of the
    logits: the loss of the authors' code. That of the paper is twice this with half the alpha,
    `CE(a) + CE(b) + alpha' / 2 * (KL + KL)`: its alpha' is 2 alpha. Without a target
    only the divergence is returned.

    The divergence is summed over the classes and, like the cross-entropy, averaged over the places
    of the batch that count. It is computed in float32 or float64, as
    `sum((P_a - P_b) * (log P_a - log P_b))`, whose terms are never negative, and is 0 for a class
    that is impossible (a logit of -inf) in both.

    Args:
        logits_a: Logits of the first pass, not normalised.
        logits_b: Those of the second pass, of the same shape and dtype.
        target: Classes, or their probabilities, as `torch.nn.functional.cross_entropy` takes them.
        alpha: Weight of the divergence, 0 or more.
        weight: Weights of the classes, in the cross-entropy only.
        ignore_index: Places with this target count neither in the cross-entropy nor in the
            divergence.
        reduction: `"mean"` over what counts, `"sum"`, or `"none"`. With `weight`, the mean of the
            cross-entropy is torch's weighted one, that of the divergence the plain one.
        label_smoothing: Label smoothing of the cross-entropy, in [0, 1].
        padding_mask: A bool for each place of the batch, True where it does not count.

    Shape:
        logits `(N, C)`, `(C)` or `(N, C, d1, d2, ...)`; target `(N)`, `()` or `(N, d1, d2, ...)`,
        or probabilities of the shape of the logits; padding_mask the shape of the places. The loss
        has no dimension, or with `reduction="none"` the shape of the places; and the dtype of the
        logits, or under autocast float32.

    Raises:
        ArgumentTypeError: An argument has a type that is not accepted.
        ArgumentValueError: Shapes or devices differ, alpha is negative or not finite, or reduction
            is an unknown word.

    Example:
        >>> import torch, torchdropout as td
        >>> a, b = torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 0.0]])
        >>> td.functional.r_drop(a, a, torch.tensor([0]), alpha=5.0)  # they agree: cross-entropy
        tensor(0.1269)
        >>> td.functional.r_drop(a, b)  # the divergence alone
        tensor(0.0749)

    Reference:
        X. Liang, L. Wu et al., "R-Drop: Regularized dropout for neural networks", NeurIPS 2021,
        arXiv:2106.14448, equations 2 to 4, and the authors' code.
    """
    tensors = (logits_a, logits_b, target, weight, padding_mask)
    if has_torch_function(tensors):
        return handle_torch_function(
            r_drop,
            tensors,
            *(logits_a, logits_b, target, alpha),
            ignore_index=ignore_index,
            reduction=reduction,
            label_smoothing=label_smoothing,
            **given(weight=weight, padding_mask=padding_mask),
        )
    _check_logits(logits_a, logits_b)
    alpha = _check_alpha(alpha)
    check_word("reduction", reduction, "none", "mean", "sum")
    check_count("ignore_index", ignore_index, -(2**63))
    dim = 1 if logits_a.ndim > 1 else 0
    places = (*logits_a.shape[:dim], *logits_a.shape[dim + 1 :])
    _check_padding(padding_mask, logits_a, places)
    _check_target(target, logits_a, places)
    _check_weight(weight, logits_a)
    label_smoothing = _check_smoothing(label_smoothing)
    if target is None:
        for name, value in (("weight", weight), ("label_smoothing", label_smoothing or None)):
            if value is not None:
                raise ArgumentValueError(
                    f"Expected no `{name}` without a target, {got(name, value)}."
                )
    counted = _counted(target, ignore_index, padding_mask)
    compute = compute_dtype(logits_a.dtype)
    a, b = logits_a.to(compute), logits_b.to(compute)
    if counted is not None:
        # They are replaced before anything is computed: padding may hold anything, even NaN.
        skipped = ~counted.unsqueeze(dim)
        a, b = a.masked_fill(skipped, 0.0), b.masked_fill(skipped, 0.0)
    loss = alpha * _reduced(_divergence(a, b, dim) / 2, counted, reduction)
    if target is not None:
        if padding_mask is not None and not target.is_floating_point():
            target = target.masked_fill(padding_mask, ignore_index)
        for x in (a, b):
            loss = (
                loss
                + _cross_entropy(
                    x, target, counted, weight, ignore_index, reduction, label_smoothing
                )
                / 2
            )
    # Autocast runs the losses of torch in float32.
    return loss if autocast_dtype(logits_a) is not None else loss.to(logits_a.dtype)


def _divergence(a: torch.Tensor, b: torch.Tensor, dim: int) -> torch.Tensor:
    """`KL(P_a || P_b) + KL(P_b || P_a)` of each place."""
    log_a, log_b = a.log_softmax(dim), b.log_softmax(dim)
    impossible = (log_a == -torch.inf) & (log_b == -torch.inf)
    # log P_a - log P_b is -inf + inf there, and its gradient NaN, unless it is replaced first.
    log_a, log_b = log_a.masked_fill(impossible, 0.0), log_b.masked_fill(impossible, 0.0)
    terms = (log_a.exp() - log_b.exp()) * (log_a - log_b)
    return terms.sum(dim)


def _reduced(x: torch.Tensor, counted: torch.Tensor | None, reduction: str) -> torch.Tensor:
    if reduction == "none":
        return x
    if reduction == "sum":
        return x.sum()
    return x.mean() if counted is None else x.sum() / counted.sum()


def _cross_entropy(
    x: torch.Tensor,
    target: torch.Tensor,
    counted: torch.Tensor | None,
    weight: torch.Tensor | None,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> torch.Tensor:
    weight = None if weight is None else weight.to(x.dtype)
    options: Any = {"weight": weight, "label_smoothing": label_smoothing}
    if not target.is_floating_point():
        return torch_F.cross_entropy(
            x, target, ignore_index=ignore_index, reduction=reduction, **options
        )
    target = target.to(x.dtype)
    if counted is None:
        return torch_F.cross_entropy(x, target, reduction=reduction, **options)
    # torch ignores no index if the target holds probabilities.
    each = torch_F.cross_entropy(x, target, reduction="none", **options)
    return _reduced(each.masked_fill(~counted, 0.0), counted, reduction)


def _counted(
    target: torch.Tensor | None,
    ignore_index: int,
    padding_mask: torch.Tensor | None,
) -> torch.Tensor | None:
    """True for the places that count; None where all do."""
    counted = None if padding_mask is None else ~padding_mask
    if target is not None and not target.is_floating_point():
        kept = target != ignore_index
        counted = kept if counted is None else counted & kept
    return counted


def _check_logits(a: Any, b: Any) -> None:
    for name, x in (("logits_a", a), ("logits_b", b)):
        check_input(x, name, complex_ok=False)
        if x.is_nested:
            refuse_nested(name, x)
    if a.ndim == 0:
        wrong_value("logits_a", "of 1 dimension or more, (C), (N, C) or (N, C, d1, ...)", a)
    if b.dtype != a.dtype:
        wrong_type("logits_b", f"of the dtype of logits_a, {a.dtype}", b)
    if b.shape != a.shape:
        wrong_value("logits_b", f"of the shape of logits_a, {tuple(a.shape)}", b)
    check_device("logits_b", b, a.device, "on the device of logits_a")


def _check_alpha(alpha: Any) -> float:
    value = check_number("alpha", "a number, 0 or more", alpha)
    if not 0.0 <= value < math.inf:
        wrong_value("alpha", "a finite number, 0 or more", alpha)
    return value


def _check_smoothing(smoothing: Any) -> float:
    value = check_number("label_smoothing", "a number in [0, 1]", smoothing)
    if not 0.0 <= value <= 1.0:
        wrong_value("label_smoothing", "in [0, 1]", smoothing)
    return value


def _check_weight(weight: Any, a: torch.Tensor) -> None:
    if weight is None:
        return
    expected = "a floating-point tensor, a weight for each class"
    if not isinstance(weight, torch.Tensor) or not weight.is_floating_point():
        wrong_type("weight", expected, weight)
    classes = a.shape[1 if a.ndim > 1 else 0]
    if weight.shape != (classes,):
        wrong_value("weight", f"of shape ({classes},), a weight for each class", weight)
    check_device("weight", weight, a.device, "on the device of the logits")


def _check_padding(padding: Any, a: torch.Tensor, places: tuple[int, ...]) -> None:
    if padding is None:
        return
    if not isinstance(padding, torch.Tensor) or padding.dtype != torch.bool:
        wrong_type("padding_mask", "a tensor of dtype bool", padding)
    if padding.shape != places:
        wrong_value(
            "padding_mask", f"of the shape of the logits without classes, {places}", padding
        )
    check_device("padding_mask", padding, a.device, "on the device of the logits")


def _check_target(target: Any, a: torch.Tensor, places: tuple[int, ...]) -> None:
    if target is None:
        return
    if not isinstance(target, torch.Tensor):
        wrong_type("target", "a tensor of classes or of their probabilities, or None", target)
    if target.is_floating_point():
        if target.shape != a.shape:
            expected = f"of the shape of the logits, {tuple(a.shape)}, as it is floating-point"
            wrong_value("target", expected, target)
    elif target.dtype not in (torch.int64, torch.uint8):
        wrong_type("target", "of dtype torch.int64, numbers of classes", target)
    elif target.shape != places:
        wrong_value("target", f"of the shape of the logits without classes, {places}", target)
