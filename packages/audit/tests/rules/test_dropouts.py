"""Questions of several rules: what builds a dropout, what a rate is, what is meant to fail."""

import ast
import textwrap

import pytest

from torchdropout_audit.code import Code
from torchdropout_audit.rules._dropouts import (
    builds,
    called,
    default_of,
    holds_layers,
    is_local_dropout,
    is_refused,
    is_step,
    names_dropout,
    one_line,
    one_of,
    rates,
    whole,
)

HEAD = """
import torch
import torch.nn.functional as F
from torch import nn
class OwnDropout(nn.Module):
    def forward(self, x): return x
class OwnLayer(nn.Module):
    def forward(self, x): return x
class PlainDropout:
    pass
KINDS = {"a": F.dropout2d, "b": F.dropout}
MORE = dict(a=F.dropout3d)
OTHERS = {"a": F.dropout, "b": F.relu}
CHANGED = {"a": F.dropout}
CHANGED = {"a": F.relu}
rate = 0.25
"""


def asserted(expr, lines="pass", more=""):
    """A file, and the expression that it asserts in a function."""
    lines = textwrap.indent(lines, "    ")
    text = f"def f(x, p=0.5, q=None, d=F.dropout, is_on=True):\n{lines}\n    assert {expr}\n"
    code = Code(HEAD + more + text)
    return code, next(each.test for each in ast.walk(code.tree) if isinstance(each, ast.Assert))


@pytest.mark.parametrize(
    ("expr", "is_it"),
    [
        ("nn.Dropout(0.5)", True),
        ("nn.Dropout", False),
        ("nn.Linear(1, 2)", False),
        ("nn.Dropout(0.5).to(x)", True),
        ("nn.Dropout(0.5).cuda().half()", True),
        ("nn.Dropout(0.5).other()", False),
        ("nn.Dropout.to(x)", False),
        ("to(nn.Dropout(0.5))", False),
        ("nn.Sequential(nn.Linear(1, 2), nn.Dropout(0.5))", True),
        ("nn.Sequential(nn.Sequential(nn.Dropout(0.5)))", True),
        ("nn.Sequential(nn.Linear(1, 2))", False),
        ("nn.ModuleList([nn.Dropout(0.5)])", False),
    ],
)
def test_what_builds_a_dropout(expr, is_it):
    assert builds(*asserted(expr)) is is_it


@pytest.mark.parametrize(
    ("expr", "is_it"),
    [
        ("OwnDropout()", True),
        ("OwnDropout", False),
        ("OwnLayer()", False),
        ("PlainDropout()", False),
        ("x", False),
        ("nn.Dropout()", False),
    ],
)
def test_dropouts_of_the_file(expr, is_it):
    assert is_local_dropout(*asserted(expr)) is is_it


ALLOWED = frozenset(f"torch.nn.functional.dropout{each}" for each in ("", "2d", "3d"))


@pytest.mark.parametrize(
    ("expr", "lines", "name"),
    [
        ("KINDS[x]", "pass", ""),
        ("KINDS.get(x)", "pass", ""),
        ("KINDS.get(x, F.dropout3d)", "pass", ""),
        ("KINDS.get(x, F.relu)", "pass", None),
        ("KINDS.pop(x)", "pass", None),
        ("MORE[x]", "pass", "3d"),
        ("MORE.get(x, F.dropout2d)", "pass", "2d"),
        ("OTHERS[x]", "pass", None),
        ("CHANGED[x]", "pass", None),
        ("{'a': F.dropout2d}[x]", "pass", "2d"),
        ("dict(x, a=F.dropout2d)[x]", "pass", None),
        ("getattr(F, 'dropout2d')", "pass", "2d"),
        ("getattr(F, 'relu')", "pass", None),
        ("getattr(F, x)", "pass", None),
        ("getattr(F, f'dropout{x}')", "pass", None),
        ("getattr(F)", "pass", None),
        ("other(F, 'dropout2d')", "pass", None),
        ("d", "pass", ""),
        ("p", "pass", None),
        ("x", "pass", None),
        ("y", "y = F.dropout2d", "2d"),
        ("y", "y = F.dropout2d if x else F.dropout", ""),
        ("y", "y = F.dropout2d if x else F.relu", None),
        ("y", "y = F.dropout2d\ny = F.dropout3d", "2d"),
        ("y", "y = F.dropout2d\ny = x", None),
    ],
)
def test_one_of_several_functions(expr, lines, name):
    code, func = asserted(expr, lines)
    expected = name if name is None else f"torch.nn.functional.dropout{name}"
    assert one_of(code, func, ALLOWED) == expected


