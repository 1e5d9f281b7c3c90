"""`dropout_add` in torch operations: the definition, and the sums of the compiled kernels."""

import pytest
import torch

import torchdropout as td
from oracle import dropout, same_bits
from torchdropout._core.contract import scale
from torchdropout._core.contract.keep import compute_dtype
from torchdropout._core.kernels import add

P, KEY, SHAPE = 0.3, td.Key(5, 6), (2 * add.ROWS + 9, 7)  # three blocks, the last in part
MASK = (P, scale(P), 0, [7, 1])
DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]


def normal(shape, dtype, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, dtype=torch.float64, generator=generator).to(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_forward(dtype):
    wide = compute_dtype(dtype)
    x, residual = normal(SHAPE, dtype, 1), normal(SHAPE, dtype, 2)
    for bias in (None, normal(7, dtype, 3)):
        value = x.to(wide) if bias is None else x.to(wide) + bias.to(wide)
        expected = residual.to(wide) + dropout(value, P, KEY, td.MaskLayout.of(SHAPE))
        found = add.dropout_add(x, KEY.tensor(), residual, bias, *MASK)
        assert same_bits(found, expected.to(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_backward(dtype):
    gradient, wide = normal(SHAPE, dtype, 4), compute_dtype(dtype)
    expected = dropout(gradient.to(wide), P, KEY, td.MaskLayout.of(SHAPE))
    for summed in (False, True):
        y, sums = add.dropout_add_backward(gradient, KEY.tensor(), dtype, summed, *MASK)
        assert same_bits(y, expected.to(dtype))
        assert sums.shape == ((7,) if summed else (0,))
        assert sums.dtype == wide
    torch.testing.assert_close(sums, expected.double().sum(0).to(wide), rtol=1e-5, atol=1e-4)
    x, bias = torch.zeros(SHAPE, dtype=dtype), torch.zeros(7, dtype=wide, requires_grad=True)
    td.functional.dropout_add(x, x, P, bias=bias, key=KEY).backward(gradient)
    assert same_bits(bias.grad, sums)


@pytest.mark.parametrize(
    "shape", [(3, 5), (256, 64), (2 * 256 + 9, 7), (8 * 256, 256), (20_000, 1)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_are_summed_one_after_the_other(dtype, shape):
    """In blocks in their type, then the blocks in float64: other orders have other roundings."""
    gradient = normal(shape, dtype, 4) * normal(shape, torch.float64, 5).mul(4).exp().to(dtype)
    numbers = 0.0, 1.0, 0, [shape[1], 1]
    _, sums = add.dropout_add_backward(gradient, KEY.tensor(), dtype, True, *numbers)
    expected = torch.zeros(shape[1], dtype=torch.float64)
    for block in gradient.split(add.ROWS):
        of_block = torch.zeros(shape[1], dtype=dtype)
        for row in block:
            of_block += row
        expected += of_block
    assert same_bits(sums, expected.to(dtype))
