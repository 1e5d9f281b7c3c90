"""nn.LayerDrop: a dropped branch is not computed; a kept one is added to the residual."""

import pytest
import torch
from torch.utils.checkpoint import checkpoint

import torchdropout as td
from draws import draws_nothing, refused
from torchdropout import functional as F
from torchdropout.errors import ArgumentTypeError, ArgumentValueError


class Branch(torch.nn.Module):
    """Counts its calls, and draws, as any branch may."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(4, 4)
        self.calls = 0

    def forward(self, x, offset=0.0):
        self.calls += 1
        return self.linear(x) + offset


def layer(p=0.4, **kwargs):
    torch.manual_seed(0)
    return td.nn.LayerDrop(Branch(), p, **kwargs)


def with_draw(keep, p=0.4):
    """The generator before a call that keeps, or drops."""
    for seed in range(100):
        torch.manual_seed(seed)
        if bool(F.keep_mask((), p)) is keep:
            torch.manual_seed(seed)
            return
    raise AssertionError(keep)


X = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("scaled", [True, False])
def test_kept_and_dropped(scaled, residual):
    module = layer(scale_by_keep=scaled, residual=residual)
    branch = module.branch.linear(X)
    change = branch if residual else branch - X
    with_draw(keep=True)
    torch.testing.assert_close(module(X), X + change * (1 / 0.6 if scaled else 1.0))
    assert module.branch.calls == 1
    with_draw(keep=False)
    assert module(X) is X
    assert module.branch.calls == 1


@pytest.mark.parametrize(("p", "training"), [(0.0, True), (0, True), (0.4, False), (1.0, False)])
@pytest.mark.parametrize("residual", [True, False])
def test_eval_and_p_zero_take_the_branch_and_draw_nothing(p, training, residual):
    module = layer(p, scale_by_keep=True, residual=residual).train(training)
    branch = module.branch(X)
    with draws_nothing():
        assert torch.equal(module(X), X + branch if residual else branch)


def test_p_one_never_computes_the_branch():
    module = layer(1.0, scale_by_keep=True)
    x = X.clone().requires_grad_()
    module(x).sum().backward()
    assert module.branch.calls == 0
    assert torch.equal(x.grad, torch.ones_like(X))
    assert module.branch.linear.weight.grad is None


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_a_checkpoint_skips_the_same_branches(use_reentrant):
    layers = torch.nn.Sequential(*[td.nn.LayerDrop(torch.nn.Linear(4, 4), 0.5) for _ in range(8)])

    def gradients(run):
        x = X.clone().requires_grad_()
        torch.manual_seed(5)
        run(x).sum().backward()
        found = [x.grad, *(p.grad for p in layers.parameters())]
        layers.zero_grad()
        return found

    plain = gradients(layers)
    again = gradients(lambda x: checkpoint(layers, x, use_reentrant=use_reentrant))
    assert 0 < sum(g is None for g in plain) < 16
    for a, b in zip(plain, again, strict=True):
        assert (a is None and b is None) or torch.equal(a, b)


def test_compiled_one_graph_in_eval_and_a_refusal_in_training():
    torch._dynamo.reset()
    module = td.nn.LayerDrop(torch.nn.Linear(4, 4), 0.5).eval()
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(X), module(X))
    module.train()
    with pytest.raises(torch._dynamo.exc.Unsupported, match=r"[Dd]ata.dependent"):
        compiled(X)


class Inside(torch.fx.Tracer):
    """Looks into the module, which other tracers record as one call."""

    def is_leaf_module(self, m, name):
        return isinstance(m, torch.nn.Linear)


def test_a_tracer_that_looks_inside_takes_eval_and_refuses_a_draw():
    """A draw while tracing would hold for every call of the graph."""
    module = torch.nn.Sequential(td.nn.LayerDrop(torch.nn.Linear(4, 4), 0.5))
    with pytest.raises(ArgumentTypeError, match="Expected `input` to be a tensor"):
        Inside().trace(module)
    graph = Inside().trace(module.eval())
    assert torch.equal(torch.fx.GraphModule(module, graph)(X), module(X))


@pytest.mark.parametrize("training", [True, False])
def test_a_branch_that_returns_something_else(training):
    two = torch.nn.MaxPool1d(1, return_indices=True)
    for branch, error, words in (
        (torch.nn.Linear(4, 1), ArgumentValueError, r"of the input's shape, \(3, 4\)"),
        (two, ArgumentTypeError, r"a tensor, got [\s\S]* \(tuple\)"),
    ):
        with_draw(keep=True)
        with refused(error, words):
            td.nn.LayerDrop(branch, 0.4).train(training)(X)
