"""TD143: a dropout right after a dropout. Lines that end in `#!` are to be found."""

import pytest

from _sources import findings_in
from torchdropout_audit.run import audit_paths
from torchdropout_audit.source import audit_text

SEQUENTIAL = """
from torch import nn
net = nn.Sequential(
    nn.Linear(8, 8),
    nn.Dropout(0.1),
    nn.Dropout2d(0.2),  #!
    nn.Dropout(0.2),
    nn.Linear(8, 8),
    nn.Dropout(0.1),
    nn.ReLU(),
    nn.Dropout(0.1),
)
"""

NESTED = """
from torch import nn
class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.body = nn.Sequential(
            nn.Sequential(nn.Linear(8, 8), nn.Dropout(p)),
            nn.Dropout(p),  #!
        )
        self.drop = nn.Dropout(p) if p > 0 else nn.Identity()
    def forward(self, x):
        x = self.body(x)
        return self.drop(x)
"""

GROWN = """
from torch import nn
class Net(nn.Module):
    def __init__(self, p, n):
        super().__init__()
        layers = []
        for _ in range(n):
            layers.append(nn.Sequential(nn.Linear(8, 8), nn.Dropout(p)))
            layers.append(nn.Dropout(p))  #!
            layers.append(nn.Sequential(nn.Linear(8, 8), nn.Dropout(p)))
            layers.append(nn.Sequential(nn.Dropout(p), nn.Linear(8, 8)))  #!
        self.body = nn.Sequential(*layers)
    def forward(self, x):
        return self.body(x)
"""

CHAINS = """
import torch.nn.functional as F
from torch import nn
class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.drop = nn.Dropout(p)
        self.other = nn.Dropout(p)
        self.fc = nn.Linear(8, 8)
    def forward(self, x, y, flag):
        x = F.dropout(self.drop(x), 0.1, self.training)  #!
        with self.scope():
            x = self.other(x)
        y = self.drop(self.fc(self.drop(y)))
        z = self.drop(y)  #!
        if flag:
            z = self.drop(z)
        else:
            z = self.fc(z)
        return self.drop(z)
    def first(self, x):
        x = self.drop(self.fc(x))
        x = x[:, 0]
        return self.drop(x)  #!
"""

CLEAN = """
import torch
import torch.nn.functional as F
from torch import nn
from elsewhere import Dropout
class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.drop = nn.Dropout(p)
        self.none = nn.Dropout(0.0)
        self.two = nn.Dropout(p)
        self.two = nn.Linear(8, 8)
        self.half = nn.Dropout(p) if p else nn.Linear(8, 8)
        self.drops = nn.ModuleList([nn.Dropout(p), nn.Dropout(p)])
        self.pair = nn.Sequential(Dropout(p), nn.Dropout(p))
    def forward(self, x, y):
        x = self.drop(x)
        x = self.none(x)
        x = self.two(x)
        x = self.half(x)
        x += y
        x = self.drop(x)
        a, b = self.drop(y), self.drop(y)
        for drop in self.drops:
            y = self.drop(y)
        y = F.dropout(self.drop(b), 0.1, training=False)
        x, y = y, self.drop(x + a)
        y = torch.add(x, self.drop(y))
        return self.drop(y)
"""


@pytest.mark.parametrize("text", [SEQUENTIAL, NESTED, GROWN, CHAINS, CLEAN])
def test_what_is_found(text):
    found = audit_text(text, rules={"double-dropout"})
    marked = [n for n, line in enumerate(text.splitlines(), 1) if line.endswith("#!")]
    assert [each.line for each in found] == marked
    assert {each.severity for each in found} <= {"advice"}


def test_message_names_both():
    found = audit_text(SEQUENTIAL, rules={"double-dropout"})
    assert [each.message.partition(":")[0] for each in found] == [
        "Dropout2d right after Dropout",
    ]


def test_a_layer_that_stands_for_itself():
    text = "from torch import nn\nx = nn.Dropout(0.1) if f else x\nnet = nn.Sequential(x, x)\n"
    assert audit_text(text, rules={"double-dropout"}) == []
    text += (
        "class A(nn.Module):\n    def __init__(self):\n        self.a = A()\n"
        "    def forward(self, x):\n        return self.a(x)\n"
    )
    assert audit_text(text, rules={"double-dropout"}) == []


