"""Properties of some kinds only, and what is said of those that lack them."""

import math
import re

import pytest
import torch

from torchdropout.verify.checks.conditions import kinds
from torchdropout.verify.context import Fault
from verify.checks._alone import context, fault, put, run
from verify.correct import specs

SHAPES = [
    (1, 1, 1, 3), (2, 3, 5, 7), (2, 2, 16, 16), (1, 5, 33, 17), (1, 2, 130, 65), (1, 1, 3, 1025),
]  # fmt: skip


def attention(change):
    def target(query, key, value, p, training):
        weights = torch.softmax(query @ key.mT, -1)
        mask = torch.rand(weights.shape) >= p
        return change(weights * mask / (1 - p) if training else weights, p) @ value

    return target


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w, p: w if w.shape[-1] != 17 else put(w, _0=0.0, _1=1.0),
         "1 samples, 5 heads, 33 queries, 17 keys: 1 of 2805 weights are neither 0 nor scaled "
         "by 1 / (1 - p), such as 17, expected 2"),
        (lambda w, p: w * 1.002, "1 samples, 1 heads, 1 queries, 3 keys: "),
    ],
)  # fmt: skip
def test_weights_that_are_wrong(change, said):
    found = fault("attention-everywhere", attention(change), spec="attention")
    assert found.message.startswith(said)


def test_a_rate_of_weights_that_is_wrong(monkeypatch):
    monkeypatch.setattr(kinds, "ATTENTION", SHAPES[1:2])
    rare = attention(lambda w, p: w * (torch.rand(w.shape) >= 0.5))
    found = fault("attention-everywhere", rare, spec="attention")
    assert re.match(r"p=0.5, 2 samples, .* all places: 0\.7\d* of \d+ dropped", found.message)


def test_heads_that_share_their_draws():
    def shared(weights, p):
        if weights.shape == (2, 2, 16, 16):
            weights[:, 1] = weights[:, 0]
        return weights

    found = fault("attention-everywhere", attention(shared), spec="attention")
    assert "2 heads, 16 queries, 16 keys, pairs 256 places apart" in found.message


# --- Embeddings -----------------------------------------------------------------------------------


class Words(torch.nn.Module):
    """Drops rows of its weight, or words of its output."""

    def __init__(self, p=0.5, rows=100, change=None):
        super().__init__()
        self.embedding = torch.nn.Embedding(rows, 4)
        self.p, self.change = p, change
        self.given = []

    def forward(self, indices):
        self.given.append(indices.clone())
        weight = self.embedding.weight
        if self.training:
            weight = weight * (torch.rand(len(weight), 1) >= self.p) / (1 - self.p)
        y = torch.nn.functional.embedding(indices, weight)
        return self.change(y) if self.training and self.change else y


class Built:
    def __init__(self, module):
        self.module = module
        self.target = self


def repeats(module, monkeypatch):
    ctx = context(torch.nn.Dropout(0.5))
    monkeypatch.setattr(ctx, "build", lambda p: Built(module))
    return kinds.embedding_repeats.run(ctx)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda y: put(y, **{f"_{4 * 128}": 99.0}), "1 of 128 repeated rows differ from the first"),
        (lambda y: put(y, **{f"_{4 * 64}": 99.0}), "1 of 128 repeated rows differ from the first"),
        (lambda y: put(y, _0=99.0, _1=99.0), "2 of 128 repeated rows differ from the first"),
        (lambda y: y @ y, "a call with indices that repeat raised "),
    ],
)
def test_rows_of_an_embedding_that_differ(change, said, monkeypatch):
    with pytest.raises(Fault) as caught:
        repeats(Words(change=change), monkeypatch)
    assert caught.value.message.startswith(said)


# --- Other arguments ------------------------------------------------------------------------------


def writes(spec, name, mode):
    """A target of a kind that writes into two values of an argument in one mode."""

    def write(training, **given):
        if training is (mode == "training"):
            x = given[name]
            (x.view(-1)[:2] if x.is_contiguous() else x.data[..., 0, :2]).fill_(7.0)

    def add(x, p, training, residual, bias):
        write(training, residual=residual, bias=bias)
        return residual + x + bias

    def zoneout(new, old, p, training):
        write(training, old=old)
        return new

    def attention(query, key, value, p, training):
        write(training, key=key, value=value)
        return torch.softmax(query @ key.mT, -1) @ value

    return {"dropout-add": add, "zoneout": zoneout, "attention": attention}[spec]


@pytest.mark.parametrize(
    ("spec", "name", "size", "changed"),
    [
        ("dropout-add", "residual", 480, 2),
        ("dropout-add", "bias", 20, 2),
        ("zoneout", "old", 480, 2),
        ("attention", "key", 288, 2),
        ("attention", "value", 288, 8),
    ],
)
def test_an_argument_that_is_written_to(spec, name, size, changed):
    for mode in ("training", "eval"):
        found = fault("arguments-unmodified", writes(spec, name, mode), spec=spec)
        assert found.message == f"{changed} of {size} values of `{name}` changed in {mode}"


# --- Pairs of noise -------------------------------------------------------------------------------


def noise(make):
    def drop(x, p, training):
        z = make(torch.randn(x.shape))
        return x * (1 + z * math.sqrt(p / (1 - p))) if training else x

    return drop


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda z: z.view(-1, 2)[:, :1].abs().expand(-1, 2).reshape(-1) * z.sign(),
         "lag 1, pairs of which one is in the middle half: 0 of "),
        (lambda z: z.view(-1, 2, 256)[:, :1].expand(-1, 2, 256).reshape(-1),
         "lag 256, pairs on different sides of the median: 0 of "),
        (lambda z: torch.cat([z[: len(z) // 2], -z[: len(z) // 2]]),
         "halves of a call, pairs on different sides of the median: 1 of "),
    ],
)  # fmt: skip
def test_noise_whose_numbers_depend_on_each_other(make, said):
    found = fault("noise-pairs", noise(make), spec="gaussian")
    assert found.message.startswith(f"p=0.5, {said}")


@pytest.mark.parametrize(
    ("name", "target", "spec"),
    [
        ("attention-everywhere", specs.attention, "attention"),
        ("arguments-unmodified", specs.attention, "attention"),
        ("arguments-unmodified", specs.dropout_add, "dropout-add"),
        ("noise-law", specs.gaussian, "gaussian"),
        ("noise-pairs", specs.gaussian, "gaussian"),
    ],
)
def test_what_is_right(name, target, spec):
    assert run(name, target, spec=spec).message
