"""When a difference is one of rounding, and which models have a fast path."""

import pytest
import torch

from torchdropout.models.mc._probe import PlanProbe
from torchdropout.models.mc._proof import _has_fast_path, _is_rounding, prove

X = torch.ones(2, 4)
PROVEN = "With the mean of each draw the output is eval's"
OTHER = "something other than dropout depends on the training mode."


@pytest.mark.parametrize(
    ("difference", "expected"),
    [
        (None, False),
        ((0.0, 0.0), True),
        ((1.0, 1.0), True),
        ((0.5, 1.0), True),
        ((1.0, 0.5), False),
        ((float("inf"), 0.5), False),
    ],
)
def test_a_difference_of_rounding(difference, expected):
    assert _is_rounding(difference) is expected


def test_models_with_a_fast_path():
    layer = torch.nn.TransformerEncoderLayer(4, 2, 4, batch_first=True)
    assert _has_fast_path(torch.nn.Sequential(torch.nn.ReLU(), layer))
    assert _has_fast_path(torch.nn.TransformerEncoder(layer, 1))
    assert not _has_fast_path(torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Dropout()))


class Changes(torch.nn.Module):
    """Dropout, what is added when it draws, and dropout that eval does not turn off."""

    def __init__(self, added=0.0, buffer=0.0, wrap=lambda y: y, always=0.0, dtype=None):
        super().__init__()
        self.added, self.buffer, self.wrap = added, buffer, wrap
        self.always, self.dtype = always, dtype
        self.register_buffer("first", torch.zeros(1))
        self.register_buffer("second", torch.zeros(1))

    def forward(self, x):
        y = torch.nn.functional.dropout(x, 0.5, self.training)
        if self.training:
            y = y + self.added
            y = y.to(self.dtype)
            self.second += self.buffer
        if self.always:
            y = torch.nn.functional.dropout(y, self.always, True)
        return self.wrap(y)


def proved(model):
    model = model.eval()
    probe = PlanProbe(model, (X,), {}, around=lambda: _train(model), forced=True)
    return prove(probe, (X,), {})


class _train:
    def __init__(self, model):
        self.model = model

    def __enter__(self):
        self.model.training = True

    def __exit__(self, *_):
        self.model.training = False


@pytest.mark.parametrize(
    ("model", "proof", "problem"),
    [
        (Changes(), f"{PROVEN}, bit for bit.", ""),
        (Changes(5e-6), f"{PROVEN}, within 5e-06.", ""),
        (
            Changes(0.25),
            "",
            f"With the mean of each draw the output differs from eval's by 0.25: {OTHER}",
        ),
        (Changes(0.25, buffer=1.0), "", "Turning dropout on changes the buffer second too."),
        (Changes(buffer=float("nan")), "", "Turning dropout on changes the buffer second too."),
        (
            Changes(wrap=lambda y: y.tolist()),
            "Whether anything else changes is unknown: the output, list, has no tensor.",
            "",
        ),
        (
            Changes(dtype=torch.float64),
            "",
            f"With the mean of each draw the output has another form than eval's: {OTHER}",
        ),
        (Changes(always=1 - 2**-16), f"{PROVEN}, where it draws in eval too, bit for bit.", ""),
        (
            Changes(0.25, always=1 - 2**-16),
            "",
            f"With the mean of each draw the output differs from eval's by 0.25: {OTHER}",
        ),
    ],
)
def test_what_is_proved(model, proof, problem):
    found = proved(model)
    assert found[0] == proof
    assert found[1].startswith(problem) if problem else not found[1]
    assert not model.second.any()


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
def test_a_fast_path_that_sets_padding_to_zero():
    layer = torch.nn.TransformerEncoderLayer(4, 2, 4, dropout=0.5, batch_first=True)
    model = torch.nn.TransformerEncoder(layer, 1).eval()
    call = (X[None],), {"src_key_padding_mask": torch.tensor([[False, True]])}
    found, problem = prove(PlanProbe(model, *call, forced=True), *call)
    said = f"{PROVEN} without the fast path of torch's encoder, which sets padding to zero, "
    assert found.startswith(said)
    assert not problem
