"""TD142: dropout on logits. Lines that end in `#!` are to be found."""

import pytest

from _sources import findings_in
from torchdropout_audit.source import audit_text

HEADS = """
from torch import nn
class Net(nn.Module):
    def __init__(self, cfg, dim, num_labels):
        super().__init__()
        self.a = nn.Sequential(nn.Linear(dim, num_labels), nn.Dropout(0.1))  #!
        self.b = nn.Sequential(nn.Linear(dim, cfg.vocab_size), nn.Dropout(0.1))  #!
        self.c = nn.Sequential(nn.Linear(dim, out_features=cfg.nClasses), nn.Dropout(0.1))  #!
        self.classifier = nn.Sequential(nn.Linear(dim, 128), nn.Linear(128, 10), nn.Dropout())  #!
        self.logits = nn.Sequential(nn.Conv2d(dim, 10, 1), nn.Dropout2d(0.1))  #!
model = nn.Sequential(nn.Linear(784, 10), nn.Dropout(0.5))  #!
def make(dim):
    classifier = nn.Sequential(nn.Linear(dim, 10), nn.Dropout(0.5))  #!
    return classifier
"""

SOFTMAX = """
import torch
import torch.nn.functional as F
from torch import nn
a = nn.Sequential(nn.Linear(8, 3), nn.Dropout(0.1), nn.LogSoftmax(-1))  #!
class Net(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.drop = nn.Dropout(0.1)
        self.fc = nn.Linear(8, n_classes)
    def forward(self, q, k, x):
        scores = self.drop(q @ k.mT)  #!
        weights = scores.softmax(-1)
        y = torch.softmax(F.dropout(x, 0.1, self.training), -1)  #!
        return y, weights
    def scores(self, x):
        return self.drop(self.fc(x))  #!
"""

CLEAN = """
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self, dim, inner, p, num_classes):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(dim, inner), nn.GELU(), nn.Dropout(p), nn.Linear(inner, dim), nn.Dropout(p)
        )
        self.to_out = nn.Sequential(nn.Linear(inner, dim), nn.Dropout(p))
        self.features = nn.Sequential(nn.Linear(dim, num_classes), nn.ReLU(), nn.Dropout(p))
        self.classifier = nn.Sequential(nn.Dropout(p), nn.Linear(dim, num_classes))
        self.head = nn.Sequential(nn.Linear(dim, num_classes), nn.Dropout(0))
        self.embed = nn.Sequential(nn.Linear(num_classes, dim), nn.Dropout(p))
        self.drop = nn.Dropout(p)
    def forward(self, q, k):
        return self.drop((q @ k.mT).softmax(-1))
def block(dim, p):
    layers = nn.Sequential(nn.Linear(dim, dim), nn.Dropout(p))
    return layers
"""


@pytest.mark.parametrize("text", [HEADS, SOFTMAX, CLEAN])
def test_what_is_found(text):
    found = audit_text(text, rules={"dropout-on-logits"})
    marked = [n for n, line in enumerate(text.splitlines(), 1) if line.endswith("#!")]
    assert [each.line for each in found] == marked
    assert {each.severity for each in found} <= {"advice"}


NET = """
from torch import nn
class Net(nn.Module):
    def __init__(self, output_size=10):
        super().__init__()
        self.fc = nn.Linear(96, output_size)
        self.drop = nn.Dropout(0.5)
    def forward(self, x):
        x = self.fc(x)
        return self.drop(x)
"""


@pytest.mark.parametrize(
    ("train", "lines"),
    [
        ("net = Net().to(0)\nloss = nn.CrossEntropyLoss()\nloss(net(x), y)\n", [10]),
        ("net = Net().to(0)\nloss = nn.MSELoss()\nloss(net(x), y)\n", []),
        ("encoder = Net()\nloss = nn.CrossEntropyLoss()\nloss(head(encoder(x)), y)\n", []),
        (
            "net = Net()\nhead = nn.Linear(10, 2)\nloss = nn.CrossEntropyLoss()\nhead(net(x))",
            [],
        ),
        (
            "class Two:\n    def __init__(self):\n        self.a = Net()\nF.cross_entropy(a, b)\n",
            [],
        ),
    ],
)
def test_another_file_trains_the_model(tmp_path, train, lines):
    head = "from torch import nn\nfrom net import Net\n"
    files = {"net.py": NET, "train.py": head + train}
    found = findings_in(tmp_path, files, "net.py", "dropout-on-logits")
    assert found == [(line, "advice") for line in lines]
