"""How the draws of DTensors are divided, without one: `test_distributed.py` has them."""

import math
import sys
from types import SimpleNamespace

import pytest
import torch

from draws import randn
from torchdropout._core.contract.layout import row_major
from torchdropout.errors import ArgumentTypeError, ArgumentValueError
from torchdropout.functional import _shards


class Everywhere:
    """A placement as torch's are read: "R", or for a sum "P", which have no dimension."""

    kind = "R"

    def is_partial(self):
        return self.kind == "P"

    def is_replicate(self):
        return self.kind == "R"


class Sum(Everywhere):
    kind = "P"


class Shard(Everywhere):
    kind = "S"

    def __init__(self, dim):
        self.dim = dim


class Strided(Shard):
    kind = "T"


def placed(text):
    """Placements by a word for each: its kind, its dimension, and the factor of a strided one."""
    for word in text.split():
        one = {"R": Everywhere, "P": Sum, "S": Shard, "T": Strided}[word[0]]
        numbers = [int(number) for number in word[1:].split("/") if number]
        placement = one(*numbers[:1])
        if one is Strided:
            placement.split_factor = numbers[1]
        yield placement


def written(placements):
    return " ".join(p.kind + (str(p.dim) if hasattr(p, "dim") else "") for p in placements)


@pytest.mark.parametrize(
    ("placements", "shape", "whole", "kept", "computed"),
    [
        ("S0", None, (), "S0", "S0"),
        ("S-1 R", None, (), "S1 R", "S1 R"),
        ("P S0", None, (), "R S0", "R S0"),
        ("S1 S0", None, (1,), "S1 S0", "R S0"),
        ("S1 S0", None, (-1,), "S1 S0", "R S0"),
        ("S0", (6, 4, 5), (), "S1", "S1"),
        ("S-1", (6, 4, 5), (0,), "S2", "S2"),
        ("T0/3 S0", None, (), "T0 S0", "T0 S0"),  # the range of FSDP and tensor parallelism
        ("T0/15 S0 S0", None, (), "T0 S0 S0", "T0 S0 S0"),
        ("T0/3 S1", None, (), "T0 S1", "R S1"),
        ("T0/2 S0", None, (), "T0 S0", "R R"),
        ("S0 T0/1", None, (), "S0 T0", "S0 T0"),
        ("T0/3 S0", (6, 4, 5), (), "T0 S1", "T0 R"),
    ],
)
def test_how_the_draws_are_divided(placements, shape, whole, kept, computed, monkeypatch):
    """A strided shard that is not one range is gathered, as is what a part needs whole."""
    fake = SimpleNamespace(Shard=Shard, Replicate=Everywhere)
    monkeypatch.setitem(sys.modules, "torch.distributed.tensor", fake)
    sizes, place = (2, 3, 5), (1, 1, 0)
    mesh = SimpleNamespace(size=sizes.__getitem__, shape=sizes, get_coordinate=lambda: place)
    placements = [*placed(placements)]
    mesh.shape, place = sizes[: len(placements)], place[: len(placements)]
    lead = SimpleNamespace(shape=(4, 5), ndim=2, device_mesh=mesh, placements=placements)
    parts = _shards._Parts(lead, whole, shape)
    assert parts.shape == (shape or (4, 5))
    assert written(parts.placements) == kept
    assert written(parts.computed) == computed
    asked = []
    offsets = [2, 3, 1][: len(parts.shape)]
    monkeypatch.setattr(
        _shards._torch, "shard_offset", lambda: lambda *args: (asked.append(args), offsets)
    )
    strides = [7, 5, 100][: len(parts.shape)]
    if "T" in computed:  # torch knows where a strided shard begins
        assert parts.base(-4, strides) == 2 * 7 + 3 * 5 + (100 if shape else 0) - 4
        assert asked == [(parts.shape, mesh, parts.computed)]
        return
    numbers = torch.arange(math.prod(parts.shape)).view(parts.shape)
    for p, own, pieces in zip(parts.computed, place, mesh.shape, strict=True):
        numbers = numbers.chunk(pieces, p.dim)[own] if hasattr(p, "dim") else numbers
    assert parts.base(-4, row_major(parts.shape)) == int(numbers.flatten()[0]) - 4
    assert asked == []


def test_a_sparse_tensor_is_refused_before_the_parts(monkeypatch):
    sparse = torch.eye(2).to_sparse()
    with pytest.raises(ArgumentTypeError, match="`old` to be a dense tensor"):
        _shards.by_parts(pytest.fail, {"new": randn(2, 2), "bias": None, "old": sparse})
    monkeypatch.setattr(_shards, "is_spread", lambda x: x is not sparse)
    assert _shards.whole(sparse) is sparse
    assert _shards.whole(SimpleNamespace(full_tensor=lambda: 5)) == 5


class Given:
    """A DTensor, as far as it is looked at."""

    def __init__(self, shape, mesh):
        self.shape, self.device_mesh = shape, mesh


HERE, ELSEWHERE = (SimpleNamespace(get_coordinate=lambda n=n: n) for n in ([0], None))
SPREAD, PLAIN = Given((4, 5), HERE), torch.ones(4, 5)


@pytest.mark.parametrize(
    ("lead", "other", "error", "words"),
    [
        (SPREAD, SPREAD, None, True),
        (SPREAD, None, None, True),
        (PLAIN, PLAIN, None, False),
        (PLAIN, None, None, False),
        (SPREAD, PLAIN, ArgumentTypeError, "`p` to be a DTensor, as `input` is,"),
        (PLAIN, SPREAD, ArgumentTypeError, "`p` to be not a DTensor, as `input` is not,"),
        (Given((4, 5), ELSEWHERE), None, ArgumentValueError, "a mesh that has this process"),
        (SPREAD, Given((4, 5), ELSEWHERE), ArgumentValueError, "on the mesh of `input`"),
    ],
)
def test_all_tensors_of_a_call_are_spread_or_none(lead, other, error, words, monkeypatch):
    monkeypatch.setattr(_shards, "is_spread", lambda x: isinstance(x, Given))
    tensors = {"input": lead, "p": other}
    if error is None:
        assert _shards.are_spread(tensors) is words
    else:
        with pytest.raises(error, match=words):
            _shards.are_spread(tensors)
