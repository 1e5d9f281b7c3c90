"""TD142: dropout on logits. Lines that end in `#!` are to be found."""

import ast
import textwrap

import pytest

from _marks import marked
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
run(nn.Sequential(nn.Linear(8, 16), nn.Dropout(0.1)))
blocks["a"] = nn.Sequential(nn.Linear(8, 16), nn.Dropout(0.1))
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


def net(forward, fc="nn.Linear(8, 16)", head="class Net(nn.Module):", method="forward"):
    """A Module with a dropout, a layer and the body of a method."""
    body = textwrap.indent(forward, " " * 8).replace("\n        def ", "\n    def ")
    source = f"""
from .layers import ConvRelu, GraphConv, GraphEncoder, ReluConv
class Local(nn.Module):
    def __init__(self, a, b):
        self.weight = nn.Parameter(torch.zeros(a, b))
    def forward(self, x, edges):
        return edges @ x @ self.weight
{head}
    def __init__(self, dim, num_classes, vocab, out_dim):
        super().__init__()
        self.drop = nn.Dropout(0.1)
        self.embed = nn.Embedding(vocab, 8)
        self.fc = {fc}
        self.other = nn.Linear(8, 16)
    def {method}(self, x, y):
{body}
"""
    ast.parse(source)
    return source


DROPPED = "return self.drop(self.fc(x))  #?"
SIGMOID = "y = self.drop(self.fc(x))  #?\ny = y.sigmoid()\nreturn y * x"


@pytest.mark.parametrize(
    "fc",
    [
        "nn.Linear(dim, num_classes)",
        "nn.Linear(dim, out_features=num_classes)",
        "nn.Linear(out_features=num_classes, in_features=dim)",
        "nn.Conv2d(dim, num_classes, 1)",
        "nn.Conv1d(dim, kernel_size=1, out_channels=num_classes)",
        "nn.Bilinear(dim, dim, num_classes)",
        "nn.LazyLinear(num_classes)",
        "nn.Linear(dim, 2 * num_classes)",
        "nn.Linear(dim, vocab)",
    ],
)
@pytest.mark.parametrize("forward", [DROPPED, SIGMOID])
def test_a_projection_with_as_many_outputs_as_classes(fc, forward):
    found, expected = marked("dropout-on-logits", net(forward, fc))
    assert found == expected
    assert len(found) == 1


@pytest.mark.parametrize(
    "fc",
    [
        "nn.Linear(dim, 16)",
        "nn.Linear(num_classes, dim)",
        "nn.Linear(in_features=num_classes, out_features=dim)",
        "nn.Linear(dim)",
        "nn.Linear(dim, dim, num_classes)",
        "nn.Conv2d(dim, dim, num_classes)",
        "nn.Bilinear(dim, num_classes, dim)",
        "nn.LazyConv2d(dim, num_classes)",
    ],
)
@pytest.mark.parametrize("forward", [DROPPED, SIGMOID])
def test_a_projection_with_other_outputs(fc, forward):
    assert marked("dropout-on-logits", net(forward.replace("  #?", ""), fc)) == ([], [])


def test_the_entries_of_an_embedding_by_name():
    entries = "num_embeddings=vocab, embedding_dim=dim"
    for fc, is_found in (("nn.Linear(8, vocab)", True), ("nn.Linear(8, dim)", False)):
        source = net(DROPPED if is_found else DROPPED.replace("  #?", ""), fc)
        found, expected = marked("dropout-on-logits", source.replace("vocab, 8", entries))
        assert found == expected


@pytest.mark.parametrize(
    ("fc", "is_found"),
    [
        ("nn.Linear(dim, 1)", True),
        ("nn.Linear(dim, out_features=1)", True),
        ("nn.Linear(1, dim)", False),
        ("nn.Linear(in_features=1, out_features=dim)", False),
        ("nn.Linear(dim, 2)", False),
        ("nn.Linear(dim, 0)", False),
        ("nn.Linear(dim, 10)", False),
        ("nn.Linear(dim, dim, 1)", False),
    ],
)
def test_one_output_before_a_sigmoid(fc, is_found):
    source = net(SIGMOID if is_found else SIGMOID.replace("  #?", ""), fc)
    found, expected = marked("dropout-on-logits", source)
    assert found == expected


