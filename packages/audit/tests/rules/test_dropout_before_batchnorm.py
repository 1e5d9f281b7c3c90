"""TD141: a BatchNorm behind a dropout. Lines that end in `#!` are to be found."""

import textwrap

import pytest
import torch
from torch import nn

from _marks import marked
from _sources import findings_in
from torchdropout_audit.code import Code
from torchdropout_audit.rules import _flow
from torchdropout_audit.source import audit_text

NAME = "dropout-before-batchnorm"

SEQUENTIALS = """
from collections import OrderedDict
from torch import nn
a = nn.Sequential(
    nn.Dropout(0.5),  #!
    nn.BatchNorm1d(8),
    nn.Dropout(0.5),  #!
    nn.Linear(8, 8),
    nn.ReLU(),
    nn.BatchNorm1d(8),
    nn.Dropout(0.5),
    nn.Linear(8, 1),
)
layers = [
    nn.Conv2d(3, 8, 3),
    nn.Dropout2d(0.2),  #!
    nn.SyncBatchNorm(8),
]
b = nn.Sequential(*layers)
c = nn.Sequential(OrderedDict(
    drop=nn.Dropout(0.5),
    norm=nn.BatchNorm1d(8),
))
d = nn.Sequential(OrderedDict([
    ("drop", nn.Dropout(0.5)),  #!
    ("norm", nn.BatchNorm1d(8)),
]))
"""

CHAIN = """
import torch.nn.functional as F
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.5)
        self.conv = nn.Conv2d(8, 8, 3)
        self.norm = nn.BatchNorm2d(8)
    def forward(self, x):
        x = F.relu(self.norm(self.conv(x)))
        x = self.drop(x)  #!
        x = self.conv(x)
        x = x.relu()
        x = F.relu(self.norm(x))
        return self.drop(x)
"""

CLEAN = """
from torch import nn
from elsewhere import Block
a = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5))
b = nn.Sequential(nn.Dropout(0.5), nn.LayerNorm(8), nn.BatchNorm1d(8))
c = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(8, track_running_stats=False))
d = nn.Sequential(nn.Dropout(0.0), nn.BatchNorm1d(8))
e = nn.Sequential(nn.Dropout(0.5), Block(8), nn.BatchNorm1d(8))
f = nn.Sequential(nn.AlphaDropout(0.5), nn.BatchNorm1d(8))
g = nn.Sequential(nn.Dropout(0.5), *unknown, nn.BatchNorm1d(8))
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.5)
        self.norm = nn.BatchNorm1d(8)
    def forward(self, x):
        y = self.drop(x)
        return y + self.norm(x)
"""


@pytest.mark.parametrize("text", [SEQUENTIALS, CHAIN, CLEAN])
def test_what_is_found(text):
    found = audit_text(text, rules={"dropout-before-batchnorm"})
    marked = [n for n, line in enumerate(text.splitlines(), 1) if line.endswith("#!")]
    assert [each.line for each in found] == marked
    assert {each.severity for each in found} <= {"advice"}


def test_the_shift_is_as_explained():
    torch.manual_seed(0)
    net = nn.Sequential(nn.ReLU(), nn.Dropout(0.5), nn.BatchNorm1d(16, affine=False))
    for _ in range(200):
        net(torch.randn(512, 16))
    x = torch.randn(1 << 14, 16)
    assert net(x).std(0).mean().item() == pytest.approx(1, abs=0.01)
    assert net.eval()(x).std(0).mean().item() == pytest.approx(0.64, abs=0.02)


PARTS = """
from torch import nn

class Norm(nn.Sequential):
    def __init__(self, size):
        super().__init__()
        self.add_module("bn", nn.BatchNorm1d(size))

class Dense(nn.Sequential):
    def __init__(self, size, *, bn=False, first=False, kind=nn.LayerNorm):
        super().__init__()
        if first:
            self.add_module("norm", kind(size))
        self.add_module("fc", nn.Linear(size, size))
        if bn:
            self.add_module("bn", Norm(size))

class Block(nn.Module):
    def __init__(self, size, use_bn):
        super().__init__()
        self.fc = nn.Linear(size, size)
        self.norm = nn.BatchNorm1d(size) if use_bn else nn.Identity()

    def forward(self, x):
        return self.norm(self.fc(x))

class Plain(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.fc = nn.Linear(size, size)

    def forward(self, x):
        return self.fc(x).relu()
"""
NET = """
from torch import nn
from parts import Block, Dense, Plain

class Net(nn.Module):
    def __init__(self, size, flag, bn=True):
        super().__init__()
        self.drop = nn.Dropout(0.5)
        self.layers = nn.Sequential(nn.Dropout(0.5), {layer})
        self.part = {layer}
        self.norm = nn.LayerNorm(size)

    def forward(self, x):
        x = self.drop(x)
        x = self.part(x)
        return self.layers(self.norm(x))
"""


