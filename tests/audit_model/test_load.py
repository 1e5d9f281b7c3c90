"""A model and its inputs, as the command line names them."""

import pytest
import torch

from torchdropout.audit_model.load import load_model, read_inputs
from torchdropout.errors import TargetError

SOURCE = """
import torch

net = torch.nn.Linear(3, 2)
X = torch.ones(1, 3)

class Buffered(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.ones(1, device="meta"))

bare = lambda: net
single = lambda: (net,)
positional = lambda: (net, (X,))
listed = lambda: (net, [X])
named = lambda: (net, (), {"input": X})
all_of_it = lambda: (net, (X,), {"scale": 2})
on_meta = lambda: net.to_empty(device="meta")
buffered = Buffered
parameterless = torch.nn.ReLU
four = lambda: (net, (), {}, 1)
nothing = lambda: ()
one_tensor = lambda: (net, X)
no_mapping = lambda: (net, (), [1])
no_model = lambda: ((X,), net)
needs = lambda x: net
"""


@pytest.fixture(autouse=True)
def targets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "target.py").write_text(SOURCE)


def load(name, *inputs):
    return load_model(f"target.py:{name}", read_inputs(inputs))


@pytest.mark.parametrize(
    ("name", "count", "names"),
    [
        ("net", 0, set()),
        ("bare", 0, set()),
        ("single", 0, set()),
        ("positional", 1, set()),
        ("listed", 1, set()),
        ("named", 0, {"input"}),
        ("all_of_it", 1, {"scale"}),
    ],
)
def test_what_a_factory_may_return(name, count, names):
    model, args, kwargs, _ = load(name)
    assert isinstance(model, torch.nn.Linear)
    assert (type(args), len(args), set(kwargs)) == (tuple, count, names)


@pytest.mark.parametrize(
    ("name", "got"),
    [
        ("four", r"\(Linear, tuple, dict, int\)"),
        ("nothing", r"\(\)"),
        ("one_tensor", r"\(Linear, Tensor\)"),
        ("no_mapping", r"\(Linear, tuple, list\)"),
        ("no_model", r"\(tuple, Linear\)"),
        ("X", "Tensor"),
    ],
)
def test_what_is_something_else(name, got):
    said = "to return a model, .model, args. or .model, args, kwargs., got"
    if name == "X":
        said, got = "to be callable without arguments", "TypeError"
    with pytest.raises(TargetError, match=rf"{said}.*{got}"):
        load(name)


def test_inputs_take_the_place_of_those_of_the_factory():
    _, args, kwargs, _ = load("all_of_it", "2x3", "mask=2:bool", "5x3")
    assert [tuple(x.shape) for x in args] == [(2, 3), (5, 3)]
    assert {name: tuple(x.shape) for name, x in kwargs.items()} == {"mask": (2,)}


@pytest.mark.parametrize(
    ("name", "device"),
    [("bare", "cpu"), ("on_meta", "meta"), ("buffered", "meta"), ("parameterless", "cpu")],
)
def test_inputs_are_on_the_device_of_the_model(name, device):
    _, args, kwargs, _ = load(name, "2x3", "mask=2:int64")
    assert [x.device.type for x in (*args, *kwargs.values())] == [device] * 2
