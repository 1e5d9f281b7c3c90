"""Modules that are built in code that torch.compile has given back to Python."""

import pytest
import torch

import torchdropout as td

BUILT = {
    "Dropout": lambda: td.nn.Dropout(0.5),
    "DropPath": lambda: td.nn.DropPath(0.5),
    "AlphaDropout": lambda: td.nn.AlphaDropout(0.5),
    "GaussianDropout": lambda: td.nn.GaussianDropout(0.5),
    "NMDropout": lambda: td.nn.NMDropout(2, 4),
    "VariationalLinear": lambda: td.nn.VariationalLinear(4, 4),
    "LSTM": lambda: td.nn.LSTM(4, 4, 2, dropout=0.5),
    "GRU": lambda: td.nn.GRU(4, 4, 2, dropout=0.5),
    "MultiheadAttention": lambda: td.nn.MultiheadAttention(4, 2, dropout=0.5),
}


@pytest.mark.integration
@pytest.mark.parametrize("name", BUILT)
def test_after_a_graph_break_in_a_loop(name):
    torch._dynamo.reset()
    built = []

    def build(x):
        for _ in range(2):
            torch._dynamo.graph_break()
        built.append(BUILT[name]())
        return x + 1

    compiled = torch.compile(build, backend="eager")
    assert torch.equal(compiled(torch.ones(3)), torch.full((3,), 2.0))
    assert type(built[0]) is type(BUILT[name]())


def test_a_nested_tensor_in_eval_is_returned_as_it_is_also_in_place():
    parts = [torch.ones(2, 3), torch.ones(4, 3)]
    x = torch.nested.nested_tensor(parts, layout=torch.jagged)
    assert td.nn.Dropout(0.5, inplace=True).eval()(x) is x
    assert td.functional.dropout(x, 0.0, inplace=True) is x
