"""`batch_dims`: where the samples lie in the draws of a site, as the caller says."""

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as torch_F

import torchdropout as td
from keyed_parts import SCOPE, Calls, assert_parts
from torchdropout import functional as F
from torchdropout.errors import ArgumentTypeError, ArgumentValueError, SiteError

X = torch.randn(8, 6, 4, generator=torch.Generator().manual_seed(0))


def attend(x):
    """Weights of attention of each row to three places, which are all alike before the dropout."""
    zeros = torch.zeros(len(x), 2, x.shape[1], 4)
    unit = torch.eye(x.shape[1]).expand(len(x), 2, -1, -1)
    return torch_F.scaled_dot_product_attention(zeros, zeros, unit, dropout_p=0.5)


DRAWS = {
    "dropout": lambda x: torch_F.dropout(x, 0.5),
    "in place": lambda x: torch_F.dropout(x, 0.5, inplace=True),
    "written into": lambda x: (torch_F.dropout(x, 0.5, inplace=True), x)[1],
    "ours": lambda x: F.dropout(x, 0.5),
    "bernoulli_": lambda x: x.bernoulli_(0.5),
    "rand": lambda x: torch.rand(x.shape),
    "randn_like": torch.randn_like,
    "attention": attend,
    "attention of one head": lambda x: attend(x)[:, 0],
}


def folded(draw, time_first=False):
    """A model that draws for ones in a dimension of steps and samples, whose order nothing shows.

    The result has a dimension of samples, and then one of steps.
    """

    def forward(x):
        n, steps = x.shape[:2]
        y = draw(torch.ones(n * steps, 4, 4))
        if time_first:
            return y.unflatten(0, (steps, n)).transpose(0, 1)
        return y.unflatten(0, (n, steps))

    return Calls(forward)


@pytest.mark.parametrize("name", DRAWS)
def test_an_order_that_nothing_shows(name):
    draw = DRAWS[name]
    with (
        td.keyed(folded(draw), batch=(0, 16), **SCOPE) as scope,
        pytest.raises(SiteError, match="nothing shows the order of the samples"),
    ):
        scope.model(X)
    found = []
    for dim, time_first in ((0, False), ((0, "alternating"), True)):
        model = folded(draw, time_first)
        assert_parts(model, X, batch_dims={"": dim})
        with td.keyed(model, batch_dims={"": dim}, **SCOPE):
            found.append(model(X))
    assert torch.equal(*found)  # a sample has the same draws at the same steps


@pytest.mark.parametrize(
    ("alternate", "dims", "message"),
    [
        (True, 0, "the samples alternate along dimension 0"),
        (False, (0, "alternating"), "the samples do not alternate along dimension 0"),
    ],
)
def test_what_forwards_show_must_agree(alternate, dims, message):
    def forward(x):
        return torch_F.dropout((x.transpose(0, 1) if alternate else x).reshape(-1, 4), 0.5)

    model = Calls(forward)
    with (
        td.keyed(model, batch=(0, 16), batch_dims={"": dims}, **SCOPE),
        pytest.raises(SiteError, match=message),
    ):
        model(X)


def fixed(x):
    """A model for four samples, of which it makes windows."""
    return torch_F.dropout(x.reshape(4, 3, 2, 4).flatten(0, 1), 0.5).view(x.shape)


def test_a_model_for_batches_of_one_size():
    with (
        td.keyed(Calls(fixed), batch=(0, 8), **SCOPE) as scope,
        pytest.raises(SiteError, match="the forward fails with two or with three samples"),
    ):
        scope.model(X[:4])
    with td.keyed(Calls(lambda x: torch_F.dropout(x.view(-1, 2, 4), 0.5).view_as(x)), **SCOPE) as s:
        expected = s.model(X)
    model = Calls(fixed)
    with td.keyed(model, batch=(0, 8), batch_dims={"#0": 0}, **SCOPE):
        assert torch.equal(torch.cat([model(X[:4]), model(X[4:])]), expected)
    with td.keyed(model, batch=(4, 8), batch_dims={"#0": 0}, **SCOPE):
        assert torch.equal(model(X[4:]), expected[4:])
    with (
        td.keyed(Calls(fixed), batch=(0, 8), batch_dims={"": 1}, **SCOPE) as scope,
        pytest.raises(
            ArgumentValueError, match=r"in draws of shape \(12, 2, 4\) of 4 samples, got"
        ),
    ):
        scope.model(X[:4])


def test_positions_beside_samples_that_alternate():
    def forward(x):
        n, steps = x.shape[:2]
        y = torch_F.dropout(torch.ones(3 * n, steps, 4), 0.5)
        return y.unflatten(0, (3, n)).transpose(0, 1)

    options = {"batch_dims": {"": (0, "alternating")}, **SCOPE}
    with td.keyed(Calls(forward), **options) as scope:
        expected = scope.model(X)
    for start, end in ((0, 8), (2, 5)):
        for first, last in itertools.pairwise((0, 2, 6)):
            with td.keyed(
                Calls(forward), batch=(start, 8), sequence=(first, 6), **options
            ) as scope:
                found = scope.model(X[start:end, first:last])
            assert torch.equal(found, expected[start:end, :, first:last])


