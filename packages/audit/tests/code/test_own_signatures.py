"""What the audit knows of this library is what the library is."""

import inspect
import runpy
from pathlib import Path

import pytest

import torchdropout as td
from torchdropout_audit.code import ATTENTION, FURTHER_RATES, OTHER_OFF, OTHER_ON, RATES, own
from torchdropout_audit.code.signatures import SIGNATURES

OWN = {name: each for name, each in SIGNATURES.items() if name.startswith("torchdropout.")}


@pytest.mark.parametrize("name", OWN)
def test_the_parameters_that_can_be_given_by_place(name):
    _, home, attribute = name.split(".")
    parameters = inspect.signature(getattr(getattr(td, home), attribute)).parameters.values()
    by_place = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert tuple(by_place) == OWN[name]


@pytest.mark.parametrize(
    "name", [name for name in OWN if ".functional." in name and name not in ATTENTION]
)
def test_the_default_of_training(name):
    function = getattr(td.functional, name.rpartition(".")[2])
    default = inspect.signature(function).parameters["training"].default
    known = {True: name in OTHER_ON, False: name in OTHER_OFF}
    assert known == {value: default is value for value in (True, False)}


@pytest.mark.parametrize("name", FURTHER_RATES)
def test_further_rates_are_checked_as_probabilities(name):
    from torch import nn

    module = getattr(td.nn, name.rpartition(".")[2])
    for rate in FURTHER_RATES[name]:
        with pytest.raises(ValueError, match=r"\b(p|rate)\b|\[0, 1\]"):
            module(*_needed(module, nn), **{rate: 1.5})


def _needed(module, nn):
    """The arguments without a default."""
    known = {"emb": nn.Embedding(2, 2), "input_size": 2, "hidden_size": 2}
    return [
        known[p.name]
        for p in inspect.signature(module).parameters.values()
        if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
    ]


def test_what_is_no_probability_is_not_taken_for_one():
    own = {name: rate for name, rate in RATES.items() if name.startswith("torchdropout.")}
    assert set(own.values()) == {"p", "dropout", "dropout_p"}
    assert {name for name, each in OWN.items() if {*own.values()} & {*each}} == own.keys()


def test_the_signatures_are_those_that_their_script_writes():
    script = Path(__file__).parents[2] / "make_signatures.py"
    made = runpy.run_path(str(script))
    names = {}
    exec(made["page"](), names)
    assert {name: names[name] for name in ("FUNCTIONS", "MODULES", "AROUND", "BY_KEYWORD")} == {
        "FUNCTIONS": own.FUNCTIONS,
        "MODULES": own.MODULES,
        "AROUND": own.AROUND,
        "BY_KEYWORD": own.BY_KEYWORD,
    }
    assert made["UNKNOWN"] <= {*vars(td.functional), *vars(td.nn)}
