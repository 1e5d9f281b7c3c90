"""The trial: whether the rest of its batch, or its order, changes what a sample gets."""

import functools
import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as torch_F
from torch.utils.checkpoint import checkpoint

import torchdropout as td
from keyed_parts import SCOPE, Calls, assert_parts, assert_refused, drawn
from stochastic import state_of
from torchdropout.errors import SiteError

X = torch.randn(8, 5, generator=torch.Generator().manual_seed(1))
SHOWN = "One input in another batch, and in another order: the same."


def sorted_rows(drop, x):
    order = x[:, 0].argsort()
    return drop(x[order])[order.argsort()]


def neighbours(drop, x):
    """Pairs change their places; one without a partner stays."""
    pairs = torch.arange(len(x)) ^ 1
    pairs = torch.where(pairs < len(x), pairs, pairs - 1)
    return drop(x[pairs])


def path(x):
    """A drop path whose mask is the same for none of two neighbours."""
    return x * x.new_empty(len(x), 1).bernoulli_(0.999)


MOVED = {
    "sorted": sorted_rows,
    "flipped": lambda drop, x: drop(x.flip(0)).flip(0),
    "rolled": lambda drop, x: drop(x.roll(1, 0)),
    "swapped": neighbours,
    "mixed before": lambda drop, x: drop(x - x.mean(0)),
}
MIXED = {
    "a share of the batch": lambda drop, x: drop(x) / (drop(torch.ones_like(x)) > 0).sum() * 99,
    "mixed after": lambda drop, x: drop(x) + x.mean(0),
    "a path in another order": lambda drop, x: path(x.flip(0)).flip(0) + 0 * drop(x),
    "noise in another order": lambda drop, x: x + torch.randn(len(x), 1).flip(0) + 0 * drop(x),
}


def refused(model, *args, match):
    """A part of a batch is refused, and the whole is drawn."""
    assert_refused(match, model, *args, batch=(0, 16))
    drawn(model, *args)


@pytest.mark.parametrize("name", MOVED)
def test_samples_that_move(name):
    model = Calls(MOVED[name], nn.Dropout(0.5))
    sites = td.find_sites(model, X)
    assert sites.mixing.startswith(
        "Expected the rows of a sample at inner.0 #0 (dropout) to be the"
    )
    assert sites.shown == sites.mixing
    for words in ("batch_dims={'inner.0': function}", "pass independent=False"):
        assert words in sites.mixing
    refused(model, X, match=r"at inner\.0 #0 \(dropout\) to be the same in another batch")


@pytest.mark.parametrize("name", MIXED)
def test_results_that_depend_on_the_batch(name):
    model = nn.Sequential(nn.Linear(5, 5), Calls(MIXED[name], nn.Dropout(0.5)))
    assert r"got another one after the module '1' (Calls)" in td.find_sites(model, X).mixing
    refused(model, X, match="the same result in another batch")
    alone = Calls(MIXED[name], nn.Dropout(0.5))
    assert "got another one in code of the model" in td.find_sites(alone, X).mixing


def picked(drop, x):
    out, m = x.clone(), x[:, 0] > 0
    out[m] = drop(x[m])
    return out


def one_by_one(drop, x):
    return torch.stack([drop(row) for row in x])


def test_rows_that_are_picked():
    """Refused wherever the samples of the trial lie; a later forward too, if these show nothing."""
    for first in range(8):
        model = Calls(picked, nn.Dropout(0.5))
        refused(model, X.roll(first, 0), match="as the batch is divided, got inner.0 #0")
    model, some = Calls(picked, nn.Dropout(0.5)), X.abs()
    assert not td.find_sites(model, some).mixing
    with td.keyed(model, batch=(0, 16), **SCOPE):
        model(some)
        with pytest.raises(SiteError, match="it has 4 rows along dimension 0, where 8 samples"):
            model(torch.cat([some[:4], -some[4:]]))


SAME = {
    "rows": lambda drop, x: drop(x),
    "sorted without a draw": lambda drop, x: drop(
        x.sort(0)[0][x.argsort(0).argsort(0)[:, 0]] * 0 + x
    ),
    "columns": lambda drop, x: drop(x.T).T,
    "doubled": lambda drop, x: drop(torch.cat([x, 2 * x])).view(2, -1, 5).sum(0),
    "a loss": lambda drop, x: (drop(x).square().mean(), drop(x)),
    "pairs": lambda drop, x: (drop(x) @ drop(x).T, drop(x)),
    "an average of draws": lambda drop, x: drop(x.expand(7, *x.shape)).mean(0),
}