@pytest.mark.parametrize(("given", "count"), [("drop", 1), ("size", 0)])
def test_an_attribute_that_stands_for_a_local_layer(given, count):
    text = f"""
from torch import nn
class Net(nn.Module):
    def __init__(self, size):
        super().__init__()
        drop = nn.Dropout(0.1)
        self.a, self.b = {given}, nn.Dropout(0.1)
    def forward(self, x):
        x = self.a(x)
        return self.b(x)
"""
    assert len(audit_text(text, rules={"double-dropout"})) == count


NAME = "double-dropout"

PARTS = """
import torch
import torch.nn.functional as F
from torch import nn

class Stacked(nn.Module):
    def __init__(self, size, layers, rate=0, output=False):
        super().__init__()
        self.rate, self.layers = rate, layers
        self.rnns = nn.ModuleList(nn.LSTM(size, size) for _ in range(layers))

    def forward(self, x, mask):
        if mask.sum() == 0:
            return self.unpadded(x)
        return self.unpadded(x)

    def unpadded(self, x):
        x = x.transpose(0, 1)
        outputs = [x]
        for i in range(self.layers):
            given = outputs[-1]
            if self.rate > 0:
                given = F.dropout(given, p=self.rate, training=self.training)
            outputs.append(self.rnns[i](given)[0])
        return torch.cat(outputs[1:], 2)

class Later(nn.Module):
    def __init__(self, size, layers, rate=0):
        super().__init__()
        self.fc = nn.Linear(size, size)
        self.drop = nn.Dropout(rate)

    def forward(self, x, mask):
        outputs = [x]
        outputs.append(self.fc(x))
        return self.fc(self.drop(outputs[-1]))

class RowDropout(nn.Dropout):
    def forward(self, x):
        return F.dropout(torch.ones_like(x[:, :1]), self.p, self.training) * x

class Feed(nn.Module):
    def __init__(self, size, layers, rate=0.1):
        super().__init__()
        self.fc = nn.Linear(size, size)
        self.drop = nn.Dropout(rate)

    def forward(self, x, mask):
        return self.drop(self.fc(x).relu())
"""
NET = """
from torch import nn
import parts

class Net(nn.Module):
    def __init__(self, size, rate):
        super().__init__()
        self.drop = nn.Dropout(rate)
        self.part = parts.{part}
        self.last = nn.Dropout(rate)

    def forward(self, x, mask):
        x = self.drop(x)
        x = self.part(x, mask)
        return self.last(x)
"""


@pytest.mark.parametrize(
    ("part", "lines"),
    [
        ("Stacked(size, 2, rate=rate)", [13]),
        ("Stacked(size, 2, 0.3)", [13]),
        ("Stacked(size, 2)", []),  # its rate is 0
        ("Later(size, 2, rate)", []),
        ("Feed(size, 2)", [15]),
        ("Feed(size, 2, 0.0)", []),
        ("Unknown(size, 2, rate)", []),
    ],
)
def test_a_module_of_another_file(part, lines, tmp_path):
    files = {"net.py": NET.replace("{part}", part), "parts.py": PARTS}
    assert findings_in(tmp_path, files, "net.py", NAME) == [(line, "advice") for line in lines]


@pytest.mark.parametrize(
    ("drop", "lines"),
    [
        ("RowDropout(rate)", [13]),
        ("RowDropout(0.0)", []),
        ("RowDropout(p=0)", []),
        ("RowDropout(0, True)", []),
        ("RowDropout(rate, True)", [13]),
        ("RowScale(rate)", []),
        ("Feed(8, 2)", [14]),  # no dropout, but it ends with one
        ("Feed(8, 2, 0.0)", []),
    ],
)
def test_a_dropout_of_another_file(drop, lines, tmp_path):
    text = NET.replace("{part}", "Stacked(size, 2, rate)").replace(
        "nn.Dropout(rate)", "parts.DROP", 1
    )
    files = {"net.py": text.replace("DROP", drop), "parts.py": PARTS}
    assert findings_in(tmp_path, files, "net.py", NAME) == [(line, "advice") for line in lines]


def test_files_that_use_the_same_module_say_the_same(tmp_path):
    text = NET.replace("{part}", "Stacked(size, 2, rate)")
    files = {"a.py": text, "b.py": text, "parts.py": PARTS}
    assert findings_in(tmp_path, files, "", NAME) == [(13, "advice")] * 2