@pytest.mark.parametrize(
    ("layer", "is_found"),
    [
        ("Dense(8, bn=True)", True),
        ("Dense(size, bn=True, first=False)", True),
        ("Block(8, True)", True),
        ("Block(8, flag)", True),
        ("Plain(8), nn.BatchNorm1d(8)", None),  # in the Sequential alone
        ("Dense(8)", False),
        ("Dense(8, bn=False)", False),
        ("Dense(8, bn=True, first=True)", False),
        ("Block(8, False)", False),
        ("Plain(8)", False),
    ],
)
def test_a_module_of_another_file(layer, is_found, tmp_path):
    text = NET.replace("{layer}", layer, 1)
    text = text.replace("{layer}", "Plain(8)" if is_found is None else layer)
    found = findings_in(tmp_path, {"net.py": text, "parts.py": PARTS}, "net.py", NAME)
    lines = {True: [9, 14], None: [9], False: []}[is_found]
    assert found == [(line, "advice") for line in lines]


def test_only_the_first_argument_is_followed_into_another_file(tmp_path):
    net = (
        "from torch import nn\nfrom parts import Block\n\nclass Net(nn.Module):\n"
        "    def __init__(self, bn):\n        super().__init__()\n"
        "        self.drop = nn.Dropout(0.5)\n        self.block = Block(8, bn)\n\n"
        "    def forward(self, x, mask):\n        return self.block({})\n"
    )
    for given, found in (("self.drop(x), mask", [(11, "advice")]), ("x, self.drop(mask)", [])):
        files = {"net.py": net.format(given), "parts.py": PARTS}
        assert findings_in(tmp_path, files, "net.py", NAME) == found


def test_a_value_is_followed_through_two_files(tmp_path):
    net = (
        "from torch import nn  # BN\nfrom {} import {} as Inner\nclass {}(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.part = Inner(8)\n"
        "    def forward(self, x):\n        return self.part({})\n"
    )
    files = {
        "net.py": net.format(
            "parts", "Part", "Net", "nn.functional.dropout(x, 0.5, self.training)"
        ),
        "parts.py": net.format("deep", "Norm", "Part", "x"),
        "deep.py": PARTS,
    }
    assert findings_in(tmp_path, files, "net.py", NAME) == [(8, "advice")]


def test_modules_of_files_that_use_one_another(tmp_path):
    one = "from torch import nn\nfrom {0} import {1}\nclass {2}(nn.Sequential):\n"
    one += "    def __init__(self):\n        super().__init__(nn.Dropout(0.5), {1}(bn=1))\n"
    files = {"a.py": one.format("b", "B", "A"), "b.py": one.format("a", "A", "B")}
    assert findings_in(tmp_path, files, "a.py", NAME) == []


BODY = """
class Net(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.drop, self.other, self.fc = nn.Dropout(p), nn.Dropout(p), nn.Linear(d, d)
        self.norm, self.layer_norm = nn.BatchNorm1d(d), nn.LayerNorm(d)
        self.mixed = nn.ModuleList([nn.BatchNorm1d(d), nn.Dropout(p)])
        self.plain = nn.ModuleList([nn.Linear(d, d), nn.Linear(d, d)])
        self.either = self.mixed if d else nn.Linear(d, d)
        self.named = nn.ModuleDict({{"a": nn.Linear(d, d), "b": nn.BatchNorm1d(d)}})

    def predict(self, x):
        return x

    def forward(self, x, y, flag, g):
{}
"""


def in_forward(body):
    """What is found, and what is marked, in a body of `forward`."""
    return marked(NAME, BODY.format(textwrap.indent(textwrap.dedent(body).strip("\n"), " " * 8)))


