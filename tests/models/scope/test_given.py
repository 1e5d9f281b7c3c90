"""`batch_dims`: where the samples lie in the draws of a site, as the caller says."""

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as torch_F

import torchdropout as td
from keyed_parts import SCOPE, Calls, assert_parts, assert_refused, drawn
from stochastic import state_of
from torchdropout import functional as F
from torchdropout.errors import ArgumentTypeError, ArgumentValueError

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
    message = "nothing shows the order of the samples"
    assert_refused(message, folded(draw), X, batch=(0, 16))
    found = []
    for dim, time_first in ((0, False), ((0, "alternating"), True)):
        model = folded(draw, time_first)
        found.append(assert_parts(model, X, batch_dims={"": dim}))
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

    assert_refused(message, Calls(forward), X, batch=(0, 16), batch_dims={"": dims})


def fixed(x):
    """A model for four samples, of which it makes windows."""
    return torch_F.dropout(x.reshape(4, 3, 2, 4).flatten(0, 1), 0.5).view(x.shape)


def test_a_model_for_batches_of_one_size():
    message = "the forward fails with two or with three samples"
    assert_refused(message, Calls(fixed), X[:4], batch=(0, 8))
    whole = Calls(lambda x: torch_F.dropout(x.view(-1, 2, 4), 0.5).view_as(x))
    expected = drawn(whole, X)
    model = Calls(fixed)
    with td.keyed(model, batch=(0, 8), batch_dims={"#0": 0}, **SCOPE):
        assert torch.equal(torch.cat([model(X[:4]), model(X[4:])]), expected)
    assert torch.equal(drawn(model, X[4:], batch=(4, 8), batch_dims={"#0": 0}), expected[4:])
    message = r"in draws of shape \(12, 2, 4\) of 4 samples, got"
    options = {"batch": (0, 8), "batch_dims": {"": 1}, "error": ArgumentValueError}
    assert_refused(message, Calls(fixed), X[:4], **options)


def test_positions_beside_samples_that_alternate():
    def forward(x):
        n, steps = x.shape[:2]
        y = torch_F.dropout(torch.ones(3 * n, steps, 4), 0.5)
        return y.unflatten(0, (3, n)).transpose(0, 1)

    dims = {"": (0, "alternating")}
    expected = drawn(Calls(forward), X, batch_dims=dims)
    for start, end in ((0, 8), (2, 5)):
        for first, last in itertools.pairwise((0, 2, 6)):
            options = {"batch": (start, 8), "sequence": (first, 6), "batch_dims": dims}
            found = drawn(Calls(forward), X[start:end, first:last], **options)
            assert torch.equal(found, expected[start:end, :, first:last])


def test_a_site_comes_before_its_module():
    def forward(x):
        rows, columns = torch.ones(len(x) * 6, 1), torch.ones(4, len(x) * 2)
        return torch_F.dropout(rows, 0.5), torch_F.dropout(columns, 0.5)

    model = Calls(forward)
    rows, columns = drawn(model, X, batch_dims={"#0": 0, "#1": -1})
    for start in (0, 3):
        part = X[start : start + 5]
        found = drawn(model, part, batch=(start, 8), batch_dims={"": 0, "#1": 1})
        assert torch.equal(found[0], rows[start * 6 : start * 6 + 30])
        assert torch.equal(found[1], columns[:, start * 2 : start * 2 + 10])


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

    dims = {"": (0, "alternating")}
    expected = drawn(Calls(forward), X, batch_dims=dims)
    model = torch.compile(Calls(forward), backend="eager", fullgraph=True)
    with td.keyed(model, batch=(0, 8), batch_dims=dims, **SCOPE):
        assert torch.equal(torch.cat([model(X[:4]), model(X[4:])]), expected)


def test_a_module_that_may_draw_in_another_forward():
    """Its layer may draw in another forward."""
    model = Calls(lambda drop, skipped, x: drop(x), nn.Dropout(0.5), nn.Dropout(0.5))
    assert_parts(model, X, batch_dims={"inner.1": 1})


OF_TYPE = "`batch_dims` to be a mapping of paths, .* got"
WRONG = {
    "no mapping": ([0], ArgumentTypeError, OF_TYPE),
    "no path": ({0: 0}, ArgumentTypeError, OF_TYPE),
    "no dimension": ({"": 0.0}, ArgumentTypeError, OF_TYPE),
    "a truth value": ({"": True}, ArgumentTypeError, OF_TYPE),
    "three of them": ({"": (0, "alternating", 1)}, ArgumentTypeError, OF_TYPE),
    "another word": ({"": (0, "folded")}, ArgumentValueError, r"got batch_dims=\(0, 'folded'\)"),
    "an unknown path": ({"drop.1": 0}, ArgumentValueError, r"\('0#0', '1#0'\), got .*drop.1"),
    "an unknown draw": ({"0#1": 0}, ArgumentValueError, "paths of modules that draw"),
    "what is around draws": ({"": 0}, ArgumentValueError, "paths of modules that draw"),
    "no such dimension": (
        {"0": 3},
        ArgumentValueError,
        r"draws of shape \(2, 6, 4\) or \(3, 6, 4\), got 3 for '0' at 0 #0 \(dropout\)",
    ),
    "before the first": ({"0#0": -4}, ArgumentValueError, r"got -4 for '0#0' \(dropout\)"),
    "of another size": (
        {"0": 1},
        ArgumentValueError,
        r"in draws of shape \(2, 6, 4\) of 2 samples and \(3, 6, 4\) of 3 samples, got 1 for",
    ),
    "a row each": ({"1": (0, "alternating")}, ArgumentValueError, "of a sample are neighbours"),
}


@pytest.mark.parametrize("name", WRONG)
def test_refused(name):
    dims, error, message = WRONG[name]
    path = Calls(lambda x: F.drop_path(x.flatten(0, 1), 0.5, True))
    model = nn.Sequential(nn.Dropout(0.5), path)
    before = state_of(model)
    with pytest.raises(error, match=message):
        td.find_sites(model, X, batch_dims=dims)
    assert_refused(message, model, X, batch_dims=dims, error=error)
    assert state_of(model) == before
    drawn(model, X, batch=(0, 16))


def test_draws_that_all_samples_share_have_no_such_dimension():
    model = nn.Sequential(td.nn.WeightDrop(nn.Linear(4, 4), 0.5, "weight"))
    with pytest.raises(ArgumentValueError, match="that the samples do not all share, got 0 for"):
        td.find_sites(model, X, batch_dims={"0": 0})
