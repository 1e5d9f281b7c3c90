"""What the audit knows of the dropouts of torch and of this library is what they are."""

import ast
import inspect
import runpy
from pathlib import Path

import pytest
import torch.nn.functional as F
import torchvision.ops
from torch import nn

import torchdropout as td
from torchdropout_audit import audit_text

RATES = ("p", "dropout", "dropout_p", "drop_prob")
MADE = runpy.run_path(str(Path(__file__).parents[1] / "make_signatures.py"))
HOMES = {"torch.nn": nn, "torch.nn.functional": F, "torchvision.ops": torchvision.ops}
HOMES |= {"torchdropout.nn": td.nn, "torchdropout.functional": td.functional}


def dropouts():
    """Each function and class with a rate of dropout: its name, parameters and the rate."""
    for home, module in HOMES.items():
        for name, value in sorted(vars(module).items()):
            is_drop = "drop" in name.lower() or home.startswith("torchdropout.")
            if not is_drop or name.startswith("_") or not callable(value):
                continue
            if name in {*MADE["UNKNOWN"], *MADE["AROUND"]}:
                continue
            try:
                known = inspect.signature(value).parameters
            except ValueError:
                continue
            if rate := next((each for each in RATES if each in known), None):
                yield pytest.param(f"{home}.{name}", known, rate, id=f"{home}.{name}")


def codes(call, home):
    return [found.code for found in audit_text(f"import {home}\n{call}\n")]


@pytest.mark.parametrize(("name", "known", "rate"), [*dropouts()])
def test_the_rate_is_where_the_signature_has_it(name, known, rate):
    home = name.rpartition(".")[0]
    by_place = [p.name for p in known.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    before = [f"x{i}" for i in range(by_place.index(rate))]
    assert "TD122" in codes(f"{name}({', '.join([*before, '1.5'])})", home)
    assert "TD122" in codes(f"{name}({', '.join([*before, f'{rate}=1.5'])})", home)
    assert "TD122" not in codes(f"{name}({', '.join([*before, '0.5'])})", home)


def test_the_signatures_are_those_that_their_script_writes():
    assert ast.dump(ast.parse(MADE["PATH"].read_text())) == ast.dump(ast.parse(MADE["page"]()))
    assert MADE["UNKNOWN"] <= {*vars(td.functional), *vars(td.nn)}