@pytest.mark.parametrize(
    "body",
    [
        "x = self.drop(x)  #?\ny += x\nreturn self.norm(y)",
        "x = self.drop(x)  #?\nx += y\nreturn self.norm(x)",
        "z: object = self.drop(x)  #?\nreturn self.norm(z)",
        "z: object\nz = self.drop(x)  #?\nreturn self.norm(z)",
        "y, *z = self.drop(x)  #?\nreturn self.norm(z)",
        "y, z = self.drop(x)  #?\nreturn self.norm(y)",
        "z = y = self.drop(x)  #?\nreturn self.norm(z)",
        "y[flag] = self.drop(x)  #?\nreturn self.norm(y)",
        "y[flag].z = self.drop(x)\nreturn self.norm(y)",
        "z = (y := self.drop(x))  #?\nreturn self.norm(y)",
        "return self.norm((y := self.drop(x)))  #?",
        "if 1:\n    x = self.drop(x)  #?\nelse:\n    x = self.other(x)\nreturn self.norm(x)",
        "if 0:\n    x = self.drop(x)\nelse:\n    x = self.other(x)  #?\nreturn self.norm(x)",
        "if flag:\n    x = self.drop(x)  #?\nreturn self.norm(x)",
        "if flag:\n    pass\nelse:\n    x = self.drop(x)  #?\nreturn self.norm(x)",
        "if flag:\n    x = self.drop(x)\n    return x\nreturn self.norm(x)",
        "for z in y:\n    pass\nelse:\n    x = self.drop(x)  #?\nreturn self.norm(x)",
        "while flag:\n    x = self.drop(self.norm(x))  #?\nreturn x",
        "for z in y:\n    x = self.drop(self.norm(x))  #?\nreturn x",
        "for z in y:\n    x = self.drop(self.layer_norm(x))\nreturn x",
        "with g:\n    x = self.drop(x)  #?\nreturn self.norm(x)",
        "try:\n    x = self.drop(x)  #?\nexcept E:\n    pass\nreturn self.norm(x)",
        "try:\n    x = y\nexcept E:\n    x = self.drop(x)  #?\nreturn self.norm(x)",
        "x = self.drop(x)  #?\ntry:\n    pass\nexcept E:\n    x = self.layer_norm(x)\n"
        "return self.norm(x)",
        "try:\n    pass\nfinally:\n    x = self.drop(x)  #?\nreturn self.norm(x)",
        "match flag:\n    case 1:\n        x = self.drop(x)  #?\nreturn self.norm(x)",
        "x = self.drop(x)  #?\nmatch flag:\n    case 1:\n        x = self.layer_norm(x)\n"
        "    case _:\n        pass\nreturn self.norm(x)",
        # What one option normalises, the contrary one does elsewhere.
        "x = self.drop(x)\nif flag:\n    x = self.layer_norm(x)\nif not flag:\n"
        "    x = self.norm(x)\nreturn x",
        "x = self.drop(x)\nif not flag:\n    x = self.layer_norm(x)\nif flag:\n"
        "    x = self.norm(x)\nreturn x",
        "x = self.drop(x)  #?\nif flag:\n    x = self.layer_norm(x)\nif g:\n"
        "    x = self.norm(x)\nreturn x",
        # Where the rate is 0.
        "x = self.drop(x)\nif self.p != 0:\n    pass\nelse:\n    x = self.norm(x)\nreturn x",
        "x = self.drop(x)  #?\nif self.p != 0 != flag:\n    pass\nelse:\n    x = self.norm(x)\n"
        "return x",
        # The last turns of a loop.
        "for i in range(3):\n    x = self.norm(x)\n    if i == 3 - 1:\n        x = self.drop(x)\n"
        "return x",
        "for i in range(3):\n    x = self.norm(x)\n    if i == 3 - 1:\n        x = self.drop(x)\n"
        "    if i != 3 - 1:\n        pass\n    else:\n        x = self.other(x)\nreturn x",
        "for i in range(3):\n    x = self.norm(x)\n    if i != 3 - 1:\n"
        "        x = self.drop(x)  #?\nreturn x",
    ],
)  # fmt: skip
def test_statements_are_followed(body):
    found, expected = in_forward(body)
    assert found == expected


