"""Token dropout: which tokens are kept, by the definition, and that they are unchanged."""

import pytest
import torch

from noise_oracle import words_from_zero
from torchdropout import Key, MaskLayout, backends
from torchdropout import functional as F
from torchdropout._core.contract.noise import DOMAIN_ORDER, word
from torchdropout._core.kernels import counted
from torchdropout.errors import ArgumentValueError

KEY = Key(2**63 + 5, 6)


def defined(key, samples, size, p, layout=None):
    """The definition in plain Python: places in the order of (word, index), the first kept."""
    layout = layout or MaskLayout.of((samples, size))
    kept = max(1, round(size * (1 - p)))
    found = []
    for n in range(samples):
        index = [layout.index((n, i)) for i in range(size)]
        rank = [(word(key.seed, key.stream, DOMAIN_ORDER, at), at) for at in index]
        found.append(sorted(range(size), key=rank.__getitem__)[:kept])
    return torch.tensor(found, dtype=torch.int64).reshape(samples, kept)


def tokens(samples=5, size=13, *rest, dtype=torch.float32):
    torch.manual_seed(0)
    return torch.randn(samples, size, *(rest or (3,)), dtype=torch.float32).to(dtype)


def taken(x, places, prefix=0):
    """Select the rows of each sample one by one."""
    rows = [
        torch.cat((s[:prefix], torch.stack([s[prefix + i] for i in at])))
        for s, at in zip(x, places.tolist(), strict=True)
    ]
    return torch.stack(rows)


@pytest.mark.parametrize(
    ("p", "prefix", "rest"), [(1e-9, 0, ()), (0.3, 4, (2, 3)), (0.77, 1, (3,)), (1.0, 1, (3,))]
)
def test_it_is_the_definition(p, prefix, rest):
    x = torch.randn(5, prefix + 13, *rest)
    y, places = F.token_dropout(x, p, num_prefix_tokens=prefix, return_indices=True, key=KEY)
    assert torch.equal(places, defined(KEY, 5, 13, p))
    assert torch.equal(y, taken(x, places, prefix))
    assert torch.equal(F.token_dropout(x, p, num_prefix_tokens=prefix, key=KEY), y)


@pytest.mark.parametrize(
    ("size", "p", "kept"),
    [
        (196, 0.5, 98),
        (10, 0.8, 2),
        (5, 0.5, 2),
        (7, 0.5, 4),
        (200, 0.9, 20),
        (3, 0.9, 1),
        (1, 1, 1),
    ],
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
        assert F.column_dropout(x[..., None], 0.5, dim=1, key=KEY, layout=many).any(
            -1
        ).tolist() == [[kept == 0, kept == 1]]
    for group in (6, counted._FEW + 6):
        words = torch.full((1, group), 2**32 - 1)
        words[0, :6] = torch.tensor([7, 7, 3, 7, 9, 3])
        assert counted._first(words, 4).nonzero()[:, 1].tolist() == [0, 1, 2, 5]


def test_eval_and_p_zero_return_the_input_and_draw_nothing():
    x, before = tokens(), torch.get_rng_state()
    for p, training in ((0.5, False), (0.0, True)):
        y, places = F.token_dropout(x, p, training, return_indices=True)
        assert y is x
        assert places is None
    assert torch.equal(torch.get_rng_state(), before)


class TestTransforms:
    x = torch.randn(4, 3, 8, 2)

    @pytest.mark.parametrize("strides", [[8, 1], [0, 1]])
    def test_the_operator_passes_torchs_checks(self, strides):
        args = ([4, 8], 3, False, 2, strides, torch.device("cpu"))
        torch.library.opcheck(torch.ops.torchdropout.choose.default, (KEY.tensor(), *args))
        p = torch.tensor([0.6], dtype=torch.float64)
        share = (KEY.tensor(), p, [4, 8], *args[2:])
        torch.library.opcheck(torch.ops.torchdropout.choose.share, share)
        assert torch.equal(
            torch.ops.torchdropout.choose.share(*share),
            torch.ops.torchdropout.choose.default(KEY.tensor(), *args),
        )


class TestRefuses:
    @pytest.fixture(autouse=True)
    def _draws_nothing(self):
        before = torch.get_rng_state()
        yield
        assert torch.equal(torch.get_rng_state(), before)

    x = torch.ones(2, 5, 3)

    @pytest.mark.parametrize(
        ("prefix", "words"),
        [
            (6, r"`num_prefix_tokens` to be at most 5, .* got num_prefix_tokens=6 \(int\)"),
            (-1, "`num_prefix_tokens` to be 0 or more, got num_prefix_tokens=-1"),
            (5, "`input` to be of one or more tokens after a prefix of 5"),
        ],
    )
    def test_arguments(self, prefix, words):
        with pytest.raises(ArgumentValueError, match=words):
            F.token_dropout(self.x, num_prefix_tokens=prefix)

    @pytest.mark.parametrize("p", [0.0, 0.5])
    def test_a_fixed_count_of_nothing(self, p):
        with pytest.raises(ArgumentValueError, match="one or more tokens after a prefix of 0"):
            F.token_dropout(torch.ones(2, 0, 3), p)
        empty = torch.ones(2, 0, 3)
        assert F.token_dropout(empty, p, False) is empty


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
