"""TD144: Dropout1d to 3d behind layers of other dimensions. Lines that end in `#!` are found."""

import pytest
import torch
from torch import nn

from torchdropout_audit.source import audit_text

SEQUENTIALS = """
from torch import nn
a = nn.Sequential(nn.Conv1d(4, 8, 3), nn.ReLU(), nn.Dropout2d(0.1))  #!
b = nn.Sequential(nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8), nn.Dropout3d(0.1))  #!
c = nn.Sequential(nn.Conv2d(4, 8, 3), nn.Dropout(0.1), nn.Dropout1d(0.1))  #!
d = nn.Sequential(nn.ConvTranspose3d(4, 8, 3), nn.Dropout2d(0.1))  #!
e = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.GELU(), nn.Dropout1d(0.1))  #!
f = nn.Sequential(nn.MaxPool1d(2), nn.Dropout2d(0.1))  #!
"""

CHAIN = """
import torch.nn.functional as F
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 8)
        self.drop = nn.Dropout2d(0.1)
        self.conv = nn.Conv1d(8, 8, 3)
    def forward(self, x):
        x, (h, c) = self.lstm(x)
        x = self.drop(x)  #!
        y = F.relu(self.conv(x.transpose(1, 2)))
        y = F.dropout2d(y, 0.1, self.training)  #!
        return y
"""

CLEAN = """
import torch.nn.functional as F
from torch import nn
a = nn.Sequential(nn.Conv1d(4, 8, 3), nn.Dropout1d(0.1))
b = nn.Sequential(nn.Conv2d(4, 8, 3), nn.ReLU(), nn.Dropout2d(0.1))
c = nn.Sequential(nn.Conv3d(4, 8, 3), nn.Dropout3d(0.1))
d = nn.Sequential(nn.Conv1d(4, 8, 3), nn.Unflatten(1, (2, 4)), nn.Dropout2d(0.1))
e = nn.Sequential(nn.Linear(4, 8), nn.Unflatten(1, (2, 2, 2)), nn.Dropout2d(0.1))
f = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.1))
g = nn.Sequential(nn.Conv1d(4, 8, 3), nn.Dropout2d(0.0))
h = nn.Sequential(nn.Conv1d(4, 8, 3), nn.FeatureAlphaDropout(0.1))
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 8)
        self.drop = nn.Dropout1d(0.1)
    def forward(self, x):
        x, _ = self.lstm(x)
        x = self.drop(x.transpose(1, 2))
        x = x.unsqueeze(3)
        return F.dropout2d(x, 0.1, self.training)
"""


@pytest.mark.parametrize("text", [SEQUENTIALS, CHAIN, CLEAN])
def test_what_is_found(text):
    found = audit_text(text, rules={"feature-dropout-rank"})
    marked = [n for n, line in enumerate(text.splitlines(), 1) if line.endswith("#!")]
    assert [each.line for each in found] == marked
    assert {each.severity for each in found} <= {"advice"}


@pytest.mark.parametrize(
    ("dropout", "shape"), [(nn.Dropout3d, (64, 4, 5, 5)), (nn.Dropout1d, (64, 20))]
)
def test_whole_samples_are_dropped(dropout, shape):
    y = dropout(0.5)(torch.ones(shape)).flatten(1)
    assert bool(((y == 0).all(1) | (y == 2).all(1)).all())
    assert 0 < (y == 0).float().mean().item() < 1


def test_dropout1d_fails_on_images():
    with pytest.raises(RuntimeError, match="dropout1d"):
        nn.Dropout1d(0.5)(torch.ones(2, 3, 4, 4))


def test_dropout2d_warns_of_sequences():
    with pytest.warns(UserWarning, match="3D input"):
        nn.Dropout2d(0.5)(torch.ones(2, 3, 4))


def after(lines, dropout):
    """The messages of a dropout after some lines of a `forward`."""
    body = "".join(f"        {line}\n" for line in lines)
    text = f"""
import torch
import torch.nn.functional as F
from torch import nn
class Net(nn.Module):
    def forward(self, x, n, dims):
{body}        return F.{dropout}(x, 0.1, self.training)
"""
    return [each.message for each in audit_text(text, rules={"feature-dropout-rank"})]


@pytest.mark.parametrize(
    ("line", "rank"),
    [
        ("x.view(n, -1)", 2),
        ("x.reshape((n, -1))", 2),
        ("torch.reshape(x, [n, -1])", 2),
        ("x.view(*n, -1)", None),
        ("x.view((*n, -1))", None),
        ("x.view(n)", None),
        ("x.view(dtype=n)", None),
        ("x.view(n, -1, 1)", 3),
        ("x.view(n, -1, 1, 1)", 4),
        ("x.permute((0, 2, 1))", 3),
        ("torch.permute(x, (0, 2, 1))", 3),
        ("x.permute(*dims)", None),
        ("x.flatten(1)", 2),
        ("x.flatten(start_dim=1)", 2),
        ("x.flatten(1, -1)", 2),
        ("x.flatten(1, end_dim=-1)", 2),
        ("x.flatten(1, 2)", None),
        ("x.flatten(2)", None),
        ("x.flatten()", None),
        ("torch.flatten(x, 1)", 2),
        ("torch.flatten(x)", None),
        ("x.mean((2, 3))", 2),
        ("x.mean([2, 3])", 2),
        ("x.mean((2,))", None),
        ("x.mean(dims)", None),
        ("x.mean(2, 3)", None),
        ("torch.bmm(x, n)", 3),
        # An index, `squeeze` and what has as many dimensions as its name says.
        ("x.view(n, -1)[:, 0]", 1),
        ("x.view(n, 1, 1, -1)[:, 0, 1:]", 3),
        ("x.view(n, -1)[:, None]", 3),
        ("x.view(n, 1, -1)[n]", None),
        ("x.view(n, 1, -1)['a']", None),
        ("x.view(n, 1, -1)[True]", None),
        ("x.view(n, 1, -1).squeeze(1)", 2),
        ("x.view(n, 1, -1).squeeze()", None),
        ("nn.Conv2d(4, 4, 1)(x).squeeze(2)", 3),
        ("nn.BatchNorm1d(4)(x).squeeze(2)", None),
    ],
)
def test_the_dimensions_of_a_result(line, rank):
    assert bool(after([f"x = {line}"], "dropout1d")) == (rank in (2, 4))
    assert bool(after([f"x = {line}"], "dropout2d")) == (rank in (2, 3))
    assert bool(after([f"x = {line}"], "dropout3d")) == (rank in (2, 3, 4))
    more = [f"x = {line}", "x = x.unsqueeze(1)"]
    assert bool(after(more, "dropout2d")) == (rank in (1, 2))
    assert bool(after(more, "dropout1d")) == (rank in (1, 3))