@pytest.mark.parametrize("name", SAME)
def test_what_is_the_same(name):
    model = Calls(SAME[name], nn.Dropout(0.5))
    sites = td.find_sites(model, X)
    assert (sites.mixing, sites.shown) == ("", SHOWN)


@pytest.mark.parametrize("options", [{}, {"track_running_stats": False}])
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_is_held_still(options, training):
    """It mixes samples by design; its statistics are as before."""
    norm = nn.BatchNorm1d(5, **options)
    model = nn.Sequential(nn.Linear(5, 5), norm, nn.Dropout(0.5)).train()
    norm.train(training)
    before = {name: None if b is None else b.clone() for name, b in norm._buffers.items()}
    assert td.find_sites(model, X).shown == SHOWN
    assert norm.training is training
    for name, buffer in norm._buffers.items():
        assert buffer is before[name] or torch.equal(buffer, before[name])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_rounding_is_not_a_difference(dtype):
    """Sums of products in another order, and through several layers."""
    torch.manual_seed(0)
    layers = [nn.Sequential(nn.Linear(64, 64), nn.GELU(), nn.Dropout(0.1)) for _ in range(12)]
    model = nn.Sequential(*layers).to(dtype)
    assert td.find_sites(model, torch.randn(8, 64, dtype=dtype)).shown == SHOWN
    mixing = nn.Sequential(model, Calls(lambda drop, x: drop(x) / x.norm(), nn.Dropout()))
    assert "after the module '1'" in td.find_sites(mixing, torch.randn(8, 64, dtype=dtype)).mixing


@pytest.mark.parametrize(
    "x", [X[:1], X[:2], torch.ones(4, 5), torch.ones(3, 1), torch.zeros(2, 5, dtype=torch.int64)]
)
def test_samples_that_are_alike_get_other_numbers(x):
    model = Calls(lambda drop, x: drop(x.flip(0) * 1.0), nn.Dropout(0.5))
    assert "at inner.0 #0 (dropout)" in td.find_sites(model, x).mixing
    assert td.find_sites(Calls(lambda drop, x: drop(x * 1.0), nn.Dropout()), x).shown == SHOWN


def test_it_runs_once_and_leaves_nothing():
    calls = []
    model = nn.Sequential(
        Calls(lambda x: calls.append(len(x)) or x), nn.BatchNorm1d(5), nn.Dropout()
    )
    before = state_of(model)
    td.find_sites(model, X)
    assert calls == [2, 3, 3, 3, 2]
    assert state_of(model) == before
    del calls[:]
    for step in range(3):
        drawn(model, X, step=step)
    assert calls == [2, 3, 3, 3, 2, 8, 8, 8]


def test_what_shows_nothing():
    """A draw without a key differs by itself; the values of a vmap are hidden."""
    sites = td.find_sites(nn.Sequential(nn.Dropout(), nn.RReLU()), X)
    assert sites.shown.startswith("Nothing shows whether one input in another batch is the same")
    assert not sites.mixing


# --- By design ------------------------------------------------------------------------------------


def test_a_model_that_depends_on_its_batch_by_design():
    """One warning; the same masks for the same division, and others for its parts."""
    model = Calls(picked, nn.Dropout(0.5))

    def parts():
        with td.keyed(model, batch=(0, 8), independent=False, **SCOPE):
            return [model(X[:4]), model(X[:4])]

    with pytest.warns(RuntimeWarning, match="With independent=False such masks are the same only"):
        first, second = parts()
    assert not torch.equal(first, second)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = parts()
    assert all(map(torch.equal, again, (first, second)))
    drawn(model, X)


def test_draws_that_some_forwards_have_by_design():
    """A loop over samples draws as often as there are some."""
    model = Calls(one_by_one, nn.Dropout(0.5))
    with pytest.warns(RuntimeWarning, match="it draws in some forwards and not in others"):
        rows = drawn(model, torch.ones(8, 50), batch=(0, 8), independent=False)
    assert len(rows.unique(dim=0)) == 8


# --- Rows of samples, as the caller says ----------------------------------------------------------


class Sorted(nn.Module):
    """It sorts its samples, as for a recurrent layer, and keeps their order."""

    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        self.order = x.flatten(1)[:, 0].argsort()
        return self.drop(x[self.order])[self.order.argsort()]


