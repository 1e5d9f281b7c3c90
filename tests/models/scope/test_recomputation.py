"""Regions that are computed again, in the scope and after it, have the draws of their forward."""

import functools

import pytest
import torch
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import (
    CheckpointImpl,
    apply_activation_checkpointing,
    checkpoint_wrapper,
)
from torch.utils.checkpoint import (
    CheckpointPolicy,
    checkpoint,
    create_selective_checkpoint_contexts,
)

import torchdropout as td
from keyed_parts import Block, Net, plain

SCOPE = {"seed": 5, "step": 1}
X = torch.randn(6, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def select(keep, _context, operator, *_args, **_kwargs):
    saved = operator in keep if keep else True
    return CheckpointPolicy.MUST_SAVE if saved else CheckpointPolicy.PREFER_RECOMPUTE


def selective(*keep):
    contexts = functools.partial(
        create_selective_checkpoint_contexts, functools.partial(select, keep)
    )
    return functools.partial(checkpoint, use_reentrant=False, context_fn=contexts)


recomputed = functools.partial(checkpoint, use_reentrant=False)
WAYS = {
    "reentrant": functools.partial(checkpoint, use_reentrant=True),
    "not reentrant": recomputed,
    "without torch's states": functools.partial(
        checkpoint, use_reentrant=False, preserve_rng_state=False
    ),
    "to the end": functools.partial(checkpoint, use_reentrant=False, early_stop=False),
    "nested": lambda function, x: recomputed(lambda x: recomputed(function, x), x),
    "all saved": selective(),
    "products saved": selective(torch.ops.aten.addmm.default),
    "draws saved": selective(torch.ops.torchdropout.masked_affine.default),
}


def gradients(model, x=X, outside=False, **scope):
    x = x.clone().requires_grad_()
    with td.keyed(model, **SCOPE, **scope):
        y = model(x)
        if not outside:
            y.square().sum().backward()
    if outside:
        torch.manual_seed(99)  # the backward must not need the generator
        y.square().sum().backward()
    return y.detach(), x.grad, [p.grad for p in model.parameters()]


def assert_same(found, expected):
    assert torch.equal(found[0], expected[0])
    torch.testing.assert_close(found[1], expected[1])
    torch.testing.assert_close(found[2], expected[2])


@pytest.mark.parametrize(
    ("way", "outside"), [*((way, True) for way in WAYS), ("reentrant", False), ("nested", False)]
)
@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")  # in `find_sites`
def test_checkpointed_functions(way, outside):
    model = Net(WAYS[way])
    assert_same(gradients(model, outside=outside), gradients(Net(plain)))
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize("kind", list(CheckpointImpl))
@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
def test_checkpointed_modules(kind):
    """The wrapper's name is not a part of the paths."""
    model = Net(plain)
    apply_activation_checkpointing(
        model,
        checkpoint_wrapper_fn=functools.partial(checkpoint_wrapper, checkpoint_impl=kind),
        check_fn=lambda module: isinstance(module, Block),
    )
    assert_same(gradients(model, outside=True), gradients(Net(plain)))


@pytest.mark.parametrize("way", ["reentrant", "not reentrant"])
def test_a_whole_model_whose_sites_are_found_in_its_region(way):
    """The region does not include the probe."""
    model, expected = Net(plain), gradients(Net(plain))
    x = X.clone().requires_grad_()
    with td.keyed(model, **SCOPE):
        y = WAYS[way](model, x)
    y.square().sum().backward()
    assert_same((y.detach(), x.grad, [p.grad for p in model.parameters()]), expected)


@pytest.mark.parametrize(("way", "outside"), [("reentrant", False), ("not reentrant", True)])
@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
def test_micro_batches_whose_backward_comes_last(way, outside):
    model, expected = Net(WAYS[way]), gradients(Net(plain))
    with td.keyed(model, batch=(0, 6), **SCOPE):
        parts = [model(x.requires_grad_()) for x in X.clone().split(2)]
        if not outside:
            sum(y.square().sum() for y in parts).backward()
    if outside:
        sum(y.square().sum() for y in parts).backward()
    torch.testing.assert_close(torch.cat(parts), expected[0])
    torch.testing.assert_close([p.grad for p in model.parameters()], expected[2])


@pytest.mark.parametrize("way", ["reentrant", "not reentrant"])
@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
def test_a_backward_within_the_scope_of_another_step(way):
    model = Net(WAYS[way])
    x = X.clone().requires_grad_()
    with td.keyed(model, **SCOPE):
        y = model(x)
    with td.keyed(model, seed=5, step=2):
        before = model(X)
        y.square().sum().backward()
        after = model(X)
    torch.testing.assert_close(x.grad, gradients(Net(plain))[1])
    with td.keyed(model, seed=5, step=2):
        assert torch.equal(model(X), before)
        assert torch.equal(model(X), after)
