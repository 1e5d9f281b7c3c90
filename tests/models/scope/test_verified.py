"""The verifier finds no error in a model in a scope, and sees a scope that is wrong."""

import re

import pytest
import torch
from torch import nn
from torch.nn import functional as torch_F

import torchdropout as td
from torchdropout.verify import check_subject
from torchdropout.verify.targets import resolve
from verify._zoo import SMALL, quick_share, with_needed


class InScope(nn.Module):
    """A model in a scope with a new step for each call, as docs/scale.md describes it."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def step(self):
        """From torch's generator, which the verifier seeds; eval draws nothing."""
        return int(torch.randint(2**62, ())) if self.training else 0

    def forward(self, x):
        with td.keyed(self.model, seed=0, step=self.step()):
            return self.model(x)


class Attention(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, query, key, value):
        p = self.p if self.training else 0.0
        return torch_F.scaled_dot_product_attention(query, key, value, dropout_p=p)


class AttentionInScope(InScope):
    """The verifier reads the names of these arguments."""

    def forward(self, query, key, value):
        with td.keyed(self.model, seed=0, step=self.step()):
            return self.model(query, key, value)


class EverySecond(nn.Module):
    """Dropout of the elements with an even or an odd number."""

    def __init__(self, p, first):
        super().__init__()
        self.drop, self.first = nn.Dropout(p), first

    def forward(self, x):
        chosen = torch.arange(x.numel(), device=x.device) % 2 == self.first
        return torch.where(chosen.view(x.shape), self.drop(x), x)


def of_two_sites(p):
    """One dropout, as long as the masks of its two sites are independent."""
    return nn.Sequential(EverySecond(p, 0), nn.Identity(), EverySecond(p, 1))


CORRECT = {
    "plain": (lambda p: InScope(nn.Dropout(p)), None),
    "channels": (lambda p: InScope(nn.Dropout2d(p)), "dropout2d"),
    "attention": (lambda p: AttentionInScope(Attention(p)), "attention"),
    "two sites": (lambda p: InScope(of_two_sites(p)), None),
}


def errors(name, level, only=None):
    target, spec = {**CORRECT, **SCOPES}[name]
    report = check_subject(resolve(target, spec=spec), level=level, only=only)
    return {f.name: f.message for f in report.findings if f.severity == "error"}


@pytest.mark.integration
@pytest.mark.parametrize("name", ["channels", "attention", "two sites"])
def test_no_error_is_found(name):
    """By the checks that do not take long; the slow test has all, and the plain one."""
    assert errors(name, SMALL, quick_share(name, plain=False)) == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", CORRECT)
def test_no_error_is_found_at_standard(name):
    assert errors(name, "standard") == {}


# --- What is wrong -------------------------------------------------------------------------------


class SameStep(InScope):
    """A loop that forgets to advance the step."""

    def step(self):
        return 0


class MicroBatches(InScope):
    """Two in scopes of their own, the second of which begins where the first ends."""

    overlap = False

    def forward(self, x):
        if x.ndim == 0 or len(x) < 2:
            return super().forward(x)
        step, start, found = self.step(), 0, []
        for part in x.tensor_split(2):
            with td.keyed(self.model, seed=0, step=step, batch=(start, len(x))):
                found.append(self.model(part))
            start += 0 if self.overlap else len(part)
        return torch.cat(found)


class Overlapping(MicroBatches):
    """Both begin with the first sample."""

    overlap = True


SCOPES = {
    "same step": (lambda p: SameStep(nn.Dropout(p)), None),
    "micro-batches": (lambda p: MicroBatches(nn.Dropout(p)), None),
    "overlapping": (lambda p: Overlapping(nn.Dropout(p)), None),
}


@pytest.mark.integration
@pytest.mark.parametrize(
    ("name", "check", "message"),
    [
        ("same step", "train-stochastic", "gave the same output"),
        ("overlapping", "axis-independence", "samples .* apart: 0 of"),
        ("overlapping", "mask-repeats", "elements later"),
    ],
)
def test_a_wrong_scope_is_found(name, check, message):
    """By a check that finds nothing in micro-batches with the right numbers."""
    only = with_needed(check)
    assert re.search(message, errors(name, SMALL, only)[check])
    assert errors("micro-batches", SMALL, only) == {}
