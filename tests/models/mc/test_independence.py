"""What an input gets is its own, whatever else is in its batch, or the call says so."""

import warnings

import pytest
import torch
from torch.nn import functional as F

from keyed_parts import Calls
from stochastic import seeded
from torchdropout import mc
from torchdropout.errors import ArgumentValueError, SiteError

CLOSE = {"rtol": 1e-4, "atol": 1e-5}
X = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
SAME = "One input in another batch, and in another order: the same."


def sorts(layer, drop, x):
    """Sorts the inputs by one of their numbers, and back."""
    order = x[:, 0].argsort()
    return drop(layer(x)[order])[order.argsort()]


def reverses(layer, drop, x):
    return drop(layer(x).flip(0)).flip(0)


def picks(layer, drop, x, chosen=None):
    """Drops some inputs only, as with experts, or the tokens that are not padded."""
    chosen = x[:, 0] > 0 if chosen is None else chosen
    out = torch.zeros_like(x)
    out[chosen] = drop(layer(x[chosen]))
    return out


def by_kept(layer, drop, x):
    """Scales by the share that the whole batch keeps, as DropBlock2d of timm."""
    kept = drop(torch.ones_like(x)) > 0
    return layer(x) * kept / kept.float().mean()


def centred(layer, drop, x):
    return drop(layer(x) - x.mean(0))


def one_by_one(layer, drop, x):
    return torch.stack([drop(layer(one)) for one in x])


def made_of(function):
    parts = seeded(lambda: torch.nn.ModuleList([torch.nn.Linear(8, 8), torch.nn.Dropout(0.5)]))
    return Calls(function, *parts).eval()


DROP = "inner.1"


def expect_the_same(model, x, **options):
    """Alone, in a batch, in another order, over a loader: in each strategy."""
    made = mc.MCDropout(model, 5, task="regression", keep_samples=True, **options)
    whole = made(x).samples
    assert not torch.equal(whole[0], whole[1])
    order = [4, 1, 0, 5, 3, 2]
    torch.testing.assert_close(made(x[order], index=order).samples, whole[:, order], **CLOSE)
    torch.testing.assert_close(made.predict(x.split(4)).samples, whole, **CLOSE)
    torch.testing.assert_close(made.predict(x.split(1)).samples, whole, **CLOSE)
    with torch.no_grad(), mc.active(model, **options):
        samples = torch.stack([model(x) for _ in range(5)])
    torch.testing.assert_close(samples, whole, **CLOSE)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (
            sorts,
            r"got others.* before that draw.*batch_dims={'inner.1': function}.*independent=False",
        ),
        (reverses, r"inner.1 #0 .*batch_dims={'inner.1': function}"),
        (picks, r"inner.1 #0 \(dropout\).*independent=False"),
        (by_kept, r"got another one .*independent=False"),
        (centred, r"inner.1 #0 \(dropout\).*independent=False"),
    ],
)
def test_a_model_that_moves_picks_or_mixes_inputs_is_refused(function, words):
    model = made_of(function)
    plan = mc.plan(model, X)
    assert plan.mixing or any(site.reached.count(", but ") for site in plan.sites)
    assert SAME not in str(plan)
    for strategy in ("auto", "loop"):
        with pytest.raises(SiteError, match=words):
            mc.MCDropout(model, 5, strategy=strategy, task="regression").predict(X.split(2))
    with mc.active(model), pytest.raises(SiteError, match=words):
        model(X)


@pytest.mark.parametrize("function", [sorts, picks, by_kept, one_by_one])
def test_what_depends_on_the_batch_by_design_is_one_warning(function):
    options = {"task": "regression", "keep_samples": True, "independent": False}
    made = mc.MCDropout(made_of(function), 5, **options)
    with pytest.warns(RuntimeWarning, match="independent") as caught:
        first = made(X).samples
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(made(X).samples, first)
    assert not torch.equal(first[0], first[1])


def test_inputs_that_move_are_followed_by_a_function():
    orders = []
    model = made_of(sorts)
    model.register_forward_pre_hook(lambda _, args: orders.append(args[0][:, 0].argsort()))
    for moving, function in (
        (model, lambda call: orders[-1]),
        (made_of(reverses), lambda call: range(len(call.tensors[0]))[::-1]),
        (made_of(one_by_one), lambda call: call.number),
    ):
        expect_the_same(moving, X, batch_dims={DROP: function})