def test_a_site_comes_before_its_module():
    def forward(x):
        return torch_F.dropout(torch.ones(len(x) * 6, 1), 0.5), torch_F.dropout(
            torch.ones(4, len(x) * 2), 0.5
        )

    model = Calls(forward)
    for start in (0, 3):
        with td.keyed(model, batch=(start, 8), batch_dims={"": 0, "#1": 1}, **SCOPE):
            found = model(X[start : start + 5])
        with td.keyed(model, batch_dims={"#0": 0, "#1": -1}, **SCOPE):
            whole = model(X)
        assert torch.equal(found[0], whole[0][start * 6 : start * 6 + 30])
        assert torch.equal(found[1], whole[1][:, start * 2 : start * 2 + 10])


def test_they_are_given_where_sites_are_found():
    model = folded(DRAWS["dropout"], True)
    dims = {"": (0, "alternating")}
    sites = td.find_sites(model, X, batch_dims=dims)
    (site,) = sites.values()
    assert site.place.batch == td.models.scope.Axis(0, 6, True)
    assert not site.problem
    assert_parts(model, X, sites=sites)
    with pytest.raises(ArgumentValueError, match="`batch_dims` to be None with `sites`: give it"):
        td.keyed(model, sites=sites, batch_dims=dims, **SCOPE)


@pytest.mark.integration
def test_in_a_compiled_model():
    """The graph has the dimension of the samples, and serves all parts."""

    def forward(x):
        y = torch_F.dropout(torch.ones(x.shape[0] * 6, 4), 0.5)
        return x * y.view(6, x.shape[0], 4).transpose(0, 1)

    options = {"batch_dims": {"": (0, "alternating")}, **SCOPE}
    with td.keyed(Calls(forward), **options) as scope:
        expected = scope.model(X)
    model = torch.compile(Calls(forward), backend="eager", fullgraph=True)
    with td.keyed(model, batch=(0, 8), **options):
        assert torch.equal(torch.cat([model(X[:4]), model(X[4:])]), expected)


class Skips(nn.Module):
    """Its layer may draw in another forward."""

    def __init__(self):
        super().__init__()
        self.drop, self.skipped = nn.Dropout(0.5), nn.Dropout(0.5)

    def forward(self, x):
        return self.drop(x)


def test_a_module_that_may_draw_in_another_forward():
    assert_parts(Skips(), X, batch_dims={"skipped": 1})


WRONG = {
    "no mapping": ([0], ArgumentTypeError, r"`batch_dims` to be a mapping of paths, .* got"),
    "no path": ({0: 0}, ArgumentTypeError, "a mapping of paths"),
    "no dimension": ({"": 0.0}, ArgumentTypeError, "a mapping of paths"),
    "a truth value": ({"": True}, ArgumentTypeError, "a mapping of paths"),
    "three of them": ({"": (0, "alternating", 1)}, ArgumentTypeError, "a mapping of paths"),
    "another word": ({"": (0, "folded")}, ArgumentValueError, r"got batch_dims=\(0, 'folded'\)"),
    "an unknown path": ({"drop.1": 0}, ArgumentValueError, r"\('drop#0', 'path#0'\), got .*drop.1"),
    "an unknown draw": ({"drop#1": 0}, ArgumentValueError, "paths of modules that draw"),
    "what is around draws": ({"": 0}, ArgumentValueError, "paths of modules that draw"),
    "no such dimension": (
        {"drop": 3},
        ArgumentValueError,
        r"draws of shape \(2, 6, 4\) or \(3, 6, 4\), got 3 for 'drop' at drop #0 \(dropout\)",
    ),
    "before the first": ({"drop#0": -4}, ArgumentValueError, r"got -4 for 'drop#0' \(dropout\)"),
    "of another size": (
        {"drop": 1},
        ArgumentValueError,
        r"in draws of shape \(2, 6, 4\) of 2 samples and \(3, 6, 4\) of 3 samples, got 1 for",
    ),
    "a row each": ({"path": (0, "alternating")}, ArgumentValueError, "of a sample are neighbours"),
}


class Several(nn.Module):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.5)
        self.path = Calls(lambda x: F.drop_path(x, 0.5, True))

    def forward(self, x):
        return self.path(self.drop(x).flatten(0, 1))


@pytest.mark.parametrize("name", WRONG)
def test_refused(name):
    dims, error, message = WRONG[name]
    model = Several()
    state = torch.get_rng_state()
    with pytest.raises(error, match=message):
        td.find_sites(model, X, batch_dims=dims)
    with pytest.raises(error, match=message), td.keyed(model, batch_dims=dims, **SCOPE):
        model(X)
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    with td.keyed(model, batch=(0, 16), **SCOPE):
        model(X)


def test_draws_that_all_samples_share_have_no_such_dimension():
    model = nn.Sequential(td.nn.WeightDrop(nn.Linear(4, 4), 0.5, "weight"))
    with pytest.raises(ArgumentValueError, match="that the samples do not all share, got 0 for"):
        td.find_sites(model, X, batch_dims={"0": 0})
