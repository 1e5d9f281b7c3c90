"""The table of parameters, against the functions themselves."""

import importlib
import inspect

import pytest
import torch
import torchvision.ops  # noqa: F401

import torchdropout.nn  # noqa: F401
from torchdropout_audit.code import MODULES, RATES, RNNS
from torchdropout_audit.code.signatures import SIGNATURES, canonical

HERE = [
    name for name in SIGNATURES if name.split(".")[0] in ("torch", "torchvision", "torchdropout")
]


def found(name):
    home, _, last = name.rpartition(".")
    return getattr(importlib.import_module(home), last)


@pytest.mark.parametrize("name", HERE)
def test_the_parameters_stand_in_the_order_of_the_signature(name):
    if name == "torch.dropout":
        x = torch.ones(4)
        assert torch.equal(torch.dropout(x, p=0.0, train=True), torch.dropout(x, 0.0, True))
        return
    if name == "torch.nn.functional.scaled_dot_product_attention":
        said = inspect.cleandoc(found(name).__doc__).split("(", 1)[1]
        places = [part.strip().split("=")[0] for part in said.split(")")[0].split(",")]
    elif name in RNNS and name.startswith("torch."):
        # The signature is (*args, **kwargs): each is tried by place.
        values = {"input_size": 3, "hidden_size": 5, "num_layers": 2, "nonlinearity": "relu"}
        values |= {"bias": False, "batch_first": True, "dropout": 0.25}
        rnn = found(name)(*(values[p] for p in SIGNATURES[name]))
        assert all(getattr(rnn, key) == values[key] for key in SIGNATURES[name])
        return
    else:
        places = [p for p in inspect.signature(found(name)).parameters if p != "self"]
    assert tuple(places[: len(SIGNATURES[name])]) == SIGNATURES[name]


def test_every_rate_is_a_parameter_that_the_table_knows():
    assert set(RATES) <= set(SIGNATURES)
    assert all(parameter in SIGNATURES[name] for name, parameter in RATES.items())


@pytest.mark.parametrize("name", MODULES)
def test_a_module_has_one_name_wherever_it_is_imported_from(name):
    last = name.rpartition(".")[2]
    module = found(name)
    assert module.__module__ == "torch.nn.modules.dropout"
    assert canonical(f"{module.__module__}.{last}") == name
    assert canonical(f"torch.nn.modules.{last}") == name
    assert canonical(name) == name


@pytest.mark.parametrize(
    ("imported", "name"),
    [
        ("timm.models.layers.DropPath", "timm.layers.DropPath"),
        ("timm.layers.drop.DropPath", "timm.layers.DropPath"),
        ("torchvision.ops.stochastic_depth.StochasticDepth", "torchvision.ops.StochasticDepth"),
        ("flash_attn.flash_attn_interface.flash_attn_func", "flash_attn.flash_attn_func"),
        ("torchdropout.nn.dropout.Dropout", "torchdropout.nn.Dropout"),
        ("mytorch.nn.modules.dropout.Dropout", "mytorch.nn.modules.dropout.Dropout"),
    ],
)
def test_names_of_other_packages(imported, name):
    assert canonical(imported) == name
