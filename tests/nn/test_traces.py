"""torch.fx records each module as one call, so that the mode of the traced model is its own."""

import pytest
import torch
from torch.fx.experimental.optimization import remove_dropout

from family import IDENTITIES
from torchdropout import nn
from torchdropout.convert import convert

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


def test_torchs_pass_removes_ours():
    """It knows `nn.Dropout` and what is one; the rest stays a call, and follows `eval()`."""
    parts = {name: MODULES[name]() for name in ("Dropout", "LayerDrop", "WeightDrop", "LSTM")}
    model = torch.nn.Sequential(*parts.values()).train()
    bare = remove_dropout(torch.fx.symbolic_trace(model))
    assert [node.target for node in bare.graph.nodes if node.op == "call_module"] == ["1", "2", "3"]
    assert torch.equal(bare.eval()(X)[0], model.eval()(X)[0])


@pytest.mark.filterwarnings("ignore:`torch.jit.script")
def test_what_convert_gives_back_is_scripted():
    model = torch.nn.Sequential(torch.nn.Linear(6, 6), torch.nn.Dropout(0.5))
    model = convert(model).undo()
    assert torch.equal(torch.jit.script(model.eval())(X), model(X))