def test_a_function_gives_the_samples_of_rows():
    model, order = Sorted(), torch.randperm(8)
    dims = {"drop": lambda call: model.order}
    assert td.find_sites(model, X, batch_dims=dims).shown == SHOWN
    whole = assert_parts(model, X, batch_dims=dims)
    assert torch.equal(drawn(model, X[order], samples=order, batch_dims=dims), whole[order])
    assert_parts(model, X, sites=td.find_sites(model, X, batch_dims=dims))
    wrong = {"drop": lambda call: range(len(call.tensors[0]))}
    assert "at drop #0 (dropout)" in td.find_sites(model, X, batch_dims=wrong).mixing


def test_tokens_without_padding():
    """It drops the tokens that are not padding."""

    def forward(drop, x, mask):
        model.mask, out = mask, torch.zeros_like(x)
        out[mask] = drop(x[mask])
        return out

    model, lengths = Calls(forward, nn.Dropout(0.5)), torch.tensor([3, 6, 1, 4, 0, 2, 5, 6])
    dims = {"inner.0": lambda call: model.mask.nonzero()[:, 0]}
    x = torch.rand(8, 9, 5, generator=torch.Generator().manual_seed(0)) + 1

    def padded(start, end, width):
        mask = torch.arange(width) < lengths[start:end, None]
        return drawn(model, x[start:end, :width], mask, batch=(start, 8), batch_dims=dims)

    whole = padded(0, 8, 6)
    for start, end, width in ((0, 8, 9), (0, 3, 6), (3, 8, 7)):  # padded further too
        assert torch.equal(padded(start, end, width)[:, :6], whole[start:end])


def test_a_loop_over_samples():
    """A sample with several draws of its own has other numbers in each."""
    dims = {"inner.0": lambda call: call.number}
    assert_parts(Calls(one_by_one, nn.Dropout(0.5)), X, batch_dims=dims)
    twice = Calls(lambda drop, x: one_by_one(drop, x) + 10 * one_by_one(drop, x), nn.Dropout(0.5))
    twice.register_forward_pre_hook(lambda m, args: setattr(m, "size", len(args[0])))
    dims = {"inner.0": lambda call: call.number % twice.size}
    whole = assert_parts(twice, torch.ones(8, 50), batch_dims=dims)
    assert not torch.equal(whole.remainder(10) > 0, whole >= 10)


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda call: [0], "for each of the 3 rows of a draw, got \\[0\\]"),
        (lambda call: [1, 2, 3], "one of 3 samples, from 0 on"),
        (lambda call: -1, "one of 3 samples, from 0 on"),
    ],
)
def test_a_function_that_gives_something_else(function, says):
    with pytest.raises(SiteError, match=says):
        td.find_sites(nn.Dropout(0.5), X[:3], batch_dims={"": function})
    assert_refused(says, nn.Dropout(0.5), X[:3], batch_dims={"": function})


def test_rows_of_another_shape_in_one_site():
    model = Calls(lambda drop, x: (drop(x), drop(x[:, :2])), nn.Dropout(0.5))
    rows = lambda call: range(len(call.tensors[0]))  # noqa: E731
    message = "name the draws apart, by 'path#number'"
    assert_refused(message, model, X, batch_dims={"inner.0": rows})
    drawn(model, X, batch_dims={"inner.0#0": rows, "inner.0#1": rows})


def test_a_checkpointed_region_has_its_rows_again():
    model, x = Sorted(), X.clone().requires_grad_()
    dims = {"inner.0.drop": lambda call: model.order}
    gradients = []
    for region in (lambda f, x: f(x), functools.partial(checkpoint, use_reentrant=False)):
        whole = Calls(lambda m, x, r=region: r(m, x) * 3, model)
        y = drawn(whole, x, batch_dims=dims)
        gradients.append(torch.autograd.grad(y.square().sum(), x)[0])
    assert torch.equal(*gradients)


# --- Numbers of samples ---------------------------------------------------------------------------

