"""TD145: a dropout in place on what backward needs; the activations are tried in torch."""

import cProfile

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from _marks import HEAD, fixed, marked
from torchdropout_audit.code import Code
from torchdropout_audit.registry import RULES
from torchdropout_audit.rules._grown import in_sequences
from torchdropout_audit.rules._paths import values
from torchdropout_audit.rules._sequences import Reader
from torchdropout_audit.rules.inplace_dropout_after_activation import (
    KEEPS_OUTPUT,
    KEEPS_OUTPUT_IN_PLACE,
)

NAME = "inplace-dropout-after-activation"
MODULES = [
    "ReLU()", "ReLU(True)", "ReLU(inplace=True)", "Tanh()", "Sigmoid()", "Softmax(-1)",
    "Softmax2d()", "Softmin(-1)", "LogSoftmax(-1)", "ELU()", "ELU(1.0,True)", "CELU()",
    "CELU(1.0,True)", "SELU()", "SELU(True)", "LeakyReLU()", "LeakyReLU(0.2,True)",
    "LeakyReLU(inplace=True)", "RReLU()", "RReLU(0.1,0.3,True)", "GELU()", "SiLU()", "SiLU(True)",
    "Mish()", "Mish(True)", "ReLU6()", "ReLU6(True)", "Hardswish()", "Hardswish(True)",
    "Hardsigmoid()", "Hardsigmoid(True)", "Hardtanh()", "Hardtanh(inplace=True)", "Softplus()",
    "Softsign()", "Softshrink()", "Hardshrink()", "Tanhshrink()", "LogSigmoid()", "PReLU()",
    "GLU()", "Identity()", "Conv2d(8,8,1)", "Linear(8,8)", "BatchNorm2d(8)", "LayerNorm(8)",
    "GroupNorm(2,8)", "MaxPool2d(2)", "AvgPool2d(2)",
]  # fmt: skip
FUNCTIONS = [
    "F.relu(x)", "F.relu(x,True)", "torch.relu(x)", "torch.relu_(x)", "x.relu()", "x.relu_()",
    "torch.tanh(x)", "x.tanh()", "x.tanh_()", "F.tanh(x)", "torch.sigmoid(x)", "x.sigmoid()",
    "F.sigmoid(x)", "F.softmax(x,-1)", "x.softmax(-1)", "torch.softmax(x,-1)", "F.softmin(x,-1)",
    "F.log_softmax(x,-1)", "x.log_softmax(-1)", "F.elu(x)", "F.elu(x,1.0,True)", "F.elu_(x)",
    "F.celu(x)", "F.celu(x,inplace=True)", "F.celu_(x)", "F.selu(x)", "F.selu(x,True)",
    "F.selu_(x)", "F.leaky_relu(x)", "F.leaky_relu(x,0.2,True)", "F.leaky_relu_(x)", "F.rrelu(x)",
    "F.rrelu(x,0.1,0.3,False,True)", "F.rrelu_(x)", "F.gelu(x)", "F.silu(x,True)", "F.relu6(x)",
    "F.hardswish(x)", "F.softplus(x)", "F.logsigmoid(x)",
]  # fmt: skip
DROPOUTS = [
    "Dropout(0.5,True)", "Dropout(1.0,True)", "Dropout2d(0.5,inplace=True)", "Dropout3d(0.5,True)",
    "Dropout(0.0,True)", "Dropout(0.5)", "AlphaDropout(0.5,True)", "FeatureAlphaDropout(0.5,True)",
]  # fmt: skip


def raises(layer, dropout):
    """Whether backward raises in training, behind a layer that has something to learn."""
    w = nn.Parameter(torch.randn(2, 8, 8, 8))
    out = dropout(layer(w * 2.0))
    said = ""
    try:
        out.sum().backward()
    except RuntimeError as error:
        said = str(error)
    assert "modified by an inplace operation" in said or not said
    return bool(said)


def is_found(source):
    found, _ = marked(NAME, source)
    assert all(severity == "error" for _, severity in found)
    return bool(found)


def made(text):
    return eval(f"nn.{text}", {"nn": nn})


@pytest.mark.parametrize("act", MODULES)
def test_a_layer_is_found_where_torch_raises(act):
    source = f"s = nn.Sequential(nn.{act}, nn.Dropout(0.5, inplace=True), nn.Flatten())"
    assert is_found(source) is raises(made(act), nn.Dropout(0.5, inplace=True))


@pytest.mark.parametrize("act", FUNCTIONS)
def test_a_function_is_found_where_torch_raises(act):
    source = f"""
class A(nn.Module):
    def forward(self, x):
        x = {act}
        return F.dropout(x, 0.5, self.training, True)
"""
    run = eval(f"lambda x: {act}", {"F": F, "torch": torch})
    assert is_found(source) is raises(run, lambda x: F.dropout(x, 0.5, True, True))


