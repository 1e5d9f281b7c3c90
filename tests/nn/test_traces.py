"""What passes of torch over a traced model, and scripting, make of our modules."""

import pytest
import torch
from torch.fx.experimental.optimization import remove_dropout

from torchdropout import nn
from torchdropout.models.convert import convert

X = torch.ones(2, 8, 6)


def test_torchs_pass_removes_ours():
    """It knows `nn.Dropout` and what is one; the rest stays a call, and follows `eval()`."""
    model = torch.nn.Sequential(
        nn.Dropout(0.5),
        nn.LayerDrop(torch.nn.Linear(6, 6), 0.5),
        nn.WeightDrop(torch.nn.Linear(6, 6), 0.5, "weight"),
        nn.LSTM(6, 6, num_layers=2, dropout=0.5),
    ).train()
    bare = remove_dropout(torch.fx.symbolic_trace(model))
    assert [node.target for node in bare.graph.nodes if node.op == "call_module"] == ["1", "2", "3"]
    assert torch.equal(bare.eval()(X)[0], model.eval()(X)[0])


@pytest.mark.filterwarnings("ignore:`torch.jit.script")
def test_what_convert_gives_back_is_scripted():
    model = torch.nn.Sequential(torch.nn.Linear(6, 6), torch.nn.Dropout(0.5))
    model = convert(model).undo()
    assert torch.equal(torch.jit.script(model.eval())(X), model(X))
