"""Embedding dropout: one draw for each row of the table, wherever a word occurs."""

import pytest
import torch

from oracle import DTYPES, dropout, same_bits
from torchdropout import Key, MaskLayout
from torchdropout import functional as F
from torchdropout.errors import ArgumentValueError

KEY = Key(8, 9)
ROWS = 20


def table(dtype=torch.float32, **kwargs):
    wide = torch.complex128 if dtype.is_complex else torch.float64
    values = torch.randn(ROWS, 3, dtype=wide, generator=torch.Generator().manual_seed(1))
    return values.to(dtype).requires_grad_(kwargs.pop("requires_grad", False))


def words(*shape, dtype=torch.int64):
    return torch.randint(ROWS, shape, generator=torch.Generator().manual_seed(2)).to(dtype)


@pytest.mark.parametrize("dtype", [d for d in DTYPES if d is not torch.complex32], ids=str)
def test_is_a_look_up_in_the_table_with_rows_dropped(dtype):
    weight = table(dtype)
    dropped = dropout(weight, 0.4, KEY, MaskLayout.of((ROWS, 3), (1,)))
    for shape in ((), (0,), (30,), (5, 7)):
        for index in (torch.int64, torch.int32):
            asked = words(*shape, dtype=index)
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
    weight, asked = table(torch.float64, requires_grad=True), words(5, 7)
    F.embedding_dropout(asked, weight, 0.4, key=KEY, **options).pow(2).sum().backward()
    other = table(torch.float64, requires_grad=True)
    dropped = F.dropout(other, 0.4, key=KEY, broadcast_dims=(1,))
    dense = {k: v for k, v in options.items() if k != "sparse"}
    torch.nn.functional.embedding(asked, dropped, **dense).pow(2).sum().backward()
    assert weight.grad.is_sparse is options.get("sparse", False)
    torch.testing.assert_close(weight.grad.to_dense(), other.grad, rtol=1e-12, atol=1e-12)


JAGGED = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged)


@pytest.mark.parametrize("row", [-ROWS, -1, 0, ROWS - 1])
def test_a_row_of_padding_gets_no_gradient(row):
    weight = table().requires_grad_()
    y = F.embedding_dropout(torch.arange(ROWS), weight, 0.5, False, padding_idx=row)
    (gradient,) = torch.autograd.grad(y.sum(), weight)
    assert not gradient[row].any()
    assert gradient.any(1).sum() == ROWS - 1


@pytest.mark.parametrize(
    ("asked", "kwargs", "error", "words_"),
    [
        (torch.tensor([ROWS]), {}, IndexError, "out of range"),
        (torch.tensor([-1]), {}, IndexError, "out of range"),
        (None, {"weight": torch.ones(3)}, ArgumentValueError, "`weight` to be a table of 2 dim"),
        (None, {"weight": torch.ones(3, 2, 2)}, ArgumentValueError, "`weight` to be a table of 2"),
        (None, {"weight": JAGGED}, ArgumentValueError, "`weight` to be a table of 2 dimensions"),
        (None, {"padding_idx": ROWS}, ArgumentValueError, rf"\[-{ROWS}, {ROWS}\), a row of the"),
        (None, {"padding_idx": -ROWS - 1}, ArgumentValueError, f"padding_idx={-ROWS - 1}"),
        (
            None,
            {"scale": -float("inf")},
            ArgumentValueError,
            "`scale` to be finite, got scale=-inf",
        ),
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_refusals_draw_nothing(training, asked, kwargs, error, words_):
    asked = words(3) % 3 if asked is None else asked
    given = {"weight": table(), "training": training, **kwargs}
    before = torch.get_rng_state()
    with pytest.raises(error, match=words_):
        F.embedding_dropout(asked, **given)
    assert torch.equal(torch.get_rng_state(), before)