@pytest.mark.parametrize(
    "body",
    [
        # Data of objects, by the place that holds them.
        "g.x = self.drop(x)  #?\nreturn self.norm(g.x)",
        "g.x = self.drop(x)\nreturn self.norm(g.y)",
        "g.x = self.drop(x)\ng = y\nreturn self.norm(g.x)",
        'g["a"] = self.drop(x)  #?\nreturn self.norm(g["a"])',
        'g["a"] = self.drop(x)\nreturn self.norm(g["b"])',
        "g.a[0] = self.drop(x)\nreturn self.norm(g.b[0])",
        "g.x = y\nx = self.drop(x)  #?\nreturn self.norm(x[0])",
        "g.x = y\nx = self.drop(x)  #?\nreturn self.norm(x.T)",
        # Lists of results.
        "z = []\nz.append(self.drop(x))  #?\nreturn self.norm(torch.cat(z))",
        "z = []\nz.extend(self.drop(x))  #?\nreturn self.norm(torch.cat(z))",
        "z = []\nz.remove(self.drop(x))\nreturn self.norm(torch.cat(z))",
        "z = [self.drop(x), y]  #?\nfor one in z:\n    one = self.norm(one)\nreturn y",
        "for one in [self.drop(x), y]:\n    one = self.norm(one)\nreturn y",
        "for one in self.drop(x):  #?\n    one = self.norm(one)\nreturn y",
        "return self.norm(torch.stack([one for one in self.drop(x)]))  #?",
        "z = {i: one for i, one in enumerate(self.drop(x))}  #?\nreturn self.norm(z[0])",
        'z = {"a": self.drop(x), "b": y}  #?\nreturn self.norm(z["a"])',
        "return self.norm(max(self.drop(x), y))",
        "return self.norm(next(iter(self.drop(x))))  #?",
        "return self.norm(y.next(self.drop(x)))  #?",
        # Views of a value, and what is not one.
        "return self.norm(self.drop(x).T)  #?",
        "return self.norm(self.drop(x).mT)  #?",
        "return self.norm(torch.zeros(self.drop(x).shape))",
        "return self.norm(-self.drop(x))  #?",
        "return self.norm(self.drop(x)[:, 0])  #?",
        "return self.norm(self.drop(x) if flag else y)  #?",
        "return self.norm(self.drop(x).view(-1))  #?",
        "return self.norm(self.drop(x).argmax(-1))",
        "return self.norm(self.drop(x).norm(dim=-1))",
        "return self.norm(torch.argmax(self.drop(x), -1))",
        "return self.norm(F.relu(self.drop(x)))  #?",
        "return self.norm(elsewhere(self.drop(x)))",
        "return self.norm(F.cross_entropy(self.drop(x), y))",
        "return self.norm(self.a_loss(self.drop(x)))",
        "return self.norm(F.dropout(x, 0.5, self.training))  #?",
        "return self.norm(F.dropout(y, self.drop(x)))",  # on in evaluation, too
        "return self.norm(F.dropout(self.drop(x), 0.5))  #?",
        # The weights of an attention are averaged.
        "x = self.drop(torch.softmax(y, -1)) @ x\nreturn self.norm(x)",
        "x = self.drop(nn.Softmax(-1)(y)) @ x\nreturn self.norm(x)",
        "x = torch.softmax(y, -1) @ x\nx = self.drop(x)  #?\nreturn self.norm(x)",
        "x = torch.softmax(y, -1) + x\nx = self.drop(x)\nreturn self.norm(x)",
        "x = torch.softmax(y, -1) * x\nx = self.drop(x)\nreturn self.norm(x)",
        "x = torch.softmax(y, -1) * self.drop(x)\nx = self.other(x)  #?\nreturn self.norm(x)",
        "x = self.drop(x) * torch.softmax(y, -1)\nx = self.other(x)  #?\nreturn self.norm(x)",
        "return self.norm(self.drop(x) * y)  #?",
        "return self.norm(y * self.drop(x))  #?",
        "return self.norm(y @ self.drop(x))  #?",
        "return self.norm(self.drop(x) @ y)  #?",
        "x = torch.matmul(torch.softmax(y, -1), x)\nx = self.drop(x)  #?\nreturn self.norm(x)",
        "x = torch.mul(torch.softmax(y, -1), x)\nx = self.drop(x)\nreturn self.norm(x)",
        "x = torch.softmax(y, -1).matmul(x)\nx = self.drop(x)  #?\nreturn self.norm(x)",
        "x = torch.softmax(y, -1).mul(x)\nx = self.drop(x)\nreturn self.norm(x)",
        "x = y.softmax(-1)\nx = self.drop(x)\nreturn self.norm(x)",
        "x = y.log_softmax(-1)\nx = self.drop(x)  #?\nreturn self.norm(x)",
        "x = F.dropout(torch.softmax(y, -1), 0.5, self.training)\nreturn self.norm(x @ x)",
    ],
)
def test_values_are_followed(body):
    found, expected = in_forward(body)
    assert found == expected