@pytest.mark.parametrize(
    ("expr", "lines", "value"),
    [
        ("0.5", "pass", 0.5),
        ("'a'", "pass", None),
        ("p", "pass", 0.5),
        ("q", "pass", None),
        ("x", "pass", None),
        ("rate", "pass", 0.25),
        ("is_on", "pass", None),
        ("True", "pass", None),
        ("y", "y = p", None),
        ("x.p", "pass", None),
        ("x + p", "pass", None),
    ],
)
def test_numbers_by_default(expr, lines, value):
    assert default_of(*asserted(expr, lines)) == value


@pytest.mark.parametrize(
    ("value", "more", "expected"),
    [
        ("p", "", 0.25),
        ("p", "self.p = 1", None),
        ("0.5", "", 0.5),
        ("p + 1", "", None),
        ("r", "", None),
    ],
)
def test_an_attribute_with_the_default_of_a_parameter(value, more, expected):
    init = (
        f"class A:\n    def __init__(self, r, p=0.25):\n        self.p = {value}\n        {more}\n"
    )
    code = Code(f"{init}    def f(self):\n        assert self.p\n")
    expr = next(each.test for each in ast.walk(code.tree) if isinstance(each, ast.Assert))
    assert default_of(code, expr) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("nn.Dropout(p)", "nn.Dropout(p)"),
        ("nn.Dropout(p).to(x)", "nn.Dropout(p).to(x)"),
        ("nn.Dropout(p)(x)", "nn.Dropout(p)"),
        ("nn.Dropout(p) if x else y", "nn.Dropout(p) if x else y"),
        ("y if nn.Dropout(p) else x", "nn.Dropout(p)"),
        ("nn.Sequential(y, nn.Dropout(p)).cuda()", "nn.Sequential(y, nn.Dropout(p)).cuda()"),
        ("run(nn.Dropout(p))", "nn.Dropout(p)"),
        ("nn.Dropout(p).p", "nn.Dropout(p)"),
        ("nn.Dropout(p) + x", "nn.Dropout(p)"),
    ],
)
def test_the_expression_of_the_whole_module(line, expected):
    code = Code(f"from torch import nn\ny = {line}\n")
    node = next(each.node for each in code.calls if each.name == "torch.nn.Dropout")
    assert ast.unparse(whole(code, node)) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("m(x)", "m(x)"),
        ("m.forward(x)", "m.forward(x)"),
        ("m.eval()", None),
        ("m.forward", None),
        ("run(m)", None),
        ("run(m.forward)", None),
        ("m", None),
    ],
)
def test_the_call_of_a_module(line, expected):
    code = Code(f"{line}\n")
    name = next(n for n in ast.walk(code.tree) if isinstance(n, ast.Name) and n.id == "m")
    found = called(code, name)
    assert (found and ast.unparse(found)) == expected


STEPS = """
from torch import nn
import torch.nn.functional as F
class Net(nn.Module):
    def forward(self, x):
        self.one(x)
        if self.training:
            self.training_only(x)
        self.by_rate(x, 0.5 if self.training else 0.0)
        self.by_more(x, q=0.5 if self.training else 0.0)
        def inner(y): return y
        checkpoint(inner, x)
        def idle(y): return y
        return x
    def one(self, x): return self.two(x)
    def two(self, x): return three(x)
    def training_only(self, x): return x
    def by_rate(self, x, p): return drop(x, p)
    def by_more(self, x, **more): return x
    def unused(self, x): return four(x)
    def predict_step(self, x): return x
    def configure(self, x): return x
def three(x): return x
def four(x): return x
def drop(x, p): return x
"""