@pytest.mark.parametrize(
    ("forward", "fc", "head", "method"),
    [
        # The name of the function is that of its result.
        ("return self.drop(x)  #?", "None", "class Net(nn.Module):", "logits"),
        ("return self.drop(x)  #?", "None", "class Net(nn.Module):", "compute_logits"),
        ("return self.drop(x), y  #?", "None", "class Net(nn.Module):", "get_logits"),
        ("return self.drop(x)", "None", "class Net(nn.Module):", "logits_mask"),
        ("return self.drop(x)", "None", "class Net(nn.Module):", "mask_logits"),
        ("return self.drop(x)", "None", "class Net(nn.Module):", "get_scores"),
        ("y = self.drop(x)\nreturn self.fc(y)", "nn.Linear(8, 8)", "class A(nn.Module):", "logits"),
        # Its result goes into a softmax.
        ("return self.drop(x)  #?\ndef g(self, x):\n    return self.f(x).softmax(-1)", "1",
         "class Net(nn.Module):", "f"),
        ("return self.drop(x), x\ndef g(self, x):\n    return self.f(x).softmax(-1)", "1",
         "class Net(nn.Module):", "f"),
        ("return self.drop(x)\ndef g(self, x):\n    return self.fc(self.f(x)).softmax(-1)",
         "nn.Linear(8, 8)", "class Net(nn.Module):", "f"),
        # What it acts on is named logits.
        ("logits = y + x\nreturn self.drop(logits)  #?", "1", "class Net(nn.Module):", "f"),
        ("logits = y + x\nlogits = self.drop(logits)  #?\nreturn logits + 1", "1",
         "class Net(nn.Module):", "f"),
        ("logits = y + x\ny = self.drop(logits)\nreturn y + 1", "1", "class Net(nn.Module):", "f"),
        ("logits = F.silu(x)\nreturn self.drop(logits)", "1", "class Net(nn.Module):", "f"),
        ("logits = y + x\nlogits = self.drop(logits)\nreturn self.fc(logits)",
         "nn.Linear(8, 8)", "class Net(nn.Module):", "f"),
        ("features = y + x\nreturn self.drop(features)", "1", "class Net(nn.Module):", "f"),
        # A method for scores gives it.
        ("return self.drop(self.scores(x))  #?\ndef scores(self, x):\n    return x + 1", "1",
         "class Net(nn.Module):", "f"),
        ("y = self.scores(x)\nreturn self.drop(y)  #?\ndef scores(self, x):\n    return x + 1",
         "1", "class Net(nn.Module):", "f"),
        ("return self.drop(self.scores(x))\ndef scores(self, x):\n    return F.softmax(x, -1)",
         "1", "class Net(nn.Module):", "f"),
        ("return self.drop(self.scores(x))\ndef scores(self, x):\n    y = x.sigmoid()\n"
         "    return y", "1", "class Net(nn.Module):", "f"),
        ("return self.drop(self.weights(x))\ndef weights(self, x):\n    return x + 1", "1",
         "class Net(nn.Module):", "f"),
        ("return self.drop()", "1", "class Net(nn.Module):", "f"),
        # It is added to what begins with 0.
        ("score = 0\nfor _ in x:\n    score += self.drop(self.fc(x))  #?\nreturn score[0]",
         "nn.Linear(8, out_dim)", "class Net(nn.Module):", "f"),
        ("total = 0.0\nfor _ in x:\n    total += self.drop(self.fc(x))  #?\nreturn total, x",
         "nn.Linear(8, out_dim)", "class Net(nn.Module):", "f"),
        ("total = 0\nfor _ in x:\n    total += self.drop(self.fc(x))\ny = total[0]\nreturn total",
         "nn.Linear(8, out_dim)", "class Net(nn.Module):", "f"),
        ("total = 0\nfor _ in x:\n    total -= self.drop(self.fc(x))\nreturn total",
         "nn.Linear(8, out_dim)", "class Net(nn.Module):", "f"),
        ("total = x\nfor _ in x:\n    total += self.drop(self.fc(x))\nreturn total",
         "nn.Linear(8, out_dim)", "class Net(nn.Module):", "f"),
        ("total = 0\nfor _ in x:\n    total += self.drop(self.fc(x)) + 1\nreturn total",
         "nn.Linear(8, out_dim)", "class Net(nn.Module):", "f"),
        ("self.t = 0\nfor _ in x:\n    self.t += self.drop(self.fc(x))\nreturn self.t",
         "nn.Linear(8, out_dim)", "class Net(nn.Module):", "f"),
        ("total = 0\nfor _ in x:\n    total += self.drop(self.fc(x))\nreturn total",
         "nn.Linear(8, dim)", "class Net(nn.Module):", "f"),
        # A layer of another library, by the number of its outputs.
        ("return self.drop(self.fc(x, y))  #?", "GraphConv(8, num_classes)",
         "class Net(nn.Module):", "forward"),
        ("return self.drop(self.fc(x, y))", "GraphConv(num_classes, 8)",
         "class Net(nn.Module):", "forward"),
        ("return self.drop(self.fc(x, y))", "GraphConv(8, 8, num_classes)",
         "class Net(nn.Module):", "forward"),
        ("return self.drop(self.fc(x, y))", "GraphEncoder(8, num_classes)",
         "class Net(nn.Module):", "forward"),
        ("y = self.drop(self.fc(x, y))\nreturn y + 1", "GraphConv(8, num_classes)",
         "class Net(nn.Module):", "forward"),
        ("return self.drop(self.fc(x, y))  #?", "ReluConv(8, num_classes)",
         "class Net(nn.Module):", "forward"),
        ("return self.drop(self.fc(x, y))", "ConvRelu(8, num_classes)",
         "class Net(nn.Module):", "forward"),
        ("return self.drop(self.fc(x, y))  #?", "Local(8, num_classes)",
         "class Net(nn.Module):", "forward"),
        ("return self.drop(self.fc(x, y))", "Local(num_classes, 8)",
         "class Net(nn.Module):", "forward"),
        ("return self.drop(self.fc(x, y))",
         "Local(8, num_classes)\n        self.fc = Local(8, num_classes)",
         "class Net(nn.Module):", "forward"),
        # The layer has the name of its result.
        ("y = self.drop(self.classifier(x))  #?\nreturn y * x",
         "1\n        self.classifier = nn.Linear(8, dim)", "class Net(nn.Module):", "forward"),
        ("y = self.drop(self.scores[0](x))  #?\nreturn y * x",
         "1\n        self.scores = nn.ModuleList([nn.Linear(8, dim)])",
         "class Net(nn.Module):", "forward"),
        ("y = self.drop(self.score_embedding(x))\nreturn y * x",
         "1\n        self.score_embedding = nn.Linear(8, dim)", "class Net(nn.Module):", "forward"),
        # A whole model, by its name.
        ("return self.drop(self.fc(x))  #?", "nn.Linear(8, 16)", "class Classifier(nn.Module):",
         "forward"),
        ("return self.drop(self.fc(x))  #?", "nn.Linear(8, out_dim)", "class Critic(nn.Module):",
         "forward"),
        ("return self.drop(self.fc(x))  #?", "nn.Linear(8, dim * out_dim)",
         "class Critic(nn.Module):", "forward"),
        ("return self.drop(self.fc(x))", "nn.Linear(8, dim)", "class Critic(nn.Module):",
         "forward"),
        ("return self.drop(self.fc(x))", "nn.Linear(8, 16)", "class CriticEncoder(nn.Module):",
         "forward"),
        ("return self.drop(self.fc(x))  #?", "nn.Linear(8, 1)", "class Encoder(nn.Module):",
         "forward"),
        ("return self.drop(self.fc(x))", "nn.Linear(8, 16)", "class Classifier(nn.Module):",
         "features"),
    ],
)  # fmt: skip
def test_what_shows_that_a_value_is_logits(forward, fc, head, method):
    found, expected = marked("dropout-on-logits", net(forward, fc, head, method))
    assert found == expected


