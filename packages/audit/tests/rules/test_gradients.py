"""Which parameters and inputs of a loop have a gradient."""

import ast
import textwrap

import pytest

from torchdropout_audit.code import Code
from torchdropout_audit.rules._gradients import Gradients
from torchdropout_audit.rules._models import Models


def gradients(lines):
    text = f"class Net:\n    def f(self, model, x, y):\n{textwrap.indent(lines, ' ' * 8)}\n"
    code = Code(text)
    return Gradients(code, Models(code)), [*ast.walk(code.tree)]


@pytest.mark.parametrize(
    ("before", "read", "is_input"),
    [
        ("x.requires_grad_()", "x.grad", True),
        ("x.retain_grad()", "x.grad", True),
        ("x.requires_grad = True", "x.grad", True),
        ("x = y.clone().requires_grad_()", "x.grad", True),
        ("x = torch.zeros(3, requires_grad=True)", "x.grad", True),
        ("self.x = torch.zeros(3, device=1, requires_grad=True)", "self.x.grad", True),
        ("x = torch.zeros(3, device=1)", "x.grad", False),
        ("x = torch.zeros(3)", "x.grad", False),
        ("x.frozen = True", "x.grad", False),
        ("x.cuda_()", "x.grad", False),
        ("x.requires_grad_()", "x.data", False),
        ("x.requires_grad_()", "y.grad", False),
        ("x.requires_grad_()", "x().grad", False),
        ("x().requires_grad_()", "x().grad", False),
        ("pass", "x.grad", False),
    ],
)
def test_the_gradient_of_an_input(before, read, is_input):
    found, nodes = gradients(f"{before}\nfor i in y:\n    {read}")
    (loop,) = [each for each in nodes if isinstance(each, ast.For)]
    assert found.of_input(loop) is is_input


@pytest.mark.parametrize(
    ("lines", "is_without"),
    [
        ("model(x)", False),
        ("with torch.no_grad(): model(x)", True),
        ("with torch.inference_mode(): model(x)", True),
        ("with lock, torch.no_grad(): model(x)", True),
        ("with torch.no_grad():\n    for i in y: model(x)", True),
        ("with torch.no_grad():\n    def g(): model(x)", False),
        ("with torch.no_grad(): pass\nmodel(x)", False),
        ("with torch.set_grad_enabled(False): model(x)", True),
        ("with torch.set_grad_enabled(mode=False): model(x)", True),
        ("with torch.set_grad_enabled(True): model(x)", False),
        ("with torch.set_grad_enabled(y): model(x)", False),
        ("with set_grad_enabled: model(x)", False),
        ("with autocast(False): model(x)", False),
        ("with lock: model(x)", False),
        ("@torch.no_grad()\ndef g(): model(x)", True),
        ("@lock\ndef g(): model(x)", False),
        ("model(x).detach()", True),
        ("model(x).data", True),
        ("model(x).item()", False),
    ],
)
def test_calls_without_gradients(lines, is_without):
    found, nodes = gradients(lines)
    call = next(n for n in nodes if isinstance(n, ast.Call) and ast.unparse(n) == "model(x)")
    assert found.is_without(call) is is_without


@pytest.mark.parametrize(
    ("lines", "is_frozen"),
    [
        ("pass", False),
        ("for p in model.parameters(): p.requires_grad = False", True),
        ("for p in model.parameters(): p.requires_grad_(False)", True),
        ("for p in model.parameters(): p.requires_grad_(requires_grad=False)", True),
        ("for p in model.parameters(): p.requires_grad = True", False),
        ("for p in model.parameters(): p.requires_grad_()", False),
        ("for p in model.parameters(): p.grad = None", False),
        ("for p in self.model.parameters(): p.requires_grad = False", False),
        ("[p.requires_grad_(False) for p in model.parameters()]", True),
        ("p = model.parameters()", False),
        ("model.requires_grad_(False)", True),
        ("model.requires_grad_()", False),
        ("model.requires_grad_(True)", False),
        ("model.freeze()", True),
        ("model.unfreeze()", False),
        ("freeze(model)", True),
        ("freeze(y)", False),
        ("unfreeze(model)", False),
        ("freeze(model, False)", False),
        ("unfreeze(model, False)", True),
        ("set_grad(model, False)", True),
        ("set_grad(model, True)", False),
        ("set_grad(model)", False),
        ("set_mode(model, False)", False),
        ("model.freeze_norms(y)", False),
        ("set_grad(y, model, False)", False),
        ("set_grad(module=model, on=False)", True),
    ],
)
def test_a_model_that_is_frozen(lines, is_frozen):
    found, nodes = gradients(f"{lines}\nfor i in y:\n    model(i)")
    loops = [each for each in nodes if isinstance(each, ast.For)]
    assert found.is_frozen("model", max(loops, key=lambda each: each.lineno)) is is_frozen


@pytest.mark.parametrize(
    ("line", "is_frozen"),
    [
        ("pass", True),
        ("set_grad(model)", True),
        ("model.freeze()", True),
        ("model.unfreeze()", False),
        ("for p in model.parameters(): p.requires_grad = True", False),
    ],
)
def test_a_model_that_is_frozen_in_turn(line, is_frozen):
    found, nodes = gradients(f"model.freeze()\nfor i in y:\n    {line}\nmodel.unfreeze()")
    loop = next(each for each in nodes if isinstance(each, ast.For))
    assert found.is_frozen("model", loop) is is_frozen


@pytest.mark.parametrize(
    ("line", "is_frozen"),
    [("pass", True), ("self.net.unfreeze()", False), ("net.unfreeze()", True)],
)
def test_a_part_that_is_frozen_in_turn(line, is_frozen):
    code = Code(
        "class A:\n    def __init__(self):\n        self.net.freeze()\n"
        f"    def fit(self, net):\n        for x in net: {line}\n"
    )
    (loop,) = [each for each in ast.walk(code.tree) if isinstance(each, ast.For)]
    assert Gradients(code, Models(code)).is_frozen("self.net", loop) is is_frozen


def test_a_part_that_is_frozen_in_a_function():
    code = Code("def fit(self):\n    self.net.freeze()\n    for x in self: pass\n")
    (loop,) = [each for each in ast.walk(code.tree) if isinstance(each, ast.For)]
    assert Gradients(code, Models(code)).is_frozen("self.net", loop)


@pytest.mark.parametrize(("model", "is_frozen"), [("self.net", True), ("net", False)])
def test_what_another_method_freezes(model, is_frozen):
    code = Code(
        "class A:\n    def __init__(self, net):\n        freeze(self.net)\n        freeze(net)\n"
        "    def fit(self, net):\n        for x in net: pass\n"
    )
    (loop,) = [each for each in ast.walk(code.tree) if isinstance(each, ast.For)]
    assert Gradients(code, Models(code)).is_frozen(model, loop) is is_frozen