def test_deep_expressions():
    """Those of a few dozen calls are followed; thousands raise nothing."""
    deep = "return self.norm(" + "torch.relu(" * 40 + "self.drop(x)" + ")" * 41 + "  #?"
    found, expected = in_forward(deep)
    assert found == expected
    for before, count in (("", 900), ("y = x\n" * 99, 140)):
        found, _ = in_forward(f"{before}return self.norm(self.drop(x)" + ".relu()" * count + ")")
        assert found == []


@pytest.mark.parametrize(("count", "is_found"), [(9, True), (99, False)])
def test_the_statements_and_layers_of_a_file_have_a_limit(count, is_found, monkeypatch):
    monkeypatch.setattr(_flow, "_MOST_STEPS", 60)
    monkeypatch.setattr(Code, "size", 0)
    found, _ = in_forward("y = x\n" * count + "return self.norm(self.drop(x))")
    assert len(found) == is_found
    layers = "nn.ReLU(), " * count
    net = (
        "class A(nn.Module):\n    def __init__(self, d):\n        self.norm = nn.BatchNorm1d(d)\n"
        f"        self.layers = nn.Sequential(nn.Dropout(0.5), {layers})\n"
        "    def forward(self, x):\n        return self.norm(self.layers(x))\n"
    )
    assert len(marked(NAME, net)[0]) == is_found


@pytest.mark.parametrize(
    "body",
    [
        # A name stands for the Modules of a loop, until it is something else.
        "for layer in self.mixed:\n    pass\nx = self.drop(x)  #?\nreturn layer(x)",
        "for layer in self.mixed:\n    pass\nlayer = self.fc\nx = self.drop(x)\nreturn layer(x)",
        # A loop walks the list once, whatever the loop around it does.
        "x = self.drop(x)  #?\nfor layer in self.mixed:\n    x = layer(x)\nreturn x",
        "for z in y:\n    y = y + z\nx = self.drop(x)  #?\nreturn self.mixed[flag](x)",
        # One of a dict whose key is not known.
        "return self.norm(self.named[flag](self.drop(x)))",
        'return self.named["b"](self.drop(x))  #?',
        # What may be a list, and may not, is walked as the list.
        "return self.either[flag](x)",
        "for i in range(2):\n    x = self.either[i](x)\nreturn x",
        "x = self.drop(x)\nfor layer in self.plain:\n    x = layer(x)\nreturn x",
        # Calls of what is in the file.
        "return self.norm(self.predict(self.drop(x)))",
        "return self.norm(Net(self.drop(x), 1))",
        "return self.norm(nn.Parameter(self.drop(x)))",
        "f = F.relu if flag else torch.tanh\nx = self.drop(x)  #?\nreturn self.norm(f(x))",
        "f = F.relu if flag else torch.argmax\nx = self.drop(x)\nreturn self.norm(f(x))",
        "f = lambda z: self.drop(z)  #?\nreturn self.norm(f(x))",
        "f = lambda z: torch.relu(z)\nx = self.drop(x)  #?\nreturn self.norm(f(f(x)))",
        "f = lambda z, w=1: z\nx = self.drop(x)  #?\nreturn self.norm(f(x))",
        "f = lambda z: f(z)\nreturn self.norm(f(self.drop(x)))",
        # Data of graphs, under the names that messages give it.
        'g.ndata["h"] = self.drop(x)  #?\ng.update_all(fn.copy_u("h", "m"), fn.sum("m", "n"))\n'
        'return self.norm(g.ndata["n"])',
        'g.ndata["h"] = self.drop(x)\ng.update_all(fn.copy_u("e", "m"), fn.sum("m", "n"))\n'
        'return self.norm(g.ndata["n"])',
        'g.ndata["h"] = self.drop(x)\ng.number_of_nodes(fn.copy_u("h", "m"))\n'
        'return self.norm(g.ndata["n"])',
        'g.ndata["h"] = self.drop(x)\ng.update_all(fn.copy_u("h", "m"), fn.sum("m", "n"))\n'
        'y.z = x\ng = y\nreturn self.norm(g.ndata["n"])',
        'g.ndata["h"] = self.drop(x)\ng.update_all(fn.copy_u("h", "m"), fn.sum("m", "n"))\n'
        "return self.norm(g.more[0])",
        'self.g.ndata["h"] = self.drop(x)\nself.g.update_all(fn.copy_u("h", "m"))\n'
        'return self.norm(self.g.ndata["n"])',
        # F.batch_norm with the statistics of the batch, or with stored ones.
        "x = self.drop(x)  #?\nreturn F.batch_norm(x, y, y, training=self.training)",
        "x = self.drop(x)  #?\nreturn F.batch_norm(x, y, y, None, None)",
        "x = self.drop(x)  #?\nreturn F.batch_norm(x, y, y, None, None, False)",
        "x = self.drop(x)\nreturn F.batch_norm(x, y, y, None, None, True)",
        "x = self.drop(x)  #?\nreturn F.batch_norm(x, *y, None, None, True)",
        "x = self.drop(x)\nreturn F.batch_norm(x, None, None, training=self.training)",
        "x = self.drop(x)\nreturn F.batch_norm(x, None, y, training=self.training)",
        "x = self.drop(x)  #?\nreturn F.batch_norm(x, y, None, training=self.training)",
        "x = self.drop(x)\nreturn torch.batch_norm(x, y, y, None, y, flag, 0.1, 0.1, flag)",
        "x = self.drop(x)\nreturn F.batch_norm(x, running_mean=None, training=self.training)",
        "x = self.drop(x)  #?\nreturn F.batch_norm(x)",
        "x = self.drop(x)  #?\nreturn torch.batch_norm(x, None, None, y, y, flag, 0.1, 0.1, flag)",
        "x = self.drop(x)\nreturn torch.batch_norm(x, y, y, None, None, flag, 0.1, 0.1, flag)",
        "x = self.drop(x)\nreturn torch.batch_norm(x, y, y, y, y, True, 0.1, 0.1, flag)",
    ],
)
def test_calls_are_followed(body):
    found, expected = in_forward(body)
    assert found == expected


