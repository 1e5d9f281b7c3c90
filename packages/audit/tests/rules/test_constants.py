"""What parameters, attributes and tests are, as far as a file says."""

import pytest

from torchdropout_audit.code import UNKNOWN, Code
from torchdropout_audit.rules._constants import ByDefault, constants

SOURCE = """
from torch import nn
class Part(nn.Module):
    def __init__(self, size, rate=0.0, norm="batch", last=None):
        super().__init__()
        self.rate, self.size, self.norm, self.last = rate, size, norm, last
        self.wide = size > 4
        if self.norm == "layer":
            self.kind = "layer"
        else:
            self.kind = "other"
    def forward(self, x):
        return {asked}
class Net(nn.Module):
    def __init__(self, rate=0.5):
        super().__init__()
        self.parts = [Part(8), Part(16, rate=0, norm="batch")]
        {more}
"""


def asked(expr: str, more: str = "") -> set[object]:
    code = Code(SOURCE.format(asked=expr, more=more), "net.py")
    returned = next(f for f in code.functions if f.name == "forward").node.body[0]
    return set(constants(code).of(returned.value))


@pytest.mark.parametrize(
    ("expr", "values"),
    [
        ("self.rate", {0}),
        ("self.size", {8, 16}),
        ("self.norm", {"batch"}),
        ("self.wide", {True}),
        ("self.kind", {"other"}),
        ("self.last is None", {True}),
        ("float(self.rate)", {0}),
        ("1 if self.wide else 2", {1}),
        ("self.size > 'a'", {UNKNOWN}),
        ("self.missing", {UNKNOWN}),
    ],
)
def test_values_that_the_calls_of_the_file_give(expr, values):
    assert asked(expr) == values


@pytest.mark.parametrize(
    "more",
    ["KINDS = {'part': Part}", "self.part = make(Part)", "self.part = Part(8, **options)"],
)
def test_values_that_others_may_give(more):
    assert asked("self.rate", more) & {ByDefault(0.0), UNKNOWN}


def test_a_rate_that_one_part_is_given():
    assert asked("self.rate", "self.more = Part(8, rate)") == {0, ByDefault(0.5)}


def test_what_a_derived_class_gives_its_base():
    text = SOURCE.replace("self.parts = [Part(8)", "self.parts = [Small(8)") + (
        "class Small(Part):\n"
        "    def __init__(self, size):\n"
        "        super().__init__(size, rate=0.25)\n"
    )
    code = Code(text.format(asked="self.rate", more=""), "net.py")
    returned = next(f for f in code.functions if f.name == "forward").node.body[0]
    assert set(constants(code).of(returned.value)) == {0, 0.25}