@pytest.mark.parametrize(
    ("line", "dropout", "fault"),
    [
        ("x.view(n, -1)", "dropout1d", "it takes 2-D input as unbatched and drops whole samples"),
        ("x.view(n, -1)", "dropout2d", "torch warns about 2-D input, and drops single elements"),
        ("x.view(n, -1)", "dropout3d", "it takes 2-D input as unbatched and drops whole samples"),
        ("x.view(n, 1, 1)", "dropout2d",
         "torch warns about 3-D input, and will treat it differently"),
        ("x.view(n, 1, 1)", "dropout3d", "it takes 3-D input as unbatched and drops whole samples"),
        ("x.view(n, 1, 1, 1)", "dropout1d", "it fails on 4-D input"),
        ("x.view(n, 1, 1, 1)", "dropout3d",
         "it takes 4-D input as unbatched and drops whole samples"),
    ],
)  # fmt: skip
def test_the_words_of_a_finding(line, dropout, fault):
    [message] = after([f"x = {line}"], dropout)
    assert message.endswith(f": {fault}")


@pytest.mark.parametrize(
    ("layers", "message", "hint"),
    [
        ("nn.Conv1d(4, 8, 3), nn.Dropout2d(0.1)",
         "Dropout2d after Conv1d: torch warns about 3-D input, and will treat it differently",
         "Dropout1d"),
        ("nn.Conv3d(4, 8, 3), nn.Dropout2d(0.1)",
         "Dropout2d after Conv3d: torch warns about 5-D input, and will treat it differently",
         "Dropout3d"),
        ("nn.Conv2d(4, 8, 3), nn.Dropout1d(0.1)",
         "Dropout1d after Conv2d: it fails on 4-D input", "Dropout2d"),
        ("nn.Dropout2d(0.1), nn.Conv1d(4, 8, 3)",
         "Dropout2d before Conv1d: torch warns about 3-D input, and will treat it differently",
         "Dropout1d"),
        ("nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout2d(0.1)",
         "Dropout2d after Linear: torch warns about 2-D input, and drops single elements",
         "Dropout"),
        ("nn.Flatten(), nn.Dropout1d(0.1)",
         "Dropout1d after Flatten: it takes 2-D input as unbatched and drops whole samples",
         "Dropout"),
        ("nn.Linear(4, 8), nn.Dropout2d(0.1)",
         "Dropout2d after Linear: it drops slices of dimension 1, and the features are in the last",
         "plain dropout, or transpose first"),
        ("tdn.LSTM(4, 8), nn.Dropout2d(0.1)",
         "Dropout2d after LSTM: it drops slices of dimension 1, and the features are in the last",
         "plain dropout, or transpose first"),
    ],
)  # fmt: skip
def test_the_words_about_two_layers(layers, message, hint):
    head = "from torch import nn\nimport torchdropout.nn as tdn\n"
    text = f"{head}net = nn.Sequential(nn.ReLU(), {layers}, nn.ReLU())\n"
    [finding] = audit_text(text, rules={"feature-dropout-rank"})
    assert (finding.message, finding.hint) == (message, hint)
    other = text.replace("nn.Linear", "other.Linear").replace("tdn.LSTM", "other.LSTM")
    if other != text and "BatchNorm" not in text:
        assert audit_text(other, rules={"feature-dropout-rank"}) == []


@pytest.mark.parametrize(
    ("value", "dropout", "hint"),
    [
        ("x.view(n, -1)", "dropout2d", "Dropout"),
        ("x.view(n, 1, -1)[:, 0]", "dropout2d", "Dropout"),
        ("x.view(n, 1, -1)", "dropout2d", "dropout1d"),
        ("x.view(n, 1, -1)", "dropout3d", "dropout1d"),
        ("x.view(n, 1, 1, -1)", "dropout1d", "dropout2d"),
        ("x.view(n, 1, 1, -1)", "dropout3d", "dropout2d"),
    ],
)
def test_the_dropout_for_the_dimensions(value, dropout, hint):
    text = f"import torch.nn.functional as F\ndef f(x, n):\n    x = {value}\n"
    text = f"{text}    return F.{dropout}(x, 0.1, True)\n"
    [finding] = audit_text(f"import torch\n{text}", rules={"feature-dropout-rank"})
    assert finding.hint == hint