@pytest.mark.parametrize(
    ("layers", "body"),
    [
        # They are walked in turn where a dropout or a norm is among others.
        ("nn.Dropout(p),  #?\nnn.BatchNorm1d(d)", "x = layer(torch.relu(x))"),
        ("nn.Dropout(p),  #?\nnn.Linear(d, d), nn.BatchNorm1d(d)", "x = layer(torch.relu(x))"),
        ("nn.BatchNorm1d(d), nn.Dropout(p)", "x = layer(torch.relu(x))"),
        ("nn.Linear(d, d), nn.ReLU()", "x = layer(torch.relu(x))"),
        ("nn.Dropout(p),  #?\nnn.BatchNorm1d(d)", "x = layer(x)"),
        # Those of one kind are one or another.
        ("nn.Dropout(p), nn.Dropout(p)", "y = layer(torch.relu(x))  #?\ny = self.norm(y)"),
        ("nn.LayerNorm(d), nn.BatchNorm1d(d)", "y = layer(self.drop(x))  #?"),
        ("nn.Dropout(p) if d else nn.Identity()", "y = layer(x.relu())  #?\nself.norm(y)"),
        ("nn.Dropout(p) if d else nn.Identity()", "x = layer(x)  #?\nself.norm(x)"),
    ],
)
def test_lists_of_layers_are_walked(layers, body):
    net = """
class Net(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.norm, self.drop = nn.BatchNorm1d(d), nn.Dropout(p)
        self.layers = nn.ModuleList([
{}
        ])

    def forward(self, x):
        for layer in self.layers:
{}
"""
    layers, body = (textwrap.indent(each, " " * 12) for each in (layers, body))
    found, expected = marked(NAME, net.format(layers, body))
    assert found == expected


CLASSES = """
class Base(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.p, self.w, self.drop = p, nn.Parameter(d), nn.Dropout(p)
        self.fc, self.norm, self.bn = nn.Linear(d, d), nn.BatchNorm1d(d), nn.BatchNorm1d(d)

"""


