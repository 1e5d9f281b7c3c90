"""TD141: a BatchNorm behind a dropout. Lines that end in `#!` are to be found."""

import pytest
import torch
from torch import nn

from _sources import findings_in
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


def test_modules_of_files_that_use_one_another(tmp_path):
    one = "from torch import nn\nfrom {0} import {1}\nclass {2}(nn.Sequential):\n"
    one += "    def __init__(self):\n        super().__init__(nn.Dropout(0.5), {1}(bn=1))\n"
    files = {"a.py": one.format("b", "B", "A"), "b.py": one.format("a", "A", "B")}
    assert findings_in(tmp_path, files, "a.py", NAME) == []


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