DRAWS = {
    "dropout": lambda x: torch_F.dropout(x, 0.5),
    "in place": lambda x: torch_F.dropout(x * 1, 0.5, inplace=True),
    "channels": lambda x: torch_F.dropout1d(x, 0.5),
    "time first": lambda x: torch_F.dropout(x.transpose(0, 1), 0.5).transpose(0, 1),
    "windows": lambda x: torch_F.dropout(x.reshape(-1, 2, 4), 0.5).view(x.shape),
    "alternating": lambda x: torch_F.dropout(torch.cat([x, 2 * x]), 0.5).view(2, *x.shape).sum(0),
    "bernoulli": lambda x: x * torch.bernoulli(x.sigmoid()),
    "path": lambda x: x * x.new_empty(len(x), 1, 1).bernoulli_(0.5),
    "rand": lambda x: x + torch.rand_like(x),
    "randn": lambda x: x + torch.randn(x.shape),
    "attention": lambda x: torch_F.scaled_dot_product_attention(x, x, x, dropout_p=0.5),
    "ours": lambda x: td.functional.gaussian_dropout(x, 0.5),
    "shared": lambda x: td.functional.dropout(x, 0.5, broadcast_dims=(0,)),
}


@pytest.mark.parametrize("name", DRAWS)
def test_a_shuffled_batch_has_the_masks_of_its_samples(name):
    model, x = Calls(DRAWS[name]), torch.randn(8, 6, 4)
    whole = drawn(model, x)
    for numbers in ([3, 1, 6, 0], torch.tensor([7, 2]), [4, 5, 6], [5], torch.randperm(8), [2, 2]):
        torch.testing.assert_close(drawn(model, x[numbers], samples=numbers), whole[numbers])
    with td.keyed(model, samples=[6, 1, 3], **SCOPE):  # micro-batches
        found = torch.cat([model(x[[6]]), model(x[[1, 3]])])
    torch.testing.assert_close(found, whole[[6, 1, 3]])


def test_large_numbers():
    x, big = torch.ones(2, 300), 2**55
    model = nn.Dropout(0.5)
    found = drawn(model, x, samples=[big + 5, 3])
    assert torch.equal(drawn(model, x[:1], samples=[big + 5]), found[:1])
    assert_refused("mask indices", model, x[:1], samples=[2**62], error=ValueError)


@pytest.mark.parametrize(
    "layer", [nn.LSTM(4, 4, 2, dropout=0.5, batch_first=True), td.nn.LSTM(4, 4, 2, dropout=0.5)]
)
def test_a_module_that_takes_the_number_of_its_first_sample(layer):
    """Numbers that follow one another are enough; others are refused where it counts itself."""
    model, dim = Calls(lambda layer, x: layer(x)[0], layer), int(not layer.batch_first)
    x = torch.randn(6, 6, 4)

    def called(numbers):
        part = x.index_select(dim, torch.tensor(numbers))
        return drawn(model, part, samples=numbers, batch_dim=dim)

    whole = called([*range(6)])
    torch.testing.assert_close(called([2, 3]), whole.narrow(dim, 2, 2))
    if dim:
        with pytest.raises(SiteError, match="whose numbers follow one another"):
            called([3, 2])
    else:
        torch.testing.assert_close(called([3, 2]), whole[[3, 2]])


@pytest.mark.parametrize(
    ("samples", "error"),
    [
        *((given, TypeError) for given in (3, "ab", [0.5], [True], torch.ones(2))),
        (torch.tensor([True]), TypeError),
        (torch.ones(2, 2, dtype=torch.int64), TypeError),
        *((given, ValueError) for given in ([], [-1], [2**63])),
    ],
)
def test_what_is_no_list_of_numbers(samples, error):  # words: allowed
    with pytest.raises(error, match="`samples` to be integers in "):
        td.keyed(nn.Dropout(), seed=0, samples=samples)


def test_samples_and_their_arguments():
    with pytest.raises(ValueError, match="`batch` to be None with `samples`"):
        td.keyed(nn.Dropout(), seed=0, samples=[1], batch=(0, 4))
    assert_refused("a number for ea", nn.Dropout(), X, samples=[1, 2], error=ValueError)


@pytest.mark.integration
def test_numbers_in_a_compiled_model():
    """In order they are an input of the graph; else they are refused."""
    model, x = nn.Sequential(nn.Dropout(0.5)), torch.ones(8, 6)
    whole = drawn(model, x)
    compiled = torch.compile(model, backend="eager")
    for numbers in ([2, 3, 4], [5, 6, 7]):
        assert torch.equal(drawn(compiled, x[:3], samples=numbers), whole[numbers])
    assert_refused("follow one another in a compiled model", compiled, x[:3], samples=[5, 1, 2])
