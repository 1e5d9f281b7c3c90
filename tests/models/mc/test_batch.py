"""Parts and repetitions of the arguments of a forward."""

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from torchdropout.models.mc._batch import Batch

X, Y, TABLE = torch.arange(8).view(4, 2), torch.arange(12).view(4, 3), torch.arange(5)


def batch(only=None):
    return Batch((X, [Y, TABLE]), {"scale": 2.0}, 0, 4, only)


def test_the_leaves_that_hold_the_inputs():
    assert batch().having() == {0, 1}
    assert Batch((X.T,), {"y": Y}, 1, 4).having() == {0}
    assert Batch((X.T,), {"y": Y}, 1, 3).having() == {1}


@pytest.mark.parametrize("only", [None, frozenset([0]), frozenset([0, 2]), frozenset()])
def test_parts_and_repetitions(only):
    part, twice = batch(only).part(1, 3), batch(only).repeated(2)
    for made, rows in ((part, [1, 2]), (twice, [0, 1, 2, 3, 0, 1, 2, 3])):
        (x, (y, table)), kwargs = made.args, made.kwargs
        assert torch.equal(x, X if only is not None and 0 not in only else X[rows])
        assert torch.equal(y, Y if only is not None and 1 not in only else Y[rows])
        assert table is TABLE
        assert kwargs == {"scale": 2.0}
        assert (made.dim, made.size, made.only) == (0, len(rows), only)


def test_another_dimension():
    whole = Batch((X.T,), {}, 1, 4)
    assert torch.equal(whole.part(2, 4).args[0], X.T[:, 2:])
    assert torch.equal(whole.repeated(3).args[0], X.T.repeat(1, 3))


def test_the_whole_is_itself():
    whole = batch()
    assert whole.part(0, 4) is whole
    assert whole.part(0, 3) is not whole
    assert whole.part(1, 4).size == 3


def test_packed_sequences():
    padded = torch.arange(24.0).view(4, 3, 2)
    packed = pack_padded_sequence(padded, torch.tensor([4, 3, 2]))
    whole = Batch((packed,), {}, 0, 3)
    assert whole.having() == {0}
    found, lengths = pad_packed_sequence(whole.part(1, 3).args[0])
    assert lengths.tolist() == [3, 2]
    assert torch.equal(found[:3, 0], padded[:3, 1])
    _, lengths = pad_packed_sequence(whole.repeated(2).args[0])
    assert lengths.tolist() == [4, 3, 2, 4, 3, 2]


def test_batches_that_are_computed_in_the_same_way():
    kind = batch().kind()
    assert kind == Batch((X + 1, [Y, TABLE]), {"scale": 3.0}, 0, 4).kind()
    for other in (
        Batch((X[:3], [Y, TABLE]), {"scale": 2.0}, 0, 4),
        Batch((X.float(), [Y, TABLE]), {"scale": 2.0}, 0, 4),
        Batch((X.to("meta"), [Y, TABLE]), {"scale": 2.0}, 0, 4),
        Batch((X, [Y, TABLE]), {"scale": 2}, 0, 4),
        Batch((X, (Y, TABLE)), {"scale": 2.0}, 0, 4),
        Batch((X, [Y, TABLE]), {"factor": 2.0}, 0, 4),
        batch(frozenset([0])),
    ):
        assert kind != other.kind()


def test_a_forward_may_write_into_what_it_gets():
    def model(x, rest, scale):
        rest.clear()
        return x.add_(scale)

    x = X.clone()
    rest = [Y, TABLE]
    assert torch.equal(Batch((x, rest), {"scale": 2}, 0, 4)(model), X + 2)
    assert torch.equal(x, X)
    assert len(rest) == 2