@pytest.mark.parametrize(
    ("given", "is_found"),
    [
        ("self.dropout(self.classifier(x))", True),
        ("self.dropout(self.logits(x))", True),
        ("self.dropout(self.logit(x))", False),
        ("self.drop(self.classifier(x))", False),
        ("self.dropout(self.known(x))", True),
        ("self.dropout(self.hidden(x))", False),
        ("self.dropout(self.twice(x))", False),
        ("self.dropout(self.either(x))", False),
        ("self.dropout(self.encoder(x))", False),
        ("self.norm(self.classifier(x))", False),
        ("self.dropout(self.classifier(x), x)", False),
        ("self.dropout(self.classifier)", False),
        ("dropout(self.classifier(x))", False),
        ("self.dropout(classifier(x))", False),
        ("self.dropout(self.predict(x))", False),
    ],
)
def test_a_dropout_of_another_file(given, is_found):
    source = f"""
from .base import Base
class Net(Base):
    def __init__(self, num_classes):
        super().__init__()
        self.known = nn.Linear(8, num_classes)
        self.hidden = nn.Linear(8, 8)
        self.twice = nn.Linear(8, num_classes)
        self.twice = self.hidden
        self.either = Base(8, num_classes)
        self.drop = nn.Identity()
    def predict(self, x):
        return x
    def logit(self, x):
        return x
    def forward(self, x):
        return {given}{"  #?" if is_found else ""}
"""
    found, expected = marked("dropout-on-logits", source)
    assert found == expected


