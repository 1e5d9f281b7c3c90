"""torch.fx records each module as one call, so that the mode of the traced model is its own."""

import copy
import pickle

import pytest
import torch
from torch.fx.experimental.optimization import remove_dropout

from family import IDENTITIES
from torchdropout import nn
from torchdropout.convert import convert
from torchdropout.errors import ArgumentTypeError

LINEAR = torch.nn.Linear(6, 6)
X = torch.ones(2, 8, 6)
# One of the modules for images stands for all.
ELSEWHERE = {"inplace", "Dropout2d", "Dropout3d", "DropBlock2d"}
MODULES = {
    **{name: make for name, make in IDENTITIES.items() if name not in ELSEWHERE},
    "VariationalLinear": lambda: nn.VariationalLinear(6, 6),
    "ConcreteDropout": lambda: nn.ConcreteDropout(LINEAR),
    "LayerDrop": lambda: nn.LayerDrop(LINEAR, 0.5),
    "MultiSampleDropout": lambda: nn.MultiSampleDropout(0.5, LINEAR),
    "WeightDrop": lambda: nn.WeightDrop(torch.nn.Linear(6, 6), 0.5, "weight"),
    "LSTM": lambda: nn.LSTM(6, 6, num_layers=2, dropout=0.5),
    "GRU": lambda: nn.GRU(6, 6, num_layers=2, dropout=0.5),
}
each_module = pytest.mark.parametrize("name", MODULES)


class Model(torch.nn.Module):
    """A model around a module of the family."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        y = self.module(x)
        return y[0] if isinstance(self.module, torch.nn.RNNBase) else y


@each_module
def test_a_model_traced_in_training_does_not_drop_in_eval(name):
    model = Model(MODULES[name]()).train()
    traced = torch.fx.symbolic_trace(model)
    calls = [node.target for node in traced.graph.nodes if node.op == "call_module"]
    assert calls == ["module"]
    assert not any("torchdropout" in str(node.target) for node in traced.graph.nodes)
    torch.manual_seed(3)
    dropped = model(X)
    torch.manual_seed(3)
    assert torch.equal(traced(X), dropped)
    traced.eval()
    assert torch.equal(traced(X), model.eval()(X))
    state = torch.get_rng_state()
    traced(X)
    assert torch.equal(torch.get_rng_state(), state)


@each_module
def test_the_class_keeps_its_own_name(name):
    module = MODULES[name]()
    assert type(module).__module__.startswith("torchdropout.nn.")
    twins = [copy.deepcopy(module)]
    if name != "WeightDrop":  # torch pickles no module with a parametrization
        twins.append(pickle.loads(pickle.dumps(module)))
    for twin in twins:
        assert type(twin) is type(module)
        assert list(dict(torch.fx.symbolic_trace(Model(twin)).named_children())) == ["module"]


def test_torchs_pass_removes_ours():
    """It knows `nn.Dropout` and what is one; the rest stays a call, and follows `eval()`."""
    parts = {name: MODULES[name]() for name in ("Dropout", "LayerDrop", "WeightDrop", "LSTM")}
    model = torch.nn.Sequential(*parts.values()).train()
    bare = remove_dropout(torch.fx.symbolic_trace(model))
    assert [node.target for node in bare.graph.nodes if node.op == "call_module"] == ["1", "2", "3"]
    assert torch.equal(bare.eval()(X)[0], model.eval()(X)[0])


@each_module
@pytest.mark.filterwarnings("ignore:`torch.jit.script")
def test_scripting_is_refused_and_changes_nothing(name):
    part = MODULES[name]()
    model = torch.nn.Sequential(torch.nn.Dropout(0.5), part).train()
    before = dict(model.named_modules())
    with pytest.raises(ArgumentTypeError, match=rf"got {type(part).__name__} \(.*`undo` of"):
        torch.jit.script(model)
    assert dict(model.named_modules()) == before
    with pytest.raises(ArgumentTypeError, match=rf"can compile, got {type(part).__name__}"):
        torch.jit.script(part)


@pytest.mark.filterwarnings("ignore:`torch.jit.script")
def test_what_convert_gives_back_is_scripted():
    model = torch.nn.Sequential(torch.nn.Linear(6, 6), torch.nn.Dropout(0.5))
    model = convert(model).undo()
    assert torch.equal(torch.jit.script(model.eval())(X), model(X))
