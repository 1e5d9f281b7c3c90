"""R-Drop: the published formula, written with torch's own losses."""

import functools
import math

import pytest
import torch
from torch.nn import functional as torch_F

from draws import randn
from torchdropout import functional as F


def logits(*shape, seed=0):
    return randn(*shape, seed=seed).requires_grad_()


def published(a, b, target, alpha, *, skipped=None, **given):
    """The authors' loss: kl_div of each way, halved; summed over classes, mean of the places."""
    dim = 1 if a.ndim > 1 else 0
    log_a, log_b = a.log_softmax(dim), b.log_softmax(dim)
    apart = sum(
        torch_F.kl_div(x, y, reduction="none", log_target=True).sum(dim)
        for x, y in ((log_a, log_b), (log_b, log_a))
    )
    apart = apart[~skipped] if skipped is not None else apart
    entropies = sum(torch_F.cross_entropy(x, target, **given) for x in (a, b))
    return (entropies + alpha * apart.mean()) / 2


SHAPES = [((5,), ()), ((4, 5), (4,)), ((4, 5, 3), (4, 3)), ((2, 5, 3, 2), (2, 3, 2))]


@pytest.mark.parametrize(("shape", "places"), SHAPES, ids=str)
def test_equals_the_published_formula(shape, places):
    a, b = logits(*shape), logits(*shape, seed=1)
    target = torch.randint(0, 5, places, generator=torch.Generator().manual_seed(2))
    for given in ({}, {"label_smoothing": 0.1}, {"weight": torch.rand(5).double() + 0.5}):
        loss = F.r_drop(a, b, target, 0.7, **given)
        expected = published(a, b, target, 0.7, **given)
        torch.testing.assert_close(loss, expected)
        found = torch.autograd.grad(loss, (a, b))
        torch.testing.assert_close(found, torch.autograd.grad(expected, (a, b)))
    alone = F.r_drop(a, b, alpha=2.0)
    torch.testing.assert_close(alone, 2 * (F.r_drop(a, b, target) - published(a, b, target, 0.0)))


def test_alpha_zero_is_the_cross_entropy_and_equal_passes_are_not_apart():
    a, target = logits(4, 5), torch.tensor([0, 1, 2, 3])
    entropy = torch_F.cross_entropy(a, target)
    assert torch.equal(F.r_drop(a, a, target, 3.0), entropy)
    b = logits(4, 5, seed=1)
    expected = (entropy + torch_F.cross_entropy(b, target)) / 2
    torch.testing.assert_close(F.r_drop(a, b, target, 0), expected)
    assert F.r_drop(a, b) > 0


@pytest.mark.parametrize("index", [-100, 2])
def test_what_is_ignored_does_not_count(index):
    """Ignored places count in neither term: the loss is that of the others, whatever they hold."""
    a, b = logits(6, 5), logits(6, 5, seed=1)
    target = torch.tensor([0, index, 3, 4, index, 1])
    kept = [0, 2, 3, 5]
    loss = F.r_drop(a, b, target, 0.7, ignore_index=index)
    torch.testing.assert_close(loss, F.r_drop(a[kept], b[kept], target[kept], 0.7))
    spoilt = a.detach().clone()
    spoilt[[1, 4]] = math.nan
    spoilt.requires_grad_()
    again = F.r_drop(spoilt, b, target, 0.7, ignore_index=index)
    assert torch.equal(again, loss)
    (gradient,) = torch.autograd.grad(again, spoilt)
    assert torch.equal(gradient[[1, 4]], torch.zeros(2, 5, dtype=torch.float64))
    torch.testing.assert_close(gradient, torch.autograd.grad(loss, a)[0])