@pytest.mark.parametrize(
    "source",
    [
        # Layers of Modules in a list, and of pairs.
        "class Block(Base):\n    pass\nclass Net(nn.Module):\n    def __init__(self, d, p):\n"
        "        self.blocks = nn.ModuleList([Block(d, p), Block(d, p)])\n"
        "    def forward(self, x):\n        for block in self.blocks:\n"
        "            x = block.drop(x)  #?\n            x = block.norm(block.fc(x))\n"
        "        return x",
        "class Net(nn.Module):\n    def __init__(self, d, p):\n"
        "        self.pairs = nn.ModuleList([nn.ModuleList([nn.Dropout(p), nn.BatchNorm1d(d)])])\n"
        "    def forward(self, x):\n        for pair in self.pairs:\n"
        "            x = pair[0](x)  #?\n            x = pair[1](x)\n        return x",
        # Keys that are computed.
        "class Net(Base):\n    def __init__(self, d, p):\n        super().__init__(d, p)\n"
        "        self.more = nn.ModuleDict()\n        for i in range(3):\n"
        "            self.more[f'fc{i}'] = nn.Linear(d, d)\n"
        "            self.more[f'bn{i}'] = nn.BatchNorm1d(d)\n"
        "    def forward(self, x, i):\n        x = self.drop(x)\n"
        "        return self.more[f'fc{i}'](x)",
        "class Net(Base):\n    def __init__(self, d, p):\n        super().__init__(d, p)\n"
        "        self.more = nn.ModuleDict()\n        for i in range(3):\n"
        "            self.more[f'fc{i}'] = nn.Linear(d, d)\n"
        "            self.more[f'bn{i}'] = nn.BatchNorm1d(d)\n"
        "    def forward(self, x, i):\n        x = self.drop(x)  #?\n"
        "        return self.more[f'bn{i}'](x)",
        # One of two layers.
        "class Net(Base):\n    def __init__(self, d, p, flag):\n        super().__init__(d, p)\n"
        "        self.one = nn.Dropout(p) if flag else nn.Linear(d, d)\n"
        "    def forward(self, x):\n        x = self.drop(x)  #?\n        x = self.one(x)  #?\n"
        "        return self.norm(x)",
        "class Net(Base):\n    def __init__(self, d, p, flag):\n        super().__init__(d, p)\n"
        "        self.one = nn.LayerNorm(d) if flag else nn.Linear(d, d)\n"
        "    def forward(self, x):\n        x = self.drop(x)\n        x = self.one(x)\n"
        "        return self.norm(x)",
        # Dropouts of the file, and blocks that are called so.
        "class ChannelDropout(Base):\n    def forward(self, x):\n"
        "        return x * torch.rand(x.shape)\n"
        "net = nn.Sequential(\n    ChannelDropout(8, 0.1),  #?\n    nn.BatchNorm1d(8),\n)"
        .replace("Base", "nn.Module"),
        "class DropPath(nn.Module):\n    def forward(self, x):\n"
        "        return x * torch.rand(x.shape)\n"
        "net = nn.Sequential(\n    DropPath(0.1),\n    nn.BatchNorm1d(8),\n)",
        "class NoisyDropout(nn.Module):\n    def forward(self, x):\n"
        "        return F.batch_norm(F.dropout(x, 0.5, self.training), x, x)",
        "class ConvDropout(nn.Module):\n    def forward(self, x):\n"
        "        x = F.linear(x, self.w)\n        return F.dropout(x, 0.5, self.training)  #?\n"
        "net = nn.Sequential(ConvDropout(), nn.BatchNorm1d(8))",
        "class MyDropout(nn.Module):\n    def __init__(self, d):\n"
        "        self.mapping = nn.Linear(d, d)\n    def forward(self, x):\n"
        "        x = self.mapping(x)\n        return F.dropout(x, 0.5, self.training)  #?\n"
        "net = nn.Sequential(MyDropout(8), nn.BatchNorm1d(8))",
        # The forward of a base.
        "class Inner(Base):\n    def forward(self, x):\n        return self.drop(x)  #?\n"
        "class Net(Inner):\n    def forward(self, x):\n        return self.bn(super().forward(x))",
        "class Inner(Base):\n    def forward(self, x):\n        return self.drop(x)  #?\n"
        "class Middle(Inner):\n    def forward(self, x):\n        return super().forward(x)\n"
        "class Net(Middle):\n    def forward(self, x):\n        return self.bn(super().forward(x))",
        "class Inner(nn.Module):\n    def forward(self, x):\n"
        "        return self.bn(self.one(x))  #?\n"
        "class Net(Inner):\n    def __init__(self, d, p):\n"
        "        self.one, self.bn = nn.Dropout(p), nn.BatchNorm1d(d)",
        "class Inner(nn.Dropout):\n    pass\nclass Net(Inner):\n    def forward(self, x):\n"
        "        x = super().forward(x)  #?\n        return F.batch_norm(x, x, x)",
        "class Helper(Base):\n    def run(self, x):\n        return super().forward(x)\n"
        "class Net(Base):\n    def forward(self, x):\n"
        "        return self.norm(Helper.run(self, self.drop(x)))",
        "def run(x):\n    return F.batch_norm(super().forward(x), x, x)",
        # Arguments by name.
        "class Net(Base):\n    def inner(self, x, more=None):\n        return self.norm(more)\n"
        "    def forward(self, x):\n        return self.inner(x, more=self.drop(x))  #?",
        "class Net(Base):\n    def inner(self, x, more=None):\n        return self.norm(x)\n"
        "    def forward(self, x):\n        return self.inner(x, more=self.drop(x))",
        "class Net(Base):\n    @staticmethod\n    def inner(x, more):\n"
        "        return F.batch_norm(more, x, x)\n"
        "    def forward(self, x):\n        return self.inner(x, self.drop(x))  #?",
    ],
)  # fmt: skip
def test_modules_are_followed(source):
    found, expected = marked(NAME, CLASSES + source)
    assert found == expected


