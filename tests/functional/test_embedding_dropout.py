"""Embedding dropout: one draw for each row of the table, wherever a word occurs."""

import pytest
import torch

from draws import randn
from oracle import same_bits
from torchdropout import Key
from torchdropout import functional as F

KEY = Key(8, 9)
ROWS = 20


def table():
    return randn(ROWS, 3).requires_grad_()


def words(*shape):
    return torch.randint(ROWS, shape, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32], ids=str)
def test_is_a_look_up_in_the_table_with_rows_dropped(dtype):
    weight = table()
    dropped = F.dropout(weight, 0.4, key=KEY, broadcast_dims=(1,))
    for shape in ((), (0,), (30,), (5, 7)):
        asked = words(*shape).to(dtype)
        y = F.embedding_dropout(asked, weight, 0.4, key=KEY)
        assert same_bits(y, torch.nn.functional.embedding(asked, dropped))


@pytest.mark.parametrize("training", [True, False])
def test_scale_multiplies_the_output_and_writes_nowhere(training):
    """fastai multiplies the weight itself in eval: each call makes it larger."""
    weight = table()
    before, version = weight.clone(), weight._version
    y = F.embedding_dropout(words(30), weight, 0.5, training, scale=4.0, key=KEY)
    assert torch.equal(y, 4.0 * F.embedding_dropout(words(30), weight, 0.5, training, key=KEY))
    assert torch.equal(weight, before)
    assert weight._version == version


@pytest.mark.parametrize(
    "options",
    [{}, {"padding_idx": 4}, {"padding_idx": -1}, {"scale_grad_by_freq": True}, {"sparse": True}],
    ids=str,
)
def test_the_gradient_is_that_of_the_table_with_rows_dropped(options):
    weight, asked = table(), words(5, 7)
    F.embedding_dropout(asked, weight, 0.4, key=KEY, **options).pow(2).sum().backward()
    other = table()
    dropped = F.dropout(other, 0.4, key=KEY, broadcast_dims=(1,))
    dense = {k: v for k, v in options.items() if k != "sparse"}
    torch.nn.functional.embedding(asked, dropped, **dense).pow(2).sum().backward()
    assert weight.grad.is_sparse is options.get("sparse", False)
    torch.testing.assert_close(weight.grad.to_dense(), other.grad, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("row", [-ROWS, -1, 0, ROWS - 1])
def test_a_row_of_padding_gets_no_gradient(row):
    weight = table()
    y = F.embedding_dropout(torch.arange(ROWS), weight, 0.5, False, padding_idx=row)
    (gradient,) = torch.autograd.grad(y.sum(), weight)
    assert not gradient[row].any()
    assert gradient.any(1).sum() == ROWS - 1