@pytest.mark.parametrize(
    ("name", "rate", "is_it"),
    [
        ("forward", "", True),
        ("predict_step", "", True),
        ("one", "", True),
        ("two", "", True),
        ("three", "", True),
        ("inner", "", True),
        ("idle", "", False),
        ("training_only", "", False),
        ("unused", "", False),
        ("four", "", False),
        ("configure", "", False),
        ("by_rate", "", True),
        ("by_rate", "p", False),
        ("by_rate", "q", True),
        ("by_more", "q", True),  # is not a parameter
        ("by_rate", "p + x", False),
        ("forward", "x", True),
        ("one", "x", True),
        ("unused", "x", False),
    ],
)
def test_functions_that_run_at_each_step(name, rate, is_it):
    code = Code(STEPS)
    function = next(each for each in code.functions if each.name == name)
    node = ast.parse(rate, mode="eval") if rate else None
    assert is_step(code, function, node) is is_it
    assert not is_step(code, None, node)


@pytest.mark.parametrize(
    ("lines", "is_it"),
    [
        ("nn.Dropout(2)", False),
        ("try: nn.Dropout(2)\nexcept ValueError: pass", True),
        ("try: pass\nexcept ValueError: nn.Dropout(2)", False),
        ("try: nn.Dropout(2)\nfinally: pass", False),
        ("with pytest.raises(ValueError): nn.Dropout(2)", True),
        ("with a, raises(ValueError): nn.Dropout(2)", True),
        ("with open(a): nn.Dropout(2)", False),
        ("with a: nn.Dropout(2)", False),
        ("with suppress(ValueError): nn.Dropout(2)", True),
        ("with suppressed(ValueError): nn.Dropout(2)", False),
        ("self.assertRaises(ValueError, nn.Dropout(2))", True),
        ("assert_warns(nn.Dropout(2))", True),
        ("assertEqual(nn.Dropout(2))", False),
    ],
)
def test_calls_that_are_meant_to_fail(lines, is_it):
    code = Code(f"from torch import nn\n{lines}\n")
    node = next(each.node for each in code.calls if each.name == "torch.nn.Dropout")
    assert is_refused(code, node) is is_it


@pytest.mark.parametrize(
    ("line", "holds"),
    [
        ("self.a = nn.Linear(1, 2)", True),
        ("self.a = nn.Dropout(1)", False),
        ("self.a = nn.Identity()", False),
        ("self.a = nn.init(1)", False),
        ("self.a = other(1)", False),
    ],
)
def test_classes_that_hold_layers(line, holds):
    text = f"from torch import nn\nclass B(nn.Module):\n    def __init__(self):\n        {line}\n"
    code = Code(f"{text}class A(B): pass\nnn.Linear(1, 2)\n")
    assert [holds_layers(code, each) for each in code.classes] == [holds, holds]


@pytest.mark.parametrize(("kind", "is_one"), [("'2d'", True), ("F.relu", False), ("0", False)])
def test_a_text_that_stands_for_a_function_until_it_is_known(kind, is_one):
    init = f"def __init__(self, kind={kind}):\n        self.run = kind\n"
    text = f"class A:\n    {init}        self.run = F.dropout\n    def f(self): assert self.run\n"
    code = Code(HEAD + text)
    expr = next(each.test for each in ast.walk(code.tree) if isinstance(each, ast.Assert))
    assert one_of(code, expr, ALLOWED) == ("torch.nn.functional.dropout" if is_one else None)


@pytest.mark.parametrize(
    ("name", "is_it"),
    [
        ("Dropout", True),
        ("OwnDropout", True),
        ("DropoutLayer", False),
        ("DropPath", True),
        ("OwnDropPath", True),
        ("DropPathLayer", False),
        ("StochasticDepth", True),
        ("OwnStochasticDepth", True),
        ("Drop", False),
        ("Depth", False),
    ],
)
def test_names_of_dropouts(name, is_it):
    assert names_dropout(name) is is_it


def test_an_expression_in_one_line():
    code = Code("x = f(1,\n      2)\n")
    assert one_line(code, code.calls[0].node) == "f(1, 2)"


def test_rates_of_calls():
    code = Code(
        "from torch import nn\nfrom functools import partial\nimport torch.nn.functional as F\n"
        "nn.Dropout(0.1)\nnn.Dropout()\nnn.Linear(1, 2)\nother(p=0.2)\n"
        "drop = partial(F.dropout, p=0.3)\ndrop(1)\ndrop(2)\n"
        "nn.Transformer(dropout=0.4)\nnn.Dropout(*x)\n"
    )
    found = [(name, ast.unparse(each)) for _, name, each in rates(code)]
    assert found == [("p", "0.1"), ("p", "0.3"), ("dropout", "0.4")]