@pytest.mark.parametrize("kind", ["none", "classes", "probabilities"])
def test_padding_does_not_count(kind):
    a, b = logits(3, 5, 4), logits(3, 5, 4, seed=1)
    padding = torch.tensor([[0, 0, 0, 0], [0, 0, 1, 1], [0, 1, 1, 1]]).bool()
    target = {
        "none": None,
        "classes": torch.randint(0, 5, (3, 4), generator=torch.Generator().manual_seed(2)),
        "probabilities": logits(3, 5, 4, seed=3).softmax(1).detach(),
    }[kind]
    kept = ~padding
    flat = [t.movedim(1, -1)[kept] for t in (a, b)]
    rest = target
    if kind == "classes":
        rest = target[kept]
    elif kind == "probabilities":
        rest = target.movedim(1, -1)[kept]
    for reduction in ("mean", "sum"):
        loss = F.r_drop(a, b, target, 0.7, padding_mask=padding, reduction=reduction)
        torch.testing.assert_close(loss, F.r_drop(*flat, rest, 0.7, reduction=reduction))
    each = F.r_drop(a, b, target, 0.7, padding_mask=padding, reduction="none")
    torch.testing.assert_close(each[kept], F.r_drop(*flat, rest, 0.7, reduction="none"))
    assert torch.equal(each[padding], torch.zeros(5, dtype=torch.float64))
    spoilt = torch.where(padding[:, None], math.inf, a.detach()).requires_grad_()
    loss = F.r_drop(spoilt, b, target, 0.7, padding_mask=padding)
    (gradient,) = torch.autograd.grad(loss, spoilt)
    assert bool(gradient.isfinite().all())


def test_large_logits_and_impossible_classes():
    a = torch.tensor([[1e4, 0.0, -1e4]], requires_grad=True)
    b = torch.tensor([[0.0, 1e4, -1e4]], requires_grad=True)
    loss = F.r_drop(a, b)
    assert torch.equal(loss, torch.tensor(1e4))
    assert all(g.isfinite().all() for g in torch.autograd.grad(loss, (a, b)))
    a, b = (torch.tensor([[x, 1.0, -math.inf]], requires_grad=True) for x in (0.0, 2.0))
    loss = F.r_drop(a, b, torch.tensor([0]))
    expected = F.r_drop(a[:, :2], b[:, :2], torch.tensor([0]))
    torch.testing.assert_close(loss, expected)
    assert all(g.isfinite().all() for g in torch.autograd.grad(loss, (a, b)))
    assert F.r_drop(a[:, 1:], b[:, 1:].nan_to_num(neginf=0.0)).item() == math.inf


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_types_are_computed_in_float32_and_rounded_once(dtype):
    a, b = (randn(4, 5, seed=s, dtype=dtype) for s in (0, 1))
    target = torch.tensor([0, 1, 2, 3])
    loss = F.r_drop(a, b, target, 0.7)
    assert loss.dtype == dtype
    assert torch.equal(loss, F.r_drop(a.float(), b.float(), target, 0.7).to(dtype))


def test_gradients_of_both_orders():
    a, b, target = logits(3, 4), logits(3, 4, seed=1), torch.tensor([0, -100, 3])
    function = functools.partial(F.r_drop, target=target, alpha=0.7, reduction="none")
    assert torch.autograd.gradcheck(function, (a, b))
    assert torch.autograd.gradgradcheck(function, (a, b))


def test_transforms():
    a, b = randn(6, 3, 4), randn(6, 3, 4, seed=1)
    target = torch.randint(0, 4, (6, 3), generator=torch.Generator().manual_seed(2))
    batched = torch.func.vmap(F.r_drop)(a, b, target)
    each = [F.r_drop(*t) for t in zip(a, b, target, strict=True)]
    torch.testing.assert_close(batched, torch.stack(each))
    compiled = torch.compile(F.r_drop, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(a[0], b[0], target[0]), each[0])
    graph = torch.fx.symbolic_trace(lambda a, b, t: F.r_drop(a, b, t, 0.5))
    assert [n.target for n in graph.graph.nodes if n.op == "call_function"] == [F.r_drop]


def test_under_autocast_the_loss_is_that_of_float32():
    """As torch's losses are."""
    a, b = torch.randn(2, 5, 4).bfloat16().unbind()
    target = torch.arange(5) % 4
    with torch.autocast("cpu", torch.bfloat16):
        found = F.r_drop(a, b, target)
    assert found.dtype == torch.float32
    assert torch.equal(found, F.r_drop(a.float(), b.float(), target))
