"""What the audit knows of this library is what the library is."""

import inspect

import pytest

import torchdropout as td
from torchdropout_audit.code import OTHER_OFF, OTHER_ON, RATES
from torchdropout_audit.code.signatures import SIGNATURES

OWN = {name: each for name, each in SIGNATURES.items() if name.startswith("torchdropout.")}
# Not a dropout, without `training`, or around another module whose dropouts are known.
UNKNOWN = {
    *("functional.keep_mask", "functional.r_drop", "functional.scaled_dot_product_attention"),
    *("functional.variational_conv2d", "functional.variational_linear"),
    *("nn.EmbeddingDropout", "nn.LayerDrop", "nn.MultiSampleDropout"),
    *("nn.MultiheadAttention", "nn.VariationalConv2d", "nn.VariationalLinear", "nn.WeightDrop"),
    *("nn.kl", "nn.regularisation", "nn.sparsity"),
}


@pytest.mark.parametrize("name", OWN)
def test_the_parameters_that_can_be_given_by_place(name):
    _, home, attribute = name.split(".")
    parameters = inspect.signature(getattr(getattr(td, home), attribute)).parameters.values()
    by_place = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert tuple(by_place) == OWN[name]


@pytest.mark.parametrize("name", [name for name in OWN if ".functional." in name])
def test_the_default_of_training(name):
    function = getattr(td.functional, name.rpartition(".")[2])
    default = inspect.signature(function).parameters["training"].default
    known = {True: name in OTHER_ON, False: name in OTHER_OFF}
    assert known == {value: default is value for value in (True, False)}


def test_what_is_no_probability_is_not_taken_for_one():
    own = {name: rate for name, rate in RATES.items() if name.startswith("torchdropout.")}
    assert set(own.values()) == {"p", "dropout"}
    assert {name for name, each in OWN.items() if {"p", "dropout"} & {*each}} == own.keys()


def test_every_public_name_is_known_or_listed():
    public = {
        f"{home.__name__.rpartition('.')[2]}.{name}"
        for home in (td.functional, td.nn)
        for name, value in vars(home).items()
        if not name.startswith("_") and callable(value)
    }
    assert public == {name.removeprefix("torchdropout.") for name in OWN} | UNKNOWN
