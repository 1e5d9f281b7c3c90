"""A whole model by one key, and passes of Monte-Carlo dropout: a GPU draws what a CPU does.

`make gpu`. Without one all of it is skipped; where `TEST_DEVICE` is `cpu`, it compares that with
itself, so that a fault of these tests is met before a GPU is.
"""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as torch_F

import torchdropout as td
from accelerator import DEVICE, needs_gpu
from torchdropout import functional as F
from torchdropout import mc
from torchdropout._core.kernels import devices

X = torch.rand(16, 6, 8, generator=torch.Generator().manual_seed(0))

pytestmark = [
    pytest.mark.gpu,
    needs_gpu,
    # The compiler's own words on what it leaves to Python, and on how a GPU multiplies.
    pytest.mark.filterwarnings("ignore:Dynamo does not know how to trace:UserWarning"),
    pytest.mark.filterwarnings("ignore:TensorFloat32 tensor cores:UserWarning"),
]


@pytest.fixture(autouse=True)
def fresh():
    """No graph of another test; and a kernel that failed would give the reference's bits."""
    torch._dynamo.reset()
    yield
    assert devices.failed == {}
    assert not any(devices.refused.values())


class Draws(torch.nn.Module):
    """Its output shows each mask, and no rounding: ones are dropped, side by side."""

    def __init__(self):
        super().__init__()
        self.drop = torch.nn.Dropout(0.3)
        self.channels = torch.nn.Dropout1d(0.5)
        self.ours = td.nn.Dropout(0.2)
        self.attention = torch.nn.MultiheadAttention(8, 2, dropout=0.25, batch_first=True)

    def forward(self, x):
        ones = torch.ones_like(x)
        heads = ones.unsqueeze(1)
        p = 0.4 if self.training else 0.0
        keep = ones
        if self.training:
            keep = keep.new_empty(len(x), 1, 1).bernoulli_(0.7).expand_as(x) / 0.7
        unit = torch.eye(6, device=x.device).expand(len(x), 1, 6, 6)
        weights = torch_F.scaled_dot_product_attention(heads, heads, unit, dropout_p=p)
        # Which heads are those of a sample is seen where samples differ.
        of_heads = self.attention(x, x, x, average_attn_weights=False)[1]
        parts = [
            self.drop(ones),
            self.channels(ones),
            self.ours(ones),
            torch_F.alpha_dropout(ones, 0.3, self.training),
            F.drop_path(ones, 0.4, self.training),
            keep,
            weights != 0,
            of_heads != 0,
        ]
        return torch.cat([part.flatten(1).to(x.dtype) for part in parts], 1)


def keyed(model, x, step):
    """The parts of two processes."""
    parts = []
    for start in (0, 8):
        with td.keyed(model, seed=2**63 + 5, step=step, batch=(start, 16)):
            parts.append(model(x[start : start + 8]))
    return torch.cat(parts).detach().cpu()


@pytest.mark.parametrize("compiled", [False, True])
def test_a_keyed_model(compiled):
    model, steps = Draws(), (0, 2**40)
    expected = [keyed(model, X, step) for step in steps]
    assert not torch.equal(*expected)
    model = model.to(DEVICE)
    if compiled:
        model = torch.compile(model, fullgraph=True)
    assert all(map(torch.equal, (keyed(model, X.to(DEVICE), step) for step in steps), expected))


@pytest.mark.parametrize("compiled", [False, True])
def test_gradients_of_a_keyed_model(compiled):
    """Those of the dropped elements are zero, also where the backward comes after the scope."""
    found = []
    for device in ("cpu", DEVICE):
        model = torch.nn.Sequential(torch.nn.Dropout(0.3), torch.nn.Dropout1d(0.5)).to(device)
        if compiled and device == DEVICE:
            model = torch.compile(model, fullgraph=True)
        x = torch.ones(16, 6, 8, device=device, requires_grad=True)
        with td.keyed(model, seed=1, step=2, batch=(16, 64)):
            y = model(x)
        y.sum().backward()
        found.append((y.detach().cpu(), x.grad.cpu()))
    assert torch.equal(found[0][0], found[0][1])
    assert all(map(torch.equal, *found))


@pytest.mark.parametrize("strategy", ["loop", "repeat"])
@pytest.mark.parametrize("compiled", [False, True])
def test_monte_carlo_dropout(strategy, compiled):
    """The compiler leaves the passes to Python, whatever it compiles around them."""
    options = {"seed": 3, "task": "regression", "strategy": strategy, "keep_samples": True}
    found = []
    for device in ("cpu", DEVICE):
        predictor = mc.MCDropout(Draws().eval().to(device), 5, **options)
        predict = lambda x, predictor=predictor: predictor(x).samples  # noqa: E731
        if compiled and device == DEVICE:
            predict = torch.compile(predict)
        samples = predict(X.to(device))
        assert samples.device.type == device
        found.append(samples.cpu())
    assert len(set(map(str, found[0].flatten(1).tolist()))) == 5
    assert torch.equal(*found)