@pytest.mark.parametrize(
    ("rest", "is_found"),
    [
        ("loss = nn.CrossEntropyLoss()\nloss(model(x), y)", True),
        ("y = head(model(x))", False),
        ("z = model(x)\ny = head(z)", False),
        ("z = model(x)\nloss = nn.CrossEntropyLoss()(z, y)", True),
        ("z = model(x)\ny = torch.softmax(z, -1)", True),
        ("z = model(x)\ny = torch.relu(z)", False),
        ("z = model(x)\ny = part(z)", False),
        ("z = model(x)\ny = loss_of(z)", True),
        ("z = model(x)\ny = stored(z)", True),
        ("z = 1\ny = head(z)\nz = model(x)", True),
        ("both = nn.Sequential(model, head)", False),
        ("both = nn.Sequential(head, model)", True),
        ("both = [model, head]", True),
    ],
)
def test_a_model_that_no_layer_follows(rest, is_found):
    source = f"""
class Part(nn.Module): ...
class LossOf(nn.Module): ...
head = nn.Linear(16, 16)
part = Part()
loss_of = LossOf()
model = nn.Sequential(nn.Linear(8, 16), nn.Dropout(0.1))  {"#?" if is_found else ""}
{rest}
"""
    found, expected = marked("dropout-on-logits", source)
    assert found == expected


@pytest.mark.parametrize(
    ("rest", "is_found"),
    [
        ("net = Net()\nloss = nn.CrossEntropyLoss()", True),
        ("net = Net()\nloss = nn.MSELoss()", False),
        ("loss = nn.CrossEntropyLoss()\nloss.backward()", True),
        ("loss = nn.CrossEntropyLoss()", False),
        ("class All(nn.Module):\n    def __init__(self):\n        self.net = Net()\n"
         "loss = nn.CrossEntropyLoss()", False),
        ("class All(nn.Module):\n    def __init__(self):\n        self.net = Net()\n"
         "net = Net()\nloss = nn.CrossEntropyLoss()", False),
        ("class Trainer:\n    def __init__(self):\n        self.net = Net()\n"
         "loss = nn.CrossEntropyLoss()", True),
    ],
)  # fmt: skip
def test_a_class_that_is_trained_with_a_cross_entropy(rest, is_found):
    source = net(DROPPED if is_found else DROPPED.replace("  #?", "")) + rest
    found, expected = marked("dropout-on-logits", source)
    assert found == expected