@pytest.mark.parametrize(
    ("head", "is_found"),
    [
        ("def forward(self, x):", True),
        ("def predict(self, x):", False),
        ("def __init__(self, x):", False),
        ("def test_it(self, x):", False),
        ("def infer(self, x):", False),
        ("def contest(self, x):", True),
        ("@torch.no_grad()\n    def f(self, x):", False),
        ("@torch.no_grad\n    def f(self, x):", False),
        ("@torch.inference_mode()\n    def f(self, x):", False),
        ("@torch.jit.export\n    def f(self, x):", True),
        ("@some(torch.no_grad())\n    def f(self, x):", True),
        ("def f(self, x):\n        self.eval()", False),
        ("def f(self, x):\n        self.train()", True),
        ("def f(self, x):\n        x.eval()", True),
        ("def f(self, x):\n        eval()", True),
    ],
)
def test_what_only_predicts_is_not_read(head, is_found):
    mark = "  #?" if is_found else ""
    body = f"    {head}\n        x = self.drop(x){mark}\n        return self.norm(self.fc(x))\n"
    found, expected = marked(NAME, CLASSES + body)
    assert found == expected


@pytest.mark.parametrize(
    ("norm", "is_found"),
    [
        ("nn.BatchNorm1d(8)", True),
        ("nn.BatchNorm1d(8, track_running_stats=True)", True),
        ("nn.BatchNorm1d(8, track_running_stats=flag)", True),
        ("nn.BatchNorm1d(8, track_running_stats=False)", False),
        ("nn.BatchNorm1d(8, 1e-5, 0.1, True, True)", True),
        ("nn.BatchNorm1d(8, 1e-5, 0.1, True, False)", False),
        ("nn.BatchNorm1d(8, 1e-5, 0.1, False)", True),
        ("nn.LayerNorm(8)", False),
    ],
)
def test_which_norms_store_statistics(norm, is_found):
    mark = "  #?" if is_found else ""
    body = f"# BatchNorm\nlayers = [\n    nn.Dropout(0.5),{mark}\n    {norm}\n]\n"
    found, expected = marked(NAME, f"{body}net = nn.Sequential(*layers)\n")
    assert found == expected


def test_a_dropout_before_two_norms_is_found_once():
    text = """
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.5)
        self.one = nn.BatchNorm1d(8)
        self.two = nn.BatchNorm1d(8)
    def forward(self, x):
        x = self.drop(x)
        return self.one(x), self.two(x)
"""
    assert [each.line for each in audit_text(text, rules={NAME})] == [10]
