"""What parameters, attributes and tests are, as far as a file says."""

import ast
import textwrap

import pytest

from torchdropout_audit.code import UNKNOWN, Code
from torchdropout_audit.rules._constants import ByDefault, calls_of, constants

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


OPTIONS = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--rate", default=0.5)
parser.add_argument("--size", default=1)
parser.add_argument("--size", default=2)
x1 = 1
x2 = x1
x3 = x2
x4 = x3
x5 = x4
x6 = x5
x7 = x6
x8 = x7
x9 = x8
loop = loop
round = round
round = x3
mixed = 1
mixed, more = x3
def f(a, b, args, t):
    if t:
        one = 1
        two = 1
    else:
        one = 1
        two = 2
    args.kind = "kind"
    for each in a: pass
    assert {expr}
"""


def default(value):
    return {ByDefault(value)}


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("True", {True}),
        ("one", {1}),
        ("two", {1, 2}),
        ("a", {UNKNOWN}),
        ("each", {UNKNOWN}),
        ("1 if t else 2", {1, 2}),
        ("1 if one else 2", {1}),
        ("1 if not one else 2", {2}),
        ("1 if two > 2 else 2", {2}),
        ("1 if one or t else 2", {1}),
        ("1 if t or one else 2", {1}),
        ("1 if t and not one else 2", {2}),
        ("1 if one and two else 2", {1}),
        ("1 if one and t else 2", {1, 2}),
        ("1 if not one or t else 2", {1, 2}),
        ("1 if not one or not two else 2", {2}),
        ("1 if not t else 2", {1, 2}),
        ("1 if two == 1 else 2", {1, 2}),
        ("float(two)", {1, 2}),
        ("bool(two)", {1, 2}),
        ("int(two, 8)", {UNKNOWN}),
        ("max(two)", {UNKNOWN}),
        ("a.int(two)", {UNKNOWN}),
        ("one < two", {True, False}),
        ("one <= two", {True}),
        ("two >= one", {True}),
        ("one > two", {False}),
        ("one == 1", {True}),
        ("one != 1", {False}),
        ("one is None", {False}),
        ("one is not None", {True}),
        ("one in two", {UNKNOWN}),
        ("0 < one < 2", {UNKNOWN}),
        ("one < a", {UNKNOWN}),
        ("a < one", {UNKNOWN}),
        ("args.rate", default(0.5)),
        ("args.rate > 0.4", {UNKNOWN}),
        ("1 if args.rate else 2", {1, 2}),
        ("args.size", {UNKNOWN}),
        ("args.other", {UNKNOWN}),
        ("args.kind", default("kind")),
        ("t.rate", {UNKNOWN}),
        ("x4", {1}),
        ("float(x4)", {1}),
        ("float(float(float(float(two))))", {1, 2}),
        ("loop", {UNKNOWN}),
        ("mixed", {UNKNOWN}),
        ("one == a", {UNKNOWN}),
        ("one != args.rate", {UNKNOWN}),
        ("round", {UNKNOWN, 1}),
        ("1 + 1", {2}),
        ("-one", {UNKNOWN}),
    ],
)
def test_values_in_a_function(expr, expected):
    code = Code(OPTIONS.format(expr=expr), "main.py")
    test = next(each.test for each in ast.walk(code.tree) if isinstance(each, ast.Assert))
    assert set(constants(code).of(test)) == expected


@pytest.mark.parametrize(
    ("expr", "values", "is_always"),
    [
        ("1", (1, 2), True),
        ("3", (1, 2), False),
        ("one", (1,), True),
        ("two", (1, 2), True),
        ("two", (1, 2, 3), True),
        ("two", (1,), False),
        ("t", (1, 2), False),
        ("args.rate", (0.5,), False),
    ],
)
def test_an_expression_that_is_always_one_of_some_values(expr, values, is_always):
    code = Code(OPTIONS.format(expr=expr), "main.py")
    test = next(each.test for each in ast.walk(code.tree) if isinstance(each, ast.Assert))
    assert constants(code).is_always(test, values) is is_always
    assert not constants(code).is_always(None, (None,))
    assert not constants(code).is_always(UNKNOWN, (UNKNOWN,))


@pytest.mark.parametrize(("count", "expected"), [(9, {*range(9)}), (60, {UNKNOWN})])
def test_too_many_values_are_not_known(count, expected):
    lines = "".join(f"        self.x = {each}\n" for each in range(count))
    code = Code(f"class A:\n    def f(self):\n{lines}        assert self.x\n")
    test = next(each.test for each in ast.walk(code.tree) if isinstance(each, ast.Assert))
    assert set(constants(code).of(test)) == expected


STACK = """
from torch import nn
class Part(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p
        self.f(0.3)
    def f(self, p):
        assert {expr}
class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.parts = Part(0.1), Part(0.2)
Net(0.4)
"""


@pytest.mark.parametrize(
    ("expr", "stack", "expected"),
    [
        ("self.p", "", {0.1, 0.2}),
        ("self.p", "Part(0.1)", {0.1}),
        ("self.p", "Part(0.2)", {0.2}),
        ("self.p", "Part(0.2) Part(0.1)", {0.2}),
        ("self.p", "Net(0.4)", {0.1, 0.2}),
        ("self.p", "Part(0.1) Net(0.4)", {0.1}),
        ("p", "Part(0.1)", {0.3}),
    ],
)
def test_values_in_the_module_that_is_read(expr, stack, expected):
    code = Code(STACK.format(expr=expr), "net.py")
    test = next(each.test for each in ast.walk(code.tree) if isinstance(each, ast.Assert))
    calls = {ast.unparse(each.node): each for each in code.calls}
    classes = {each.name: each for each in code.classes}
    read = tuple((classes[each.partition("(")[0]], calls[each]) for each in stack.split())
    assert set(constants(code).of(test, read)) == expected


def test_a_statement_under_a_test_of_what_it_sets_may_run():
    text = (
        "class A:\n    def __init__(self):\n        self.x = False\n        if self.x: self.x = 1\n"
    )
    code = Code(f"{text}    def f(self): assert self.x\n")
    test = next(each.test for each in ast.walk(code.tree) if isinstance(each, ast.Assert))
    assert constants(code).of(test) == {False, 1}


def test_names_are_followed_to_some_depth():
    code = Code(OPTIONS.format(expr="float(float(float(float(float(float(float(two)))))))"), "x.py")
    test = next(each.test for each in ast.walk(code.tree) if isinstance(each, ast.Assert))
    assert constants(code).of(test) == {UNKNOWN}


CALLED = """
from torch import nn
class Net(nn.Module):
    def forward(self, x):
        return {call}
{other}
def f(p=0.5, q=1):
    assert p
"""


@pytest.mark.parametrize(
    ("call", "other", "path", "expected"),
    [
        ("x", "", "net.py", default(0.5)),
        ("f(0.1)", "", "net.py", {0.1}),
        ("f(0.1)", "f(0.2)", "net.py", {0.1, 0.2}),
        ("f(q=2)", "", "net.py", {0.5}),
        ("f(*x)", "", "net.py", {UNKNOWN}),
        ("x", "f(0.1)", "net.py", {0.1, *default(0.5)}),
        ("f(0.1)", "", "layers.py", {0.1, *default(0.5)}),
        ("f(0.1)", "", "my_blocks.py", {0.1, *default(0.5)}),
        ("f(0.1)", "g = f", "net.py", {0.1, *default(0.5)}),
        ("f(0.1)", "g = [f]", "net.py", {0.1, *default(0.5)}),
        ("f(0.1)", "apply(f)", "net.py", {0.1, *default(0.5)}),
        ("f(0.1)", "apply(run=f)", "net.py", {0.1, *default(0.5)}),
        ("f(0.1)", "isinstance(f, int)", "net.py", {0.1}),
        ("f(0.1)", "f", "net.py", {0.1}),
        ("f(0.1)", "@jit", "net.py", {0.1, *default(0.5)}),
    ],
)
def test_values_of_a_parameter(call, other, path, expected):
    code = Code(CALLED.format(call=call, other=other), path)
    test = next(each.test for each in ast.walk(code.tree) if isinstance(each, ast.Assert))
    assert set(constants(code).of(test)) == expected


def test_a_parameter_without_a_default_that_nothing_gives():
    code = Code("def f(p):\n    assert p\n", "net.py")
    test = next(each.test for each in ast.walk(code.tree) if isinstance(each, ast.Assert))
    assert set(constants(code).of(test)) == {UNKNOWN}


def test_a_call_of_super_outside_a_class_is_of_no_constructor():
    code = Code("super().__init__(1)\nclass A:\n    def __init__(self, p):\n        assert p\n")
    assert [*calls_of(code)] == []


@pytest.mark.parametrize(
    ("lines", "runs"),
    [
        ("assert 1", True),
        ("if t: assert 1", True),
        ("if one: assert 1", True),
        ("if one: pass\nelse: assert 1", False),
        ("if not one: assert 1", False),
        ("if not one: pass\nelse: assert 1", True),
        ("if not one:\n    for x in a: assert 1", False),
        ("if not one:\n    def g(): assert 1", True),
        ("if not one:\n    class G: assert 1", True),
    ],
)
def test_what_runs(lines, runs):
    lines = textwrap.indent(lines, "    ")
    code = Code(f"def f(a, t):\n    one = 1\n{lines}\n")
    node = next(each for each in ast.walk(code.tree) if isinstance(each, ast.Assert))
    assert constants(code).runs(node) is runs