@pytest.mark.parametrize(
    ("act", "known"),
    [
        ("SELU(True, *more)", True),
        ("SELU(*more, True)", False),
        ("LeakyReLU(0.1, True, *more)", True),
        ("LeakyReLU(*more, True)", False),
        ("LeakyReLU(0.1, *more)", False),
    ],
)
def test_only_what_is_unpacked_before_the_flag_hides_it(act, known):
    source = f"s = nn.Sequential(nn.{act}, nn.Dropout(0.5, inplace=True), nn.Flatten())"
    assert is_found(source) is known


@pytest.mark.parametrize("drop", DROPOUTS)
def test_a_dropout_is_found_where_torch_raises(drop):
    source = f"s = nn.Sequential(nn.ReLU(), nn.{drop}, nn.Flatten())"
    assert is_found(source) is raises(nn.ReLU(), made(drop))


def test_nothing_raises_in_eval():
    assert raises(nn.ReLU(), nn.Dropout(0.5, inplace=True).eval()) is False


def test_all_that_are_listed_are_tried():
    tried = {each.partition("(")[0].rpartition(".")[2] for each in (*MODULES, *FUNCTIONS)}
    listed = {*KEEPS_OUTPUT, *KEEPS_OUTPUT_IN_PLACE}
    assert {name.rstrip("_") for name in listed} <= {name.rstrip("_") for name in tried}


def test_a_rate_that_is_not_known_is_found():
    source = """
class A(nn.Module):
    def __init__(self, p=0.0):
        super().__init__()
        self.drop = nn.Dropout(p, inplace=True)
    def forward(self, x):
        return self.drop(x.softmax(-1))  #!
"""
    found, expected = marked(NAME, source)
    assert found == expected
    assert expected
    scope = {}
    exec(HEAD + source, scope)
    assert [raises(nn.Identity(), scope["A"](p)) for p in (0.0, 0.1)] == [False, True]


def test_a_function_alone_is_advice_and_so_is_a_test():
    source = "def f(x):\n    return F.dropout(F.relu(x), 0.5, True, True)  #?\n"
    assert marked(NAME, source)[0] == marked(NAME, source)[1]
    layers = "s = nn.Sequential(nn.ReLU(), nn.Dropout(0.5, True), nn.Flatten())  #?\n"
    assert marked(NAME, layers, "tests/test_x.py")[0] == marked(NAME, layers)[1]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("nn.Dropout(0.5, True)", "nn.Dropout(0.5, False)"),
        ("nn.Dropout( p=0.5,  inplace=True )", "nn.Dropout( p=0.5,  inplace=False )"),
    ],
)
def test_fix(before, after):
    source = "s = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), {}, nn.Linear(8, 8))\n"
    text, left = fixed(NAME, source.format(before))
    assert text == source.format(after)
    assert left == ()
    scope = {}
    exec(HEAD + text, scope)
    scope["s"](torch.randn(4, 8)).sum().backward()


def test_no_safe_fix_where_a_statement_relies_on_it():
    source = """
class A(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.drop = nn.Dropout(p, inplace=True)
    def forward(self, x):
        self.drop(x)
        return self.drop(x.relu())
"""
    assert fixed(NAME, source)[0] == source
    text, left = fixed(NAME, source, unsafe=True)
    assert "inplace=False" in text
    assert left == ()


def test_no_fix_where_the_flag_stands_elsewhere():
    source = "FAST = True\ns = nn.Sequential(nn.ReLU(), nn.Dropout(0.5, FAST), nn.Flatten())\n"
    _, [finding] = fixed(NAME, source, unsafe=True)
    assert finding.fix is None


@pytest.mark.parametrize(("which", "is_broken"), [("broken", True), ("fixed", False)])
def test_what_torch_does(which, is_broken):
    scope = {}
    exec(getattr(RULES[NAME], which), scope)
    loss = scope["head"](torch.randn(4, 64)).sum()
    if is_broken:
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()
    else:
        loss.backward()


def profiled(source):
    """The sequences of a source, and how many calls it took to find them."""
    code = Code(source)
    with cProfile.Profile() as profile:
        sequences = list(in_sequences(code, Reader(code), values(code)))
    return sequences, sum(entry.callcount for entry in profile.getstats())


def test_the_work_grows_with_the_length():
    def calls(n):
        head = "from torch import nn\nclass Net(nn.Module):\n    def __init__(self):\n"
        one = (
            "        if n > {0}:\n            l{0} = []\n            l{0}.append(nn.ReLU())\n"
            "            l{0}.append(nn.Dropout(0.1))\n            a = nn.Sequential(*l{0})\n"
        )
        sequences, calls = profiled(head + "".join(one.format(i) for i in range(n)))
        assert sequences
        return calls

    assert calls(320) < 9 * calls(40)  # 8 times as long; the square would be 64 times


def test_loops_in_loops_end():
    def found(depth):
        lines = ["from torch import nn", "layers = []"]
        lines += ["    " * n + f"for i{n} in x:" for n in range(depth)]
        lines += ["    " * depth + "layers.append(nn.ReLU())", "net = nn.Sequential(*layers)"]
        sequences, calls = profiled("\n".join(lines))
        return len(sequences), calls

    (_, few), (sequences, calls) = found(9), found(13)
    assert sequences <= 4000
    assert calls < 2 * 2**4 * few  # each loop is followed twice, not more often
