"""n of m and columns: which are kept, by the definition; the product, its gradient, its edges."""

import pytest
import torch

import definitions
from oracle import FLOATS, same_bits, same_but_nans
from torchdropout import Key, MaskLayout, backends
from torchdropout import functional as F
from torchdropout._core import ops
from torchdropout._core.contract.noise import DOMAIN_ORDER, word

KEY = Key(2**63 + 5, 2**59 + 6)


@pytest.mark.parametrize(("n", "m", "dim"), [(2, 4, -1), (1, 2, 1), (5, 18, 1), (1, 36, 0)])
def test_n_of_m_is_the_definition(n, m, dim):
    shape = [2, 3, 5]
    shape[dim] = m * max(1, 8 // m)
    x = torch.randn(shape, dtype=torch.float64)
    expected = definitions.counted(dim, m, n)([x], None, KEY, MaskLayout.of(shape))
    assert torch.equal(F.n_m_dropout(x, n, m, dim=dim, key=KEY), expected)


# Groups of 64 under KEY in which two words are equal, the places of the two, and how many of the
# group are smaller: one pair of places in 2**32 is such.
TIES = [(1473980, 21, 51, 6), (1582656, 61, 62, 11), (5130038, 23, 29, 41)]


@pytest.mark.parametrize("backend", backends.available())
@pytest.mark.parametrize(("group", "first", "second", "before"), TIES)
def test_of_equal_words_the_first_place_is_kept(group, first, second, before, backend):
    layout = MaskLayout(64 * group, MaskLayout.of((64,)).strides)
    words = [word(KEY.seed, KEY.stream, DOMAIN_ORDER, 64 * group + i) for i in range(64)]
    assert words[first] == words[second]
    x = torch.ones(64)
    with backends.use(backend):
        y = F.n_m_dropout(x, before + 1, 64, layout=layout, key=KEY)
    assert torch.equal(y, definitions.counted(0, 64, before + 1)([x], None, KEY, layout))
    assert (bool(y[first]), bool(y[second])) == (True, False)


@pytest.mark.parametrize("p", [0.3, 0.999])
@pytest.mark.parametrize(("mode", "dim"), [("batch", 1), ("row", 2), ("row", -1)])
def test_columns_are_the_definition(p, mode, dim):
    x = torch.randn(4, 7, 20, dtype=torch.float64)
    own = {dim % 3} if mode == "batch" else {0, dim % 3}
    layout = MaskLayout.of(x.shape, [d for d in range(3) if d not in own])
    expected = definitions.counted(dim)([x], p, KEY, layout)
    assert torch.equal(F.column_dropout(x, p, dim=dim, mode=mode, key=KEY), expected)


@pytest.mark.parametrize("scale_by_keep", [True, False])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.875, 1.0])
def test_a_compiled_graph_counts_the_columns_of_any_p(p, scale_by_keep):
    """Its operator reads p from a tensor."""
    x = torch.randn(3, 8)
    constants = torch.tensor([p], dtype=torch.float64)
    y = ops.counted_affine_of(x, KEY.tensor(), constants, 8, -1, scale_by_keep, 0, [8, 1])
    kept = [8 - round(8 * p)] * 3
    assert (y != 0).sum(-1).tolist() == kept
    expected = F.column_dropout(x, p, mode="row", scale_by_keep=scale_by_keep, key=KEY)
    assert same_bits(y, expected)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("base", [2**34 - 7])
@pytest.mark.parametrize(
    ("shape", "n", "m"), [((6, 8), 2, 4), ((5, 3, 12), 1, 3), ((3, 640), 17, 64), ((7, 130), 9, 65)]
)
def test_backends_keep_the_same(shape, n, m, base, dtype):
    x = torch.randn(shape, dtype=dtype)
    x.view(-1)[::5] = float("nan")
    layout = MaskLayout(base, MaskLayout.of(shape).strides)
    found = []
    for name in backends.available():
        with backends.use(name):
            found.append(F.n_m_dropout(x, n, m, layout=layout, key=Key(2**63 + 5, 2**59 + 1)))
    assert all(same_but_nans(found[0], y) for y in found[1:])