def test_the_trial_is_of_the_sites_that_are_on():
    model = torch.nn.Sequential(made_of(reverses), torch.nn.Dropout(0.5)).eval()
    assert "batch_dims={'0.inner.1': function}" in mc.plan(model, X).mixing
    assert mc.plan(model, X, exclude="0.*").trial == SAME
    expect_the_same(model, X, exclude="0.*")


def test_tokens_of_the_first_batch_show_less_than_a_later_one():
    """Without padding all rows of a batch are there."""
    model, x = made_of(picks), X[:, None].repeat(1, 4, 1)
    mask = torch.ones(6, 4, dtype=torch.bool)
    padded = mask.clone()
    padded[2, 1:] = False
    for strategy in ("auto", "loop"):
        made = mc.MCDropout(model, 5, strategy=strategy, task="regression")
        made(x, mask)
        with pytest.raises(SiteError, match=r"inner.1 #0 \(dropout\): it has 21 rows.*batch_dims"):
            made(x, padded)


# --- Padding -------------------------------------------------------------------------------------


class Attends(torch.nn.Module):
    """Attention over the tokens that are not padded, and dropout of each of them."""

    def __init__(self, eager):
        super().__init__()
        self.qkv, self.drop, self.eager = torch.nn.Linear(8, 24), torch.nn.Dropout(0.3), eager

    def forward(self, x, mask):
        q, k, v = (t.unflatten(-1, (2, 4)).transpose(1, 2) for t in self.qkv(x).chunk(3, -1))
        seen = mask[:, None, None].expand(-1, 1, x.shape[1], -1)
        p = 0.3 if self.training else 0.0
        if self.eager:
            scores = (q @ k.mT).masked_fill(~seen, -torch.inf)
            y = F.dropout(scores.softmax(-1), p, self.training) @ v
        else:
            y = F.scaled_dot_product_attention(q, k, v, seen, dropout_p=p)
        y = self.drop(y.transpose(1, 2).flatten(2)) * mask[..., None]
        return y.sum(1)


LENGTHS = torch.tensor([7, 3, 5, 4])


def padded(width, places=slice(None)):
    tokens = torch.randn(4, 16, 8, generator=torch.Generator().manual_seed(0))
    mask = torch.arange(width) < LENGTHS[places, None]
    return tokens[places, :width] * mask[..., None], mask


@pytest.mark.parametrize(
    ("eager", "strategy"), [(True, "auto"), (False, "auto"), (True, "loop"), (False, "repeat")]
)
def test_a_declared_length_makes_the_passes_independent_of_padding(eager, strategy):
    model = seeded(Attends, eager)
    options = {"task": "regression", "keep_samples": True, "strategy": strategy}
    made = mc.MCDropout(model, 5, sequence=(0, 16), **options)
    whole = made(*padded(7)).samples
    assert not torch.equal(whole[0], whole[1])
    torch.testing.assert_close(made(*padded(11)).samples, whole, **CLOSE)
    for n in range(4):
        alone = made(*padded(int(LENGTHS[n]), slice(n, n + 1)), index=n).samples
        torch.testing.assert_close(alone, whole[:, n : n + 1], **CLOSE)
    with torch.no_grad(), mc.active(model, sequence=(0, 16)):
        samples = torch.stack([model(*padded(9)) for _ in range(5)])
    torch.testing.assert_close(samples, whole, **CLOSE)
    with pytest.raises(ArgumentValueError, match="`sequence` to have a length of 7 or more"):
        mc.MCDropout(model, 5, sequence=(0, 6), **options)(*padded(7))


@pytest.mark.parametrize("eager", [True, False])
def test_a_second_length_is_one_warning_that_says_what_to_pass(eager):
    made = mc.MCDropout(seeded(Attends, eager), 5, task="regression")
    made(*padded(7))
    with pytest.warns(RuntimeWarning, match=r"depend on the number of .*sequence=\(0, ") as caught:
        made(*padded(9))
    assert len(caught) == 1
    made(*padded(8))
    made = mc.MCDropout(seeded(Attends, eager), 5, task="regression", sequence=(0, 16))
    for width in (7, 9):
        made(*padded(width))
