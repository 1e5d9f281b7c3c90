"""How a model's state is put back: attributes, memory that is written, assigned data."""

import contextlib
from collections import OrderedDict

import pytest
import torch
from torch import nn

from torchdropout.audit_model.state import (
    _Guard,
    _put_data,
    _written,
    has_own_mode,
    has_values,
    preserved,
    seed_all,
    storage_key,
)

aten = torch.ops.aten


@pytest.mark.parametrize(
    ("function", "written"),
    [
        (aten.add.Tensor, ()),
        (aten.add_.Tensor, ((0, "self"),)),
        (aten.add.out, ((3, "out"),)),
        (aten.view.default, ()),
        (aten._foreach_add_.Scalar, ((0, "self"),)),
    ],
)
def test_the_arguments_that_are_written(function, written):
    assert _written(function) == written


@pytest.mark.parametrize(
    "write",
    [
        lambda x, y: x.add_(1),
        lambda x, y: x[1:].zero_(),
        lambda x, y: torch.add(y, 1, out=x),
        lambda x, y: torch._foreach_add_([y, x], 1.0),
        lambda x, y: (x.add_(1), x.mul_(3)),
    ],
)
def test_memory_is_copied_before_it_is_written(write):
    x, y = torch.arange(4.0), torch.ones(4)
    view = x[:2]
    guard = _Guard([x, view])
    with guard:
        write(x, y)
    assert not torch.equal(x, torch.arange(4.0))
    guard.restore()
    assert torch.equal(x, torch.arange(4.0))
    assert len(guard._copies) == 2


def test_what_is_read_is_not_copied():
    x = torch.arange(4.0)
    guard = _Guard([x, torch.ones(2).to_sparse()])
    with guard:
        (x + 1).add_(1)
    assert guard._copies == []


def test_memory():
    x = torch.ones(4)
    assert storage_key(x) == storage_key(x[2:]) is not None
    assert storage_key(x) != storage_key(x.clone())
    assert storage_key(x.to_sparse()) is None
    assert has_values(x)
    assert not has_values(x.to("meta"))


@pytest.mark.parametrize(
    "change",
    [
        lambda x: setattr(x, "data", torch.zeros(3)),
        lambda x: setattr(x, "data", x.data[:2]),
        lambda x: setattr(x, "data", torch.zeros(5)),
        lambda x: None,
    ],
)
def test_data_that_was_assigned(change):
    x = nn.Parameter(torch.ones(3))
    data = x.detach()
    change(x)
    _put_data(x, data)
    assert x.data_ptr() == data.data_ptr()
    assert x.shape == (3,)


class Holding(nn.Module):
    def __init__(self):
        super().__init__()
        self.values = [1], {"a": 1}
        self.listed, self.mapped = [1, 2], {"a": 1}
        self.ordered, self.set = OrderedDict(b=1), {1}
        self.register_buffer("count", torch.zeros(2))


def test_containers_have_what_they_had():
    model = Holding()
    kept = model.listed, model.mapped, model.ordered, model.set
    with contextlib.suppress(KeyError), preserved(model, []):
        model.listed.append(3)
        model.mapped["b"] = 2
        model.ordered.clear()
        model.set.add(2)
        model.listed = "other"
        model.new = 3
        del model.mapped
        model.train(False)
        model.count.add_(1)
        model.count.requires_grad_()
        raise KeyError
    assert (model.listed, model.mapped, model.ordered, model.set) == kept
    assert model.listed is kept[0]
    assert kept == ([1, 2], {"a": 1}, OrderedDict(b=1), {1})
    assert not hasattr(model, "new")
    assert model.training
    assert not model.count.any()
    assert not model.count.requires_grad


def test_parameters_are_as_they_were():
    model = nn.Linear(2, 2)
    model.weight.grad = torch.ones(2, 2)
    weight, grad = model.weight, model.weight.grad
    before = weight.detach().clone()
    with preserved(model, []):
        model.weight.requires_grad_(False)
        with torch.no_grad():
            model.weight.fill_(3)
            model.bias.data = torch.zeros(2)
        grad.zero_()
        model.weight.grad = None
        model.bias.grad = torch.ones(2)
    assert model.weight is weight
    assert torch.equal(weight, before)
    assert weight.requires_grad
    assert weight.grad is grad
    assert grad.eq(1).all()
    assert model.bias.grad is None


def test_inputs_and_generators_are_as_they_were():
    model = nn.Dropout(0.5)
    model.generator = torch.Generator().manual_seed(3)
    given = [torch.ones(3), torch.Generator().manual_seed(4), "text"]
    states = [g.get_state() for g in (torch.default_generator, model.generator, given[1])]
    with preserved(model, given):
        model(given[0].mul_(2))
        torch.rand(1, generator=model.generator)
        torch.rand(1, generator=given[1])
    assert given[0].eq(1).all()
    generators = (torch.default_generator, model.generator, given[1])
    assert all(torch.equal(g.get_state(), s) for g, s in zip(generators, states, strict=True))


def test_graphs_whose_eval_was_replaced():
    graph = torch.fx.symbolic_trace(nn.Sequential(nn.Dropout(0.5)))
    assert not has_own_mode(graph)
    assert not has_own_mode(nn.ReLU())
    graph.eval = lambda: graph
    assert has_own_mode(graph)
    before = str(graph.graph)
    with preserved(graph, []):
        for node in graph.graph.find_nodes(op="call_module", target="0"):
            node.replace_all_uses_with(node.args[0])
            graph.graph.erase_node(node)
    assert str(graph.graph) == before


def test_the_generators_of_accelerators_are_seeded_and_put_back(monkeypatch):
    seeds, states = [], []
    monkeypatch.setattr(torch, "manual_seed", seeds.append)
    state = torch.get_rng_state()
    seed_all(3)
    assert seeds == [3]  # torch's function seeds those of all devices
    assert torch.equal(torch.get_rng_state(), state)
    for name in ("is_available", "is_initialized"):
        monkeypatch.setattr(torch.cuda, name, lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: ["before"])
    monkeypatch.setattr(torch.cuda, "set_rng_state_all", states.append)
    with preserved(nn.ReLU(), []):
        pass
    assert states == [["before"]]
