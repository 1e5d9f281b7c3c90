"""A sparse gradient, as that of an embedding, stays sparse, with the values of a dense one."""

import pytest
import torch

import torchdropout as td

torch_F = torch.nn.functional
ROWS = torch.tensor([1, 2, 1, 9])
FUNCTIONS = {
    "dropout": lambda w: td.functional.dropout(w, 0.5),
    "in place": lambda w: td.functional.dropout(w * 2, 0.5, inplace=True),
    "one draw per row": lambda w: td.functional.dropout(w, 0.5, broadcast_dims=(1,)),
    "p for each element": lambda w: td.functional.dropout(w, torch.full((10, 4), 0.5)),
    "all dropped": lambda w: td.functional.dropout(w, 1.0),
    "alpha": lambda w: td.functional.alpha_dropout(w, 0.5, training=True),
    "noise": lambda w: td.functional.gaussian_dropout(w, 0.5),
    "sum": lambda w: td.functional.dropout_add(w, w, 0.5),
    "columns": lambda w: td.functional.column_dropout(w, 0.5),
}


def gradient(function, look_up, dtype):
    w = torch.arange(1.0, 41, dtype=dtype).view(10, 4).requires_grad_()
    torch.manual_seed(0)
    y = look_up(function(w))
    y.backward(torch.arange(1.0, y.numel() + 1, dtype=dtype).view_as(y))
    return w.grad


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_of_an_embedding(name, dtype):
    dense, sparse = (
        gradient(FUNCTIONS[name], lambda w, s=s: torch_F.embedding(ROWS, w, sparse=s), dtype)
        for s in (False, True)
    )
    assert sparse.layout is torch.sparse_coo
    torch.testing.assert_close(sparse.to_dense(), dense)


def test_of_gather():
    places = torch.tensor([[1, 2, 0, 3], [1, 9, 0, 3]])
    dense, sparse = (
        gradient(
            FUNCTIONS["dropout"],
            lambda w, s=s: torch.gather(w, 0, places, sparse_grad=s),
            torch.float32,
        )
        for s in (False, True)
    )
    assert sparse.layout is torch.sparse_coo
    assert torch.equal(sparse.to_dense(), dense)


def test_an_infinite_gradient_of_a_dropped_place_is_zero():
    w = torch.ones(10, 4, requires_grad=True)
    key = td.Key(3)
    y = torch_F.embedding(ROWS, td.functional.dropout(w, 0.5, key=key), sparse=True)
    y.backward(torch.full_like(y, torch.inf))
    kept = td.keep_mask((10, 4), 0.5, key=key)
    rows = torch.zeros(10, dtype=torch.bool).index_fill(0, ROWS, True)
    expected = torch.where(kept & rows[:, None], torch.inf, 0.0)
    assert torch.equal(w.grad.to_dense(), expected)
