"""How a model's state is put back: attributes, memory that is written, assigned data."""

import contextlib
from collections import OrderedDict

import torch
from torch import nn

from torchdropout.audit_model.state import (
    has_own_mode,
    preserved,
    seed_all,
)


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
