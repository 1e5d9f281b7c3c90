"""Mode: dropout acts in training, and only then."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import AbstractContextManager

import torch

from ..context import Context, Fault, Seen, check
from ..subject import Built
from ._reading import gradients, same_values

# Rows and columns of the mask that a report shows.
PICTURE = 32


def _demand_identity(ctx: Context, built: Built, x: torch.Tensor, where: str) -> None:
    y = ctx.call(built, x.clone(), training=False)
    if not same_values(y.detach(), x):
        changed = int((y.detach().double() != x.double()).sum())
        zeros = int((y.detach() == 0).sum())
        raise Fault(
            f"p={built.p:g}, {where}: {changed} of {x.numel()} values changed, {zeros} are 0",
            p=built.p,
            changed=changed,
            zeros=zeros,
            n=x.numel(),
        )


def _demand_gradient(ctx: Context, built: Built) -> None:
    """In eval the gradient of x is the incoming gradient."""
    leaf, upstream = ctx.normal(512).requires_grad_(), ctx.normal(513)[1:]
    y = ctx.call(built, leaf.clone(), training=False)
    if not y.requires_grad:
        raise Fault(f"p={built.p:g}, eval: y is cut off from the gradient of x")
    (grad,) = gradients(y, [leaf], upstream)
    if not torch.equal(grad, upstream):
        wrong = int((grad != upstream).sum())
        raise Fault(
            f"p={built.p:g}, eval: {wrong} of {leaf.numel()} gradients are not the incoming one"
        )


def _demand_random(ctx: Context, built: Built, x: torch.Tensor, calls: int, where: str) -> None:
    """All calls differ; x is large enough that two are not equal by chance."""
    outputs = [ctx.call(built, x.clone()).detach() for _ in range(calls)]
    if any(torch.equal(y.double(), x.double()) for y in outputs):
        raise Fault(f"p={built.p:g}, {where}: the input came back unchanged in training", p=built.p)
    for (i, first), (j, second) in itertools.combinations(enumerate(outputs, 1), 2):
        if torch.equal(first, second):
            raise Fault(
                f"p={built.p:g}, {where}: calls {i} and {j} of {calls} gave the same output",
                p=built.p,
                calls=calls,
            )


def _telling(ctx: Context, calls: int) -> torch.Tensor:
    return ctx.normal(ctx.telling_size(ctx.main_p, calls * (calls - 1) / 2))


@check()
def output_shape(ctx: Context) -> Seen:
    """The output is a tensor with the shape and device of x.

    Measured: one call in training and one in eval, on a 2-D and a 4-D input.

    Dropout stands between layers that expect a certain shape and device. All other checks read the
    output, so none of them runs where this one fails.

    To fix: return the tensor itself, not a tuple or its `.data`, and build the mask with
    `torch.empty_like(x)` or `x.shape` and `x.device`.
    """
    p = ctx.subject.fixed_p if ctx.subject.fixed_p is not None else 0.5
    for shape in ((64, 48), (2, 3, 8, 5)):
        for training in ctx.modes:
            ctx.call(ctx.build(p), ctx.normal(*shape), training)
    return Seen("tensor, shape and device of x")


@check(needs=["output-shape"])
def eval_identity(ctx: Context) -> Seen:
    """In eval, y equals x, bit for bit.

    Measured: calls in eval at several p, on normal values, on zeros, infinities and NaN, and on a
    million elements; the gradient is the incoming one.

    Dropout that stays live in eval makes predictions random; one that scales in eval makes them
    wrong by 1/(1-p). It is the most reported dropout bug: functional and attention dropout
    that ignores the mode (pytorch#124464, pytorch#99293, nanoGPT#240, transformers#33844).

    To fix: return x at once when not training, and pass `self.training` to every functional call:
    `F.dropout` drops by default.
    """
    ctx.need_eval()
    special = torch.tensor([0.0, -0.0, 1e-30, -1e30, float("inf"), float("-inf"), float("nan")])
    for p in ctx.grid:
        built = ctx.build(p)
        _demand_identity(ctx, built, ctx.normal(ctx.draws(4096)), "eval")
        if not ctx.spec.finite:
            _demand_identity(ctx, built, special, "eval, special values")
    built = ctx.build(ctx.main_p)
    _demand_identity(ctx, built, ctx.normal(ctx.chunk), f"eval, {ctx.chunk} elements")
    if ctx.subject.has_gradient:
        _demand_gradient(ctx, built)
    return Seen("y is x, at p=" + " ".join(f"{p:.3g}" for p in ctx.grid))


@check(needs=["output-shape"])
def train_stochastic(ctx: Context) -> Seen:
    """In training, every call drops different places.

    Measured: eight calls on an input so large that two equal masks cannot be a coincidence.

    A mask drawn once, a generator seeded in every call, or a mode that is lost means that the
    network trains as a fixed subnetwork, or without dropout at all: dropout that was requested is
    silently not applied (pytorch#184126, torchtune#996, peft#3753).

    To fix: draw the mask inside the call, from a generator that advances, and read
    `self.training`, not a flag of your own.
    """
    calls = 8
    _demand_random(ctx, ctx.build(ctx.main_p), _telling(ctx, calls), calls, "training")
    p = 0.1 if 0.1 in ctx.grid else ctx.main_p  # a reader recognises drops at this p
    mask = ctx.masks(p, 1, (PICTURE, PICTURE))[0]
    picture = ["".join("1" if kept else "0" for kept in row) for row in mask]
    return Seen(f"masks of {calls} calls all differ", {"mask": picture, "p": p})


@check(needs=["eval-identity", "train-stochastic"])
def mode_switch(ctx: Context) -> Seen:
    """`train()` and `eval()` can follow each other in any order.

    Measured: one object taken through train, eval, train, eval, eval, train; identity in every
    eval, fresh masks in every train.

    A module that sets p to zero on `eval()`, or that caches the mode it was built in, is right
    until the first validation pass and never again (Megatron-LM#411, vsepp#4).

    To fix: keep no copy of the mode; read `self.training` in each call.
    """
    ctx.need_eval()
    built = ctx.build(ctx.main_p)
    x = _telling(ctx, 32)
    for step, training in enumerate((True, False, True, False, False, True)):
        if training:
            _demand_random(ctx, built, x, 2, f"after {step} switches of mode")
        else:
            _demand_identity(ctx, built, x, f"eval after {step} switches of mode")
    return Seen("train, eval, train, eval, eval, train")


@check(needs=["eval-identity", "train-stochastic"])
def grad_mode(ctx: Context) -> Seen:
    """`no_grad` and `inference_mode` do not change what dropout does.

    Measured: training and eval calls inside each of the two.

    Whether gradients are recorded is not the mode. Monte Carlo dropout runs in training mode
    under `no_grad`; a layer that mistakes that for eval reports zero uncertainty, as torch's
    transformer fast path does.

    To fix: branch on `self.training` alone.
    """
    guards: tuple[tuple[str, Callable[[], AbstractContextManager[object]]], ...] = (
        ("no_grad", torch.no_grad),
        ("inference_mode", torch.inference_mode),
    )
    for name, guard in guards:
        with guard():
            built = ctx.build(ctx.main_p)
            x = _telling(ctx, 32)
            _demand_random(ctx, built, x, 4, f"training under {name}")
            if ctx.subject.has_eval:
                _demand_identity(ctx, built, x, f"eval under {name}")
    return Seen("as in grad mode, under no_grad and inference_mode")