ENDS = """
import math
import torch
import torch.nn.functional as F
from torch import nn

class Positions(nn.Module):
    def __init__(self, size, rate=0.1):
        super().__init__()
        self.dropout = nn.Dropout(p=rate)

    def forward(self, x):
        x = x + self.pe[:x.size(0)]
        return self.dropout(x)

class Encoder(nn.Module):
    def __init__(self, layers, rate=0.1):
        super().__init__()
        self.dropout = nn.Dropout(rate)
        self.layers = nn.ModuleList([nn.Linear(8, 8) for _ in range(layers)])

    def forward(self, x, mask=None):
        x = self.dropout(x)
        for layer in self.layers:
            x = layer(x)
        return x

class Around(nn.Module):
    def __init__(self, rate=0.1):
        super().__init__()
        self.positions = Positions(8, rate)
        self.encoder = Encoder(3, rate)

    def forward(self, x):
        return self.positions(self.encoder(x)).transpose(0, 1)
"""
JOIN = """
from torch import nn
from ends import Around, Encoder, Positions

class Net(nn.Module):
    def __init__(self, size, rate):
        super().__init__()
        self.embed = nn.Embedding(size, size)
        self.drop = nn.Dropout(rate)
        self.positions = Positions(size, RATE)
        self.first = nn.Linear(8, 8)
        self.encoder = Encoder(3, RATE)
        self.around = Around(RATE)
        self.blocks = nn.ModuleList([Positions(size, RATE) for _ in range(3)])

    def forward(self, tokens, mask):
        x = self.embed(tokens)
"""


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        ("x = self.encoder(self.positions(x), mask)", [18]),
        ("x = self.positions(x)\nx = self.encoder(x.permute(1, 0, 2), mask)", [19]),
        ("x = self.positions(x)\nx = self.encoder(x + 1.0)", []),
        ("x = self.positions(x)\nx = self.encoder(self.first(x))", []),
        ("x = self.encoder(x)\nx = self.positions(x)", []),
        ("x = self.around(x)\nx = self.drop(x)", [19]),
        ("x = self.drop(x)\nx = self.around(x)", [18]),
        ("x = self.around(x)\nx = self.around(x)", [19]),
        ("x = self.drop(x)\nx = self.encoder(x.permute(1, 0, 2), mask)", [18]),
        ("x = self.drop(x)\nx = self.encoder(x + 1.0)", []),
        ("x = self.first(self.drop(x))\nx = self.encoder(x)", []),
        ("x = self.drop(x)\nx = self.positions(x)", []),
        ("x = self.encoder(x)\nx = self.drop(x)", []),
        ("for each in self.blocks:\n    x = each(x)\n    x = self.drop(x)", [20]),
        ("for each in self.blocks:\n    x = each(x)\n    x = self.first(x)", []),
        ("x = self.positions(x).transpose(0, 1)\nx = self.drop(x)", [19]),
        ("x = self.positions(x)[:, 0]\nx = self.drop(x)", [19]),
    ],
)
def test_modules_of_another_file_in_a_row(body, lines, tmp_path):
    text = JOIN + "".join(f"        {line}\n" for line in [*body.splitlines(), "return x"])
    files = {"join.py": text.replace("RATE", "rate"), "ends.py": ENDS}
    assert findings_in(tmp_path, files, "join.py", NAME) == [(line, "advice") for line in lines]
    files["join.py"] = text.replace("RATE", "0.0")
    assert findings_in(tmp_path, files, "join.py", NAME) == []


@pytest.mark.parametrize(
    ("body", "line"), [("x = self.encoder(self.positions(x), mask)", "self.encoder(")]
)
def test_modules_of_the_file_in_a_row(body, line):
    text = ENDS + JOIN.replace("from ends import", "#").replace("RATE", "rate")
    text += f"        return {body[4:]}\n"
    found = [each.line for each in audit_text(text, rules={NAME})]
    assert found == [n for n, said in enumerate(text.splitlines(), 1) if f"return {line}" in said]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("self.encoder(self.drop(x))", "Dropout right before Encoder, which begins with a dropout"),
        (
            "self.encoder(self.positions(x))",
            "Encoder right after Dropout, which begins with a dropout",
        ),
        ("self.drop(self.positions(x))", "Dropout right after Dropout"),
        ("self.drop(self.around(x))", "Dropout right after Dropout"),
    ],
)
def test_messages_about_modules_of_another_file(body, said, tmp_path):
    files = {"join.py": JOIN.replace("RATE", "rate") + f"        return {body}\n", "ends.py": ENDS}
    assert len(findings_in(tmp_path, files, "join.py", NAME)) == 1
    [finding] = audit_paths([tmp_path / "join.py"], rules=[NAME], cache=False).findings
    assert finding.message == f"{said}: together they drop more than either says"
