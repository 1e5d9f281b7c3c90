"""Token dropout: which tokens are kept, by the definition, and that they are unchanged."""

import pytest
import torch

import definitions
from draws import draws_nothing
from noise_oracle import words_from_zero
from torchdropout import Key, MaskLayout, backends
from torchdropout import functional as F
from torchdropout._core.contract.noise import DOMAIN_ORDER
from torchdropout._core.kernels import counted

KEY = Key(2**63 + 5, 6)


@pytest.mark.parametrize(
    ("p", "prefix", "rest"), [(1e-9, 0, ()), (0.3, 4, (2, 3)), (0.77, 1, (3,)), (1.0, 1, (3,))]
)
def test_it_is_the_definition(p, prefix, rest):
    x = torch.randn(5, prefix + 13, *rest)
    y, places = F.token_dropout(x, p, num_prefix_tokens=prefix, return_indices=True, key=KEY)
    assert torch.equal(y, definitions.tokens(prefix)([x], p, KEY, MaskLayout.of((5, 13))))
    rows = (places + prefix).view(5, -1, *[1] * len(rest)).expand(-1, -1, *rest)
    assert torch.equal(y, torch.cat((x[:, :prefix], x.gather(1, rows)), 1))
    assert torch.equal(F.token_dropout(x, p, num_prefix_tokens=prefix, key=KEY), y)


@pytest.mark.parametrize(
    ("size", "p", "kept"), [(10, 0.8, 2), (5, 0.5, 2), (7, 0.5, 4), (200, 0.9, 20), (3, 0.9, 1)]
)
def test_counts_are_rounded_to_the_nearest_and_halves_to_even(size, p, kept):
    """timm truncates: of 10 tokens at p = 0.8 it keeps 1, of 200 at 0.9 it keeps 19."""
    assert F.token_dropout(torch.ones(2, size, 1), p).shape == (2, kept, 1)


def test_places_with_equal_words_are_in_the_order_of_their_indices():
    """Ties are rare: the test finds one, and a layout makes neighbours of it, in both orders."""
    words = words_from_zero(KEY, DOMAIN_ORDER, 300_000)
    ordered = words.sort(stable=True)
    tied = int((ordered.values[1:] == ordered.values[:-1]).nonzero()[0])
    low, high = ordered.indices[tied : tied + 2].tolist()
    assert low < high
    for base, stride, kept in ((low, high - low, 0), (high, low - high, 1)):
        layout = MaskLayout(base, (0, stride))
        x = torch.tensor([[1.0, 2.0]])
        for in_order in (True, False):
            y, places = F.token_dropout(
                x, 0.5, ordered=in_order, return_indices=True, key=KEY, layout=layout
            )
            assert places.tolist() == [[kept]]
            assert y.tolist() == [[1.0 + kept]]
        expected = [[2.0, 0.0], [0.0, 4.0]][kept]
        assert F.n_m_dropout(x, 1, 2, key=KEY, layout=layout).tolist() == [expected]
        # And beyond the size up to which all pairs are compared: the tie is between the kept.
        many = MaskLayout(base, (0, stride, 0))
        y = F.column_dropout(x[..., None], 0.5, dim=1, key=KEY, layout=many)
        assert y.any(-1).tolist() == [[kept == 0, kept == 1]]
    for group in (6, counted._FEW + 6):
        words = torch.full((1, group), 2**32 - 1)
        words[0, :6] = torch.tensor([7, 7, 3, 7, 9, 3])
        assert counted._first(words, 4).nonzero()[:, 1].tolist() == [0, 1, 2, 5]


def test_eval_and_p_zero_return_the_input_and_draw_nothing():
    for x in (torch.ones(2, 5, 3), torch.ones(2, 0, 3)):
        for p, training in ((0.5, False), (0.0, bool(x.numel()))):
            with draws_nothing():
                y, places = F.token_dropout(x, p, training, return_indices=True)
            assert y is x
            assert places is None


def test_a_compiled_graph_counts_the_tokens_of_any_p():
    """Its operator reads p from a tensor."""
    choose, rest = torch.ops.torchdropout.choose, (False, 2, [8, 1], torch.device("cpu"))
    for kept in (3, 7):
        p = torch.tensor([1 - kept / 8], dtype=torch.float64)
        found = choose.share(KEY.tensor(), p, [4, 8], *rest)
        assert torch.equal(found, choose.default(KEY.tensor(), [4, 8], kept, *rest))


@pytest.mark.parametrize("base", [0, 2**34 - 7, 2**64 - 40000])
@pytest.mark.parametrize("size", [7, 1100])
@pytest.mark.parametrize("ordered", [True, False])
def test_backends_choose_the_same(size, ordered, base):
    x = torch.arange(3.0 * size).view(3, size)
    layout = MaskLayout(base, (size, 1))
    found = []
    for name in backends.available():
        with backends.use(name):
            y, places = F.token_dropout(
                x, 0.4, ordered=ordered, return_indices=True, layout=layout, key=Key(2**63 + 5, 9)
            )
        assert torch.equal(x.gather(1, places), y)
        found.append(places)
    assert all(torch.equal(found[0], places) for places in found[1:])
